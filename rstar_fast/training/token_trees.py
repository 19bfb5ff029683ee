"""What a PPM is trained on: the texts of a problem as one tree of tokens, and what is to be learnt at its nodes.

Whatever two texts begin with in common is there once, so that a forward over the packed tree encodes every token once.
"""

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from itertools import accumulate
from typing import Any, Literal, NamedTuple

import numpy as np

from rstar_fast._core import Pack, pack
from rstar_fast.data.pairs import PairGroup
from rstar_fast.errors import DataError
from rstar_fast.ppm.texts import Texts, Tokens

Objective = Literal["ppm", "orm", "pqm"]
"""Preference pairs; outcome (is the whole solution right); the Q of every step."""


class Comparison(NamedTuple):
    """What is preferred to what.

    Attributes:
        preferred: a node.
        others: nodes.
        weight: of each pair.
        margins: by pair, how much likelier the policy finds the preferred one, nats; None where it does not tell.
    """

    preferred: int
    others: tuple[int, ...]
    weight: float
    margins: tuple[float | None, ...]

    def moved(self, base: int) -> "Comparison":
        """The same where the nodes' numbers begin at `base`."""
        return self._replace(
            preferred=self.preferred + base, others=tuple(other + base for other in self.others)
        )


class Target(NamedTuple):
    """What a node's value should be.

    Attributes:
        node: which.
        value: as the objective has it.
        logprob: of the path to it under the policy, nats; None where it does not tell.
    """

    node: int
    value: float
    logprob: float | None

    def moved(self, base: int) -> "Target":
        """The same where the nodes' numbers begin at `base`."""
        return self._replace(node=self.node + base)


@dataclass
class TokenTree:
    """The texts of one problem.

    Attributes:
        parents: by node, -1 at the root (the prompt).
        tokens: by node.
        comparisons: of nodes.
        targets: of nodes.
    """

    parents: list[int] = field(default_factory=list)
    tokens: list[Tokens] = field(default_factory=list)
    comparisons: list[Comparison] = field(default_factory=list)
    targets: list[Target] = field(default_factory=list)
    _places: dict[tuple[int, Tokens], int] = field(default_factory=dict)

    def add(self, pieces: Sequence[Tokens]) -> list[int]:
        """The nodes along a text, made where they are new; a piece without tokens has its parent's node."""
        found, node = [], -1
        for piece in pieces:
            if piece:
                place = self._places.setdefault((node, piece), len(self.parents))
                if place == len(self.parents):
                    self.parents.append(node)
                    self.tokens.append(piece)
                node = place
            found.append(node)
        return found

    @property
    def num_tokens(self) -> int:
        """Of all nodes."""
        return sum(map(len, self.tokens))

    @property
    def num_examples(self) -> int:
        """Pairs, or targets."""
        return sum(len(comparison.others) for comparison in self.comparisons) + len(self.targets)


@dataclass(frozen=True)
class PackedTrees:
    """Several trees as one sequence, with indices into all their nodes."""

    packed: Pack
    comparisons: list[Comparison]
    targets: list[Target]


def pair_trees(groups: Iterable[PairGroup], texts: Texts) -> tuple[list[TokenTree], int]:
    """One tree a problem with the comparisons of its groups; and how many pairs were left out, being too long."""
    trees: dict[str, TokenTree] = {}
    left_out = 0
    for group in groups:
        tree = trees.setdefault(group.problem.id, TokenTree())
        sides = [
            [texts.pieces(group.problem.question, (*group.prefix, *steps)) for steps in side]
            for side in (group.chosen, group.rejected)
        ]
        fits = [[texts.fault(pieces, [()]) is None for pieces in side] for side in sides]
        for i, pieces in enumerate(sides[0]):
            others = [j for one, j in group.pairs if one == i]
            kept = [j for j in others if fits[0][i] and fits[1][j]]
            left_out += len(others) - len(kept)
            if kept:
                ends = tuple(tree.add(sides[1][j])[-1] for j in kept)
                margins = tuple(
                    _difference(group.chosen_logprob[i], group.rejected_logprob[j]) for j in kept
                )
                tree.comparisons.append(
                    Comparison(tree.add(pieces)[-1], ends, group.weight, margins)
                )
    return [tree for tree in trees.values() if tree.comparisons], left_out


def target_trees(
    rows: Iterable[dict[str, Any]], texts: Texts, objective: Objective
) -> tuple[list[TokenTree], int]:
    """One tree a problem with the targets of its trajectories (see `trajectory_rows`); and how many were left out, too long."""
    trees: dict[str, TokenTree] = {}
    left_out = 0
    for row in rows:
        try:
            pieces = texts.pieces(row["question"], row["steps"])
            values = [float(row["correct"])] if objective == "orm" else list(map(float, row["qs"]))
            logprobs = list(accumulate(row["logprobs"], _sum))
            tree = trees.setdefault(row["id"], TokenTree())
        except (KeyError, TypeError) as error:
            raise DataError(
                f"expected a row of a trajectory (see `trajectory_rows`): {type(error).__name__}: {error}"
            ) from error
        if texts.fault(pieces, [()]) is not None:
            left_out += 1
            continue
        nodes = tree.add(pieces)[1:]
        # A step that several trajectories go through is one target.
        known = {target.node for target in tree.targets}
        if objective == "orm":
            nodes, logprobs = nodes[-1:], logprobs[-1:]
        wanted = {target.node: target for target in map(Target, nodes, values, logprobs)}
        tree.targets += [target for node, target in wanted.items() if node not in known]
    return [tree for tree in trees.values() if tree.targets], left_out


def _sum(one: float | None, other: float | None) -> float | None:
    return None if one is None or other is None else one + other


def _difference(one: float | None, other: float | None) -> float | None:
    return None if one is None or other is None else one - other


def micro_batches(trees: Iterable[TokenTree], max_tokens: int) -> Iterator[list[TokenTree]]:
    """Trees in runs of at most so many tokens; one is always taken."""
    run: list[TokenTree] = []
    num_tokens = 0
    for tree in trees:
        if run and num_tokens + tree.num_tokens > max_tokens:
            yield run
            run, num_tokens = [], 0
        run.append(tree)
        num_tokens += tree.num_tokens
    if run:
        yield run


def pack_trees(trees: Sequence[TokenTree]) -> PackedTrees:
    """Trees as one sequence."""
    parents: list[int] = []
    tokens: list[int] = []
    counts: list[int] = []
    comparisons: list[Comparison] = []
    targets: list[Target] = []
    for tree in trees:
        base = len(parents)
        parents += [parent if parent < 0 else parent + base for parent in tree.parents]
        counts += map(len, tree.tokens)
        tokens += [token for piece in tree.tokens for token in piece]
        comparisons += [comparison.moved(base) for comparison in tree.comparisons]
        targets += [target.moved(base) for target in tree.targets]
    packed = pack(
        np.array(parents, np.int32), np.array(counts, np.int32), np.array(tokens, np.int32)
    )
    return PackedTrees(packed, comparisons, targets)
