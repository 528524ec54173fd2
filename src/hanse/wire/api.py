"""What clients and nodes say to each other over HTTP, as plain values.

Requests refuse fields that they do not know; answers may gain some. Journal entries travel as they
are recorded, with their checksums (see `hanse.records`): following a job is reading its record
while it is written.
"""

from __future__ import annotations

from typing import Annotated

import msgspec

from hanse.core.events import Timed
from hanse.core.sharing import Hours, Terms
from hanse.ids import JOB_ID_LENGTH, JobId
from hanse.limits import DATA_CHUNKS, LABEL_BYTES, TIMED_KEPT
from hanse.model.account import Account
from hanse.model.aims import Aims
from hanse.model.data import Lies, check_lies
from hanse.model.failure import Failure
from hanse.model.job import JobSpec
from hanse.model.resources import Amount

_Count = Annotated[int, msgspec.Meta(ge=0, le=1 << 53)]  # of items; what JSON carries exactly
# No honest one takes less than 16 bytes: that is looked at before anything is made of them.
_InLabel = msgspec.Meta(max_length=LABEL_BYTES // 16)
_Needed = tuple[Annotated[JobId, msgspec.Meta(min_length=JOB_ID_LENGTH)], int]
_RETRIES = 1_000_000
_MOST_AIMS = 10  # twice what `hanse quote` asks at once: each may take a second


class Request(
    msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True, omit_defaults=True
):
    """What is asked of a node. A field that a later version adds has a default, which is not sent:
    so an older node serves all that does not need it, and refuses the rest (see `protocol`)."""


class Code(Request, frozen=True, kw_only=True):
    """A project's code: the BLAKE3 hash of each file, in hex, by its name (see `wire.code`)."""

    files: dict[str, str]


class CodeFiles(Request, frozen=True, kw_only=True):
    """The files of a project's code that a node lacks: the parcel's payload has their bytes, one
    stream for each of `given`, the hashes that the node asked for."""

    files: dict[str, str]
    given: list[str]


class CodeKept(msgspec.Struct, frozen=True, kw_only=True):
    """What a node has of a project's code. It can be run once nothing is missing."""

    code: str  # its name
    missing: list[str]  # hashes


class NewJob(Request, frozen=True, kw_only=True):
    """Make a job. In a parcel with the payload of its function, unless it is a job of calls, and
    then that of its initializer, if it has one."""

    id: JobId
    name: str = ""  # empty: only its id finds it
    nonce: bytes = b""  # drawn by whoever makes it: the same request may come twice
    older: JobId | None = None  # the job that has had the name
    spec: JobSpec
    program: bytes  # a `records.program.ProgramRecord`, without those payloads
    script: str = ""
    user: str = ""
    host: str = ""

    def __post_init__(self) -> None:
        """Raises ValueError: a bad number would stop the node that schedules by it."""
        spec, needs = self.spec, self.spec.needs
        if not 0 <= spec.retries <= _RETRIES:
            raise ValueError(f"retries are 0 to {_RETRIES:,}")
        if spec.total is not None and not 0 <= spec.total <= 1 << 53:
            raise ValueError("a job has 0 to 2**53 items")
        if not 1 <= spec.weight <= _RETRIES:
            raise ValueError(f"a weight is 1 to {_RETRIES:,}")
        amounts = (
            needs.cpus_milli,
            needs.gpus_milli,
            needs.memory_bytes,
            *needs.custom_milli.values(),
        )
        if min(amounts) < 0 or max(amounts) == 0:
            raise ValueError("an item needs something, and nothing less than none")


class AskQuote(Request, frozen=True, kw_only=True):
    """What would a job of `spec.total` items take and cost, of which these segments were timed? One
    answer for each of these aims. If it is about what is left of a job, that is named; else what
    its items read may be said."""

    spec: JobSpec
    timed: Annotated[list[Timed], msgspec.Meta(max_length=TIMED_KEPT)]
    aims: Annotated[list[Aims], msgspec.Meta(max_length=_MOST_AIMS)]
    of: JobId | None = None
    data: Annotated[list[Lies], msgspec.Meta(max_length=DATA_CHUNKS)] = []

    def __post_init__(self) -> None:
        """Raises ValueError: a bad number would stop the node that reckons with it."""
        check_lies(self.data, 0, self.spec.total or 0)
        if not 0 <= (self.spec.total or 0) <= 1 << 53:
            raise ValueError("a job has 0 to 2**53 items")
        if any(not (0 < items <= 1 << 53 and 0 <= ns < 1 << 62) for _, items, ns in self.timed):
            raise ValueError("a segment has items, and took a time")


class Take(Request, frozen=True, kw_only=True):
    """Feed this job from here on. `again`: items that failed are open again. Where it was ended and
    goes on now, it goes on with these aims; `[]`: with those that it had."""

    again: bool = False
    aims: list[Aims | None] = []


class Taken(msgspec.Struct, frozen=True, kw_only=True):
    """The job is this client's to feed, from the item `size` on, while it names this number."""

    feeder: int
    size: int


class Inputs(Request, frozen=True, kw_only=True):
    """The job has `stop` items; those from `start` on are in the parcel's first payload."""

    feeder: int
    start: _Count
    stop: _Count
    broken: Annotated[dict[int, Failure], _InLabel] = {}  # items whose arguments cannot travel
    # Of calls: whose results an item needs.
    waits: Annotated[dict[int, list[_Needed]], _InLabel] = {}
    data: Annotated[list[Lies], _InLabel] = []  # where what these items read lies, in order

    def __post_init__(self) -> None:
        """Raises ValueError."""
        check_lies(self.data, self.start, self.stop)


class Fold(Request, frozen=True, kw_only=True):
    """Fold results where they are from now on, by the function in the parcel."""

    feeder: int
    fingerprint: bytes


class SealJob(Request, frozen=True, kw_only=True):
    """No more items will come. Not `whole`: they broke off."""

    feeder: int
    whole: bool = True


class CancelRange(Request, frozen=True, kw_only=True):
    """Cancel what has not begun of these items; without numbers, the whole job."""

    start: _Count | None = None
    stop: _Count | None = None


class Removed(msgspec.Struct, frozen=True, kw_only=True):
    """A job is forgotten. `bytes` of blobs went with it; `why_not`: they stay until later."""

    bytes: int
    why_not: str = ""


class Record(msgspec.Struct, frozen=True, array_like=True):
    """One entry of a job's record, as it is followed. An empty one says that all is well."""

    seq: int
    body: bytes
    check: bytes
    payload: bytes | None = None


class NodeInfo(msgspec.Struct, frozen=True, kw_only=True):
    """Who a node is."""

    node: str  # its id, made when it was first started
    host: str
    version: str
    protocol: int  # the newest that it speaks
    oldest_protocol: int = 1
    python: str
    region: str = ""
    labels: list[str] = []
    price: float | None = None  # for an hour
    capacity: Amount


class MachineInfo(msgspec.Struct, frozen=True, kw_only=True):
    """A machine that this node's jobs may run on. What runs at a linked site of several machines
    is told for none of them: its home does not know which one it runs on."""

    site: str
    host: str
    engine: str  # "local", "ray", or "link"
    offers: Amount
    state: str = ""  # in words, if it is not simply there
    uses: Amount = Amount()  # of what it offers
    runs: dict[str, int] = {}  # by the job's id, how many leases


class SiteInfo(msgspec.Struct, frozen=True, kw_only=True):
    """What a machine needs to join this site: where Ray's head is, its token, and the versions that
    have to be the same."""

    address: str
    token: str
    hanse: str
    ray: str
    python: str
    sandbox: bool = False  # whether items run in one
    authority: bytes = b""  # of the site's certificates, PEM; empty: Ray speaks without TLS


class Certify(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A machine that joins asks for a certificate: the request, PEM."""

    request: bytes


class Certified(msgspec.Struct, frozen=True, kw_only=True):
    certificate: bytes


class NewLink(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Work for the home that the token names, on these terms (see `core.sharing.Terms`)."""

    token: str
    share: float = 1.0
    cpus: float | None = None
    hours: list[Hours] = []
    allow: list[str] = []


class LinkInfo(msgspec.Struct, frozen=True, kw_only=True):
    """A home that this node works for."""

    id: str
    url: str
    site: str  # what it calls this node; empty before it was reached
    state: str  # in words
    terms: Terms
    offered: Amount  # what it has now
    used: Amount


class SiteSeen(msgspec.Struct, frozen=True, kw_only=True):
    """What a home knows of a site that works for it."""

    id: str
    state: str  # in words
    incarnation: int  # a restarted one has a higher one; 0: it has not spoken yet
    capacity: Amount  # nothing while it is silent
    free: Amount
    leases: int
    runs: dict[str, int]  # by the job's id, how many leases
    heard_s: float  # so long ago; means nothing before it has spoken
    trip_s: float  # of a message there and back; 0: not known yet
    python: str = ""  # its minor version; empty: not known
    packages: int | None = None  # how many distributions it has; None: not known
    allow: list[str] = []  # names of functions that its owner lets through; empty: all
    region: str = ""  # empty: it names none
    price: float = 0.0  # for an hour of all of it, now
    spot: bool = False  # it may be taken away at any time


class OfferInfo(msgspec.Struct, frozen=True, kw_only=True):
    """A kind of machine that a provider could bring."""

    name: str
    amount: Amount
    region: str
    price: float  # for an hour
    spot: bool
    most: int
    trouble: str = ""  # why it is not brought now
    spent: float = 0.0  # on machines that are gone
    seen: str = ""  # what is known of its spot machines, in words


class RentedInfo(msgspec.Struct, frozen=True, kw_only=True):
    """A machine that was brought, or is on its way."""

    id: str
    offer: str
    provider: str
    job: JobId  # which it was brought for
    site: str  # empty until it is there
    handle: str  # the provider's own name of it
    state: str  # in words
    since_s: float
    cost: float  # so far
    amount: Amount | None = None  # None: its offer is not there any more


class ProviderInfo(msgspec.Struct, frozen=True, kw_only=True):
    """Who brings machines to this node, what it offers, and what it has brought."""

    name: str
    offers: list[OfferInfo]
    machines: list[RentedInfo]
    trouble: str = ""  # why it cannot be asked now


class DashCode(msgspec.Struct, frozen=True, kw_only=True):
    """Lets one browser in, once: the page at / takes it from its fragment, `/#code=...`."""

    code: str
    valid_s: float


class Redeem(Request, frozen=True, kw_only=True):
    """Exchange a code for a token that may read."""

    code: str


class DashSession(msgspec.Struct, frozen=True, kw_only=True):
    """The secret of that token, and when it expires."""

    secret: str
    expires_s: float


class Progress(msgspec.Struct, frozen=True, kw_only=True):
    """What a running job waits for, in words, and how many of its items are out; and what it has
    cost so far, where that is counted. `account`: where, and what is expected."""

    running: int
    lines: list[str]
    cost: float | None = None
    account: Account | None = None


class Problem(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """An error, after RFC 9457. `code` is that of the error's class (see `hanse.errors`)."""

    title: str
    status: int
    code: str
    detail: str = ""
