"""Solving problems to see how many are solved: a policy alone, samples, searches."""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import closing
from dataclasses import replace

from rstar_fast.data.trajectories import mean_logprob
from rstar_fast.errors import ConfigError
from rstar_fast.evaluate.samples import Sample
from rstar_fast.ppm.packed_scorer import PackedScorer
from rstar_fast.problems import Problem
from rstar_fast.search import Searcher
from rstar_fast.search.run import search_to_folder
from rstar_fast.store import RunFolder
from rstar_fast.tree import Node, Tree
from rstar_fast.verify.base import Verifier


def solve(
    searcher: Searcher,
    problems: Sequence[Problem],
    searches: int = 1,
    folder: RunFolder | None = None,
) -> dict[str, list[Tree]]:
    """Search every problem, several times over if asked; all of it in one run of the engines.

    Every search of a problem draws its own random numbers (they are keyed by the id, which gets a suffix for the time).

    Args:
        searcher: its configuration says how: greedy, best_of_n, mcts, ...
        problems: with accepted answers.
        searches: of each problem, >= 1.
        folder: where given, every tree is kept in it at once, and what it holds already is not searched again.

    Returns:
        The trees by problem id, in the order of problems and searches; none of what failed.

    Raises:
        ConfigError: a problem has no accepted answer.
        StoreError: the folder has a tree of another question, or the disk refuses.
        RStarError: an engine is broken.
    """
    if searches < 1:
        raise ConfigError(f"searches: expected at least 1, got {searches}")
    for problem in problems:
        if not problem.answers:
            raise ConfigError(f"problem {problem.id!r}: expected an accepted answer to evaluate by")
    found: dict[str, dict[int, Tree]] = {problem.id: {} for problem in problems}
    all_copies = copies(problems, searches)
    with closing(
        searcher.search(all_copies)
        if folder is None
        else search_to_folder(searcher, all_copies, folder)
    ) as run:
        ended: list[Tree] = [one for one in run if isinstance(one, Tree)]
    for tree in ended if folder is None else folder.trees():
        problem, number = tree.problem, tree.problem.copy
        if problem.id in found and number is not None and number < searches:
            tree.problem = replace(problem, copy=None)
            found[problem.id][number] = tree
    return {problem_id: [trees[i] for i in sorted(trees)] for problem_id, trees in found.items()}


def copies(problems: Sequence[Problem], searches: int) -> Iterator[Problem]:
    """Yield each problem once for every search of it, first copy 0 of all problems, then copy 1, and so on."""
    for number in range(searches):
        for problem in problems:
            yield replace(problem, copy=number)


def by_problem(trees: Iterable[Tree]) -> dict[str, list[Tree]]:
    """Group the trees of copies by the id of their problem, in the order given."""
    found: dict[str, list[Tree]] = {}
    for tree in trees:
        found.setdefault(tree.problem.id, []).append(tree)
    return found


def search_samples(trees: Iterable[Tree], verifier: Verifier | None = None) -> list[Sample]:
    """One sample a search: its best answer (`Tree.best`), for all tokens of the search.

    Args:
        trees: of one problem.
        verifier: where given, what the last program printed counts as the answer of a tree that has none.
    """
    return [
        _sample_of(tree, tree.best(), tree.counts.get("generated_tokens", 0), verifier)
        for tree in trees
    ]


def path_samples(tree: Tree, verifier: Verifier | None = None) -> list[Sample]:
    """One sample a path (best_of_n and greedy trees), in order of creation of the first steps; those without an answer included.

    Args:
        tree: its paths share nothing.
        verifier: as in `search_samples`.
    """
    parents = {node.parent for node in tree.nodes}
    leaves = [node for node in tree.nodes[1:] if node.id not in parents]
    found = []
    for leaf in sorted(leaves, key=lambda leaf: tree.path(leaf.id)[0].id):
        tokens = sum(len(node.token_ids) for node in tree.path(leaf.id))
        found.append(_sample_of(tree, leaf, tokens, verifier))
    return found


def rescored(trees: Sequence[Tree], scorer: PackedScorer) -> list[Tree]:
    """Trees whose final answers carry the scores of another PPM (an ORM, a PQM): for choosing among the same samples.

    A tree that the model cannot score (too long) comes without scores.
    """
    found = []
    for tree, scores in zip(trees, scorer.score_trees(trees), strict=True):
        values = [None] * len(tree.nodes) if scores.error is not None else scores.values.tolist()
        nodes = [replace(node, score=value) for node, value in zip(tree.nodes, values, strict=True)]
        found.append(Tree(tree.problem, nodes, tree.seed, tree.timings, tree.counts))
    return found


def rescored_samples(
    pool: Mapping[str, Sequence[Tree]], scorer: PackedScorer, verifier: Verifier
) -> dict[str, list[Sample]]:
    """The `path_samples` of each problem's first tree, with the scores of another PPM."""
    trees = rescored([trees[0] for trees in pool.values()], scorer)
    return {
        problem_id: path_samples(tree, verifier)
        for problem_id, tree in zip(pool, trees, strict=True)
    }


def _sample_of(tree: Tree, node: Node | None, tokens: int, verifier: Verifier | None) -> Sample:
    if node is not None and node.end == "answer":
        return Sample(
            node.answer, bool(node.correct), tokens, node.score, mean_logprob(tree.path(node.id))
        )
    printed = _printed(tree, node) if verifier is not None else None
    if printed is None or verifier is None:
        return Sample("", False, tokens)
    text = (printed.observation or "").strip()
    correct = verifier.submit(tree.problem, text).result().correct
    return Sample(text, correct, tokens, printed.score, mean_logprob(tree.path(printed.id)))


def _printed(tree: Tree, leaf: Node | None) -> Node | None:
    """The last step, on the way to a leaf or (None) in the tree, that closed its program and printed something."""
    path = tree.nodes[1:] if leaf is None else tree.path(leaf.id)
    printed = [
        node
        for node in path
        if node.suffix and node.status == "ok" and (node.observation or "").strip()
    ]
    return printed[-1] if printed else None
