"""Bugs, put into the real core one at a time: each of them a mistake that somebody could make.

A mutation replaces one or a few lines of one function of the core by text, and fails if those lines
are not there any more: then it has to be written anew. It is undone when its block is left.
"""

from __future__ import annotations

import inspect
import sys
import textwrap
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

from hanse.core import facts, following, home, placing
from hanse.core.agent import Agent
from hanse.core.ending import Ending
from hanse.core.following import Following
from hanse.core.granting import Granting
from hanse.core.home import Home
from hanse.core.indexes import Indexes
from hanse.core.job import Job
from hanse.core.noting import Noting
from hanse.core.place import tail
from hanse.core.site import Site


@dataclass(frozen=True)
class Mutation:
    name: str
    owner: Any  # class or module
    function: str
    was: str
    becomes: str
    near: int = 0  # a seed that found it, where few do: the search begins there


MUTATIONS = (
    Mutation(
        "a home listens to dead processes", Home, "_hear",
        "if report.incarnation < site.incarnation:", "if False:",
        near=95,
    ),
    Mutation(
        "an agent follows orders for its predecessor", Agent, "follow",
        "orders.incarnation != self.incarnation or ", "",
    ),
    Mutation(
        "a site that leaves begins what it is granted", Agent, "follow",
        "if self.leaving:", "if False:",
        near=91,
    ),
    Mutation(
        "a site that leaves goes on with what it has", Agent, "leave",
        "commands.append(CutLease(lease, held.grant.start))", "pass",
        near=91,
    ),
    Mutation(
        "what runs at a site to its very end is not cancelled", Agent, "hurry",
        "held.cancelled = True", "continue",
    ),
    Mutation(
        "an agent follows old orders", Agent, "follow",
        " or orders.seq <= self._orders_seen", "",
    ),
    Mutation(
        "a home takes old reports", Home, "_hear",
        "if report.seq <= site.report_seq:", "if False:",
    ),
    Mutation(
        "a segment is accepted twice", Noting, "_segment",
        "parts = job.settled.gaps(note.start, min(note.stop, job.known_to(note.lease)))",
        "parts = [(note.start, min(note.stop, job.known_to(note.lease)))]",
    ),
    Mutation(
        "part of a folded value counts", Noting, "_segment",
        "if note.folded and parts != [(note.start, note.stop)]:", "if False:",
        near=33,
    ),
    Mutation(
        "running leases are forgotten by a restart", Following, "_adopt",
        "span = None if job is None else _adoptable(job, running)", "span = None",
        near=99,
    ),
    Mutation(
        "a lease that runs is taken back though others hold its items", following, "_adoptable",
        "all(job.free(a, b) for a, b in rest)", "True",
    ),
    Mutation(
        "notes are acknowledged before their facts are durable", Noting, "_note_recorded",
        "if self._position <= self._recorded:", "if True:",
    ),
    Mutation(
        "any sync acknowledges everything", Noting, "_take_recorded",
        "waiting and waiting[0][0] <= self._recorded", "waiting",
    ),
    Mutation(
        "a cut ends one item early", Following, "_follow_lease",
        "self._shorten(lease, running.stop)", "self._shorten(lease, running.stop - 1)",
    ),
    Mutation(
        "a cut ends one item late", Following, "_follow_lease",
        "self._shorten(lease, running.stop)", "self._shorten(lease, running.stop + 1)",
    ),
    Mutation(
        "a cut holds before its site agrees", Indexes, "_cut",
        "lease.cut_to = stop", "self._shorten(lease, stop)",
    ),
    Mutation(
        "silence is counted from a site's first word", Home, "_hear",
        "site.heard_ns = self._now_ns", "site.heard_ns = site.heard_ns or self._now_ns",
    ),
    Mutation(
        "leases expire after a second of silence", Indexes, "_silence_expires_ns",
        "site.heard_ns + limits.LEASE_TTL_NS", "site.heard_ns + limits.SECOND",
    ),
    Mutation(
        "leases of silent sites are kept", Home, "_empty",
        "for lease in list(site.leases):", "for lease in ():",
    ),
    Mutation(
        "a site that speaks is still silent", Home, "_hear",
        "self._heard.move_to_end(site.id)", "pass",
        near=37,
    ),
    Mutation(
        "a retry is counted twice", Job, "attempt_failed",
        "count[item] = count.get(item, 0) + 1", "count[item] = count.get(item, 0) + 2",
    ),
    Mutation(
        "a retry that an earlier run counted is counted again", Noting, "_item_failed",
        "if note.lease in job.failed_under.get(note.item, ()):", "if False:",
        near=230,
    ),
    Mutation(
        "who waits is lost by a recovery", facts, "apply",
        "jobs[other].dependents.setdefault(needed, []).append((job_id, item))",
        "jobs[other].dependents.setdefault(needed, [])",
    ),
    Mutation(
        "who waits for what failed waits for ever after a recovery", Home, "recover",
        "job.released(start, stop)", "pass",
        near=23,
    ),
    Mutation(
        "results that arrive are counted twice", Job, "arrived",
        "waits[item] = left - 1", "waits[item] = left - 2",
    ),
    Mutation(
        "a lease takes on what waits for items of others", Job, "_take_linked",
        "if came.get(stop) != count:", "if False:",
    ),
    Mutation(
        "what comes back from a lease is ready although it waits", Job, "give_back",
        "self.ready.remove(item, item + 1)", "pass",
    ),
    Mutation(
        "an item that a lease holds becomes ready when what it waits for comes", Job, "arrived",
        "if waits is self.waiting:", "if True:",
    ),
    Mutation(
        "an item that was not begun counts as an attempt", Noting, "_item_failed",
        "if note.cause is Cause.DEPENDENCY:", "if False:",
    ),
    Mutation(
        "notes are forgotten one too many", Agent, "follow",
        "del self._notes[:acknowledged]", "del self._notes[:acknowledged + 1]",
    ),
    Mutation(
        "a grant that its site may not have seen is not repeated", Granting, "_orders_for",
        "if lease.granted_seq > site.orders_seen:",
        "if lease.granted_seq == site.orders_seq:",
    ),
    Mutation(
        "leases of a site that restarted are kept", Home, "_hear",
        "self._close(lease)", "pass",
    ),
    Mutation(
        "a backup is of an item that its own site runs", tail, "_may_be_backed",
        "lease.site == site\n", "False\n",
    ),
    Mutation(
        "a growth that was lost leaves its results", Job, "known_to",
        "if lease < since:", "if False:",
        near=24,
    ),
    Mutation(
        "an item starts while one input is missing", Job, "arrived",
        "if left > 1:", "if left > 2:",
    ),
    Mutation(
        "a home grants what it recovered before sites have spoken", Home, "recover",
        "job.withheld = home._unheard is None or bool(home._unheard)", "job.withheld = False",
    ),
    Mutation(
        "a finished job has failed", Ending, "_settled",
        "JobState.DONE if job.whole else JobState.FAILED", "JobState.FAILED",
    ),
    Mutation(
        "a failure does not end its job though it should", Ending, "_fail",
        "if job.spec.fail_fast and cause is not Cause.CANCELLED:", "if False:",
    ),
    Mutation(
        "an item is tried once too often", Noting, "_item_failed",
        "job.attempts.get(note.item, 0) < job.spec.retries",
        "job.attempts.get(note.item, 0) <= job.spec.retries",
    ),
    Mutation(
        "deaths never end an item", Noting, "_item_failed",
        "again = job.crashes.get(note.item, 0) + 1 < limits.MAX_CRASHES", "again = True",
    ),
    Mutation(
        "an item whose result cannot travel is tried again", Noting, "_item_failed",
        "again = note.cause in _RETRIED and ", "again = ",
    ),
    Mutation(
        "one lost lease ends a job", Noting, "_gave_up",
        ">= limits.MAX_LOSSES", ">= 1",
    ),
    Mutation(
        "a job that ended has no results", Job, "lost",
        "(self.state.ended and item not in self.settled)", "self.state.ended",
    ),
    Mutation(
        "one item too many is cancelled", Home, "_cancel_items",
        "free = job.ready.within(event.start, event.stop)",
        "free = job.ready.within(event.start, event.stop + 1)",
    ),
    Mutation(
        "a grant on its way takes no room", Following, "_take_free",
        "if lease.granted_seq > report.orders_seen:", "if False:",
    ),
    Mutation(
        "the last note is taken twice", Noting, "_take_notes",
        "site.notes_seen + 1 - report.first_note", "site.notes_seen - report.first_note",
    ),
    Mutation(
        "a site is overdue after a second", Site, "overdue",
        "limits.OVERDUE_NS + 2 * (self.every_ns + self.trip_ns)", "limits.OVERDUE_NS",
    ),
    Mutation(
        "rates pile up at a site", Indexes, "_forget_rates",
        "while len(site.rated) > limits.RATES_KEPT + len(site.leases):", "while False:",
    ),
    Mutation(
        "a repeated report waits for the disk again", Noting, "_note_recorded",
        "elif site.notes_waiting < site.notes_seen:", "elif site.notes_durable < site.notes_seen:",
    ),
    Mutation(
        "an agent keeps the last of the notes that were acknowledged", Agent, "follow",
        "acknowledged = orders.notes_seen - self._first_note + 1",
        "acknowledged = orders.notes_seen - self._first_note",
    ),
    Mutation(
        "jobs are forgotten at their end, whoever asks", Indexes, "_forget_if_idle",
        "if job.forgotten and not job.leases:", "if not job.leases:",
    ),
    Mutation(
        "a lease that waits in line is taken back as one that runs", Following, "_adopt",
        "lease.begun, lease.queued = running.begun, running.queued", "lease.begun = running.begun",
    ),
    Mutation(
        "a home that begins anew has spent nothing", Job, "recall",
        "self.place.purse.recall(self.paid, self.paid_ns)", "pass",
    ),
    Mutation(
        "a deadline counts anew whenever its home does", Job, "resume",
        "if self.state.ended:", "if True:",
    ),
    Mutation(
        "regions are not looked at", placing, "barred",
        "if aims.regions and tariff.region not in aims.regions:", "if False:",
    ),
)  # fmt: skip


