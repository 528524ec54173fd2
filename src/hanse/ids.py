"""Ids: distinct types, made here only.

A job id is text that people type (`j-` and twelve hex digits); a lease id is a number that its home
counts up; a site id names the machine; a blob id is the BLAKE3 hash of its bytes, in hex. Nothing
here draws random numbers: whoever makes an id hands in the entropy, so the core stays repeatable.
"""

from __future__ import annotations

from typing import NewType

JobId = NewType("JobId", str)
LeaseId = NewType("LeaseId", int)
SiteId = NewType("SiteId", str)
BlobId = NewType("BlobId", str)

JOB_ID_LENGTH = 14


def job_id(entropy: bytes) -> JobId:
    """Make a job id from at least six bytes of entropy."""
    if len(entropy) < 6:
        raise ValueError("a job id needs six bytes of entropy")
    return JobId("j-" + entropy[:6].hex())


def job_number(job: JobId) -> int:
    """The 48 bits of a job id as a number: what locks are named by. Raises ValueError."""
    digits = job[2:]
    if job[:2] != "j-" or len(digits) != 12 or not all(c in "0123456789abcdef" for c in digits):
        raise ValueError("a job id is j- and 12 hex digits")
    return int(digits, 16)


def blob_id(digest: bytes) -> BlobId:
    """The id of a blob from its 32 bytes of BLAKE3."""
    if len(digest) != 32:
        raise ValueError("a blob id needs a digest of 32 bytes")
    return BlobId(digest.hex())


def parse_blob_id(text: str) -> BlobId:
    """An id that came from outside: 64 lower-case hex digits and nothing else, because a path is
    made of it. Raises ValueError."""
    if len(text) != 64 or not all(c in "0123456789abcdef" for c in text):
        raise ValueError("a blob id is 64 hex digits")
    return BlobId(text)
