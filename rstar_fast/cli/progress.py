"""The progress of a search: a live display in a terminal, plain lines elsewhere."""

import threading
import time
from types import TracebackType

from rich.console import Console, Group, RenderableType
from rich.live import Live
from rich.progress_bar import ProgressBar
from rich.table import Table
from rich.text import Text

from rstar_fast.failure import Failure
from rstar_fast.search import Searcher
from rstar_fast.search.run import Totals
from rstar_fast.terminal_text import clean, duration, one_line
from rstar_fast.tree import Tree
from rstar_fast.viewer.run import busy_line

PLAIN_INTERVAL_S = 5.0
"""Seconds between two plain lines."""
MAX_REASON = 300
"""Characters of a failure's reason that are shown."""


class Progress:
    """Shows a running search: a display in a terminal, a plain line now and then elsewhere.

    Use it as a context manager.

    Args:
        console: Console to print to.
        searcher: Searcher whose tokens and resources are shown. Its search has not begun.
        totals: Totals of the ended problems, which the caller keeps up to date. Problems that were
            done before count as done, but not for the rates.
        num_problems: Number of all problems.
        verbose: Whether to print the tracebacks of failures.
        title: Heading of the display.
    """

    def __init__(
        self,
        console: Console,
        searcher: Searcher,
        totals: Totals,
        num_problems: int,
        verbose: bool = False,
        title: str = "problems",
    ) -> None:
        self._console = console
        self._searcher = searcher
        self._totals = totals
        self._num_problems = num_problems
        self._verbose = verbose
        self._title = title
        self._done_before = self._done
        self._tokens_before = searcher.policy.stats.generated_tokens
        self._started = time.perf_counter()
        self._live: Live | None = None
        self._stop = threading.Event()
        self._thread: threading.Thread | None = None

    def __enter__(self) -> "Progress":
        if self._console.is_terminal and not self._console.is_dumb_terminal:
            self._live = Live(
                get_renderable=self._view,
                console=self._console,
                refresh_per_second=4,
                transient=True,
            )
            self._live.start()
        else:
            self._thread = threading.Thread(target=self._print_lines, name="progress", daemon=True)
            self._thread.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._stop.set()
        if self._live is not None:
            self._live.stop()
        if self._thread is not None:
            self._thread.join()

    def note(self, ended: Tree | Failure) -> None:
        """Print why a problem could not be searched."""
        if isinstance(ended, Failure):
            reason = one_line(ended.reason, MAX_REASON)
            self._console.print(f"{clean(ended.problem.key)} failed: {reason}", soft_wrap=True)
            if self._verbose:
                self._console.print(clean(ended.traceback), soft_wrap=True)

    def line(self) -> str:
        """Return everything on one line."""
        busy = busy_line(self._searcher.stats.record())
        return f"{self._title} {self._counts()}; {self._rates()}; busy: {busy}"

    @property
    def _done(self) -> int:
        return self._totals.trees + self._totals.failures

    def _counts(self) -> str:
        totals, under_way = self._totals, self._searcher.progress()
        text = f"{self._done:,}/{self._num_problems:,}"
        if under_way.num_active:
            text += f" ({under_way.num_active:,} under way"
            if under_way.num_rollouts:
                done, rollouts = under_way.rollouts_done, under_way.num_rollouts
                text += f", {done:,} of {rollouts:,} rollouts"
            text += ")"
        return f"{text}, solved {totals.solved:,}, failed {totals.failures:,}"

    def _rates(self) -> str:
        elapsed = time.perf_counter() - self._started
        tokens = self._searcher.policy.stats.generated_tokens - self._tokens_before
        rate = tokens / max(elapsed, 1e-9)
        text = f"{tokens:,} tokens, {rate:,.0f}/s; {duration(elapsed)} elapsed"
        return f"{text}{self._expected(elapsed)}"

    def _expected(self, elapsed: float) -> str:
        """Return how long the first result, or all the rest, will take."""
        under_way = self._searcher.progress()
        done, left = self._done - self._done_before, self._num_problems - self._done
        if not left:
            return ""
        if not done:
            if not under_way.furthest:
                return ""
            seconds = elapsed * (1 - under_way.furthest) / under_way.furthest
            return f", first result in about {duration(seconds)}"
        # Problems under way count by the share of their rollouts.
        parts = 0.0
        if under_way.num_rollouts:
            parts = under_way.num_active * under_way.rollouts_done / under_way.num_rollouts
        seconds = elapsed / (done + parts) * max(0.0, left - parts)
        return f", about {duration(seconds)} left"

    def _view(self) -> RenderableType:
        head = Table.grid(padding=(0, 1))
        head.add_row(
            self._title, ProgressBar(self._num_problems, self._done, width=32), self._counts()
        )
        return Group(
            head,
            Text(self._rates()),
            Text(f"busy: {busy_line(self._searcher.stats.record())}", "dim"),
        )

    def _print_lines(self) -> None:
        while not self._stop.wait(PLAIN_INTERVAL_S):
            self._console.print(self.line(), soft_wrap=True)
