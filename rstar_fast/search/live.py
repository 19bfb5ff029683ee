"""A tree while it is searched: texts in Python, statistics in the forest."""

import time
from collections import Counter, defaultdict
from collections.abc import Iterator, Sequence

import numpy as np
from numpy.typing import NDArray

from rstar_fast._core import NO_NODE, Forest
from rstar_fast.config import SearchConfig
from rstar_fast.policy.base import Candidate, ExpandRequest, Sampling
from rstar_fast.ppm.base import ScoreRequest
from rstar_fast.problems import Problem
from rstar_fast.search.work import GradeRequest, RunRequest
from rstar_fast.steps import Segment, open_block
from rstar_fast.tree import Node, Tree, path_to


class LiveTree:
    """One problem's tree. Node ids are local to it: 0 is the root, children follow in order of creation.

    Attributes:
        problem: what is searched.
        config: how.
        nodes: their texts and fates; `q` and `visits` are filled in by `finish`.
        grades: the grade of every distinct answer seen so far.
    """

    def __init__(self, problem: Problem, config: SearchConfig, forest: Forest, ids: Iterator[int]) -> None:
        self.problem = problem
        self.config = config
        self.nodes = [Node(id=0, parent=NO_NODE, depth=0)]
        self.grades: dict[str, bool] = {}
        self.counts: Counter[str] = Counter()
        self.timings: defaultdict[str, float] = defaultdict(float)
        self._forest = forest
        self._slot = int(forest.new_trees(1)[0])
        self._base = forest.root(self._slot)
        self._ids = ids
        self._sampling = Sampling(config.temperature, config.top_p, config.top_k, config.max_step_tokens)
        self._started = time.perf_counter()

    def select(self, node: int, moves: int) -> tuple[int, int]:
        """Walk down by UCT while nodes are expanded and moves are left: (node reached or NO_NODE, moves left).

        With moves left the node reached has no children yet. NO_NODE: every child of some node on the way is terminal.
        """
        reached, left = self._forest.select(self._ids_of(node), np.array([moves], np.int32), self.config.c)
        found = int(reached[0])
        return (found - self._base if found != NO_NODE else NO_NODE), int(left[0])

    def backup(self, node: int, value: float) -> None:
        """Add a value to a node and all its ancestors."""
        self._forest.backup(self._ids_of(node), np.array([value], np.float64))

    def add(self, node: int, value: float) -> None:
        """Add a value to one node."""
        self._forest.add(self._ids_of(node), np.array([value], np.float64))

    def end(self, node: Node) -> None:
        """Mark a node whose `end` is set as terminal."""
        self._forest.set_terminal(self._ids_of(node.id))

    def count(self, candidates: Sequence[Candidate]) -> None:
        """Add one expansion's candidates, as they came from the policy, to the tree's counts."""
        self.counts["expansions"] += 1
        self.counts["candidates"] += len(candidates)
        self.counts["generated_tokens"] += sum(len(candidate.token_ids) for candidate in candidates)

    def add_children(self, parent: int, candidates: Sequence[Candidate]) -> list[Node]:
        """Expand a node by one child per candidate."""
        first = self._forest.expand(self._ids_of(parent), np.array([len(candidates)], np.int32))
        start = int(first[0]) - self._base
        depth = self.nodes[parent].depth + 1
        children = [
            Node(
                id=start + i,
                parent=parent,
                depth=depth,
                step=candidate.text,
                token_ids=candidate.token_ids,
                logprobs=candidate.logprobs,
                exact=candidate.exact,
                finish=candidate.finish,
            )
            for i, candidate in enumerate(candidates)
        ]
        self.nodes += children
        return children

    def expand_request(self, node: int, num_candidates: int) -> ExpandRequest:
        """Ask the policy for the next steps behind a node."""
        return ExpandRequest(
            id=next(self._ids),
            problem_id=self.problem.id,
            node=node,
            question=self.problem.question,
            path=self._segments(node),
            num_candidates=num_candidates,
            seed=self.config.seed,
            sampling=self._sampling,
        )

    def run_request(self, node: Node) -> RunRequest:
        """Ask for the observation of a node's step."""
        before = tuple(step.step for step in path_to(self.nodes, node.parent))
        return RunRequest(next(self._ids), self.problem.id, node.id, (*open_block(before), node.step))

    def grade_request(self, node: Node) -> GradeRequest:
        """Ask whether a node's answer is right."""
        return GradeRequest(next(self._ids), self.problem, node.id, node.answer)

    def score_request(self, parent: int, children: Sequence[Node]) -> ScoreRequest:
        """Ask for the PPM scores of some children of one node."""
        return ScoreRequest(
            id=next(self._ids),
            problem_id=self.problem.id,
            node=parent,
            question=self.problem.question,
            path=self._segments(parent),
            children=tuple(child.text for child in children),
        )

    def finish(self) -> Tree:
        """The finished tree; its place in the forest is given back."""
        visits, q = self._forest.visits(self._slot), self._forest.q(self._slot)
        terminal = self._forest.terminal(self._slot)
        for node in self.nodes:
            node.visits, node.q, node.exhausted = int(visits[node.id]), float(q[node.id]), bool(terminal[node.id])
        self.release()
        self.timings["total"] = time.perf_counter() - self._started
        return Tree(self.problem, self.nodes, self.config.seed, dict(self.timings), dict(self.counts))

    def release(self) -> None:
        """Give the tree's place in the forest back."""
        self._forest.free_trees(np.array([self._slot], np.int32))

    def _segments(self, node: int) -> tuple[Segment, ...]:
        return tuple(segment for step in path_to(self.nodes, node) for segment in step.segments())

    def _ids_of(self, node: int) -> NDArray[np.int32]:
        return np.array([self._base + node], np.int32)
