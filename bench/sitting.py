"""One contestant's process: opens its workers, does some measures with them, and ends.

    python -m bench.sitting '{"peer": ..., "measures": [...], "sizes": {}, "workers": 2, "fd": 5}'

Tells the runner in lines of JSON on that descriptor: `begin` before each measure, then its `value`,
or how it failed; a question (`ask`) is answered by one line on stdin. What contestants print goes
elsewhere, so it cannot be taken for a figure.
"""

from __future__ import annotations

import gc
import importlib
import json
import os
import sys
import time
from typing import Any

from bench.contest import NotOffered, Peer
from bench.measures import FAMILIES
from bench.measures.measure import Measure, Sizes, Teller, WrongAnswer

SAID_AT_MOST = 400  # characters of an error that are kept


class Line(Teller):
    """The line to the runner."""

    def __init__(self, fd: int) -> None:
        os.set_inheritable(fd, False)
        self._out = os.fdopen(fd, "w", buffering=1)

    def tell(self, **what: Any) -> None:
        self._out.write(json.dumps(what) + "\n")

    def ask(self, question: dict[str, Any]) -> dict[str, float]:
        self.tell(ask=question)
        answer: dict[str, float] = json.loads(sys.stdin.readline())
        return answer


def contestant(name: str, workers: int) -> Peer:
    peer: Peer = importlib.import_module(f"bench.peers.{name}").Contestant(workers)
    return peer


def attempt(measure: Measure, peer: Peer, sizes: Sizes, line: Line) -> None:
    """Do one measure and tell what came of it. Its failure is a result like any other."""
    assert measure.work is not None
    line.tell(begin=measure.key, watched=measure.watched, limit_s=measure.limit_s)
    began = time.perf_counter()
    told: dict[str, Any]
    try:
        value = measure.work(peer, sizes, line)
        told = {"status": "ok", "value": value}
    except NotOffered as error:
        told = {"status": "not offered", "said": str(error)}
    except WrongAnswer as error:
        told = {"status": "wrong", "said": str(error)}
    except Exception as error:  # noqa: BLE001 - whatever a peer raises is what it did
        told = {"status": "failed", "said": f"{type(error).__name__}: {error}"[:SAID_AT_MOST]}
    line.tell(end=measure.key, seconds=time.perf_counter() - began, **told)


def warm(peer: Peer) -> None:
    """Every worker has worked once before anything is timed."""
    from bench.work import same, whoami

    for begin in (
        lambda: list(peer.map(same, range(1000))),
        lambda: peer.tasks(whoami, [0.01] * 8),
    ):
        try:
            begin()
        except NotOffered:
            pass


def main(spec: dict[str, Any]) -> None:
    line = Line(spec["fd"])
    measures = {m.key: m for family in FAMILIES for m in family.measures}
    peer = contestant(spec["peer"], spec["workers"])
    line.tell(about=peer.settings)
    peer.open()
    warm(peer)
    for key in spec["measures"]:
        gc.collect()
        attempt(measures[key], peer, Sizes(**spec["sizes"]), line)
    peer.close()
    line.tell(closed=True)


if __name__ == "__main__":
    main(json.loads(sys.argv[1]))
