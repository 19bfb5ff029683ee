"""The processes of stages, which a fork server begins."""

import os
import select
import subprocess
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path

from rstar_fast.verify.pool.wire import FrameReader, encode_frame

_SERVER = "rstar_fast.evolve.fork_server"


class StageProcess:
    """The process of one stage, with the part of `subprocess.Popen` that a schedule needs.

    Attributes:
        returncode: Exit status, or the negative number of the signal that ended it. None before its
            end is known.
    """

    def __init__(self, server: "StageProcesses", number: int) -> None:
        self._server = server
        self._number = number
        self.returncode: int | None = None

    def poll(self) -> int | None:
        """Look whether it has ended, and return its exit status or None."""
        self._server.read(timeout_s=0)
        return self.returncode

    def kill(self) -> None:
        """Kill it, if it runs."""
        if self.returncode is None:
            self._server.send(self._number, {"kill": True})

    def wait(self) -> int:
        """Wait for its end and return its exit status."""
        while self.returncode is None:
            self._server.read(timeout_s=None)
        return self.returncode


class StageProcesses:
    """The fork server of a run. It is begun with the first stage and ended by `close`."""

    def __init__(self, environment: Mapping[str, str], log: Path) -> None:
        """Prepare, and begin no process yet.

        Args:
            environment: Environment of the server and of the stages.
            log: File for what the server prints, which is nothing as long as all is well.
        """
        # numpy's BLAS begins its threads when it is imported, and the server may have none. Stages
        # compute with torch, whose threads begin later.
        self._environment = {"OPENBLAS_NUM_THREADS": "1", **environment}
        self._log = log
        self._server: subprocess.Popen[bytes] | None = None
        self._reader = FrameReader()
        self._processes: dict[int, StageProcess] = {}
        self._begun = 0

    def start(self, arguments: Sequence[str], log: Path) -> StageProcess:
        """Begin the process of a stage.

        Args:
            arguments: Words of the command line of `rstar_fast.evolve.process`.
            log: File for what it prints, emptied first.
        """
        log.write_bytes(b"")
        if self._server is None:
            self._server = self._begin_server()
        self._begun += 1
        process = self._processes[self._begun] = StageProcess(self, self._begun)
        self.send(self._begun, {"arguments": list(arguments), "log": str(log.absolute())})
        return process

    def send(self, number: int, payload: dict[str, object]) -> None:
        """Send the server a frame about a stage's process."""
        server = self._server
        if server is None or server.stdin is None:
            return
        try:
            server.stdin.write(encode_frame(number, payload))
            server.stdin.flush()
        except BrokenPipeError:
            self._end_all(server)

    def read(self, timeout_s: float | None) -> None:
        """Take in which processes have ended.

        Args:
            timeout_s: Time to wait for one to end. None waits until one does.
        """
        server = self._server
        if server is None or server.stdout is None:
            return
        fd = server.stdout.fileno()
        while select.select([fd], [], [], timeout_s)[0]:
            data = os.read(fd, 1 << 16)
            if not data:
                self._end_all(server)
                return
            for number, payload in self._reader.feed(data):
                self._processes.pop(number).returncode = payload["returncode"]
            timeout_s = 0

    def close(self) -> None:
        """End the server, and with it every stage that runs."""
        server, self._server = self._server, None
        if server is not None:
            server.kill()
            server.communicate()

    def _begin_server(self) -> "subprocess.Popen[bytes]":
        with self._log.open("wb") as log:
            # Without -P, a file of the working folder could take the place of a module.
            return subprocess.Popen(
                [sys.executable, "-P", "-m", _SERVER, str(os.getpid())],
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=log,
                env=self._environment,
            )

    def _end_all(self, server: "subprocess.Popen[bytes]") -> None:
        """Note that the server has ended, and all stages with it. The next stage has another."""
        server.communicate()
        for process in self._processes.values():
            process.returncode = server.returncode or 1
        self._processes.clear()
        self._reader = FrameReader()
        self._server = None
