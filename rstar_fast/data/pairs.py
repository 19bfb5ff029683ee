"""Preference pairs for the PPM (rStar-Math, section 3.3)."""

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from typing import Literal, NamedTuple

from rstar_fast.data.difficulty import difficulty
from rstar_fast.data.edit_distance import at_least
from rstar_fast.data.merging import children_of, merged
from rstar_fast.data.pair_rules import PAPER, PairRules
from rstar_fast.data.trajectories import require_grade, step_logprob, trajectories
from rstar_fast.errors import DataError
from rstar_fast.problems import Problem
from rstar_fast.tree import Tree

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
        """Weight of each pair in the loss: 1 / (chosen * rejected), forbidden pairs included."""
        return 1 / (len(self.chosen) * len(self.rejected))


def pair_groups(tree: Tree, rules: PairRules = PAPER) -> list[PairGroup]:
    """Return the groups of pairs of a problem.

    There is one group for every step whose children include good and bad ones, in order of the
    step's node. The group of trajectories comes last. A step that leads to right and to wrong
    answers may be on both sides of a group, but never in a pair with itself.

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
    steps: StepTexts
    q: float
    logprob: float | None


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
        good = [child for child in children if to_right[child.id]]
        bad = [child for child in children if to_wrong[child.id]]
        if not good or not bad:
            continue
        good.sort(key=lambda child: (-child.q, child.id))
        bad.sort(key=lambda child: (child.q, child.id))
        groups += _group(
            tree.problem,
            "step",
            tuple(node.text for node in tree.path(parent.id)),
            [_Continuation((node.text,), node.q, step_logprob(node)) for node in good],
            [_Continuation((node.text,), node.q, step_logprob(node)) for node in bad],
            rules,
            may_pair,
        )
    return groups


def _trajectory_groups(tree: Tree, rules: PairRules) -> list[PairGroup]:
    found = trajectories(tree)
    good = [one for one in found if one.correct]
    bad = [one for one in found if not one.correct]
    good.sort(key=lambda one: (-one.mean_q, -one.min_q, one.node))
    bad.sort(key=lambda one: (one.mean_q, one.min_q, one.node))
    return _group(
        tree.problem,
        "trajectory",
        (),
        [_Continuation(one.steps, one.mean_q, one.logprob) for one in good],
        [_Continuation(one.steps, one.mean_q, one.logprob) for one in bad],
        rules,
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
    prefix: StepTexts,
    good: Sequence[_Continuation],
    bad: Sequence[_Continuation],
    rules: PairRules,
    may_pair: Callable[[_Continuation, _Continuation], bool],
) -> list[PairGroup]:
    """Return the group of the best and the worst continuations, or nothing if none may be paired.

    Args:
        problem: Problem of the tree.
        kind: Kind of the continuations.
        prefix: Texts of the steps before the continuations.
        good: Continuations that lead to a right answer, best first.
        bad: Continuations that lead to a wrong answer, worst first.
        rules: Rules that say how many are kept on each side.
        may_pair: Whether the first continuation may be preferred to the second.
    """
    chosen = good[: rules.against_one if len(bad) == 1 else rules.per_side]
    rejected = bad[: rules.against_one if len(good) == 1 else rules.per_side]
    pairs = tuple(
        (i, j)
        for i, one in enumerate(chosen)
        for j, other in enumerate(rejected)
        if may_pair(one, other)
    )
    if not pairs:
        return []
    group = PairGroup(
        problem=problem,
        kind=kind,
        prefix=prefix,
        chosen=tuple(one.steps for one in chosen),
        rejected=tuple(one.steps for one in rejected),
        chosen_q=tuple(one.q for one in chosen),
        rejected_q=tuple(one.q for one in rejected),
        chosen_logprob=tuple(one.logprob for one in chosen),
        rejected_logprob=tuple(one.logprob for one in rejected),
        pairs=pairs,
    )
    return [group]
