"""A trace of a search as Perfetto's protobuf, which ui.perfetto.dev opens.

Every resource has tracks of its requests, one above the other where several are open. Arrows lead
from the candidates of an expansion to each of their programs, and from these to the scores.
"""

import struct
from collections.abc import Iterator, Sequence
from itertools import count

from rstar_fast.bench.request_times import ExpansionTime, RequestTime

# Numbers of fields in perfetto/trace/perfetto_trace.proto.
_PACKET = 1
_TIMESTAMP, _SEQUENCE, _EVENT, _DESCRIPTOR = 8, 10, 11, 60
_UUID, _NAME, _PARENT = 1, 2, 5
_TYPE, _TRACK, _EVENT_NAME, _FLOWS, _ENDING_FLOWS, _NOTES = 9, 11, 23, 47, 48, 4
_NOTE_NAME, _NOTE_UINT = 10, 3
_BEGIN, _END = 1, 2
_SPAN_NAMES = {"policy": "candidates", "execution": "program", "scoring": "scores"}


def trace_bytes(expansions: Sequence[ExpansionTime]) -> bytes:
    """Return the trace of some expansions."""
    return b"".join(_bytes(_PACKET, packet) for packet in _packets(expansions))


def _packets(expansions: Sequence[ExpansionTime]) -> Iterator[bytes]:
    uuids, flows = count(1), count(1)
    linked: list[tuple[RequestTime, str, list[int], bool]] = []
    for number, expansion in enumerate(expansions):
        name = f"{expansion.problem}, node {expansion.requests[0].node} (expansion {number})"
        linked += [(one, name, ids, last) for one, ids, last in _linked(expansion, flows)]
    linked.sort(key=lambda one: one[0].asked_s)
    start_s = linked[0][0].asked_s if linked else 0.0
    groups: dict[str, int] = {}
    lanes: dict[str, list[tuple[float, int]]] = {}
    for one, name, ids, last in linked:
        if one.resource not in groups:
            groups[one.resource] = next(uuids)
            lanes[one.resource] = []
            yield _descriptor(groups[one.resource], one.resource)
        own = lanes[one.resource]
        free = [i for i, (until_s, _) in enumerate(own) if until_s <= one.asked_s]
        lane = free[0] if free else len(own)
        if not free:
            own.append((0.0, next(uuids)))
            label = f"{one.resource} {lane + 1}"
            yield _descriptor(own[lane][1], label, groups[one.resource])
        track = own[lane][1]
        own[lane] = one.told_s, track
        event = _number(_TYPE, _BEGIN) + _number(_TRACK, track)
        event += _bytes(_EVENT_NAME, f"{_SPAN_NAMES[one.resource]}: {name}".encode())
        event += b"".join(_fixed(_ENDING_FLOWS if last else _FLOWS, flow) for flow in ids)
        for label, value in (("tokens", one.num_tokens), ("rows", one.num_rows)):
            if value:
                note = _bytes(_NOTE_NAME, label.encode()) + _number(_NOTE_UINT, value)
                event += _bytes(_NOTES, note)
        yield _event(one.asked_s - start_s, event)
        end = _number(_TYPE, _END) + _number(_TRACK, track)
        yield _event(one.told_s - start_s, end)


def _linked(
    expansion: ExpansionTime, flows: Iterator[int]
) -> Iterator[tuple[RequestTime, list[int], bool]]:
    """Yield the requests of an expansion, with their flows, and whether these end there."""
    programs, scores = expansion.of("execution"), expansion.of("scoring")
    ids = [next(flows) for _ in programs or scores]
    yield expansion.requests[0], ids, False
    for program, flow in zip(programs, ids, strict=False):
        yield program, [flow], not scores
    for one in scores:
        yield one, ids, True


def _descriptor(uuid: int, name: str, parent: int | None = None) -> bytes:
    track = _number(_UUID, uuid) + _bytes(_NAME, name.encode())
    track += b"" if parent is None else _number(_PARENT, parent)
    return _bytes(_DESCRIPTOR, track) + _number(_SEQUENCE, 1)


def _event(seconds: float, event: bytes) -> bytes:
    return _number(_TIMESTAMP, round(seconds * 1e9)) + _number(_SEQUENCE, 1) + _bytes(_EVENT, event)


def _varint(value: int) -> bytes:
    found = bytearray()
    while value > 127:
        found.append(value & 127 | 128)
        value >>= 7
    found.append(value)
    return bytes(found)


def _number(field: int, value: int) -> bytes:
    return _varint(field << 3) + _varint(value)


def _fixed(field: int, value: int) -> bytes:
    return _varint(field << 3 | 1) + struct.pack("<Q", value)


def _bytes(field: int, value: bytes) -> bytes:
    return _varint(field << 3 | 2) + _varint(len(value)) + value
