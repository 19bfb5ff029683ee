"""What a table of a run says of a tree, so that nobody reads whole trees for it."""

from dataclasses import dataclass

from rstar_fast.tree import Tree

MAX_CHARACTERS = 200
"""Number of characters that a summary keeps of an answer."""


@dataclass(slots=True)
class TreeSummary:
    """Facts about a finished tree.

    Attributes:
        id: Key of the problem (`Problem.key`).
        copy: Number of the problem's copy, or None.
        expected: Beginning of the accepted answers, with commas between them. None where no answer
            is known.
        solved: Whether any trajectory has a correct answer.
        best: Beginning of the chosen answer (`Tree.best`). None if there is no answer.
        best_correct: Whether the chosen answer is right. None if it was not graded.
        majority_correct: Whether the most frequent answer (`Tree.majority`) is right.
        unsure: Number of final answers whose grade is unsure.
        nodes: Number of nodes without the root.
        tokens: Number of tokens generated for the tree.
        seconds: Seconds that its search took, to 3 decimals.
    """

    id: str
    copy: int | None
    expected: str | None
    solved: bool
    best: str | None
    best_correct: bool | None
    majority_correct: bool
    unsure: int
    nodes: int
    tokens: int
    seconds: float

    @classmethod
    def of(cls, tree: Tree) -> "TreeSummary":
        """Return the summary of a tree."""
        problem, best, majority = tree.problem, tree.best(), tree.majority()
        expected = ", ".join(problem.answers) if problem.answers else None
        return cls(
            id=problem.key,
            copy=problem.copy,
            expected=None if expected is None else expected[:MAX_CHARACTERS],
            solved=tree.solved,
            best=None if best is None else best.answer[:MAX_CHARACTERS],
            best_correct=None if best is None else best.correct,
            majority_correct=bool(majority and majority.correct),
            unsure=sum(node.unsure for node in tree.nodes),
            nodes=len(tree.nodes) - 1,
            tokens=tree.counts.get("generated_tokens", 0),
            seconds=round(tree.timings.get("total", 0.0), 3),
        )

    @property
    def problem_id(self) -> str:
        """Id of the problem, without the number of its copy."""
        return self.id if self.copy is None else self.id.removesuffix(f"#{self.copy}")
