"""Nodes, their clients and their links."""

from __future__ import annotations

from hanse.limits.units import KIB, MIB, MS, SECOND

# --- nodes --------------------------------------------------------------------------------------
LABEL_BYTES = 16 * MIB
"""A parcel's label holds shapes and lengths, some bytes for each item of a block."""

ASKED_BYTES = 2 * MIB
TOLD_BYTES = 64 * KIB
"""The label of a request without payloads: names and hashes of a project's files, or a site's
packages, at most; and where it is a few words, as that of who has no token yet."""

LABEL_SOON_BYTES = 64 * KIB
"""A larger label is read in a thread: that takes longer than others should wait."""

PARCEL_SPANS = 65_536
"""Buffers in one parcel: four times as many as there can be in PARCEL_BYTES that are large enough
to be there."""

PARCEL_FILES = 4096
PARCEL_PAYLOADS = 4096
"""Files in one parcel, of all its payloads together: each takes a descriptor until it is read. No
request has more than two payloads."""

WORK_PAYLOADS = 1000
"""A lease of short calls has a function and some values for each: beyond so many, small ones go as
one payload."""

PARCEL_BYTES = 4 * 1024 * MIB
"""One block of inputs or one function sent to a node is at most so large."""

BODY_FREE_BYTES = 256 * KIB
BODIES_SHARE = 8
BODIES_SHARES = 4
BODIES_LEAST_BYTES = 256 * MIB
"""Larger bodies that come with one token take one part in so many of the memory at once, but never
less than some reports of a site's results; those of all tokens so many such parts. What items save
is counted by itself: reports go on beside it."""

BODY_WAIT_S = 5.0
"""A body that finds no room waits so long, half of what a link has patience for."""

BODY_SILENT_S = 60.0
"""A body of which nothing more has come for so long is given up: its sender may be gone without a
word."""

BODY_GRACE_S = 30.0
BODY_LEAST_RATE = 2 * KIB
"""A body that comes with fewer bytes a second is given up where others wait for its room, after so
long: a fifth of what the slowest lines in use carry, shared by some. Servers of the field ask for
240 to 1,000 bytes, and always."""

BODY_HELD_S = 7200.0
"""So is one that would need longer for all that it promises: over the slowest lines in use a report
of a site takes about that, and larger ones have to come faster."""

QUOTES = 2
QUOTE_WAIT_S = 30.0
"""So many quotes are reckoned at once, each for seconds at worst; who waits longer for a turn is
told to come again."""

FOLLOWED_BYTES = 16 * MIB
"""The newest entries of a running job are kept in memory up to this size, for those who follow it;
who is further behind reads the journal."""

NODE_JOBS_READ = 100_000
"""Jobs among which a node looks for those that it has to go on with when it starts."""

HEARTBEAT_NS = 15 * SECOND
"""A stream with nothing to say says so this often: proxies and routers cut what is silent for a
minute, and whoever reads knows a dead line from a quiet one after three of these."""

QUIET_NS = 5 * SECOND
"""A job of which nothing comes for so long may be one that no site takes: its program is told, and
looks; sooner than anybody gives up, later than the first result of most."""

HEAD_BYTES = 64 * KIB
HEAD_S = 10.0
"""The head of a request: a token and a path take less than a KiB, and come at once."""

NODE_LINES = 4096
NODE_LINES_EACH = 1024
"""Connections that a node has at once, but no more than half of its descriptors; one address has a
quarter of that at most, because a team may sit behind one."""

HANDSHAKE_S = 10.0
"""TLS is agreed upon in three round trips."""

GUESSES = 30
GUESS_S = 60
GUESSERS = 4096
"""Wrong secrets that one address may show in so many seconds before it is told to wait, and
addresses of which that is known. A secret has 256 bits: what is kept in bounds is the work."""

RENEW_S = 6 * 3600.0
"""How often a node looks whether its certificate grows old."""

READY_S = 1.0
"""Whether a node is ready is looked at this often at most: anybody may ask."""

AUDIT_BYTES = 16 * MIB
"""A node's audit log is two files of this size."""

AUDIT_EVERY_S = 60.0
AUDIT_KEYS = 1000
"""What comes to a node over and over is written down this often; so many kinds are kept apart."""

PIECE_BYTES = MIB
"""Bytes that are expanded, or read from a file, at a time."""

SQUEEZE_BYTES = 16 * KIB
SQUEEZE_PROBE_BYTES = 16 * KIB
"""A body between machines that is at least so large is squeezed if a piece of its middle gets
smaller. Smaller ones fit into a few packets as they are."""

SQUEEZE_WINDOW_LOG = 23
"""2 to this power bytes are what a squeezed body may ask its reader to keep: 8 MiB. Ours ask for
less; other writers' default is that."""

ANSWER_BYTES = 256 * MIB
"""No answer that is read as a whole has more: a list of all jobs, or the payload of an entry."""

PROBLEM_BYTES = 64 * KIB
"""No error in words is longer."""

RECORD_BYTES = 64 * MIB
"""No entry of a record is longer: streams from INLINE_BYTES are blobs, and the rest are numbers."""

