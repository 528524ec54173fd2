"""Ids: distinct types, made and parsed here only.

A job id is text that people type (`j-` and twelve hex digits); a lease id is a number that its home
counts up; a site id names the machine. Nothing here draws random numbers: whoever makes an id hands
in the entropy, so the core stays repeatable.
"""

from __future__ import annotations

import re
from typing import NewType

JobId = NewType("JobId", str)
LeaseId = NewType("LeaseId", int)
SiteId = NewType("SiteId", str)

_JOB = re.compile(r"j-[0-9a-f]{12}")


def job_id(entropy: bytes) -> JobId:
    """Make a job id from at least six bytes of entropy."""
    if len(entropy) < 6:
        raise ValueError("a job id needs six bytes of entropy")
    return JobId("j-" + entropy[:6].hex())


def parse_job_id(text: str) -> JobId:
    """Read a job id that came from outside; `ValueError` says what was wrong with it."""
    if not _JOB.fullmatch(text):
        raise ValueError(f"{text!r} is not a job id: expected j- and 12 hex digits")
    return JobId(text)
