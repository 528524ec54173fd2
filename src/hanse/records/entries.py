"""One entry of a job's record: a fact, and what belongs to it.

A body is a version byte and a msgpack array, so fields can be added at its end with defaults. The
payload (see `payloads`) lies beside it and is covered by `Stored.digest`.
"""

from __future__ import annotations

import msgspec
from blake3 import blake3
from msgspec.structs import replace

from hanse.core.events import (
    Fact,
    JobGrown,
    JobResumed,
    JobSpent,
    JobSubmitted,
    SegmentCommitted,
)
from hanse.decoding import msgpack_decoder
from hanse.errors import JournalDamaged
from hanse.ids import JobId
from hanse.journal.port import Entry
from hanse.journal.seal import seal, sound
from hanse.model.failure import Failure
from hanse.model.usage import Usage
from hanse.records.payloads import Packed

VERSION = b"\x01"


class Stored(msgspec.Struct, frozen=True, array_like=True):
    """Where and what an entry's payload is."""

    digest: bytes  # BLAKE3 of its header, 32 bytes
    nbytes: int  # with its blobs
    count: int  # values in it
    first: int | None = 0  # number of the first that counts; None: one value, the fold of all
    fold: bytes = b""  # what folded them: the fingerprint's digest


class Ran(msgspec.Struct, frozen=True, array_like=True):
    """Where and when something came of a lease, for people who look at a timeline."""

    site: str
    at_ms: int  # since 1970, when the home decided on it
    busy_us: int = 0  # spent in items, of a segment
    since_ms: int | None = None  # how long before that its lease was granted, if that is known


class Body(msgspec.Struct, frozen=True, array_like=True):
    fact: Fact
    stored: Stored | None = None  # a program, inputs, or results
    failure: Failure | None = None  # of ItemsFailed
    usage: Usage | None = None  # of the items of a segment
    ran: Ran | None = None  # of what came of a lease
    at_ns: int = 0  # since 1970: when a fact that has a moment was decided; 0: it does not say

    def dated(self, created_s: float) -> Fact:
        """The fact, with its moment by the clock of the wall: a home's own means nothing later."""
        fact = self.fact
        if isinstance(fact, JobSubmitted | JobResumed | JobSpent):
            return replace(fact, now_ns=self.at_ns or int(created_s * 1e9))
        return fact


_encoder = msgspec.msgpack.Encoder()
_decoder = msgpack_decoder(Body)


def encode(job: JobId, seq: int, body: Body, packed: Packed | None) -> Entry:
    """The entry, sealed."""
    data = VERSION + _encoder.encode(body)
    if packed is None:
        return seal(job, seq, data)
    return seal(job, seq, data, packed.header, packed.blobs)


def decode(job: JobId, entry: Entry, where: str) -> Body:
    """What the entry says. Raises JournalDamaged."""
    if not sound(job, entry):
        raise damaged(job, entry.seq, where, "its checksum does not fit")
    if entry.body[:1] != VERSION:
        raise damaged(job, entry.seq, where, f"it has the unknown version {entry.body[:1].hex()}")
    try:
        body = _decoder.decode(memoryview(entry.body)[1:])
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        raise damaged(job, entry.seq, where, str(error)) from error
    if body.fact.job != job:
        raise damaged(job, entry.seq, where, f"it is about {body.fact.job}")
    if body.stored is None and isinstance(body.fact, JobSubmitted | JobGrown | SegmentCommitted):
        raise damaged(job, entry.seq, where, "it has no payload")
    return body


def check_payload(job: JobId, seq: int, stored: Stored, header: bytes, where: str) -> None:
    """Raises JournalDamaged if the header is not what was stored."""
    if blake3(header).digest() != stored.digest:
        raise damaged(job, seq, where, "its payload is not what was written")


def damaged(job: JobId, seq: int, where: str, why: str) -> JournalDamaged:
    return JournalDamaged(
        f"entry {seq} of job {job} in {where} is damaged: {why}. Restore the journal from a copy, "
        "or start the job over with fresh=True (hanse run --fresh)"
    )
