"""Searches of problems with known answers, to see how many are solved."""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import closing
from dataclasses import fields, replace

from rstar_fast.config import SearchConfig
from rstar_fast.errors import ConfigError
from rstar_fast.problems import Problem
from rstar_fast.search import Searcher
from rstar_fast.search.run import search_to_folder
from rstar_fast.store import RunFolder
from rstar_fast.tree import Tree

_ONLY_SEARCH = (
    "widening",
    "widening_exponent",
    "distinct_programs",
    "without_repetition",
    "greedy_first",
    "coverage",
    "max_tokens",
    "stop_when_sure",
    "stop_when_settled",
    "token_price",
)
"""Options that say how a search grows and when it ends, and not how a step is drawn."""


def solve(
    searcher: Searcher,
    problems: Sequence[Problem],
    searches: int = 1,
    folder: RunFolder | None = None,
    tokens: Mapping[str, int] | None = None,
) -> dict[str, list[Tree]]:
    """Search every problem, once or several times.

    Every search is of another copy of its problem (`Problem.copy`), so it draws its own random
    numbers. The trees that are returned are of the problems as given.

    Args:
        searcher: Searcher, whose configuration says how to search: greedy, best_of_n, mcts, ...
        problems: Problems with accepted answers.
        searches: Number of searches of every problem, >= 1.
        folder: Run folder that every tree is written to at once. What it has already is not
            searched again. None to keep the trees in memory only.
        tokens: Number of tokens by problem id, for problems that are searched again until their
            searches have generated so many. None for `searches` searches of each.

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
    wanted = list(copies(problems, searches))
    by_key: dict[str, Tree] = {}
    while wanted:
        by_key |= _search(searcher, wanted, folder)
        generated = {key: tree.counts.get("generated_tokens", 0) for key, tree in by_key.items()}
        wanted = next_copies(wanted, generated, tokens or {})
    found: dict[str, list[Tree]] = {problem.id: [] for problem in problems}
    for tree in sorted(by_key.values(), key=lambda tree: tree.problem.copy or 0):
        tree.problem = replace(tree.problem, copy=None)
        found[tree.problem.id].append(tree)
    return found


def _search(
    searcher: Searcher, wanted: Sequence[Problem], folder: RunFolder | None
) -> dict[str, Tree]:
    """Search problems in one run of the engines, and return the trees by their problems' keys."""
    if folder is None:
        with closing(searcher.search(wanted)) as run:
            return {one.problem.key: one for one in run if isinstance(one, Tree)}
    with closing(search_to_folder(searcher, wanted, folder)) as run:
        for _ in run:
            pass
    keys = {problem.key for problem in wanted} & folder.done
    return {key: folder.tree(key) for key in sorted(keys)}


def independent(search: SearchConfig, paths: int) -> SearchConfig:
    """Return the configuration that draws independent solutions as a search draws its steps.

    Every solution goes to its end: budgets and rules to stop early are left out.

    Args:
        search: Configuration of the search.
        paths: Number of solutions of one drawing, 1..1024.
    """
    plain = {spec.name: spec.default for spec in fields(SearchConfig) if spec.name in _ONLY_SEARCH}
    return search.with_changes(**plain, strategy="best_of_n", candidates=paths, use_scores=False)


def next_copies(
    searched: Sequence[Problem], generated: Mapping[str, int], tokens: Mapping[str, int]
) -> list[Problem]:
    """Return one more copy of each problem whose searches have not generated its tokens yet.

    Problems whose last search failed, or generated nothing, are left out.

    Args:
        searched: Copies of problems that were searched last.
        generated: Number of tokens that each search so far has generated, by `Problem.key`.
        tokens: Number of tokens to generate by problem id. 0 for problems that are missing.
    """
    last = {one.id: one for one in sorted(searched, key=lambda one: one.copy or 0)}
    found = []
    for problem in last.values():
        number = (problem.copy or 0) + 1
        keys = [replace(problem, copy=copy).key for copy in range(number)]
        spent = sum(generated.get(key, 0) for key in keys)
        if generated.get(problem.key) and spent < tokens.get(problem.id, 0):
            found.append(replace(problem, copy=number))
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
