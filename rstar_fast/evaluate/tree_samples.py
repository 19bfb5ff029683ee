"""Samples that are made of trees: the best answer of a search, or the answer of every path."""

from collections.abc import Mapping, Sequence
from dataclasses import replace
from itertools import islice
from typing import TYPE_CHECKING

from rstar_fast.data.trajectories import mean_logprob
from rstar_fast.evaluate.samples import Sample
from rstar_fast.tree import Node, Tree
from rstar_fast.verify.base import Verifier

if TYPE_CHECKING:
    from rstar_fast.ppm import JudgedScorer, PackedScorer


def search_samples(trees: Sequence[Tree], verifier: Verifier | None = None) -> list[Sample]:
    """Return one sample for every search: its best answer (`Tree.best`).

    The tokens of a sample are all tokens of its search.

    Args:
        trees: Searches of one problem.
        verifier: Verifier that grades what a tree's last program printed, where the tree has no
            answer. None to count such a tree as unanswered.
    """
    return [
        _sample(tree, tree.best(), tree.counts.get("generated_tokens", 0), verifier)
        for tree in trees
    ]


def path_samples(tree: Tree, verifier: Verifier | None = None) -> list[Sample]:
    """Return one sample for every path of a tree, in order of creation of the first steps.

    Paths without an answer are included. The tokens of a sample are those of its path.

    Args:
        tree: Tree whose paths share no step, as those of "best_of_n" and "greedy".
        verifier: Verifier that grades what a path's last program printed, where the path has no
            answer. None to count such a path as unanswered.
    """
    parents = {node.parent for node in tree.nodes}
    leaves = [node for node in tree.nodes[1:] if node.id not in parents]
    found = []
    for leaf in sorted(leaves, key=lambda leaf: tree.path(leaf.id)[0].id):
        tokens = sum(len(node.token_ids) for node in tree.path(leaf.id))
        found.append(_sample(tree, leaf, tokens, verifier))
    return found


def rescored(trees: Sequence[Tree], scorer: "PackedScorer | JudgedScorer") -> list[Tree]:
    """Return copies of trees with the scores of another model, such as an ORM or a PQM.

    They serve to choose among the same samples by that model. A tree that the model cannot score,
    as it is too long, comes without scores.

    Args:
        trees: Trees to score. They are not changed.
        scorer: Scorer of the other model.
    """
    found = []
    for tree, scores in zip(trees, scorer.score_trees(trees), strict=True):
        values = [None] * len(tree.nodes) if scores.error is not None else scores.values.tolist()
        nodes = [replace(node, score=value) for node, value in zip(tree.nodes, values, strict=True)]
        found.append(replace(tree, nodes=nodes, sure=None))
    return found


def rescored_samples(
    pool: Mapping[str, Sequence[Tree]],
    scorer: "PackedScorer | JudgedScorer",
    verifier: Verifier | None = None,
) -> dict[str, list[Sample]]:
    """Return the `path_samples` of each problem's trees, with the scores of another model.

    Args:
        pool: Trees by problem id.
        scorer: Scorer of the other model. It scores each tree once.
        verifier: Verifier for paths without an answer, see `path_samples`.
    """
    scored = iter(rescored([tree for trees in pool.values() for tree in trees], scorer))
    return {
        problem_id: [
            one for tree in islice(scored, len(trees)) for one in path_samples(tree, verifier)
        ]
        for problem_id, trees in pool.items()
    }


def node_sample(tree: Tree, node: Node) -> Sample:
    """Return the sample of a final answer. Its tokens are those of its path."""
    path = tree.path(node.id)
    return Sample(
        node.answer,
        bool(node.correct),
        sum(len(step.id_bytes) // 4 for step in path),
        node.score,
        mean_logprob(path),
    )


def _sample(tree: Tree, node: Node | None, tokens: int, verifier: Verifier | None) -> Sample:
    """Return the sample of a node with an answer, or of what a program on the way to it printed.

    Args:
        tree: The tree.
        node: Last node of a path. None to look at the whole tree.
        tokens: Number of tokens that were generated for the sample.
        verifier: Verifier that grades what was printed. None to ignore it.
    """
    if node is not None and node.end == "answer":
        return replace(node_sample(tree, node), tokens=tokens)
    printed = _printed(tree, node) if verifier is not None else None
    if printed is None or verifier is None:
        return Sample("", False, tokens)
    text = (printed.observation or "").strip()
    correct = verifier.submit(tree.problem, text).result().correct
    return Sample(text, correct, tokens, printed.score, mean_logprob(tree.path(printed.id)))


def _printed(tree: Tree, leaf: Node | None) -> Node | None:
    """Return the last step that closed its program and printed something. None if no step did.

    Args:
        tree: The tree.
        leaf: Node whose path is looked at. None for all nodes of the tree.
    """
    path = tree.nodes[1:] if leaf is None else tree.path(leaf.id)
    printed = [
        node
        for node in path
        if node.suffix and node.status == "ok" and (node.observation or "").strip()
    ]
    return printed[-1] if printed else None
