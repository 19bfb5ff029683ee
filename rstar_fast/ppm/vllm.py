"""A scorer whose PPM vLLM runs in this process."""

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from itertools import accumulate
from math import isfinite
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any, Unpack
from weakref import finalize

import numpy as np
import torch

from rstar_fast.errors import ScoreError
from rstar_fast.models.loading import load_config, load_tokenizer
from rstar_fast.models.vllm_engine import (
    VLLMOptions,
    import_vllm,
    in_engine_thread,
    start_engine,
    stop_engine,
)
from rstar_fast.ppm.base import ScoreRequest, Scores
from rstar_fast.ppm.encoder import EncoderStats
from rstar_fast.ppm.model import PPM
from rstar_fast.ppm.reading import ServedPPM, scores_of_paths
from rstar_fast.ppm.spec import OWN, ScoreSpec
from rstar_fast.ppm.texts import Texts, Tokens

_VALUES_KEPT = 1 << 16
"""Number of partial solutions whose values are remembered."""


class VLLMScorer:
    """A `Scorer` over vLLM's own engine, in this process.

    The model is one for sequence classification with one label, and gives the value at the end of a
    text (vLLM's task "classify"). Each partial solution is a text of its own. It finds the whole
    blocks of what it shares with others in vLLM's prefix cache. (The task "token_classify" would
    give the values at all steps at once, but without the cache.) Where a path's score depends on
    all its steps, the values of partial solutions are remembered.

    Args:
        ppm: Folder or hub name of a PPM. A PPM of another form is stored as one for sequence
            classification in a temporary folder. It then needs the memory of this machine for its
            weights while it loads.
        dtype: Number type of the weights, as in "bfloat16". None for float32 on a CPU and bfloat16
            elsewhere.
        spec: Way in which the model reads solutions.
        options: See `rstar_fast.models.vllm_engine.VLLMOptions`.

    Attributes:
        name: Folder or hub name of the PPM.
        stats: Running totals. A forward may be that of several texts.
        engine: The `vllm.LLMEngine`.
        engine_version: Version of vLLM.

    Raises:
        ConfigError: vLLM is not installed, or its build runs on another device.
        ScoreError: There is no PPM, it cannot be loaded, or its head is not one linear layer.
    """

    def __init__(
        self,
        ppm: str | Path,
        dtype: str | None = None,
        spec: ScoreSpec = OWN,
        **options: Unpack[VLLMOptions],
    ) -> None:
        self.name = str(ppm)
        import_vllm()
        from vllm.config import PoolerConfig
        from vllm.platforms import current_platform

        dtype = dtype or ("float32" if current_platform.is_cpu() else "bfloat16")
        with _as_classifier(self.name, spec, dtype) as (folder, config):
            self.ppm = ServedPPM.of(self.name, config, load_tokenizer(self.name, ScoreError), spec)
            self.engine = start_engine(
                folder,
                ScoreError,
                {
                    "runner": "pooling",
                    "pooler_config": PoolerConfig(
                        task="classify", seq_pooling_type="LAST", use_activation=False
                    ),
                    "dtype": dtype,
                },
                **options,
            )
        self._stop = finalize(self, stop_engine, self.engine)
        self.engine_version = str(import_vllm().__version__)
        self.stats = EncoderStats()
        self._texts = Texts(self.ppm, self.engine.vllm_config.model_config.max_model_len)
        self._values: dict[Tokens, float] = {}
        self._asked = 0

    def score(self, requests: Sequence[ScoreRequest]) -> list[Scores]:
        """Answer every request, in order.

        A request gets an error if it is too long for the model, contains tokens that the model does
        not know, has a score that is not finite, or lacks the policy's log-probabilities where the
        PPM uses them.
        """
        read = [self._texts.of(request) for request in requests]
        paths = [
            found
            if isinstance(found, str)
            else [self._prefixes(found[0], child) for child in found[1]]
            for found in read
        ]
        wanted = dict.fromkeys(
            prefix
            for children in paths
            if not isinstance(children, str)
            for path in children
            for prefix in path
        )
        values = self._evaluate(list(wanted))
        return [
            self._answer(request, children, values)
            for request, children in zip(requests, paths, strict=True)
        ]

    def forget(self) -> None:
        """Drop what is kept of earlier texts. Needed after a change of the model's weights.

        Raises:
            ScoreError: vLLM does not drop its prefix cache.
        """
        self._values.clear()
        if not self.engine.reset_prefix_cache():
            raise ScoreError(f"{self.name}: vLLM did not drop its prefix cache")

    def close(self) -> None:
        """End the engine. Its memory comes back when the last engine of this process ends."""
        self._stop()

    def _prefixes(self, path: Sequence[Tokens], child: Tokens) -> list[Tokens]:
        """Return the texts whose values decide a child's score, see `scores_of_paths`.

        A step without tokens is none.
        """
        pieces = [piece for piece in (*path, child) if piece]
        found = list(accumulate(pieces))
        return found if self.ppm.spec.aggregate != "last" else found[-1:]

    def _evaluate(self, texts: Sequence[Tokens]) -> dict[Tokens, float]:
        """Return the values of some texts. Those that are not remembered go through the model."""
        values = {text: self._values[text] for text in texts if text in self._values}
        new: dict[str, Tokens] = {}
        try:
            for text in texts:
                if text not in values:
                    new[self._ask(text)] = text
            while self.engine.has_unfinished_requests():
                outputs = in_engine_thread(self.engine.step)
                self.stats.forwards += 1
                for output in outputs:
                    text = new.pop(output.request_id)
                    values[text] = float(output.outputs.data[-1])
                    self.stats.reused_tokens += output.num_cached_tokens
                    self.stats.encoded_tokens += len(text) - output.num_cached_tokens
        finally:
            if new:
                in_engine_thread(lambda: self.engine.abort_request(list(new)))
        if self.ppm.spec.aggregate != "last":
            self._values |= values
            for text in list(self._values)[: max(0, len(self._values) - _VALUES_KEPT)]:
                del self._values[text]
        return values

    def _ask(self, text: Tokens) -> str:
        """Hand a text to the engine, and return the number of the request."""
        from vllm import PoolingParams

        self._asked += 1
        self.engine.add_request(
            str(self._asked),
            {"type": "token", "prompt_token_ids": list(text)},
            PoolingParams(task="classify", use_activation=False),
        )
        return str(self._asked)

    def _answer(
        self,
        request: ScoreRequest,
        children: list[list[Tokens]] | str,
        values: Mapping[Tokens, float],
    ) -> Scores:
        if isinstance(children, str):
            return Scores(request.id, np.array([], np.float64), children)
        paths = [[self.ppm.constants.score(values[prefix]) for prefix in path] for path in children]
        if not all(isfinite(value) for path in paths for value in path):
            error = f"{self.name}: the score of a child is not finite"
            return Scores(request.id, np.array([], np.float64), error)
        return scores_of_paths(
            request.id, self.ppm.spec, self.ppm.constants, paths, request.logprobs
        )


@contextmanager
def _as_classifier(name: str, spec: ScoreSpec, dtype: str) -> Iterator[tuple[str, Any]]:
    """Yield a folder or hub name that vLLM reads as a PPM, and the configuration of the PPM.

    Raises:
        ScoreError: There is no PPM, or its head is not one linear layer.
    """
    config = load_config(name, ScoreError)
    kinds = config.architectures or []
    if not spec.weights and any(kind.endswith("ForSequenceClassification") for kind in kinds):
        if config.num_labels != 1:
            raise ScoreError(f"{name}: config.json: expected one label, got {config.num_labels}")
        yield name, config
        return
    ppm = PPM.from_pretrained(name, device="cpu", dtype=dtype, spec=spec)
    if not isinstance(ppm.model.score, torch.nn.Linear):
        raise ScoreError(
            f"{name}: expected a head of one linear layer, which vLLM can run, got "
            f"{type(ppm.model.score).__name__}; PackedScorer takes it"
        )
    with TemporaryDirectory(prefix="rstar_fast_ppm_") as folder:
        ppm.model.save_pretrained(folder)
        yield folder, ppm.model.config
