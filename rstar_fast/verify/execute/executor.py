"""The runner of Python programs, each in a confined process. Runs in the main process."""

import sys
import warnings
from base64 import b64decode, b64encode
from collections.abc import Iterable, Sequence
from concurrent.futures import Future
from dataclasses import asdict, replace
from typing import Any, Literal, cast

from rstar_fast.checks import check_choice, check_integer, check_number
from rstar_fast.errors import ConfigError, ExecutorError
from rstar_fast.verify.base import Limits, Observation, ScriptResult, Status
from rstar_fast.verify.execute import failures
from rstar_fast.verify.execute.isolation import Isolation
from rstar_fast.verify.execute.session import ProgramSession
from rstar_fast.verify.execute.source import MAX_CHARS
from rstar_fast.verify.execute.zygote_options import Style, ZygoteOptions
from rstar_fast.verify.pool.environment import scrubbed_environment
from rstar_fast.verify.pool.machine import usable_cores
from rstar_fast.verify.pool.pool import MAX_WORKERS, WorkerPool

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
"""Modules that are loaded before a program starts.

A program may also import other modules that are installed, in its own time.
"""

_MAX_SILENCE_S = 120.0
"""Seconds of silence that a busy supervisor may add to three programs' time limits.

The time in which its zygotes start is part of them.
"""
_MAX_IN_FLIGHT = 256
"""Number of programs that the supervisor knows at once, so that it sees which share a beginning."""
_DEFAULT_LIMITS = Limits()
_MIN_WALL_S = 1e-3
MAX_STDIN_BYTES = 4 << 20
"""Largest standard input of a script, bytes."""


