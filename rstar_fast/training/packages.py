"""The packages that training needs, which a base installation may lack."""

from importlib.util import find_spec

from rstar_fast.errors import TrainError


def require_packages(purpose: str, *names: str) -> None:
    """Raise `TrainError` unless every package is installed. Nothing is imported.

    Args:
        purpose: What needs the packages, as in "training a policy".
        names: Names of the packages, as they are imported.

    Raises:
        TrainError: A package is missing. The message names the extra that brings it.
    """
    missing = [name for name in names if find_spec(name) is None]
    if missing:
        packages = "package" if len(missing) == 1 else "packages"
        raise TrainError(
            f'{purpose} needs the {packages} {", ".join(missing)}: pip install "rstar-fast[train]"'
        )
