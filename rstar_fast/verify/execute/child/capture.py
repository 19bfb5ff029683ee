"""The `sys.stdout` of programs."""

import io
from typing import Any


class Capture(io.TextIOBase):
    """A text stream that keeps the beginning and the end of what is written, in bounded memory."""

    encoding = "utf-8"
    errors = "replace"

    def __init__(self, limit_chars: int) -> None:
        self._half = limit_chars // 2
        self._reset()

    def _reset(self) -> None:
        self._head = io.StringIO()
        self._tail = io.StringIO()
        self._room = self._half

    def write(self, text: str) -> int:
        """Take text in; what is neither in the first nor in the last half of the limit is dropped."""
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
        """What was written since the last `take`, its middle left out beyond the limit."""
        return self._head.getvalue() + self._tail.getvalue()[-self._half :]

    def take(self) -> str:
        """The same, which is then forgotten."""
        text = self.peek()
        self._reset()
        return text

    @property
    def buffer(self) -> "_Bytes":
        """The stream for programs that write bytes."""
        return _Bytes(self)

    def reconfigure(self, **_: Any) -> None:
        """Accepted, as the stream of a usual program has it; changes nothing."""

    def writable(self) -> bool:
        """True."""
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
