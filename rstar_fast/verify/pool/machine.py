"""What worker processes need of the machine. Used in the main process and the supervisor."""

import os
import sys

from rstar_fast.errors import ExecutorError


def require_linux(what: str) -> None:
    """Raise `ExecutorError` unless this is Linux, which alone can confine and watch processes.

    Args:
        what: Words for what was asked for, in the plural.
    """
    if sys.platform != "linux":
        raise ExecutorError(
            f"{what} need Linux, got {sys.platform}: worker processes use its namespaces, seccomp "
            "and pidfds. A search here takes a runner and a verifier of your own: "
            "Searcher(..., runner=, verifier=)"
        )


def usable_cores() -> int:
    """Return the number of processors that this process may use."""
    if sys.platform == "linux":
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1
