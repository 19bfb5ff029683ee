"""Preference pairs for the PPM (rStar-Math, section 3.3), by the paper's rules and by the released code's."""

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from typing import Literal, TypeVar

from rstar_fast.data.difficulty import difficulty
from rstar_fast.data.edit_distance import at_least
from rstar_fast.data.merging import children_of, merged
from rstar_fast.data.trajectories import Trajectory, require_grade, step_logprob, trajectories
from rstar_fast.errors import ConfigError, DataError
from rstar_fast.problems import Problem
from rstar_fast.tree import Node, Tree

StepTexts = tuple[str, ...]
Item = TypeVar("Item")


@dataclass(frozen=True, slots=True)
class PairRules:
    """What is paired with what.

    Attributes:
        per_side: the best and the worst so many, >= 1.
        against_one: so many where the other side has only one, >= `per_side`.
        min_margin: Q of the preferred step less that of the other, at least, >= 0; it is above 0 in any case.
        min_edit_distance: characters in which the two steps differ, at least, >= 0.
        final_step: "trajectories" (the paper's rule: final answers are not siblings to choose among, whole right trajectories of a
            problem are preferred to whole wrong ones) or "siblings" (a final answer is a step like others).
    """

    per_side: int = 2
    against_one: int = 2
    min_margin: float = 0.0
    min_edit_distance: int = 0
    final_step: Literal["trajectories", "siblings"] = "trajectories"

    def __post_init__(self) -> None:
        if not 1 <= self.per_side <= self.against_one:
            raise ConfigError(
                f"pairs: expected 1 <= per_side <= against_one, got {self.per_side} and {self.against_one}"
            )
        if self.min_margin < 0 or self.min_edit_distance < 0:
            raise ConfigError(
                f"pairs: expected min_margin and min_edit_distance of 0 or more, got {self.min_margin} and {self.min_edit_distance}"
            )
        if self.final_step not in ("trajectories", "siblings"):
            raise ConfigError(
                f"pairs: final_step: expected trajectories or siblings, got {self.final_step!r}"
            )


PAPER = PairRules()
RELEASED = PairRules(against_one=4, min_margin=0.5, min_edit_distance=20, final_step="siblings")


@dataclass(frozen=True, slots=True)
class PairGroup:
    """Continuations of one prefix, some preferred to others.

    Attributes:
        problem: of the tree.
        kind: "step" (siblings) or "trajectory" (whole solutions behind an empty prefix).
        prefix: the texts of the steps that all have in common.
        chosen: the preferred continuations, best first, each the texts of its steps.
        rejected: the others, worst first.
        chosen_q: Q of each, for trajectories the mean Q.
        rejected_q: likewise.
        chosen_logprob: log-probability of each one's tokens under the policy that wrote them, nats; None where unknown.
        rejected_logprob: likewise.
        pairs: (index into chosen, index into rejected) of those compared: all, less what the rules forbid.
    """

    problem: Problem
    kind: Literal["step", "trajectory"]
    prefix: StepTexts
    chosen: tuple[StepTexts, ...]
    rejected: tuple[StepTexts, ...]
    chosen_q: tuple[float, ...]
    rejected_q: tuple[float, ...]
    chosen_logprob: tuple[float | None, ...]
    rejected_logprob: tuple[float | None, ...]
    pairs: tuple[tuple[int, int], ...]

    @property
    def weight(self) -> float:
        """Of each pair in the loss: 1 / (chosen * rejected), as many as were picked, forbidden pairs included."""
        return 1 / (len(self.chosen) * len(self.rejected))


