"""A finished tree as plain data.

A search returns it, a run folder stores it, and training data is made of it.
"""

import struct
from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass, field
from itertools import takewhile
from math import exp, nan
from typing import Literal

from rstar_fast._core import ids_to_bytes, logprobs_to_bytes
from rstar_fast.problems import Problem
from rstar_fast.steps import Segment

EndReason = Literal["", "answer", "errors", "depth", "stuck", "budget"]
"""Reason why a node is a leaf for good.

"answer": it gives a final answer. "errors": too many steps raised. "depth": the path has too many
steps. "stuck": its text is empty. "budget": it was cut for want of tokens. "": it is no such leaf.
"""
Ended = Literal["", "rollouts", "paths", "exhausted", "budget", "sure", "settled", "price"]
"""Reason why the search of a problem ended.

"rollouts": all rollouts were made. "paths": all paths of another strategy ended. "exhausted":
nothing could be selected any more. "budget": the tokens were spent. "sure", "settled", "price":
`stop_when_sure`, `stop_when_settled` or `token_price` ended it. "": not known, as in trees of older
versions.
"""


@dataclass(slots=True)
class Node:
    """One step of one tree.

    Attributes:
        id: Position in `Tree.nodes`. Children come after their parent. Siblings stand together but
            where they were drawn one by one (`SearchConfig.widening`).
        parent: Id of the parent. -1 at the root.
        depth: Number of steps from the root.
        step: Text that the policy wrote.
        suffix: Text that the search appended: an observation in its marks, or "".
        id_bytes: `token_ids` as int32. A tuple of integers takes nine times the room.
        logprob_bytes: `logprobs` as float32. Empty if a thinking part was cut off `step`.
        exact: Whether the token ids spell exactly `step`.
        finish: Way in which the step ended: "mark", "eos" or "length".
        observation: Text that running the step showed. None if it was not run.
        status: Way in which its program ended, a `verify.Status` as text. "" if it was not run.
        consecutive_errors: Number of failed programs in a row up to this step.
        end: Reason why it is a leaf, see `EndReason`.
        answer: Final answer that it gives, or "".
        correct: Whether that answer is right. None if it was not graded.
        unsure: Whether grading could not decide. `correct` is then False.
        score: Score of the PPM, in [-1, 1]. None if it was not scored.
        q: Mean value. 0 if it was never visited.
        visits: Number of values that were added.
        exhausted: Whether nothing at or below this node can be selected any more.
        draws: Number of the policy's candidates that gave this node. More than 1 if the same step
            was written again.
        spent: Number of tokens that were generated for the tree up to and including the candidate
            that made the node. 0 where the policy told no tokens.
        version: Number of the weights that drew its tokens. 0 where the policy told none.
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
    unsure: bool = False
    score: float | None = None
    q: float = 0.0
    visits: int = 0
    exhausted: bool = False
    draws: int = 1
    spent: int = 0
    version: int = 0

    @property
    def text(self) -> str:
        """Text of the step as its descendants see it."""
        return self.step + self.suffix

    @property
    def unseen_observation(self) -> str:
        """Observation that its descendants do not see, as the step leaves its block open.

        "" if there is none.
        """
        return "" if self.suffix else self.observation or ""

    @property
    def token_ids(self) -> tuple[int, ...]:
        """Token ids that the policy sampled, those of a thinking part among them.

        Empty if it did not tell.
        """
        return struct.unpack(f"{len(self.id_bytes) // 4}i", self.id_bytes)

    @token_ids.setter
    def token_ids(self, ids: Sequence[int]) -> None:
        (self.id_bytes,) = ids_to_bytes([ids])

    @property
    def logprobs(self) -> tuple[float, ...]:
        """Log-probability of each token under the model's own distribution, nats."""
        return struct.unpack(f"{len(self.logprob_bytes) // 4}f", self.logprob_bytes)

    @logprobs.setter
    def logprobs(self, logprobs: Sequence[float]) -> None:
        (self.logprob_bytes,) = logprobs_to_bytes([logprobs])

    def segments(self) -> tuple[Segment, ...]:
        """Return the text in pieces, with the token ids of the part that the policy wrote."""
        own = Segment(self.step, self.token_ids if self.id_bytes and self.exact else None)
        return (own, Segment(self.suffix)) if self.suffix else (own,)


