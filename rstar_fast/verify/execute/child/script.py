"""A script: a program with standard streams and an exit code, as `python -u` runs a file.

Runs in a process of its own, which is cloned from a zygote and never answers. What it wrote, and
how it ended, the supervisor learns from the kernel.
"""

import _socket
import atexit
import io
import linecache
import os
import resource
import struct
import sys
import traceback
from collections.abc import Callable
from types import ModuleType
from typing import NoReturn

from rstar_fast.verify.sandbox.kernel import syscall

NAME = "main.py"
"""File name of every script, as tracebacks show it."""
_ERRORS = {"stdin": "strict", "stdout": "strict", "stderr": "backslashreplace"}
"""What the standard streams do about characters that cannot be encoded, by descriptor."""
_FDS = struct.Struct("=3i")
_ABORTED_BY_USER = 130


def take_descriptors(channel_fd: int) -> None:
    """Put the descriptors that come through the channel on 0 to 2, and close the channel."""
    channel = _socket.socket(_socket.AF_UNIX, _socket.SOCK_STREAM, 0, channel_fd)
    _, ((_, _, content),), _, _ = channel.recvmsg(1, _socket.CMSG_SPACE(_FDS.size))
    channel.close()
    for standard, fd in enumerate(_FDS.unpack(content)):
        os.dup2(fd, standard)
        os.close(fd)


def lower_limits(memory_bytes: int, cpu_s: int) -> None:
    """Take address space away from this process, and set the processor time that it may use.

    Args:
        memory_bytes: Bytes to take away.
        cpu_s: Processor time, whole seconds.
    """
    space, _ = resource.getrlimit(resource.RLIMIT_AS)
    for limit, value in ((resource.RLIMIT_AS, space - memory_bytes), (resource.RLIMIT_CPU, cpu_s)):
        # Not by the module resource, which the audit hook refuses.
        syscall("prlimit64", 0, limit, struct.pack("=QQ", value, value), 0)


def run(source: str, free: Callable[[], None]) -> NoReturn:
    """Run a script in this process, and end the process with its exit code.

    Args:
        source: Text of the script.
        free: Function that makes room when memory is short.
    """
    module = ModuleType("__main__")
    module.__file__ = NAME
    sys.modules["__main__"] = module
    sys.argv = [NAME]
    # Tracebacks show its lines.
    linecache.cache[NAME] = (len(source), None, source.splitlines(keepends=True), NAME)
    for fd, (name, errors) in enumerate(_ERRORS.items()):
        stream = _stream(fd, errors)
        setattr(sys, name, stream)
        setattr(sys, f"__{name}__", stream)
    try:
        exec(compile(source, NAME, "exec", dont_inherit=True), module.__dict__)
        code = 0
    except BaseException as error:
        if isinstance(error, MemoryError):
            free()
        code = _report(error)
    _finish()
    os._exit(code)


def _stream(fd: int, errors: str) -> io.TextIOWrapper:
    """Return a text stream. What is written goes out at once, so nothing is lost by a kill."""
    raw = io.FileIO(fd, "w" if fd else "r", closefd=False)
    if not fd:
        return io.TextIOWrapper(io.BufferedReader(raw), encoding="utf-8", errors=errors)
    return io.TextIOWrapper(raw, encoding="utf-8", errors=errors, write_through=True)


def _report(error: BaseException) -> int:
    """Show an error that ended the script as Python does. Returns the exit code."""
    try:
        if isinstance(error, SystemExit):
            return _exit_code(error)
        # The first frame is this module's.
        trace = error.__traceback__ and error.__traceback__.tb_next
        if sys.excepthook is sys.__excepthook__:
            traceback.print_exception(type(error), error, trace)
        else:
            sys.excepthook(type(error), error, trace)
    except BaseException as second:
        _last_words(second)
    return _ABORTED_BY_USER if isinstance(error, KeyboardInterrupt) else 1


def _exit_code(error: SystemExit) -> int:
    code = error.code
    if code is None:
        return 0
    if isinstance(code, int):
        return code & 0xFF
    print(code, file=sys.stderr)
    return 1


def _last_words(error: BaseException) -> None:
    """Say that an error could not be shown. The stream may be gone."""
    try:
        os.write(2, f"{type(error).__name__} while an error was shown\n".encode())
    except BaseException:
        return


def _finish() -> None:
    """Do what Python does at the end of a program: wait for threads, call what was registered."""
    for action in (_join_threads, atexit._run_exitfuncs, _flush):
        try:
            action()
        except BaseException as error:
            _last_words(error)


def _join_threads() -> None:
    threading = sys.modules.get("threading")
    if threading:
        threading._shutdown()


def _flush() -> None:
    for stream in (sys.stdout, sys.stderr):
        # The script may have put None or its own stream there.
        if stream is not None:
            stream.flush()
