"""The surroundings of a stage."""

from dataclasses import dataclass
from pathlib import Path

from rstar_fast.evolve.config import EvolveConfig


@dataclass(frozen=True, slots=True)
class Context:
    """The run that a stage belongs to, and the machine that does it.

    Attributes:
        run: Folder of the self-evolution. Each stage has the folder of its name below it.
        config: Configuration of the self-evolution.
        device: Device of the models, as in "cuda:0". None for a GPU where there is one.
        workers: Number of processes that run programs, >= 1. None for one per core.
        unconfined: Whether programs are run even where this machine cannot confine them well.
    """

    run: Path
    config: EvolveConfig
    device: str | None = None
    workers: int | None = None
    unconfined: bool = False
