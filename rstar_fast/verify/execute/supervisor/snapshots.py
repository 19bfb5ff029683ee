"""The cache of paused processes that have executed the beginning of a program."""

from collections import OrderedDict

from rstar_fast.verify.execute.supervisor.node import Node


class Snapshots:
    """Nodes by the source they have executed; the least recently used go first. Never the truth: all can be made again."""

    def __init__(self, max_bytes: int, max_count: int) -> None:
        self._max_bytes = max_bytes
        self._max_count = max_count
        self._nodes: OrderedDict[str, Node] = OrderedDict()
        self._num_bytes = 0

    def __len__(self) -> int:
        return len(self._nodes)

    @property
    def enabled(self) -> bool:
        """Whether anything is ever kept."""
        return self._max_bytes > 0

    @property
    def num_bytes(self) -> int:
        """Memory of all, an upper bound."""
        return self._num_bytes

    def get(self, source: str) -> Node | None:
        """The node that has executed this, now the most recently used."""
        node = self._nodes.get(source)
        if node:
            self._nodes.move_to_end(source)
        return node

    def put(self, source: str, node: Node) -> list[Node]:
        """Keep a node; the nodes that have to go for it, which the caller ends."""
        gone = []
        if source in self._nodes:
            gone.append(self._drop(source))
        node.source = source
        self._nodes[source] = node
        self._num_bytes += node.num_bytes
        for key, other in list(self._nodes.items()):
            if self._num_bytes <= self._max_bytes and len(self._nodes) <= self._max_count:
                break
            if not other.num_cloning:
                gone.append(self._drop(key))
        return gone

    def remove(self, node: Node) -> None:
        """Forget a node that has gone, if it is here."""
        if self._nodes.get(node.source) is node:
            self._drop(node.source)

    def _drop(self, source: str) -> Node:
        node = self._nodes.pop(source)
        self._num_bytes -= node.num_bytes
        return node