class Executor:
    r"""Runs Python programs, each in a confined process of its own. A context manager.

    A program sees nothing of another one: names, patched modules and random state end with it.
    Equal steps give equal observations, whatever the number of workers, and whether or not a
    snapshot of their beginning is at hand. Whatever a program does, its future resolves to an
    `Observation` at most about `limits.wall_s` after the program started. `isolation` tells how far
    this machine can confine programs. Implements `StepRunner`. Programs run on Linux only;
    elsewhere `submit` raises `ExecutorError`.

    >>> with Executor(workers=1) as executor:
    ...     executor.run(["<code>\nx = 6\n<end_of_step>", "\nprint(x * 7)\n<end_of_code>"]).text
    '42'
    """

    def __init__(
        self,
        workers: int | None = None,
        limits: Limits = _DEFAULT_LIMITS,
        style: Style = "stdout",
        seed: int = 0,
        preload: Sequence[str] = PRELOAD,
        allowed_modules: Sequence[str] | None = None,
        snapshot_bytes: int = 512 << 20,
        require_isolation: bool | Literal["strict"] = False,
        native: bool | None = None,
        huge_pages: bool = True,
    ) -> None:
        """Make an executor. Its processes start with the first program.

        Args:
            workers: Number of programs at once, in 1..4096. None for one per processor that this
                process may use. Fewer run where the machine's memory cannot hold the memory limits
                of all.
            limits: Limits of every program.
            style: Style of the observations. "stdout" shows all that was printed, as it was
                printed, or the value of the last expression if nothing was. "reference" is the
                style of the released training data. "step" shows what "stdout" would, of the last
                step only.
            seed: Seed of `random`, `numpy.random` and sympy's generator in every program, >= 0.
            preload: Names of modules that are loaded before a program starts. Modules that cannot
                be imported are left out.
            allowed_modules: Names of the top-level modules that a program itself may import. None
                allows all that are installed.
            snapshot_bytes: Memory for snapshots, bytes, >= 0. A snapshot is a paused process that
                has executed a program so far. With 0, every program is run from its beginning.
            require_isolation: Whether to raise `IsolationError` unless all required means of
                `isolation` are in force. The processes then start at once. "strict" requires every
                means that there is.
            native: Whether processes are cloned in C++ (True) or in Python (False). None takes C++
                if its extension can be loaded, and otherwise Python with a warning.
            huge_pages: Whether the libraries' memory is gathered into huge pages, where the kernel
                can.

        Raises:
            ConfigError: An option is out of range.
            ExecutorError: `native` is True, and the extension cannot be loaded.
            IsolationError: Isolation is required, and this machine does not permit it.
        """
        check_choice("style", style, ("stdout", "reference", "step"))
        if require_isolation not in (False, True, "strict"):
            raise ConfigError(
                f'require_isolation: expected False, True or "strict", got {require_isolation!r}'
            )
        check_integer("seed", seed, low=0)
        check_integer("snapshot_bytes", snapshot_bytes, low=0)
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
        num_workers = usable_cores() if workers is None else workers
        check_integer("workers", num_workers, low=1, high=MAX_WORKERS)
        self._pool: WorkerPool[Observation | ScriptResult | dict[str, Any]] = WorkerPool(
            "rstar_fast.verify.execute.supervisor.main",
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
            environment=scrubbed_environment(),
        )
        if require_isolation:
            try:
                self.isolation().require(strict=require_isolation == "strict")
            except BaseException:
                self.close()
                raise

    def submit(self, steps: Sequence[str], wall_s: float | None = None) -> "Future[Observation]":
        """Start the program of a code block.

        Args:
            steps: Texts of the block's steps, at least one.
            wall_s: Wall time of all steps together, seconds, if it is less than the limit.

        Returns:
            A future of the observation after the last step, which shows the whole program. The
            future's exception is an `ExecutorError` if no worker can be started.

        Raises:
            ConfigError: `wall_s` is less than 0.001.
            ExecutorError: The executor is closed, or `steps` is not a sequence of texts.
        """
        request: dict[str, Any] = {}
        if wall_s is not None:
            check_number("wall_s", wall_s, low=_MIN_WALL_S)
            request["wall_s"] = min(wall_s, self._limits.wall_s)
        if (
            not isinstance(steps, Sequence)
            or isinstance(steps, str)
            or not all(isinstance(step, str) for step in steps)
        ):
            raise ExecutorError(f"submit: expected the texts of the steps, got {steps!r:.80}")
        if not steps:
            raise ExecutorError("submit: expected at least one step, got none")
        num_chars = sum(map(len, steps))
        if num_chars > MAX_CHARS:
            refused: Future[Observation] = Future()
            refused.set_result(failures.too_long(num_chars, MAX_CHARS))
            return refused
        return cast("Future[Observation]", self._pool.submit(request | {"steps": list(steps)}))

    def run(self, steps: Sequence[str]) -> Observation:
        """Run one program and wait for its observation. Raises what `submit` does."""
        return self.submit(steps).result()

    def run_many(self, programs: Iterable[Sequence[str]]) -> list[Observation]:
        """Run programs side by side. Returns their observations in the order of the programs."""
        return [future.result() for future in [self.submit(steps) for steps in programs]]

    def submit_script(
        self,
        source: str,
        stdin: str = "",
        wall_s: float | None = None,
        memory_bytes: int | None = None,
    ) -> "Future[ScriptResult]":
        """Start a script: a whole program with standard streams and an exit code.

        It runs as `python -u main.py` would, from its first statement to the end of its threads and
        exit functions. It is confined like every program. Nothing of it is kept.

        Args:
            source: Text of the script.
            stdin: Text of its standard input, at most 4 MiB as UTF-8.
            wall_s: Wall time until it is killed, seconds, if it is less than the limit.
            memory_bytes: Address space beyond the loaded libraries' own, bytes, if it is less than
                the limit. >= 1 MiB.

        Returns:
            A future of how it ended and what it wrote, also where it was killed. The future's
            exception is an `ExecutorError` if no worker can be started. It cannot be cancelled.

        Raises:
            ConfigError: A limit is out of range.
            ExecutorError: The executor is closed, or a text is none or too long.
        """
        limits = self._limits
        if wall_s is not None:
            check_number("wall_s", wall_s, low=_MIN_WALL_S)
            limits = replace(limits, wall_s=min(wall_s, limits.wall_s))
        if memory_bytes is not None:
            check_integer("memory_bytes", memory_bytes, low=1 << 20)
            limits = replace(limits, memory_bytes=min(memory_bytes, limits.memory_bytes))
        for name, text in (("source", source), ("stdin", stdin)):
            if not isinstance(text, str):
                raise ExecutorError(f"submit_script: expected a text as {name}, got {text!r:.80}")
        given = stdin.encode("utf-8", "surrogatepass")
        if len(given) > MAX_STDIN_BYTES:
            raise ExecutorError(
                f"submit_script: expected at most {MAX_STDIN_BYTES} bytes of standard input, "
                f"got {len(given)}"
            )
        result: Future[ScriptResult] = Future()
        result.set_running_or_notify_cancel()
        if len(source) > MAX_CHARS:
            result.set_result(failures.of_script(failures.too_long(len(source), MAX_CHARS)))
            return result
        told = {
            "source": source,
            "stdin": b64encode(given).decode("ascii"),
            "wall_s": limits.wall_s,
            "memory_bytes": limits.memory_bytes,
        }

        def hand_on(done: "Future[Any]") -> None:
            error = done.exception()
            if error:
                result.set_exception(error)
                return
            found = done.result()
            result.set_result(
                found if isinstance(found, ScriptResult) else failures.of_script(found)
            )

        self._pool.submit({"script": told}).add_done_callback(hand_on)
        return result

    def run_script(
        self,
        source: str,
        stdin: str = "",
        wall_s: float | None = None,
        memory_bytes: int | None = None,
    ) -> ScriptResult:
        """Run a script and wait for its end. Takes and raises what `submit_script` does."""
        return self.submit_script(source, stdin, wall_s, memory_bytes).result()

    def session(self) -> ProgramSession:
        """Begin a program that grows step by step."""
        return ProgramSession(self)

    def isolation(self) -> Isolation:
        """Return the means that confine programs on this machine.

        Starts the processes if there are none.
        """
        return Isolation.of(self.report())

    def report(self) -> dict[str, Any]:
        """Return the state of the processes. Starts them if there are none.

        Returns:
            A dict of `isolation` (see `Isolation.means`), `native` (whether processes are cloned in
            C++), `num_huge_pages` (made in the newest zygote), `programs_at_once` (largest number),
            `num_snapshots`, `snapshot_bytes` (upper bound of their memory), and `pids`: a dict of
            the process ids under `supervisor`, `zygotes`, `programs` and `snapshots`.

        Raises:
            ExecutorError: The executor is closed, or the supervisor cannot be started.
        """
        report = self._pool.submit({"report": True}).result()
        if not isinstance(report, dict):
            raise ExecutorError(f"report: the supervisor ended before it answered ({report})")
        report["pids"]["supervisor"] = self._pool.pids()
        return report

    def close(self) -> None:
        """Stop the workers. Programs that are not done get `Status.LOST`. May be called again."""
        self._pool.close()

    def __enter__(self) -> "Executor":
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def _failure(self, status: Status) -> Observation:
        if status is Status.TIMEOUT:
            return failures.timed_out(self._limits.wall_s)
        return (
            failures.malformed("the supervisor") if status is Status.PROTOCOL else failures.lost()
        )


