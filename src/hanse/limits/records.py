"""What is read, kept, shown and told apart."""

from __future__ import annotations

from hanse.limits.units import KIB, MIB, MS, SECOND

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

# --- inputs and results -------------------------------------------------------------------------
BLOCK_ITEMS = 65_536
BLOCK_BYTES = 256 * KIB
"""Inputs travel in blocks of at most this many items and about this many bytes."""

WINDOW_ITEMS = 1 << 21
"""At most this many inputs are read ahead of the slowest item that is not handed out yet."""

WINDOW_BYTES = 32 * MIB
"""... nor more than about this many bytes of inputs and results that wait."""

WINDOW_MOST_BYTES = 256 * MIB
WINDOW_SHARE = 32
"""... but so many where slots would otherwise wait for large or far inputs, and no more than a 32nd
of the memory."""

# --- blobs --------------------------------------------------------------------------------------
BLOB_CHUNK = MIB
"""Blobs are read and checked in pieces of this size: large enough that calls are noise, small
enough that a check of many gigabytes takes no memory."""

BLOB_LOCK_WAIT_NS = 30 * SECOND
"""Who puts blobs waits this long for a collection, and a collection this long for those who put:
some hundred times what a put and its commit take. Then an error says who is waited for."""

BLOB_LOCK_LOOK_NS = 10 * MS
"""... and looks this often: flock has no wait with an end."""

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
REHEARSED_DATA = 1000
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

TIMED_KEPT = 256
"""So many segments of an earlier run say how long a job's items take, when it goes on."""