REDIAL_NS = 100 * MS
REDIAL_MAX_NS = 5 * SECOND
"""A node that cannot be reached is dialled again after this long, twice as long each time."""

LOG_READ_BYTES = MIB
"""Of a log so much is read, and sent, at a time."""

ENTRIES_READ = 1000
"""Entries of a record that are read at once for somebody who follows a job from far behind."""

PAYLOADS_READ = 64
PAYLOADS_BYTES = 4 * MIB
"""Whoever reads a payload of a record asks for so many of those that come next with it, and gets as
many as fit into so many bytes: one by one, a second of work that came in 200 segments takes six to
read over a line of 30 ms."""

FULL_LOOK_NS = 20 * MS
"""While as much waits to be recorded as may, a node looks this often
whether it takes more inputs."""

CODE_FILES = 4000
CODE_BYTES = 32 * MIB
"""What a client sends of its project to a node: the sources of a large project are a tenth of it.
Whoever has more wants it installed at the node, and not sent."""

LOOKED_AT_BYTES = MIB
"""Of the pickle of a function so much is looked at for what it needs of a site, and so much of the
sources of the project that it uses; each takes up to a second. What is not seen is not asked
for."""

CODE_PLACES = 50_000
"""A client looks at so many files and directories of its packages at most, some 0.1 s: packages
may have data in them."""

CODE_NAME_BYTES = 240
"""A module's file has no longer name, with those of its packages: file systems take 255 bytes."""

CODES = 10_000
"""Codes that a node keeps: a team that changes its projects fifty times a day has so many after
half a year, and `hanse gc` removes them with their jobs."""

CODES_LOOKED_AT = 32
"""The newest codes, in which a node looks for files that it has already."""

CODE_GRACE_S = 3600
"""Code that no job names yet is kept for so long: its client is about to make one."""

CALLS_ALONE_NS = 600 * SECOND
SWEEP_NS = 30 * SECOND
"""Single calls of a client that is gone are cancelled after so long: long enough for a laptop to
change its network. Looked at this often."""

# --- links --------------------------------------------------------------------------------------
REST_NS = 5 * SECOND
"""A site that gave up MAX_LOSSES leases of a job, one after the other, rests for so long."""

TENANT_JOBS = 1000
"""So many jobs of other homes are remembered, so that their last printed lines find the way."""

LINK_FETCHES = 4
"""A site fetches the works of so many leases at once: they wait on the line, not on each other."""

LINK_PROGRAMS = 64
"""A site keeps so many programs of a home at hand, with the functions and values of their calls."""

SHELF_BYTES = 256 * MIB
SHELF_PAYLOADS = 1000
"""A site keeps so much of what the leases of a job share, and SHELVES_BYTES for all jobs of a home,
but always what the last lease used: the rest is sent again when it is needed."""

SHELVES_BYTES = 1024 * MIB

LINK_GROW_NS = SECOND
"""What local work has left free goes to links only after this long: its own next lease comes
first."""

LINK_PRINTED_BYTES = MIB
"""Lines that wait to go to a home have so many bytes at most; the oldest are dropped beyond."""

LINK_MEMORY_BYTES = 64 * MIB
"""Results that a home has not acknowledged are kept in memory up to this size, and on disk beyond
it. If that is full too, what runs for the home is given back."""

LINK_DISK_BYTES = 4 * 1024 * MIB
"""So many bytes of results are kept on disk for a home that is away."""

LINK_REPORT_BYTES = 64 * MIB
"""A report brings about so many bytes of results; what is left comes with the next."""

LINK_TOLD_BYTES = 4 * MIB
LINK_NOTES = 65_536
LINK_LINES = 16_384
"""... and about so many bytes of failures, so many notes and printed lines: all that is in its
label, which no home reads beyond LABEL_BYTES."""

LINK_TOKEN_LOOK_NS = SECOND
"""A home looks this often whether the tokens of its sites still hold."""

LINK_MACHINES = 1000
"""A site tells its homes of so many of its machines."""

LINK_FORGOTTEN_S = 3600.0
"""A site that has been silent for so long is waited for no more when its home comes back."""

SITE_KEPT_NS = 3600 * SECOND
SITES_GONE = 1000
"""A home knows a site that has left for so long, and so many of these: people look at what became
of it, and one that comes back goes on where it was. A home that rents, or is visited by machines
that never come twice, would have to know ever more of them. Of those that a job is for it knows
as many more, for as long as the job waits."""

SITES_GONE_LOOK_NS = 60 * SECOND
"""Who has left for so long is looked for this often."""

LINK_SITES = 10_000
"""A home has at most so many sites at other nodes."""

LINK_REDIAL_MAX_NS = 2 * SECOND
"""A site dials a home that is away this often at least: one that comes back waits for its sites for
REPORT_EVERY_NS."""

LINK_LEAVE_S = 5.0
"""A node that ends tells the homes that it works for, if that takes no longer."""

LINK_SAVE_S = 10.0
LINK_SAVE_LEAVING_S = 2.0
"""That an item failed or was cancelled is told after what it has saved at last, if that is not
longer under way: a gigabyte on a good line, or room at the home (BODY_WAIT_S) and then the rest. In
the last moments of a machine that is taken away it is less than what is kept for its last
reports."""

