"""A program to run, and from which process it is best begun."""

from collections import OrderedDict
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

from rstar_fast.steps import closes_code
from rstar_fast.verify.execute.source import continues, source_of


@dataclass(eq=False, slots=True)
class Job:
    """A program to run.

    Attributes:
        steps: texts of its block's steps.
        work_id: under which the main process waits for it; None if it only makes a snapshot for others.
        waiting: those others.
        source: the program.
        num_losses: processes that ended, by no fault of the program, before it did.
        has_waited: it waited for a snapshot once; it will not again.
        whole: what is new in it cannot be executed on its own.
        foregone: how its beginning ended before, so that it can only end likewise unless it is not a program at all.
    """

    steps: tuple[str, ...]
    work_id: int | None
    waiting: "list[Job]" = field(default_factory=list)
    source: str = ""
    num_losses: int = 0
    has_waited: bool = False
    whole: bool = False
    foregone: dict[str, Any] | None = None

    def __post_init__(self) -> None:
        self.source = source_of(self.steps)

    @property
    def stays_open(self) -> bool:
        """Whether more steps may follow in its block."""
        return not closes_code(self.steps[-1])

    def beginnings(self) -> "Iterator[tuple[int, str]]":
        """Its proper beginnings in whole steps, the longest first, as (number of steps, source)."""
        for num_steps in range(len(self.steps) - 1, 0, -1):
            source = source_of(self.steps[:num_steps])
            if source.strip() and continues(self.source, source):
                yield num_steps, source


class Outcomes:
    """How programs ended that cannot be continued, by their source; bounded."""

    def __init__(self, max_count: int) -> None:
        self._max_count = max_count
        self._outcomes: OrderedDict[str, dict[str, Any] | None] = OrderedDict()

    def put(self, source: str, outcome: dict[str, Any] | None) -> None:
        """Remember a failure that every continuation shares; None for a program that only cannot be kept as a snapshot."""
        self._outcomes[source] = outcome
        self._outcomes.move_to_end(source)
        if len(self._outcomes) > self._max_count:
            self._outcomes.popitem(last=False)

    def __contains__(self, source: str) -> bool:
        return source in self._outcomes

    def __getitem__(self, source: str) -> dict[str, Any] | None:
        return self._outcomes[source]
