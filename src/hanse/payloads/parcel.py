"""Payloads between machines: what a body of HTTP holds when values travel.

    4 bytes   length of the label, big-endian
    label     msgpack: [what it is about, the shape of each payload]
    bytes     of each payload in turn: its streams, then its files

A receiver knows every length before the bytes come: they go straight to their place, large ones
into anonymous files, and a parcel that promises too much is refused before anything is kept.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator, Sequence
from itertools import accumulate
from typing import Annotated, BinaryIO, TypeGuard

import msgspec

from hanse.decoding import msgpack_decoder
from hanse.errors import WorldError
from hanse.limits import (
    KIB,
    LABEL_BYTES,
    OUT_OF_BAND_BYTES,
    PARCEL_FILES,
    PARCEL_PAYLOADS,
    PARCEL_SPANS,
    PIECE_BYTES,
)
from hanse.payloads.files import File, make_anonymous
from hanse.payloads.lengths import pack_ends, unpack_ends
from hanse.payloads.payload import Bulk, Payload, Span, streams


class BadParcel(WorldError):
    """The bytes are no parcel, or one that is too large."""

    code = "bad-parcel"


_Spans = Annotated[list[Span], msgspec.Meta(max_length=PARCEL_SPANS)]


class Shape(msgspec.Struct, frozen=True, array_like=True, forbid_unknown_fields=True):
    """A payload without its bytes."""

    count: int
    lengths: bytes | None  # of its streams, 8 bytes each, little-endian; None: one stream
    stream_bytes: int
    files: list[int]  # their sizes
    spans: dict[int, list[Span]]  # of its streams


class _Rough(msgspec.Struct, frozen=True, array_like=True, forbid_unknown_fields=True):
    """A shape of which the spans are not made yet."""

    count: int
    lengths: bytes | None
    stream_bytes: int
    files: Annotated[list[int], msgspec.Meta(max_length=PARCEL_FILES)]
    spans: Annotated[dict[int, msgspec.Raw], msgspec.Meta(max_length=PARCEL_SPANS)]


class _Label(msgspec.Struct, frozen=True, array_like=True, forbid_unknown_fields=True):
    """Its parts are read one by one: what comes from outside is counted before it is made."""

    about: msgspec.Raw
    shapes: Annotated[list[msgspec.Raw], msgspec.Meta(max_length=PARCEL_PAYLOADS)]


_SMALL_FILE_BYTES = 64 * KIB

_encoder = msgspec.msgpack.Encoder()
_labels = msgpack_decoder(_Label)
_roughs = msgpack_decoder(_Rough)
_spans = msgpack_decoder(_Spans)
_parts = msgpack_decoder(tuple[_Rough, bytes])


class Deferred:
    """A payload that is read from a disk, or put together, when it is sent.

    Args:
        shape: of it.
        pieces: its bytes; raises OSError.
    """

    def __init__(self, shape: Shape, pieces: Callable[[], Iterator[bytes]]) -> None:
        self.shape = shape
        self.pieces = pieces

    @property
    def count(self) -> int:
        return self.shape.count

    @property
    def nbytes(self) -> int:
        return self.shape.stream_bytes + sum(self.shape.files)


def wrap(
    about: object, payloads: Sequence[Payload | Deferred] = ()
) -> Iterator[bytes | memoryview]:
    """The parcel, piece by piece. `about` is anything that msgspec can encode."""
    shapes = [msgspec.Raw(_encoder.encode(_shape(each))) for each in payloads]
    label = _Label(msgspec.Raw(_encoder.encode(about)), shapes)
    data = _encoder.encode(label)
    yield len(data).to_bytes(4, "big") + data
    for payload in payloads:
        if isinstance(payload, Deferred):
            yield from payload.pieces()
            continue
        yield payload.data
        for file in payload.bulk.files if payload.bulk is not None else ():
            yield file.view()[: file.size]


def bundle(payloads: Sequence[Payload]) -> Deferred:
    """Small payloads as the values of one. Together they may be as large as what is in memory, so
    they are joined when they are sent, a piece at a time."""
    ends = tuple(accumulate(len(_part(each)) for each in payloads))
    nbytes = ends[-1] if ends else 0
    return Deferred(Shape(len(ends), pack_ends(ends), nbytes, [], {}), lambda: _joined(payloads))


def _part(payload: Payload) -> bytes:
    """One of a bundle."""
    return _encoder.encode((_shape(payload), payload.data))


def _joined(payloads: Sequence[Payload]) -> Iterator[bytes]:
    piece = bytearray()
    for payload in payloads:
        piece += _part(payload)
        if len(piece) >= PIECE_BYTES:
            yield bytes(piece)
            piece.clear()
    yield bytes(piece)


def is_small(payload: Payload | Deferred) -> TypeGuard[Payload]:
    """Whether it can be in a bundle."""
    return (
        isinstance(payload, Payload)
        and payload.bulk is None
        and payload.stream is None
        and payload.stream_bytes < OUT_OF_BAND_BYTES
    )


def unbundle(payload: Payload) -> list[Payload]:
    """Raises BadParcel."""
    if payload.ends is None or payload.bulk is not None:
        raise BadParcel("it is no bundle")
    found = []
    for part in streams(payload):
        try:
            shape, data = _parts.decode(part)
        except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
            raise BadParcel(f"what is in its bundle cannot be read: {error}") from error
        ends = _check(shape)
        if shape.files or shape.spans or shape.stream_bytes != len(data):
            raise BadParcel("what is in its bundle is not as long as it says")
        found.append(Payload(shape.count, data, ends))
    return found


def shape_in(file: BinaryIO) -> Shape:
    """The shape of the one payload of a parcel; its bytes come next. Raises BadParcel, OSError."""
    length = int.from_bytes(file.read(4), "big")
    _check_label(length, LABEL_BYTES)
    _, shapes = _read_label(file.read(length))
    if len(shapes) != 1:
        raise BadParcel("it has not one payload")
    return shapes[0]


def _shape(payload: Payload | Deferred) -> Shape:
    if isinstance(payload, Deferred):
        return payload.shape
    bulk = payload.bulk
    return Shape(
        count=payload.count,
        lengths=pack_ends(payload.ends),
        stream_bytes=payload.stream_bytes,
        files=[file.size for file in bulk.files] if bulk is not None else [],
        spans={at: list(some) for at, some in bulk.spans.items()} if bulk is not None else {},
    )


class Unwrapping:
    """Takes a parcel as it comes: `feed` it pieces of any size, then look.

    Args:
        most: bytes that the payloads may have in all.
        label: bytes that the label may have.

    Attributes:
        nbytes: what the whole parcel has, once its label has come; before that, what the label has.
        label_nbytes: what the label has, once that is known.
    """

    def __init__(self, most: int, label: int = LABEL_BYTES) -> None:
        self.about: msgspec.Raw | None = None
        self.payloads: list[Payload] = []
        self.nbytes = 0
        self.label_nbytes = 0
        self._most = most
        self._label_most = label
        self._head = bytearray()
        self._shapes: list[Shape] = []
        self._places: list[_Place] = []  # of all bytes to come, in their order
        self._at = 0

    def label_in(self, data: bytes) -> int:
        """How long a label is read if this is fed next; 0: none is, or it goes on behind this."""
        if self.about is not None:
            return 0
        head = bytes(self._head[:4]) + data[:4]
        length = int.from_bytes(head[:4], "big")
        ends = len(self._head) + len(data) >= 4 + length
        return length if len(head) >= 4 and ends else 0

    def feed(self, data: bytes | memoryview) -> None:
        """Raises BadParcel."""
        view = memoryview(data)
        if self.about is None:
            self._head += view
            rest = self._take_label()
            if rest is None:
                return
            view = memoryview(rest)
        while view:
            if self._at == len(self._places):
                raise BadParcel("it has more bytes than it says")
            place = self._places[self._at]
            view = view[place.write(view) :]
            self._advance()

    def _advance(self) -> None:
        while self._at < len(self._places) and self._places[self._at].full:
            self._at += 1

    def end(self) -> None:
        """No more will come. Raises BadParcel if something is missing."""
        if self.about is None or self._at < len(self._places):
            raise BadParcel("it ends too early")
        places = iter(self._places)
        self.payloads = [_payload(shape, places) for shape in self._shapes]

    def _take_label(self) -> bytes | None:
        """What follows the label, once that is there."""
        head = self._head
        if len(head) < 4:
            return None
        length = int.from_bytes(head[:4], "big")
        _check_label(length, self._label_most)
        self.nbytes = 4 + length
        self.label_nbytes = length
        if len(head) < 4 + length:
            return None
        about, self._shapes = _read_label(bytes(head[4 : 4 + length]))
        rest = bytes(head[4 + length :])
        self._head = bytearray()
        left = self._most
        for shape in self._shapes:
            nbytes = shape.stream_bytes + sum(shape.files)
            self.nbytes += nbytes
            left -= nbytes
        if left < 0:
            raise BadParcel(f"it has more than {self._most:,} bytes")
        self._places = [
            _Place(size, file)
            for shape in self._shapes
            for size, file in ((shape.stream_bytes, False), *((size, True) for size in shape.files))
        ]
        self.about = about
        self._advance()
        return rest


class _Place:
    """Where so many bytes go. A file is made when the first of them comes, as each takes a
    descriptor; one that is small only when all is there, as thousands fit into a small parcel, and
    into many at once."""

    def __init__(self, size: int, file: bool) -> None:
        self._left = size
        self.size = size
        self.in_file = file or size >= OUT_OF_BAND_BYTES
        self._waits = size < (_SMALL_FILE_BYTES if file else OUT_OF_BAND_BYTES)
        self._file: File | None = None
        self._parts: list[bytes] = []

    @property
    def full(self) -> bool:
        return self._left == 0

    def write(self, view: memoryview) -> int:
        """Take what belongs here; returns how much that was."""
        piece = view[: self._left]
        if self._waits:
            self._parts.append(bytes(piece))
        else:
            at, fd = self.size - self._left, self._opened().fd
            while piece:
                written = os.pwrite(fd, piece, at)
                piece, at = piece[written:], at + written
        taken = min(len(view), self._left)
        self._left -= taken
        return taken

    @property
    def data(self) -> bytes:
        return b"".join(self._parts)

    def take_file(self) -> File:
        """What is in it now, once."""
        made, self._file = self._opened(), None
        if self._parts:
            os.pwrite(made.fd, self.data, 0)
        return File.received(os.dup(made.fd), made.size)

    def _opened(self) -> File:
        if self._file is None:
            self._file = File(make_anonymous(), max(1, self.size))
            os.ftruncate(self._file.fd, max(1, self.size))
        return self._file


def _check_label(length: int, most: int) -> None:
    if length > most:
        raise BadParcel(f"its label has {length:,} bytes, {most:,} are allowed")


def _read_label(data: bytes) -> tuple[msgspec.Raw, list[Shape]]:
    """What it is about, and the shapes. Raises BadParcel."""
    counting = _Counting()
    try:
        label = _labels.decode(data)
        return label.about, [counting.shape(raw) for raw in label.shapes]
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        raise BadParcel(f"its label cannot be read: {error}") from error


class _Counting:
    """What the shapes of one parcel have in all."""

    def __init__(self) -> None:
        self._files = 0
        self._streams = 0
        self._buffers = 0

    def shape(self, raw: msgspec.Raw) -> Shape:
        """One more. Raises BadParcel, and what a decoder raises."""
        rough = _roughs.decode(raw)
        self._files += len(rough.files)
        if self._files > PARCEL_FILES:
            raise BadParcel(f"it has more than {PARCEL_FILES:,} files")
        self._streams += len(rough.spans)
        if self._streams > PARCEL_SPANS:
            raise BadParcel(f"it has more than {PARCEL_SPANS:,} streams with buffers")
        ends = _check(rough)
        spans = {stream: self._spans(some) for stream, some in rough.spans.items()}
        shape = Shape(rough.count, rough.lengths, rough.stream_bytes, rough.files, spans)
        _check_spans(shape, 1 if ends is None else rough.count)
        return shape

    def _spans(self, raw: msgspec.Raw) -> list[Span]:
        """Of one more stream."""
        spans = _spans.decode(raw)
        self._buffers += len(spans)
        if self._buffers > PARCEL_SPANS:
            raise BadParcel(f"it has more than {PARCEL_SPANS:,} buffers")
        return spans


def _check(shape: _Rough) -> tuple[int, ...] | None:
    """Whether the numbers fit together: they come from outside. Returns where its streams end."""
    if shape.count < 0 or shape.stream_bytes < 0 or any(size < 0 for size in shape.files):
        raise BadParcel("a number in its label is negative")
    try:
        ends = unpack_ends(shape.lengths)
    except ValueError as error:
        raise BadParcel("its streams have no lengths") from error
    if ends is not None and (
        len(ends) != shape.count or (ends[-1] if ends else 0) != shape.stream_bytes
    ):
        raise BadParcel("its streams do not have the lengths that it says")
    return ends


def _check_spans(shape: Shape, streams: int) -> None:
    """Whether all are of its streams, and within its files."""
    for stream, spans in shape.spans.items():
        if not 0 <= stream < streams:
            raise BadParcel("it has buffers of a stream that is not there")
        for file, at, length in spans:
            inside = 0 <= file < len(shape.files) and at >= 0 and length >= 0
            if not inside or at + length > max(1, shape.files[file]):
                raise BadParcel("a buffer lies outside its file")


def _payload(shape: Shape, places: Iterator[_Place]) -> Payload:
    stream = next(places)
    files = tuple(next(places).take_file() for _ in shape.files)
    spans = {at: tuple(some) for at, some in shape.spans.items()}
    bulk = Bulk(files, spans) if files else None
    ends = unpack_ends(shape.lengths)
    if not stream.in_file:
        return Payload(shape.count, stream.data, ends, bulk)
    return Payload.in_file(shape.count, stream.take_file(), shape.stream_bytes, ends, bulk)