def total_logprob(logprob_bytes: bytes) -> float:
    """Return the sum of log-probabilities kept as float32 (`Node.logprob_bytes`). NaN of none."""
    return sum(memoryview(logprob_bytes).cast("f"), 0.0) if logprob_bytes else nan


def probability(logprob_bytes: bytes) -> float:
    """Return the probability of a step from its log-probabilities (`Node.logprob_bytes`).

    It is 1 where an engine told log-probabilities of more than 0. NaN of none.
    """
    return exp(min(total_logprob(logprob_bytes), 0.0))


def children_of(nodes: Sequence[Node]) -> list[list[Node]]:
    """Return the children of every node, in order of creation."""
    children: list[list[Node]] = [[] for _ in nodes]
    for node in nodes[1:]:
        children[node.parent].append(node)
    return children


@dataclass(slots=True)
class Tree:
    """The finished search of one problem.

    Attributes:
        problem: Problem that was searched.
        nodes: Nodes in the order of their creation, the root first.
        seed: Seed of the search.
        timings: Seconds by kind of work, summed over the problem's requests.
        counts: Numbers of requests and tokens by kind.
        ended: Reason why the search ended, see `Ended`.
        sure: Probability that the leading answer stays the leader, by `search.votes.sureness`: from
            the votes alone and never from the known answers. None without an answer.
    """

    problem: Problem
    nodes: list[Node]
    seed: int = 0
    timings: dict[str, float] = field(default_factory=dict)
    counts: dict[str, int] = field(default_factory=dict)
    ended: Ended = ""
    sure: float | None = None

    def path(self, node: int) -> list[Node]:
        """Return the nodes on the path to `node`, without the root."""
        return path_to(self.nodes, node)

    def text(self, node: int) -> str:
        """Return the text of the solution up to and including `node`."""
        return "".join(step.text for step in self.path(node))

    def children(self, node: int) -> list[Node]:
        """Return the children of a node, in the order of their creation."""
        return [child for child in self.nodes if child.parent == node]

    def finals(self) -> list[Node]:
        """Return the nodes that give a final answer."""
        return [node for node in self.nodes if node.end == "answer"]

    @property
    def solved(self) -> bool:
        """Whether the answer of any trajectory was graded as right."""
        return any(node.correct for node in self.nodes)

    def cut(self, tokens: int) -> "Tree":
        """Return the tree as it was when `tokens` tokens had been generated for it.

        It shares its nodes with this tree. So their values, visits and draws are those of the
        finished search, and so are the counts and timings, but for `generated_tokens`. A tree whose
        nodes do not say what was spent is returned whole.
        """
        nodes = list(takewhile(lambda node: node.spent <= tokens, self.nodes))
        counts = {**self.counts, "generated_tokens": max(node.spent for node in nodes)}
        return Tree(self.problem, nodes, self.seed, self.timings, counts)

    def best(self) -> Node | None:
        """Return the final node with the highest score, or with the highest Q if none was scored.

        Ties go to the first. Returns None if there is no final node.
        """
        finals = self.finals()
        if not finals:
            return None
        if any(node.score is not None for node in finals):
            return max(finals, key=lambda node: -2.0 if node.score is None else node.score)
        return max(finals, key=lambda node: node.q)

    def majority(self) -> Node | None:
        """Return the first final node of the answer that was given most often.

        Ties go to the answer that was given first. Returns None if there is no final node.
        """
        votes: dict[str, list[Node]] = defaultdict(list)
        for node in self.finals():
            votes[node.answer].append(node)
        return max(votes.values(), key=len)[0] if votes else None


def path_to(nodes: list[Node], node: int) -> list[Node]:
    """Return the nodes on the path to `node`, without the root."""
    found = []
    while node > 0:
        found.append(nodes[node])
        node = nodes[node].parent
    return found[::-1]
