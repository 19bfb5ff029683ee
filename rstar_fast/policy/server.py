"""A policy behind HTTP: vLLM, SGLang, llama.cpp, or any server with OpenAI-style completions."""

import asyncio
import hashlib
from collections.abc import Coroutine, Mapping, Sequence
from concurrent.futures import Future
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from rstar_fast.errors import PolicyError
from rstar_fast.marks.step_text import stop_end
from rstar_fast.models.lazy import import_local
from rstar_fast.models.texts import encodable
from rstar_fast.policy.base import Candidate, ExpandRequest, Expansion, PolicyStats
from rstar_fast.policy.completion import Completion, Prompt
from rstar_fast.policy.completions import COMPLETE
from rstar_fast.policy.prefix_tokens import PrefixTokens
from rstar_fast.policy.stopping import Detokenizer, is_whole
from rstar_fast.prompts import PromptStyle
from rstar_fast.remote.find_identity import FindIdentity
from rstar_fast.remote.http import MalformedError, RefusedError
from rstar_fast.remote.identity import Dialect
from rstar_fast.remote.retries import PASSING
from rstar_fast.remote.servers import Servers

if TYPE_CHECKING:
    from transformers import PreTrainedTokenizerBase

_PLACES = 64
_MOST_PLACES = 256
_BATCHING: frozenset[Dialect] = frozenset(("vllm", "sglang"))
"""Servers that write hundreds of candidates at the same time."""


class ServerPolicy:
    """An `AsyncPolicy` over the completions of a server. See docs/engines.md.

    Each candidate is a request of its own, with the seed of its own draws. At temperature 0 all
    candidates of a node are one request.

    Args:
        address: Address of the server, as in "http://localhost:8000/v1", or addresses of several
            with the same model.
        model: Name that the server has for the model. None for its only one.
        dialect: Kind of protocol: "vllm", "sglang", "llama.cpp", "openai", or "auto" to find out.
        tokenizer: Folder or hub name of the model's tokenizer, or the tokenizer. With it, prompts
            are token ids, in which no text can pass for a mark. None sends text.
        concurrency: Largest number of requests that each server gets at once, >= 1. None for 64. A
            server of vLLM or SGLang then gets up to 256, one more for each quick answer: one that
            took less than a twentieth of `limit_s`.
        limit_s: Seconds that a request may take, > 0.
        outage_s: Seconds without an answer after which the server counts as broken.

    Attributes:
        name: Name of the model.
        stats: Running totals. What a server does not tell is not counted.
        identity: What the server says of itself.

    Raises:
        ConfigError: An option is wrong, or an address holds a password.
        PolicyError: The server does not have the model, or the tokenizer cannot be loaded.
        TransientError: No server answers.
    """

    def __init__(
        self,
        address: str | Sequence[str],
        model: str | None = None,
        dialect: Dialect | Literal["auto"] = "auto",
        tokenizer: "str | Path | PreTrainedTokenizerBase | None" = None,
        concurrency: int | None = None,
        limit_s: float = 600.0,
        outage_s: float = 1800.0,
    ) -> None:
        find = FindIdentity(model, dialect, PolicyError)
        self._tokens: _Tokens | None = None
        if isinstance(tokenizer, str | Path):
            load_tokenizer = import_local("load_tokenizer", "rstar_fast.models.loading")
            self._tokens = _Tokens(load_tokenizer(tokenizer))
        elif tokenizer is not None:
            self._tokens = _Tokens(tokenizer)
        places = _PLACES if concurrency is None else concurrency
        self._servers = Servers(address, places, limit_s, outage_s)
        try:
            self.identity = self._servers.look(find)
        except BaseException:
            self._servers.close()
            raise
        if concurrency is None and self.identity.dialect in _BATCHING:
            self._servers.may_grow(_MOST_PLACES - _PLACES)
        self.name = self.identity.model
        self.stats = PolicyStats()
        self._complete = COMPLETE[self.identity.dialect]

    def submit(self, request: ExpandRequest) -> "Future[Expansion]":
        """Begin one request. Cancelling the future breaks its connections.

        A request that the server refuses for what it is has an `error`. Everything else that is
        wrong is an exception of the future.
        """
        return self._servers.run(self._expand(request))

    def close(self) -> None:
        """Cancel all requests and close the connections."""
        self._servers.close()

    async def _expand(self, request: ExpandRequest) -> Expansion:
        try:
            prompt = self._prompt(request)
            if isinstance(prompt, str):
                return Expansion(request.id, error=prompt)
            once = request.sampling.temperature == 0
            written = await _all(
                [
                    self._draw(replace(prompt, key=request.draw_key(sample)))
                    for sample in range(1 if once else request.num_candidates)
                ]
            )
            candidates = [self._candidate(request, prompt, one) for one in written]
        except RefusedError as error:
            if error.says_nothing_of_others:
                return Expansion(request.id, error=str(error))
            raise PolicyError(str(error)) from error
        except MalformedError as error:
            raise PolicyError(f"{self.name} at {self._servers.name}: {error}") from error
        except PASSING as error:
            # It was asked often enough.
            return Expansion(request.id, error=str(error))
        copies = request.num_candidates if once else 1
        return Expansion(request.id, tuple(candidates) * copies)

    async def _draw(self, prompt: Prompt) -> Completion:
        ask = partial(self._complete, prompt=prompt)
        found = await self._servers.call(prompt.session, ask)
        self.stats.generated_tokens += found.generated_tokens
        self.stats.reused_tokens += found.cached_tokens
        self.stats.encoded_tokens += max(found.prompt_tokens - found.cached_tokens, 0)
        return found

    def _prompt(self, request: ExpandRequest) -> Prompt | str:
        """Return what the server is to continue, or why it cannot be asked."""
        text: str | list[int]
        mark_tokens: Mapping[int, str] = {}
        max_tokens = request.sampling.max_tokens
        if self._tokens is None:
            if request.prompt == "chat":
                return (
                    f"{self.name}: the prompt 'chat' needs the model's chat template; "
                    "expected a ServerPolicy with a tokenizer (--tokenizer DIR)"
                )
            text = encodable(request.text)
        else:
            text = self._tokens.prefix(request)
            mark_tokens = self._tokens.mark_tokens(request.sampling.stop)
            context = self.identity.context_tokens
            if context is not None:
                max_tokens = min(max_tokens, context - len(text))
                if max_tokens < 1:
                    return (
                        f"the prefix has {len(text)} tokens; {self.name} takes {context} including "
                        "at least one new token"
                    )
        if request.num_candidates < 1:
            return f"num_candidates: expected at least 1, got {request.num_candidates}"
        session = f"{request.seed}\0{request.problem_id}".encode("utf-8", "surrogatepass")
        return Prompt(
            self.name,
            text,
            request.sampling,
            max_tokens,
            0,
            hashlib.blake2b(session, digest_size=16).hexdigest(),
            mark_tokens,
        )

    def _candidate(self, request: ExpandRequest, prompt: Prompt, found: Completion) -> Candidate:
        """Return the candidate of a completion. The text is what the server shows of it."""
        ids = found.token_ids
        is_token = bool(found.mark and ids) and prompt.mark_tokens.get(ids[-1]) == found.mark
        text = found.text + found.mark
        end = -1 if is_token else stop_end(text, request.sampling.stop)
        text = text if end < 0 else text[:end]
        exact = (
            not request.lead
            and bool(ids)
            and self._tokens is not None
            and isinstance(prompt.text, list)
            and self._tokens.spell(prompt.text, ids, text)
        )
        return Candidate(
            request.lead + text,
            ids,
            found.logprobs,
            "mark" if found.mark or end >= 0 else "length" if found.is_cut else "eos",
            exact,
            is_token,
        )


