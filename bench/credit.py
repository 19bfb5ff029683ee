"""How far is each rule of credit from the gradient of the expected reward, and how noisy is it?

    python bench/credit.py [--quick]

A policy over three tokens is so small that every tree it may write can be listed, with its exact
probability (`lib/toy_policy.py`). So the expectation of what a trainer computes is a sum, and not
an estimate. A trainer adds up, over the leaves, weight times credit times the gradient of each
step's log-probability. The weight of a leaf is its share (`Sample.share`), or the same for all.

`bias` is the distance of the expectation from the gradient, over the gradient's length. `scale` is
how long the expectation is along the gradient, and `angle` the angle between the two in degrees: a
wrong scale is a wrong learning rate, and a wrong angle a wrong direction. `noise` is the standard
deviation over the length along the gradient: how much averaging the rule needs. The bench prints a
card, a table for each form of the problem and, as the last line, one JSON document.
"""

import argparse
import json
from collections.abc import Iterator
from math import acos, degrees, inf, sqrt
from typing import NamedTuple, get_args

import numpy as np
from lib.card import print_card
from lib.toy_policy import ToyPolicy, Vector

from rstar_fast.training_samples import Credit, TreeValues, choose_leaves
from rstar_fast.training_samples.credit import step_credit
from rstar_fast.tree import Tree

FORMS = {
    "each step is one token, 3 draws": (2, False, (3, 3)),
    "the policy ends steps, 2 draws": (3, True, (2, 2, 2)),
    "the policy ends steps, 3, 1 and 2 draws": (3, True, (3, 1, 2)),
}
"""Arguments of `ToyPolicy` for each form of the problem."""
QUICK = {"the policy ends steps, 2 draws": (2, True, (2, 2))}


class Row(NamedTuple):
    """A rule with the leaves that it is used on, and the weights of these."""

    credit: Credit
    leaves: str
    weights: str


class Figures(NamedTuple):
    """Measured figures of a row, see above."""

    bias: float
    scale: float
    angle: float
    noise: float


def main() -> None:
    """Print the tables and the JSON document."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--quick", action="store_true", help="end within a minute on two cores")
    args = parser.parse_args()
    print_card()
    document = {}
    for name, form in (QUICK if args.quick else FORMS).items():
        figures = measured(ToyPolicy(*form))
        print(f"\n{name}\n{'credit':10} {'leaves':9} {'weight':7}   bias  scale  angle  noise")
        for row, (bias, scale, angle, noise) in figures.items():
            print(
                f"{row.credit:10} {row.leaves:9} {row.weights:7} "
                f"{bias:6.3f} {scale:6.3f} {angle:6.1f} {noise:6.2f}"
            )
        document[name] = [row._asdict() | found._asdict() for row, found in figures.items()]
    print(json.dumps(document))


def rows() -> Iterator[Row]:
    """Yield all rows of a table."""
    for credit in get_args(Credit):
        yield Row(credit, "all", "share")
        yield Row(credit, "all", "equal")
    yield Row("siblings", "balanced", "share")
    yield Row("siblings", "balanced", "equal")


def measured(policy: ToyPolicy) -> dict[Row, Figures]:
    """Return the figures of every row, by listing all trees."""
    wanted = policy.gradient()
    mean = {row: np.zeros_like(wanted) for row in rows()}
    square = dict.fromkeys(rows(), 0.0)
    for probability, tree in policy.trees():
        values = TreeValues.of(tree, policy.reward)
        scores = _scores(policy, tree)
        for row in mean:
            found = _estimate(tree, row, values, scores)
            mean[row] += probability * found
            square[row] += probability * float(found @ found)
    return {row: _figures(wanted, mean[row], square[row]) for row in mean}


def _scores(policy: ToyPolicy, tree: Tree) -> list[Vector]:
    texts: list[tuple[int, ...]] = [()]
    scores = [np.zeros(0)]
    for node in tree.nodes[1:]:
        scores.append(policy.score(texts[node.parent], node.token_ids))
        texts.append(texts[node.parent] + node.token_ids)
    return scores


def _estimate(tree: Tree, row: Row, values: TreeValues, scores: list[Vector]) -> Vector:
    """Return the gradient that a trainer computes on a tree."""
    leaves = list(values.rewards) if row.leaves == "all" else choose_leaves(tree, 2)
    found = np.zeros_like(scores[1])
    for leaf, credits in zip(leaves, step_credit(tree, leaves, row.credit, values), strict=True):
        weight = values.shares[leaf] if row.weights == "share" else 1 / len(leaves)
        for node, credit in zip(tree.path(leaf), credits, strict=True):
            found += weight * credit * scores[node.id]
    return found


def _figures(wanted: Vector, mean: Vector, square: float) -> Figures:
    length = float(np.linalg.norm(wanted))
    scale = float(mean @ wanted) / length**2
    cosine = scale * length / max(float(np.linalg.norm(mean)), 1e-300)
    deviation = sqrt(max(0.0, square - float(mean @ mean)))
    return Figures(
        bias=float(np.linalg.norm(mean - wanted)) / length,
        scale=scale,
        angle=degrees(acos(min(1.0, max(-1.0, cosine)))),
        noise=deviation / (abs(scale) * length) if abs(scale) > 1e-9 else inf,
    )


if __name__ == "__main__":
    main()
