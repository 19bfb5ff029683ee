"""The process preference model (PPM): a language model with one scalar head.

The head's value v becomes the score

    tanh((v + ppm_bias + ppm_likelihood * l) / ppm_scale)

where l is the log-probability that the policy gives the whole path. A PPM is stored as an ordinary
Hugging Face folder for sequence classification, with the constants in its config.json (0, 0 and 1
where they are missing). Other software that loads `*ForSequenceClassification` folders loads a PPM
too, and gets v. The paper's PPM has no l (`ppm_likelihood` = 0). Small models gain much by it,
since their heads err where they were not trained. `ppm_observations` says whether the PPM reads
what steps inside an open code block showed.
"""

from dataclasses import replace
from pathlib import Path
from typing import Any

import torch
from torch import Tensor
from torch.func import functional_call

from rstar_fast.errors import ScoreError
from rstar_fast.models.loading import load_config, load_tokenizer
from rstar_fast.ppm.constants import Constants
from rstar_fast.ppm.heads import LOG_ODDS_SCALE, read_head
from rstar_fast.ppm.loading import (
    CHECK_HEAD,
    REFERENCE_HEAD,
    REFERENCE_SCALE,
    find_file,
    load_model,
    pad_token_id,
    read_reference_head,
)
from rstar_fast.ppm.spec import OWN, ScoreSpec


