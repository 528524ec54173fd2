"""Follows one job of a node: reads its record while it is written, wherever the line breaks."""

from __future__ import annotations

import threading
from collections.abc import Callable

from hanse import limits
from hanse.core.events import ItemsFailed, JobEnded, JobGrown, SegmentCommitted
from hanse.errors import Fenced, JournalUnavailable, NodeUnavailable
from hanse.ids import JobId
from hanse.journal.port import Entry
from hanse.model.failure import Failure
from hanse.payloads.payload import Payload
from hanse.records.entries import Body, check_payload, decode
from hanse.records.payloads import unpack_inline
from hanse.records.record import Kept
from hanse.remote.dial import Dial
from hanse.remote.records import RemoteRecords, frames
from hanse.runtime.source import Source
from hanse.wire.api import Record

Post = Callable[[Callable[[], None]], None]


class Following:
    """One thread for one job. Its source is called by what it posts, in the record's order.

    Args:
        post: runs a callback on the thread where sources are called.
        first: the number of the first entry that the source does not know.
        feeder: under which number the job is fed from here.
        returned: the stream ended though the job has not: the node was started again. Returns
            the feeder's new number.
        grown: the node has recorded the job's inputs up to this size.
        ended: the job has ended, or cannot be followed any more.
        quiet: nothing has come for a while; told again after twice, four times as long, until it
            returns True or anything was done. Results that come meanwhile wait: it takes no longer
            than a look at a head.
    """

    def __init__(
        self, dial: Dial, records: RemoteRecords, job: JobId, source: Source, *,
        post: Post, first: int, feeder: int, returned: Callable[[], int],
        grown: Callable[[int], None],
        ended: Callable[[JobEnded | None, BaseException | None], None],
        quiet: Callable[[], bool],
    ) -> None:  # fmt: skip
        self._dial = dial
        self._records = records
        self._job = job
        self._source = source
        self._post = post
        self._next = first
        self._feeder = feeder
        self._returned = returned
        self._grown = grown
        self._ended = ended
        self._quiet = quiet
        self._heartbeats = 0  # since something came
        self._told = False  # of the quiet; or it need not be, as the job runs somewhere
        self._over = False
        self._stop = threading.Event()
        self._thread = threading.Thread(
            target=self._guarded, name=f"hanse-follow-{job}", daemon=True
        )
        self._thread.start()

    def stop(self) -> None:
        """Follow no further. The thread ends by itself."""
        self._stop.set()

    def _guarded(self) -> None:
        try:
            self._run()
        except Exception as error:  # noqa: BLE001 - whoever waits for results must hear of it
            if not self._stop.is_set():
                self._ended(None, error)

    def _run(self) -> None:
        wait_ns = limits.REDIAL_NS
        while not self._stop.is_set():
            before = self._next
            try:
                self._read()
                if self._over or self._stop.is_set():
                    return
                self._feeder = self._returned()
            except Fenced:  # the node was started again, or another took over
                self._feeder = self._returned()
            except (NodeUnavailable, JournalUnavailable):
                pass
            wait_ns = limits.REDIAL_NS if self._next > before else 2 * wait_ns
            wait_ns = min(wait_ns, limits.REDIAL_MAX_NS)
            self._stop.wait(wait_ns / 1e9)

    def _read(self) -> None:
        path = f"/v1/jobs/{self._job}/follow?first={self._next}&feeder={self._feeder}"
        for record in frames(self._dial.stream(path)):
            if self._stop.is_set():
                return
            if record is None:
                self._heartbeats += 1
                if self._heartbeats.bit_count() == 1 and not self._told:
                    self._told = self._quiet()
                continue
            self._heartbeats = 0
            self._take(record)
            if self._over:
                return

    def _take(self, record: Record) -> None:
        if record.seq < self._next:
            return  # told before
        if record.seq > self._next:
            raise NodeUnavailable(f"{self._dial.url} left out an entry: it is asked again")
        entry = Entry(record.seq, record.body, record.check)
        body = decode(self._job, entry, self._dial.url)
        self._next += 1
        match body.fact:
            case SegmentCommitted(_, start, stop):
                self._told = True
                payload, kept, first = self._results(record, body)
                self._post(lambda: self._source.committed(start, stop, payload, first, kept))
            case ItemsFailed(_, start, stop, cause):
                failure = body.failure or Failure(cause=cause, function="", item=start)
                self._post(lambda: self._source.failed(start, stop, failure))
            case JobGrown(_, size):
                self._grown(size)
            case JobEnded():
                self._over = True
                self._ended(body.fact, None)

    def _results(self, record: Record, body: Body) -> tuple[Payload | Kept, Kept, int | None]:
        """The results, read here and now unless they are large."""
        assert body.stored is not None
        kept = Kept(self._records, self._job, record.seq, body.stored)
        if record.payload is None:
            return kept, kept, body.stored.first
        check_payload(self._job, record.seq, body.stored, record.payload, self._dial.url)
        payload = unpack_inline(record.payload)
        return (kept if payload is None else payload), kept, body.stored.first
