"""What a site takes from a home for its leases, and what it refuses."""

from __future__ import annotations

import tracemalloc
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor

import msgspec
import pytest

from hanse import limits
from hanse.core.messages import Grant
from hanse.engines.port import Block, Program, Work
from hanse.errors import NodeError
from hanse.ids import JobId, LeaseId
from hanse.model.fit import Offer
from hanse.model.resources import Amount
from hanse.node.fetching import Fetching
from hanse.payloads.parcel import Deferred, Unwrapping, bundle, wrap
from hanse.payloads.payload import Payload, dump_batch, dump_each, load, load_one
from hanse.payloads.references import PUT
from hanse.remote.works import SentWork, pack_work, unpack_work
from hanse.wire import link

JOB = JobId("j")


def grant(start: int, stop: int, job: JobId = JOB) -> Grant:
    return Grant(LeaseId(start + 1), job, start, stop, Amount(cpus_milli=1000), {})


def work(asked: Grant, refs: tuple[int, ...] = (), size: int = 10) -> Work:
    program = Program(7, asked.job, "f", dump_each(["f"]))
    inputs = dump_each(list(range(asked.start, asked.stop)))
    return Work(
        asked.lease, asked.start, asked.stop, program, [Block(asked.start, inputs)],
        functions={ref: Payload(1, bytes([ref]) * size, (size,)) for ref in refs},
        values={(PUT, ref): Payload(1, bytes([ref]) * size, (size,)) for ref in refs},
    )  # fmt: skip


class Home:
    """Sends what it is asked for, but for what the site has."""

    def __init__(self, made: Callable[[Grant], Work]) -> None:
        self.made = made
        self.sent_bytes = 0
        self.fetching = Fetching(self, "n-" + "a" * 12, Offer(), None, lambda: 1)  # type: ignore[arg-type]

    def parcel(
        self, method: str, path: str, wanted: link.Wanted
    ) -> tuple[msgspec.Raw, list[Payload | Deferred]]:
        about, payloads = pack_work(
            self.made(wanted.grant), wanted.program, set(wanted.functions), set(wanted.values), {}
        )
        self.sent_bytes += sum(each.nbytes for each in payloads)
        return about, payloads

    def fetch(self, asked: Grant) -> Work:
        found = self.fetching.work(asked)
        assert found is not None
        return found


def test_what_leases_share_crosses_the_line_once() -> None:
    home = Home(lambda asked: work(asked, (1, 2), 1000))
    for start in range(0, 50, 10):
        found = home.fetch(grant(start, start + 10))
        assert {key: bytes(each.data) for key, each in found.functions.items()} == {
            key: bytes([key]) * 1000 for key in (1, 2)
        }
        assert set(found.values) == {(PUT, 1), (PUT, 2)}
    assert 4000 < home.sent_bytes < 6000


def crossed(sent: Work) -> tuple[SentWork, int]:
    """What comes of it at a site, and how many payloads the parcel had."""
    about, payloads = pack_work(sent, 0, frozenset(), frozenset(), {})
    taking = unwrapped(about, payloads)
    assert taking.about is not None
    return unpack_work(taking.about, taking.payloads), len(payloads)


def unwrapped(about: object, payloads: Sequence[Payload | Deferred]) -> Unwrapping:
    taking = Unwrapping(limits.PARCEL_BYTES)
    for piece in wrap(about, payloads):
        taking.feed(piece)
    taking.end()
    return taking


def test_a_bundle_takes_little_memory_until_it_is_sent_and_then_too() -> None:
    data = b"x" * 100_000
    small = [Payload(1, data, (len(data),))] * 500
    tracemalloc.start()
    try:
        made = bundle(small)
        pieces = list(map(len, made.pieces()))
        _, most = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert made.nbytes == sum(pieces) > 50_000_000
    assert max(pieces) <= limits.PIECE_BYTES + 2 * len(data)
    assert most < 8_000_000


