"""One worker process as the pool sees it: started by exec, spoken to over two pipes, killed with all its group."""

import contextlib
import os
import signal
import subprocess
import sys
from collections.abc import Mapping
from typing import Any

from rstar_fast.verify.pool.wire import FrameReader

_BOOT = "import sys; sys.path[:] = sys.argv[3:]; from importlib import import_module; import_module(sys.argv[1]).main(int(sys.argv[2]))"
"""Imports find what they find in the main process, wherever the package was imported from."""


class WorkerProcess:
    """A started worker. Belongs to one thread, which must outlive it: the kernel kills the worker when that thread ends.

    Attributes:
        input_fd: pipe to the worker, non-blocking.
        output_fd: pipe from the worker, non-blocking.
    """

    def __init__(self, module: str, environment: Mapping[str, str]) -> None:
        """Start `module`, whose `main(parent_pid)` serves. Raises `OSError`."""
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
        """Its process id, also that of its group."""
        return self._process.pid

    def send(self, frame: bytes) -> bool:
        """Queue a frame and write what the pipe takes; True once nothing is left to write."""
        self._unsent += frame
        return self.flush()

    def flush(self) -> bool:
        """Write on; True once nothing is left to write. That a worker is gone is noticed by `receive`, not here."""
        try:
            while self._unsent:
                self._unsent = self._unsent[os.write(self.input_fd, self._unsent) :]
        except BlockingIOError:
            return False
        except BrokenPipeError:
            self._unsent = b""
        return True

    def receive(self) -> list[tuple[int, dict[str, Any]]]:
        """The frames that came. Raises `EOFError` when the worker is gone and `FrameError` when it sent anything else."""
        try:
            data = os.read(self.output_fd, 1 << 16)
        except BlockingIOError:
            return []
        if not data:
            raise EOFError
        return self._reader.feed(data)

    def kill(self) -> None:
        """SIGKILL the worker's group and close the pipes; `ended` reaps it. May be called again."""
        if self._process.returncode is None:
            with contextlib.suppress(ProcessLookupError):
                os.killpg(self._process.pid, signal.SIGKILL)
        for pipe in (self._process.stdin, self._process.stdout):
            assert pipe is not None
            pipe.close()

    def ended(self) -> bool:
        """Whether a killed worker is gone, without waiting."""
        return self._process.poll() is not None

    def wait(self) -> None:
        """Wait for a killed worker to be gone."""
        self._process.wait()
