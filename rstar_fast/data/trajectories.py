"""From finished trees to trajectories: paths from the root to a final answer."""

from collections.abc import Sequence
from dataclasses import dataclass

from rstar_fast.errors import DataError
from rstar_fast.problems import Problem
from rstar_fast.tree import Node, Tree, total_logprob


@dataclass(frozen=True, slots=True)
class Trajectory:
    """One solution of a tree, with the statistics its search gave it.

    Attributes:
        problem: what it solves, or fails to.
        node: the tree's id of its last step.
        steps: the texts of its steps, observations included.
        qs: mean value of each step, in [-1, 1].
        answer: the final answer.
        correct: whether that is right.
        failed_code: whether the program of any step failed.
        logprobs: log-probability of each step's tokens under the policy that wrote them, nats; None where it does not tell.
    """

    problem: Problem
    node: int
    steps: tuple[str, ...]
    qs: tuple[float, ...]
    answer: str
    correct: bool
    failed_code: bool
    logprobs: tuple[float | None, ...]

    @property
    def text(self) -> str:
        """The whole solution."""
        return "".join(self.steps)

    @property
    def logprob(self) -> float | None:
        """Of all steps together, nats; None where one is not known."""
        known = [one for one in self.logprobs if one is not None]
        return sum(known) if len(known) == len(self.logprobs) else None

    @property
    def mean_q(self) -> float:
        """Mean of the steps' Q, the last one's included."""
        return sum(self.qs) / len(self.qs)

    @property
    def min_q(self) -> float:
        """Lowest Q of the steps."""
        return min(self.qs)


def trajectories(tree: Tree) -> list[Trajectory]:
    """The trajectories of a tree, in order of their last nodes; branches that ended without an answer are none.

    Raises:
        DataError: an answer was not graded (a problem without accepted answers).
    """
    return [_trajectory(tree, node) for node in tree.finals()]


def code_failed(node: Node) -> bool:
    """Whether the program of a step ended in anything but success."""
    return node.consecutive_errors > 0 or node.status not in ("", "ok")


def mean_logprob(nodes: Sequence[Node]) -> float | None:
    """Mean log-probability of the tokens of some steps under the policy that wrote them, nats; None where one does not tell."""
    told = [node.logprobs for node in nodes]
    return sum(map(sum, told)) / sum(map(len, told)) if told and all(told) else None


def step_logprob(node: Node) -> float | None:
    """Log-probability of the tokens of a step under the policy that wrote it, nats; None where it does not tell."""
    return total_logprob(node.logprob_bytes) if node.logprob_bytes else None


def require_grade(tree: Tree, node: Node) -> bool:
    """Whether a final answer is right.

    Raises:
        DataError: nobody graded it.
    """
    if node.correct is None:
        raise DataError(
            f"problem {tree.problem.id!r}: node {node.id}: expected a graded answer, got {node.answer!r} without a grade: "
            "data can be made only of problems with accepted answers"
        )
    return node.correct


def _trajectory(tree: Tree, last: Node) -> Trajectory:
    path = tree.path(last.id)
    return Trajectory(
        problem=tree.problem,
        node=last.id,
        steps=tuple(node.text for node in path),
        qs=tuple(node.q for node in path),
        answer=last.answer,
        correct=require_grade(tree, last),
        failed_code=any(map(code_failed, path)),
        logprobs=tuple(step_logprob(node) for node in path),
    )
