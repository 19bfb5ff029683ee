"""Curves over the rounds of a self-evolution, drawn by matplotlib."""

import io
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from rstar_fast.errors import ConfigError
from rstar_fast.evaluate import Share
from rstar_fast.terminal_text import one_line

MAX_NAME = 40
"""Number of characters of a line's name in the legend."""


@dataclass(frozen=True, slots=True)
class Curves:
    """Lines of one picture.

    Attributes:
        label: Text beside the vertical axis, which is in percent.
        lines: Points of each line by its name in the legend. A point is a round's number and a
            share.
    """

    label: str
    lines: Mapping[str, Sequence[tuple[int, Share]]]


def draw(curves: Curves, rounds: Sequence[int]) -> bytes:
    """Return a PNG of the curves, each point with its 95% interval.

    Args:
        curves: Curves to draw. Lines without a point are left out.
        rounds: Numbers along the horizontal axis.

    Raises:
        ConfigError: `matplotlib` is not installed.
    """
    try:
        from matplotlib.figure import Figure
    except ImportError as error:
        raise ConfigError(
            'a report needs the package `matplotlib` (pip install "rstar-fast[train]")'
        ) from error
    figure = Figure(figsize=(7, 4), layout="constrained")
    axes = figure.subplots()
    for name, points in curves.lines.items():
        if points:
            shares = [share for _, share in points]
            low = [100 * (share.value - share.interval[0]) for share in shares]
            high = [100 * (share.interval[1] - share.value) for share in shares]
            numbers = [number for number, _ in points]
            values = [100 * share.value for share in shares]
            axes.errorbar(numbers, values, [low, high], marker="o", capsize=3, label=_label(name))
    axes.set_xlabel("round")
    axes.set_ylabel(curves.label)
    axes.set_xticks(list(rounds))
    axes.grid(alpha=0.3)
    if any(curves.lines.values()):
        for text in axes.legend(fontsize="small").get_texts():
            # A name such as "$x^$" is no formula.
            text.set_parse_math(False)
    file = io.BytesIO()
    figure.savefig(file, format="png", dpi=120)
    return file.getvalue()


def _label(name: str) -> str:
    """Return the name of a line in the legend. Names that begin with "_" would be left out."""
    name = one_line(name, MAX_NAME)
    return f" {name}" if name.startswith("_") else name
