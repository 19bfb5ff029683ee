"""Locking a process down before it runs untrusted code.

Runs in zygotes, before programs or grades are cloned from them.
"""

import contextlib
import os
import resource
import struct
import sys
import sysconfig
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from types import ModuleType
from typing import Any

from rstar_fast.verify.sandbox import kernel, landlock, namespaces, seccomp
from rstar_fast.verify.sandbox.kernel import prctl, syscall

NOBODY = 65534
"""User and group id without any rights."""
_DEVICES = ("/dev/null", "/dev/urandom", "/dev/zero")
_SYSTEM_FOLDERS = (
    "/lib",
    "/lib64",
    "/usr/lib",
    "/usr/lib64",
    "/usr/local/lib",
    "/usr/share/zoneinfo",
    "/etc/ld.so.cache",
)
_MAX_FDS = 64
_CAPABILITY_VERSION_3 = 0x20080522


@dataclass(frozen=True, slots=True)
class Confinement:
    """Resource limits of a locked-down process and its children.

    Attributes:
        memory_bytes: Address space beyond what the process has now, bytes.
        max_processes: Number of processes and threads of the user, in its user namespace if there
            is one.
    """

    memory_bytes: int
    max_processes: int


def readable_roots() -> tuple[str, ...]:
    """Return the folders that a program may read, each ending in a separator.

    They are the interpreter's own, those of installed packages, and those of loaded packages.
    """
    roots = {
        "/usr/share/zoneinfo",
        *(sysconfig.get_path(name) for name in ("stdlib", "platstdlib", "purelib", "platlib")),
    }
    roots |= {
        path for path in sys.path if os.path.basename(path) in ("site-packages", "dist-packages")
    }
    roots.update(_package_folders())
    return tuple(sorted({os.path.join(os.path.realpath(root), "") for root in roots}))


def _package_folders() -> Iterator[str]:
    """Yield the folders of loaded packages. What stands in for a module may have any `__path__`."""
    for module in list(sys.modules.values()):
        paths = vars(module).get("__path__", ()) if isinstance(module, ModuleType) else ()
        with contextlib.suppress(Exception):
            yield from [path for path in paths if isinstance(path, str)]


def lock_down(
    confinement: Confinement,
    roots: Iterable[str],
    send: Callable[[int], object] | None = None,
    draw_secret: Callable[[Any, int, int], None] | None = None,
) -> dict[str, str]:
    """Confine this process for good.

    The process must have one thread, and must have imported everything that it needs.

    Args:
        confinement: Resource limits.
        roots: Folders that may be read, from `readable_roots`.
        send: Function that hands the descriptor of `seccomp.install_questions` to the process that
            answers. None if nobody answers.
        draw_secret: Function that spares this process the questions, see `install_questions`.

    Returns:
        Reasons why a means is not in force, keyed by its name. "" if it is in force.
    """
    folders = (*roots, *_unresolved(tuple(roots)), *_SYSTEM_FOLDERS)
    # Measured now, because /proc is hidden later.
    max_bytes = _size_bytes() + confinement.memory_bytes
    is_root = _is_real_root()
    outcome = {"private file system": namespaces.attempt(lambda: _hide_files(folders))}
    if not outcome["private file system"]:
        namespaces.enter_private_root(folders, _DEVICES)
    outcome["dropped privileges"] = (
        namespaces.attempt(_drop_user) if is_root else _tried(_drop_capabilities)
    )
    if is_root and not outcome["dropped privileges"]:
        _drop_user()
    os.chdir("/")
    _set_limits(confinement, max_bytes)
    outcome["resource limits"] = ""
    outcome["no new privileges"] = _tried(lambda: prctl(kernel.PR_SET_NO_NEW_PRIVS, 1))
    outcome["landlock"] = _tried(lambda: landlock.restrict(folders, _DEVICES))
    if send:
        outcome["approved clones"] = _tried(lambda: _ask(send, draw_secret))
    asks = outcome.get("approved clones") == ""
    outcome["seccomp"] = _tried(lambda: seccomp.install(asks))
    return outcome


def _ask(
    send: Callable[[int], object], draw_secret: Callable[[Any, int, int], None] | None
) -> None:
    """Have another process asked about clones. Nobody is to hold the questions but that process."""
    questions_fd = seccomp.install_questions(draw_secret)
    try:
        send(questions_fd)
    finally:
        os.close(questions_fd)


def _unresolved(roots: tuple[str, ...]) -> list[str]:
    """Return the folders of modules that are named through a symbolic link and lie in `roots`."""
    return [
        name
        for name in (*sys.path, *_package_folders())
        if os.path.realpath(name) != name
        and os.path.join(os.path.realpath(name), "").startswith(roots)
    ]


def _hide_files(folders: Iterable[str]) -> None:
    """Enter a private root, and check that the standard library can still be read."""
    namespaces.enter_private_root(folders, _DEVICES)
    _check_files()


def _check_files() -> None:
    with open(os.__file__, "rb"):
        pass


def _is_real_root() -> bool:
    """Return whether this process is root outside any user namespace."""
    if os.geteuid() != 0:
        return False
    try:
        with open("/proc/self/uid_map") as file:
            return [int(number) for number in file.readline().split()] == [0, 0, 2**32 - 1]
    except OSError:
        # There is no /proc.
        return True


def _drop_user() -> None:
    """Become the user without rights, and check that the standard library can still be read."""
    os.setgroups([])
    os.setresgid(NOBODY, NOBODY, NOBODY)
    os.setresuid(NOBODY, NOBODY, NOBODY)
    _drop_capabilities()
    _check_files()


def _drop_capabilities() -> None:
    syscall("capset", struct.pack("=Ii", _CAPABILITY_VERSION_3, 0), bytes(24))


def _size_bytes() -> int:
    with open("/proc/self/statm", "rb") as statm:
        return int(statm.read().split()[0]) * resource.getpagesize()


def _set_limits(confinement: Confinement, max_bytes: int) -> None:
    limits = {
        resource.RLIMIT_AS: max_bytes,
        resource.RLIMIT_NPROC: confinement.max_processes,
        resource.RLIMIT_NOFILE: _MAX_FDS,
        resource.RLIMIT_FSIZE: 0,
        resource.RLIMIT_CORE: 0,
        resource.RLIMIT_MEMLOCK: 0,
        resource.RLIMIT_MSGQUEUE: 0,
    }
    for limit, value in limits.items():
        resource.setrlimit(limit, (value, value))


def _tried(action: Callable[[], object]) -> str:
    """Do something. Returns "" if it worked, else why not."""
    try:
        action()
    except OSError as error:
        return str(error)
    return ""
