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

TAIL_MIN_GAIN_NS = 2 * MS
"""A tail is cut only if the cut saves more than this: a message and a start cost about 1 ms."""

TAIL_LOOK_NS = 20 * MS
"""While slots are idle and leases run, the tails are looked at this often."""

BACKUP_SHARE = 20
"""At most one backup per this many items of a job: 5 % extra work."""

BACKUP_FACTOR = 3
"""An item is late, and worth a backup, after this many times the mean time of an item."""

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

OUTPUT_TAIL_LINES = 20
OUTPUT_TAIL_BYTES = 8 * KIB
"""An error carries at most this much of what its item printed."""

LOG_BYTES = 64 * MIB
"""What is kept of the output of one durable job; further output is shown, but not kept."""

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

# --- inputs and results -------------------------------------------------------------------------
BLOCK_ITEMS = 65_536
BLOCK_BYTES = 256 * KIB
"""Inputs travel in blocks of at most this many items and about this many bytes."""

WINDOW_ITEMS = 1 << 21
"""At most this many inputs are read ahead of the slowest item that is not handed out yet."""

WINDOW_BYTES = 32 * MIB
"""... nor more than about this many bytes of inputs and results that wait."""