def _module_names(option: str, names: Sequence[str]) -> tuple[str, ...]:
    if isinstance(names, str) or not all(isinstance(name, str) for name in names):
        raise ConfigError(f"{option}: expected a sequence of module names, got {names!r:.80}")
    return tuple(names)


def _native(wanted: bool | None) -> bool:
    if wanted is False or sys.platform != "linux":
        return False
    try:
        import rstar_fast._clone  # noqa: F401
    except ImportError as error:
        if wanted:
            raise ExecutorError(f"native=True: the extension cannot be loaded: {error}") from error
        warnings.warn(
            f"no C++ extension: programs are cloned by Python, more slowly: {error}",
            RuntimeWarning,
            stacklevel=3,
        )
        return False
    return True


def _decode(payload: dict[str, Any]) -> Observation | ScriptResult | dict[str, Any]:
    if "isolation" in payload:
        return payload
    if "exit_code" in payload:
        for name in ("stdout", "stderr"):
            payload[name] = b64decode(payload[name]).decode("utf-8", "replace")
        return ScriptResult(**payload | {"status": Status(payload["status"])})
    text = payload["text"]
    if not isinstance(text, str):
        raise TypeError(f"text: expected a string, got {type(text).__name__}")
    return Observation(
        Status(payload["status"]),
        text,
        float(payload["wall_s"]),
        float(payload["cpu_s"]),
        int(payload["peak_bytes"]),
    )
