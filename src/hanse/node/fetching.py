"""Fetches from a home what leases run: works, programs once for a job, and the code of projects."""

from __future__ import annotations

import threading
from collections import OrderedDict
from collections.abc import Callable

from msgspec.structs import replace

from hanse import limits
from hanse.blobs.codes import Codes
from hanse.core.messages import Grant
from hanse.engines.port import Program, Work
from hanse.errors import Fenced, JobOver, NodeError, NoSuchJob
from hanse.ids import JobId
from hanse.model.fit import Offer
from hanse.remote.code import contents
from hanse.remote.dial import Dial
from hanse.remote.works import SentWork, Shelf, check_work, unpack_work
from hanse.wire import api, link


class Fetching:
    """Methods may be called from several threads.

    Args:
        offer: what this site lets through.
        codes: where the code of projects is kept here.
        next_key: numbers for programs, unique in this process.
    """

    boot = ""

    def __init__(
        self, dial: Dial, node: str, offer: Offer, codes: Codes, next_key: Callable[[], int]
    ) -> None:
        self._dial = dial
        self._offer = offer
        self._path = f"/v1/link/{node}"
        self._codes = codes
        self._next_key = next_key
        self._shelves: OrderedDict[tuple[str, JobId], Shelf] = OrderedDict()
        self._lock = threading.Lock()

    def work(self, grant: Grant) -> Work | None:
        """What the lease runs; None if the home does not know of the lease any more. Raises
        NodeUnavailable, NodeError, JournalError."""
        job = self.boot, grant.job
        with self._lock:
            shelf = self._shelves.get(job)
            had = dict(shelf.kept) if shelf is not None else {}
        wanted = link.Wanted(
            boot=job[0], grant=grant, program=shelf.key if shelf is not None else 0,
            functions=[key for key in had if isinstance(key, int)],
            values=[key for key in had if not isinstance(key, int)],
        )  # fmt: skip
        try:
            sent = unpack_work(*self._dial.parcel("POST", f"{self._path}/work", wanted))
        except (NoSuchJob, JobOver, Fenced):
            return None
        check_work(sent, grant.lease, grant.start)
        made = self._program(sent) if sent.program is not None else None
        with self._lock:
            now = self._shelves.get(job)
            if now is not None and now.key == sent.key:
                shelf = now
            elif made is not None:
                shelf = Shelf(made, sent.key, now)
            if shelf is None or shelf.key != sent.key:
                raise NodeError("the home sent a work without its program")
            work = shelf.take(sent, had)
            self._shelves[job] = shelf
            self._shelves.move_to_end(job)
            self._let_go()
        if work.token:
            work.token = self._dial.token(work.token)
        return work

    def _let_go(self) -> None:
        """Of the jobs that were not worked for longest."""
        shelves = self._shelves
        most = limits.SHELVES_BYTES
        while len(shelves) > limits.LINK_PROGRAMS or (
            len(shelves) > 1 and sum(each.nbytes for each in shelves.values()) > most
        ):
            shelves.popitem(last=False)

    def _program(self, sent: SentWork) -> Program:
        """The program as it runs here."""
        assert sent.program is not None
        if not self._offer.lets(sent.program.name):
            raise NodeError(f"this site does not let {sent.program.name} through")
        name = sent.program.code
        return replace(sent.program, key=self._next_key(), code=self._code(name) if name else "")

    def _code(self, name: str) -> str:
        """The directory of a project's code, fetched if need be."""
        offered = self._dial.ask("GET", f"{self._path}/code/{name}", api.Code)
        missing = self._codes.lacks(offered.files)
        given: dict[str, bytes | memoryview] = {}
        if missing:
            about = api.CodeFiles(files=offered.files, given=missing)
            _, sent = self._dial.parcel("POST", f"{self._path}/code", about, most=limits.CODE_BYTES)
            given = contents(missing, sent)
        if self._codes.add(offered.files, given) != name:
            raise NodeError("the home sent another code than was asked for")
        return str(self._codes.find(name))
