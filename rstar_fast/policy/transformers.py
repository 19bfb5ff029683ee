"""The default policy: any causal language model of transformers, decoded by continuous batching over shared prefixes.

    queue ──admit──> encoding (one forward) ──> n rows, as places are free ──> candidates ──> expansion
                        ^                          |
                        |   prefix store  <────────'  a finished row's KV: its children encode only what is new

Every step is one forward of all running rows' newest tokens together with the prefixes that were just admitted.
"""

from collections import deque
from collections.abc import Sequence
from functools import lru_cache
from pathlib import Path
from typing import TYPE_CHECKING

import torch
from torch import Tensor

from rstar_fast.errors import PolicyError
from rstar_fast.policy.base import Candidate, ExpandRequest, Expansion, Finish, PolicyStats
from rstar_fast.policy.kv import PrefixPools, RowKV
from rstar_fast.policy.loading import CausalModel, load, load_tokenizer
from rstar_fast.policy.packed_linear import pack_linears
from rstar_fast.policy.prefix_store import PrefixStore, common_length, join
from rstar_fast.policy.rows import DecodeRow, Group, pack_rows
from rstar_fast.policy.sampling import draw
from rstar_fast.policy.stopping import Detokenizer, StopMarks, is_whole
from rstar_fast.prompts import PromptStyle, make_prompt, step_lead
from rstar_fast.seeding import draw_key, stream

if TYPE_CHECKING:
    from transformers import PreTrainedModel, PreTrainedTokenizerBase

_ENCODE_TOKENS = 2048
"""Prefixes admitted to one step have at most this many new tokens together (a longer one goes alone)."""
_WORTH_WAITING = 16
"""A request waits one step for another that is encoding at least this many tokens it needs too."""
_PROMPTS_KEPT = 1024
"""Questions whose encoded prompt is remembered."""