@pytest.mark.parametrize("number", [3, 2 * limits.PARCEL_PAYLOADS])
def test_a_lease_may_have_any_number_of_functions_and_values(number: int) -> None:
    large = b"x" * limits.OUT_OF_BAND_BYTES
    values = {("j-other", at): at if at != 2 else large for at in range(number)}
    functions = {at: [at, str(at)] for at in range(number)}
    sent = msgspec.structs.replace(
        work(grant(0, 10)),
        values={ref: dump_each([value]) for ref, value in values.items()},
        functions={key: dump_batch(value) for key, value in functions.items()},
    )
    found, payloads = crossed(sent)
    assert {key: load(each) for key, each in found.functions.items()} == functions
    assert {(job, item): load_one(each) for job, item, each in found.values} == values
    assert payloads < limits.PARCEL_PAYLOADS


def test_a_bundle_that_is_not_what_it_says_is_refused() -> None:
    about, payloads = pack_work(work(grant(0, 10), (1, 2, 3)), 0, frozenset(), frozenset(), {})
    plain = msgspec.msgpack.decode(about)
    small = [each for each in payloads if isinstance(each, Payload)]
    (less,) = unwrapped(b"", [bundle(small[:-1])]).payloads
    bundles = [less, dump_each([1] * len(small)), dump_batch([1]), small[0]]
    for last in bundles:
        for bundled in (list(range(len(small))), [0] * len(small), [-1]):
            told = msgspec.Raw(msgspec.msgpack.encode(plain | {"bundled": bundled}))
            with pytest.raises(NodeError):
                unpack_work(told, [last])
    with pytest.raises(NodeError):
        unpack_work(told, [])


def test_what_a_site_keeps_has_bounds(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(limits, "SHELF_BYTES", 5000)
    monkeypatch.setattr(limits, "SHELF_PAYLOADS", 12)
    monkeypatch.setattr(limits, "SHELVES_BYTES", 12_000)

    def made(asked: Grant) -> Work:
        refs = tuple(range(asked.start % 60, asked.start % 60 + 4))
        return work(asked, refs, 2000 if asked.start == 1000 else asked.start)

    home = Home(made)
    with ThreadPoolExecutor(4) as threads:
        asked = [grant(n, n + 2, JobId(f"j{n % 5}")) for n in range(200)]
        for each, found in zip(asked, threads.map(home.fetch, asked), strict=True):
            assert set(found.functions) == set(made(each).functions)
            assert set(found.values) == set(made(each).values)
    shelves = home.fetching._shelves.values()
    assert sum(each.nbytes for each in shelves) <= 12_000
    big = grant(1000, 1002)  # what is used is kept, whatever its size
    home.fetch(big)
    home.sent_bytes = 0
    home.fetch(big)
    assert home.sent_bytes < 1000
    home.fetch(grant(200, 202))
    for each in shelves:
        assert each.nbytes == sum(payload.nbytes for payload in each.kept.values()) <= 5000
        assert len(each.kept) <= 12


@pytest.mark.parametrize(
    "change",
    [
        {"lease": LeaseId(9)},
        {"start": 1},
        {"stop": 0},
        {"stop": 11},
        {"blocks": []},
        {"blocks": [Block(1, dump_each([1] * 20))]},
        {"blocks": [Block(0, dump_each([1] * 5)), Block(6, dump_each([1] * 5))]},
    ],
    ids=str,
)
def test_another_work_than_was_granted_is_refused(change: dict[str, object]) -> None:
    def made(asked: Grant) -> Work:
        return msgspec.structs.replace(work(asked), **change)

    with pytest.raises(NodeError, match="another work"):
        Home(made).fetch(grant(0, 10))


def test_a_work_may_be_shorter_than_was_granted() -> None:
    home = Home(lambda asked: work(msgspec.structs.replace(asked, stop=5)))
    assert home.fetch(grant(0, 10)).stop == 5
