from __future__ import annotations

import shutil
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

sys.path.insert(0, str(Path(__file__).parent))

import builders
from debian import install


def local(**more: Any) -> builders.Factory:
    from hanse.engines.local.engine import LocalEngine

    return lambda loop, emit: LocalEngine(loop, emit, **more)


def sandboxed(**more: Any) -> builders.Factory:
    from hanse.engines.local.sandbox import Sandbox

    if shutil.which("bwrap") is None:
        install("bubblewrap")
    return local(sandbox=Sandbox(**more))


@pytest.fixture(params=["local", "sandboxed"])
def factory(request: pytest.FixtureRequest) -> builders.Factory:
    return {"local": local, "sandboxed": sandboxed}[request.param]()


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