@contextmanager
def applied(mutation: Mutation) -> Iterator[None]:
    """The core has this bug inside the block."""
    original = inspect.getattr_static(mutation.owner, mutation.function)
    function = getattr(original, "__func__", original)
    source = textwrap.dedent(inspect.getsource(function))
    assert source.count(mutation.was) == 1, f"{mutation.name}: the core reads otherwise now"
    source = "from __future__ import annotations\n" + source.replace(mutation.was, mutation.becomes)
    made: dict[str, Any] = {}
    exec(compile(source, f"<{mutation.name}>", "exec"), function.__globals__, made)
    replacements = _put(mutation, function, made[mutation.function])
    try:
        yield
    finally:
        for owner, name, value in replacements:
            if isinstance(owner, dict):
                owner[name] = value
            else:
                setattr(owner, name, value)


def _put(mutation: Mutation, function: Any, made: Any) -> list[tuple[Any, Any, Any]]:
    """Put it where the original is known; say how to undo that."""
    found: list[tuple[Any, Any, Any]] = []
    owners = [mutation.owner]
    if inspect.ismodule(mutation.owner):  # and wherever it was imported to
        owners = [module for name, module in sys.modules.items() if name.startswith("hanse.core")]
    for owner in owners:
        if inspect.isclass(owner):
            found.append((owner, mutation.function, owner.__dict__[mutation.function]))
        elif getattr(owner, mutation.function, None) is function:
            found.append((owner, mutation.function, function))
    for event, handler in home._HANDLERS.items():  # the table of handlers was made earlier
        if handler is function:
            found.append((home._HANDLERS, event, handler))
    for owner, name, _ in found:
        if isinstance(owner, dict):
            owner[name] = made
        else:
            setattr(owner, name, made)
    return found
