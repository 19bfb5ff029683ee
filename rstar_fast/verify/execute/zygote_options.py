"""Options of a zygote. Used in the main process, in the supervisor and in zygotes."""

from dataclasses import dataclass
from typing import Literal

Style = Literal["stdout", "reference", "step"]
"""Style of observations. "step" shows what "stdout" would, of the last step only."""


@dataclass(frozen=True, slots=True)
class ZygoteOptions:
    """How programs are run.

    Attributes:
        style: Style of the observations, see `Executor`.
        seed: Seed of `random`, `numpy.random` and sympy's generator in every program, >= 0.
        preload: Names of the modules that are loaded before a program starts.
        allowed_modules: Names of the modules that a program may import. None allows all.
        wall_s: Wall time of one program, seconds; see `Limits` for this and the next three.
        memory_bytes: Address space of one program beyond the loaded libraries' own, bytes.
        output_chars: Characters of printed text that are kept.
        threads: Number of threads that a program may start.
        native: Whether processes are cloned in C++, not in Python.
        huge_pages: Whether the libraries' memory is gathered into huge pages.
    """

    style: Style
    seed: int
    preload: tuple[str, ...]
    allowed_modules: tuple[str, ...] | None
    wall_s: float
    memory_bytes: int
    output_chars: int
    threads: int
    native: bool
    huge_pages: bool
