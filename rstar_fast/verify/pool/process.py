"""One worker process as the pool sees it. Runs in the main process.

A worker is started by exec, is spoken to over two pipes, and is killed with its process group.
"""

import contextlib
import os
import signal
import subprocess
import sys
from collections.abc import Mapping
from typing import Any

from rstar_fast.verify.pool.wire import FrameReader

_BOOT = """
import sys
from importlib import import_module
sys.path[:] = sys.argv[3:]
import_module(sys.argv[1]).main(int(sys.argv[2]))
"""
"""Program that a worker starts with. It imports from where the main process imports."""


class WorkerProcess:
    """A started worker.

    It belongs to the thread that started it: the kernel kills the worker when that thread ends.

    Attributes:
        input_fd: Descriptor of the pipe to the worker, non-blocking.
        output_fd: Descriptor of the pipe from the worker, non-blocking.
    """

    def __init__(self, module: str, environment: Mapping[str, str]) -> None:
        """Start a worker.

        Args:
            module: Name of the module whose function `main(parent_pid)` serves the pool.
            environment: Environment variables of the worker.

        Raises:
            OSError: No process can be made.
        """
        self._process = subprocess.Popen(
            [sys.executable, "-P", "-c", _BOOT, module, str(os.getpid()), *sys.path],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            env=environment,
            start_new_session=True,
            bufsize=0,
        )
        assert self._process.stdin is not None and self._process.stdout is not None
        self.input_fd = self._process.stdin.fileno()
        self.output_fd = self._process.stdout.fileno()
        os.set_blocking(self.input_fd, False)
        os.set_blocking(self.output_fd, False)
        self._reader = FrameReader()
        self._unsent = b""

    @property
    def pid(self) -> int:
        """Process id, which is also the id of the worker's process group."""
        return self._process.pid

    def send(self, frame: bytes) -> bool:
        """Queue a frame, and write as much as the pipe takes. Returns True once all is written."""
        self._unsent += frame
        return self.flush()

    def flush(self) -> bool:
        """Write as much of the queued frames as the pipe takes. Returns True once all is written.

        A worker that is gone is noticed by `receive` only.
        """
        try:
            while self._unsent:
                self._unsent = self._unsent[os.write(self.input_fd, self._unsent) :]
        except BlockingIOError:
            return False
        except BrokenPipeError:
            self._unsent = b""
        return True

    def receive(self) -> list[tuple[int, dict[str, Any]]]:
        """Return the frames that came since the last call, as pairs of work id and payload.

        Raises:
            EOFError: The worker is gone.
            FrameError: The worker sent something that is not a frame.
        """
        try:
            data = os.read(self.output_fd, 1 << 16)
        except BlockingIOError:
            return []
        if not data:
            raise EOFError
        return self._reader.feed(data)

    def kill(self) -> None:
        """Send SIGKILL to the worker's process group and close the pipes. May be called again.

        The worker is a zombie until `ended` or `wait` reaps it.
        """
        if self._process.returncode is None:
            with contextlib.suppress(ProcessLookupError):
                os.killpg(self._process.pid, signal.SIGKILL)
        for pipe in (self._process.stdin, self._process.stdout):
            assert pipe is not None
            pipe.close()

    def ended(self) -> bool:
        """Return whether a killed worker is gone, without waiting for it."""
        return self._process.poll() is not None

    def wait(self) -> None:
        """Wait until a killed worker is gone."""
        self._process.wait()
