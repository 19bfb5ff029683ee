"""The table of a run's trees, made for hundreds of thousands of rows.

A table of rich measures and wraps every cell, which takes half a millisecond a row.
"""

from collections.abc import Iterable, Iterator
from itertools import islice

from rich.cells import cell_len, chop_cells, set_cell_size
from rich.console import Console, ConsoleOptions, RenderResult
from rich.segment import Segment
from rich.style import Style

from rstar_fast.store import RunFolder, TreeSummary
from rstar_fast.terminal_text import clean, one_line

_HEADER = ("problem", "solved", "chosen", "expected", "nodes", "tokens", "seconds")
_WORDS = (0, 2, 3)
"""Columns whose texts may be long."""
_MAX_ANSWER = 32
_MIN_WIDTH = 8
_GAP = "  "
_ROWS_AT_ONCE = 1000
_PLAIN, _BOLD, _GREEN, _RED = map(Style.parse, ("none", "bold", "green", "red"))
_GRADES = {True: _GREEN, False: _RED, None: _PLAIN}

Cells = tuple[str, ...]


class Rows:
    """Some rows of a table. Ids that are too long for their column are folded, answers are cut.

    Args:
        rows: Cells of every row, and the styles of "solved" and "chosen".
        wanted: Width that each column would like to have.
    """

    def __init__(self, rows: Iterable[tuple[Cells, Style, Style]], wanted: list[int]) -> None:
        self._rows = rows
        self._wanted = wanted

    def __rich_console__(self, console: Console, options: ConsoleOptions) -> RenderResult:
        """Yield the lines in pieces of one style."""
        widths = _fitted(self._wanted, options.max_width)
        for cells, solved, chosen in self._rows:
            first, *more = chop_cells(cells[0], widths[0]) if cells[0] else [""]
            bold = _BOLD if cells is _HEADER else _PLAIN
            yield Segment(_padded(first, widths[0]) + _GAP, bold)
            yield Segment(_padded(cells[1], widths[1]) + _GAP, solved)
            yield Segment(_padded(cells[2], widths[2]) + _GAP, chosen)
            numbers = [cell.rjust(width) for cell, width in zip(cells[4:], widths[4:], strict=True)]
            yield Segment(_GAP.join([_padded(cells[3], widths[3]), *numbers]), bold)
            yield Segment.line()
            for rest in more:
                yield Segment(rest)
                yield Segment.line()


def table_of(folder: RunFolder) -> Iterator[Rows]:
    """Yield a table with a row for every finished tree, in blocks of rows.

    Nothing comes of a folder without trees.
    """
    wanted = [0] * len(_HEADER)
    for summary in folder.summaries():
        wanted = list(map(max, wanted, map(_width, _cells(summary))))
    if not any(wanted):
        return
    wanted = list(map(max, wanted, map(len, _HEADER)))
    yield Rows([(_HEADER, _BOLD, _BOLD)], wanted)
    rows = (
        (
            _cells(one),
            _GRADES[one.solved if one.expected is not None else None],
            _GRADES[one.best_correct],
        )
        for one in folder.summaries()
    )
    while block := list(islice(rows, _ROWS_AT_ONCE)):
        yield Rows(block, wanted)


def _cells(tree: TreeSummary) -> Cells:
    return (
        clean(tree.id),
        "-" if tree.expected is None else "yes" if tree.solved else "no",
        "-" if tree.best is None else one_line(tree.best, _MAX_ANSWER) or "(none)",
        "-" if tree.expected is None else one_line(tree.expected, _MAX_ANSWER) or "-",
        f"{tree.nodes:,}",
        f"{tree.tokens:,}",
        f"{tree.seconds:.1f}",
    )


def _fitted(wanted: list[int], total: int) -> list[int]:
    """Return widths that fit into a line, if the columns of words can be made so narrow."""
    widths = list(wanted)
    too_many = sum(widths) + len(_GAP) * (len(widths) - 1) - total
    while too_many > 0:
        widest = max(_WORDS, key=lambda column: widths[column])
        if widths[widest] <= _MIN_WIDTH:
            break
        # At least a cell less, and at most down to the next widest.
        others = [widths[column] for column in _WORDS if column != widest]
        less = min(too_many, max(1, widths[widest] - max(_MIN_WIDTH, *others)))
        widths[widest] -= less
        too_many -= less
    return widths


def _width(text: str) -> int:
    return len(text) if text.isascii() else cell_len(text)


def _padded(text: str, width: int) -> str:
    if len(text) <= width and text.isascii():
        return text.ljust(width)
    return set_cell_size(text, width)
