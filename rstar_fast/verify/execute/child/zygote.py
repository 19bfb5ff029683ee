"""The zygote: the process that programs are cloned from.

It loads and warms the libraries, locks itself down, and waits. It never runs a program itself. A
clone of it runs one piece of a program and answers. The clone may then wait in turn, as the
snapshot from which the program's continuations are cloned.
"""

import contextlib
import gc
import math
import mmap
import os
import random
import resource
import signal
import sys
import time
from collections.abc import Iterable
from importlib import import_module
from typing import Any, NoReturn

from rstar_fast.verify.base import Status
from rstar_fast.verify.execute import framing
from rstar_fast.verify.execute.child import script
from rstar_fast.verify.execute.child.capture import Capture
from rstar_fast.verify.execute.child.cloning import secret_function, silence, waiting_function
from rstar_fast.verify.execute.child.confining import confine
from rstar_fast.verify.execute.child.program import NotIncremental, Program, check
from rstar_fast.verify.execute.framing import CHANNEL_FD, Reply
from rstar_fast.verify.execute.zygote_options import ZygoteOptions
from rstar_fast.verify.pool.wire import encode_frame, first_payload
from rstar_fast.verify.sandbox.lockdown import Confinement, readable_roots
from rstar_fast.verify.sandbox.namespaces import EMPTY_FOLDER

OUTPUT_FD = CHANNEL_FD + 1
"""Descriptor of the pipe into which a clone copies what it prints, until it has replied."""
_RESERVE_BYTES = 64 << 20
"""Address space that is freed when a program runs out of memory, so that it can reply, bytes."""
_MAX_PROCESSES = 4096
"""Largest number of processes and threads of all programs and snapshots together."""

WARM_UP = """
x, y = sympy.symbols("x y")
sympy.solve(sympy.Eq(x**2 - 5 * x + 6, 0), x)
sympy.solve([x + y - 3, x * y - 2], [x, y])
sympy.solveset(x**2 - 2, x, sympy.S.Reals)
sympy.simplify(sympy.sin(x) ** 2 + sympy.cos(x) ** 2 + sympy.sqrt(8))
sympy.integrate(x * sympy.exp(x), x)
sympy.integrate(x**2 * sympy.sin(x), (x, 0, sympy.pi))
sympy.Matrix([[2, 1, 0], [1, 3, 1], [0, 1, 4]]).eigenvals()
sympy.N(sympy.factor(x**2 - 1).subs(x, sympy.pi), 20)
"""
"""Calls of sympy that a zygote makes, so that the first call of a program sets less up."""

_WARM_UPS = (
    "x = 3\ny = x**2 + 1\nprint(x, y)\n",
    "def f(n):\n    return n\nf(2)\n",
    "for i in range(2):\n    a = [i]\n",
    "1 / 0\n",
)
_NUM_WARM_UPS = 20
"""Number of runs after which the interpreter has adapted its bytecode.

Clones go on sharing the pages that change no more.
"""

# Looked up once: a program may rebind names in the modules, and its snapshot still has to answer.
_read, _write, _close, _exit = os.read, os.write, os.close, os._exit
_process_time, _getrusage = time.process_time, resource.getrusage
_getitimer, _setitimer = signal.getitimer, signal.setitimer
_TIMERS = (signal.ITIMER_REAL, signal.ITIMER_VIRTUAL, signal.ITIMER_PROF)
_own_fds_end = CHANNEL_FD + 1


class Programs:
    """The part of a clone that does its requests."""

    def __init__(self, options: ZygoteOptions) -> None:
        """Warm up the interpreter, and begin an empty program."""
        for _ in range(_NUM_WARM_UPS):
            for source in _WARM_UPS:
                with contextlib.suppress(Exception):
                    Program(options.style, Capture(options.output_chars)).extend(source)
        # In the "reference" style a failure drops what was printed.
        copied_bytes = framing.MAX_OUTPUT_BYTES if options.style != "reference" else 0
        self._stdout = Capture(options.output_chars, copied_bytes)
        self._program = Program(options.style, self._stdout, lambda: self._stdout.begin(OUTPUT_FD))
        self._style = options.style
        self._memory_bytes = options.memory_bytes
        self._reserve = mmap.mmap(
            -1, _RESERVE_BYTES, mmap.MAP_PRIVATE | mmap.MAP_ANONYMOUS, mmap.PROT_READ
        )

    def serve(self) -> bool:
        """Read a request, do it and reply. Returns whether this process stays as a snapshot."""
        try:
            return self._serve()
        except BaseException as error:
            # Without functions that the program may have replaced.
            text = f"{error.__class__.__name__}: {error} (the program changed what Python needs)"
            _send(Reply(Status.ERROR, text, framing.FINAL, _process_time(), 0))
            return False

    def _serve(self) -> bool:
        flags, hidden, body = _read_request()
        if flags & framing.SCRIPT:
            self._be_script(body)
        source = body.decode("utf-8", "surrogatepass")
        begin_s = _process_time()
        if self._style != "step":
            self._stdout.copy_to(OUTPUT_FD)
        try:
            if flags & framing.CHECK:
                check(source)
                status, text, reply_flags = Status.OK, "", 0
            else:
                text, had_timers = self._run(source, hidden)
                stays = flags & framing.KEEP and self._program.resumable and not had_timers
                status, reply_flags = Status.OK, framing.KEPT if stays else 0
        except NotIncremental:
            status, text, reply_flags = Status.OK, "", framing.REPLAY
        except BaseException as error:
            status, text, reply_flags = self._failed(error)
        self._stdout.copy_to(-1)
        # The program may have closed it.
        with contextlib.suppress(OSError):
            _close(OUTPUT_FD)
        usage = _getrusage(resource.RUSAGE_SELF)
        _send(Reply(status, text, reply_flags, _process_time() - begin_s, usage.ru_maxrss << 10))
        return bool(reply_flags & framing.KEPT)

    def _be_script(self, body: bytes) -> NoReturn:
        source, memory_bytes, cpu_s = framing.unpack_script(body)
        script.take_descriptors(CHANNEL_FD)
        _close(OUTPUT_FD)
        script.lower_limits(self._memory_bytes - memory_bytes, cpu_s)
        script.run(source, free=self._reserve.close)

    def _run(self, source: str, hidden: int) -> tuple[str, bool]:
        """Run a piece. Returns its observation, and whether it left timers that clones lack."""
        had_timers = False
        try:
            text = self._program.extend(source, hidden)
        finally:
            for timer in _TIMERS:
                if _getitimer(timer)[0]:
                    had_timers = True
                    _setitimer(timer, 0)
        return text, had_timers

    def _failed(self, error: BaseException) -> tuple[Status, str, int]:
        if isinstance(error, MemoryError):
            self._reserve.close()
        final = not self._program.observing and not isinstance(error, SyntaxError)
        status = Status.MEMORY if isinstance(error, MemoryError) else Status.ERROR
        return status, self._program.failure(error), framing.FINAL if final else 0


