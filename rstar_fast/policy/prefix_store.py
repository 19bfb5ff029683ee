"""The keys and values (KV) of everything that was encoded, by token prefix, within a byte budget.

The store is a radix tree of segments. The least recently used leaves are evicted first.

    root ── "few-shot prompt ... Question:" ──┬── "first question ..." ──┬── step A ── observation
                                              │                          └── step B
                                              └── "second question ..."

The KV of a segment is one tensor in the flat form [tokens, width] (see `rstar_fast.policy.kv`).
"""

import heapq
from collections.abc import Sequence

from torch import Tensor

from rstar_fast.policy.prefix_tokens import common_length


class _Segment:
    """An edge of the tree, with the node that it leads to.

    Attributes:
        tokens: Token ids, at least one. The root has none.
        kv: Keys and values of the tokens, [len(tokens), width]. None at the root.
        parent: Segment before this one. None at the root.
        children: Segments after this one, by their first token.
        used: Time of the last reading or writing, by the store's clock.
    """

    __slots__ = ("children", "kv", "parent", "tokens", "used")

    def __init__(
        self, tokens: tuple[int, ...], kv: Tensor | None, parent: "_Segment | None", used: int
    ) -> None:
        self.tokens = tokens
        self.kv = kv
        self.parent = parent
        self.children: dict[int, _Segment] = {}
        self.used = used


class PrefixStore:
    """A bounded store of keys and values by token prefix.

    Args:
        capacity_bytes: Largest size of the stored KV, bytes, >= 0. 0 stores nothing.

    Attributes:
        capacity_bytes: Largest size of the stored KV, bytes.
        size_bytes: Size of the stored KV, bytes.
    """

    def __init__(self, capacity_bytes: int) -> None:
        self.capacity_bytes = capacity_bytes
        self.size_bytes = 0
        self._clock = 0
        self._root = _Segment((), None, None, 0)

    def match(self, tokens: Sequence[int]) -> tuple[int, list[Tensor]]:
        """Find the longest stored prefix of `tokens`.

        Returns:
            Number of tokens of the prefix, and its KV in pieces [t, width], in order. The pieces
            are views of the store.
        """
        depth, pieces, _, _ = self._walk(tokens)
        return depth, pieces

    def insert(self, tokens: Sequence[int], start: int, kv: Tensor) -> None:
        """Store the KV of `tokens[start:]`. Nothing is kept unless those before are stored already.

        Args:
            tokens: Token ids from the first token of the prompt on.
            start: First position whose KV is given.
            kv: Keys and values [len(tokens) - start, width]. Copied.
        """
        depth, _, node, inside = self._walk(tokens)
        if depth < start or depth == len(tokens) or self.capacity_bytes == 0:
            return
        if inside:
            node = self._split(node, inside)
        added = _Segment(tuple(tokens[depth:]), kv[depth - start :].clone(), node, self._clock)
        node.children[added.tokens[0]] = added
        self.size_bytes += _bytes(added)
        if self.size_bytes > self.capacity_bytes:
            self._evict()

    def clear(self) -> None:
        """Forget everything."""
        self._root = _Segment((), None, None, 0)
        self.size_bytes = 0

    def _walk(self, tokens: Sequence[int]) -> tuple[int, list[Tensor], _Segment, int]:
        """Follow `tokens` down the tree.

        Returns:
            Number of tokens that matched; their KV in pieces; the last segment; and the number of
            that segment's tokens that matched, or 0 if all did.
        """
        self._clock += 1
        node, depth, pieces = self._root, 0, []
        while depth < len(tokens) and (child := node.children.get(tokens[depth])) is not None:
            child.used = self._clock
            common = common_length(child.tokens, tokens, depth)
            assert child.kv is not None
            pieces.append(child.kv[:common])
            node, depth = child, depth + common
            if common < len(child.tokens):
                return depth, pieces, node, common
        return depth, pieces, node, 0

    def _split(self, node: _Segment, at: int) -> _Segment:
        """Cut a segment in two after `at` tokens and return the upper one."""
        assert node.kv is not None and node.parent is not None
        upper = _Segment(node.tokens[:at], node.kv[:at].clone(), node.parent, node.used)
        node.parent.children[upper.tokens[0]] = upper
        node.tokens, node.kv, node.parent = node.tokens[at:], node.kv[at:].clone(), upper
        upper.children[node.tokens[0]] = node
        return upper

    def _evict(self) -> None:
        """Drop the least recently used leaves until a tenth of the capacity is free."""
        segments = self._segments()
        leaves = [
            (node.used, number, node) for number, node in enumerate(segments) if not node.children
        ]
        heapq.heapify(leaves)
        number = len(segments)
        while leaves and self.size_bytes > 0.9 * self.capacity_bytes:
            _, _, leaf = heapq.heappop(leaves)
            parent = leaf.parent
            assert parent is not None
            del parent.children[leaf.tokens[0]]
            self.size_bytes -= _bytes(leaf)
            if not parent.children and parent is not self._root:
                number += 1
                heapq.heappush(leaves, (parent.used, number, parent))

    def _segments(self) -> list[_Segment]:
        found, todo = [], list(self._root.children.values())
        while todo:
            node = todo.pop()
            found.append(node)
            todo.extend(node.children.values())
        return found


def _bytes(segment: _Segment) -> int:
    assert segment.kv is not None
    return segment.kv.numel() * segment.kv.element_size()
