"""Payloads as plain values and descriptors: the form in which they cross a socket.

Large streams leave the socket too: it holds some 200 kB, and every further piece would cost a turn
of both processes, in one of which threads wait for each other.
"""

from __future__ import annotations

from hanse.payloads.files import File
from hanse.payloads.payload import Bulk, Payload

TYPE_CHECKING = False
if TYPE_CHECKING:
    from hanse.payloads.payload import Span

    Packed = tuple[
        int,
        bytes | tuple[int, int],  # the streams, or a file's size and how much of it they are
        tuple[int, ...] | None,
        tuple[tuple[int, ...], dict[int, tuple[Span, ...]]] | None,
    ]

STREAM_BYTES = 64 * 1024  # streams from this size travel in a file


def pack(payload: Payload, files: list[File]) -> Packed:
    """Plain values for a frame; the files that must go with it are added to `files`."""
    data: bytes | tuple[int, int]
    if payload.stream is not None or payload.stream_bytes >= STREAM_BYTES:
        stream = payload.stream.sendable() if payload.stream else File.of([payload.data])[0]
        files.append(stream)
        data = (stream.size, payload.stream_bytes)
    else:
        data = bytes(payload.data)
    if payload.bulk is None:
        return payload.count, data, payload.ends, None
    sendable = [file.sendable() for file in payload.bulk.files]
    files.extend(sendable)
    sizes = tuple(file.size for file in sendable)
    return payload.count, data, payload.ends, (sizes, dict(payload.bulk.spans))


def unpack(packed: Packed, fds: list[int]) -> Payload:
    """The payload again; takes its descriptors from the front of `fds`."""
    count, data, ends, packed_bulk = packed
    stream = None if isinstance(data, bytes) else File.received(fds.pop(0), data[0])
    bulk = None
    if packed_bulk is not None:
        sizes, spans = packed_bulk
        bulk = Bulk(tuple(File.received(fds.pop(0), size) for size in sizes), spans)
    if isinstance(data, bytes):
        return Payload(count, data, ends, bulk)
    assert stream is not None
    return Payload.in_file(count, stream, data[1], ends, bulk)
