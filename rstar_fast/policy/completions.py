"""One completion by a server, in each of the protocols that servers have."""

from collections.abc import Mapping, Sequence
from contextlib import aclosing
from dataclasses import dataclass
from typing import Any, NamedTuple, Protocol

from rstar_fast.errors import TransientError
from rstar_fast.marks import MARKS
from rstar_fast.marks.step_text import stop_end
from rstar_fast.policy.base import Sampling
from rstar_fast.remote.http import MalformedError
from rstar_fast.remote.identity import Dialect
from rstar_fast.remote.servers import Connection

_MOST_STOPS = 4
"""Largest number of stop strings that every server takes."""
_MOST_TOKEN = 2**31 - 1
_LARGE = 1e30


@dataclass(frozen=True, slots=True)
class Prompt:
    """What a server is to continue, and how.

    Attributes:
        model: Name that the server has for its model.
        text: Text, or its token ids.
        sampling: Way to draw.
        max_tokens: Number of tokens after which the completion is cut, >= 1.
        key: Key of the random draws, 128 bits.
        session: Name of the session.
        mark_tokens: Stop marks that are one token each, by token. Empty if the tokens are unknown.
    """

    model: str
    text: str | Sequence[int]
    sampling: Sampling
    max_tokens: int
    key: int
    session: str
    mark_tokens: Mapping[int, str]

    @property
    def stop_texts(self) -> list[str]:
        """Stop marks that are text, as far as servers take them."""
        by_token = set(self.mark_tokens.values())
        return [mark for mark in self.sampling.stop if mark not in by_token][:_MOST_STOPS]


class Completion(NamedTuple):
    """What a server wrote.

    Attributes:
        text: Text without the stop mark.
        mark: Stop mark that ended it. "" if none did.
        is_cut: Whether it was cut at its length.
        token_ids: Token ids, those of the mark included. () where the server does not tell.
        logprobs: Log-probabilities of the token ids. () where it does not tell.
        generated_tokens: Number of tokens that were drawn.
        prompt_tokens: Number of tokens of the prompt.
        cached_tokens: Number of these that were in the server's cache, as far as it tells.
    """

    text: str
    mark: str
    is_cut: bool
    token_ids: tuple[int, ...]
    logprobs: tuple[float, ...]
    generated_tokens: int
    prompt_tokens: int
    cached_tokens: int


class Complete(Protocol):
    """A protocol. It raises `MalformedError` where an answer is not what the protocol says."""

    async def __call__(self, server: Connection, prompt: Prompt) -> Completion:
        """Ask a server for one completion."""


async def complete_by_vllm(server: Connection, prompt: Prompt) -> Completion:
    """Ask a vLLM server. See `Complete`."""
    body = {
        **_common(prompt, bits=63),
        "top_k": prompt.sampling.top_k,
        "spaces_between_special_tokens": False,
        "include_stop_str_in_output": False,
        "session_id": prompt.session,
    }
    return _of_choice(prompt, await server.post("/v1/completions", body), "stop_reason")


async def complete_by_sglang(server: Connection, prompt: Prompt) -> Completion:
    """Ask an SGLang server. See `Complete`."""
    body = {
        **_common(prompt, bits=31),
        "top_k": prompt.sampling.top_k or -1,
        "no_stop_trim": False,
        "session_id": prompt.session,
    }
    found = _of_choice(prompt, await server.post("/v1/completions", body), "matched_stop")
    # Its log-probabilities are those of the distribution at the temperature.
    return found if prompt.sampling.temperature == 1 else found._replace(logprobs=())


async def complete_by_llama_cpp(server: Connection, prompt: Prompt) -> Completion:
    """Ask a server of llama.cpp by its own route, which says which mark ended a text.

    See `Complete`. It streams, as the server otherwise leaves out the last log-probabilities.
    """
    sampling = prompt.sampling
    body = {
        "prompt": prompt.text,
        "n_predict": prompt.max_tokens,
        "stop": list(sampling.stop),
        # Special tokens are hidden unless they are named.
        "preserved_tokens": list(dict.fromkeys((*MARKS, *sampling.stop))),
        # The largest number means a random seed.
        "seed": prompt.key % (2**32 - 1),
        "samplers": ["temperature", "top_k", "top_p"],
        "temperature": sampling.temperature,
        "top_k": sampling.top_k,
        "top_p": sampling.top_p,
        "n_probs": 1,
        "return_tokens": True,
        "cache_prompt": True,
        "stream": True,
    }
    texts: list[str] = []
    token_ids: list[int] = []
    logprobs: list[float] = []
    last: dict[str, Any] | None = None
    async with aclosing(server.events("/completion", body)) as events:
        async for event in events:
            texts.append(_get(event, "content", str))
            for token in _get(event, "tokens", list):
                token_ids.append(_token(token))
            for entry in event.get("completion_probabilities") or []:
                logprobs.append(_logprob(_get(entry, "logprob", (int, float))))
            if _get(event, "stop", bool):
                last = event
    if last is None:
        raise TransientError(f"{server.root}: the answer ended before its last event")
    kind, generated = _get(last, "stop_type", str), _count(last, "tokens_predicted")
    # A token with a part of a character has no event of its own.
    is_whole = len(token_ids) == generated
    timings = last.get("timings")
    return Completion(
        "".join(texts),
        _get(last, "stopping_word", str) if kind == "word" else "",
        kind == "limit",
        tuple(token_ids) if is_whole else (),
        tuple(logprobs) if is_whole and len(logprobs) == generated else (),
        generated,
        _count(last, "tokens_evaluated"),
        _count(timings, "cache_n") if isinstance(timings, dict) else 0,
    )


