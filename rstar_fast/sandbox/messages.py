"""Requests and responses of the server, and reading the fields of a request."""

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any


@dataclass(frozen=True, slots=True)
class Request:
    """One request.

    Attributes:
        method: Name of the method, such as "POST".
        path: Path without the query.
        body: Bytes of the body.
    """

    method: str
    path: str
    body: bytes


@dataclass(frozen=True, slots=True)
class Response:
    """The response to one request.

    Attributes:
        status: Status code.
        content: JSON value, or plain text as a string.
        headers: Further headers.
    """

    status: int
    content: Any = None
    headers: Mapping[str, str] = field(default_factory=dict)

    def encoded(self) -> tuple[str, bytes]:
        """Return the type and the bytes of the body."""
        if isinstance(self.content, str):
            return "text/plain; version=0.0.4; charset=utf-8", self.content.encode()
        return "application/json", json.dumps(self.content).encode()


class Refusal(Exception):
    """A request that is refused.

    Attributes:
        response: Response that says why.
    """

    def __init__(self, status: int, reason: str, headers: Mapping[str, str] | None = None) -> None:
        super().__init__(reason)
        self.response = Response(status, {"detail": reason}, headers or {})


def fields_of(body: bytes) -> dict[str, Any]:
    """Return the JSON object in a body. No body is an empty one.

    Raises:
        Refusal: It is something else.
    """
    try:
        found = json.loads(body or b"{}")
    except (ValueError, RecursionError) as error:
        raise Refusal(400, f"body: expected JSON: {error}") from None
    if not isinstance(found, dict):
        raise Refusal(422, f"body: expected an object, got {_shown(found)}")
    return found


def text_of(fields: Mapping[str, Any], name: str, default: str | None = None) -> str:
    """Return a text of a request. Without a default it has to be there."""
    found = fields.get(name)
    found = default if found is None else found
    if not isinstance(found, str):
        raise Refusal(422, f"{name}: expected a string, got {_shown(found)}")
    return found


def number_of(fields: Mapping[str, Any], name: str, default: float) -> float:
    """Return a finite number of a request."""
    found = fields.get(name)
    found = default if found is None else found
    is_number = isinstance(found, int | float) and not isinstance(found, bool)
    if not is_number or not abs(found) < 1e12:
        raise Refusal(422, f"{name}: expected a number, got {_shown(found)}")
    return float(found)


def _shown(value: Any) -> str:
    return "nothing" if value is None else f"{value!r:.80}"
