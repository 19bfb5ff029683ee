"""Asking a server which software and which model it is."""

import re
from typing import Any, Literal, get_args

from rstar_fast.checks import check_choice
from rstar_fast.errors import RStarError, TransientError
from rstar_fast.remote.http import MalformedError, RefusedError
from rstar_fast.remote.identity import Dialect, Identity
from rstar_fast.remote.servers import Connection

_BY_OWNER: dict[str, Dialect] = {"vllm": "vllm", "sglang": "sglang", "llamacpp": "llama.cpp"}
_LONGEST_TEXT = 500


class FindIdentity:
    """Asks servers who they are. Every server must have the same model.

    Args:
        model: Name of the model. None for the only one that the server has.
        dialect: Kind of protocol, or "auto". It is then known by the owner of the model in
            `/v1/models`, and is "openai" if that is none of the known ones.
        error_type: Type of the errors that say that this is no server for the model.

    Raises:
        ConfigError: There is no such dialect.
    """

    def __init__(
        self, model: str | None, dialect: Dialect | Literal["auto"], error_type: type[RStarError]
    ) -> None:
        check_choice("dialect", dialect, (*get_args(Dialect), "auto"))
        self._model = model
        self._dialect = dialect
        self._error_type = error_type

    async def __call__(self, server: Connection) -> Identity:
        """Return the identity of a server.

        Raises:
            TransientError: It does not answer now.
            RStarError: It does not have the model, or its answer makes no sense.
        """
        try:
            entries = _entries(await server.get("/v1/models"))
        except RefusedError as error:
            # Not every server with completions has a list of its models.
            if error.status not in (404, 405, 501) or self._model is None:
                raise self._error_type(str(error)) from error
            return Identity("openai" if self._dialect == "auto" else self._dialect, self._model)
        except MalformedError as error:
            raise self._error_type(f"{server.root}: {error}") from error
        names = list(entries)
        model = names[0] if self._model is None and len(names) == 1 else self._model
        if model is None or model not in entries:
            wanted = "one model, or the name of one" if model is None else f"the model {model!r}"
            shown = ", ".join(map(repr, names[:20])) or "none"
            raise self._error_type(f"{server.root}: expected {wanted}; the server has {shown}")
        entry = entries[model]
        dialect = self._dialect
        if dialect == "auto":
            dialect = _BY_OWNER.get(_text(entry.get("owned_by")), "openai")
        version, source, context = await _details(server, dialect)
        return Identity(
            dialect,
            model,
            version,
            source or _text(entry.get("root")),
            _length(entry.get("max_model_len")) or context,
        )


async def _details(server: Connection, dialect: Dialect) -> tuple[str, str, int | None]:
    """Return version, source of the model and length of its context, as far as a server says."""
    if dialect == "vllm":
        return _text((await _maybe(server, "/version")).get("version")), "", None
    if dialect == "sglang":
        found = await _maybe(server, "/get_server_info") or await _maybe(server, "/server_info")
        return _text(found.get("version")), _text(found.get("model_path")), None
    if dialect == "llama.cpp":
        found = await _maybe(server, "/props")
        settings = found.get("default_generation_settings")
        context = settings.get("n_ctx") if isinstance(settings, dict) else None
        return _text(found.get("build_info")), _text(found.get("model_path")), _length(context)
    return "", "", None


async def _maybe(server: Connection, route: str) -> dict[str, Any]:
    """Return the object of a route that a server may have or not."""
    try:
        found = await server.get(route)
    except (TransientError, RefusedError, MalformedError):
        return {}
    return found if isinstance(found, dict) else {}


def _entries(value: Any) -> dict[str, dict[str, Any]]:
    """Return the entries of `/v1/models` by the names of the models."""
    data = value.get("data") if isinstance(value, dict) else None
    if not isinstance(data, list):
        raise MalformedError("expected a list of models from /v1/models")
    found: dict[str, dict[str, Any]] = {}
    for entry in data:
        if isinstance(entry, dict) and isinstance(entry.get("id"), str):
            found.setdefault(entry["id"], entry)
    return found


def _text(value: object) -> str:
    """Return a text of a server that may get into records."""
    return re.sub(r"[^ -~]+", " ", value)[:_LONGEST_TEXT] if isinstance(value, str) else ""


def _length(value: object) -> int | None:
    is_number = isinstance(value, int) and not isinstance(value, bool)
    return value if is_number and value > 0 else None  # type: ignore[operator,return-value]
