"""The `sys.stdout` of programs. Runs in the processes of programs."""

import io
import os
from typing import Any

# Looked up once: a program may rebind it.
_write = os.write


class Capture(io.TextIOBase):
    """Text stream that keeps the beginning and the end of what is written, in bounded memory."""

    encoding = "utf-8"
    errors = "replace"

    def __init__(self, limit_chars: int, copied_bytes: int = 0) -> None:
        """Make an empty stream.

        Args:
            limit_chars: Characters to keep, half from the beginning and half from the end.
            copied_bytes: Bytes from the beginning that `copy_to` copies.
        """
        self._half = limit_chars // 2
        self._copied_bytes = copied_bytes
        self._copied, self._copy_room, self._copy_fd = bytearray(), copied_bytes, -1
        self._reset()

    def _reset(self) -> None:
        self._head = io.StringIO()
        self._tail = io.StringIO()
        self._room = self._half

    def write(self, text: str) -> int:
        """Take text in, and return its number of characters.

        Text that is neither in the first nor in the last `limit_chars / 2` characters is dropped.
        """
        if self.closed:
            raise ValueError("I/O operation on closed file.")
        if not isinstance(text, str):
            raise TypeError(f"write() argument must be str, not {type(text).__name__}")
        if self._copy_room:
            self._copy(text)
        begin = text[: self._room]
        self._head.write(begin)
        self._room -= len(begin)
        if len(begin) < len(text):
            self._tail.write(text[max(len(begin), len(text) - self._half) :])
            if self._tail.tell() > 4 * self._half:
                end = self._tail.getvalue()[-self._half :]
                self._tail = io.StringIO()
                self._tail.write(end)
        return len(text)

    def copy_to(self, fd: int) -> None:
        """Copy the first bytes of all that was and will be written to a pipe, as UTF-8.

        Args:
            fd: Descriptor of the pipe, which does not block. -1 ends the copying, as an error does.
        """
        self._copy_fd = fd
        self._send(self._copied)

    def begin(self, fd: int) -> None:
        """Forget all that was written, and copy the first bytes that will be written to a pipe."""
        self._reset()
        self._copied, self._copy_room, self._copy_fd = bytearray(), self._copied_bytes, fd

    def _copy(self, text: str) -> None:
        data = text[: self._copy_room].encode("utf-8", "replace")[: self._copy_room]
        self._copy_room -= len(data)
        self._copied += data
        self._send(data)

    def _send(self, data: bytes | bytearray) -> None:
        if data and self._copy_fd >= 0:
            try:
                complete = _write(self._copy_fd, data) == len(data)
            except OSError:
                complete = False
            if not complete:
                self._copy_fd = -1

    def peek(self) -> str:
        """Return the text since the last `take`, without its middle if it is over the limit."""
        return self._head.getvalue() + self._tail.getvalue()[-self._half :]

    def take(self) -> str:
        """Return what `peek` does, and forget it."""
        text = self.peek()
        self._reset()
        return text

    @property
    def buffer(self) -> "_Bytes":
        """Stream for programs that write bytes."""
        return _Bytes(self)

    def reconfigure(self, **_: Any) -> None:
        """Do nothing. Programs may call it because a usual `sys.stdout` has it."""

    def writable(self) -> bool:
        """Return True."""
        return True


class _Bytes(io.RawIOBase):
    def __init__(self, text: Capture) -> None:
        self._text = text

    def write(self, data: Any) -> int:
        raw = bytes(data)
        self._text.write(raw.decode("utf-8", "replace"))
        return len(raw)

    def writable(self) -> bool:
        return True
