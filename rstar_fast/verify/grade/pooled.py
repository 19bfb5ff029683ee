"""The base of verifiers over a pool of workers. Runs in the main process."""

import os
from collections.abc import Callable
from typing import Any, Self

from rstar_fast.errors import ConfigError
from rstar_fast.verify.base import Grade, Layer, Status
from rstar_fast.verify.grade.clones import GRACE_S
from rstar_fast.verify.pool.environment import scrubbed_environment
from rstar_fast.verify.pool.pool import WorkerPool


class PooledVerifier:
    """Base of verifiers whose answers are graded in killable worker processes.

    A subclass adds `submit`, which hands payloads to `_pool`. A context manager, which closes the
    pool.
    """

    def __init__(
        self,
        module: str,
        options: dict[str, Any],
        workers: int,
        limit_s: float,
        decode: Callable[[dict[str, Any]], Grade] | None = None,
        confined: bool = False,
    ) -> None:
        """Make the pool. Its workers start with the first answer.

        Args:
            module: Name of the worker's module.
            options: JSON values that are sent to every worker at its start.
            workers: Number of answers that are graded at once, in 1..4096.
            limit_s: Seconds for grading one answer, > 0. An answer that takes longer counts as
                wrong.
            decode: Function that makes a grade of a worker's payload. None reads `correct` and
                `status`.
            confined: Whether the module grades in confined clones (`clones.in_clones`). Its workers
                then get `limit_s` as an option too, and end late answers themselves. They see the
                environment variables that an interpreter needs. Other workers see all variables,
                and a fixed hash seed.

        Raises:
            ConfigError: A number is out of range.
        """
        if (
            isinstance(limit_s, bool)
            or not isinstance(limit_s, int | float)
            or not 0 < limit_s < 1e6
        ):
            raise ConfigError(f"limit_s: expected a number of seconds above 0, got {limit_s!r}")
        self._pool: WorkerPool[Grade] = WorkerPool(
            module,
            workers=workers,
            limit_s=limit_s + GRACE_S if confined else limit_s,
            options=options | {"limit_s": limit_s} if confined else options,
            decode=decode or _decode,
            failure=lambda status: Grade(False, status),
            environment=scrubbed_environment()
            if confined
            else os.environ | {"PYTHONHASHSEED": "0"},
        )

    def worker_pids(self) -> list[int]:
        """Return the process ids of the workers that live now."""
        return self._pool.pids()

    def close(self) -> None:
        """Stop the workers. Answers that are not graded yet get `Status.LOST`.

        May be called again.
        """
        self._pool.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()


def _decode(payload: dict[str, Any]) -> Grade:
    correct, unsure = payload["correct"], payload.get("unsure", False)
    if not isinstance(correct, bool) or not isinstance(unsure, bool) or (correct and unsure):
        raise TypeError(f"expected a grade, got {payload!r}")
    return Grade(
        correct, Status(payload["status"]), unsure, Layer(payload.get("layer", Layer.OTHER))
    )
