"""One completion by a server of llama.cpp."""

from collections.abc import Mapping
from contextlib import aclosing
from typing import Any

from rstar_fast.errors import TransientError
from rstar_fast.marks import MARKS
from rstar_fast.policy.answer_fields import count_field, field, logprob_of, token_of
from rstar_fast.policy.completion import Completion, Prompt
from rstar_fast.remote.servers import Connection

_ROUTE = "/completion"
_MOST_LIKELY = 1_000
"""Number of likeliest tokens among which a token is looked for."""


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
    }
    texts: list[str] = []
    token_ids: list[int] = []
    logprobs: list[float] = []
    places: list[int] = []
    last: dict[str, Any] | None = None
    async with aclosing(server.events(_ROUTE, {**body, "stream": True})) as events:
        async for event in events:
            texts.append(field(event, "content", str))
            for token in field(event, "tokens", list):
                token_ids.append(token_of(token))
                places.append(count_field(event, "tokens_predicted") - 1)
            for entry in event.get("completion_probabilities") or []:
                logprobs.append(logprob_of(field(entry, "logprob", (int, float))))
            if field(event, "stop", bool):
                last = event
    if last is None:
        raise TransientError(f"{server.root}: the answer ended before its last event")
    kind, generated = field(last, "stop_type", str), count_field(last, "tokens_predicted")
    if len(token_ids) < generated and len(logprobs) == len(token_ids):
        told = dict(zip(places, zip(token_ids, logprobs, strict=True), strict=True))
        token_ids, logprobs = await _with_parts(server, body, told, generated)
    is_whole = len(token_ids) == generated
    timings = last.get("timings")
    return Completion(
        "".join(texts),
        field(last, "stopping_word", str) if kind == "word" else "",
        kind == "limit",
        tuple(token_ids) if is_whole else (),
        tuple(logprobs) if is_whole and len(logprobs) == generated else (),
        generated,
        count_field(last, "tokens_evaluated"),
        count_field(timings, "cache_n") if isinstance(timings, dict) else 0,
    )


async def _with_parts(
    server: Connection,
    body: Mapping[str, Any],
    told: Mapping[int, tuple[int, float]],
    generated: int,
) -> tuple[list[int], list[float]]:
    """Return all tokens of a text and their log-probabilities, where some end inside a character.

    No event tells such a token. The whole text is therefore drawn once more without a stream, which
    gives the token. Its log-probability is among those of the tokens that could stand in its place.

    Args:
        server: Server.
        body: Request of the text.
        told: The tokens that were told and their log-probabilities, by place in the text.
        generated: Number of all tokens.

    Returns:
        Token ids, none if the server does not write the same text twice. Log-probabilities, none if
        one of them is not known.
    """
    body = {**body, "stream": False}
    again = await server.post(_ROUTE, body)
    token_ids = [token_of(token) for token in field(again, "tokens", list)]
    drawn = dict(enumerate(token_ids))
    if len(token_ids) != generated or any(drawn.get(i) != token for i, (token, _) in told.items()):
        return [], []
    prefix = [body["prompt"]] if isinstance(body["prompt"], str) else body["prompt"]
    logprobs = []
    for place, token in drawn.items():
        if place in told:
            logprobs.append(told[place][1])
            continue
        answer = await server.post(
            _ROUTE,
            {
                **body,
                "prompt": [*prefix, *token_ids[:place]],
                "n_predict": 1,
                "n_probs": _MOST_LIKELY,
                # A letter is drawn, as the server tells nothing where a character is not whole.
                # The log-probabilities are those without the bias.
                "logit_bias": [["a", 1e3]],
            },
        )
        for entry in field(answer, "completion_probabilities", list)[:1]:
            for one in field(entry, "top_logprobs", list):
                if field(one, "id", int) == token:
                    logprobs.append(logprob_of(field(one, "logprob", (int, float))))
    return token_ids, logprobs