LINK_PATIENCE_S = 10.0
"""A home that answers nothing for so long is dialled again: a third of the life of a lease."""

ORDERS_BYTES = 64 * MIB
"""Orders are at most so long."""

SAVE_TRIES = 4
SAVE_AGAIN_NS = SECOND
"""What an item has saved is sent to a home that is short of room so often."""

LINK_CLOCK_NS = 10 * SECOND
"""How late a link may notice that its hours begin or end."""

EVICTION_NOTICE_S = 30.0
"""A machine that is told to go, and not when, has so long: what Kubernetes and GCP give."""

EVICTION_MOST_S = 7 * 24 * 3600.0
"""A notice is for a week at most: whatever names a later time is mistaken."""

AWS_NOTICE_S = 120.0
"""What AWS gives, if the time that it names cannot be read."""

GCP_NOTICE_S = 30.0
GCP_MAINTENANCE_S = 60.0
"""What GCP gives at least; it names no times, and those with GPUs have an hour for maintenance."""

SCRIPTS_PER_CORE = 8
"""So many scripts of `hanse submit` run at once for each core of a node: they mostly wait, and each
is two processes of some 50 MB."""

SLOTS_ELSEWHERE = 64
"""A client of a node that does no work itself takes it that its sites run so many items at once."""

LEASE_BITS = 32
"""Each start of a node numbers its leases from its own multiple of 2**32."""

DASH_JOBS = 2000
"""The page lists so many jobs, the newest."""

DASH_LOOK_S = 1.0
"""While somebody looks at the page, what changed is looked for this often."""

DASH_LEASES = 20_000
"""Of one job the page shows so many leases, the newest."""

DASH_FAILURES = 200
"""Of one job the page knows so many failed items, the first."""

DASH_STORIES = 16
"""The stories of so many jobs are kept, so that only what is new of each has to be read."""

DASH_LOG_BYTES = 256 * KIB
"""The page is given so much of a job's log at once, from its end."""

DASH_CODE_S = 120.0
"""A code that lets a browser in is good once, and for so long."""

DASH_CODES = 100
"""So many codes wait at once; the oldest goes."""

DASH_SESSION_S = 12 * 3600.0
"""A browser that was let in may look for so long, and no longer than whoever let it in."""

SPANS_OF_JOB = 10_000
"""A job has so many spans of leases, so many of items that went well, and so many of attempts that
failed: more than people or their collectors look at, and a second of a home's time. It says how
many more there would have been."""

SPANS_CLOSE_S = 3.0
"""A program or a node that ends waits so long for its last spans to be taken."""

# --- rented machines ----------------------------------------------------------------------------
RENT_LOOK_NS = SECOND
"""Whether machines are to be brought or sent away is looked at this often."""

RENT_RETRY_NS = 15 * SECOND
RENT_RETRY_MAX_NS = 1800 * SECOND
"""An offer that failed is tried again after this long, twice as long each time."""

RENT_RETRY_SPOT_NS = 300 * SECOND
"""... and no longer than this where machines come and go: slack that is waited away is lost."""

RENT_LEAVE_NS = 120 * SECOND
"""A rented machine gets nothing more so long before its life is over, or twice what an item takes,
but no more than a quarter of its life: what EC2 gives when it takes a spot machine."""

RENT_USELESS = 1000
"""Jobs that a kind of machine was no use for are remembered up to about this many."""

RENT_LIST_S = 30.0
"""Providers are asked this often which machines they have."""

RENT_FIRST_LIST_S = 10.0
"""A provider that has not said by then which machines it has counts as one that fails."""

RENT_CALL_S = 300.0
"""A provider's command has so long: some clouds take minutes to say that they have nothing."""

RENT_CALLS = 8
"""Machines that are brought or sent away at the same moment."""

RENTED_PATIENCE_S = 900.0
"""A rented machine ends when the node that rented it has been away for so long. A node that is
started again within that finds it."""

SPOT_KEEP_S = 60.0
"""What was seen of spot machines is written down this often: a kill loses so much of it."""

SPOT_OFFERS = 1000
SPOT_REGIONS = 256
SPOT_AGES = 1000
"""Offers and regions of which it is kept how long spot machines last, and linked machines whose age
outlives the node. Of more regions than these, those of which the least is known are forgotten."""

SPOT_NAME = 300
SPOT_BYTES = 4 * MIB
"""Longer names of these are not kept, and a larger file of them was not written here."""

SPOT_TABLES = 1 << 21
"""Numbers in the tables of costs by which spot machines are chosen, of all jobs: some 23 MB. 41
of the tables for one offer alone fit, which have 50,592 numbers at most."""

SPOT_TABLES_LOOK = 15_000
"""Once so many were worked out at one look, tables that are not there yet wait for the next: the
home answers nobody meanwhile, for 30 ms as a rule. The one that passes this has 72,488 at most."""

RENT_ASK_AFTER = 8
"""So many looks in a row a provider is asked after a machine that is not linked any more: it may
have been taken away."""
