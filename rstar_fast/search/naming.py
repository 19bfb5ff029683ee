"""The names of models, as `--policy` and `--ppm` take them."""

from pathlib import Path
from typing import Literal, NamedTuple

from rstar_fast.errors import ConfigError
from rstar_fast.remote.addresses import server_root

EMBEDDED = "embedded"
"""Name of the package's own policy and PPM."""

Engine = Literal["local", "vllm", "server"]

_VLLM = "vllm:"
_SERVER = ("http://", "https://")


class ModelName(NamedTuple):
    """A model, and the engine that runs it.

    Attributes:
        engine: "local" for transformers in this process, "vllm" for vLLM in this process, or
            "server".
        model: Folder or hub name, or "embedded". For a server the name that it has for its model.
        addresses: Addresses of the server and its replicas. () for the other engines.
    """

    engine: Engine
    model: str
    addresses: tuple[str, ...] = ()

    @property
    def recorded(self) -> str:
        """Name in a run's record: absolute for a folder, and without the addresses of a server.

        A run may so go on with the same model at another address.
        """
        if self.engine == "server":
            return f"server:{self.model}"
        model = str(Path(self.model).resolve()) if Path(self.model).exists() else self.model
        return f"{_VLLM}{model}" if self.engine == "vllm" else model

    def folder(self, role: Literal["policy", "ppm"]) -> str:
        """Return the folder or hub name of a model that runs in this process."""
        if self.model != EMBEDDED:
            return self.model
        from rstar_fast.embedded import policy_path, ppm_path

        return str(policy_path() if role == "policy" else ppm_path())


def parse_model_name(name: str | Path) -> ModelName:
    """Return which model a name means.

    >>> parse_model_name("http://a:8000/v1,http://b:8000/v1#qwen").addresses
    ('http://a:8000/v1', 'http://b:8000/v1')
    >>> parse_model_name("vllm:./policy")
    ModelName(engine='vllm', model='./policy', addresses=())

    Args:
        name: Folder or hub name, "embedded", "vllm:" with a folder or hub name behind it, or
            addresses of a server with "#" and its model behind them.

    Raises:
        ConfigError: There is no model behind an engine, or an address is none, or holds a password.
    """
    text = str(name)
    if text.startswith(_VLLM):
        model = text.removeprefix(_VLLM)
        if not model:
            raise ConfigError("expected vllm:DIR, a folder or hub name behind it; got 'vllm:'")
        return ModelName("vllm", model)
    if not text.startswith(_SERVER):
        return ModelName("local", text)
    addresses, _, model = text.partition("#")
    if not model:
        # The address may hold a password.
        raise ConfigError(
            "expected the name of the model behind the server's address, as in "
            "http://HOST:8000/v1#MODEL: it is part of what decides the trees "
            "(GET /v1/models lists what a server has)"
        )
    parts = tuple(part.strip() for part in addresses.split(","))
    for part in parts:
        server_root(part)
    return ModelName("server", model, parts)
