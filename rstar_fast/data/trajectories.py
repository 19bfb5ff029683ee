"""Trajectories of finished trees: paths from the root to a final answer."""

from collections.abc import Sequence
from dataclasses import dataclass

from rstar_fast.errors import DataError
from rstar_fast.problems import Problem
from rstar_fast.tree import Node, Tree, total_logprob


@dataclass(frozen=True, slots=True)
class Trajectory:
    """A solution in a tree, with the statistics of its search.

    Attributes:
        problem: Problem that it solves or fails to solve.
        node: Id of its last node in the tree.
        steps: Texts of its steps, observations included.
        qs: Mean value of each step, in [-1, 1].
        answer: Final answer.
        correct: Whether the answer is right.
        failed_code: Whether the program of any step failed.
        logprobs: Log-probability of each step's tokens under the policy that wrote them, nats. None
            where the policy does not report it.
        observations: What running each step showed where its text does not have it, or "". See
            `Node.unseen_observation`.
    """

    problem: Problem
    node: int
    steps: tuple[str, ...]
    qs: tuple[float, ...]
    answer: str
    correct: bool
    failed_code: bool
    logprobs: tuple[float | None, ...]
    observations: tuple[str, ...]

    @property
    def text(self) -> str:
        """Text of the whole solution."""
        return "".join(self.steps)

    @property
    def logprob(self) -> float | None:
        """Log-probability of all steps together, nats. None where one of them is not known."""
        known = [one for one in self.logprobs if one is not None]
        return sum(known) if len(known) == len(self.logprobs) else None

    @property
    def mean_q(self) -> float:
        """Mean Q of the steps, the last one included."""
        return sum(self.qs) / len(self.qs)

    @property
    def min_q(self) -> float:
        """Lowest Q of the steps."""
        return min(self.qs)


def trajectories(tree: Tree) -> list[Trajectory]:
    """Return the trajectories of a tree, in order of their last nodes.

    Branches that ended without an answer are left out, and answers whose grade is unsure.

    Raises:
        DataError: An answer was not graded, as in a problem without accepted answers.
    """
    return [_trajectory(tree, node) for node in tree.finals() if not node.unsure]


def code_failed(node: Node) -> bool:
    """Return whether the program of a step ended in anything but success."""
    return node.consecutive_errors > 0 or node.status not in ("", "ok")


def mean_logprob(nodes: Sequence[Node]) -> float | None:
    """Return the mean log-probability of all tokens of some steps, under their policy, in nats.

    None if there are no steps, or the policy does not report the log-probabilities of one.
    """
    logprobs = [node.logprobs for node in nodes]
    if not logprobs or not all(logprobs):
        return None
    return sum(map(sum, logprobs)) / sum(map(len, logprobs))


def step_logprob(node: Node) -> float | None:
    """Return the log-probability of a step's tokens under the policy that wrote them, in nats.

    None if the policy does not report it.
    """
    return total_logprob(node.logprob_bytes) if node.logprob_bytes else None


def require_grade(tree: Tree, node: Node) -> bool:
    """Return whether a final answer is right.

    Raises:
        DataError: The answer was not graded.
    """
    if node.correct is None:
        raise DataError(
            f"problem {tree.problem.id!r}: node {node.id}: expected a graded answer, "
            f"got {node.answer!r} without a grade: "
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
        observations=tuple(node.unseen_observation for node in path),
    )
