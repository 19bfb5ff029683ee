"""Classes that need torch and transformers, imported when they are first used."""

from importlib import import_module
from typing import Any

from rstar_fast.errors import ConfigError

_EXTRA = "local"
_PACKAGES = {"torch", "transformers", "safetensors"}


def import_local(name: str, module: str) -> Any:
    """Import a class that runs models in this process.

    Args:
        name: Name of the class, as in "PPM".
        module: Name of the module that defines it, as in "rstar_fast.ppm.model".

    Raises:
        ConfigError: A package of the extra `local` is not installed.
    """
    try:
        return getattr(import_module(module), name)
    except ModuleNotFoundError as error:
        if (error.name or "").partition(".")[0] not in _PACKAGES:
            raise
        raise ConfigError(
            f'{name} needs torch and transformers: pip install "rstar-fast[{_EXTRA}]"'
        ) from error
