"""Writing a model's folder on a disk that may be full."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from safetensors import SafetensorError

from rstar_fast.errors import StoreError


@contextmanager
def saving(folder: str | Path) -> Iterator[None]:
    """Say what was being written when the disk refuses; what is in the folder then is not a model.

    Raises:
        StoreError: in place of the writer's own error.
    """
    try:
        yield
    except (OSError, SafetensorError) as error:
        raise StoreError(f"{folder}: could not write the model: {error}") from error
