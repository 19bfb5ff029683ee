"""What running a step and checking an answer give."""

from dataclasses import dataclass
from enum import StrEnum
from typing import TYPE_CHECKING, Protocol

from rstar_fast.errors import ConfigError

if TYPE_CHECKING:
    from concurrent.futures import Future

    from rstar_fast.problems import Problem


class Status(StrEnum):
    """How a program, or the grading of an answer, ended."""

    OK = "ok"
    ERROR = "error"
    """An exception the program raised."""
    TIMEOUT = "timeout"
    MEMORY = "memory"
    CRASH = "crash"
    """A signal, or an exit that was not an answer."""
    PROTOCOL = "protocol"
    """The process answered in a form it must not."""
    LOST = "lost"
    """The worker died twice with this work; it was not run to an end."""


@dataclass(frozen=True, slots=True)
class Limits:
    """What one program, all steps of a block together, may use. A value out of range raises `ConfigError`.

    It may not start processes, write files or use the network at all.

    Attributes:
        wall_s: seconds until it is killed, >= 0.001; processor time is limited to a second more.
        memory_bytes: address space beyond that of the loaded libraries, >= 1 MiB.
        output_chars: characters of printed text kept, its beginning and its end (the observation itself is cut to 1024), >= 2048.
        threads: that it may start, >= 0.
    """

    wall_s: float = 5.0
    memory_bytes: int = 1 << 30
    output_chars: int = 1 << 20
    threads: int = 32

    def __post_init__(self) -> None:
        for name, low in (
            ("wall_s", 1e-3),
            ("memory_bytes", 1 << 20),
            ("output_chars", 2048),
            ("threads", 0),
        ):
            value = getattr(self, name)
            number = isinstance(value, int | float if name == "wall_s" else int) and not isinstance(
                value, bool
            )
            if not number or not low <= value < 1 << 60:
                raise ConfigError(
                    f"Limits.{name}: expected a number of at least {low:g}, got {value!r}"
                )


@dataclass(frozen=True, slots=True)
class Observation:
    """What running the last step of a code block showed.

    Attributes:
        status: OK, or why not.
        text: the observation; for a failure, `Type: message`.
        wall_s: wall time of the program, seconds.
        cpu_s: processor time of the program, seconds.
        peak_bytes: its peak resident memory, 0 where unknown.
    """

    status: Status
    text: str
    wall_s: float = 0.0
    cpu_s: float = 0.0
    peak_bytes: int = 0


@dataclass(frozen=True, slots=True)
class Grade:
    """Whether a final answer is right. `status` other than OK (a grader that hung or died) counts as wrong."""

    correct: bool
    status: Status = Status.OK


class Verifier(Protocol):
    """Says whether a final answer of a problem is right, from killable workers; knows nothing of the search."""

    def submit(self, problem: "Problem", answer: str) -> "Future[Grade]":
        """Start one comparison. The future always resolves, at the latest at the verifier's own time limit."""

    def close(self) -> None:
        """Stop the workers."""


class StepRunner(Protocol):
    """Runs the last step of an open code block; `verify.Executor` is the one for Python."""

    def submit(self, steps: tuple[str, ...]) -> "Future[Observation]":
        """Start one program, given as the texts of its block's steps. The future always resolves."""

    def close(self) -> None:
        """Stop the workers."""
