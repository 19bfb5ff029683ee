"""Runs the programs that steps make, each in a confined process of its own."""

import os
import warnings
from collections.abc import Iterable, Sequence
from concurrent.futures import Future
from dataclasses import asdict
from typing import Any, cast

from rstar_fast.config import ObservationStyle
from rstar_fast.errors import ConfigError, ExecutorError
from rstar_fast.verify.base import Limits, Observation, Status
from rstar_fast.verify.execute.isolation import Isolation
from rstar_fast.verify.execute.session import ProgramSession
from rstar_fast.verify.execute.zygote_options import ZygoteOptions
from rstar_fast.verify.pool.pool import WorkerPool

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

_MAX_SILENCE_S = 120.0
"""How much longer than three programs may take the supervisor may be silent while it has work: starting is in it."""
_MAX_IN_FLIGHT = 256
"""Programs that the supervisor knows of at once; it sees which share a beginning."""
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
    r"""Runs programs, each in a process of its own that the machine confines as well as it can; implements `StepRunner`.

    A program sees nothing of another: names, patched modules and random state end with it. Equal steps give equal observations,
    whatever the number of workers, and whether or not a snapshot of their beginning was at hand. Whatever a program does, its
    future resolves to an `Observation`, about `limits.wall_s` after it started at the latest. `isolation` says what confines it.

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
        allowed_modules: Sequence[str] | None = None,
        snapshot_bytes: int = 512 << 20,
        require_isolation: bool = False,
        native: bool | None = None,
        huge_pages: bool = True,
    ) -> None:
        """Make an executor; its processes start with the first programs.

        Args:
            workers: programs run at once, >= 1; None for one per processor of this process. Fewer run where their memory limits
                would not fit into the machine together.
            limits: of every program.
            style: how an observation is made of what a program printed.
            seed: of `random` and `numpy.random` in every program, >= 0.
            preload: modules loaded before a program starts; those that cannot be imported are left out.
            allowed_modules: top-level modules that a program itself may import; None for all that are installed.
            snapshot_bytes: memory for paused processes that hold the state of programs so far, >= 0; 0 keeps none, and every
                program is run from its beginning.
            require_isolation: raise `IsolationError` unless `isolation` is sufficient. Starts the processes at once.
            native: True for cloning in C++ only, False for Python only; None for C++, or Python with a warning.
            huge_pages: gather the libraries' memory into huge pages, where the kernel can.
        """
        if style not in ("stdout", "reference"):
            raise ConfigError(f'style: expected "stdout" or "reference", got {style!r}')
        for name, number in (("seed", seed), ("snapshot_bytes", snapshot_bytes)):
            if isinstance(number, bool) or not isinstance(number, int) or number < 0:
                raise ConfigError(f"{name}: expected an integer of at least 0, got {number!r}")
        self._limits = limits
        zygote = ZygoteOptions(
            style=style,
            seed=seed,
            preload=_module_names("preload", preload),
            allowed_modules=None
            if allowed_modules is None
            else _module_names("allowed_modules", allowed_modules),
            native=_native(native),
            huge_pages=huge_pages,
            **asdict(limits),
        )
        num_workers = len(os.sched_getaffinity(0)) if workers is None else workers
        if (
            isinstance(num_workers, bool)
            or not isinstance(num_workers, int)
            or not 1 <= num_workers <= 4096
        ):
            raise ConfigError(f"workers: expected an integer in 1..4096, got {workers!r}")
        self._pool: WorkerPool[Observation | dict[str, Any]] = WorkerPool(
            "rstar_fast.verify.execute.supervisor.supervisor",
            workers=1,
            slots=_MAX_IN_FLIGHT,
            limit_s=3 * limits.wall_s + _MAX_SILENCE_S,
            options={
                "workers": num_workers,
                "snapshot_bytes": snapshot_bytes,
                "zygote": asdict(zygote),
            },
            decode=_decode,
            failure=self._failure,
            environment={name: os.environ[name] for name in _KEPT_ENVIRONMENT if name in os.environ}
            | _WORKER_ENVIRONMENT,
        )
        if require_isolation:
            try:
                self.isolation().require()
            except BaseException:
                self.close()
                raise

    def submit(self, steps: Sequence[str]) -> "Future[Observation]":
        """Start the program of an open code block, given as the texts of its steps; the last one is what is observed.

        Raises `ExecutorError` when closed. The future's exception is an `ExecutorError` if no worker can be started.
        """
        if (
            not isinstance(steps, Sequence)
            or isinstance(steps, str)
            or not all(isinstance(step, str) for step in steps)
        ):
            raise ExecutorError(f"submit: expected the texts of the steps, got {steps!r:.80}")
        if not steps:
            raise ExecutorError("submit: expected one step or more, got none")
        return cast("Future[Observation]", self._pool.submit({"steps": list(steps)}))

    def run(self, steps: Sequence[str]) -> Observation:
        """Run one program and wait for its observation."""
        return self.submit(steps).result()

    def run_many(self, programs: Iterable[Sequence[str]]) -> list[Observation]:
        """Run programs side by side; observations in the order of the programs."""
        return [future.result() for future in [self.submit(steps) for steps in programs]]

    def session(self) -> ProgramSession:
        """Begin a program that grows step by step."""
        return ProgramSession(self)

    def isolation(self) -> Isolation:
        """What confines the programs on this machine. Starts the processes if there are none."""
        return Isolation.of(self.report())

    def report(self) -> dict[str, Any]:
        """The state of the processes: `isolation`, `native`, `num_huge_pages`, `programs_at_once`, `num_snapshots`,
        `snapshot_bytes`, and `pids` of supervisor, zygotes, programs and snapshots. Starts the processes if there are none.
        """
        report = self._pool.submit({"report": True}).result()
        if not isinstance(report, dict):
            raise ExecutorError(f"report: the supervisor ended before it answered ({report.text})")
        report["pids"]["supervisor"] = self._pool.pids()
        return report

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
            Status.PROTOCOL: "ProtocolError: the supervisor sent a malformed answer",
            Status.LOST: "LostError: the processes that were to run the program ended",
        }[status]
        return Observation(status, text)


def _module_names(option: str, names: Sequence[str]) -> tuple[str, ...]:
    if isinstance(names, str) or not all(isinstance(name, str) for name in names):
        raise ConfigError(f"{option}: expected the names of modules, got {names!r:.80}")
    return tuple(names)


def _native(wanted: bool | None) -> bool:
    if wanted is False:
        return False
    try:
        import rstar_fast._clone  # noqa: F401
    except ImportError as error:
        if wanted:
            raise ExecutorError(f"native=True: the extension cannot be loaded: {error}") from error
        warnings.warn(
            f"programs are cloned by Python, more slowly: {error}", RuntimeWarning, stacklevel=3
        )
        return False
    return True


def _decode(payload: dict[str, Any]) -> Observation | dict[str, Any]:
    if "isolation" in payload:
        return payload
    text = payload["text"]
    if not isinstance(text, str):
        raise TypeError(f"expected the text of an observation, got {type(text).__name__}")
    return Observation(
        Status(payload["status"]),
        text,
        float(payload["wall_s"]),
        float(payload["cpu_s"]),
        int(payload["peak_bytes"]),
    )
