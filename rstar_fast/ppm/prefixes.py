"""A tree of partial solutions, with their values and with the keys and values that are kept."""

from collections.abc import Iterable, Iterator, Sequence
from itertools import count
from math import nan

from torch import Tensor

from rstar_fast.ppm.texts import Tokens

_TRIMMED = 7 / 8
"""Share of the budget that trimming leaves filled."""


class Prefix:
    """A partial solution: the tokens of its parent, and its own.

    Attributes:
        parent: Prefix before it. None at the root, which has no tokens.
        tokens: Token ids of its own.
        num_tokens: Number of tokens on the whole path.
        children: Prefixes that continue it, by their own tokens.
        value: Score of its last step alone, in [-1, 1]. NaN while it is not known.
        kv: Keys and values of its own tokens, [layers, 2, kv_heads, tokens, dim]. None where they
            are not kept.
        used: Time at which it was last needed, by the clock of `Prefixes`.
    """

    __slots__ = ("children", "kv", "num_tokens", "parent", "tokens", "used", "value")

    def __init__(self, parent: "Prefix | None", tokens: Tokens) -> None:
        self.parent = parent
        self.tokens = tokens
        self.num_tokens: int = len(tokens) + (parent.num_tokens if parent else 0)
        self.children: dict[Tokens, Prefix] = {}
        self.value: float = nan
        self.kv: Tensor | None = None
        self.used = 0

    def child(self, tokens: Tokens) -> "Prefix":
        """Return the prefix that continues this one by `tokens`, or this one if there are none."""
        if not tokens:
            return self
        found = self.children.get(tokens)
        if found is None:
            found = self.children[tokens] = Prefix(self, tokens)
        return found

    def path(self) -> "list[Prefix]":
        """Return the prefixes from the root down to this one, without the root."""
        found = []
        node = self
        while node.parent is not None:
            found.append(node)
            node = node.parent
        return found[::-1]


class Prefixes:
    """All partial solutions that are remembered, with their keys and values within a byte budget.

    Where the keys and values of a prefix are kept, those of its parent are kept too. A prefix
    without any, and without children, is forgotten.

    Attributes:
        budget_bytes: Largest size of the keys and values that are kept between calls, bytes.
        kept_bytes: Size of the keys and values that are kept at present, bytes.
    """

    def __init__(self, budget_bytes: int) -> None:
        """Make an empty tree with a budget."""
        self.budget_bytes = budget_bytes
        self.kept_bytes = 0
        self._root = Prefix(None, ())
        self._clock = count(1)

    def find(self, pieces: Sequence[Tokens]) -> Prefix:
        """Return the prefix that consists of these pieces. It is made if it is new."""
        node = self._root
        for piece in pieces:
            node = node.child(piece)
        return node

    def touch(self, prefixes: Iterable[Prefix]) -> None:
        """Note that these prefixes, and all above them, are needed now."""
        now = next(self._clock)
        for prefix in prefixes:
            node: Prefix | None = prefix
            while node is not None and node.used != now:
                node.used = now
                node = node.parent

    def keep(self, prefix: Prefix, kv: Tensor) -> None:
        """Keep the keys and values of a prefix. Those of its parent are kept already."""
        prefix.kv = kv
        self.kept_bytes += kv.nbytes

    def trim(self) -> None:
        """Drop the least recently needed keys and values if all together exceed the budget.

        More is dropped than needed, so that the next call has nothing to do for a while.
        """
        if self.kept_bytes <= self.budget_bytes:
            return
        # A parent was needed whenever its child was. Among equals the longest goes first, so that
        # no parent goes before its child.
        for node in sorted(self.kept(), key=lambda node: (node.used, -node.num_tokens)):
            if self.kept_bytes <= self.budget_bytes * _TRIMMED:
                break
            self.drop(node)

    def drop(self, prefix: Prefix) -> None:
        """Drop the keys and values of a prefix."""
        if prefix.kv is not None:
            self.kept_bytes -= prefix.kv.nbytes
            prefix.kv = None
        self.forget(prefix)

    def forget(self, prefix: Prefix) -> None:
        """Forget a prefix, and those above it, while they keep nothing and have no children."""
        node = prefix
        while node.parent is not None and node.kv is None and not node.children:
            node.parent.children.pop(node.tokens, None)
            node = node.parent

    def kept(self) -> Iterator[Prefix]:
        """Yield all prefixes whose keys and values are kept."""
        stack = [self._root]
        while stack:
            node = stack.pop()
            stack += node.children.values()
            if node.kv is not None:
                yield node
