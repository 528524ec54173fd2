"""Payloads as the journal keeps them: a small header in the entry, large bytes as blobs.

A header is a msgpack array: count, the length of each stream, the spans of buffers, the blobs that
hold them, and the streams themselves or the blob that holds those. The digest of the header covers
everything, because blobs are named by their own hash: equal digests mean equal payloads.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

import msgspec
from blake3 import blake3

from hanse.decoding import from_msgpack
from hanse.errors import JournalDamaged
from hanse.ids import BlobId, blob_id, parse_blob_id
from hanse.limits import INLINE_BYTES
from hanse.payloads.files import File
from hanse.payloads.lengths import pack_ends, unpack_ends
from hanse.payloads.payload import Bulk, Payload, Span

if TYPE_CHECKING:
    from hanse.records.state import Blobs

Put = Callable[[memoryview], BlobId]


class Header(msgspec.Struct, frozen=True, array_like=True):
    count: int
    lengths: bytes | None  # of the streams, 8 bytes each, little-endian; None: one stream
    spans: dict[int, list[Span]]
    files: list[tuple[BlobId, int]]  # with their sizes
    data: bytes
    stream: tuple[BlobId, int] | None  # in place of data


class Packed(msgspec.Struct, frozen=True):
    """A payload, ready for an entry."""

    header: bytes
    blobs: list[BlobId]
    nbytes: int  # with its blobs

    @property
    def digest(self) -> bytes:
        return blake3(self.header).digest()


def hash_only(data: memoryview) -> BlobId:
    """The blob's id, for who wants to compare and keeps nothing."""
    return blob_id(blake3(data).digest())


def pack(payload: Payload, put: Put) -> Packed:
    """The payload for an entry; what is large goes through `put`."""
    files: list[tuple[BlobId, int]] = []
    spans: dict[int, list[Span]] = {}
    nbytes = 0
    if payload.bulk is not None:
        for file in payload.bulk.files:
            view = file.view()
            files.append((put(view), file.size))
            nbytes += file.size
        spans = {stream: list(some) for stream, some in sorted(payload.bulk.spans.items())}
    data, stream = payload.data, None
    if payload.stream_bytes >= INLINE_BYTES:
        stream, data = (put(memoryview(data)), payload.stream_bytes), b""
        nbytes += payload.stream_bytes
    header = msgspec.msgpack.encode(
        Header(payload.count, pack_ends(payload.ends), spans, files, bytes(data), stream)
    )
    blobs = [blob for blob, _ in files] + ([stream[0]] if stream else [])
    return Packed(header, blobs, nbytes + len(header))


def unpack_inline(header: bytes) -> Payload | None:
    """The payload, if the header holds all of it. Raises JournalDamaged."""
    head = _read(header)
    if head.files or head.stream is not None:
        return None
    return Payload(head.count, head.data, _ends(head))


def unpack(header: bytes, blobs: Blobs) -> Payload:
    """The payload again. Raises JournalDamaged."""
    head = _read(header)
    ends = _ends(head)
    bulk = None
    if head.files:
        files = tuple(_file(blobs, blob, size) for blob, size in head.files)
        bulk = Bulk(files, {stream: tuple(some) for stream, some in head.spans.items()})
    if head.stream is None:
        return Payload(head.count, head.data, ends, bulk)
    blob, size = head.stream
    return Payload.in_file(head.count, _file(blobs, blob, size), size, ends, bulk)


def _read(header: bytes) -> Header:
    try:
        return from_msgpack(header, Header)
    except msgspec.MsgspecError as error:
        raise JournalDamaged(f"a recorded payload cannot be read: {error}") from error


def _ends(head: Header) -> tuple[int, ...] | None:
    try:
        ends = unpack_ends(head.lengths)
        if ends is not None and len(ends) != head.count:
            raise ValueError("as many streams as values are needed")
    except ValueError as error:
        raise JournalDamaged(f"a recorded payload cannot be read: {error}") from error
    return ends


def _file(blobs: Blobs, blob: BlobId, size: int) -> File:
    fd, found = blobs.get(parse_blob_id(blob))
    file = File.received(fd, max(1, found))
    if found != size:
        raise JournalDamaged(f"blob {blob} has {found} bytes, {size} were recorded")
    return file
