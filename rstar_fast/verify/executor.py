"""Runs the steps of code blocks in a pool of worker processes."""

import os
from collections.abc import Iterable, Sequence
from concurrent.futures import Future
from dataclasses import asdict
from typing import Any

from rstar_fast.config import ObservationStyle
from rstar_fast.errors import ConfigError, ExecutorError
from rstar_fast.verify.base import Limits, Observation, Status
from rstar_fast.verify.pool import WorkerPool

PRELOAD = (
    "bisect",
    "cmath",
    "collections",
    "copy",
    "datetime",
    "decimal",
    "fractions",
    "functools",
    "heapq",
    "itertools",
    "json",
    "math",
    "operator",
    "random",
    "re",
    "statistics",
    "string",
    "time",
    "numpy",
    "sympy",
)
"""Modules that are loaded before a program starts. A program may import others that are installed; that costs it time."""

_GRACE_S = 5.0
"""How much longer than a program's limit its worker may take before it is killed too."""
_KEPT_ENVIRONMENT = (
    "HOME",
    "LANG",
    "LC_ALL",
    "LC_CTYPE",
    "LD_LIBRARY_PATH",
    "PATH",
    "PYTHONHOME",
    "PYTHONPATH",
    "TZ",
    "VIRTUAL_ENV",
)
_WORKER_ENVIRONMENT = {
    "PYTHONHASHSEED": "0",
    "OMP_NUM_THREADS": "1",
    "OPENBLAS_NUM_THREADS": "1",
    "MKL_NUM_THREADS": "1",
    "NUMEXPR_NUM_THREADS": "1",
    "VECLIB_MAXIMUM_THREADS": "1",
}
_DEFAULT_LIMITS = Limits()


class Executor:
    r"""Runs programs, each in a process of its own; implements `StepRunner`.

    A program sees nothing of another: names, patched modules and random state end with it. Equal steps give equal observations,
    whatever the number of workers. Whatever a program does, its future resolves to an `Observation`, about `limits.wall_s` after it
    started at the latest. The protection is a guard rail (see `guard.py`), not a sandbox for programs written to break out.

    >>> with Executor(workers=1) as executor:
    ...     executor.run(["<code>\nx = 6\n<end_of_step>", "\nprint(x * 7)\n<end_of_code>"]).text
    '42'
    """

    def __init__(
        self,
        workers: int | None = None,
        limits: Limits = _DEFAULT_LIMITS,
        style: ObservationStyle = "stdout",
        seed: int = 0,
        preload: Sequence[str] = PRELOAD,
    ) -> None:
        """Make an executor; its workers start with the first programs.

        Args:
            workers: programs run at once, >= 1; None for one per processor of this process.
            limits: of every program.
            style: how an observation is made of what a program printed.
            seed: of `random` and `numpy.random` in every program, >= 0.
            preload: modules loaded before a program starts; those that cannot be imported are left out.
        """
        if style not in ("stdout", "reference"):
            raise ConfigError(f'style: expected "stdout" or "reference", got {style!r}')
        if isinstance(seed, bool) or not isinstance(seed, int) or seed < 0:
            raise ConfigError(f"seed: expected an integer of at least 0, got {seed!r}")
        self._limits = limits
        self._pool = WorkerPool(
            "rstar_fast.verify.step_worker",
            workers=len(os.sched_getaffinity(0)) if workers is None else workers,
            limit_s=limits.wall_s + _GRACE_S,
            options={"style": style, "seed": seed, "preload": list(preload), **asdict(limits)},
            decode=_decode,
            failure=self._failure,
            environment={name: os.environ[name] for name in _KEPT_ENVIRONMENT if name in os.environ} | _WORKER_ENVIRONMENT,
        )

    def submit(self, steps: Sequence[str]) -> "Future[Observation]":
        """Start the program of an open code block, given as the texts of its steps; the last one is what is observed.

        Raises `ExecutorError` when closed. The future's exception is an `ExecutorError` if no worker can be started.
        """
        if isinstance(steps, str) or not all(isinstance(step, str) for step in steps):
            raise ExecutorError(f"submit: expected the texts of the steps, got {steps!r:.80}")
        return self._pool.submit({"steps": list(steps)})

    def run(self, steps: Sequence[str]) -> Observation:
        """Run one program and wait for its observation."""
        return self.submit(steps).result()

    def run_many(self, programs: Iterable[Sequence[str]]) -> list[Observation]:
        """Run programs side by side; observations in the order of the programs."""
        return [future.result() for future in [self.submit(steps) for steps in programs]]

    def worker_pids(self) -> list[int]:
        """The process ids of the workers that live now."""
        return self._pool.pids()

    def close(self) -> None:
        """Stop the workers; programs that are not done become `Status.LOST`. May be called again."""
        self._pool.close()

    def __enter__(self) -> "Executor":
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def _failure(self, status: Status) -> Observation:
        text = {
            Status.TIMEOUT: f"TimeoutError: not finished after {self._limits.wall_s:g} s",
            Status.PROTOCOL: "ProtocolError: the worker sent a malformed answer",
            Status.LOST: "LostError: the worker ended before the program did",
        }[status]
        return Observation(status, text)


def _decode(payload: dict[str, Any]) -> Observation:
    text = payload["text"]
    if not isinstance(text, str):
        raise TypeError(f"expected the text of an observation, got {type(text).__name__}")
    return Observation(
        Status(payload["status"]), text, float(payload["wall_s"]), float(payload["cpu_s"]), int(payload["peak_bytes"])
    )
