"""Seccomp filters that allow the system calls of a computing process only.

Every other call fails with EPERM. In particular there is no exec, no signal to any process, no
socket, no raised limit, no change of identities, namespaces or mounts, and no new process except by
one clone call. A first filter asks the supervisor about that call, about new threads and about
shared memory, where the kernel can ask.
"""

import ctypes
import signal
import struct
from collections.abc import Callable
from typing import Any

from rstar_fast.verify.sandbox import kernel
from rstar_fast.verify.sandbox.kernel import MACHINE, NUMBERS, prctl

CLONE_FLAGS = (
    kernel.CLONE_PARENT | kernel.CLONE_CHILD_SETTID | kernel.CLONE_CHILD_CLEARTID | signal.SIGCHLD
)
"""Flags of the one clone call that may make a process.

The parent of the new process is the supervisor, not the caller. `clone.cpp` has the same flags.
"""

_AUDIT_ARCH = {"x86_64": 0xC000003E, "aarch64": 0xC00000B7}
_ALLOW, _ASK, _ERRNO, _KILL_PROCESS = 0x7FFF0000, 0x7FC00000, 0x00050000, 0x80000000
_EPERM, _ENOSYS = 1, 38
_SECCOMP_MODE_FILTER = 2
_SECCOMP_SET_MODE_FILTER, _NEW_LISTENER = 1, 8
_MAP_SHARED = 1

_LOAD, _JUMP_EQUAL, _JUMP_AT_LEAST, _JUMP_SET, _RETURN = 0x20, 0x15, 0x35, 0x45, 0x06
_OFFSET_NUMBER, _OFFSET_ARCH, _OFFSET_ARGUMENTS = 0, 4, 16
_X32_BIT = 0x40000000
_IS_LOW_HALF, _IS_HIGH_HALF = (_JUMP_EQUAL, 0, 2, 0), (_JUMP_EQUAL, 1, 0, 0)
"""Comparisons with the halves of a secret, which `draw_secret` puts in the place of 0."""

_PRCTL_OPTIONS = (
    kernel.PR_SET_NAME,
    kernel.PR_GET_NAME,
    kernel.PR_GET_TID_ADDRESS,
    kernel.PR_SET_VMA,
)
_IOCTL_REQUESTS = (0x5401, 0x5413, 0x541B, 0x5421, 0x5450, 0x5451)
"""TCGETS, TIOCGWINSZ, FIONREAD, FIONBIO, FIONCLEX and FIOCLEX."""
_FCNTL_COMMANDS = (0, 1, 2, 3, 4, 1030)
"""F_DUPFD, F_GETFD, F_SETFD, F_GETFL, F_SETFL and F_DUPFD_CLOEXEC.

F_SETOWN is not among them, because it would let a program signal other processes.
"""

_ALLOWED = {
    "access": (21, None),
    "alarm": (37, None),
    "arch_prctl": (158, None),
    "brk": (12, 214),
    "clock_getres": (229, 114),
    "clock_gettime": (228, 113),
    "clock_nanosleep": (230, 115),
    "close": (3, 57),
    "close_range": (436, 436),
    "dup": (32, 23),
    "dup2": (33, None),
    "dup3": (292, 24),
    "epoll_create1": (291, 20),
    "epoll_ctl": (233, 21),
    "epoll_pwait": (281, 22),
    "epoll_wait": (232, None),
    "eventfd2": (290, 19),
    "exit": (60, 93),
    "exit_group": (231, 94),
    "faccessat": (269, 48),
    "faccessat2": (439, 439),
    "fadvise64": (221, 223),
    "fstat": (5, 80),
    "fstatfs": (138, 44),
    "futex": (202, 98),
    "getcpu": (309, 168),
    "getcwd": (79, 17),
    "getdents64": (217, 61),
    "getegid": (108, 177),
    "geteuid": (107, 175),
    "getgid": (104, 176),
    "getgroups": (115, 158),
    "getitimer": (36, 102),
    "getpgid": (121, 155),
    "getpgrp": (111, None),
    "getpid": (39, 172),
    "getppid": (110, 173),
    "getpriority": (140, 141),
    "getrandom": (318, 278),
    "getresgid": (120, 150),
    "getresuid": (118, 148),
    "getrlimit": (97, 163),
    "getrusage": (98, 165),
    "getsid": (124, 156),
    "gettid": (186, 178),
    "gettimeofday": (96, 169),
    "getuid": (102, 174),
    "lseek": (8, 62),
    "lstat": (6, None),
    "madvise": (28, 233),
    "membarrier": (324, 283),
    "mincore": (27, 232),
    "mprotect": (10, 226),
    "mremap": (25, 216),
    "munmap": (11, 215),
    "nanosleep": (35, 101),
    "newfstatat": (262, 79),
    "open": (2, None),
    "openat": (257, 56),
    "pause": (34, None),
    "pipe": (22, None),
    "pipe2": (293, 59),
    "poll": (7, None),
    "ppoll": (271, 73),
    "pread64": (17, 67),
    "preadv": (295, 69),
    "pselect6": (270, 72),
    "read": (0, 63),
    "readlink": (89, None),
    "readlinkat": (267, 78),
    "readv": (19, 65),
    "recvmsg": (47, 212),
    "restart_syscall": (219, 128),
    "rseq": (334, 293),
    "rt_sigaction": (13, 134),
    "rt_sigpending": (127, 136),
    "rt_sigprocmask": (14, 135),
    "rt_sigreturn": (15, 139),
    "rt_sigsuspend": (130, 133),
    "rt_sigtimedwait": (128, 137),
    "sched_get_priority_max": (146, 125),
    "sched_get_priority_min": (147, 126),
    "sched_getaffinity": (204, 123),
    "sched_getparam": (143, 121),
    "sched_getscheduler": (145, 120),
    "sched_yield": (24, 124),
    "select": (23, None),
    "set_robust_list": (273, 99),
    "set_tid_address": (218, 96),
    "setitimer": (38, 103),
    "sigaltstack": (131, 132),
    "stat": (4, None),
    "statfs": (137, 43),
    "statx": (332, 291),
    "sysinfo": (99, 179),
    "time": (201, None),
    "times": (100, 153),
    "umask": (95, 166),
    "uname": (63, 160),
    "wait4": (61, 260),
    "waitid": (247, 95),
    "write": (1, 64),
    "writev": (20, 66),
}
"""Numbers on x86-64 and aarch64 of the calls that are allowed with any arguments, keyed by name."""


