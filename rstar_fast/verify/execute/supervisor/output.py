"""What a clone printed, in case it ends without an answer. Runs in the supervisor process."""

import contextlib
import os

from rstar_fast.verify.execute.framing import MAX_OUTPUT_BYTES
from rstar_fast.verify.execute.observation_text import MAX_OBSERVATION_CHARS


class Output:
    """A pipe into which one clone copies what it prints.

    It is read only when the clone is killed or has crashed. The kernel bounds what it holds.

    Attributes:
        write_fd: Descriptor for the clone, until `hand_over`.
    """

    def __init__(self) -> None:
        """Make the pipe.

        Raises:
            OSError: No descriptors are left.
        """
        self._read_fd, self.write_fd = os.pipe2(os.O_CLOEXEC | os.O_NONBLOCK)

    def hand_over(self) -> None:
        """Close this process's own descriptor for the clone."""
        os.close(self.write_fd)

    def read(self) -> str:
        """Return what the clone printed.

        If that is more than the clone copies, its end is not known. It is then cut to the first
        half of an observation.
        """
        data = b""
        with contextlib.suppress(BlockingIOError):
            data = os.read(self._read_fd, MAX_OUTPUT_BYTES)
        text = data.decode("utf-8", "replace")
        if len(data) == MAX_OUTPUT_BYTES:
            return f"{text[: MAX_OBSERVATION_CHARS // 2]}..."
        return text

    def close(self) -> None:
        """Close the pipe. May be called again."""
        if self._read_fd >= 0:
            os.close(self._read_fd)
            self._read_fd = -1
