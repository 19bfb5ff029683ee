"""Messages between the supervisor and the processes of programs. Used on both sides.

All numbers are big-endian, and texts are UTF-8.

- A request is `magic (4 bytes) | flags (uint8) | hidden (uint32) | length (uint32) | source`. The
  style "step" does not show what the first `hidden` characters of the source do.
- The request of a script has `address space (uint64) | processor seconds (uint64)` in front of the
  source. One more byte follows it, with the script's three standard descriptors. A script sends no
  reply.
- What a program prints is copied as it is printed, up to `MAX_OUTPUT_BYTES`, into a pipe of its
  process. The supervisor reads it if no reply comes.
- A reply is `magic (4 bytes) | status (uint8) | flags (uint8) | processor time, ns (int64) | peak
  memory, bytes (int64) | length (uint32) | observation`. The observation's length is capped.
"""

import struct
from dataclasses import dataclass

from rstar_fast.verify.base import Status
from rstar_fast.verify.execute.observation_text import MAX_OBSERVATION_CHARS
from rstar_fast.verify.pool.wire import FrameError

CHANNEL_FD = 3
"""Descriptor of the socket to the supervisor, in a zygote and in its clones."""

KEEP = 1
"""Flag of a request: stay as a snapshot if possible."""
CHECK = 2
"""Flag of a request: only parse the source. The reply is OK or the error."""
SCRIPT = 4
"""Flag of a request: be the process of a script, from its first statement to its exit code."""

KEPT = 1
"""Flag of a reply: this process is a snapshot now and waits to be cloned."""
FINAL = 2
"""Flag of a reply: every continuation of this program fails in the same way."""
REPLAY = 4
"""Flag of a reply: nothing was executed, and the program must be run from its beginning."""

_REQUEST = struct.Struct("!4sBII")
_REPLY = struct.Struct("!4sBBqqI")
_SCRIPT_LIMITS = struct.Struct("!QQ")
_REQUEST_MAGIC, _REPLY_MAGIC = b"rsq1", b"rsr1"
_STATUSES = (Status.OK, Status.ERROR, Status.MEMORY)
# Looked up once: a program may rebind them, and its process still has to answer.
_len, _int = len, int
_MAX_TEXT_BYTES = 4 * (MAX_OBSERVATION_CHARS + len("..."))
MAX_REPLY_BYTES = _REPLY.size + _MAX_TEXT_BYTES
"""Largest size of a reply, bytes."""
MAX_OUTPUT_BYTES = 1 << 15
"""Bytes of printed text that a program's process copies. They fit into a pipe in any pieces."""
REQUEST_HEADER_BYTES = _REQUEST.size
"""Size of a request without its source, bytes."""


@dataclass(frozen=True, slots=True)
class Reply:
    """Reply of a program's process. The program may have forged any of it.

    Attributes:
        status: How the program ended: OK, ERROR or MEMORY.
        text: Text of the observation.
        flags: Sum of `KEPT`, `FINAL` and `REPLAY`, as far as they apply.
        cpu_s: Processor time of this piece of the program, seconds.
        peak_bytes: Peak resident memory of the process, bytes.
    """

    status: Status
    text: str
    flags: int
    cpu_s: float
    peak_bytes: int


def pack_request(source: str, flags: int, hidden: int = 0) -> bytes:
    """Return the bytes of a request. Lone surrogates in the source are kept."""
    body = source.encode("utf-8", "surrogatepass")
    return _REQUEST.pack(_REQUEST_MAGIC, flags, hidden, len(body)) + body


def pack_script(source: str, memory_bytes: int, cpu_s: int) -> bytes:
    """Return the bytes of the request to run a script.

    Args:
        source: Text of the script.
        memory_bytes: Address space that it may use beyond the loaded libraries' own, bytes.
        cpu_s: Processor time that it may use, whole seconds.
    """
    body = _SCRIPT_LIMITS.pack(memory_bytes, cpu_s) + source.encode("utf-8", "surrogatepass")
    return _REQUEST.pack(_REQUEST_MAGIC, SCRIPT, 0, len(body)) + body


def unpack_script(body: bytes) -> tuple[str, int, int]:
    """Return what `pack_script` took, of the bytes that follow the header of its request."""
    memory_bytes, cpu_s = _SCRIPT_LIMITS.unpack_from(body)
    return body[_SCRIPT_LIMITS.size :].decode("utf-8", "surrogatepass"), memory_bytes, cpu_s


def unpack_request_header(header: bytes) -> tuple[int, int, int]:
    """Return a request's flags, hidden characters, and bytes that follow its header."""
    _, flags, hidden, length = _REQUEST.unpack(header)
    return flags, hidden, length


def pack_reply(reply: Reply) -> bytes:
    """Return the bytes of a reply. Characters that cannot be encoded are replaced."""
    body = reply.text.encode("utf-8", "replace")
    header = _REPLY.pack(
        _REPLY_MAGIC,
        _STATUSES.index(reply.status),
        reply.flags,
        _int(reply.cpu_s * 1e9),
        reply.peak_bytes,
        _len(body),
    )
    return header + body


def unpack_reply(data: bytes) -> Reply | None:
    """Return the reply in bytes from a program's process, or None while it is incomplete.

    Raises:
        FrameError: The bytes are not one reply, or a field is out of range.
    """
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
        raise FrameError(f"expected a reply, got a malformed header {data[: _REPLY.size]!r}")
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
