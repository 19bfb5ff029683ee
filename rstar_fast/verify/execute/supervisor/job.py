"""Programs that the supervisor has to run. Runs in the supervisor process."""

from collections.abc import Iterator
from dataclasses import dataclass, field

from rstar_fast.steps import closes_code
from rstar_fast.verify.base import Observation
from rstar_fast.verify.execute.source import continues, source_of
from rstar_fast.verify.execute.supervisor.script import Script


@dataclass(eq=False, slots=True)
class Job:
    """A program to run.

    Attributes:
        steps: Texts of the steps of its code block. None for a script.
        work_id: Number of the main process's request. None for a job that only makes a snapshot
            for other jobs.
        waiting: Jobs that wait for that snapshot.
        script: Script to run. None for a program of steps.
        wall_s: Wall time of the whole program, seconds. None for the executor's own limit.
        source: Text of the program.
        num_losses: Number of times that a process for it ended through no fault of the program.
        spent_s: Wall time that processes took which ran nothing of it, seconds. It counts too.
        short_since_s: Time by the monotonic clock since which there is no room for its process.
            None if there always was.
        has_waited: Whether it has waited for a snapshot. A job waits only once.
        whole: Whether it is run from its beginning. Its last step may continue a statement and
            cannot be executed on its own, or its snapshot could not be cloned.
        known_failure: Observation of a beginning of it that failed. The program fails in the same
            way unless it does not parse. None if no beginning is known to fail.
    """

    steps: tuple[str, ...]
    work_id: int | None
    waiting: "list[Job]" = field(default_factory=list)
    script: Script | None = None
    wall_s: float | None = None
    source: str = ""
    num_losses: int = 0
    spent_s: float = 0.0
    short_since_s: float | None = None
    has_waited: bool = False
    whole: bool = False
    known_failure: Observation | None = None

    def __post_init__(self) -> None:
        if self.script:
            self.source, self.wall_s = self.script.source, self.script.wall_s
            self.whole = True
        else:
            self.source = source_of(self.steps)

    @property
    def stays_open(self) -> bool:
        """Whether more steps may follow in its code block."""
        return bool(self.steps) and not closes_code(self.steps[-1])

    @property
    def num_hidden(self) -> int:
        """Number of characters of the source before the last step, if that begins a line."""
        return next((len(source) for _, source in self.beginnings()), 0)

    def beginnings(self) -> Iterator[tuple[int, str]]:
        """Yield its proper beginnings of whole steps, the longest first.

        Each is given by its number of steps and its source.
        """
        for num_steps in range(len(self.steps) - 1, 0, -1):
            source = source_of(self.steps[:num_steps])
            if source.strip() and continues(self.source, source):
                yield num_steps, source
