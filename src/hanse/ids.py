"""Ids: distinct types, made here only.

A job id is text that people type (`j-` and twelve hex digits); a lease id is a number that its home
counts up; a site id names the machine. Nothing here draws random numbers: whoever makes an id hands
in the entropy, so the core stays repeatable.
"""

from __future__ import annotations

from typing import NewType

JobId = NewType("JobId", str)
LeaseId = NewType("LeaseId", int)
SiteId = NewType("SiteId", str)


def job_id(entropy: bytes) -> JobId:
    """Make a job id from at least six bytes of entropy."""
    if len(entropy) < 6:
        raise ValueError("a job id needs six bytes of entropy")
    return JobId("j-" + entropy[:6].hex())
