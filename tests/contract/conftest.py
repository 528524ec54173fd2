from __future__ import annotations

import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

sys.path.insert(0, str(Path(__file__).parent))

import builders


def local(**more: Any) -> builders.Factory:
    from hanse.engines.local.engine import LocalEngine

    return lambda loop, emit: LocalEngine(loop, emit, **more)


@pytest.fixture(scope="session")
def ray_driver(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Any]:
    """One Ray cluster for all tests, and the process that speaks to it."""
    from hanse.engines.ray import cluster
    from hanse.engines.ray.starting import Driver
    from hanse.model.resources import Amount

    offers = Amount(cpus_milli=4000, gpus_milli=2000, memory_bytes=4 << 30)
    token = cluster.new_token()
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("HANSE_HOME", str(tmp_path_factory.mktemp("home")))
        head = cluster.Head(token, tmp_path_factory.mktemp("ray"), offers)
    try:
        head.started()
        driver = Driver(head.address, cluster.environment(token))
        yield driver
        driver.end()
    finally:
        head.end()


Make = Callable[..., builders.Factory]


@pytest.fixture(params=["local", "sandboxed", "ray"])
def make(request: pytest.FixtureRequest) -> Make:
    """Makes factories of each engine, with arguments that all engines take."""
    if request.param == "local":
        return local
    if request.param == "sandboxed":
        return builders.sandboxed
    driver = request.getfixturevalue("ray_driver")

    def ray(**more: Any) -> builders.Factory:
        from hanse.engines.ray.engine import RayEngine

        return lambda loop, emit: RayEngine(loop, emit, driver=driver, **more)

    return ray


@pytest.fixture
def factory(make: Make) -> builders.Factory:
    return make()


@pytest.fixture
def bench(factory: builders.Factory) -> Iterator[builders.Bench]:
    with builders.bench(factory) as made:
        yield made


@pytest.fixture
def local_bench() -> Iterator[Callable[..., builders.Bench]]:
    """Makes benches of the local engine with its own arguments."""
    made: list[builders.Bench] = []

    def make(**more: Any) -> builders.Bench:
        made.append(builders.Bench(local(**more)))
        return made[-1]

    yield make
    for one in made:
        one.close()
