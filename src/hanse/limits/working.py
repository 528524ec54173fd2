"""Leases, and the engines that run them."""

from __future__ import annotations

from hanse.limits.units import KIB, MIB, MS, SECOND

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

SPENT_LEAST_NS = SECOND
SPENT_MOST_NS = 60 * SECOND
"""What a durable job has cost is recorded after a two-hundredth of its age, and no more and no less
often than this: so much of it a kill can take along, where the sites are killed too."""

PLAN_LEAST_NS = 100 * MS
"""Where a job with a deadline or a price runs is decided anew no more often than this."""

TAIL_MIN_GAIN_NS = 2 * MS
"""A tail is cut only if the cut saves more than this: a message and a start cost about 1 ms."""

TAIL_LOOK_NS = 20 * MS
TAIL_LOOK_PART = 100
"""While slots are idle and leases run, the tails are looked at this often, or after such a part of
what an item takes, if that is longer: reports that say nothing new cost both ends time."""

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
LOOK_AHEAD_SHORT = 32
"""... so many at most for each lease that it can run at once; more of a job whose leases may be of
one item, because its data alternates."""

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

CHECKPOINT_FIRST_NS = 100 * MS
"""What a save is taken to last until one has been seen."""

CHECKPOINT_LOSS_NS = 24 * 3600 * SECOND
"""Mean time between losses of a machine of which nothing is known: workers die, people reboot."""

CHECKPOINT_LEAST_NS = SECOND
"""No item is told more often that it is time to save: each save is written durably at its home."""

CHECKPOINT_BYTES = 1024 * MIB
"""What one item may save."""

CHECKPOINT_MEMORY_BYTES = 256 * MIB
"""What items of jobs without a name have saved is kept in memory up to this size, the newest."""

CHECKPOINT_WAIT_BYTES = 2 * CHECKPOINT_BYTES
"""So much of it waits for a disk or a line at most: what is more than that is lost, so that many
large saves at once do not fill the memory."""

CHECKPOINT_GIVEN_BYTES = 2 * CHECKPOINT_BYTES
CHECKPOINT_GIVEN = 1000
"""So much of it goes out with one lease, of so many items: it is held in memory where that runs,
and has to fit into a parcel."""

CHECKPOINT_FINDS = 2
"""So many saves are looked through at once, before they go out with leases of linked sites."""

EVICTION_REPORT_NS = 5 * SECOND
"""Before a machine is taken away, what still runs there is cancelled this much earlier, or a
quarter of the notice if that is less: so its home hears of it, even if a report is lost."""

CANCEL_GRACE_NS = 200 * MS
"""A cancelled item may end by itself this long before its process group is killed; promise 5 of
the design gives a second in all."""

RAY_IDLE_NS = 5 * SECOND
"""A slot that nothing runs in is given back to Ray after this: another costs half a second, and
other programs on the cluster wait for what it holds."""

RAY_ROOM_TOLD_NS = 2 * SECOND
"""A work that waits so long for Ray to find room for it says what for."""

RAY_ROOM_NS = 30 * SECOND
"""A work for which Ray finds no room in this time is given back: another site may have some."""

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

SHARED_BYTES = 1 << 20
"""What a map's function brings along counts in placement from so many bytes on."""

DATA_RUNS = 100_000
DATA_CHUNKS = 64
DATA_SETS = 32
"""Of a job whose items say where their data lies, so many runs of items in a row whose data lies
together are known, and so many chunks, of which so many are data sets with names: further ones
count to their regions. What is beyond runs anywhere."""
