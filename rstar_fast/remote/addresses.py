"""The addresses of servers, as a user gives them."""

import os
from urllib.parse import urlsplit

from rstar_fast.errors import ConfigError

KEY_VARIABLE = "RSTAR_FAST_API_KEY"
"""Environment variable of the key that servers ask for. It is sent to every server."""


def server_root(address: str) -> str:
    """Return the address below which all routes of a server are.

    >>> server_root("http://localhost:8000/v1/")
    'http://localhost:8000'

    Args:
        address: Address of the server, with or without the `/v1` of the OpenAI-style routes.

    Raises:
        ConfigError: It is no address, or it holds a user, a password or a query. These would get
            into records and messages, and so the error does not show them.
    """
    try:
        parts = urlsplit(address)
        host, port = parts.hostname, parts.port
    except ValueError as error:
        raise ConfigError(f"server: expected an address: {error}") from error
    if "@" in parts.netloc or parts.query or parts.fragment:
        raise ConfigError(
            "server: expected an address without user, password and query; "
            f"a key is taken from the environment variable {KEY_VARIABLE}"
        )
    if parts.scheme not in ("http", "https") or not host:
        raise ConfigError(f"server: expected an address as in http://HOST:8000/v1, got {address!r}")
    shown_host = f"[{host}]" if ":" in host else host
    shown_port = "" if port is None else f":{port}"
    path = parts.path.rstrip("/").removesuffix("/v1")
    return f"{parts.scheme}://{shown_host}{shown_port}{path}"


def api_key() -> str | None:
    """Return the key for servers from the environment, or None if there is none.

    Raises:
        ConfigError: It has characters that no key has.
    """
    key = os.environ.get(KEY_VARIABLE, "").strip()
    if not key:
        return None
    if not (key.isascii() and key.isprintable()):
        raise ConfigError(f"{KEY_VARIABLE}: expected printable ASCII characters")
    return key
