"""The PPM: a language model with one scalar head, kept as an ordinary Hugging Face sequence-classification folder.

The head's value v becomes the score tanh((v + ppm_bias + ppm_likelihood * l) / ppm_scale), l being the log-probability that the
policy gives the whole path. The constants stand in the folder's config.json (0, 0 and 1 where they are missing), so whatever loads
`*ForSequenceClassification` folders loads a PPM too, and gets v. The paper's PPM has no l (`ppm_likelihood` = 0); small models,
whose head errs where it was not trained, gain much by it.
"""

import math
from pathlib import Path
from typing import Any

import torch
from torch import Tensor
from torch.func import functional_call

from rstar_fast.errors import ScoreError
from rstar_fast.ppm.heads import LOG_ODDS_SCALE, read_head
from rstar_fast.ppm.loading import (
    REFERENCE_HEAD,
    REFERENCE_SCALE,
    find_file,
    load_config,
    load_model,
    load_tokenizer,
    pad_token_id,
    read_reference_head,
)
from rstar_fast.ppm.spec import ScoreSpec

OWN = ScoreSpec()
_MOST_CERTAIN = 1 - 1e-7
"""Of a head's score in float32, beyond which it cannot be told from 1."""


class PPM:
    """A process preference model and its tokenizer. Made by `from_policy` or `from_pretrained`.

    Attributes:
        model: a `*ForSequenceClassification` with one label; its config has `ppm_scale` (> 0), `ppm_bias`, `ppm_likelihood` (>= 0).
        tokenizer: the policy's; has a padding token.
        name: folder or hub name it came from.
        spec: how it reads solutions.
    """

    def __init__(self, model: Any, tokenizer: Any, name: str, spec: ScoreSpec = OWN) -> None:
        """Take a loaded model, in evaluation mode from here on."""
        self.spec = spec
        self.model = model.eval()
        self.tokenizer = tokenizer
        self.name = name
        config = model.config
        for option, default in (("ppm_scale", 1.0), ("ppm_bias", 0.0), ("ppm_likelihood", 0.0)):
            value = getattr(config, option, default)
            if (
                isinstance(value, bool)
                or not isinstance(value, int | float)
                or not math.isfinite(value)
            ):
                raise ScoreError(
                    f"{name}: config.json: {option}: expected a finite number, got {value!r}"
                )
            setattr(config, option, float(value))
        if config.ppm_scale <= 0:
            raise ScoreError(
                f"{name}: config.json: ppm_scale: expected a number above 0, got {config.ppm_scale}"
            )
        if config.ppm_likelihood < 0:
            raise ScoreError(
                f"{name}: config.json: ppm_likelihood: expected a number of at least 0, got {config.ppm_likelihood}"
            )

    @classmethod
    def from_policy(
        cls,
        name: str | Path,
        device: str | None = None,
        dtype: str | torch.dtype | None = None,
        seed: int = 0,
        scale: float = 1.0,
    ) -> "PPM":
        """A new PPM on a policy's weights, its head drawn from `seed`.

        Args:
            name: folder or hub name of a causal language model.
            device: None takes CUDA where there is one.
            dtype: None takes float32 on CPU, bfloat16 elsewhere.
            seed: of the head's weights, normal with the model's `initializer_range`.
            scale: the score is tanh(v / scale).

        Raises:
            ScoreError: there is no model, no sequence-classification form of it, or no tokenizer.
        """
        name = str(name)
        config = load_config(name)
        model = load_model(name, device, dtype, new_head=True)
        spread = getattr(config.get_text_config(), "initializer_range", 0.02)
        head = torch.empty(model.score.weight.shape).normal_(
            0.0, spread, generator=torch.Generator().manual_seed(seed)
        )
        return cls._with_head(model, load_tokenizer(name), name, head, scale, 0.0)

    @classmethod
    def from_pretrained(
        cls,
        name: str | Path,
        device: str | None = None,
        dtype: str | torch.dtype | None = None,
        spec: ScoreSpec = OWN,
    ) -> "PPM":
        """A trained PPM: a sequence-classification folder, or the released code's (a causal model with `value_head.bin`).

        Args:
            name: folder or hub name.
            device: None takes CUDA where there is one.
            dtype: None takes float32 on CPU, bfloat16 elsewhere.
            spec: how it reads solutions; says where the head is, for a process reward model of another kind.

        Raises:
            ScoreError: there is no model, no head, more than one label, or no tokenizer.
        """
        name = str(name)
        if spec.weights:
            return cls._with_foreign_head(name, device, dtype, spec)
        config = load_config(name)
        architectures = config.architectures or ["an unnamed architecture"]
        if any(
            architecture.endswith("ForSequenceClassification") for architecture in architectures
        ):
            if config.num_labels != 1:
                raise ScoreError(
                    f"{name}: config.json: expected one label, got {config.num_labels}"
                )
            return cls(
                load_model(name, device, dtype, new_head=False), load_tokenizer(name), name, spec
            )
        head_file = find_file(name, REFERENCE_HEAD)
        if head_file is None:
            raise ScoreError(
                f"{name}: expected a *ForSequenceClassification with one label, or a causal model with {REFERENCE_HEAD} beside it; "
                f"got {', '.join(architectures)} and no {REFERENCE_HEAD} (PPM.from_policy makes a new head)"
            )
        weight, bias = read_reference_head(head_file)
        model = load_model(name, device, dtype, new_head=True)
        return cls._with_head(
            model, load_tokenizer(name), name, weight, REFERENCE_SCALE, bias, spec
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
        spec: ScoreSpec = OWN,
    ) -> "PPM":
        """Put a head on a model that came without."""
        if weight.shape != model.score.weight.shape:
            expected, got = list(model.score.weight.shape), list(weight.shape)
            raise ScoreError(
                f"{name}: {REFERENCE_HEAD}: expected a weight of shape {expected}, got {got}"
            )
        with torch.no_grad():
            model.score.weight.copy_(weight)
        model.config.ppm_scale, model.config.ppm_bias = scale, bias
        tokenizer.pad_token_id = model.config.get_text_config().pad_token_id = pad_token_id(
            model, tokenizer, name
        )
        return cls(model, tokenizer, name, spec)

    @classmethod
    def _with_foreign_head(
        cls, name: str, device: str | None, dtype: str | torch.dtype | None, spec: ScoreSpec
    ) -> "PPM":
        """A process reward model of another kind: its layers below a head of our form."""
        model, tokenizer = load_model(name, device, dtype, new_head=True), load_tokenizer(name)
        model.score, model.config.ppm_bias = read_head(name, spec, model, tokenizer)
        model.config.ppm_scale = LOG_ODDS_SCALE
        return cls(model, tokenizer, name, spec)

    @property
    def scale(self) -> float:
        """What v is divided by before the tanh, > 0."""
        return float(self.model.config.ppm_scale)

    @property
    def bias(self) -> float:
        """What is added to v before the division."""
        return float(self.model.config.ppm_bias)

    @property
    def likelihood(self) -> float:
        """What the log-probability of a path (nats) is multiplied by before it is added to v, >= 0."""
        return float(self.model.config.ppm_likelihood)

    @property
    def max_tokens(self) -> int | None:
        """The longest text the model takes, in tokens; None where its config does not say."""
        return getattr(self.model.config.get_text_config(), "max_position_embeddings", None)

    def save_pretrained(self, folder: str | Path) -> None:
        """Write an ordinary Hugging Face folder: model, config with the two constants, tokenizer.

        Raises:
            ScoreError: it is read by a spec, which such a folder cannot hold.
        """
        if self.spec != OWN:
            raise ScoreError(
                f"{self.name}: expected a PPM with the default ScoreSpec to save; a folder does not hold {self.spec}"
            )
        self.model.save_pretrained(folder)
        self.tokenizer.save_pretrained(folder)

    def forward(self, input_ids: Tensor, last: Tensor) -> Tensor:
        """The head's values v, before the squash; with gradients unless the caller turns them off.

        Args:
            input_ids: int64 [rows, width], padded on the right with anything: attention is causal, so nothing sees the padding.
            last: int64 [rows], the position of each row's last token.

        Returns:
            [rows], float32 (float64 for a float64 model): the head runs in it whatever the model's own type.
        """
        hidden = self.model.base_model(input_ids=input_ids, use_cache=False).last_hidden_state
        hidden = hidden[torch.arange(len(last), device=last.device), last]
        return self.head(hidden)

    def head(self, rows: Tensor) -> Tensor:
        """The values v [rows] of final hidden states [rows, width], float32 (float64 for float64 rows)."""
        dtype = torch.promote_types(rows.dtype, torch.float32)
        weights = {key: weight.to(dtype) for key, weight in self.model.score.named_parameters()}
        values: Tensor = functional_call(self.model.score, weights, rows.to(dtype))
        return values.squeeze(-1)

    def with_likelihood(self, score: float, logprob: float) -> float:
        """The score of a path, in [-1, 1], from that of the head alone and the path's log-probability under the policy, nats."""
        if not self.likelihood:
            return score
        squashed = min(max(score, -_MOST_CERTAIN), _MOST_CERTAIN)
        return math.tanh(math.atanh(squashed) + self.likelihood * logprob / self.scale)

    def squash(self, values: Tensor) -> Tensor:
        """Scores in [-1, 1] of the head's values, same shape."""
        return torch.tanh((values + self.bias) / self.scale)