class PPM:
    """A process preference model and its tokenizer. Made by `from_policy` or `from_pretrained`.

    Attributes:
        model: A `*ForSequenceClassification` with one label. Its config has `ppm_scale` (> 0),
            `ppm_bias`, `ppm_likelihood` (>= 0) and `ppm_observations`.
        tokenizer: Tokenizer of the model.
        name: Folder or hub name that it came from.
        spec: Way in which it reads solutions.
    """

    def __init__(self, model: Any, tokenizer: Any, name: str, spec: ScoreSpec = OWN) -> None:
        """Take a loaded model.

        Args:
            model: A `*ForSequenceClassification` with one label. Changed: it is put into evaluation
                mode, and its config gets the constants that it lacks.
            tokenizer: Tokenizer of the model.
            name: Folder or hub name that the model came from.
            spec: Way in which it reads solutions. `ppm_observations` of the config is added.

        Raises:
            ScoreError: A constant in the config is no finite number, or out of range. Or the head
                has a weight that is not finite.
        """
        self.model = model.eval()
        self.tokenizer = tokenizer
        self.name = name
        for key, weight in model.score.named_parameters():
            if num_broken := int((~weight.isfinite()).sum()):
                raise ScoreError(
                    f"{name}: score.{key}: expected finite weights of the value head, "
                    f"got {num_broken} of {weight.numel()} that are not"
                )
        config = model.config
        constants = Constants.of(config, name)
        config.ppm_scale, config.ppm_bias = constants.scale, constants.bias
        config.ppm_likelihood = constants.likelihood
        self.spec = replace(spec, observations=spec.observations or constants.observations)
        config.ppm_observations = self.spec.observations

    @classmethod
    def from_policy(
        cls,
        name: str | Path,
        device: str | torch.device | None = None,
        dtype: str | torch.dtype | None = None,
        seed: int = 0,
        scale: float = 1.0,
        head: tuple[Tensor, float] | None = None,
        spec: ScoreSpec = OWN,
    ) -> "PPM":
        """Make a new PPM from a policy: its weights, and a new head.

        Args:
            name: Folder or hub name of a causal language model.
            device: Device of the PPM, as in "cpu" or "cuda:1". None for a GPU where there is one
                and else the CPU.
            dtype: Number type of the weights, as in "bfloat16". None for float32 on a CPU and
                bfloat16 elsewhere.
            seed: Seed of the head's weights. They are normal, with the model's `initializer_range`
                as standard deviation.
            scale: Number that v is divided by before the tanh, > 0.
            head: Weight [1, hidden] and bias of the head. None for a random weight and no bias.
            spec: Way in which the PPM reads solutions.

        Raises:
            ConfigError: There is no such device or number type.
            ScoreError: There is no model, no sequence-classification form of it, or no tokenizer.
        """
        name = str(name)
        config = load_config(name, ScoreError)
        model = load_model(name, device, dtype, new_head=True)
        if head is None:
            spread = getattr(config.get_text_config(), "initializer_range", 0.02)
            weight = torch.empty(model.score.weight.shape).normal_(
                0.0, spread, generator=torch.Generator().manual_seed(seed)
            )
            head = weight, 0.0
        tokenizer = load_tokenizer(name, ScoreError)
        return cls._with_head(model, tokenizer, name, head[0], scale, head[1], CHECK_HEAD, spec)

    @classmethod
    def from_pretrained(
        cls,
        name: str | Path,
        device: str | torch.device | None = None,
        dtype: str | torch.dtype | None = None,
        spec: ScoreSpec = OWN,
    ) -> "PPM":
        """Load a trained PPM, or a process reward model of another kind.

        A folder of ours is one for sequence classification. A folder of rStar-Math's released code
        is a causal model with `value_head.bin` beside it.

        Args:
            name: Folder or hub name.
            device: Device of the PPM, as in "cpu" or "cuda:1". None for a GPU where there is one
                and else the CPU.
            dtype: Number type of the weights, as in "bfloat16". None for float32 on a CPU and
                bfloat16 elsewhere.
            spec: Way in which the model reads solutions. For a model of another kind it also says
                where the head is.

        Raises:
            ConfigError: There is no such device or number type.
            ScoreError: There is no model, no head, more than one label, or no tokenizer.
        """
        name = str(name)
        if spec.weights:
            return cls._with_foreign_head(name, device, dtype, spec)
        config = load_config(name, ScoreError)
        architectures = config.architectures or ["an unnamed architecture"]
        if any(
            architecture.endswith("ForSequenceClassification") for architecture in architectures
        ):
            if config.num_labels != 1:
                raise ScoreError(
                    f"{name}: config.json: expected one label, got {config.num_labels}"
                )
            return cls(
                load_model(name, device, dtype, new_head=False),
                load_tokenizer(name, ScoreError),
                name,
                spec,
            )
        head_file = find_file(name, REFERENCE_HEAD)
        if head_file is None:
            raise ScoreError(
                f"{name}: expected a *ForSequenceClassification with one label, or a causal model "
                f"with {REFERENCE_HEAD} beside it; got {', '.join(architectures)} and no "
                f"{REFERENCE_HEAD} (PPM.from_policy makes a new head)"
            )
        weight, bias = read_reference_head(head_file)
        model = load_model(name, device, dtype, new_head=True)
        return cls._with_head(
            model,
            load_tokenizer(name, ScoreError),
            name,
            weight,
            REFERENCE_SCALE,
            bias,
            REFERENCE_HEAD,
            spec,
        )

    @classmethod
    def _with_head(
        cls,
        model: Any,
        tokenizer: Any,
        name: str,
        weight: Tensor,
        scale: float,
        bias: float,
        source: str,
        spec: ScoreSpec,
    ) -> "PPM":
        """Put a head on a model that came without one.

        Args:
            model: Model. Changed.
            tokenizer: Tokenizer of the model. Changed: it gets a padding token.
            name: Folder or hub name of the model.
            weight: Weight of the head, [1, hidden].
            scale: Number that v is divided by before the tanh.
            bias: Number that is added to v before the division.
            source: Name of the head, for the error.
            spec: Way in which the PPM reads solutions.
        """
        if weight.shape != model.score.weight.shape:
            expected, got = list(model.score.weight.shape), list(weight.shape)
            raise ScoreError(f"{name}: {source}: expected a weight of shape {expected}, got {got}")
        with torch.no_grad():
            model.score.weight.copy_(weight)
        model.config.ppm_scale, model.config.ppm_bias = scale, bias
        tokenizer.pad_token_id = model.config.get_text_config().pad_token_id = pad_token_id(
            model, tokenizer, name
        )
        return cls(model, tokenizer, name, spec)

    @classmethod
    def _with_foreign_head(
        cls,
        name: str,
        device: str | torch.device | None,
        dtype: str | torch.dtype | None,
        spec: ScoreSpec,
    ) -> "PPM":
        """Load a process reward model of another kind, and put its head into our form."""
        model = load_model(name, device, dtype, new_head=True)
        tokenizer = load_tokenizer(name, ScoreError)
        model.score, model.config.ppm_bias = read_head(name, spec, model, tokenizer)
        model.config.ppm_scale = LOG_ODDS_SCALE
        return cls(model, tokenizer, name, spec)

    @property
    def scale(self) -> float:
        """Number that v is divided by before the tanh, > 0."""
        return float(self.model.config.ppm_scale)

    @property
    def bias(self) -> float:
        """Number that is added to v before the division."""
        return float(self.model.config.ppm_bias)

    @property
    def likelihood(self) -> float:
        """Factor of a path's log-probability (nats), which is then added to v, >= 0."""
        return float(self.model.config.ppm_likelihood)

    @property
    def constants(self) -> Constants:
        """Constants of its configuration, as they are now."""
        return Constants(self.scale, self.bias, self.likelihood, self.spec.observations)

    @property
    def num_embeddings(self) -> int:
        """Number of tokens that have an embedding."""
        return int(self.model.get_input_embeddings().num_embeddings)

    @property
    def max_tokens(self) -> int | None:
        """Length of the longest text that the model takes, tokens.

        None if its config does not say.
        """
        return getattr(self.model.config.get_text_config(), "max_position_embeddings", None)

    def save_pretrained(self, folder: str | Path) -> None:
        """Write an ordinary Hugging Face folder: model, config with the constants, tokenizer.

        Raises:
            ScoreError: The PPM has a spec of another kind, which such a folder cannot hold.
        """
        if replace(self.spec, observations=False) != OWN:
            raise ScoreError(
                f"{self.name}: expected a PPM with the default ScoreSpec to save; "
                f"a folder does not hold {self.spec}"
            )
        self.model.save_pretrained(folder)
        self.tokenizer.save_pretrained(folder)

    def forward(self, input_ids: Tensor, last: Tensor) -> Tensor:
        """Compute the head's values v of some texts, with gradients unless they are turned off.

        Args:
            input_ids: Token ids, int64 [rows, width], padded on the right with any ids. Attention
                is causal, so that no token sees the padding.
            last: Position of the last token of each row, int64 [rows].

        Returns:
            Values [rows], float32 (float64 for a float64 model). The head runs in this type,
            whatever the type of the model.
        """
        hidden = self.model.base_model(input_ids=input_ids, use_cache=False).last_hidden_state
        hidden = hidden[torch.arange(len(last), device=last.device), last]
        return self.head(hidden)

    def head(self, rows: Tensor) -> Tensor:
        """Compute the head's values v of final hidden states.

        Args:
            rows: Hidden states [rows, hidden].

        Returns:
            Values [rows], float32 (float64 for float64 rows).
        """
        dtype = torch.promote_types(rows.dtype, torch.float32)
        weights = {key: weight.to(dtype) for key, weight in self.model.score.named_parameters()}
        values: Tensor = functional_call(self.model.score, weights, rows.to(dtype))
        return values.squeeze(-1)

    def squash(self, values: Tensor) -> Tensor:
        """Return the scores in [-1, 1] of the head's values, in the same shape."""
        return torch.tanh((values + self.bias) / self.scale)
