"""System calls that Python has no function for, on x86-64 and aarch64.

Used in every process that is confined or that confines itself.
"""

import ctypes
import errno
import os
from typing import Any

CLONE_PARENT = 0x8000
CLONE_THREAD = 0x10000
CLONE_NEWNS = 0x20000
CLONE_CHILD_CLEARTID = 0x200000
CLONE_CHILD_SETTID = 0x1000000
CLONE_NEWUTS = 0x4000000
CLONE_NEWIPC = 0x8000000
CLONE_NEWUSER = 0x10000000
CLONE_NEWPID = 0x20000000
CLONE_NEWNET = 0x40000000

PR_SET_PDEATHSIG = 1
PR_SET_NAME = 15
PR_GET_NAME = 16
PR_SET_SECCOMP = 22
PR_SET_NO_NEW_PRIVS = 38
PR_GET_TID_ADDRESS = 40
PR_SET_VMA = 0x53564D41

_NUMBERS = {
    "x86_64": {
        "capset": 126,
        "clone": 56,
        "clone3": 435,
        "fcntl": 72,
        "ioctl": 16,
        "landlock_add_rule": 445,
        "landlock_create_ruleset": 444,
        "landlock_restrict_self": 446,
        "mmap": 9,
        "pivot_root": 155,
        "prctl": 157,
        "prlimit64": 302,
        "recvmsg": 47,
        "seccomp": 317,
        "unshare": 272,
    },
    "aarch64": {
        "capset": 91,
        "clone": 220,
        "clone3": 435,
        "fcntl": 25,
        "ioctl": 29,
        "landlock_add_rule": 445,
        "landlock_create_ruleset": 444,
        "landlock_restrict_self": 446,
        "mmap": 222,
        "pivot_root": 41,
        "prctl": 167,
        "prlimit64": 261,
        "recvmsg": 212,
        "seccomp": 277,
        "unshare": 97,
    },
}
MACHINE = os.uname().machine
NUMBERS = _NUMBERS.get(MACHINE, {})
"""Numbers of the calls that are made here, looked for, or judged by their arguments.

Empty on other machines.
"""

# PyDLL keeps the GIL during a call, so that a cloned child holds it too.
_libc = ctypes.PyDLL(None, use_errno=True)
_libc.syscall.restype = ctypes.c_long


def syscall(name: str, *arguments: Any) -> int:
    """Make a system call.

    Args:
        name: Name of the call, a key of `NUMBERS`.
        arguments: Arguments of the call. Integers are passed as longs.

    Returns:
        What the kernel returns, >= 0.

    Raises:
        OSError: The call failed. ENOSYS if this machine's numbers are not known.
    """
    number = NUMBERS.get(name)
    if number is None:
        message = f"the number of this system call is not known on {MACHINE}"
        raise OSError(errno.ENOSYS, message, name)
    return _checked(name, _libc.syscall(ctypes.c_long(number), *map(_as_long, arguments)))


def prctl(option: int, *arguments: Any) -> int:
    """Set or get an attribute of this process.

    Raises:
        OSError: The call failed.
    """
    padded = [*arguments, 0, 0, 0, 0][:4]
    return _checked("prctl", _libc.prctl(ctypes.c_int(option), *map(_as_long, padded)))


def mount(
    source: str, target: str, kind: str | None, flags: int, options: str | None = None
) -> None:
    """Mount a file system, with the arguments of the system call.

    Raises:
        OSError: The call failed.
    """
    encoded = (
        None if kind is None else kind.encode(),
        ctypes.c_ulong(flags),
        None if options is None else options.encode(),
    )
    _checked(f"mount {target}", _libc.mount(os.fsencode(source), os.fsencode(target), *encoded))


def detach_mount(target: str) -> None:
    """Unmount a file system lazily: it is gone at once, and freed when it is no longer used.

    Raises:
        OSError: The call failed.
    """
    _checked(f"umount {target}", _libc.umount2(os.fsencode(target), 2))


def _as_long(argument: Any) -> Any:
    return ctypes.c_long(argument) if isinstance(argument, int) else argument


def _checked(name: str, result: int) -> int:
    if result == -1:
        code = ctypes.get_errno()
        raise OSError(code, os.strerror(code), name)
    return result
