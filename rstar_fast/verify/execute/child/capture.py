"""The `sys.stdout` of programs. Runs in the processes of programs."""

import io
from typing import Any


class Capture(io.TextIOBase):
    """Text stream that keeps the beginning and the end of what is written, in bounded memory."""

    encoding = "utf-8"
    errors = "replace"

    def __init__(self, limit_chars: int) -> None:
        """Make an empty stream.

        Args:
            limit_chars: Characters to keep, half from the beginning and half from the end.
        """
        self._half = limit_chars // 2
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
