"""What a supervisor and a program's process say to each other: a fixed header, then capped UTF-8.

A request is `magic | flags (uint8) | length (uint32) | source`; a reply is `magic | status (uint8) | flags (uint8) |
processor time, ns (int64) | peak memory, bytes (int64) | length (uint32) | observation`, big-endian.
"""

import struct
from dataclasses import dataclass

from rstar_fast.verify.base import Status
from rstar_fast.verify.execute.child.program import MAX_OBSERVATION_CHARS
from rstar_fast.verify.pool.wire import FrameError

KEEP = 1
"""Request: stay as a snapshot if possible."""
CHECK = 2
"""Request: only parse; the reply is OK, or the error."""

KEPT = 1
"""Reply: this process waits to be cloned."""
FINAL = 2
"""Reply: whatever follows on this program's text, the outcome is the same."""
REPLAY = 4
"""Reply: nothing was executed; the program must be run as a whole."""

_REQUEST = struct.Struct("!4sBI")
_REPLY = struct.Struct("!4sBBqqI")
_REQUEST_MAGIC, _REPLY_MAGIC = b"rsq1", b"rsr1"
_STATUSES = (Status.OK, Status.ERROR, Status.MEMORY)
_MAX_TEXT_BYTES = 4 * (MAX_OBSERVATION_CHARS + 3)
MAX_REPLY_BYTES = _REPLY.size + _MAX_TEXT_BYTES
REQUEST_HEADER_BYTES = _REQUEST.size


@dataclass(frozen=True, slots=True)
class Reply:
    """What a program's process says of itself; nothing in it is to be trusted beyond that program."""

    status: Status
    text: str
    flags: int
    cpu_s: float
    peak_bytes: int


def pack_request(source: str, flags: int) -> bytes:
    """A request; lone surrogates in the source are kept."""
    body = source.encode("utf-8", "surrogatepass")
    return _REQUEST.pack(_REQUEST_MAGIC, flags, len(body)) + body


def unpack_request_header(header: bytes) -> tuple[int, int]:
    """The flags, and the number of bytes of source that follow."""
    _, flags, length = _REQUEST.unpack(header)
    return flags, length


def pack_reply(reply: Reply) -> bytes:
    """A reply; what cannot be encoded is replaced."""
    body = reply.text.encode("utf-8", "replace")
    header = _REPLY.pack(
        _REPLY_MAGIC,
        _STATUSES.index(reply.status),
        reply.flags,
        int(reply.cpu_s * 1e9),
        reply.peak_bytes,
        len(body),
    )
    return header + body


def unpack_reply(data: bytes) -> Reply | None:
    """The reply that bytes from a program's process hold, or None while it is incomplete. Raises `FrameError`."""
    if not data.startswith(_REPLY_MAGIC[: len(data)]):
        raise FrameError(f"expected a reply, got {data[:16]!r}")
    if len(data) < _REPLY.size:
        return None
    _, status, flags, cpu_ns, peak_bytes, length = _REPLY.unpack_from(data)
    if (
        status >= len(_STATUSES)
        or flags > KEPT | FINAL | REPLAY
        or min(cpu_ns, peak_bytes) < 0
        or length > _MAX_TEXT_BYTES
    ):
        raise FrameError("expected a reply, got a malformed one")
    if len(data) > _REPLY.size + length:
        raise FrameError("expected one reply, got more")
    if len(data) < _REPLY.size + length:
        return None
    return Reply(
        _STATUSES[status],
        data[_REPLY.size :].decode("utf-8", "replace"),
        flags,
        cpu_ns / 1e9,
        peak_bytes,
    )
