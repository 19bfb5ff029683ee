"""Preference pairs for the PPM (rStar-Math, section 3.3)."""

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from typing import Literal, NamedTuple

from rstar_fast.data.difficulty import difficulty
from rstar_fast.data.edit_distance import at_least
from rstar_fast.data.merging import merged
from rstar_fast.data.pair_rules import PAPER, PairRules
from rstar_fast.data.same_programs import (
    DistinctStep,
    Key,
    distinct_steps,
    distinct_trajectories,
)
from rstar_fast.data.trajectories import Trajectory, require_grade, step_logprob, trajectories
from rstar_fast.errors import DataError
from rstar_fast.problems import Problem
from rstar_fast.tree import Node, Tree, children_of

StepTexts = tuple[str, ...]


@dataclass(frozen=True, slots=True)
class PairGroup:
    """Continuations of one prefix, some of them preferred to others.

    Attributes:
        problem: Problem of the tree.
        kind: Kind of the continuations: "step" (siblings) or "trajectory" (whole solutions, with
            an empty prefix).
        prefix: Texts of the steps before the continuations.
        chosen: Preferred continuations, best first, each as the texts of its steps.
        rejected: Other continuations, worst first, each as the texts of its steps.
        chosen_q: Q of every preferred continuation. The mean Q for trajectories.
        rejected_q: Q of every other continuation. The mean Q for trajectories.
        chosen_logprob: Log-probability of every preferred continuation's tokens under the policy
            that wrote them, nats. None where it is not known.
        rejected_logprob: Log-probability of every other continuation's tokens under the policy
            that wrote them, nats. None where it is not known.
        pairs: Index into `chosen` and index into `rejected` of every pair that is compared. Pairs
            that the rules forbid are left out.
        prefix_observations: What running each step of the prefix showed where its text does not
            have it, or "". See `Node.unseen_observation`. () where it is not known.
        chosen_observations: The same for the steps of every preferred continuation.
        rejected_observations: The same for the steps of every other continuation.
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
    prefix_observations: StepTexts = ()
    chosen_observations: tuple[StepTexts, ...] = ()
    rejected_observations: tuple[StepTexts, ...] = ()

    @property
    def weight(self) -> float:
        """Weight of each pair in the loss: 1 / (chosen * rejected), forbidden pairs included."""
        return 1 / (len(self.chosen) * len(self.rejected))


def pair_groups(tree: Tree, rules: PairRules = PAPER) -> list[PairGroup]:
    """Return the groups of pairs of a problem.

    There is one group for every step whose children include good and bad ones, in order of the
    step's node. The group of trajectories comes last. Siblings with the same program count as one,
    with the evidence of all of them. A step that leads to right and to wrong answers may be on both
    sides of a group, but never in a pair with itself.

    Args:
        tree: Search of the problem. Use `merge` on several searches first.
        rules: Rules of the pairs.

    Raises:
        DataError: An answer was not graded.
    """
    groups = _step_groups(tree, rules)
    if rules.final_step == "trajectories":
        groups += _trajectory_groups(tree, rules)
    return groups


def all_pair_groups(trees: Iterable[Tree], rules: PairRules = PAPER) -> list[PairGroup]:
    """Return the groups of pairs of a round's trees. Several searches of a problem are merged.

    Args:
        trees: Trees of a round, in any number per problem.
        rules: Rules of the pairs.

    Raises:
        DataError: There is no pair at all, or an answer was not graded.
    """
    problems = merged(trees)
    groups = [group for tree in problems for group in pair_groups(tree, rules)]
    if not groups:
        only_right = sum(difficulty(tree) == "easy" for tree in problems)
        without = sum(not tree.finals() for tree in problems)
        only_wrong = sum(difficulty(tree) == "hard" for tree in problems) - without
        raise DataError(
            f"no preference pairs: of {len(problems)} problems "
            f"{only_right} have only right trajectories, {only_wrong} only wrong ones, "
            f"{without} none; pairs need problems with both: "
            "other problems, more rollouts or a higher temperature"
        )
    return groups


class _Continuation(NamedTuple):
    key: Key
    steps: StepTexts
    q: float
    logprob: float | None
    observations: StepTexts

    @classmethod
    def of(cls, step: DistinctStep) -> "_Continuation":
        node = step.node
        logprob, observations = step_logprob(node), (node.unseen_observation,)
        return cls(step.key, (node.text,), step.q, logprob, observations)


def _step_groups(tree: Tree, rules: PairRules) -> list[PairGroup]:
    to_right, to_wrong = _leads_to(tree)

    def may_pair(one: _Continuation, other: _Continuation) -> bool:
        margin = one.q - other.q
        (text,), (other_text,) = one.steps, other.steps
        return (
            margin > 0
            and margin >= rules.min_margin
            and at_least(text, other_text, rules.min_edit_distance)
        )

    groups = []
    for parent, children in zip(tree.nodes, children_of(tree.nodes), strict=True):
        if rules.final_step == "trajectories":
            children = [child for child in children if child.end != "answer"]
        if not (
            any(to_right[child.id] for child in children)
            and any(to_wrong[child.id] for child in children)
        ):
            continue
        steps = distinct_steps(children, rules.by_program)
        good = [step for step in steps if any(to_right[node] for node in step.ids)]
        bad = [step for step in steps if any(to_wrong[node] for node in step.ids)]
        good.sort(key=lambda step: (-step.q, step.node.id))
        bad.sort(key=lambda step: (step.q, step.node.id))
        groups += _group(
            tree.problem,
            "step",
            tree.path(parent.id),
            list(map(_Continuation.of, good)),
            list(map(_Continuation.of, bad)),
            (rules.per_side, rules.against_one),
            may_pair,
        )
    return groups


def _trajectory_groups(tree: Tree, rules: PairRules) -> list[PairGroup]:
    found = distinct_trajectories(tree, trajectories(tree), rules.by_program)
    good = [one for one in found if one[1].correct]
    bad = [one for one in found if not one[1].correct]
    good.sort(key=lambda found: (-found[1].mean_q, -found[1].min_q, found[1].node))
    bad.sort(key=lambda found: (found[1].mean_q, found[1].min_q, found[1].node))

    def continuations(side: Sequence[tuple[Key, Trajectory]]) -> list[_Continuation]:
        return [
            _Continuation(key, one.steps, one.mean_q, one.logprob, one.observations)
            for key, one in side
        ]

    return _group(
        tree.problem,
        "trajectory",
        (),
        continuations(good),
        continuations(bad),
        (rules.final_per_side, max(rules.final_per_side, rules.against_one)),
        lambda one, other: True,
    )


def _leads_to(tree: Tree) -> tuple[list[bool], list[bool]]:
    """Return whether a right answer, and whether a wrong one, is at or below each node."""
    right, wrong = [False] * len(tree.nodes), [False] * len(tree.nodes)
    for node in reversed(tree.nodes):
        if node.end == "answer" and not node.unsure:
            graded = require_grade(tree, node)
            right[node.id] |= graded
            wrong[node.id] |= not graded
        if node.parent >= 0:
            right[node.parent] |= right[node.id]
            wrong[node.parent] |= wrong[node.id]
    return right, wrong


def _group(
    problem: Problem,
    kind: Literal["step", "trajectory"],
    prefix: Sequence[Node],
    good: Sequence[_Continuation],
    bad: Sequence[_Continuation],
    limits: tuple[int, int],
    may_pair: Callable[[_Continuation, _Continuation], bool],
) -> list[PairGroup]:
    """Return the group of the best and the worst continuations, or nothing if none may be paired.

    Args:
        problem: Problem of the tree.
        kind: Kind of the continuations.
        prefix: Steps before the continuations.
        good: Continuations that lead to a right answer, best first.
        bad: Continuations that lead to a wrong answer, worst first.
        limits: Most continuations kept on each side, and on a side whose other side has only one.
        may_pair: Whether the first continuation may be preferred to the second. Continuations with
            the same key are never paired.
    """
    per_side, against_one = limits
    chosen = good[: against_one if len(bad) == 1 else per_side]
    rejected = bad[: against_one if len(good) == 1 else per_side]
    pairs = tuple(
        (i, j)
        for i, one in enumerate(chosen)
        for j, other in enumerate(rejected)
        if one.key != other.key and may_pair(one, other)
    )
    if not pairs:
        return []
    group = PairGroup(
        problem=problem,
        kind=kind,
        prefix=tuple(node.text for node in prefix),
        chosen=tuple(one.steps for one in chosen),
        rejected=tuple(one.steps for one in rejected),
        chosen_q=tuple(one.q for one in chosen),
        rejected_q=tuple(one.q for one in rejected),
        chosen_logprob=tuple(one.logprob for one in chosen),
        rejected_logprob=tuple(one.logprob for one in rejected),
        pairs=pairs,
        prefix_observations=tuple(node.unseen_observation for node in prefix),
        chosen_observations=tuple(one.observations for one in chosen),
        rejected_observations=tuple(one.observations for one in rejected),
    )
    return [group]
