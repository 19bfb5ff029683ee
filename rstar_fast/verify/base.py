"""Limits, results and protocols of running steps and grading answers. Used in every process."""

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
    """It ended normally."""
    ERROR = "error"
    """It raised an exception."""
    TIMEOUT = "timeout"
    """It was killed at its time limit."""
    MEMORY = "memory"
    """It ran out of the memory that it may use."""
    CRASH = "crash"
    """Its process ended without an answer: by a signal, or by an exit."""
    PROTOCOL = "protocol"
    """Its process sent something that is not an answer."""
    LOST = "lost"
    """It never ran to its end: processes that were to run it died, or the pool was closed."""


class Layer(StrEnum):
    """Layer of grading that settled an answer."""

    READ = "read"
    """Reading: the two are spelled alike, or one of them could not be read."""
    COMPARE = "compare"
    """Comparing the two as values."""
    LIBRARY = "library"
    """Comparing sums, integrals and the like by sympy."""
    OTHER = "other"
    """A verifier without layers, or a failure."""


@dataclass(frozen=True, slots=True)
class Limits:
    """Limits of one program, which is made of all steps of a code block.

    A program may not start processes, write files or use the network at all.

    Attributes:
        wall_s: Seconds of wall time until the program is killed, >= 0.001. The processor time of
            each of its processes is limited too: to `wall_s`, rounded up, plus one second.
        memory_bytes: Bytes of address space beyond the loaded libraries' own, >= 1 MiB.
        output_chars: Characters of printed text that are kept, half from its beginning and half
            from its end, >= 2048. The observation itself is cut to 1024 characters.
        threads: Number of threads that the program may start, >= 0.

    Raises:
        ConfigError: A value is not a number, or is out of range.
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
    """What a program showed after its last step.

    Attributes:
        status: How the program ended.
        text: Text of the observation. For a failure, `Type: message`, in the "stdout" style behind
            what the program printed before it.
        wall_s: Wall time of what was executed for this observation, seconds.
        cpu_s: Processor time of what was executed for this observation, seconds.
        peak_bytes: Peak resident memory of the program, bytes. 0 where it is not known.
    """

    status: Status
    text: str
    wall_s: float = 0.0
    cpu_s: float = 0.0
    peak_bytes: int = 0


@dataclass(frozen=True, slots=True)
class ScriptResult:
    """How a script ended, and what it wrote.

    Attributes:
        status: OK for exit code 0, ERROR for another one, CRASH for a signal, and TIMEOUT. Another
            status where it never ran to its end; `stderr` is then the reason.
        exit_code: Exit code, or minus the number of the signal that ended it. None where it was
            killed at its time limit or never ran to its end.
        stdout: Text of its standard output. Bytes that are not UTF-8 are replaced.
        stderr: Text of its standard error.
        cut: Whether a stream was longer than `Limits.output_chars` bytes. "..." then stands for its
            middle.
        wall_s: Wall time, seconds.
        cpu_s: Processor time, seconds. 0 where it was killed.
        peak_bytes: Peak resident memory, bytes. 0 where it was killed.
    """

    status: Status
    exit_code: int | None
    stdout: str
    stderr: str
    cut: bool = False
    wall_s: float = 0.0
    cpu_s: float = 0.0
    peak_bytes: int = 0


@dataclass(frozen=True, slots=True)
class Grade:
    """Judgement of one final answer.

    Attributes:
        correct: Whether the answer is right. False where it could not be decided.
        status: How the grading ended. Other than OK where the grader raised, hung or died.
        unsure: Whether it could not be decided, as where `status` is not OK. Such an answer counts
            as wrong in accuracies, and no training row is made of it.
        layer: What decided.
    """

    correct: bool
    status: Status = Status.OK
    unsure: bool = False
    layer: Layer = Layer.OTHER

    def __post_init__(self) -> None:
        if self.status is not Status.OK and not self.correct:
            object.__setattr__(self, "unsure", True)


class Verifier(Protocol):
    """Protocol of an object that grades final answers. It knows nothing of the search."""

    def submit(self, problem: "Problem", answer: str) -> "Future[Grade]":
        """Start grading one answer. The future always resolves: a time limit ends the grading."""

    def close(self) -> None:
        """Stop the workers."""


class StepRunner(Protocol):
    """Protocol of an object that runs the programs of code blocks, as `Executor` does."""

    def submit(self, steps: tuple[str, ...]) -> "Future[Observation]":
        """Start the program made of these steps' texts. The future always resolves.

        The observation is the whole program's after its last step.
        """

    def close(self) -> None:
        """Stop the workers."""
