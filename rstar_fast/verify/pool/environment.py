"""The environment variables of processes that run untrusted code. Used in the main process."""

import os

_KEPT = (
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
_SET = {
    "PYTHONHASHSEED": "0",
    "OMP_NUM_THREADS": "1",
    "OPENBLAS_NUM_THREADS": "1",
    "MKL_NUM_THREADS": "1",
    "NUMEXPR_NUM_THREADS": "1",
    "VECLIB_MAXIMUM_THREADS": "1",
}
"""Variables that are the same everywhere.

The hash seed makes the order of sets repeatable. Numeric libraries may start no thread, because
only a process with one thread can be confined and cloned.
"""


def scrubbed_environment() -> dict[str, str]:
    """Return what an interpreter needs of this process's environment, and no secrets."""
    return {name: os.environ[name] for name in _KEPT if name in os.environ} | _SET
