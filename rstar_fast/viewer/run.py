"""The view of a run: its configuration, a row for every problem, and its totals."""

import json
from collections.abc import Iterator
from typing import Any

from rich.console import RenderableType
from rich.padding import Padding
from rich.table import Table
from rich.text import Text

from rstar_fast.search.run import Totals
from rstar_fast.store import RunFolder
from rstar_fast.terminal_text import clean, counted, duration, one_line
from rstar_fast.viewer.table import table_of

MAX_ANSWER = 32
MAX_REASON = 300


def run_view(folder: RunFolder) -> Iterator[RenderableType]:
    """Yield all that `rstar-fast show RUN` prints, piece by piece.

    Raises:
        StoreError: The folder is damaged.
    """
    totals = Totals()
    for summary in folder.summaries():
        totals.add(summary)
    failures = folder.failures()
    sessions = folder.sessions()
    totals.failures = len(failures)
    yield _config_view(folder)
    yield ""
    if totals.trees:
        yield from table_of(folder)
        yield ""
    if failures:
        yield Text("could not be searched:", "bold")
        for one in failures:
            told = f"{clean(one.problem.key)}: {one_line(one.summary, MAX_REASON)}"
            yield Padding(Text(told), (0, 0, 0, 2))
        yield ""
    yield totals_view(totals)
    yield from map(_session_line, sessions)


def totals_view(totals: Totals) -> RenderableType:
    """Return a table of the number of problems, how many are solved, and what it took."""
    table = Table.grid(padding=(0, 2))
    table.add_row("problems", f"{totals.trees:,} searched, {totals.failures:,} failed")
    if totals.graded:
        table.add_row("solved", f"{_share(totals.solved, totals.graded)}  by any trajectory")
        table.add_row(
            "chosen",
            f"{_share(totals.best_correct, totals.graded)}"
            "  correct: the answer with the best score",
        )
        table.add_row(
            "majority",
            f"{_share(totals.majority_correct, totals.graded)}"
            "  correct: the answer given most often",
        )
    if totals.unsure:
        table.add_row(
            "unsure", f"{counted(totals.unsure, 'answer')} could not be graded and count as wrong"
        )
    if totals.trees > totals.graded:
        table.add_row(
            "not graded",
            f"{counted(totals.trees - totals.graded, 'problem')} without a known answer",
        )
    table.add_row("nodes", f"{totals.nodes:,}")
    table.add_row("tokens", f"{totals.generated_tokens:,} generated")
    return table


def busy_line(stats: dict[str, Any]) -> str:
    """Return how busy every resource of a session was.

    The line has the share of the wall time that a resource was busy, and its mean number of open
    requests.

    Args:
        stats: Values of `Stats.record`. Those that are missing count as 0.
    """
    wall_s = max(stats.get("wall_s", 0.0), 1e-9)
    words = []
    for name, one in stats.get("resources", {}).items():
        mean_open = one.get("mean_open", 0.0)
        queue = f" ({mean_open:,.1f} open)" if mean_open else ""
        words.append(f"{one_line(name, MAX_ANSWER)} {one.get('busy_s', 0.0) / wall_s:.0%}{queue}")
    return ", ".join(words) or "-"


def _session_line(session: dict[str, Any]) -> Text:
    took = duration(session.get("wall_s", 0.0))
    counts = f"{session.get('trees', 0):,} searched, {session.get('failures', 0):,} failed"
    ended = one_line(session.get("ended", ""), MAX_REASON)
    until = one_line(session["id"], MAX_ANSWER)
    line = f"session until {until}: {took}, {counts}, {ended}; busy: {busy_line(session)}"
    return Text(line, "dim")


def _config_view(folder: RunFolder) -> RenderableType:
    table = Table.grid(padding=(0, 2))
    table.add_row("run", clean(str(folder.path)))
    for name, value in folder.config.items():
        table.add_row(clean(name), clean(_value(value)))
    return table


def _value(value: Any) -> str:
    if isinstance(value, dict):
        return ", ".join(f"{name} {_value(inner)}" for name, inner in value.items())
    if value is None:
        return "-"
    return value if isinstance(value, str) else json.dumps(value)


def _share(part: int, whole: int) -> str:
    return f"{part:,} of {whole:,} ({100 * part / whole:.1f}%)"
