"""The default policy: a causal language model of transformers, run by continuous batching.

    queue ──admit──> encoding ──> rows, while places are free ──> candidates ──> expansion
                        ^                   │
                        └── prefix store <──┘
                            keys and values of finished rows: later requests encode only what is new

Every step is one forward. It holds the newest token of each running row, and the prefixes that were
just admitted.
"""

from collections import deque
from collections.abc import Sequence
from dataclasses import replace
from math import isfinite
from pathlib import Path
from typing import TYPE_CHECKING

import torch
from torch import Tensor

from rstar_fast.checks import check_integer
from rstar_fast.errors import ConfigError, PolicyError
from rstar_fast.models import INT8
from rstar_fast.models.devices import find_device, find_dtype
from rstar_fast.models.loading import load_tokenizer
from rstar_fast.models.texts import check_marks
from rstar_fast.policy.base import (
    MAX_VERSION,
    Candidate,
    ExpandRequest,
    Expansion,
    PolicyStats,
)
from rstar_fast.policy.cpu_linear import arrange_linears
from rstar_fast.policy.drafts import Limits
from rstar_fast.policy.endings import Endings, find_end_tokens
from rstar_fast.policy.int8_linear import check_int8, quantize_linears
from rstar_fast.policy.kv import PrefixPools
from rstar_fast.policy.loading import CausalModel, dtype_beside_int8, load
from rstar_fast.policy.prefix_store import PrefixStore
from rstar_fast.policy.prefix_tokens import PrefixTokens, common_length
from rstar_fast.policy.repetition import left_over
from rstar_fast.policy.rows import DecodeRow, RowGroup, pack_rows
from rstar_fast.policy.running_rows import RunningRows
from rstar_fast.policy.sampling import draw
from rstar_fast.prompts import PromptStyle
from rstar_fast.seeding import stream
from rstar_fast.steps import MARKS

if TYPE_CHECKING:
    from transformers import PreTrainedModel, PreTrainedTokenizerBase

_ENCODE_TOKENS = 2048
"""Largest number of new tokens of all prefixes in one step. A longer prefix goes alone."""
_WORTH_WAITING = 16
"""A request waits one step if another is encoding at least this many tokens that it needs too."""