def main(supervisor_fd: int) -> None:
    """Prepare this process, report to the supervisor, and wait to be cloned.

    Args:
        supervisor_fd: Descriptor of the socket to the supervisor.
    """
    os.dup2(supervisor_fd, CHANNEL_FD)
    os.closerange(_own_fds_end, 1 << 16)
    told = first_payload(CHANNEL_FD)
    if told is None:
        sys.exit(0)
    options = ZygoteOptions(**told)
    try:
        wait = waiting_function(CHANNEL_FD, math.ceil(options.wall_s) + 1, options.native)
        programs = prepare(options)
        outcome, num_huge_pages = confine(
            Confinement(options.memory_bytes + _RESERVE_BYTES, _MAX_PROCESSES),
            options.threads,
            _send_descriptor,
            secret_function(options.native),
            options.huge_pages,
        )
        # Opened where the clones will open it.
        silence()
        if not outcome["private file system"]:
            # matplotlib cannot be imported without a folder that it may write to.
            os.environ["MPLCONFIGDIR"] = EMPTY_FOLDER
    except Exception as error:
        _write(CHANNEL_FD, encode_frame(0, {"failed": f"{type(error).__name__}: {error}"}))
        sys.exit(1)
    _write(CHANNEL_FD, encode_frame(0, {"isolation": outcome, "num_huge_pages": num_huge_pages}))
    wait()
    while programs.serve():
        wait()
    _exit(0)


def prepare(options: ZygoteOptions) -> Programs:
    """Load and warm everything that programs share.

    Fixes the seeds, and keeps the garbage collector away from the shared objects.
    """
    _preload(options.preload, options.seed)
    roots = readable_roots()
    sys.path[:] = [
        path for path in sys.path if os.path.join(os.path.realpath(path), "").startswith(roots)
    ]
    sys.argv = [""]
    sys.dont_write_bytecode = True
    if options.allowed_modules is not None:
        _allow_only(options.allowed_modules)
    programs = Programs(options)
    random.seed(options.seed)
    gc.collect()
    gc.freeze()
    return programs


def _send_descriptor(fd: int) -> None:
    """Send a descriptor to the supervisor."""
    # Not the module socket, because what it loads would be copied for every program.
    import _socket

    channel = _socket.socket(_socket.AF_UNIX, _socket.SOCK_STREAM, 0, CHANNEL_FD)
    try:
        data = [encode_frame(0, {})]
        channel.sendmsg(data, [(_socket.SOL_SOCKET, _socket.SCM_RIGHTS, fd.to_bytes(4, "little"))])
    finally:
        channel.detach()


def _read_exactly(count: int) -> bytes:
    data = b""
    while len(data) < count:
        piece = _read(CHANNEL_FD, count - len(data))
        if not piece:
            _exit(0)
        data += piece
    return data


def _read_request() -> tuple[int, int, bytes]:
    header = _read_exactly(framing.REQUEST_HEADER_BYTES)
    flags, hidden, length = framing.unpack_request_header(header)
    return flags, hidden, _read_exactly(length)


def _send(reply: Reply) -> None:
    data = framing.pack_reply(reply)
    while data:
        data = data[_write(CHANNEL_FD, data) :]


def _preload(modules: Iterable[str], seed: int) -> None:
    """Import modules as far as they can be imported. Warms sympy, and seeds sympy and numpy."""
    loaded: dict[str, Any] = {}
    for name in modules:
        with contextlib.suppress(Exception):
            loaded[name] = import_module(name)
    if "sympy" in loaded:
        with contextlib.suppress(Exception):
            exec(WARM_UP, {"sympy": loaded["sympy"]})
        loaded["sympy"].core.random.seed(seed)
    if "numpy" in loaded:
        loaded["numpy"].random.seed(seed % 2**32)


def _allow_only(modules: Iterable[str]) -> None:
    """Refuse a program's own imports of other modules.

    Imports by the allowed modules themselves are not refused.
    """
    import builtins

    allowed = frozenset(modules)
    import_any = builtins.__import__

    def import_allowed(
        name: str, globals: Any = None, locals: Any = None, fromlist: Any = (), level: int = 0
    ) -> Any:
        if (
            globals
            and globals.get("__name__") == "__main__"
            and name.partition(".")[0] not in allowed
        ):
            raise ImportError(f"the module {name!r} is not allowed here")
        return import_any(name, globals, locals, fromlist, level)

    builtins.__import__ = import_allowed
