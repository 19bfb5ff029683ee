"""How a search goes, live: a display in a terminal, a plain line now and then elsewhere."""

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
from rstar_fast.tree import Tree
from rstar_fast.viewer.run import busy_line
from rstar_fast.viewer.text import clean, duration, one_line

PLAIN_INTERVAL_S = 5.0
MAX_REASON = 300


class Progress:
    """Shows a running search; use as a context manager.

    Args:
        console: where to.
        searcher: whose tokens and resources are shown; not used before.
        totals: of the problems that ended, kept up to date by the caller; those done before count as done, but not for the rates.
        num_problems: how many there are in all.
        title: what the display is headed by.
    """

    def __init__(
        self,
        console: Console,
        searcher: Searcher,
        totals: Totals,
        num_problems: int,
        title: str = "problems",
    ) -> None:
        self._console = console
        self._searcher = searcher
        self._totals = totals
        self._num_problems = num_problems
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
        """Say why a problem could not be searched."""
        if isinstance(ended, Failure):
            self._console.print(
                f"{clean(ended.problem.key)} failed: {one_line(ended.reason, MAX_REASON)}",
                soft_wrap=True,
            )

    def line(self) -> str:
        """Everything on one line."""
        return f"{self._title} {self._counts()}; {self._rates()}; busy: {busy_line(self._searcher.stats.record())}"

    @property
    def _done(self) -> int:
        return self._totals.trees + self._totals.failures

    def _counts(self) -> str:
        return f"{self._done:,}/{self._num_problems:,}, solved {self._totals.solved:,}, failed {self._totals.failures:,}"

    def _rates(self) -> str:
        elapsed = time.perf_counter() - self._started
        tokens = self._searcher.policy.stats.generated_tokens - self._tokens_before
        done, left = self._done - self._done_before, self._num_problems - self._done
        text = (
            f"{tokens:,} tokens, {tokens / max(elapsed, 1e-9):,.0f}/s; {duration(elapsed)} elapsed"
        )
        return f"{text}, about {duration(elapsed / done * left)} left" if done and left else text

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