class _Tokens:
    """The tokens of prompts and candidates."""

    def __init__(self, tokenizer: "PreTrainedTokenizerBase") -> None:
        self._tokenizer = tokenizer
        self._detokenizer = Detokenizer(tokenizer)
        self._prefixes: dict[PromptStyle, PrefixTokens] = {}
        self._marks: dict[tuple[str, ...], dict[int, str]] = {}

    def prefix(self, request: ExpandRequest) -> list[int]:
        """Return the token ids that the server is to continue."""
        if request.prompt not in self._prefixes:
            self._prefixes[request.prompt] = PrefixTokens(self._tokenizer, request.prompt)
        return self._prefixes[request.prompt].of(request)

    def mark_tokens(self, marks: tuple[str, ...]) -> dict[int, str]:
        """Return the marks that are one token each, by token."""
        if marks not in self._marks:
            added = self._tokenizer.get_added_vocab()
            self._marks[marks] = {added[mark]: mark for mark in marks if mark in added}
        return self._marks[marks]

    def spell(self, prefix: Sequence[int], ids: Sequence[int], text: str) -> bool:
        """Return whether token ids spell a text behind a prefix, if all of them are known."""
        known = len(self._tokenizer)
        is_known = all(i < known for i in ids)
        return is_known and is_whole(text) and self._detokenizer.text(prefix, ids) == text


async def _all(coroutines: Sequence[Coroutine[Any, Any, Completion]]) -> list[Completion]:
    """Wait for all, and cancel the others if one fails."""
    tasks = [asyncio.ensure_future(one) for one in coroutines]
    try:
        return await asyncio.gather(*tasks)
    finally:
        for task in tasks:
            task.cancel()
