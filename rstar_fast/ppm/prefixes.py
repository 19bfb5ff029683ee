"""What is known of partial solutions: a tree of token runs, with keys and values where they are kept and the value at each end."""

from collections.abc import Iterable, Iterator, Sequence
from itertools import count
from math import nan

from torch import Tensor

from rstar_fast.ppm.texts import Tokens

_TRIMMED = 7 / 8
"""Share of the budget that is left after trimming."""


class Prefix:
    """A partial solution: its parent's tokens and its own.

    Attributes:
        parent: None at the root, which has no tokens.
        tokens: its own.
        num_tokens: on the whole path.
        children: by their own tokens.
        value: the PPM's score behind it, of its last step alone; NaN while it is not known.
        kv: keys and values of its own tokens, [layers, 2, kv_heads, tokens, dim]; None where they are not kept.
        used: when it was last needed.
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
        """The prefix that goes on by `tokens`; itself if there are none."""
        if not tokens:
            return self
        found = self.children.get(tokens)
        if found is None:
            found = self.children[tokens] = Prefix(self, tokens)
        return found

    def path(self) -> "list[Prefix]":
        """From the one behind the root down to this one."""
        found = []
        node = self
        while node.parent is not None:
            found.append(node)
            node = node.parent
        return found[::-1]


class Prefixes:
    """All partial solutions that are remembered, their keys and values within a byte budget.

    What is kept is always a path from the root on. What keeps nothing and leads nowhere is forgotten.

    Attributes:
        budget_bytes: keys and values kept between calls, at most.
        kept_bytes: and at present.
    """

    def __init__(self, budget_bytes: int) -> None:
        """Remember nothing yet."""
        self.budget_bytes = budget_bytes
        self.kept_bytes = 0
        self._root = Prefix(None, ())
        self._clock = count(1)

    def find(self, pieces: Sequence[Tokens]) -> Prefix:
        """The prefix of these pieces, made where it is new."""
        node = self._root
        for piece in pieces:
            node = node.child(piece)
        return node

    def touch(self, prefixes: Iterable[Prefix]) -> None:
        """Note that these, and all above them, are needed now."""
        now = next(self._clock)
        for prefix in prefixes:
            node: Prefix | None = prefix
            while node is not None and node.used != now:
                node.used = now
                node = node.parent

    def keep(self, prefix: Prefix, kv: Tensor) -> None:
        """Keep a prefix's keys and values; those of its parent are kept already."""
        prefix.kv = kv
        self.kept_bytes += kv.nbytes

    def trim(self) -> None:
        """If what is kept is beyond the budget, drop what was not needed for longest, and some more so that it lasts a while."""
        if self.kept_bytes <= self.budget_bytes:
            return
        # Whoever needs a prefix needs its parent, so that with equals from the deepest up no parent goes before its child.
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
        """Forget a prefix, and those above it, if they keep nothing and lead nowhere."""
        node = prefix
        while node.parent is not None and node.kv is None and not node.children:
            node.parent.children.pop(node.tokens, None)
            node = node.parent

    def kept(self) -> Iterator[Prefix]:
        """All prefixes whose keys and values are kept."""
        stack = [self._root]
        while stack:
            node = stack.pop()
            stack += node.children.values()
            if node.kv is not None:
                yield node
