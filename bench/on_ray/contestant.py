"""One contestant in a process of its own: connects, warms up, is timed, prints the seconds.

    python -m bench.on_ray.contestant NAME WORK ADDRESS SLOTS

Each gets its values back and looks at them, so that nobody is faster for handing out promises. The
clock starts once every slot has worked: how long processes take to start is another question.
"""

from __future__ import annotations

import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from bench.on_ray import works

Run = Callable[[], None]
_WARM_S, _PATIENCE_S = 0.2, 60.0


def warm(each: Callable[[list[float]], list[tuple[str, int]]], slots: int) -> None:
    """Let naps be taken until they were in as many processes at once as there are slots."""
    end = time.monotonic() + _PATIENCE_S
    while len(set(each([_WARM_S] * 2 * slots))) < slots:
        if time.monotonic() > end:
            raise SystemExit(f"no {slots} processes after {_PATIENCE_S:g} s")


def check(condition: bool) -> None:
    if not condition:
        raise SystemExit("a wrong result")


def _arrays_are_right(results: Any) -> None:
    for at, array in enumerate(results):
        check(float(array[0]) == at + 1 == float(array[-1]))


def hanse(work: str, address: str, slots: int) -> float:
    """An embedded client on the cluster: nothing is recorded, as nothing is by Ray."""
    from hanse.client.client import Client
    from hanse.engines.ray.site import Site
    from hanse.model.resources import Amount
    from hanse.runtime.runtime import Runtime

    with tempfile.TemporaryDirectory(prefix="hanse-bench-") as directory:
        site = Site(Path(directory), Amount(), address=address)
        runtime = Runtime(Amount(cpus_milli=1000 * slots), site.engine, Path(directory))
        try:
            with Client(runtime=runtime) as client:
                run = _hanse_runs(client)[work]
                warm(lambda naps: list(client.map(works.nap_where, naps)), slots)
                return _timed(run)
        finally:
            site.close()


def _hanse_runs(client: Any) -> dict[str, Run]:
    def trivial() -> None:
        check(sum(client.map(works.same, range(works.TRIVIAL))) == sum(range(works.TRIVIAL)))

    def submits() -> None:
        futures = [client.submit(works.same, x) for x in range(works.SUBMITS)]
        check(sum(f.result() for f in futures) == sum(range(works.SUBMITS)))

    def sleeps() -> None:
        check(list(client.map(works.nap, works.naps())) == works.naps())

    given = works.arrays()

    def arrays() -> None:
        _arrays_are_right(client.map(works.bump, given))

    return {"trivial": trivial, "submits": submits, "sleeps": sleeps, "arrays": arrays}


def ray_tasks(work: str, address: str, slots: int) -> float:
    import ray

    ray.init(address, log_to_driver=False, logging_level="ERROR")
    same, nap, bump = map(ray.remote, (works.same, works.nap, works.bump))
    where = ray.remote(works.nap_where)

    def trivial() -> None:
        count = works.TASKS
        check(sum(ray.get([same.remote(x) for x in range(count)])) == sum(range(count)))

    def submits() -> None:
        count = works.SUBMITS
        check(sum(ray.get([same.remote(x) for x in range(count)])) == sum(range(count)))

    def sleeps() -> None:
        check(ray.get([nap.remote(seconds) for seconds in works.naps()]) == works.naps())

    given = works.arrays()

    def arrays() -> None:
        _arrays_are_right(ray.get([bump.remote(array) for array in given]))

    runs = {"trivial": trivial, "submits": submits, "sleeps": sleeps, "arrays": arrays}
    scale = works.TRIVIAL / works.TASKS if work == "trivial" else 1
    warm(lambda naps: ray.get([where.remote(each) for each in naps]), slots)
    return scale * _timed(runs[work])


def ray_pool(work: str, address: str, slots: int) -> float:
    import ray
    from ray.util.multiprocessing import Pool

    ray.init(address, log_to_driver=False, logging_level="ERROR")
    pool = Pool(slots)

    def trivial() -> None:
        check(sum(pool.map(works.same, range(works.TRIVIAL))) == sum(range(works.TRIVIAL)))

    def submits() -> None:
        asked = [pool.apply_async(works.same, (x,)) for x in range(works.SUBMITS)]
        check(sum(each.get() for each in asked) == sum(range(works.SUBMITS)))

    def sleeps() -> None:
        check(pool.map(works.nap, works.naps(), chunksize=1) == works.naps())

    given = works.arrays()

    def arrays() -> None:
        _arrays_are_right(pool.map(works.bump, given, chunksize=1))

    runs = {"trivial": trivial, "submits": submits, "sleeps": sleeps, "arrays": arrays}
    warm(lambda naps: pool.map(works.nap_where, naps, chunksize=1), slots)
    return _timed(runs[work])


def _timed(run: Run) -> float:
    begun = time.perf_counter()
    run()
    return time.perf_counter() - begun


CONTESTANTS = {"hanse": hanse, "ray tasks": ray_tasks, "ray Pool": ray_pool}


if __name__ == "__main__":
    name, work, address, slots = sys.argv[1:]
    print(CONTESTANTS[name](work, address, int(slots)))
