"""Landlock: a process can read some folders only, and cannot reach the outside.

It has no TCP, and no signals or abstract sockets to processes outside, as far as the kernel's
version of Landlock knows them.
"""

import ctypes
import os
import struct
from collections.abc import Iterable

from rstar_fast.verify.sandbox.kernel import syscall

_CREATE_RULESET_VERSION = 1
_RULE_PATH_BENEATH = 1
_EXECUTE, _WRITE_FILE, _READ_FILE, _READ_DIR = 1 << 0, 1 << 1, 1 << 2, 1 << 3
_NUM_FS_RIGHTS = {1: 13, 2: 14, 3: 15, 4: 15}
"""Number of file access rights, keyed by ABI version. 16 from version 5 on."""
_ALL_NET_RIGHTS = 3
_ALL_SCOPES = 3


def version() -> int:
    """Return the version of the kernel's Landlock ABI, 0 if it has none."""
    try:
        return syscall("landlock_create_ruleset", 0, 0, _CREATE_RULESET_VERSION)
    except OSError:
        return 0


def restrict(readable: Iterable[str], writable: Iterable[str] = ()) -> None:
    """Confine this process and its future children for good. Needs no_new_privs.

    Args:
        readable: Folders and files that may be read. Paths that do not exist are left out.
        writable: Files that may be read and written. Paths that do not exist are left out.

    Raises:
        OSError: The kernel has no Landlock, or refused.
    """
    abi = version()
    fs = (1 << _NUM_FS_RIGHTS.get(abi, 16)) - 1
    fields = [fs] + [_ALL_NET_RIGHTS] * (abi >= 4) + [_ALL_SCOPES] * (abi >= 6)
    attributes = ctypes.create_string_buffer(
        struct.pack(f"={len(fields)}Q", *fields), 8 * len(fields)
    )
    ruleset = syscall("landlock_create_ruleset", ctypes.byref(attributes), len(attributes), 0)
    try:
        for paths, file_rights in ((readable, _READ_FILE), (writable, _READ_FILE | _WRITE_FILE)):
            for path in paths:
                _allow(ruleset, path, file_rights)
        syscall("landlock_restrict_self", ruleset, 0)
    finally:
        os.close(ruleset)


def _allow(ruleset: int, path: str, file_rights: int) -> None:
    """Add a path to a rule set, if it exists."""
    try:
        fd = os.open(path, os.O_PATH | os.O_CLOEXEC)
    except OSError:
        return
    try:
        rights = file_rights | _READ_DIR if os.path.isdir(path) else file_rights
        rule = ctypes.create_string_buffer(struct.pack("=Qi", rights, fd))
        syscall("landlock_add_rule", ruleset, _RULE_PATH_BENEATH, ctypes.byref(rule), 0)
    finally:
        os.close(fd)