class TransformersPolicy:
    """A `Policy` over a causal language model of transformers.

    What is drawn depends on the request alone and not on the batch it is written in, up to the arithmetic: matrix products of other
    shapes differ in their last bits, and about one draw in 100,000 (fp32) falls in between.

    Args:
        model: a folder, a hub name, or a loaded model (left as it is).
        tokenizer: the model's; loaded from the same place when not given.
        device: where to put a model that is loaded here; default CUDA if there is any, else CPU.
        dtype: of a model that is loaded here; default as stored.
        prompt: how a question is put to the model.
        max_rows: candidates that are written at the same time.
        cache_bytes: what the KV kept for reuse may take; 0 keeps none.

    Raises:
        PolicyError: the model cannot be loaded, or is no decoder with plain keys and values in each layer.
    """

    def __init__(
        self,
        model: "str | Path | PreTrainedModel",
        tokenizer: "PreTrainedTokenizerBase | None" = None,
        device: str | torch.device | None = None,
        dtype: torch.dtype | None = None,
        prompt: PromptStyle = "finetuned",
        max_rows: int = 64,
        cache_bytes: int = 1 << 30,
    ) -> None:
        if max_rows < 1:
            raise PolicyError(f"max_rows: expected at least 1, got {max_rows}")
        if isinstance(model, str | Path):
            self.name = str(model)
            device = torch.device(device or ("cuda" if torch.cuda.is_available() else "cpu"))
            source, model = model, load(model, dtype, device)
            pack_linears(model)
            tokenizer = tokenizer or load_tokenizer(source)
        else:
            self.name = model.config.name_or_path or type(model).__name__
            if tokenizer is None:
                raise PolicyError(
                    f"policy {self.name!r}: expected the tokenizer of the loaded model, got none"
                )
        self.stats = PolicyStats()
        self._model = CausalModel.of(model)
        self._tokenizer = tokenizer
        self._detokenizer = Detokenizer(tokenizer)
        self._prompt = prompt
        self._lead = step_lead(prompt)
        self._ends = _end_tokens(model, tokenizer)
        self._store = PrefixStore(cache_bytes)
        self._max_rows = max_rows
        self._new_buffers()
        self._marks: dict[tuple[str, ...], StopMarks] = {}
        self._prompt_tokens = lru_cache(_PROMPTS_KEPT)(self._encode_prompt)
        self._queue: deque[ExpandRequest] = deque()
        self._groups: list[Group] = []
        self._rows: list[DecodeRow] = []
        self._done: list[Expansion] = []

    @property
    def pending(self) -> int:
        """Requests added and not yet returned."""
        return len(self._queue) + len(self._groups) + len(self._done)

    @property
    def device(self) -> torch.device:
        """Where the model is."""
        return self._model.layout.device

    def add(self, requests: Sequence[ExpandRequest]) -> None:
        """Queue requests; they are admitted in this order."""
        self._queue.extend(requests)

    def cancel(self) -> None:
        """Forget all pending requests; what is stored for reuse stays."""
        self._queue.clear()
        self._groups.clear()
        self._rows.clear()
        self._done.clear()
        self._new_buffers()

    def forget(self) -> None:
        """Drop the KV kept for reuse, as is needed once the model's weights have changed."""
        self._store.clear()

    @torch.inference_mode()
    def step(self) -> list[Expansion]:
        """Write one token of every running candidate, encode what was admitted, and return the requests that are complete."""
        try:
            admitted = self._admit()
            if self._rows or admitted:
                self._advance(self._forward(admitted), admitted)
        except torch.OutOfMemoryError as error:
            self._retreat(error)
        done, self._done = self._done, []
        return done

    # --- admission ---------------------------------------------------------------------------------------------------------

    def _admit(self) -> list[Group]:
        """Requests to be encoded now: as long as there are places for rows nobody waits for."""
        admitted: list[Group] = []
        free = (
            self._max_rows
            - len(self._rows)
            - sum(g.request.num_candidates - g.started for g in self._groups)
        )
        new_tokens = 0
        while self._queue and free > 0:
            request = self._queue[0]
            tokens = self._prefix_tokens(request)
            if problem := self._refusal(request, tokens):
                self._queue.popleft()
                self._done.append(Expansion(request.id, error=problem))
                continue
            known, pieces = self._store.match(tokens[:-1])
            new_tokens += len(tokens) - known
            if admitted and (
                new_tokens > _ENCODE_TOKENS or self._encoding_soon(tokens, known, admitted)
            ):
                break
            prefix = self._prefixes.place(len(tokens))
            if known:
                prefix.fill(join(pieces))
            self._queue.popleft()
            budget = min(request.sampling.max_tokens, self._model.context_tokens - len(tokens))
            group = Group(request, tokens, prefix, budget, self._stop_marks(request.sampling.stop))
            self._groups.append(group)
            admitted.append(group)
            free -= request.num_candidates
        return admitted

    def _encoding_soon(self, tokens: list[int], known: int, admitted: list[Group]) -> bool:
        """Whether waiting for what is being encoded now saves encoding it twice."""
        if self._store.capacity_bytes == 0:
            return False
        return any(
            common_length(group.tokens, tokens) - known >= _WORTH_WAITING for group in admitted
        )

    def _refusal(self, request: ExpandRequest, tokens: list[int]) -> str | None:
        context = self._model.context_tokens
        if request.num_candidates < 1:
            return f"num_candidates: expected at least 1, got {request.num_candidates}"
        if not tokens:
            return "the prefix has no tokens: expected a prompt of at least one"
        if len(tokens) >= context:
            return f"the prefix has {len(tokens)} tokens; {self.name} takes {context} including at least one new token"
        return None

    def _prefix_tokens(self, request: ExpandRequest) -> list[int]:
        tokens = list(self._prompt_tokens(request.question))
        if self._lead and request.path:
            path = "".join(segment.text for segment in request.path)
            return [*tokens, *self._tokenizer.encode(path + self._lead, add_special_tokens=False)]
        for segment in request.path:
            if segment.token_ids is None:
                tokens += self._tokenizer.encode(segment.text, add_special_tokens=False)
            else:
                tokens += segment.token_ids
        return tokens

    def _encode_prompt(self, question: str) -> list[int]:
        return list(self._tokenizer(make_prompt(self._prompt, question))["input_ids"])

    def _stop_marks(self, marks: tuple[str, ...]) -> StopMarks:
        if marks not in self._marks:
            self._marks[marks] = StopMarks(marks, self._tokenizer)
        return self._marks[marks]

    # --- one forward -------------------------------------------------------------------------------------------------------

    def _forward(self, admitted: list[Group]) -> Tensor:
        """Logits [rows + admitted, vocabulary]: of the rows in the order of their places, then behind each new prefix."""
        packed = pack_rows(self._rows, admitted, self._own, self._model.layout)
        return self._model.forward(packed.tokens, packed.positions, packed.batch, packed.keep)

    def _advance(self, logits: Tensor, admitted: list[Group]) -> None:
        """Give every row its next token, keep what was encoded, let new rows begin where places are free."""
        for group in admitted:
            self.stats.reused_tokens += group.prefix.known
            self.stats.encoded_tokens += len(group.tokens) - group.prefix.known
            if self._store.capacity_bytes:
                self._store.insert(
                    group.tokens, group.prefix.known, group.prefix.flat(group.prefix.known)
                )
        num_rows = len(self._rows)
        for i, group in enumerate(admitted):
            # A copy: a view would keep the logits of all rows alive.
            group.logits = logits[num_rows + i : num_rows + i + 1].clone()
        self._write(list(self._rows), logits[:num_rows])
        self._begin()

    def _begin(self) -> None:
        """Begin candidates of encoded requests, first come first served, until the places are taken."""
        while True:
            new: list[DecodeRow] = []
            logits: list[Tensor] = []
            for group in self._groups:
                if group.logits is None:
                    continue
                room = self._max_rows - len(self._rows) - len(new)
                request, first = group.request, group.started
                group.started = min(request.num_candidates, first + room)
                for sample in range(first, group.started):
                    key = draw_key(request.seed, request.problem_id, request.node, sample)
                    new.append(DecodeRow(group, sample, stream(key)))
                    logits.append(group.logits)
                if group.started == request.num_candidates:
                    group.logits = None
            if not new:
                return
            self._rows += new
            self._write(new, torch.cat(logits))

    def _write(self, rows: list[DecodeRow], logits: Tensor) -> None:
        """Draw the next token of these rows, from logits [rows, vocabulary] in the same order, and take out those that end."""
        by_sampling: dict[tuple[float, float, int], list[int]] = {}
        for i, row in enumerate(rows):
            sampling = row.group.request.sampling
            by_sampling.setdefault(
                (sampling.temperature, sampling.top_p, sampling.top_k), []
            ).append(i)
        broken: dict[int, Group] = {}
        for (temperature, top_p, top_k), members in by_sampling.items():
            uniforms = torch.tensor(
                [rows[i].random.random() for i in members], dtype=torch.float64
            ).to(logits.device)
            drawn = draw(
                logits if len(members) == len(rows) else logits[members],
                uniforms,
                temperature,
                top_p,
                top_k,
            )
            finite = drawn.logprobs.isfinite().tolist()
            for i, token, logprob, sane in zip(
                members, drawn.tokens.tolist(), drawn.logprobs.tolist(), finite, strict=True
            ):
                if not sane:
                    broken[id(rows[i].group)] = rows[i].group
                rows[i].tokens.append(token)
                rows[i].logprobs.append(logprob)
        self.stats.generated_tokens += len(rows)
        for group in broken.values():
            self._fail(group, "the model's logits are not finite")
        for row in rows:
            if id(row.group) not in broken and (candidate := self._ended(row)):
                self._finish(row, candidate)

    # --- ends --------------------------------------------------------------------------------------------------------------

    def _ended(self, row: DecodeRow) -> Candidate | None:
        """The candidate, if its newest token ends it."""
        group, token = row.group, row.tokens[-1]
        if group.marks.may_end(token):
            text = self._detokenizer.text(group.tokens, row.tokens)
            if (end := group.marks.end(text)) >= 0:
                return self._candidate(row, text[:end], "mark", end == len(text))
        if token in self._ends:
            text = self._detokenizer.text(group.tokens, row.tokens[:-1])
            return self._candidate(row, text, "eos", False)
        if len(row.tokens) >= group.budget:
            text = self._detokenizer.text(group.tokens, row.tokens)
            return self._candidate(row, text, "length", is_whole(text))
        return None

    def _candidate(self, row: DecodeRow, text: str, finish: Finish, exact: bool) -> Candidate:
        lead = self._lead if row.group.request.path else ""
        return Candidate(
            lead + text, tuple(row.tokens), tuple(row.logprobs), finish, exact and not lead
        )

    def _finish(self, row: DecodeRow, candidate: Candidate) -> None:
        group, place = row.group, self._rows.index(row)
        known = len(row.tokens) - 1
        if known and self._store.capacity_bytes:
            self._store.insert(
                group.tokens + row.tokens[:-1], len(group.tokens), self._own.flat(place, known)
            )
        self._vacate(place)
        group.candidates[row.sample] = candidate
        count = group.request.num_candidates
        if len(group.candidates) == count:
            self._groups.remove(group)
            group.prefix.release()
            self._done.append(
                Expansion(group.request.id, tuple(group.candidates[i] for i in range(count)))
            )

    def _fail(self, group: Group, reason: str) -> None:
        self._drop(group)
        self._done.append(Expansion(group.request.id, error=f"{self.name}: {reason}"))

    def _drop(self, group: Group) -> None:
        """Take a request and its rows out of the batch, with whatever they may have written."""
        self._groups.remove(group)
        group.prefix.release(damaged=True)
        rows = [row for row in self._rows if row.group is group]
        for row in rows:
            self._own.clear(self._rows.index(row))
        for row in rows:
            self._vacate(self._rows.index(row))

    def _vacate(self, place: int) -> None:
        """Free a row's place; the last row moves into it, so that rows stay the first of the buffer."""
        last = self._rows.pop()
        if place < len(self._rows):
            self._rows[place] = last
            self._own.move(len(self._rows), place, len(last.tokens) - 1)

    def _retreat(self, error: torch.OutOfMemoryError) -> None:
        """Out of memory: forget stored KV, halve the rows, put the newest requests back; they are written again, the same."""
        if self._max_rows == 1:
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
        self._store.clear()
        self._max_rows = max(1, self._max_rows // 2)
        for group in reversed(list(self._groups)):
            self._drop(group)
            self._queue.appendleft(group.request)
        self._new_buffers()
        if torch.cuda.is_available():
            torch.cuda.empty_cache()

    def _new_buffers(self) -> None:
        """Room for the KV of what is being answered; what the old buffers held is forgotten."""
        self._prefixes = PrefixPools(self._model.layout)
        self._own = RowKV(self._model.layout, self._max_rows)


def _end_tokens(model: "PreTrainedModel", tokenizer: "PreTrainedTokenizerBase") -> frozenset[int]:
    """All tokens that end a text: of the generation configuration, the configuration and the tokenizer."""
    found: set[int] = set()
    for source in (model.generation_config, model.config.get_text_config(), tokenizer):
        ids = getattr(source, "eos_token_id", None)
        if ids is not None:
            found.update(ids if isinstance(ids, list) else [ids])
    return frozenset(found)
