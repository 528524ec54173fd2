"""What an idle node with three links takes, over a minute: python -m bench.wan.idle [SECONDS]."""

from __future__ import annotations

import contextlib
import json
import os
import sys
import time

import psutil
from hosts.machines import Fabric, hosts
from hosts.wan import wan
from hosts.world import PORT, Machine

from bench.wan.places import DISK_BYTES, token

TRIP_MS = 30.0
_HERE = "127.0.0.1"


def main(seconds: float) -> None:
    """A home that three sites work for, and a site that works for three homes, 30 ms away."""
    with hosts() as fabric, contextlib.ExitStack() as ways:
        one = _node(fabric, "one", PORT)
        three = [_node(fabric, f"other-{n}", PORT + 1 + n) for n in range(3)]
        for other in three:
            other.host.know({"one.test": other.host.gateway, f"{other.host.name}.test": _HERE})
        names = {f"{other.host.name}.test": one.host.gateway for other in three}
        one.host.know({"one.test": _HERE, **names})
        ways.enter_context(wan(fabric, one.host, PORT, {each.host: TRIP_MS for each in three}))
        for number, other in enumerate(three):
            way = wan(fabric, other.host, PORT + 1 + number, {one.host: TRIP_MS})
            ways.enter_context(way)
        for machine in (one, *three):
            machine.begin()
        for machine in (one, *three):
            machine.wait()
        for other in three:
            other.command("link", token(one, "link"))
        _watch("a home of three sites", one, seconds)
        for other in three:
            one.command("link", token(other, "link"))
        _watch("the same, and a site of three homes", one, seconds)


def _watch(what: str, machine: Machine, seconds: float) -> None:
    time.sleep(20)  # until nothing more is settled
    before_s, _ = _used(machine)
    if os.environ.get("HOLD"):
        print(what, machine.host.pids, flush=True)
    time.sleep(seconds)
    after_s, memory = _used(machine)
    told = {"what": what, "core_percent": round(100 * (after_s - before_s) / seconds, 2),
            "memory_mb": round(memory / 1e6, 1)}  # fmt: skip
    print(json.dumps(told), flush=True)


def _node(fabric: Fabric, name: str, port: int) -> Machine:
    options = ["--listen", f"0.0.0.0:{port}", "--name", f"{name}.test"]
    return Machine(fabric.host(name, DISK_BYTES), 2, options, 1.0)


def _used(machine: Machine) -> tuple[float, int]:
    """Processor time in seconds, and memory in bytes (what is shared is divided), of all its
    processes."""
    cpu_s, memory = 0.0, 0
    for pid in machine.host.pids:
        process = psutil.Process(pid)
        times = process.cpu_times()
        cpu_s += times.user + times.system
        memory += process.memory_full_info().pss
    return cpu_s, memory


if __name__ == "__main__":
    main(float(sys.argv[1]) if len(sys.argv) > 1 else 60.0)
