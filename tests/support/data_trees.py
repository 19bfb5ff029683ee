"""Finished trees that tests write as nested tuples."""

from collections import deque
from typing import Any

from rstar_fast.data import PairGroup
from rstar_fast.problems import Problem
from rstar_fast.tree import Node, Tree

PROBLEM = Problem("p", "How many?", ("5",))


def make_tree(*steps: Any, problem: Problem = PROBLEM, seed: int = 0) -> Tree:
    """Return a tree of steps `(text, q, *children)`.

    True or False in place of the children makes the step a right or wrong answer. "error" as the
    first child makes its program fail.
    """
    nodes = [Node(0, -1, 0, visits=1)]
    waiting = deque([(0, step) for step in steps])
    while waiting:
        parent, (text, q, *below) = waiting.popleft()
        node = Node(
            len(nodes),
            parent,
            nodes[parent].depth + 1,
            text,
            q=q,
            visits=1,
            status="ok",
            observation="",
        )
        nodes.append(node)
        if below and isinstance(below[0], bool):
            node.end, node.correct, node.status, node.observation = "answer", below[0], "", None
            node.answer = "5" if below[0] else "6"
            below = []
        if below and below[0] == "error":
            node.status, node.observation, node.consecutive_errors = "error", "NameError: x", 1
            below = below[1:]
        waiting.extend((node.id, child) for child in below)
    return Tree(problem, nodes, seed)


def shown(groups: list[PairGroup]) -> list[tuple[str, str, list[tuple[str, str]], float]]:
    """Return the kind, the prefix, the pairs as texts and the weight of every group."""
    return [
        (
            group.kind,
            "".join(group.prefix),
            [("".join(group.chosen[i]), "".join(group.rejected[j])) for i, j in group.pairs],
            group.weight,
        )
        for group in groups
    ]


GOLDEN = make_tree(
    (
        "A ",
        0.5,
        ("A1 ", 0.8, ("right by A1", 1.0, True)),
        ("A2 ", 0.2, ("wrong by A2", -1.0, False)),
        ("A3 ", -0.4, ("wrong by A3", -1.0, False)),
    ),
    ("B ", -0.5, ("B1 ", -0.5, ("wrong by B1", -1.0, False))),
    (
        "C ",
        0.9,
        ("C1 ", 0.9, "error", ("right by C1", 1.0, True)),
        ("C2 ", 0.7, ("right by C2", 1.0, True)),
    ),
)
"""A tree for the rules of training data.

A leads to right and wrong answers, B to a wrong one, and C to right ones, one of them after a
failed program.
"""