_Code = list[tuple[int, int, int, int]]
"""BPF instructions: code, jump if true, jump if false, operand."""


def install(asks: bool) -> None:
    """Filter the calls of this process and its future children for good. Needs no_new_privs.

    Args:
        asks: Whether `install_questions` was called, so that shared memory need not be refused.

    Raises:
        OSError: No filter is known for this machine, or the kernel refused.
    """
    header, _buffer = _header(_filter(asks))
    prctl(kernel.PR_SET_SECCOMP, _SECCOMP_MODE_FILTER, header)


def install_questions(draw_secret: Callable[[Any, int, int], None] | None = None) -> int:
    """Have this process and its future children wait for an answer before some calls. For good.

    The calls are: a new process by the one clone call, a new thread, and a shared mapping.

    Args:
        draw_secret: Function `_clone.draw_secret`. The clone call with this secret in an argument
            that the kernel ignores is not asked about. None if every call is.

    Returns:
        Descriptor on which the questions come. Whoever reads it should not be asked.

    Raises:
        OSError: The kernel cannot ask, or someone is asked about this process's calls already.
    """
    code = _questions(knows_secret=draw_secret is not None)
    header, (_, buffer) = _header(code)
    if draw_secret:
        draw_secret(buffer, *(8 * code.index(half) + 4 for half in (_IS_LOW_HALF, _IS_HIGH_HALF)))
    try:
        return kernel.syscall("seccomp", _SECCOMP_SET_MODE_FILTER, _NEW_LISTENER, header)
    finally:
        # The clones of this process must not find the secret in their memory.
        ctypes.memset(buffer, 0, len(buffer))


def _header(code: _Code) -> tuple[ctypes.c_void_p, Any]:
    """Return a pointer to a filter for the kernel, and what must live as long as it is used."""
    buffer = ctypes.create_string_buffer(
        b"".join(struct.pack("=HBBI", *instruction) for instruction in code)
    )
    header = ctypes.create_string_buffer(struct.pack("@HP", len(code), ctypes.addressof(buffer)))
    return ctypes.c_void_p(ctypes.addressof(header)), (header, buffer)


def _beginning(on_x32: int) -> _Code:
    """Return the code that loads the number of a call. Ends processes of another machine."""
    if MACHINE not in _AUDIT_ARCH:
        raise OSError(_ENOSYS, f"no filter is known for {MACHINE}")
    return [
        (_LOAD, 0, 0, _OFFSET_ARCH),
        (_JUMP_EQUAL, 1, 0, _AUDIT_ARCH[MACHINE]),
        (_RETURN, 0, 0, _KILL_PROCESS),
        (_LOAD, 0, 0, _OFFSET_NUMBER),
        (_JUMP_AT_LEAST, 0, 1, _X32_BIT),
        (_RETURN, 0, 0, on_x32),
    ]


