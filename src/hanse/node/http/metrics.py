"""What a node measures, as Prometheus reads it. Collected when it is asked for: nothing is counted
on the way of an item."""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Iterator

from prometheus_client import CollectorRegistry, ProcessCollector, generate_latest
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, Metric
from prometheus_client.exposition import CONTENT_TYPE_LATEST
from prometheus_client.registry import Collector
from starlette.responses import Response

from hanse.model.job import JobState
from hanse.node.board import Board
from hanse.node.http.call import Call
from hanse.node.http.guard import Handler
from hanse.wire.api import NodeInfo


class _Board(Collector):
    def __init__(self, board: Board, info: NodeInfo) -> None:
        self._board = board
        self._info = info
        self._since_s = time.time()

    def collect(self) -> Iterator[Metric]:
        info, runtime = self._info, self._board.runtime
        who = GaugeMetricFamily("hanse_node_info", "Who this node is.",
                                labels=["node", "version", "region"])  # fmt: skip
        who.add_metric([info.node, info.version, info.region], 1)
        yield who
        yield GaugeMetricFamily("hanse_node_start_seconds", "When it started, since 1970.",
                                self._since_s)  # fmt: skip
        yield GaugeMetricFamily("hanse_cpus", "Cores that it offers.",
                                runtime.capacity.cpus_milli / 1000)  # fmt: skip
        yield GaugeMetricFamily("hanse_record_backlog_bytes", "Waits to be recorded.",
                                runtime.durables.backlog_bytes)  # fmt: skip
        yield from _jobs(runtime.ask(self._looked))
        counts = self._board.counts
        items = CounterMetricFamily("hanse_items_ended", "Items that ended.", labels=["state"])
        items.add_metric(["done"], counts.done)
        items.add_metric(["failed"], counts.failed)
        yield items
        ended = CounterMetricFamily("hanse_jobs_ended", "Jobs that ended.", labels=["state"])
        for state in JobState:
            if state.ended:
                ended.add_metric([str(state)], counts.ended[state])
        yield ended

    def _looked(self) -> dict[str, int]:
        """On the loop's thread, where jobs may be looked at."""
        jobs = [job for job in self._board.runtime.home.jobs.values() if not job.state.ended]
        found = Counter(jobs=len(jobs))
        for job in jobs:
            found["ready"] += len(job.ready)
            found["waiting"] += len(job.waiting)
            found["leased"] += job.leased
            found["leases"] += len(job.leases)
        return found


def _jobs(found: dict[str, int]) -> Iterator[Metric]:
    yield GaugeMetricFamily("hanse_jobs_running", "Jobs that have not ended.", found["jobs"])
    items = GaugeMetricFamily("hanse_items", "Items of running jobs.", labels=["state"])
    for state in ("ready", "waiting", "leased"):
        items.add_metric([state], found[state])
    yield items
    yield GaugeMetricFamily("hanse_leases", "Leases that are out.", found["leases"])


def answering(board: Board, info: NodeInfo) -> Handler:
    registry = CollectorRegistry()
    registry.register(_Board(board, info))
    ProcessCollector(registry=registry)

    async def metrics(call: Call) -> Response:
        """What this node measures, for Prometheus."""
        text = await call.waiting(generate_latest, registry)
        return Response(text, media_type=CONTENT_TYPE_LATEST)

    return metrics
