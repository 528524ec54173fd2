"""The journal port: what a runtime keeps of its durable jobs, and what an adapter must promise.

A job's record is a list of numbered entries (`Entry`), each with a body that adapters do not look
into, and a `Head`: the few facts about the job that lists are made of. Everything that adapters do
is dull on purpose; what the bodies mean is in `hanse.records`. Every method may be called from any
thread, and waits for the disk or the server.

Who may write: a job belongs to one run of one program at a time. `claim` gives a run number, every
`append` names it, and an append under an old number is refused (`Fenced`), whatever locks say: a
lock can be lost without its holder knowing, a number in the same transaction cannot.

Errors, the same for all adapters: `JournalUnavailable` (may pass: a server that restarts, a lock
that others hold long), `JournalFull`, `JournalError` for what will not pass by itself, with what to
do in the message, and its `JournalDamaged` and `JournalVersion`.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Protocol

import msgspec

from hanse.ids import BlobId, JobId


class Entry(msgspec.Struct, frozen=True):
    """One record of a job. `check` is the checksum of the others; `seal` makes it.

    `payload` are bytes that are read apart from the body, by `Journal.payload`; `blobs` are all
    that the entry refers to, which may not be collected while it is there. Both are for writing:
    entries that were read have neither.
    """

    seq: int  # counts the job's entries from 0, without gaps
    body: bytes
    check: bytes
    payload: bytes | None = None
    blobs: Sequence[BlobId] = ()


class Head(msgspec.Struct, frozen=True, kw_only=True):
    """What lists show of a job. Times are seconds since 1970; numbers are as of the last append."""

    id: JobId
    name: str
    function: str
    script: str  # the program that made it, for people
    user: str
    host: str
    created_s: float
    updated_s: float
    ended_s: float | None = None
    state: str = "running"  # as recorded: of a job that nobody holds, running means interrupted
    size: int = 0  # items known
    total: int | None = None  # items in all, where that is known
    done: int = 0
    failed: int = 0
    stored_bytes: int = 0  # in entries and blobs
    superseded: bool = False  # a newer job has its name now
    summary: bytes = b""  # see hanse.records: time per item, processor time, memory


class Holder(msgspec.Struct, frozen=True):
    """Who runs a job: enough for people to find it."""

    host: str
    pid: int
    since_s: float


class Append(msgspec.Struct, frozen=True):
    """The next entries of one job, and its head after them."""

    head: Head
    run: int  # from `claim`
    entries: Sequence[Entry]


class Journal(Protocol):
    where: str  # for people: a path or a URL, without a password
    id: str  # random, given when it was made; the same however it is reached

    # --- writing ------------------------------------------------------------------------------
    def create(self, head: Head, holder: Holder, older: JobId | None = None) -> int:
        """Make a new job and claim it; returns its run number. The job `older`, which has had the
        name, is superseded. If any other has the name (an empty one never counts), or if somebody
        holds `older`, nothing is changed: raises JobBusy if that job is held, else NameTaken. May
        be called again after an error: the job may be there already, and is claimed."""

    def claim(self, job: JobId, holder: Holder) -> int:
        """Take the job for this process; returns its new run number. Raises JobBusy with the
        holder if another process, or another journal object of this one, holds it; who claims
        again what it holds gets a new run. Raises NoSuchJob."""

    def release(self, job: JobId) -> None:
        """Give a claimed job back; nothing happens to one that is not held. A process that dies
        gives all back, and its forked children keep none of them."""

    def append(self, batch: Sequence[Append]) -> None:
        """Add entries, in one transaction: durable once this returns, none of them if it raises.

        The same batch may be given again after an error, and may then be there already: entries
        with the same number and check are no error. A head is set, all but its id, name and
        `superseded`, unless later entries are there than this batch has. Raises Fenced if another
        run has claimed a job since or it was removed, and JournalUnavailable, JournalFull or
        JournalError.
        """

    def remove(self, job: JobId) -> None:
        """Forget a job that nobody holds, entries and all. Raises JobBusy, also if this object
        holds it; a job that is not there is no error."""

    # --- reading ------------------------------------------------------------------------------
    def find(self, id_or_name: str) -> Head | None:
        """A job by its id, or by its name the one that is not superseded. Raises JournalDamaged if
        its head is damaged."""

    def heads(self, limit: int = 1000) -> list[Head]:
        """The newest jobs, newest first, in the order that they were made: clocks do not count.
        One whose head is damaged is among them, in the state "damaged", with its id and, if that
        can be read, its name: the others can be used, and it can be removed."""

    def holder(self, job: JobId) -> Holder | None:
        """Who holds the job now; None if nobody does, also when its holder was killed."""

    def read(self, job: JobId, first: int = 0) -> Iterator[Entry]:
        """The entries from number `first` on, in order, without their payloads. Each was found to
        be what was sealed, none is missing. Raises JournalDamaged where that ends, and NoSuchJob.
        Holds nothing up while its caller pauses."""

    def payloads(self, job: JobId, seqs: Sequence[int]) -> list[bytes]:
        """The payloads of these entries, in the order asked for: of all, or of the first ones until
        they have PAYLOADS_BYTES together. At most PAYLOADS_READ are asked for at once. Raises
        JournalDamaged if one has none."""

    def blobs(self) -> Iterator[BlobId]:
        """Every blob that any entry refers to, once each."""

    # --- asking a running job -------------------------------------------------------------------
    def ask(self, job: JobId, question: str) -> int:
        """Leave a question (a word such as "cancel") for the job's holder; returns its number.
        Only the newest few are kept. Raises NoSuchJob."""

    def questions(self, jobs: Iterable[JobId]) -> Mapping[JobId, tuple[int, str]]:
        """The newest unanswered question to each of these jobs: its number and the word.

        Who holds jobs calls this every QUESTIONS_EVERY_NS, and that is also how long a claim can
        be lost unseen: where a lock ends with a session (a proxy, a failover), this call notices
        and takes it again. Somebody else may claim the job in between; then the run number keeps
        the old holder from recording anything."""

    def answer(self, job: JobId, number: int, text: str) -> None:
        """Answer a question; need not be durable."""

    def answered(self, job: JobId, number: int) -> str | None:
        """The answer to a question; None while there is none."""

    # --- the whole ------------------------------------------------------------------------------
    def check(self) -> list[str]:
        """Look for damage in all that is kept but payloads, whose digests are in bodies; one line
        for each that is found."""

    def stored_bytes(self) -> int:
        """What the journal itself takes, without blobs."""

    def close(self) -> None:
        """Release every job and let go. May be called again; all else raises JournalError then."""
