"""Every callable has a manifest, and every manifest an end."""

from __future__ import annotations

import functools
import math
import threading
from collections import Counter
from typing import Any

import msgspec
import pytest
from programs import Load

from hanse import limits
from hanse.client.fingerprints.fingerprint import fingerprint
from hanse.client.fingerprints.manifest import Manifest


@pytest.mark.parametrize(
    "function",
    [len, math.sqrt, str.upper, "a".join, Counter, functools.partial(max, 3), int, print,
     functools.singledispatch(lambda x: x), functools.lru_cache(lambda x: x),
     threading.Lock().acquire, functools.partial(functools.partial(max, 3), 4), type],
)  # fmt: skip
def test_every_callable_has_a_manifest_that_travels(function: Any) -> None:
    one, two = fingerprint(function), fingerprint(function)
    assert one == two
    assert one.parts
    assert msgspec.msgpack.decode(msgspec.msgpack.encode(one), type=Manifest) == one


def test_cycles_end() -> None:
    def one(x: Any) -> Any:
        return two(x), loop, one.__wrapped__  # type: ignore[attr-defined]

    def two(x: Any) -> Any:
        return one(x)

    loop: list[Any] = [1]
    loop.append(loop)
    one.__wrapped__ = one  # type: ignore[attr-defined]
    assert set(fingerprint(one).parts) == set(fingerprint(one).parts)
    bound = functools.partial(one)
    bound.__setstate__((one, (bound,), {}, {}))
    assert fingerprint(bound).parts


class Proxy:
    """As of a library, outside of its context."""

    def __getattribute__(self, name: str) -> Any:
        raise RuntimeError("outside of its context")


proxy = Proxy()


def uses_proxy() -> Any:
    return proxy


def test_objects_with_ideas_of_their_own_do_no_harm() -> None:
    manifest = fingerprint(uses_proxy)
    assert any("value" in name and name.endswith("proxy") for name in manifest.parts)
    assert fingerprint(functools.partial(uses_proxy, proxy)).parts


def test_a_manifest_has_a_bound(load: Load) -> None:
    many = "\n".join(f"def f{at}(): return f{at + 1}()" for at in range(5000))
    manifest = load(f"{many}\ndef count(): return f0()")
    assert len(manifest.parts) <= limits.FINGERPRINT_PARTS
    long = load("def count():\n" + "    x = 1 + 1\n" * 10_000)
    assert long.parts["count"].source is None
    deep = load("V = None\nfor _ in range(500): V = [V, object()]\ndef count(): return V")
    assert deep.parts["value V"]
    large = load(f"V = [(1, 2)] * {limits.FINGERPRINT_NODES + 1}\ndef count(): return V")
    assert large.parts["value V"].shown
