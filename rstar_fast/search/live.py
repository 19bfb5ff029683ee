"""A tree while it is searched: texts in Python, statistics in the forest."""

import time
from collections import Counter, defaultdict
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from itertools import accumulate

import numpy as np
from numpy.typing import NDArray

from rstar_fast._core import NO_NODE, Forest, untrack
from rstar_fast.config import SearchConfig
from rstar_fast.marks import CODE
from rstar_fast.policy.base import Drawn, ExpandRequest, Sampling
from rstar_fast.ppm.base import ScoreRequest
from rstar_fast.problems import Problem
from rstar_fast.search.answers import WrittenStep
from rstar_fast.search.budget import TokenBudget
from rstar_fast.search.votes import Ballot
from rstar_fast.search.work import GradeRequest, RunRequest
from rstar_fast.steps import Segment, closes_code
from rstar_fast.tree import Ended, Node, Tree, path_to
from rstar_fast.verify.base import Grade

ROOT = 0
PATHS_KEPT = 8
"""Number of paths whose token ids are kept.

A walk mostly continues where the last expansion was.
"""


class LiveTree:
    """One problem's tree while it grows.

    Node ids are local to the tree. The root is 0, and children follow in the order of their
    creation.

    Attributes:
        problem: Problem that is searched.
        config: Configuration of the search.
        nodes: Nodes with their texts and ends. `finish` fills in `q` and `visits`.
        grades: Grade of each distinct answer so far, by answer.
        rollouts_done: Number of rollouts that have ended. mcts only.
        budget: Tokens that may still be generated.
        open_paths: Number of paths that can still give an answer. best_of_n and particles only.
        ended: Reason why the search has ended. "" while it goes on.
    """

    def __init__(
        self, problem: Problem, config: SearchConfig, forest: Forest, ids: Iterator[int]
    ) -> None:
        self.problem = problem
        self.config = config
        self.nodes = [Node(id=ROOT, parent=NO_NODE, depth=0)]
        self.grades: dict[str, Grade] = {}
        self.rollouts_done = 0
        self.budget = TokenBudget(config)
        self.open_paths = 0
        self.ended: Ended = ""
        self.counts: Counter[str] = Counter()
        self.timings: defaultdict[str, float] = defaultdict(float)
        self._ballot, self._num_counted = Ballot(), 0
        self._forest = forest
        self._slot = int(forest.new_trees(1)[0])
        self._base = forest.root(self._slot)
        self._ids = ids
        self._sampling = Sampling(
            config.temperature, config.top_p, config.top_k, config.max_step_tokens
        )
        self._started = time.perf_counter()
        # Beginnings of the requests of descendants: paths for the nodes expanded last, and code
        # blocks for all nodes.
        self._paths: dict[int, tuple[Segment, ...]] = {ROOT: ()}
        self._blocks: dict[int, tuple[str, ...]] = {ROOT: ()}
        self._one_node, self._one_number = np.empty(1, np.int32), np.empty(1, np.int32)

    def claim(self, node: int, moves: int) -> tuple[int, int]:
        """Walk down by UCT from a node while nodes are expanded and moves are left.

        Returns:
            The node reached and the moves left. If moves are left, the node has no children, and it
            is claimed: no other walk reaches it until it is expanded. The node is `NO_NODE` if all
            children of some node on the way are terminal, and `BUSY` if other walks have claimed
            everything there is to select.
        """
        self._one_node[0], self._one_number[0] = self._base + node, moves
        reached, left = self._forest.select(
            self._one_node, self._one_number, self.config.c, claim=True
        )
        found = int(reached[0])
        return (found - self._base if found >= 0 else found), int(left[0])

    def backup(self, nodes: Sequence[int], values: Sequence[float]) -> None:
        """Add a value to each node and to all its ancestors."""
        if len(nodes):
            self._forest.backup(self._ids_of(nodes), np.array(values, np.float64))

    def add(self, nodes: Sequence[int], values: Sequence[float]) -> None:
        """Add a value to each node alone."""
        if len(nodes):
            self._forest.add(self._ids_of(nodes), np.array(values, np.float64))

    def end(self, nodes: Sequence[int]) -> None:
        """Mark nodes as terminal. Their `end` is set."""
        if nodes:
            self._forest.set_terminal(self._ids_of(nodes))

    def walk_to_draw(self, node: int) -> tuple[int, bool]:
        """Walk down by UCT from a node to one at which a draw is due (rule 7 of docs/search.md).

        Returns:
            The node reached, and whether a draw is due there. If so, it is claimed. If not, all its
            children are terminal. `NO_NODE` if the start is exhausted, and `BUSY` if other walks
            have claimed everything there is to select.
        """
        config = self.config
        # No path has so many steps that the moves come to an end.
        self._one_node[0], self._one_number[0] = self._base + node, config.max_depth + 2
        reached, left = self._forest.select(
            self._one_node,
            self._one_number,
            config.c,
            claim=True,
            widening=config.widening,
            widening_exponent=config.widening_exponent,
            max_draws=config.candidates,
        )
        found = int(reached[0])
        return (found - self._base if found >= 0 else found), bool(left[0])

    def ballot(self) -> Ballot:
        """Return the votes of all nodes. No expansion may be under way."""
        self._ballot.take(self.nodes[self._num_counted :])
        self._num_counted = len(self.nodes)
        return self._ballot

    def mean(self, node: int) -> float:
        """Return Q of a node."""
        return float(self._forest.q(self._slot)[node])

    def count(self, steps: Sequence[WrittenStep]) -> list[int]:
        """Add the candidates of one expansion, as the policy wrote them, to the tree's counts.

        Returns:
            Number of tokens generated for the tree up to and including each candidate.
        """
        self.counts["expansions"] += 1
        self.counts["candidates"] += len(steps)
        spent = list(
            accumulate(
                [len(step.id_bytes) // 4 for step in steps],
                initial=self.counts["generated_tokens"],
            )
        )
        self.counts["generated_tokens"] = spent[-1]
        return spent[1:]

    def add_children(self, parent: int, steps: Sequence[WrittenStep]) -> list[Node]:
        """Expand a node by one child per step, and return the children.

        The `end` of those that were cut for want of tokens is set.
        """
        self._one_node[0], self._one_number[0] = self._base + parent, len(steps)
        start = int(self._forest.expand(self._one_node, self._one_number)[0]) - self._base
        depth = self.nodes[parent].depth + 1
        children = [
            # Positional arguments take half of the time of named ones.
            Node(i, parent, depth, text, "", id_bytes, logprob_bytes, exact, finish)
            for i, (text, id_bytes, logprob_bytes, exact, finish, *_) in enumerate(steps, start)
        ]
        is_short = self.budget.is_short
        for child, step in zip(children, steps, strict=True):
            child.version = step.version
            if is_short and self.budget.cuts(step):
                child.end = "budget"
        # The collector need not visit nodes: they hold texts, bytes and numbers only.
        untrack(children)
        self.nodes += children
        return children

    def append_child(self, parent: int, step: WrittenStep, spent: int) -> Node:
        """Give a node one more child, and return it. A claim on the node ends.

        Its `end` is set if it was cut for want of tokens.
        """
        text, id_bytes, logprob_bytes, exact, finish, _, version = step
        depth = self.nodes[parent].depth + 1
        child = Node(
            len(self.nodes), parent, depth, text, "", id_bytes, logprob_bytes, exact, finish
        )
        child.spent, child.version = spent, version
        if self.budget.cuts(step):
            child.end = "budget"
        self._one_node[0] = self._base + parent
        self._forest.append(self._one_node)
        untrack([child])
        self.nodes.append(child)
        return child

    def redraw(self, child: Node) -> None:
        """Count one more draw of a node. A claim on its parent ends."""
        child.draws += 1
        self._one_node[0] = self._base + child.id
        self._forest.redraw(self._one_node)

    def end_draws(self, child: Node, draws_left: int) -> None:
        """Have no more draws due at the parent of a node, which may have so many more."""
        if draws_left:
            # The forest takes them for draws of this child. `Node.draws` counts none of them.
            self._forest.redraw(np.full(draws_left, self._base + child.id, np.int32))

    def in_code(self, node: int) -> bool:
        """Return whether a `<code>` is open after a node."""
        return any(CODE in step for step in self._open_block(node))

    def expand_request(
        self,
        node: int,
        num_candidates: int,
        first_candidate: int = 0,
        drawn: Sequence[Drawn] = (),
    ) -> ExpandRequest:
        """Make the request for the next steps after a node."""
        sampling = self._sampling_now()
        if self.config.greedy_first and first_candidate == 0:
            sampling = replace(sampling, temperature=0.0)
        return ExpandRequest(
            id=next(self._ids),
            problem_id=self.problem.key,
            node=node,
            question=self.problem.question,
            path=self._path_to(node),
            num_candidates=num_candidates,
            seed=self.config.seed,
            sampling=sampling,
            first_candidate=first_candidate,
            drawn=tuple(drawn),
            prompt=self.config.prompt,
        )

    def run_requests(self, parent: int, children: Sequence[Node]) -> list[RunRequest]:
        """Make the requests to run the steps of some children of one node."""
        block, ids, problem_id = self._open_block(parent), self._ids, self.problem.key
        return [
            RunRequest(next(ids), problem_id, child.id, (*block, child.step), parent)
            for child in children
        ]

    def give_grade(self, node: Node) -> None:
        """Write the grade of its answer into a node."""
        grade = self.grades[node.answer]
        node.correct, node.unsure = grade.correct, grade.unsure

    def grade_request(self, node: Node) -> GradeRequest:
        """Make the request to grade a node's answer."""
        return GradeRequest(next(self._ids), self.problem, node.id, node.answer)

    def score_request(
        self, parent: int, children: Sequence[Node], first_candidate: int = 0
    ) -> ScoreRequest:
        """Make the request for the PPM scores of some children of one node."""
        path = path_to(self.nodes, parent)
        return ScoreRequest(
            id=next(self._ids),
            problem_id=self.problem.key,
            node=parent,
            question=self.problem.question,
            path=tuple([Segment(step.text) for step in path]),
            children=tuple([child.step + child.suffix for child in children]),
            path_logprobs=tuple([step.logprob_bytes for step in path]),
            child_logprobs=tuple([child.logprob_bytes for child in children]),
            first_candidate=first_candidate,
            path_observations=tuple([step.unseen_observation for step in path]),
            child_observations=tuple([child.unseen_observation for child in children]),
        )

    def timings_so_far(self) -> dict[str, float]:
        """Return the seconds by kind of work, `total` among them."""
        return {**self.timings, "total": time.perf_counter() - self._started}

    def go_on_from(self, timings: Mapping[str, float]) -> None:
        """Count the seconds of a process that was stopped, as its `timings_so_far` told them."""
        self.timings.update(timings)
        self._started -= self.timings.pop("total", 0.0)

    def finish(self) -> Tree:
        """Return the finished tree, and free the room that it had in the forest."""
        forest, slot = self._forest, self._slot
        statistics = zip(
            forest.visits(slot).tolist(),
            forest.q(slot).tolist(),
            forest.terminal(slot).tolist(),
            strict=True,
        )
        for node, (visits, q, terminal) in zip(self.nodes, statistics, strict=True):
            node.visits, node.q, node.exhausted = visits, q, terminal
        self.release()
        self.timings["total"] = time.perf_counter() - self._started
        return Tree(
            self.problem,
            self.nodes,
            self.config.seed,
            dict(self.timings),
            dict(self.counts),
            self.ended,
            self.ballot().sure(),
        )

    def release(self) -> None:
        """Free the room that the tree has in the forest."""
        self._forest.free_trees(np.array([self._slot], np.int32))

    def _sampling_now(self) -> Sampling:
        if self._sampling.max_tokens != self.budget.step_tokens:
            self._sampling = replace(self._sampling, max_tokens=self.budget.step_tokens)
        return self._sampling

    def _path_to(self, node: int) -> tuple[Segment, ...]:
        """Return the segments of the solution up to and including a node."""
        path = self._paths.get(node)
        if path is None:
            step = self.nodes[node]
            path = (*self._path_to(step.parent), *step.segments())
            if len(self._paths) == PATHS_KEPT:
                self._paths = {ROOT: ()}
            self._paths[node] = path
        return path

    def _open_block(self, node: int) -> tuple[str, ...]:
        """Return the texts of the steps of the code block that is open after a node."""
        block = self._blocks.get(node)
        if block is None:
            step = self.nodes[node]
            self._blocks[node] = block = (
                () if closes_code(step.step) else (*self._open_block(step.parent), step.step)
            )
        return block

    def _ids_of(self, nodes: Sequence[int]) -> NDArray[np.int32]:
        return np.array(nodes, np.int32) + np.int32(self._base)
