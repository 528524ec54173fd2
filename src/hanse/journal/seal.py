"""The checksum of an entry: the same for every adapter, made here only.

BLAKE3, 16 bytes, over the job, the number and the body, each with its length: an entry that was
moved, cut or changed does not fit its checksum. The payload has a digest of its own in the body
(see `hanse.records`), so it is checked when it is read.
"""

from __future__ import annotations

from collections.abc import Sequence

from blake3 import blake3

from hanse.ids import BlobId, JobId
from hanse.journal.port import Entry


def _check(job: JobId, seq: int, body: bytes) -> bytes:
    name = job.encode()
    lengths = b"%d %d %d " % (seq, len(name), len(body))
    return blake3(lengths + name + body).digest(16)


def seal(
    job: JobId, seq: int, body: bytes, payload: bytes | None = None, blobs: Sequence[BlobId] = ()
) -> Entry:
    """An entry with its checksum."""
    return Entry(seq, body, _check(job, seq, body), payload, blobs)


def sound(job: JobId, entry: Entry) -> bool:
    """Whether the entry is what was sealed for this job under this number."""
    return _check(job, entry.seq, entry.body) == entry.check
