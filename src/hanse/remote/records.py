"""A node's journal and blobs, read over HTTP: the same port as on a disk, for reading only.

What comes is checked as if it came from a disk: entries by their checksums, payloads by their
digests, blobs by their names.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from typing import Any, NoReturn
from urllib.parse import quote

import msgspec
from blake3 import blake3

from hanse.blobs.store import BlobFile
from hanse.decoding import msgpack_decoder
from hanse.errors import JournalDamaged, JournalError, NodeError, NodeUnavailable, NoSuchJob
from hanse.ids import BlobId, JobId, blob_id
from hanse.journal.port import Append, Entry, Head, Holder
from hanse.limits import RECORD_BYTES
from hanse.payloads.files import make_anonymous
from hanse.remote.dial import Dial
from hanse.wire.api import Record

_records = msgpack_decoder(Record)


class NodeHead(Head, frozen=True, kw_only=True):
    """A job's head as a node tells it: with who runs the job, so that no list has to ask, and how
    many of its items are out; and why nothing of one runs that no site takes, but for older jobs in
    long lists. Of one that runs also what time it is by the clock of its other times."""

    holder: Holder | None = None
    running: int = 0
    nowhere: str = ""
    now_s: float | None = None


class RemoteRecords:
    """See `hanse.records.state.Records`."""

    def __init__(self, dial: Dial) -> None:
        self.journal = RemoteJournal(dial)
        self.blobs = RemoteBlobs(dial)

    def code_directory(self, code: str) -> str:
        return ""  # a client imports its own modules from where they are


def frames(pieces: Iterable[bytes]) -> Iterator[Record | None]:
    """The records of a stream. None is a heartbeat. Raises NodeError if they are none."""
    for data in framed(pieces, RECORD_BYTES):
        yield _record(data) if data else None


def framed(pieces: Iterable[bytes], most: int) -> Iterator[bytes]:
    """The messages of a stream: each is its length in 4 bytes, big-endian, and that many bytes.
    Raises NodeError if one is longer than `most`."""
    left = bytearray()
    for piece in pieces:
        left += piece
        at = 0
        while len(left) - at >= 4:
            length = int.from_bytes(left[at : at + 4], "big")
            if length > most:
                raise NodeError("the node sent a record that is too long")
            if len(left) - at - 4 < length:
                break
            at += 4
            yield bytes(left[at : at + length])
            at += length
        del left[:at]


def _record(data: bytes) -> Record:
    try:
        return _records.decode(data)
    except msgspec.MsgspecError as error:
        raise NodeError(f"the node sent a record that cannot be read: {error}") from error


class RemoteJournal:
    """Reads as `hanse.journal.port.Journal` does; what writes is the node itself."""

    def __init__(self, dial: Dial) -> None:
        self._dial = dial
        self.where = dial.url
        self.id = ""

    def find(self, id_or_name: str) -> NodeHead | None:
        try:
            return self._dial.ask("GET", f"/v1/find?job={quote(id_or_name, safe='')}", NodeHead)
        except NoSuchJob:
            return None

    def heads(self, limit: int = 1000) -> list[Head]:
        return list(self._dial.ask("GET", f"/v1/jobs?limit={limit}", list[NodeHead]))

    def holder(self, job: JobId) -> Holder | None:
        found = self.find(job)
        return found.holder if found is not None else None

    def read(self, job: JobId, first: int = 0) -> Iterator[Entry]:
        for record in frames(self._dial.stream(f"/v1/jobs/{job}/entries?first={first}")):
            if record is not None:
                yield Entry(record.seq, record.body, record.check)

    def payloads(self, job: JobId, seqs: Sequence[int]) -> list[bytes]:
        path = f"/v1/jobs/{job}/payloads?entries={','.join(map(str, seqs))}"
        return self._dial.patiently(lambda: self._dial.ask("GET", path, list[bytes]))

    def close(self) -> None:
        self._dial.close()

    # --- what only a node does --------------------------------------------------------------------
    def _refuse(self) -> NoReturn:
        raise JournalError(f"{self.where} keeps its own journal: this cannot be done from here")

    def create(self, head: Head, holder: Holder, older: JobId | None = None) -> int:
        self._refuse()

    def claim(self, job: JobId, holder: Holder) -> int:
        self._refuse()

    def release(self, job: JobId) -> None:
        self._refuse()

    def append(self, batch: Sequence[Append]) -> None:
        self._refuse()

    def remove(self, job: JobId) -> None:
        self._refuse()

    def blobs(self) -> Iterator[BlobId]:
        self._refuse()

    def ask(self, job: JobId, question: str) -> int:
        self._refuse()

    def questions(self, jobs: Iterable[JobId]) -> Mapping[JobId, tuple[int, str]]:
        return {}

    def answer(self, job: JobId, number: int, text: str) -> None:
        self._refuse()

    def answered(self, job: JobId, number: int) -> str | None:
        return None

    def check(self) -> list[str]:
        return []

    def stored_bytes(self) -> int:
        return 0


class RemoteBlobs:
    def __init__(self, dial: Dial) -> None:
        self._dial = dial

    def get(self, wanted: BlobId) -> BlobFile:
        """The blob in an anonymous file. Raises JournalDamaged if it is another."""
        fd, size, hasher = make_anonymous(), 0, blake3()

        def read_on() -> None:
            nonlocal size
            for piece in self._dial.stream(f"/v1/blobs/{wanted}", size):
                hasher.update(piece)
                size += _write(fd, piece, size)

        try:
            self._patiently(read_on, lambda: size)
            if blob_id(hasher.digest()) != wanted:
                raise JournalDamaged(f"the blob {wanted} came damaged from {self._dial.url}")
            if not size:
                os.ftruncate(fd, 1)  # an empty file cannot be mapped
        except BaseException:
            os.close(fd)
            raise
        return BlobFile(fd, size)

    def _patiently(self, read_on: Callable[[], None], size: Callable[[], int]) -> None:
        """Again from where the line broke, as long as something came before it did."""
        while True:
            before = size()
            try:
                return self._dial.patiently(read_on)
            except NodeUnavailable:
                if size() == before:
                    raise


def _write(fd: int, data: Any, at: int) -> int:
    view, begin = memoryview(data), at
    while view:
        written = os.pwrite(fd, view, at)
        view, at = view[written:], at + written
    return at - begin
