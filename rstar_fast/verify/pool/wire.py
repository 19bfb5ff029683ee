"""Frames between the main process and a worker. Used on both sides.

A frame is `magic (4 bytes) | work id (uint64) | payload length (uint32) | payload`, big-endian. The
payload is a JSON object in ASCII. Nothing that is received is ever unpickled or evaluated.
"""

import json
import os
import struct
from typing import Any

MAX_PAYLOAD_BYTES = 16 << 20
"""Largest payload of a frame, bytes."""

_MAGIC = b"rsf1"
_HEADER = struct.Struct("!4sQI")


class FrameError(ValueError):
    """The other side sent something that is not a frame, or a payload is too large for one."""


def encode_frame(work_id: int, payload: dict[str, Any]) -> bytes:
    """Return a frame.

    Args:
        work_id: Number that the answer names too, a uint64.
        payload: JSON values.

    Raises:
        FrameError: The encoded payload is larger than `MAX_PAYLOAD_BYTES`.
    """
    body = json.dumps(payload).encode("ascii")
    if len(body) > MAX_PAYLOAD_BYTES:
        raise FrameError(
            f"expected a payload of at most {MAX_PAYLOAD_BYTES} bytes, got {len(body)}"
        )
    return _HEADER.pack(_MAGIC, work_id, len(body)) + body


class FrameReader:
    """Cuts a stream of bytes into frames."""

    def __init__(self) -> None:
        self._buffer = bytearray()

    def feed(self, data: bytes) -> list[tuple[int, dict[str, Any]]]:
        """Take bytes in, and return the work id and payload of every frame that is now complete.

        Raises:
            FrameError: The bytes are not a frame, or a payload is not a JSON object.
        """
        self._buffer += data
        frames = []
        while len(self._buffer) >= _HEADER.size:
            magic, work_id, length = _HEADER.unpack_from(self._buffer)
            if magic != _MAGIC or length > MAX_PAYLOAD_BYTES:
                raise FrameError(f"expected a frame, got {bytes(self._buffer[: _HEADER.size])!r}")
            end = _HEADER.size + length
            if len(self._buffer) < end:
                break
            frames.append((work_id, _decode(bytes(self._buffer[_HEADER.size : end]))))
            del self._buffer[:end]
        return frames


def first_payload(fd: int) -> dict[str, Any] | None:
    """Read from a descriptor until a frame is complete, and return its payload.

    None if the other end hung up before.

    Raises:
        FrameError: Something other than a frame came.
    """
    reader = FrameReader()
    while data := os.read(fd, 1 << 16):
        for _, payload in reader.feed(data):
            return payload
    return None


def _decode(body: bytes) -> dict[str, Any]:
    try:
        payload = json.loads(body)
    except (ValueError, RecursionError) as error:
        raise FrameError(f"expected JSON, got {body[:80]!r}") from error
    if not isinstance(payload, dict):
        raise FrameError(f"expected a JSON object, got {body[:80]!r}")
    return payload
