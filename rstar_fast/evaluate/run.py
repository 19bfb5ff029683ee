"""Searches of problems with known answers, to see how many are solved."""

from collections.abc import Iterable, Iterator, Sequence
from contextlib import closing
from dataclasses import replace

from rstar_fast.errors import ConfigError
from rstar_fast.problems import Problem
from rstar_fast.search import Searcher
from rstar_fast.search.run import search_to_folder
from rstar_fast.store import RunFolder
from rstar_fast.tree import Tree


def solve(
    searcher: Searcher,
    problems: Sequence[Problem],
    searches: int = 1,
    folder: RunFolder | None = None,
) -> dict[str, list[Tree]]:
    """Search every problem, once or several times, in one run of the engines.

    Every search is of another copy of its problem (`Problem.copy`), so it draws its own random
    numbers. The trees that are returned are of the problems as given.

    Args:
        searcher: Searcher, whose configuration says how to search: greedy, best_of_n, mcts, ...
        problems: Problems with accepted answers.
        searches: Number of searches of every problem, >= 1.
        folder: Run folder that every tree is written to at once. What it has already is not
            searched again. None to keep the trees in memory only.

    Returns:
        The trees by problem id. Problems and searches are in order, and searches that failed are
        left out.

    Raises:
        ConfigError: A problem has no accepted answer, or `searches` is below 1.
        StoreError: The folder has a tree of another question, or the disk refuses.
        RStarError: An engine is broken.
    """
    if searches < 1:
        raise ConfigError(f"searches: expected at least 1, got {searches}")
    for problem in problems:
        if not problem.answers:
            raise ConfigError(
                f"problem {problem.id!r}: expected an accepted answer to evaluate by, got none"
            )
    every_copy = copies(problems, searches)
    if folder is None:
        with closing(searcher.search(every_copy)) as run:
            ended = [one for one in run if isinstance(one, Tree)]
    else:
        with closing(search_to_folder(searcher, every_copy, folder)) as run:
            for _ in run:
                pass
        ended = list(folder.trees())
    by_key = {tree.problem.key: tree for tree in ended}
    found: dict[str, list[Tree]] = {}
    for problem in problems:
        keys = [copy.key for copy in copies([problem], searches)]
        found[problem.id] = [by_key[key] for key in keys if key in by_key]
        for tree in found[problem.id]:
            tree.problem = replace(problem, copy=None)
    return found


def copies(problems: Sequence[Problem], searches: int) -> Iterator[Problem]:
    """Yield every problem once for each of its searches.

    Copy 0 of all problems comes first, then copy 1 of all problems, and so on.

    Args:
        problems: Problems to copy. Their own `copy` is ignored.
        searches: Number of copies of every problem.
    """
    for number in range(searches):
        for problem in problems:
            yield replace(problem, copy=number)


def by_problem(trees: Iterable[Tree]) -> dict[str, list[Tree]]:
    """Group trees by the id of their problem. Both are in order of appearance."""
    found: dict[str, list[Tree]] = {}
    for tree in trees:
        found.setdefault(tree.problem.id, []).append(tree)
    return found
