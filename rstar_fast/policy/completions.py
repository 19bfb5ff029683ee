"""One completion by a server, in each of the protocols that servers have."""

from contextlib import aclosing
from typing import Any

from rstar_fast.errors import TransientError
from rstar_fast.marks.step_text import stop_end
from rstar_fast.policy.answer_fields import (
    count_field,
    field,
    list_field,
    logprob_of,
    token_of,
)
from rstar_fast.policy.completion import Complete, Completion, Prompt
from rstar_fast.policy.llama_cpp import complete_by_llama_cpp
from rstar_fast.remote.http import MalformedError
from rstar_fast.remote.identity import Dialect
from rstar_fast.remote.servers import Connection


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
            for choice in field(event, "choices", list):
                written = field(choice, "text", str)
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
    choices = field(value, "choices", list)
    if len(choices) != 1:
        raise MalformedError(f"choices: expected 1, got {len(choices)}")
    choice = choices[0]
    ended_by = choice.get(told) if isinstance(choice, dict) else None
    text, reason = field(choice, "text", str), choice.get("finish_reason")
    if reason not in ("stop", "length"):
        # As "abort", of a server that shuts down.
        raise TransientError(f"the server ended a text by {str(reason)[:100]!r}")
    mark = ""
    if reason == "stop" and isinstance(ended_by, str) and ended_by in prompt.sampling.stop:
        mark = ended_by
    token_ids = tuple(map(token_of, list_field(choice, "token_ids")))
    if reason == "stop" and not mark and token_ids:
        mark = prompt.mark_tokens.get(token_ids[-1], "")
    logprobs: tuple[float, ...] = ()
    if isinstance(told_logprobs := choice.get("logprobs"), dict):
        found = list_field(told_logprobs, "token_logprobs")
        if len(found) == len(token_ids) and None not in found:
            logprobs = tuple(map(logprob_of, found))
    usage = value.get("usage")
    usage = usage if isinstance(usage, dict) else {}
    details = usage.get("prompt_tokens_details")
    return Completion(
        text.removesuffix(mark),
        mark,
        reason == "length",
        token_ids,
        logprobs,
        len(token_ids) or count_field(usage, "completion_tokens"),
        count_field(usage, "prompt_tokens"),
        count_field(details, "cached_tokens") if isinstance(details, dict) else 0,
    )
