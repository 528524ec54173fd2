"""Every bound in the system, each with its reason.

Workers start with this file too, so it imports nothing.
"""

from __future__ import annotations

KIB = 1024
MIB = 1024 * KIB
MS = 1_000_000
SECOND = 1_000 * MS

# --- leases -------------------------------------------------------------------------------------
PROBE_SHARE = 64
"""First leases hold 1/64 of a fair share: small enough to learn from, large enough to be few."""

LEASE_COSTS = 20
"""A lease lasts at least 20 times what it costs, so overhead stays near 5 %."""

LEASE_MAX_NS = 2 * SECOND
"""A lease lasts at most about this long: what a lost site costs, and how stale a rate can be."""

LEASE_TTL_NS = 30 * SECOND
"""A lease expires when its site has been silent for this long."""

REPORT_EVERY_NS = 5 * SECOND
"""A site with nothing to say still reports this often: six chances within a lease's life."""

REPEAT_NS = 250 * MS
"""A report that is not answered is repeated no sooner than this: longer than most round trips."""

COSTS_KEPT = 1000
"""So many ended jobs' costs are known for a while, to whoever asks late."""

PLAN_LEAST_NS = 100 * MS
"""Where a job with a deadline or a price runs is decided anew no more often than this."""

TAIL_MIN_GAIN_NS = 2 * MS
"""A tail is cut only if the cut saves more than this: a message and a start cost about 1 ms."""

TAIL_LOOK_NS = 20 * MS
"""While slots are idle and leases run, the tails are looked at this often."""

BACKUP_SHARE = 16
"""At most one backup per this many items of a job may have lost: 6 % extra work. One that still
runs counts half: an item that is late is so by luck more often than not, and its backup wins."""

BACKUP_FACTOR = 3.0
BACKUP_LEAST = 1.2
"""An item is late, and worth a backup, after this many times the mean time of an item: three times
where items differ as waiting times do, less where they are nearly alike."""

OVERDUE_NS = SECOND
"""A site that has not reported for so long beyond twice the time it was told is overdue: what it
runs is started elsewhere where slots idle, though its leases have not expired."""

LOOK_AHEAD_NS = 5 * MS
"""A site whose orders are on their way for this long or longer is granted its next lease before the
present one ends: below that the wait is lost in what a lease costs anyway."""

LOOK_AHEAD_LEASES = 4
"""... so many at most for each lease that it can run at once."""

RESERVE_AFTER_NS = 2 * SECOND
"""An item that needs much of a site at once waits this long for it to be free by itself: then the
site is emptied for it, within about one longest lease more."""

RATES_KEPT = 4
"""A site's own pace is remembered for so many jobs beside those of its leases, at some 400 bytes
each: of the others the pace on all sites together is known."""

SHAPES_KEPT = 64
"""So many amounts of resources that no job needs any more are remembered: a new one looks at every
site once."""

TAILS_LOOKED = 8
"""At one event the tails of at most this many jobs are looked at, beside those that it is about:
others have their turn at the next."""

LOOK_LEASE_NS = 20_000
"""A tail is looked at again after this long for each of its leases: a look costs about a
microsecond for each, so all looks together take a twentieth of the time."""

LOOK_LEASES = 64
"""... but the tail of a job with at most so many leases may be looked at whenever news comes."""

MAX_CRASHES = 3
"""An item whose worker died is tried again until it was there at this many deaths: a killed
worker costs no item, and a deadly item cannot kill for ever."""

MAX_LOSSES = 5
"""A job whose leases are given up by their sites so often in a row, with no result in between,
cannot be run there: it ends and says why."""

# --- engine -------------------------------------------------------------------------------------
FLUSH_NS = 50 * MS
"""Workers stream what they have at least this often while a lease runs."""

FLUSH_BYTES = 4 * MIB
"""... or when results grow to about this size."""

MICRO_BATCH_NS = 2 * MS
"""Very short items run in one C loop of at most about this long between looks at the clock."""

CANCEL_GRACE_NS = 200 * MS
"""A cancelled item may end by itself this long before its process group is killed; promise 5 of
the design gives a second in all."""

RAY_IDLE_NS = 5 * SECOND
"""A slot that nothing runs in is given back to Ray after this: another costs half a second, and
other programs on the cluster wait for what it holds."""

RAY_OUTPUT = 8 * MIB
"""Characters that a slot has printed and nobody has shown or kept yet; beyond, its items wait."""

OUTPUT_TAIL_LINES = 20
OUTPUT_TAIL_BYTES = 8 * KIB
"""An error carries at most this much of what its item printed."""

LOG_BYTES = 64 * MIB
"""What is kept of the output of one durable job; further output is shown, but not kept."""

COMMAND_OUTPUT_BYTES = 64 * MIB
"""What one command line of `hanse map` may write to stdout: it is kept in memory until it is shown;
what is larger belongs into files."""

LOG_LINE_BYTES = MIB
"""No line of a log is longer: a piece of output is 64 KiB, and escapes make it 6 times that."""

