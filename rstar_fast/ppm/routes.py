"""The routes of servers that give the value of a one-label head at the last token of a text."""

import base64
import binascii
from collections.abc import Mapping, Sequence
from functools import partial
from typing import Any, Literal, Protocol

import numpy as np

from rstar_fast.remote.http import MalformedError
from rstar_fast.remote.identity import Identity
from rstar_fast.remote.servers import Connection

Route = Literal["classify", "pooling"]


class Ask(Protocol):
    """A function that asks a server for the value of the head at the end of each text.

    It raises `MalformedError` where an answer is not what the protocol says.
    """

    async def __call__(self, server: Connection, texts: Sequence[Sequence[int]]) -> list[float]:
        """Return the values of some texts, given as token ids."""


def routes_of(identity: Identity) -> Mapping[Route, Ask]:
    """Return the routes that a server may have, the better one first."""
    if identity.dialect == "sglang":
        return {"classify": _sglang_classify}
    if identity.dialect == "vllm":
        # For the value of the last token a prefix may come from the cache. For those of all tokens
        # it may not.
        return {
            "classify": partial(_vllm_classify, identity.model),
            "pooling": partial(_vllm_pooling, identity.model),
        }
    return {}


async def _vllm_classify(
    model: str, server: Connection, texts: Sequence[Sequence[int]]
) -> list[float]:
    body = {"model": model, "input": texts, "use_activation": False}
    data = _entries(await server.post("/classify", body), len(texts))
    return [_single(entry.get("probs")) for entry in data]


async def _vllm_pooling(
    model: str, server: Connection, texts: Sequence[Sequence[int]]
) -> list[float]:
    body = {
        "model": model,
        "input": texts,
        "task": "token_classify",
        "use_activation": False,
        "encoding_format": "base64",
        "embed_dtype": "float32",
        "endianness": "little",
    }
    data = _entries(await server.post("/pooling", body), len(texts))
    return [_last(entry.get("data"), len(text)) for entry, text in zip(data, texts, strict=True)]


async def _sglang_classify(server: Connection, texts: Sequence[Sequence[int]]) -> list[float]:
    found = await server.post("/classify", {"input_ids": texts})
    found = found if isinstance(found, list) else [found]
    if len(found) != len(texts) or not all(isinstance(each, dict) for each in found):
        raise MalformedError(f"expected {len(texts)} objects with an embedding")
    return [_single(each.get("embedding")) for each in found]


def _entries(value: Any, count: int) -> list[dict[str, Any]]:
    """Return the entries of an answer in the order of the texts."""
    data = value.get("data") if isinstance(value, dict) else None
    entries = [each for each in data if isinstance(each, dict)] if isinstance(data, list) else []
    by_index = {each.get("index"): each for each in entries if type(each.get("index")) is int}
    if len(entries) != count or set(by_index) != set(range(count)):
        raise MalformedError(f"data: expected entries with the indices 0 to {count - 1}")
    return [by_index[i] for i in range(count)]


def _single(values: Any) -> float:
    """Return the only number of a list."""
    if isinstance(values, list) and len(values) == 1 and type(values[0]) in (int, float):
        return _finite(values[0])
    got = f"{len(values)} entries" if isinstance(values, list) else type(values).__name__
    raise MalformedError(f"expected the value of one label, got {got}")


def _last(text: Any, count: int) -> float:
    """Return the last of the float32 numbers in a base64 text, of which there is one per token."""
    try:
        data = base64.b64decode(text, validate=True)
    except (TypeError, ValueError, binascii.Error) as error:
        raise MalformedError("data: expected base64") from error
    if len(data) != 4 * count:
        raise MalformedError(
            f"data: expected a float32 number for each of {count} tokens, got {len(data)} bytes"
        )
    return _finite(float(np.frombuffer(data, "<f4")[-1]))


def _finite(value: float) -> float:
    if not -1e30 < value < 1e30:
        raise MalformedError(f"expected a finite value, got {str(value)[:40]}")
    return float(value)
