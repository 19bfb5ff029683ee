"""The forest in plain Python, one object per node. `rstar_fast._core` must do the same."""

import math
from collections.abc import Sequence
from copy import deepcopy
from dataclasses import dataclass, field


class Refused(Exception):
    """A call that cannot be done in full."""


@dataclass
class Node:
    parent: int
    children: list[int] = field(default_factory=list)
    value_sum: float = 0.0
    visits: int = 0
    draws: int = 1
    terminal: bool = False
    in_flight: bool = False
    blocked: bool = False

    @property
    def waits(self) -> bool:
        """Whether a walk passes over the node until a claim ends."""
        return self.in_flight or self.blocked

    @property
    def q(self) -> float:
        return self.value_sum / self.visits if self.visits else 0.0


class Oracle:
    def __init__(self, max_trees: int, nodes_per_tree: int) -> None:
        self.max_trees = max_trees
        self.nodes_per_tree = nodes_per_tree
        self.nodes: dict[int, Node] = {}

    def call(self, name: str, *arguments: object) -> object:
        """Make a call. A call that raises `Refused` changes nothing."""
        before = deepcopy(self.nodes)
        try:
            return getattr(self, name)(*arguments)
        except Refused:
            self.nodes = before
            raise

    def trees(self) -> list[int]:
        return [tree for tree in range(self.max_trees) if tree * self.nodes_per_tree in self.nodes]

    def ids(self, tree: int) -> list[int]:
        return [node for node in sorted(self.nodes) if node // self.nodes_per_tree == tree]

    def new_trees(self, count: int) -> list[int]:
        free = [tree for tree in range(self.max_trees) if tree not in self.trees()]
        _require(1 <= count <= len(free))
        for tree in free[:count]:
            self.nodes[tree * self.nodes_per_tree] = Node(-1)
        return free[:count]

    def free_trees(self, trees: Sequence[int]) -> None:
        for tree in trees:
            _require(tree in self.trees())
            for node in self.ids(tree):
                del self.nodes[node]

    def expand(
        self, nodes: Sequence[int], counts: Sequence[int], values: Sequence[float] | None = None
    ) -> list[int]:
        # A node that this call makes is not one that it may expand.
        _require(len(nodes) == len(counts) and all(node in self.nodes for node in nodes))
        first_children = []
        for node, count in zip(nodes, counts, strict=True):
            _require(not self.nodes[node].children and not self.nodes[node].terminal)
            ids = self.ids(node // self.nodes_per_tree)
            _require(1 <= count <= 8191 and len(ids) + count <= self.nodes_per_tree)
            self.nodes[node].children = list(range(ids[-1] + 1, ids[-1] + 1 + count))
            self._end_claim(node)
            for child in self.nodes[node].children:
                self.nodes[child] = Node(node)
            first_children.append(ids[-1] + 1)
        if values is not None:
            self.add([child for node in nodes for child in self.nodes[node].children], values)
        return first_children

    def simulate(
        self,
        nodes: Sequence[int],
        counts: Sequence[int],
        child_values: Sequence[float] | None,
        values: Sequence[float],
        starts: Sequence[int],
        moves: Sequence[int],
        c: float,
        claim: bool = False,
    ) -> tuple[list[int], list[int], list[int]]:
        # A node that this call makes is not one that it may start from.
        _require(all(node in self.nodes for node in starts))
        first_children = self.expand(nodes, counts, child_values)
        self.backup(nodes, values)
        return (first_children, *self.select(starts, moves, c, claim))

    def append(self, nodes: Sequence[int]) -> list[int]:
        _require(all(node in self.nodes for node in nodes))
        children = []
        for node in nodes:
            _require(not self.nodes[node].terminal)
            ids = self.ids(node // self.nodes_per_tree)
            _require(len(ids) < self.nodes_per_tree)
            self._end_claim(node)
            self.nodes[node].children.append(ids[-1] + 1)
            self.nodes[ids[-1] + 1] = Node(node)
            children.append(ids[-1] + 1)
        return children

    def redraw(self, nodes: Sequence[int]) -> None:
        for node in nodes:
            _require(node in self.nodes and self.nodes[node].parent != -1)
            self.nodes[node].draws += 1
            if self.nodes[self.nodes[node].parent].in_flight:
                self._end_claim(self.nodes[node].parent)

    def select(
        self,
        nodes: Sequence[int],
        moves: Sequence[int],
        c: float,
        claim: bool = False,
        widening: float = 0.0,
        exponent: float = 0.5,
        max_draws: int = 8191,
    ) -> tuple[list[int], list[int]]:
        _require(len(nodes) == len(moves) and 0 <= c < math.inf)
        _require(0 <= widening < math.inf and 0 <= exponent < math.inf and 1 <= max_draws <= 8191)
        _require(all(node in self.nodes for node in nodes) and all(left >= 0 for left in moves))
        walk = self._walk if not widening else self._widening_walk
        schedule = (widening, exponent, max_draws) if widening else ()
        walks = [
            walk(node, left, c, claim, *schedule) for node, left in zip(nodes, moves, strict=True)
        ]
        return [node for node, _ in walks], [left for _, left in walks]

    def _widening_walk(
        self,
        start: int,
        moves: int,
        c: float,
        claim: bool,
        factor: float,
        exponent: float,
        most: int,
    ) -> tuple[int, int]:
        node, left = start, moves
        while True:
            here = self.nodes[node]
            if here.terminal or here.waits:
                return (-1 if here.terminal else -2), left
            if not left:
                return node, 0
            draws = sum(self.nodes[child].draws for child in here.children)
            if draws < min(most, math.ceil(factor * (here.visits + 1) ** exponent)):
                here.in_flight = claim
                return node, left
            alive = [child for child in here.children if not self.nodes[child].terminal]
            ready = [child for child in alive if not self.nodes[child].waits]
            if ready:
                node = max(ready, key=lambda child: self._uct(here, self.nodes[child], c))
                left -= 1
            elif alive:
                here.blocked = True
                node, left = start, moves
            elif draws < most:
                return node, 0
            else:
                here.terminal = True
                node, left = start, moves

    def _walk(self, start: int, moves: int, c: float, claim: bool) -> tuple[int, int]:
        while True:
            node, left = start, moves
            if self.nodes[node].terminal:
                return -1, left
            if self.nodes[node].waits:
                return -2, left
            while left and self.nodes[node].children:
                parent = self.nodes[node]
                alive = [child for child in parent.children if not self.nodes[child].terminal]
                if not alive:
                    parent.terminal = True
                    return -1, left
                ready = [child for child in alive if not self.nodes[child].waits]
                if not ready:
                    parent.blocked = True
                    break
                node = max(ready, key=lambda child: self._uct(parent, self.nodes[child], c))
                left -= 1
            else:
                self.nodes[node].in_flight = claim and left > 0
                return node, left

    @staticmethod
    def _uct(parent: Node, child: Node, c: float) -> float:
        if not parent.visits or not child.visits:
            return child.q
        return child.q + c * math.sqrt(math.log(parent.visits) / child.visits)

    def release(self, nodes: Sequence[int]) -> None:
        for node in nodes:
            _require(node in self.nodes and self.nodes[node].in_flight)
        for node in nodes:
            self._end_claim(node)

    def _end_claim(self, node: int) -> None:
        if not self.nodes[node].waits:
            return
        self.nodes[node].in_flight = self.nodes[node].blocked = False
        while (node := self.nodes[node].parent) != -1 and self.nodes[node].blocked:
            self.nodes[node].blocked = False

    def backup(self, nodes: Sequence[int], values: Sequence[float]) -> None:
        self._add(nodes, values, ancestors=True)

    def add(self, nodes: Sequence[int], values: Sequence[float]) -> None:
        self._add(nodes, values, ancestors=False)

    def _add(self, nodes: Sequence[int], values: Sequence[float], ancestors: bool) -> None:
        _require(len(nodes) == len(values))
        for node, value in zip(nodes, values, strict=True):
            _require(node in self.nodes and math.isfinite(value))
            while node != -1:
                self.nodes[node].value_sum += value
                self.nodes[node].visits += 1
                node = self.nodes[node].parent if ancestors else -1

    def set_terminal(self, nodes: Sequence[int]) -> None:
        for node in nodes:
            _require(node in self.nodes)
            self._end_claim(node)
            self.nodes[node].terminal = True

    def reroot(self, node: int) -> list[int]:
        _require(node in self.nodes)
        tree = node // self.nodes_per_tree
        kept = [node]
        for id in self.ids(tree):
            if self.nodes[id].parent in kept:
                kept.append(id)
        return self._keep(tree, kept)

    def prune(self, nodes: Sequence[int]) -> list[int]:
        _require(len(nodes) > 0 and all(node in self.nodes for node in nodes))
        tree = nodes[0] // self.nodes_per_tree
        kept = []
        for id in self.ids(tree):
            if id not in nodes and (self.nodes[id].parent == -1 or self.nodes[id].parent in kept):
                kept.append(id)
        _require(bool(kept) and all(node // self.nodes_per_tree == tree for node in nodes))
        return self._keep(tree, kept)

    def _keep(self, tree: int, kept: list[int]) -> list[int]:
        """Forget all nodes of a tree but `kept`, which ascends."""
        old = {id: self.nodes.pop(id) for id in self.ids(tree)}
        _require(not any(node.in_flight for id, node in old.items() if id not in kept))
        new_id = {id: tree * self.nodes_per_tree + i for i, id in enumerate(kept)}
        for id in kept:
            self.nodes[new_id[id]] = node = old[id]
            node.parent = new_id.get(node.parent, -1)
            node.children = [new_id[child] for child in node.children if child in new_id]
            node.blocked = False
        return [new_id.get(id, -1) for id in old]


def _require(condition: bool) -> None:
    if not condition:
        raise Refused