LOGS_OPEN = 64
"""Logs that are held open at once, as each takes a descriptor."""

OUT_OF_BAND_BYTES = 256 * KIB
"""Buffers from this size travel beside the pickle stream, in an anonymous file that is mapped."""

MAPPED_FILES = 256
"""At most this many mapped files are held open; further buffers are copied into memory instead
(every mapping holds a descriptor, and 1,024 is a common limit)."""

FRAME_BYTES = 64 * MIB
FRAME_FILES = 1024
"""What one message of a worker may hold: some 10 times what it gathers before it sends. More is
not from the worker but from a task that wrote to its socket, and would only fill memory."""

MEMORY_LOOK_NS = 100 * MS
"""Resident memory of items with a memory= limit is looked at this often."""

WORKER_START_NS = 60 * SECOND
"""A worker that has not said hello after this long will not come."""

NESTING = 4
"""How deep tasks that use Hanse themselves may nest: each level is a process tree of its own."""

# --- environments -------------------------------------------------------------------------------
ENVIRONMENT_PACKAGES = 1000
ENVIRONMENT_BYTES = MIB
"""Packages and lock files are recorded with their job; the lock of a large project with all its
hashes has some 300 KiB."""

ENVIRONMENT_BUILD_S = 3600.0
"""A build that takes longer will not end: downloads have limits of their own, and what compiles for
an hour wants to be a wheel."""

ENVIRONMENT_IDLE_NS = 60 * SECOND
"""Workers of an environment stay so long after the last work that asked for it: a program that
submits calls one after another should not start a Python for each."""

ENVIRONMENT_RETRY_NS = 5 * SECOND
ENVIRONMENT_RETRY_MAX_NS = 60 * SECOND
"""An environment that cannot be built is not tried again for so long, twice as long each time: who
mends something and calls again should not wait long, and a site without the network should not try
all the time."""

ENVIRONMENT_LINES = 20
"""A failed build is told with at most so many lines of uv's."""

ENVIRONMENT_AGE_S = 30 * 24 * 3600
"""`hanse gc` removes environments that nobody has used for so long: to build one again takes
seconds while uv has its wheels."""

# --- the command --------------------------------------------------------------------------------
JOBS_SHOWN = 50
"""`hanse jobs` shows so many: more than a screen is read by programs, which can say --limit."""

JOBS_LISTED = 100_000
"""... and at most so many, some 50 MB of heads; ten times the ended jobs that are kept."""

FAILURES_SHOWN = 20
"""`hanse job` shows so many failed items; --failures shows all."""

FOLLOW_EVERY_S = 0.25
"""A followed job's record is looked at this often: a query costs a millisecond."""

ANSWER_LOOK_S = 0.05
"""Whoever waits for an answer looks for it this often."""

REPR_CHARS = 4_000
"""`hanse replay` shows at most so much of a value: two screens."""

EXPORT_ROWS = 65_536
EXPORT_BYTES = 32 * MIB
"""A row group of an export holds at most so many rows, and values that took about so many bytes
in the record: what is in memory at a time."""

# --- journal ------------------------------------------------------------------------------------
INLINE_BYTES = 64 * KIB
"""Streams from this size are kept as blobs, not in the journal: databases are good at small rows,
file systems at large files."""

JOURNAL_PATIENCE_NS = 60 * SECOND
"""A journal that cannot be reached is tried again for this long before its jobs end: a server's
restart takes seconds, and a program that stands still should say so soon."""

JOURNAL_RETRY_NS = 500 * MS
"""... this often."""

BACKLOG_BYTES = 64 * MIB
"""With so much waiting to be recorded, a runtime takes no further reports: work stops by itself
when its leases end, and memory stays bounded however slow the disk is."""

QUESTIONS_EVERY_NS = 250 * MS
"""Questions from other processes (cancel, explain) are looked for this often: cancelling is
promised within a second."""

ANSWER_NS = 5 * SECOND
"""Whoever asks a running job waits this long for its answer."""

QUOTA_BYTES = 20 * 1024 * MIB
"""What the blobs of named jobs and their code may take, unless HANSE_QUOTA says otherwise."""

RECORDS_KEPT = 10_000
RECORDS_AGE_S = 90 * 24 * 3600
"""Ended jobs are kept until `hanse gc` finds them beyond these."""

FAILURES_KEPT = 1000
"""`job.failures()` lists at most so many of a job that is not recorded."""

# --- inputs and results -------------------------------------------------------------------------
BLOCK_ITEMS = 65_536
BLOCK_BYTES = 256 * KIB
"""Inputs travel in blocks of at most this many items and about this many bytes."""

WINDOW_ITEMS = 1 << 21
"""At most this many inputs are read ahead of the slowest item that is not handed out yet."""

WINDOW_BYTES = 32 * MIB
"""... nor more than about this many bytes of inputs and results that wait."""

# --- blobs --------------------------------------------------------------------------------------
BLOB_CHUNK = MIB
"""Blobs are read and checked in pieces of this size: large enough that calls are noise, small
enough that a check of many gigabytes takes no memory."""

