"""Policies and PPMs of servers, made from the names of models."""

from pathlib import Path
from typing import TYPE_CHECKING, Any

from rstar_fast.errors import ConfigError
from rstar_fast.search.naming import ModelName

if TYPE_CHECKING:
    from rstar_fast.policy import ServerPolicy
    from rstar_fast.ppm import ServerScorer


def check_server_options(
    policy: ModelName,
    ppm: ModelName | None,
    tokenizer: str | Path | None,
    ppm_folder: str | Path | None,
) -> None:
    """Raise `ConfigError` if an option for servers is given and no server heeds it."""
    if tokenizer is not None and policy.engine != "server":
        raise ConfigError("tokenizer: expected the policy of a server, the only one that needs it")
    if ppm_folder is not None and (ppm is None or ppm.engine != "server"):
        raise ConfigError("ppm_folder: expected the PPM of a server, the only one that needs it")


def server_policy(
    name: ModelName, tokenizer: str | Path | None, concurrency: int | None
) -> "ServerPolicy":
    """Return the policy of a server.

    Args:
        name: Name of its model.
        tokenizer: Folder or hub name of its tokenizer. None for the one in the folder that the
            model is named after, if there is such a folder.
        concurrency: Number of requests at once. None for the default.
    """
    from rstar_fast.policy import ServerPolicy

    if tokenizer is None and Path(name.model).is_dir():
        tokenizer = name.model
    places: dict[str, Any] = {} if concurrency is None else {"concurrency": concurrency}
    return ServerPolicy(name.addresses, name.model, tokenizer=tokenizer, **places)


def server_scorer(name: ModelName, folder: str | Path | None) -> "ServerScorer":
    """Return the PPM of a server.

    Args:
        name: Name of its model.
        folder: Folder or hub name of the PPM. None for the model's name.
    """
    from rstar_fast.ppm import ServerScorer

    return ServerScorer(name.addresses, name.model, folder or name.model)
