"""A policy whose model vLLM runs in this process."""

from collections.abc import Sequence
from dataclasses import replace
from functools import lru_cache
from itertools import count
from math import isfinite
from pathlib import Path
from typing import TYPE_CHECKING, Any, Unpack
from weakref import finalize

from rstar_fast.checks import check_integer
from rstar_fast.errors import PolicyError
from rstar_fast.models.loading import load_config, load_tokenizer
from rstar_fast.models.texts import check_marks
from rstar_fast.models.vllm_engine import (
    VLLMOptions,
    import_vllm,
    in_engine_thread,
    start_engine,
    stop_engine,
)
from rstar_fast.policy.base import (
    MAX_VERSION,
    Candidate,
    ExpandRequest,
    Expansion,
    PolicyStats,
)
from rstar_fast.policy.drafts import Draft, Group, Limits
from rstar_fast.policy.endings import Endings, find_end_tokens
from rstar_fast.policy.prefix_tokens import PrefixTokens
from rstar_fast.prompts import PromptStyle
from rstar_fast.steps import MARKS

if TYPE_CHECKING:
    from transformers import PreTrainedTokenizerBase

_SEED_BITS = 63
_TREES_KNOWN = 1 << 16
"""Number of trees whose turn is remembered."""


class VLLMPolicy:
    """A `Policy` over vLLM's own engine, in this process.

    Token ids go in and come out. A candidate has the seed of its own number, so that it does not
    depend on how many are drawn in one request. The candidates of a request enter the engine one
    behind the other: the first encodes the prefix, and the others find its whole blocks in vLLM's
    prefix cache, as do the nodes below. (vLLM makes the same of one request for n candidates, but
    seeds them by consecutive numbers.) The tree that was seen first goes first, so that its blocks
    are still there.

    Marks that are tokens end a candidate in the engine. Marks of plain text are looked for here
    after every token, as in `TransformersPolicy`: one in a string literal ends nothing.

    Draws are those of vLLM's sampler with a seed. The same requests in the same order give the same
    candidates again, on the same machine and version. `ExpandRequest.drawn` is ignored.

    Args:
        model: Folder or hub name.
        tokenizer: Tokenizer of the model. None loads it from the same place.
        dtype: Number type of the weights, as in "bfloat16". None for the stored one.
        prompt: Way to put a question to the model.
        options: See `rstar_fast.models.vllm_engine.VLLMOptions`.

    Attributes:
        name: Folder or hub name of the model.
        stats: Running totals. A prefix counts once for each candidate.
        engine: The `vllm.LLMEngine`.
        version: Number of the weights, see `update`.
        engine_version: Version of vLLM.

    Raises:
        ConfigError: vLLM is not installed, or its build runs on another device.
        PolicyError: The model cannot be loaded, or has no embedding for a mark.
    """

    def __init__(
        self,
        model: str | Path,
        tokenizer: "PreTrainedTokenizerBase | None" = None,
        dtype: str | None = None,
        prompt: PromptStyle = "finetuned",
        **options: Unpack[VLLMOptions],
    ) -> None:
        self.name = str(model)
        config = load_config(model)
        text_config = config.get_text_config()
        tokenizer = tokenizer or load_tokenizer(model)
        marks_of = f"policy {self.name!r}"
        check_marks(text_config.vocab_size, tokenizer, MARKS, marks_of, PolicyError)
        self.engine = start_engine(
            self.name,
            PolicyError,
            {
                "dtype": dtype or _stored_dtype(text_config),
                "scheduling_policy": "priority",
                "logprobs_mode": "raw_logprobs",
            },
            **options,
        )
        self._stop = finalize(self, stop_engine, self.engine)
        self.version = 0
        self.engine_version = str(import_vllm().__version__)
        self.stats = PolicyStats()
        self._prefix_tokens = PrefixTokens(tokenizer, prompt)
        end_tokens = find_end_tokens(_generation_config(self.name), text_config, tokenizer)
        self._endings = Endings(tokenizer, end_tokens, self._prefix_tokens.lead)
        context = self.engine.vllm_config.model_config.max_model_len
        self._limits = Limits(self.name, tokenizer, text_config.vocab_size, context)
        trees = count()
        self._numbers = count()
        self._turn_of = lru_cache(_TREES_KNOWN)(lambda problem_id: next(trees))
        self._groups: set[Group] = set()
        self._drafts: dict[str, Draft] = {}
        self._done: list[Expansion] = []

    @property
    def pending(self) -> int:
        """Number of requests that were added and not yet returned."""
        return len(self._groups) + len(self._done)

    def add(self, requests: Sequence[ExpandRequest]) -> None:
        """Hand requests to the engine. Those that it cannot take are done, with an error."""
        from vllm.exceptions import VLLMClientError

        for request in requests:
            tokens = self._prefix_tokens.of(request)
            if problem := self._limits.refusal(request, tokens):
                self._done.append(Expansion(request.id, error=problem))
                continue
            marks = self._endings.stop_marks(request.sampling.stop)
            group = Group(request, tokens, self._limits.budget(request, tokens), marks)
            self._groups.add(group)
            try:
                for sample in range(request.num_candidates):
                    self._begin(Draft(group, sample))
            except (VLLMClientError, ValueError) as error:
                self._fail(group, str(error))

    def step(self) -> list[Expansion]:
        """Let the engine run one forward, and return the requests that it completes."""
        if self._drafts:
            outputs = in_engine_thread(self.engine.step)
            for output in outputs:
                self._take(output)
        done, self._done = self._done, []
        return done

    def cancel(self) -> None:
        """Forget all pending requests. The keys and values in the prefix cache stay."""
        self._abort(list(self._drafts))
        self._groups.clear()
        self._done.clear()

    def update(self, version: int) -> None:
        """Take note that the model's weights have changed, between two steps.

        The prefix cache is dropped, and requests under way begin again. See
        `TransformersPolicy.update`.

        Args:
            version: Number of the new weights, >= 0. Candidates carry it from now on.

        Raises:
            ConfigError: The number is out of range.
            PolicyError: vLLM does not drop its cache.
        """
        check_integer("version", version, low=0, high=MAX_VERSION)
        begun = dict.fromkeys(draft.group for draft in self._drafts.values())
        self._abort(list(self._drafts))
        if not self.engine.reset_prefix_cache(reset_running_requests=True):
            raise PolicyError(f"{self.name}: vLLM did not drop its prefix cache")
        self.version = version
        for group in begun:
            group.candidates.clear()
            for sample in range(group.request.num_candidates):
                self._begin(Draft(group, sample))

    def close(self) -> None:
        """End the engine. Its memory comes back when the last engine of this process ends."""
        self._stop()

    def _begin(self, draft: Draft) -> None:
        """Hand a candidate to the engine.

        Raises:
            VLLMClientError, ValueError: vLLM does not take it.
        """
        from vllm import SamplingParams
        from vllm.sampling_params import RequestOutputKind

        group, sampling = draft.group, draft.group.request.sampling
        at_end = group.marks.all_tokens
        parameters = SamplingParams(
            temperature=sampling.temperature,
            top_p=sampling.top_p,
            top_k=sampling.top_k,
            max_tokens=group.budget,
            seed=group.request.draw_key(draft.sample) & ((1 << _SEED_BITS) - 1),
            stop_token_ids=sorted(group.marks.tokens | self._endings.end_tokens),
            ignore_eos=True,
            logprobs=0,
            flat_logprobs=True,
            detokenize=False,
            output_kind=RequestOutputKind.FINAL_ONLY if at_end else RequestOutputKind.DELTA,
        )
        number = next(self._numbers)
        self.engine.add_request(
            str(number),
            {"type": "token", "prompt_token_ids": group.tokens},
            parameters,
            # Requests of one tree go in the order in which they came.
            arrival_time=float(number),
            priority=self._turn_of(group.request.problem_id),
        )
        self._drafts[str(number)] = draft

    def _take(self, output: Any) -> None:
        """Take in the new tokens of a candidate, and end it if it is complete."""
        draft = self._drafts.get(output.request_id)
        if draft is None:
            return
        candidate = None
        for token, found in zip(
            output.outputs[0].token_ids, output.outputs[0].logprobs, strict=True
        ):
            draft.tokens.append(token)
            draft.logprobs.append(found[token].logprob)
            self.stats.generated_tokens += 1
            candidate = self._endings.candidate(draft)
            if candidate is not None:
                break
        if not all(map(isfinite, draft.logprobs)):
            self._fail(draft.group, "the model's logits are not finite")
        elif candidate is not None:
            self._finish(output, draft, candidate)
        elif output.finished:
            self._fail(draft.group, f"vLLM ended a candidate: {output.outputs[0].finish_reason!r}")

    def _finish(self, output: Any, draft: Draft, candidate: Candidate) -> None:
        """Take a finished candidate out of the engine. Its request is done with its last one."""
        if output.finished:
            del self._drafts[output.request_id]
        else:
            self._abort([output.request_id])
        group, reused = draft.group, output.num_cached_tokens or 0
        self.stats.reused_tokens += reused
        self.stats.encoded_tokens += len(group.tokens) - reused
        if self.version:
            candidate = replace(candidate, version=self.version)
        group.candidates[draft.sample] = candidate
        if (expansion := group.expansion) is not None:
            self._groups.remove(group)
            self._done.append(expansion)

    def _fail(self, group: Group, reason: str) -> None:
        """Take a request out of the engine and answer it with an error."""
        self._abort([number for number, draft in self._drafts.items() if draft.group is group])
        self._groups.remove(group)
        self._done.append(Expansion(group.request.id, error=f"{self.name}: {reason}"))

    def _abort(self, numbers: list[str]) -> None:
        for number in numbers:
            del self._drafts[number]
        if numbers:
            in_engine_thread(lambda: self.engine.abort_request(numbers))


def _stored_dtype(config: Any) -> str:
    """Return the number type of a model's stored weights. vLLM's own rule narrows float32."""
    return str(getattr(config, "dtype", None) or "auto").removeprefix("torch.")


def _generation_config(name: str) -> Any:
    """Return the generation configuration of a model, or None if it has none."""
    from transformers import GenerationConfig

    try:
        return GenerationConfig.from_pretrained(name)
    except OSError:
        return None