BLOB_LOCK_WAIT_NS = 30 * SECOND
"""Who puts blobs waits this long for a collection, and a collection this long for those who put:
some hundred times what a put and its commit take. Then an error says who is waited for."""

BLOB_LOCK_LOOK_NS = 10 * MS
"""... and looks this often: flock has no wait with an end."""
# --- journal ------------------------------------------------------------------------------------
JOURNAL_WAIT_S = 10.0
"""A call waits this long for others that write, and for a server to answer, before it says that
the journal is unavailable: longer than any honest transaction, shorter than people's patience."""

NAME_ATTEMPTS = 5
"""A client that makes a job looks again for its name when another program was quicker: each time
somebody made, or removed, a job of that name within milliseconds, so more is a fight."""

JOURNAL_READ_ROWS = 256
"""Entries are read this many at a time: no lock is held between, and memory stays bounded."""

JOURNAL_LOG_BYTES = 16 * MIB
"""What SQLite's write-ahead log may keep on disk after its pages went into the journal."""

JOURNAL_DAMAGES = 100
"""A check names at most this many damages of a file; who has more needs a copy, not a list."""

QUESTIONS_KEPT = 16
"""Questions kept for each job; older ones are forgotten, so nobody fills the disk by asking."""

# --- what a function is -------------------------------------------------------------------------
FINGERPRINT_PARTS = 1000
"""A function is known by at most this many functions, classes and values of its project. What
comes later, by the shortest way from the function, counts by its name alone."""

FINGERPRINT_SOURCE_CHARS = 32 * KIB
"""Of longer sources only the digest is kept: the source only serves to show what changed."""

FINGERPRINT_NODES = 200_000
"""A value of more elements than this, beside lists of numbers and text, counts by its length:
looking at it would take seconds."""

FINGERPRINT_NESTING = 50
"""... and so does what is nested deeper than this in values."""

FINGERPRINT_SHOWN_CHARS = 60
FINGERPRINT_SHOWN_ITEMS = 6
"""A value is shown by about this much of it."""

CHANGES_LINES = 60
CHANGES_DIFF_LINES = 20
"""What changed is told in at most so many lines, so many for each difference of source: who
rewrote a project learns that soon enough."""

REHEARSED_BYTES = MIB
REHEARSED_SITES = 400
REHEARSED_CPUS = 1000
REHEARSED_SLOTS = 4000
REHEARSED_JOBS = 100
REHEARSED_ITEMS = 1_000_000
REHEARSED_FAULTS = 1000
REHEARSED_BUCKETS = 1000
"""What a scenario of `hanse simulate` may hold: minutes of one core in most cases, and a GiB at
worst; a tail of thousands of leases takes longest."""

REHEARSED_STEPS = 3_000_000
"""Steps after which a rehearsal gives up: some minutes of one core."""

REHEARSED_STRIKES = 1000
"""Evictions and seeded faults of one machine: far more than anybody wants to read of."""

TIMELINE_BARS = 20_000
"""Rectangles in a picture of a rehearsal: browsers draw so many at once. Short ones are joined."""

TIMEOUT_S = 1e9
"""An item may have thirty years at most, which is a number that clocks take."""

# --- nodes --------------------------------------------------------------------------------------
LABEL_BYTES = 16 * MIB
"""A parcel's label holds shapes and lengths, some bytes for each item of a block."""

PARCEL_FILES = 4096
PARCEL_PAYLOADS = 4096
"""Files in one parcel, of all its payloads together: each takes a descriptor until it is read. No
request has more than two payloads."""

PARCEL_BYTES = 4 * 1024 * MIB
"""One block of inputs or one function sent to a node is at most so large."""

FOLLOWED_BYTES = 16 * MIB
"""The newest entries of a running job are kept in memory up to this size, for those who follow it;
who is further behind reads the journal."""

NODE_JOBS_READ = 100_000
"""Jobs among which a node looks for those that it has to go on with when it starts."""

HEARTBEAT_NS = 15 * SECOND
"""A stream with nothing to say says so this often: proxies and routers cut what is silent for a
minute, and whoever reads knows a dead line from a quiet one after three of these."""

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

LINK_TOKEN_LOOK_NS = SECOND
"""A home looks this often whether the tokens of its sites still hold."""

LINK_FORGOTTEN_S = 3600.0
"""A site that has been silent for so long is waited for no more when its home comes back."""

LINK_SITES = 10_000
"""A home has at most so many sites at other nodes."""

LINK_REDIAL_MAX_NS = 2 * SECOND
"""A site dials a home that is away this often at least: one that comes back waits for its sites for
REPORT_EVERY_NS."""

LINK_LEAVE_S = 5.0
"""A node that ends tells the homes that it works for, if that takes no longer."""

LINK_PATIENCE_S = 10.0
"""A home that answers nothing for so long is dialled again: a third of the life of a lease."""

ORDERS_BYTES = 64 * MIB
"""Orders are at most so long."""

LINK_CLOCK_NS = 10 * SECOND
"""How late a link may notice that its hours begin or end."""

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
