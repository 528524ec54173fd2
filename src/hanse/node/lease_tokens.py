"""Tokens of leases: what code that runs here, or at a linked site, asks this node for more with.

There is no list of them. A secret names its lease and its job, and proves that this node made it.
It is good while the home holds that lease, and no longer. So whatever ends a lease (its item, a
cancel, its time, a site that is sent away) ends its token, and nothing has to be told, kept or
cleaned up. A home that was killed takes back leases that its sites still run, and their tokens hold
again: so the key that proves them is kept, beside the node's other keys.
"""

from __future__ import annotations

import contextlib
import hashlib
import hmac
import os
import re
from collections.abc import Callable, Mapping
from pathlib import Path

from hanse.core.lease import Lease
from hanse.errors import NodeUnavailable
from hanse.ids import JobId, LeaseId
from hanse.journal import private
from hanse.node.tokens import LeaseToken, Role

_KEY_BYTES = 32
_FORM = re.compile("([0-9a-f]{16})([0-9a-f]{12})[0-9a-f]{36}")
_SAID = 28  # digits that say what it is of; the others prove it


class LeaseTokens:
    """Methods may be called from any thread.

    Args:
        key: what nobody but this node knows.
        leases: those that the home holds.
        runs: whether a job runs here.
    """

    def __init__(
        self, key: bytes, leases: Mapping[LeaseId, Lease], runs: Callable[[JobId], bool]
    ) -> None:
        self._key = key
        self._leases = leases
        self._runs = runs

    def secret(self, job: JobId, lease: LeaseId) -> str:
        """The same whenever it is asked for: a site may ask again for what the lease runs."""
        said = f"{lease:016x}{job.removeprefix('j-')}"
        proof = hmac.new(self._key, said.encode(), hashlib.sha256).hexdigest()
        return (said + proof)[:64]

    def find(self, secret: str) -> LeaseToken | None:
        """Who shows this secret; None if it is none of a job that runs here.

        Raises NodeUnavailable if the job runs and the lease is not held now: the code that asks is
        about to be ended, or its site has not spoken yet to a home that has just come back.
        """
        form = _FORM.fullmatch(secret)
        if form is None:
            return None
        job, lease = JobId(f"j-{form[2]}"), LeaseId(int(form[1], 16))
        if not hmac.compare_digest(self.secret(job, lease), secret):
            return None
        token = LeaseToken(
            id=f"w-{lease:x}", digest="", role=Role.SUBMIT, name=job, created_s=0.0, job=job,
            lease=lease,
        )  # fmt: skip
        if self.holds(token):
            return token
        if self._runs(job):
            raise NodeUnavailable("the lease under which this code runs is not held here now")
        return None

    def holds(self, token: LeaseToken) -> bool:
        lease = self._leases.get(token.lease)
        return lease is not None and lease.job == token.job and not lease.cancelled


def key_in(path: Path) -> bytes:
    """The key in this file, which is its user's alone; made if there is none."""
    with contextlib.suppress(FileNotFoundError):
        private.files([str(path)])
        key = path.read_bytes()
        if len(key) == _KEY_BYTES:
            return key
    key = os.urandom(_KEY_BYTES)
    private.write(path, key)
    return key