def pair_groups(tree: Tree, rules: PairRules = PAPER) -> list[PairGroup]:
    """The pairs of a problem: one group per step with both sides, by the order of the prefix's node, then the trajectories'.

    A step that leads to right and to wrong answers may stand on both sides, never in a pair with itself.

    Args:
        tree: all of the problem's searches, see `merge`.
        rules: see `PairRules`.

    Raises:
        DataError: an answer was not graded.
    """
    to_right, to_wrong = _leads_to(tree)
    groups = []
    for parent, children in zip(tree.nodes, children_of(tree.nodes), strict=True):
        if rules.final_step == "trajectories":
            children = [child for child in children if child.end != "answer"]
        good = sorted(
            (child for child in children if to_right[child.id]),
            key=lambda child: (-child.q, child.id),
        )
        bad = sorted(
            (child for child in children if to_wrong[child.id]),
            key=lambda child: (child.q, child.id),
        )
        good, bad = _picked(good, bad, rules)
        pairs = _pairs(good, bad, lambda one, other: _may_pair(one, other, rules))
        if pairs:
            groups.append(
                PairGroup(
                    problem=tree.problem,
                    kind="step",
                    prefix=tuple(node.text for node in tree.path(parent.id)),
                    chosen=tuple((node.text,) for node in good),
                    rejected=tuple((node.text,) for node in bad),
                    chosen_q=tuple(node.q for node in good),
                    rejected_q=tuple(node.q for node in bad),
                    chosen_logprob=tuple(step_logprob(node) for node in good),
                    rejected_logprob=tuple(step_logprob(node) for node in bad),
                    pairs=pairs,
                )
            )
    if rules.final_step == "trajectories":
        groups += _trajectory_groups(tree, rules)
    return groups


def all_pair_groups(trees: Iterable[Tree], rules: PairRules = PAPER) -> list[PairGroup]:
    """The pairs of a round's trees, several searches of a problem merged.

    Raises:
        DataError: there is no pair at all, or an answer was not graded.
    """
    problems = merged(trees)
    groups = [group for tree in problems for group in pair_groups(tree, rules)]
    if not groups:
        only_right = sum(difficulty(tree) == "easy" for tree in problems)
        without = sum(not tree.finals() for tree in problems)
        only_wrong = sum(difficulty(tree) == "hard" for tree in problems) - without
        raise DataError(
            f"no preference pairs: of {len(problems)} problems {only_right} have only right trajectories, "
            f"{only_wrong} only wrong ones, {without} none; "
            "pairs need problems with both: other problems, more rollouts or a higher temperature"
        )
    return groups


def _leads_to(tree: Tree) -> tuple[list[bool], list[bool]]:
    """By node, whether a right answer and whether a wrong one is at it or below."""
    right, wrong = [False] * len(tree.nodes), [False] * len(tree.nodes)
    for node in reversed(tree.nodes):
        if node.end == "answer":
            graded = require_grade(tree, node)
            right[node.id] |= graded
            wrong[node.id] |= not graded
        if node.parent >= 0:
            right[node.parent] |= right[node.id]
            wrong[node.parent] |= wrong[node.id]
    return right, wrong


def _picked(
    good: Sequence[Item], bad: Sequence[Item], rules: PairRules
) -> tuple[list[Item], list[Item]]:
    """Of both sides those that take part."""
    num_good = rules.against_one if len(bad) == 1 else rules.per_side
    num_bad = rules.against_one if len(good) == 1 else rules.per_side
    return list(good[:num_good]), list(bad[:num_bad])


def _pairs(
    good: list[Item], bad: list[Item], may: Callable[[Item, Item], bool]
) -> tuple[tuple[int, int], ...]:
    return tuple(
        (i, j) for i, one in enumerate(good) for j, other in enumerate(bad) if may(one, other)
    )


def _may_pair(one: Node, other: Node, rules: PairRules) -> bool:
    margin = one.q - other.q
    return (
        margin > 0
        and margin >= rules.min_margin
        and at_least(one.text, other.text, rules.min_edit_distance)
    )


def _trajectory_groups(tree: Tree, rules: PairRules) -> list[PairGroup]:
    found = trajectories(tree)
    good: list[Trajectory] = sorted(
        (one for one in found if one.correct), key=lambda one: (-one.mean_q, -one.min_q, one.node)
    )
    bad: list[Trajectory] = sorted(
        (one for one in found if not one.correct), key=lambda one: (one.mean_q, one.min_q, one.node)
    )
    good, bad = _picked(good, bad, rules)
    pairs = _pairs(good, bad, lambda one, other: True)
    if not pairs:
        return []
    return [
        PairGroup(
            problem=tree.problem,
            kind="trajectory",
            prefix=(),
            chosen=tuple(one.steps for one in good),
            rejected=tuple(one.steps for one in bad),
            chosen_q=tuple(one.mean_q for one in good),
            rejected_q=tuple(one.mean_q for one in bad),
            chosen_logprob=tuple(one.logprob for one in good),
            rejected_logprob=tuple(one.logprob for one in bad),
            pairs=pairs,
        )
    ]
