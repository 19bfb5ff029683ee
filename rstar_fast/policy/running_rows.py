"""The candidates that are being written at the same time, and their places."""

from torch import Tensor

from rstar_fast.policy.kv import Layout, RowKV, row_bytes
from rstar_fast.policy.rows import DecodeRow, RowGroup

_FIRST_ROWS = 64
_MOST_ROWS = 128
"""Bounds of the number of rows, where it is not given."""


class RunningRows:
    """The candidates that are being written, and the keys and values that they wrote.

    The place of a row is its index in `rows`.

    Attributes:
        rows: Rows.
        kv: Keys and values of the rows, by place.
        most: Largest number of rows.
    """

    def __init__(self, layout: Layout, most: int | None) -> None:
        """Make room for rows.

        Args:
            layout: Form of the model's keys and values.
            most: Largest number of rows. None lets it grow.
        """
        self._layout = layout
        self._grows = most is None
        self.most = most or _FIRST_ROWS
        self.clear()

    def clear(self) -> None:
        """Forget all rows, and what they wrote."""
        self.rows: list[DecodeRow] = []
        self.kv = RowKV(self._layout, self.most)

    def grow(self, longest: int, other_bytes: int, limit_bytes: int) -> None:
        """Double the number of rows, if it may grow and the memory for them suffices.

        Args:
            longest: Largest number of tokens that a row may write.
            other_bytes: Size of the keys and values that are needed beside, bytes.
            limit_bytes: Largest size of all of them together, bytes.
        """
        needed = 2 * self.most * row_bytes(self._layout, longest) + other_bytes
        if self._grows and 2 * self.most <= _MOST_ROWS and needed <= limit_bytes:
            self.most *= 2
            self.kv.add_rows(self.most)

    def halve(self) -> None:
        """Have half as many rows from now on. What the rows hold is not kept."""
        self.most = max(1, self.most // 2)
        self._grows = False

    def written(self, row: DecodeRow) -> Tensor:
        """Return a copy of the keys and values of all tokens but the newest, [tokens, width]."""
        return self.kv.flat(self.rows.index(row), len(row.tokens) - 1)

    def remove(self, row: DecodeRow) -> None:
        """Free a row's place. The last row moves into it, so that the first places stay taken."""
        place, last = self.rows.index(row), self.rows.pop()
        if place < len(self.rows):
            self.rows[place] = last
            self.kv.move(len(self.rows), place, len(last.tokens) - 1)

    def drop(self, group: RowGroup) -> None:
        """Remove the rows of a request, and clear all that they wrote."""
        rows = [row for row in self.rows if row.group is group]
        for row in rows:
            self.kv.clear(self.rows.index(row))
        for row in rows:
            self.remove(row)
