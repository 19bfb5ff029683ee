"""Running a Python file as in a container: without namespaces, and with few capabilities.

    python tests/support/container.py [--questions-taken] FILE [ARGUMENT ...]

The file runs as this process's user. A filter refuses new namespaces and mounts. Root keeps the
capabilities that container engines leave it. With --questions-taken, somebody is asked about
system calls already, so that the executor cannot be: the kernel permits that once.
"""

import os
import struct
import sys

from rstar_fast.verify.sandbox import kernel, seccomp
from rstar_fast.verify.sandbox.kernel import prctl, syscall

_REFUSED = ("unshare", "pivot_root")
_KEPT = (0, 1, 3, 4, 5, 6, 7, 8, 10, 13, 18, 27, 29, 31)
"""Capabilities that Docker leaves to root: to change users and groups, but not the system."""
_PR_CAPBSET_DROP = 24
_ALLOW = (0x06, 0, 0, 0x7FFF0000)
"""Instruction of a filter that allows a call."""


def main(*arguments: str) -> None:
    questions_taken = arguments[0] == "--questions-taken"
    file, *rest = arguments[questions_taken:]
    if os.geteuid() == 0:
        drop_capabilities()
    prctl(kernel.PR_SET_NO_NEW_PRIVS, 1)
    if questions_taken:
        header, _buffer = seccomp._header([_ALLOW])
        os.set_inheritable(syscall("seccomp", 1, 8, header), True)
    install_refusals()
    os.execv(sys.executable, [sys.executable, file, *rest])


def drop_capabilities() -> None:
    for capability in set(range(41)) - set(_KEPT):
        prctl(_PR_CAPBSET_DROP, capability)
    low = sum(1 << capability for capability in _KEPT)
    sets = struct.pack("=6I", low, low, 0, 0, 0, 0)
    syscall("capset", struct.pack("=Ii", 0x20080522, 0), sets)


def install_refusals() -> None:
    code = seccomp._beginning(0x7FFF0000)
    for name in _REFUSED:
        code += seccomp._rule(name, [])
    header, _buffer = seccomp._header([*code, _ALLOW])
    prctl(kernel.PR_SET_SECCOMP, 2, header)


if __name__ == "__main__":
    main(*sys.argv[1:])