def _questions(knows_secret: bool) -> _Code:
    third = _OFFSET_ARGUMENTS + 8 * 2
    secret = [(_LOAD, 0, 0, third), _IS_LOW_HALF, (_LOAD, 0, 0, third + 4), _IS_HIGH_HALF]
    code = _beginning(_ALLOW)
    code += _rule(
        "clone",
        [
            (_LOAD, 0, 0, _OFFSET_ARGUMENTS),
            (_JUMP_SET, 5 if knows_secret else 1, 0, kernel.CLONE_THREAD),
            (_JUMP_EQUAL, 0, 5 if knows_secret else 1, CLONE_FLAGS),
            *(secret if knows_secret else []),
            (_RETURN, 0, 0, _ASK),
            (_RETURN, 0, 0, _ALLOW),
        ],
    )
    code += _rule("mmap", [*_if_shared(_ASK), (_RETURN, 0, 0, _ALLOW)])
    return [*code, (_RETURN, 0, 0, _ALLOW)]


def _if_shared(action: int) -> _Code:
    """Return the beginning of a rule for mmap that ends the judging of a shared mapping."""
    return [
        (_LOAD, 0, 0, _OFFSET_ARGUMENTS + 8 * 3),
        (_JUMP_SET, 0, 1, _MAP_SHARED),
        (_RETURN, 0, 0, action),
    ]


def _filter(asks: bool) -> _Code:
    code = _beginning(_ERRNO | _EPERM)
    column = list(_AUDIT_ARCH).index(MACHINE)
    for numbers in _ALLOWED.values():
        number = numbers[column]
        if number is not None:
            code += [(_JUMP_EQUAL, 0, 1, number), (_RETURN, 0, 0, _ALLOW)]
    # After ENOSYS the C library uses clone, whose arguments can be judged.
    code += _rule("clone3", [(_RETURN, 0, 0, _ERRNO | _ENOSYS)])
    code += _rule(
        "clone",
        [
            (_LOAD, 0, 0, _OFFSET_ARGUMENTS),
            (_JUMP_SET, 1, 0, kernel.CLONE_THREAD),
            (_JUMP_EQUAL, 0, 1, CLONE_FLAGS),
            (_RETURN, 0, 0, _ALLOW),
        ],
    )
    code += _rule(
        "mmap", [*_if_shared(_ALLOW if asks else _ERRNO | _EPERM), (_RETURN, 0, 0, _ALLOW)]
    )
    code += _rule("prctl", _dies_with_parent() + _argument_is_one_of(0, _PRCTL_OPTIONS))
    code += _rule("ioctl", _argument_is_one_of(1, _IOCTL_REQUESTS))
    code += _rule("fcntl", _argument_is_one_of(1, _FCNTL_COMMANDS))
    # A process may change its own limits, and cannot raise any: the soft ones are the hard ones.
    code += _rule("prlimit64", _argument_is_null(0) + _argument_is_null(2))
    return [*code, (_RETURN, 0, 0, _ERRNO | _EPERM)]


def _rule(name: str, body: _Code) -> _Code:
    """Return the code that judges one call. If the body does not return, the call gets EPERM."""
    body = [*body, (_RETURN, 0, 0, _ERRNO | _EPERM)]
    return [(_JUMP_EQUAL, 0, len(body), NUMBERS[name]), *body]


def _dies_with_parent() -> _Code:
    """Return the beginning of a rule for prctl: a process may not choose to outlive its parent."""
    return [
        (_LOAD, 0, 0, _OFFSET_ARGUMENTS),
        (_JUMP_EQUAL, 0, 4, kernel.PR_SET_PDEATHSIG),
        (_LOAD, 0, 0, _OFFSET_ARGUMENTS + 8),
        (_JUMP_EQUAL, 0, 1, signal.SIGKILL),
        (_RETURN, 0, 0, _ALLOW),
        (_RETURN, 0, 0, _ERRNO | _EPERM),
    ]


def _argument_is_one_of(index: int, values: tuple[int, ...]) -> _Code:
    """Return the body of a rule that allows a call if its argument is one of `values`."""
    code = [(_LOAD, 0, 0, _OFFSET_ARGUMENTS + 8 * index)]
    for value in values:
        code += [(_JUMP_EQUAL, 0, 1, value), (_RETURN, 0, 0, _ALLOW)]
    return code


def _argument_is_null(index: int) -> _Code:
    """Return the body of a rule that allows a call if all 64 bits of its argument are 0."""
    low = _OFFSET_ARGUMENTS + 8 * index
    return [
        (_LOAD, 0, 0, low),
        (_JUMP_EQUAL, 0, 3, 0),
        (_LOAD, 0, 0, low + 4),
        (_JUMP_EQUAL, 0, 1, 0),
        (_RETURN, 0, 0, _ALLOW),
    ]
