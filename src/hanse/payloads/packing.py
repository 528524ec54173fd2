"""Payloads as plain values and descriptors: the form in which they cross a socket."""

from __future__ import annotations

from hanse.payloads.files import File
from hanse.payloads.payload import Bulk, Payload

TYPE_CHECKING = False
if TYPE_CHECKING:
    from hanse.payloads.payload import Span

    Packed = tuple[
        int,
        bytes,
        tuple[int, ...] | None,
        tuple[tuple[int, ...], dict[int, tuple[Span, ...]]] | None,
    ]


def pack(payload: Payload, files: list[File]) -> Packed:
    """Plain values for a frame; the files that must go with it are added to `files`."""
    if payload.bulk is None:
        return payload.count, payload.data, payload.ends, None
    sendable = [file.sendable() for file in payload.bulk.files]
    files.extend(sendable)
    sizes = tuple(file.size for file in sendable)
    return payload.count, payload.data, payload.ends, (sizes, dict(payload.bulk.spans))


def unpack(packed: Packed, fds: list[int]) -> Payload:
    """The payload again; takes its descriptors from the front of `fds`."""
    count, data, ends, bulk = packed
    if bulk is None:
        return Payload(count, data, ends)
    sizes, spans = bulk
    files = tuple(File.received(fds.pop(0), size) for size in sizes)
    return Payload(count, data, ends, Bulk(files, spans))
