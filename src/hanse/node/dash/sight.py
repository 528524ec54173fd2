"""What there is to see: of a node, or of one machine's records (`cli.shared.dash_here`)."""

from __future__ import annotations

from typing import Any, Protocol

import msgspec

from hanse.core.home import Home
from hanse.core.site import Site
from hanse.ids import JobId, LeaseId
from hanse.journal.port import Head
from hanse.limits import MS, SECOND
from hanse.model.aims import NANO
from hanse.node.board import Board
from hanse.node.machines import Machines
from hanse.records.state import State
from hanse.wire.api import MachineInfo, NodeInfo, Progress, SiteSeen


class Sight(Protocol):
    """Methods may be called from any thread, and wait."""

    @property
    def state(self) -> State: ...

    def about(self) -> dict[str, Any]:
        """Who this is: `kind` is "node" or "records", `name` and `version` are for people."""

    def is_run(self, head: Head) -> bool:
        """Whether a program runs the job. Asked only of jobs that may be running."""

    def leased(self) -> dict[JobId, int]:
        """How many items of each running job are out, as far as that is known."""

    def progress(self, job: JobId) -> Progress:
        """What the job waits for, in words."""

    def sites(self) -> list[SiteSeen]: ...

    def machines(self) -> list[MachineInfo]: ...

    def leases(self, job: JobId) -> list[Out]:
        """The leases of a job that are out, as far as that is known here."""

    def costs(self) -> dict[JobId, float]:
        """What jobs that run have cost so far, as far as that is counted."""


class Out(msgspec.Struct, frozen=True):
    """A lease that is out."""

    lease: LeaseId
    site: str
    start_ms: int  # when it was granted, since 1970
    first: int
    stop: int


class OfNode:
    """See `Sight`."""

    def __init__(self, board: Board, info: NodeInfo, machines: Machines) -> None:
        self._board = board
        self._machines = machines
        self._info = info

    @property
    def state(self) -> State:
        return self._board.state

    def about(self) -> dict[str, Any]:
        info = self._info
        return {
            "kind": "node", "name": info.host, "node": info.node, "version": info.version,
            "region": info.region, "labels": info.labels,
        }  # fmt: skip

    def is_run(self, head: Head) -> bool:
        return self._board.running(head.id) is not None

    def leased(self) -> dict[JobId, int]:
        runtime = self._board.runtime
        return runtime.ask(
            lambda: {job.id: job.leased for job in runtime.home.jobs.values() if job.leased}
        )

    def progress(self, job: JobId) -> Progress:
        return self._board.progress(job)

    def sites(self) -> list[SiteSeen]:
        runtime = self._board.runtime
        return runtime.ask(lambda: sites_of(runtime.home, runtime.loop.now_ns()))

    def machines(self) -> list[MachineInfo]:
        return self._machines.all()

    def leases(self, job: JobId) -> list[Out]:
        found = self._board.runtime.ask(lambda: self._board.runtime.ledger.open(job))
        return [Out(lease, one.site, one.at_ns // MS, one.start, one.stop) for lease, one in found]

    def costs(self) -> dict[JobId, float]:
        return self._board.runtime.costs()


def sites_of(home: Home, now_ns: int) -> list[SiteSeen]:
    """What a home knows of each site, but for rented machines that are gone."""
    return [_info(site, now_ns) for site in home.sites.values() if not site.gone]


def _info(site: Site, now_ns: int) -> SiteSeen:
    runs: dict[str, int] = {}
    for lease in site.leases:
        runs[lease.job] = runs.get(lease.job, 0) + 1
    offer, silent_ns = site.offer, now_ns - site.heard_ns
    return SiteSeen(
        id=site.id, state=_state(site, now_ns), incarnation=site.incarnation,
        capacity=site.capacity, free=site.free, leases=len(site.leases), runs=runs,
        heard_s=max(0, silent_ns) / SECOND, trip_s=site.trip_ns / SECOND,
        python=offer.python if offer is not None else "",
        packages=None if offer is None or offer.packages is None else len(offer.packages),
        allow=list(offer.allow) if offer is not None else [], region=site.tariff.region,
        price=site.tariff.price_at(now_ns) / NANO, spot=site.tariff.spot,
    )  # fmt: skip


def _state(site: Site, now_ns: int) -> str:
    if site.withdrawn:
        return "takes part no more"
    if site.incarnation == 0:
        return "has not spoken yet"
    if site.silent(now_ns):
        return "silent"
    if site.reserved is not None:
        return f"kept for {site.reserved}"
    return "at work" if site.leases else "idle"
