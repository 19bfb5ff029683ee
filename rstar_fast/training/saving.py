"""Errors of a disk that refuses a model's folder."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from safetensors import SafetensorError

from rstar_fast.errors import StoreError


@contextmanager
def saving(folder: str | Path) -> Iterator[None]:
    """Turn a writer's error into a `StoreError` that names the folder.

    After an error, the folder does not hold a whole model.

    Raises:
        StoreError: The disk refused.
    """
    try:
        yield
    except (OSError, SafetensorError) as error:
        raise StoreError(f"{folder}: could not write the model: {error}") from error
