"""What a supervisor tells its zygotes."""

from dataclasses import dataclass
from typing import Literal


@dataclass(frozen=True, slots=True)
class ZygoteOptions:
    """How programs are run; the meanings are those of `Executor` and `Limits`."""

    style: Literal["stdout", "reference"]
    seed: int
    preload: tuple[str, ...]
    allowed_modules: tuple[str, ...] | None
    wall_s: float
    memory_bytes: int
    output_chars: int
    threads: int
    native: bool
    huge_pages: bool
