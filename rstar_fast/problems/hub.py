"""Rows of Hugging Face data sets, read from the hub or from a folder."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

from rstar_fast.errors import ProblemError


def dataset_rows(source: str) -> tuple[str, Iterator[tuple[str, Any]]]:
    """Return a stem for the ids of a data set's rows, and the rows.

    Args:
        source: Name of the data set as `name`, `name:split` or `name:config:split`. The name is a
            data set of the hub, a folder written by `Dataset.save_to_disk`, or any other folder
            that `load_dataset` reads. The split may be left out if there is only one.

    Returns:
        The stem, such as "gsm8k-main-test", and an iterator over pairs of a row's place (for error
        messages) and the row.

    Raises:
        ProblemError: The package `datasets` is not installed, or there is no such data set,
            config or split.
    """
    name, *parts = source.split(":")
    if len(parts) > 2 or not name or not all(parts):
        raise ProblemError(
            f"{source}: expected a file, or a data set as name, name:split or name:config:split"
        )
    split = parts.pop() if parts else None
    config = parts.pop() if parts else None
    try:
        import datasets
    except ImportError as error:
        raise ProblemError(
            f"{source}: no such file; to read it as a Hugging Face data set, install the package "
            '`datasets` (pip install "rstar-fast[train]")'
        ) from error
    try:
        loaded: Any
        if (Path(name) / "state.json").is_file() or (Path(name) / "dataset_dict.json").is_file():
            loaded = datasets.load_from_disk(name)
        else:
            loaded = datasets.load_dataset(name, config)
    except Exception as error:
        raise ProblemError(
            f"{source}: no such file, and no data set that can be loaded: {_first_line(error)}"
        ) from error
    if isinstance(loaded, dict):
        if split is None and len(loaded) == 1:
            split = next(iter(loaded))
        if split not in loaded:
            raise ProblemError(
                f"{source}: expected name:split with one of the splits {', '.join(loaded)}, "
                f"got {split or 'none'}"
            )
        loaded = loaded[split]
    elif split is not None:
        raise ProblemError(f"{source}: this data set has no splits: expected {name}")
    stem = "-".join(part for part in (Path(name).name, config, split) if part)
    return stem, ((f"{source}: row {number}", row) for number, row in enumerate(loaded))


def _first_line(error: Exception) -> str:
    return f"{type(error).__name__}: {error}".split("\n", 1)[0]
