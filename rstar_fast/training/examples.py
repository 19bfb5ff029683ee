"""Trees of tokens, with what a PPM learns from them, made of rows of training data."""

from collections.abc import Iterable
from itertools import accumulate
from typing import Any

from rstar_fast.data import PairGroup
from rstar_fast.data.pairs import StepTexts
from rstar_fast.errors import DataError
from rstar_fast.ppm.texts import Texts, Tokens
from rstar_fast.training.objectives import Objective
from rstar_fast.training.token_trees import Comparison, Target, TokenTree


def pair_trees(groups: Iterable[PairGroup], texts: Texts) -> tuple[list[TokenTree], int]:
    """Return a tree for every problem, with the comparisons of its groups.

    Args:
        groups: Groups of pairs.
        texts: Tokenizer of the model's texts.

    Returns:
        The trees, and the number of pairs that were left out because a text is too long.
    """
    trees: dict[str, TokenTree] = {}
    left_out = 0
    for group in groups:
        tree = trees.setdefault(group.problem.id, TokenTree())
        chosen, rejected = pieces_of(group, texts)
        rejected_fits = [texts.fault(pieces, [()]) is None for pieces in rejected]
        for i, pieces in enumerate(chosen):
            others = [j for one, j in group.pairs if one == i]
            fits = texts.fault(pieces, [()]) is None
            kept = [j for j in others if fits and rejected_fits[j]]
            left_out += len(others) - len(kept)
            if kept:
                ends = tuple(tree.add(rejected[j])[-1] for j in kept)
                margins = tuple(
                    _difference(group.chosen_logprob[i], group.rejected_logprob[j]) for j in kept
                )
                preferred = tree.add(pieces)[-1]
                tree.comparisons.append(Comparison(preferred, ends, group.weight, margins))
    return [tree for tree in trees.values() if tree.comparisons], left_out


def target_trees(
    rows: Iterable[dict[str, Any]], texts: Texts, objective: Objective
) -> tuple[list[TokenTree], int]:
    """Return a tree for every problem, with the targets of its trajectories.

    Args:
        rows: Rows of `trajectory_rows`.
        texts: Tokenizer of the model's texts.
        objective: "orm" for one target per trajectory, or "pqm" for one per step.

    Returns:
        The trees, and the number of trajectories that were left out because they are too long.

    Raises:
        DataError: A row is of another kind.
    """
    trees: dict[str, TokenTree] = {}
    left_out = 0
    for row in rows:
        try:
            observations = row["observations"] if texts.reads_observations else ()
            pieces = texts.pieces(row["question"], row["steps"], observations)
            values = [float(row["correct"])] if objective == "orm" else list(map(float, row["qs"]))
            logprobs = list(accumulate(row["logprobs"], _sum))
            tree = trees.setdefault(row["id"], TokenTree())
        except (KeyError, TypeError, ValueError) as error:
            raise DataError(
                "expected a row of a trajectory (see `trajectory_rows`): "
                f"{type(error).__name__}: {error}"
            ) from error
        if texts.fault(pieces, [()]) is not None:
            left_out += 1
            continue
        nodes = tree.add(pieces)[1:]
        if objective == "orm":
            nodes, logprobs = nodes[-1:], logprobs[-1:]
        # A step that several trajectories go through is one target.
        known = {target.node for target in tree.targets}
        wanted = {target.node: target for target in map(Target, nodes, values, logprobs)}
        tree.targets += [target for node, target in wanted.items() if node not in known]
    return [tree for tree in trees.values() if tree.targets], left_out


def pieces_of(group: PairGroup, texts: Texts) -> list[list[list[Tokens]]]:
    """Return the tokens of every preferred, and of every other continuation, piece by piece.

    Raises:
        DataError: The model reads observations, and the group has none.
    """
    return [
        [
            texts.pieces(group.problem.question, steps, observations)
            for steps, observations in zip(*side, strict=True)
        ]
        for side in _sides(group, texts.reads_observations)
    ]


def _sides(group: PairGroup, observed: bool) -> list[tuple[list[StepTexts], list[StepTexts]]]:
    """Return the steps and the observations of every preferred, and of every other continuation.

    Args:
        group: Group of pairs.
        observed: Whether observations are read. Without, there are none.

    Raises:
        DataError: Observations are read, and the group lacks them.
    """
    sides = []
    for side, observations in (
        (group.chosen, group.chosen_observations),
        (group.rejected, group.rejected_observations),
    ):
        texts = [(*group.prefix, *steps) for steps in side]
        shown: list[StepTexts] = [()] * len(side)
        if observed:
            shown = [(*group.prefix_observations, *each) for each in observations]
            if list(map(len, shown)) != list(map(len, texts)):
                raise DataError(
                    "expected pairs with what each step showed (observations), "
                    f"got some of problem {group.problem.id!r} without it"
                )
        sides.append((texts, shown))
    return sides


def _sum(one: float | None, other: float | None) -> float | None:
    return None if one is None or other is None else one + other


def _difference(one: float | None, other: float | None) -> float | None:
    return None if one is None or other is None else one - other