async def complete_by_openai(server: Connection, prompt: Prompt) -> Completion:
    """Ask any other server with completions. See `Complete`.

    Such a server does not say which mark ended a text, and leaves the mark out. So it is given
    none. The text is read as it is written, and the connection closed after a mark.
    """
    sampling = prompt.sampling
    body = {
        "model": prompt.model,
        "prompt": prompt.text,
        "max_tokens": prompt.max_tokens,
        "temperature": sampling.temperature,
        "top_p": sampling.top_p,
        "seed": prompt.key % 2**31,
        "user": prompt.session,
        "stream": True,
    }
    if sampling.top_k:
        body["top_k"] = sampling.top_k
    text, pieces, reason, end = "", 0, None, -1
    async with aclosing(server.events("/v1/completions", body)) as events:
        async for event in events:
            for choice in _get(event, "choices", list):
                written = _get(choice, "text", str)
                text += written
                pieces += bool(written)
                reason = choice.get("finish_reason") or reason
            end = stop_end(text, sampling.stop, goes_on=not reason)
            if end >= 0:
                break
    if end < 0 and reason is None:
        raise TransientError(f"{server.root}: the answer ended before its finish_reason")
    mark = next(filter(text[: max(end, 0)].endswith, sampling.stop), "")
    text = text[: end - len(mark)] if mark else text
    return Completion(text, mark, not mark and reason == "length", (), (), pieces, 0, 0)


COMPLETE: dict[Dialect, Complete] = {
    "vllm": complete_by_vllm,
    "sglang": complete_by_sglang,
    "llama.cpp": complete_by_llama_cpp,
    "openai": complete_by_openai,
}
"""Function of each protocol."""


def _common(prompt: Prompt, bits: int) -> dict[str, Any]:
    """Return what vLLM and SGLang have in common. Every default is set, as servers change them.

    Args:
        prompt: What to continue.
        bits: Number of bits of a seed.
    """
    sampling = prompt.sampling
    return {
        "model": prompt.model,
        "prompt": prompt.text,
        "n": 1,
        "max_tokens": prompt.max_tokens,
        "temperature": sampling.temperature,
        "top_p": sampling.top_p,
        "min_p": 0.0,
        "repetition_penalty": 1.0,
        "presence_penalty": 0.0,
        "frequency_penalty": 0.0,
        "seed": prompt.key % 2**bits,
        "stop": prompt.stop_texts,
        "stop_token_ids": list(prompt.mark_tokens),
        "skip_special_tokens": False,
        "return_token_ids": True,
        "logprobs": 0,
        "stream": False,
    }


def _of_choice(prompt: Prompt, value: Any, told: str) -> Completion:
    """Return the completion of an answer with one choice.

    Args:
        prompt: What was asked.
        value: Answer of the server.
        told: Name of the field that says what ended the text: a stop string or a token id.
    """
    choices = _get(value, "choices", list)
    if len(choices) != 1:
        raise MalformedError(f"choices: expected 1, got {len(choices)}")
    choice = choices[0]
    ended_by = choice.get(told) if isinstance(choice, dict) else None
    text, reason = _get(choice, "text", str), choice.get("finish_reason")
    if reason not in ("stop", "length"):
        # As "abort", of a server that shuts down.
        raise TransientError(f"the server ended a text by {str(reason)[:100]!r}")
    mark = ""
    if reason == "stop" and isinstance(ended_by, str) and ended_by in prompt.sampling.stop:
        mark = ended_by
    token_ids = tuple(map(_token, _list(choice, "token_ids")))
    if reason == "stop" and not mark and token_ids:
        mark = prompt.mark_tokens.get(token_ids[-1], "")
    logprobs: tuple[float, ...] = ()
    if isinstance(told_logprobs := choice.get("logprobs"), dict):
        found = _list(told_logprobs, "token_logprobs")
        if len(found) == len(token_ids) and None not in found:
            logprobs = tuple(map(_logprob, found))
    usage = value.get("usage")
    usage = usage if isinstance(usage, dict) else {}
    details = usage.get("prompt_tokens_details")
    return Completion(
        text.removesuffix(mark),
        mark,
        reason == "length",
        token_ids,
        logprobs,
        len(token_ids) or _count(usage, "completion_tokens"),
        _count(usage, "prompt_tokens"),
        _count(details, "cached_tokens") if isinstance(details, dict) else 0,
    )


def _get(value: Any, name: str, kind: type | tuple[type, ...]) -> Any:
    """Return a field of a JSON object.

    Raises:
        MalformedError: It is missing, or of another type.
    """
    found = value.get(name) if isinstance(value, dict) else None
    if not isinstance(found, kind) or (isinstance(found, bool) and kind is not bool):
        kinds = kind if isinstance(kind, tuple) else (kind,)
        wanted = " or ".join(each.__name__ for each in kinds)
        got = type(found).__name__ if isinstance(value, dict) else f"no object for {name}"
        raise MalformedError(f"{name}: expected {wanted}, got {got}")
    return found


def _list(value: Mapping[str, Any], name: str) -> list[Any]:
    """Return a list that may be missing."""
    return _get(value, name, list) if value.get(name) is not None else []


def _count(value: Mapping[str, Any], name: str) -> int:
    """Return a number of tokens, and 0 where a server gives none."""
    found = value.get(name)
    return min(max(found, 0), _MOST_TOKEN) if type(found) is int else 0


def _token(value: object) -> int:
    if type(value) is not int or not 0 <= value <= _MOST_TOKEN:
        raise MalformedError(f"token ids: expected integers of 32 bits, got {str(value)[:40]}")
    return value


def _logprob(value: object) -> float:
    if type(value) not in (int, float) or not -_LARGE < value < _LARGE:  # type: ignore[operator]
        raise MalformedError(f"log-probabilities: expected finite numbers, got {str(value)[:40]}")
    return float(value)  # type: ignore[arg-type]