class TransformersPolicy:
    """A `Policy` over a causal language model of transformers.

    A draw depends on its request alone, not on the batch that it is made in, up to rounding. Matrix
    products of another shape differ in their last bits, which changes about one draw in 100,000 in
    float32.

    Args:
        model: Folder, hub name, or loaded model. A loaded model is left as it is.
        tokenizer: Tokenizer of the model. None loads it from the same folder or hub name. A loaded
            model needs one.
        device: Device of a model that is loaded here, as in "cpu" or "cuda:1". None for a GPU where
            there is one and else the CPU.
        dtype: Number type of a model that is loaded here, as in "bfloat16". "int8" quantizes its
            linear layers, weights and inputs, and computes the rest in bfloat16, or in float32
            where the processor has no products of bfloat16; only on a CPU. None for the stored one.
        prompt: Way to put a question to the model. "chat" takes the tokenizer's chat template.
        max_rows: Largest number of candidates that are written at the same time, >= 1. None for 64,
            and for 128 once requests are waiting, if the keys and values of all that is being
            written fit into `cache_bytes`.
        cache_bytes: Largest size of the keys and values kept for reuse, bytes, >= 0. 0 keeps none.

    Attributes:
        name: Folder or hub name of the model.
        stats: Running totals.
        version: Number of the model's weights, see `update`. 0 at first.

    Raises:
        ConfigError: There is no such device or number type, or it does not go with the other.
        PolicyError: The model cannot be loaded, is no decoder with plain keys and values in each
            layer, or has no embedding for a mark. The prompt is "chat", and the tokenizer has no
            chat template that can hold the conversation.
    """

    def __init__(
        self,
        model: "str | Path | PreTrainedModel",
        tokenizer: "PreTrainedTokenizerBase | None" = None,
        device: str | torch.device | None = None,
        dtype: str | torch.dtype | None = None,
        prompt: PromptStyle = "finetuned",
        max_rows: int | None = None,
        cache_bytes: int = 1 << 30,
    ) -> None:
        if max_rows is not None and max_rows < 1:
            raise PolicyError(f"max_rows: expected at least 1, got {max_rows}")
        in_int8 = dtype == INT8
        if isinstance(model, str | Path):
            self.name = str(model)
            source, place = model, find_device(device)
            if in_int8:
                check_int8(place)
            model = load(source, dtype_beside_int8(place) if in_int8 else find_dtype(dtype), place)
            if not in_int8:
                arrange_linears(model)
            tokenizer = tokenizer or load_tokenizer(source)
        else:
            if in_int8:
                raise ConfigError(
                    f"dtype {INT8}: expected the folder or hub name of a model; a loaded one is "
                    "left as it is"
                )
            self.name = model.config.name_or_path or type(model).__name__
            if tokenizer is None:
                raise PolicyError(
                    f"policy {self.name!r}: expected the tokenizer of the loaded model, got none"
                )
        count = int(model.get_input_embeddings().num_embeddings)  # type: ignore[arg-type]
        check_marks(count, tokenizer, MARKS, f"policy {self.name!r}", PolicyError)
        self.stats = PolicyStats()
        self.version = 0
        self._model = CausalModel.of(model)
        if in_int8:
            # After the check of its attention, which takes larger differences for a fault.
            quantize_linears(model)
        self._limits = Limits(self.name, tokenizer, count, self._model.context_tokens)
        self._prefix_tokens = PrefixTokens(tokenizer, prompt)
        end_tokens = find_end_tokens(
            model.generation_config, model.config.get_text_config(), tokenizer
        )
        self._endings = Endings(tokenizer, end_tokens, self._prefix_tokens.lead)
        self._store = PrefixStore(cache_bytes)
        self._running = RunningRows(self._model.layout, max_rows)
        self._prefixes = PrefixPools(self._model.layout)
        self._queue: deque[ExpandRequest] = deque()
        self._groups: list[RowGroup] = []
        self._done: list[Expansion] = []

    @property
    def pending(self) -> int:
        """Number of requests that were added and not yet returned."""
        return len(self._queue) + len(self._groups) + len(self._done)

    @property
    def device(self) -> torch.device:
        """Device of the model."""
        return self._model.layout.device

    def add(self, requests: Sequence[ExpandRequest]) -> None:
        """Queue requests. They are admitted in this order."""
        self._queue.extend(requests)

    def cancel(self) -> None:
        """Forget all pending requests. The keys and values that are kept for reuse stay."""
        self._queue.clear()
        self._groups.clear()
        self._done.clear()
        self._new_buffers()

    @torch.inference_mode()
    def update(self, version: int) -> None:
        """Take note that the model's weights have changed, between two steps.

        The keys and values of the old weights are dropped. Requests under way begin again, so that
        all tokens of a candidate come of the same weights. To finish them with the old ones, call
        `step` until `pending` is 0 before the change.

        Args:
            version: Number of the new weights, >= 0. Candidates carry it from now on.

        Raises:
            ConfigError: The number is out of range.
        """
        check_integer("version", version, low=0, high=MAX_VERSION)
        self.version = version
        self._model.renew()
        self._begin_again()

    @torch.inference_mode()
    def step(self) -> list[Expansion]:
        """Run one forward and return the requests that it completes.

        The forward encodes the requests that are admitted now, and writes one token of every
        running candidate. Where memory runs out, fewer candidates are written at the same time from
        then on.
        """
        try:
            admitted = self._admit()
            if self._running.rows or admitted:
                self._advance(self._forward(admitted), admitted)
        except torch.OutOfMemoryError as error:
            self._retreat(error)
        done, self._done = self._done, []
        return done

    def _admit(self) -> list[RowGroup]:
        """Admit requests from the queue while unreserved places for rows remain.

        An admitted request reserves a place for each of its candidates. Requests that cannot be
        answered are done at once, with an error.

        Returns:
            Admitted requests, whose prefixes are to be encoded in this step.
        """
        admitted: list[RowGroup] = []
        running = self._running
        reserved = len(running.rows) + sum(
            group.request.num_candidates - group.started for group in self._groups
        )
        if self._queue and reserved >= running.most:
            longest = max(group.budget for group in self._groups)
            running.grow(longest, 2 * self._prefixes.num_bytes, self._store.capacity_bytes)
        free = running.most - reserved
        new_tokens = 0
        while self._queue and free > 0:
            request = self._queue[0]
            tokens = self._prefix_tokens.of(request)
            if problem := self._limits.refusal(request, tokens):
                self._queue.popleft()
                self._done.append(Expansion(request.id, error=problem))
                continue
            known, pieces = self._store.match(tokens[:-1])
            new_tokens += len(tokens) - known
            if admitted and (
                new_tokens > _ENCODE_TOKENS or self._encoding_soon(tokens, known, admitted)
            ):
                break
            prefix = self._prefixes.new_prefix(len(tokens))
            if known:
                prefix.fill(pieces)
            self._queue.popleft()
            marks = self._endings.stop_marks(request.sampling.stop)
            budget = self._limits.budget(request, tokens)
            group = RowGroup(request, tokens, budget, marks, prefix=prefix)
            self._groups.append(group)
            admitted.append(group)
            free -= request.num_candidates
        return admitted

    def _encoding_soon(self, tokens: list[int], known: int, admitted: list[RowGroup]) -> bool:
        """Return whether a prefix had better wait for one that is encoded in this step.

        Args:
            tokens: Token ids of the prefix.
            known: Number of its first tokens that are stored.
            admitted: Requests that are encoded in this step.
        """
        if self._store.capacity_bytes == 0:
            return False
        return any(
            common_length(group.tokens, tokens) - known >= _WORTH_WAITING for group in admitted
        )

    def _forward(self, admitted: list[RowGroup]) -> Tensor:
        """Run the model.

        Returns:
            Logits [rows + admitted, vocabulary]: those of the rows in the order of their
            places, then those after each new prefix.
        """
        running, layout = self._running, self._model.layout
        packed = pack_rows(running.rows, admitted, running.kv, layout)
        return self._model.forward(packed.tokens, packed.positions, packed.batch, packed.keep)

    def _advance(self, logits: Tensor, admitted: list[RowGroup]) -> None:
        """Give every row its next token, store the new prefixes, and begin new rows."""
        for group in admitted:
            self.stats.reused_tokens += group.prefix.num_known
            self.stats.encoded_tokens += len(group.tokens) - group.prefix.num_known
            if self._store.capacity_bytes:
                self._store.insert(
                    group.tokens, group.prefix.num_known, group.prefix.flat(group.prefix.num_known)
                )
        num_rows = len(self._running.rows)
        for i, group in enumerate(admitted):
            # A copy: a view would keep the logits of all rows alive.
            group.logits = logits[num_rows + i : num_rows + i + 1].clone()
        self._write(list(self._running.rows), logits[:num_rows])
        self._begin()

    def _begin(self) -> None:
        """Begin candidates of encoded requests until all places are taken.

        Requests are served in the order of their admission. A candidate may end with its first
        token and free its place again.
        """
        running = self._running
        while True:
            new: list[DecodeRow] = []
            logits: list[Tensor] = []
            for group in self._groups:
                if group.logits is None:
                    continue
                room = running.most - len(running.rows) - len(new)
                request, first = group.request, group.started
                group.started = min(request.num_candidates, first + room)
                for sample in range(first, group.started):
                    new.append(DecodeRow(group, sample, random=stream(request.draw_key(sample))))
                    logits.append(group.logits)
                if group.started == request.num_candidates:
                    group.logits = None
            if not new:
                return
            running.rows += new
            self._write(new, torch.cat(logits))

    def _write(self, rows: list[DecodeRow], logits: Tensor) -> None:
        """Draw the next token of some rows, and take out the rows that end with it.

        Args:
            rows: Rows.
            logits: Logits of these rows [rows, vocabulary], in the same order.
        """
        by_sampling: dict[tuple[float, float, int], list[int]] = {}
        for i, row in enumerate(rows):
            sampling = row.group.request.sampling
            by_sampling.setdefault(
                (sampling.temperature, sampling.top_p, sampling.top_k), []
            ).append(i)
        broken: dict[int, RowGroup] = {}
        for (temperature, top_p, top_k), members in by_sampling.items():
            uniforms = torch.tensor(
                [rows[i].random.random() for i in members], dtype=torch.float64
            ).to(logits.device)
            own = logits if len(members) == len(rows) else logits[members]
            # The same object, unless there are candidates that shall not come again.
            left = _left_over(own, [rows[i] for i in members])
            drawn = draw(left, uniforms, temperature, top_p, top_k)
            logprobs = drawn.logprobs
            if left is not own:
                logprobs = own.float().log_softmax(-1).gather(-1, drawn.tokens[:, None])[:, 0]
            for i, token, logprob in zip(
                members, drawn.tokens.tolist(), logprobs.tolist(), strict=True
            ):
                if not isfinite(logprob):
                    broken[id(rows[i].group)] = rows[i].group
                rows[i].tokens.append(token)
                rows[i].logprobs.append(logprob)
        self.stats.generated_tokens += len(rows)
        for group in broken.values():
            self._fail(group, "the model's logits are not finite")
        for row in rows:
            if id(row.group) not in broken and (candidate := self._endings.candidate(row)):
                self._finish(row, candidate)

    def _finish(self, row: DecodeRow, candidate: Candidate) -> None:
        """Take a finished row out of the batch. Its request is done with its last candidate."""
        group, known = row.group, row.tokens[:-1]
        if known and self._store.capacity_bytes:
            self._store.insert(group.tokens + known, len(group.tokens), self._running.written(row))
        self._running.remove(row)
        if self.version:
            candidate = replace(candidate, version=self.version)
        group.candidates[row.sample] = candidate
        if (expansion := group.expansion) is not None:
            self._groups.remove(group)
            group.prefix.release()
            self._done.append(expansion)

    def _fail(self, group: RowGroup, reason: str) -> None:
        """Take a request out of the batch and answer it with an error."""
        self._drop(group)
        self._done.append(Expansion(group.request.id, error=f"{self.name}: {reason}"))

    def _drop(self, group: RowGroup) -> None:
        """Take a request and its rows out of the batch, and clear all that they wrote."""
        self._groups.remove(group)
        group.prefix.release(damaged=True)
        self._running.drop(group)

    def _retreat(self, error: torch.OutOfMemoryError) -> None:
        """Make room after an out-of-memory error.

        The stored keys and values are dropped, the number of rows is halved, and all requests go
        back to the queue. They are written again, with the same draws. If there is a single row
        already, its request fails.
        """
        if self._running.most == 1:
            request = self._groups[0].request if self._groups else self._queue.popleft()
            for group in list(self._groups):
                self._drop(group)
            self._new_buffers()
            self._done.append(
                Expansion(
                    request.id, error=f"{self.name}: out of memory with a single row: {error}"
                )
            )
            return
        self._running.halve()
        self._begin_again()
        if torch.cuda.is_available():
            torch.cuda.empty_cache()

    def _begin_again(self) -> None:
        """Drop all keys and values, and put all requests back into the queue."""
        self._store.clear()
        for group in reversed(list(self._groups)):
            self._drop(group)
            self._queue.appendleft(group.request)
        self._new_buffers()

    def _new_buffers(self) -> None:
        """Make empty buffers for the keys and values of the requests that are being answered."""
        self._prefixes = PrefixPools(self._model.layout)
        self._running.clear()


def _left_over(logits: Tensor, rows: Sequence[DecodeRow]) -> Tensor:
    """Return the logits of some rows less what was drawn before, see `repetition.left_over`."""
    if not any(row.group.request.drawn for row in rows):
        return logits
    return torch.stack(
        [
            left_over(one.float(), row.tokens, row.group.request.drawn)
            for one, row in zip(logits, rows, strict=True)
        ]
    )
