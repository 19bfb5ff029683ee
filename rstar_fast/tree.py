"""A finished tree as plain data: what a search gives back, what a run folder stores, what training data is made from."""

import struct
from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass, field
from math import nan
from typing import Literal

from rstar_fast._core import ids_to_bytes, logprobs_to_bytes
from rstar_fast.problems import Problem
from rstar_fast.steps import Segment

EndReason = Literal["", "answer", "errors", "depth", "stuck"]
"""Why a node is a leaf for good: a final answer, too many code errors, too many steps, text that can't go on; "" otherwise."""


@dataclass(slots=True)
class Node:
    """One step of one tree.

    Attributes:
        id: position in `Tree.nodes`; children come after their parent, siblings together.
        parent: id of the parent, -1 at the root.
        depth: steps from the root.
        step: the text the policy wrote.
        suffix: what the search appended (an observation in its marks), else "".
        id_bytes: `token_ids` as int32: a tuple of integers takes nine times as much.
        logprob_bytes: `logprobs` as float32.
        exact: whether the token ids spell exactly `step`.
        finish: how the step ended: "mark", "eos" or "length".
        observation: what running it showed; None if it was not run.
        status: how its program ended (`verify.Status` as text); "" if it was not run.
        consecutive_errors: failed programs in a row up to this step.
        end: see `EndReason`.
        answer: the final answer given, else "".
        correct: whether that answer is right; None if not graded.
        score: of the PPM, in [-1, 1]; None if not scored.
        q: mean value, 0 if never visited.
        visits: how many values were added.
        exhausted: nothing below (or at) this node can be selected any more.
    """

    id: int
    parent: int
    depth: int
    step: str = ""
    suffix: str = ""
    id_bytes: bytes = b""
    logprob_bytes: bytes = b""
    exact: bool = True
    finish: str = "mark"
    observation: str | None = None
    status: str = ""
    consecutive_errors: int = 0
    end: EndReason = ""
    answer: str = ""
    correct: bool | None = None
    score: float | None = None
    q: float = 0.0
    visits: int = 0
    exhausted: bool = False

    @property
    def text(self) -> str:
        """The step as its descendants see it."""
        return self.step + self.suffix

    @property
    def token_ids(self) -> tuple[int, ...]:
        """What the policy sampled; empty where it did not tell."""
        return struct.unpack(f"{len(self.id_bytes) // 4}i", self.id_bytes)

    @token_ids.setter
    def token_ids(self, ids: Sequence[int]) -> None:
        (self.id_bytes,) = ids_to_bytes([ids])

    @property
    def logprobs(self) -> tuple[float, ...]:
        """Log-probability of each token id under the model's own distribution."""
        return struct.unpack(f"{len(self.logprob_bytes) // 4}f", self.logprob_bytes)

    @logprobs.setter
    def logprobs(self, logprobs: Sequence[float]) -> None:
        (self.logprob_bytes,) = logprobs_to_bytes([logprobs])

    def segments(self) -> tuple[Segment, ...]:
        """The text in pieces, with the token ids of what the policy wrote."""
        own = Segment(self.step, self.token_ids if self.id_bytes and self.exact else None)
        return (own, Segment(self.suffix)) if self.suffix else (own,)


def total_logprob(logprob_bytes: bytes) -> float:
    """The sum of log-probabilities that are kept as float32 (`Node.logprob_bytes`); NaN of none."""
    return sum(memoryview(logprob_bytes).cast("f"), 0.0) if logprob_bytes else nan


@dataclass(slots=True)
class Tree:
    """One problem's search, finished.

    Attributes:
        problem: what was searched.
        nodes: root first, in order of creation.
        seed: the search's seed.
        timings: seconds by kind of work, summed over this problem's requests.
        counts: how many requests and tokens it took.
    """

    problem: Problem
    nodes: list[Node]
    seed: int = 0
    timings: dict[str, float] = field(default_factory=dict)
    counts: dict[str, int] = field(default_factory=dict)

    def path(self, node: int) -> list[Node]:
        """The nodes from the root (left out) down to `node`."""
        return path_to(self.nodes, node)

    def text(self, node: int) -> str:
        """The solution up to and including `node`."""
        return "".join(step.text for step in self.path(node))

    def children(self, node: int) -> list[Node]:
        """The children of a node, in order of creation."""
        return [child for child in self.nodes if child.parent == node]

    def finals(self) -> list[Node]:
        """The nodes that give a final answer."""
        return [node for node in self.nodes if node.end == "answer"]

    @property
    def solved(self) -> bool:
        """Whether any trajectory's answer was graded correct."""
        return any(node.correct for node in self.nodes)

    def best(self) -> Node | None:
        """The final node with the highest score (highest Q where none was scored); ties go to the first; None without finals."""
        finals = self.finals()
        if not finals:
            return None
        if any(node.score is not None for node in finals):
            return max(finals, key=lambda node: -2.0 if node.score is None else node.score)
        return max(finals, key=lambda node: node.q)

    def majority(self) -> Node | None:
        """The first final node of the answer given most often; ties go to the answer given first; None without finals."""
        votes: dict[str, list[Node]] = defaultdict(list)
        for node in self.finals():
            votes[node.answer].append(node)
        return max(votes.values(), key=len)[0] if votes else None


def path_to(nodes: list[Node], node: int) -> list[Node]:
    """The nodes from the root (left out) down to `node`."""
    found = []
    while node > 0:
        found.append(nodes[node])
        node = nodes[node].parent
    return found[::-1]
