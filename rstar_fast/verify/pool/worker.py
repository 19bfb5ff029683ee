"""The loop of a worker process.

A worker serves one kind of work over its standard input and output until they close.
"""

import os
import signal
import sys
from collections.abc import Callable
from typing import Any

from rstar_fast.verify.pool.wire import FrameReader, encode_frame
from rstar_fast.verify.sandbox.kernel import PR_SET_PDEATHSIG, prctl


def die_with(parent_pid: int) -> None:
    """Have the kernel kill this process as soon as the thread that started it ends.

    Args:
        parent_pid: Process id of the starting process. If it is gone already, this process ends.
    """
    prctl(PR_SET_PDEATHSIG, signal.SIGKILL)
    if os.getppid() != parent_pid:
        os._exit(1)


class Channel:
    """The two pipes to the main process.

    Attributes:
        input_fd: Descriptor of the pipe from the main process.
        output_fd: Descriptor of the pipe to the main process.
    """

    def __init__(self) -> None:
        """Take the pipes over from descriptors 0 and 1, which become the null device."""
        self.input_fd = os.dup(0)
        self.output_fd = os.dup(1)
        null = os.open(os.devnull, os.O_RDWR)
        os.dup2(null, 0)
        os.dup2(null, 1)
        os.close(null)
        self._reader = FrameReader()
        self._frames: list[tuple[int, dict[str, Any]]] = []

    def receive(self) -> tuple[int, dict[str, Any]]:
        """Wait for the next frame and return its work id and payload.

        Ends this process when the main process is gone.
        """
        while not self._frames:
            self._read()
        return self._frames.pop(0)

    def receive_all(self) -> list[tuple[int, dict[str, Any]]]:
        """Wait for data, and return the work id and payload of all frames that are complete.

        Ends this process when the main process is gone.
        """
        self._read()
        frames, self._frames = self._frames, []
        return frames

    def _read(self) -> None:
        data = os.read(self.input_fd, 1 << 16)
        if not data:
            os._exit(0)
        self._frames += self._reader.feed(data)

    def send(self, work_id: int, payload: dict[str, Any]) -> None:
        """Send one frame. Waits until the pipe has taken all of it."""
        frame = memoryview(encode_frame(work_id, payload))
        while frame:
            frame = frame[os.write(self.output_fd, frame) :]


def serve(
    parent_pid: int,
    start: Callable[[dict[str, Any], Channel], Callable[[dict[str, Any]], dict[str, Any]]],
) -> None:
    """Serve work until the main process ends.

    Args:
        parent_pid: Process id of the main process, with which this process dies.
        start: Function that takes the options of the pool and the channel, prepares this process,
            and returns the function that does one piece of work. If it raises, the pool is told
            and fails all work.
    """
    die_with(parent_pid)
    channel = Channel()
    greeting_id, options = channel.receive()
    try:
        work = start(options, channel)
    except Exception as error:
        channel.send(greeting_id, {"failed": f"{type(error).__name__}: {error}"})
        sys.exit(1)
    channel.send(greeting_id, {})
    while True:
        work_id, payload = channel.receive()
        channel.send(work_id, work(payload))
