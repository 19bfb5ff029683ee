"""Folders of stages: filling a new one, and reading the trees of finished searches."""

import shutil
from collections.abc import Iterable, Iterator
from contextlib import closing, contextmanager
from dataclasses import replace
from pathlib import Path

from rstar_fast.errors import StoreError
from rstar_fast.store import RunFolder, TreeSummary
from rstar_fast.tree import Tree


@contextmanager
def fresh_folder(folder: Path) -> Iterator[Path]:
    """Fill a temporary folder, then rename it into place. Removes earlier attempts.

    Raises:
        StoreError: The disk refuses.
    """
    unfinished = folder.with_name(folder.name + ".unfinished")
    try:
        for old in (unfinished, folder):
            if old.exists():
                shutil.rmtree(old)
        unfinished.mkdir(parents=True)
        yield unfinished
        unfinished.replace(folder)
    except OSError as error:
        raise StoreError(f"{folder}: cannot be written: {error.strerror or error}") from error


def read_trees(run: Path, stages: Iterable[str]) -> list[Tree]:
    """Return the trees of finished searches: by stage, and sorted by the keys of their problems.

    The order does not depend on which tree ended first.

    Args:
        run: Folder of the self-evolution.
        stages: Names of the searches.

    Raises:
        StoreError: A folder is missing or damaged.
    """
    trees = []
    for name in stages:
        if not (run / name).is_dir():
            raise StoreError(f"{run / name}: expected the trees of a search")
        with closing(RunFolder.read(run / name)) as folder:
            trees += sorted(_trees_in(folder), key=lambda tree: tree.problem.key)
    return trees


def _trees_in(folder: RunFolder) -> Iterator[Tree]:
    """Yield the trees in the folder of a search, in order of finishing.

    Older versions wrote a copy's number only as the end of its id, as in "p1#0". It becomes the
    copy of the problem "p1" here, as in the trees of this version.
    """
    copied = _is_copied(folder)
    for tree in folder.trees():
        if copied and tree.problem.copy is None:
            problem_id, _, number = tree.problem.id.rpartition("#")
            tree.problem = replace(tree.problem, id=problem_id, copy=int(number))
        yield tree


def summaries_in(folder: RunFolder) -> Iterator[TreeSummary]:
    """Yield the summaries of what `_trees_in` yields. No tree is read."""
    copied = _is_copied(folder)
    for summary in folder.summaries():
        if copied and summary.copy is None:
            yield replace(summary, copy=int(summary.id.rpartition("#")[2]))
        else:
            yield summary


def _is_copied(folder: RunFolder) -> bool:
    return "copies" in folder.config["options"]
