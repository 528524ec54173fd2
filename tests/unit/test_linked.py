"""A home and sites that lie: whatever a site says, the home's other jobs go on."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import nullcontext
from pathlib import Path
from typing import Any

import msgspec
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from starlette.requests import Request

from hanse.blobs.saved import SavedStates
from hanse.core.events import Grow, JobGrown, Resume, Submit
from hanse.core.messages import (
    EndNote,
    FailureNote,
    Grant,
    Note,
    Report,
    Running,
    SegmentNote,
)
from hanse.engines import port
from hanse.errors import BadLink, HanseError, UsageError
from hanse.ids import JobId, LeaseId, SiteId
from hanse.model.failure import Cause, Failure
from hanse.model.fit import Offer
from hanse.model.job import JobSpec, JobState
from hanse.model.resources import Amount
from hanse.model.usage import BUCKETS, Usage
from hanse.node.http.bodies import Bodies
from hanse.node.http.call import Call
from hanse.node.http.link import LinkRoutes
from hanse.node.linked import Linked, earlier_sites
from hanse.node.tokens import Role, Token, Tokens
from hanse.payloads.parcel import Deferred, Unwrapping, wrap
from hanse.payloads.payload import Payload, dump_batch, dump_each, load_one
from hanse.remote.works import pack_work, unpack_work
from hanse.runtime.runtime import Runtime
from hanse.wire import codec, link

CORE = Amount(cpus_milli=1000)
MINE, OTHERS = "n-" + "a" * 12, "n-" + "b" * 12
JOB = JobId("j-000000000001")


class NoEngine:
    """The home itself runs nothing here."""

    def start(self, work: port.Work) -> None:
        raise AssertionError("the home has no room")

    def cut(self, lease: LeaseId, stop: int) -> None: ...
    def cancel(self, lease: LeaseId) -> None: ...
    def begun(self, lease: LeaseId) -> int:
        return 0

    def reasons(self, job: JobId) -> list[str]:
        return []

    def close(self) -> None: ...


class Job:
    """The client's side of a job of maps: what came of it."""

    fold_print = b""

    def __init__(self) -> None:
        self.done: list[tuple[int, int]] = []
        self.state: JobState | None = None
        self.program = port.Program(1, JOB, "f", None)

    def work(self, grant: Grant) -> port.Work:
        return port.Work(grant.lease, grant.start, grant.stop, self.program, [])

    def grown(self, size: int) -> Payload:
        return dump_batch([])

    def committed(self, start: int, stop: int, *_: Any) -> None:
        self.done.append((start, stop))

    def failed(self, start: int, stop: int, failure: Failure) -> None: ...
    def ended(self, state: JobState, error: BaseException | None) -> None:
        self.state = state

    def why(self) -> list[str]:
        return []


def linked_in(directory: Path, runtime: Runtime, tokens: Tokens) -> Linked:
    path = directory / "sites.json"
    return Linked(runtime, path, earlier_sites(path), "n-" + "0" * 12, tokens)


class World:
    def __init__(self, directory: Path) -> None:
        self.directory = directory
        self.runtime = Runtime(Amount(), lambda *_, **__: NoEngine(), directory, 1 << 32)  # type: ignore[arg-type,return-value]
        self.tokens = Tokens(directory / "tokens.json")
        self.linked = linked_in(directory, self.runtime, self.tokens)
        self.jobs = {}
        self.seqs: dict[str, int] = {}

    def token(self, name: str = "lab") -> Token:
        _, secret = self.tokens.create(Role.LINK, name, None)
        found = self.tokens.find(secret)
        assert isinstance(found, Token)
        return found

    def job(self, id: JobId = JOB, size: int = 100, **spec: Any) -> Job:
        job = Job()
        event = Submit(id, JobSpec(name="f", **spec))
        self.runtime.ask(lambda: self.runtime.begin(id, job, event))
        self.runtime.ask(lambda: self.runtime.handle(Grow(id, size)))
        return job

    def hello(self, token: Token, node: str = MINE, run: int = 2, **offer: Any) -> link.Welcome:
        hello = link.Hello(node=node, site="s", incarnation=run, offer=Offer(**offer))
        return self.linked.hello(token, hello)

    def tell(
        self, token: Token, welcome: link.Welcome, notes: Sequence[Note] = (),
        running: Sequence[Running] = (), values: Sequence[Payload] = (), node: str = MINE,
        first: int = 1, **report: Any,
    ) -> None:  # fmt: skip
        seq = self.seqs[node] = self.seqs.get(node, 0) + 1
        said = Report(
            welcome.site, report.pop("run", 2), seq, 0, report.pop("capacity", CORE),
            report.pop("free", CORE), first, list(notes), list(running), **report,
        )  # fmt: skip
        numbers = [n for n, note in enumerate(notes, first) if isinstance(note, SegmentNote)]
        segments = [link.Segment(number, Usage()) for number in numbers]
        told = link.Told(boot=welcome.boot, report=codec.encode(said), segments=segments)
        self.linked.told(self.linked.find(token, node), told, list(values))

    @property
    def leases(self) -> dict[LeaseId, SiteId]:
        home = self.runtime.home
        return self.runtime.ask(lambda: {n: lease.site for n, lease in home.leases.items()})

    def lives(self) -> bool:
        return self.runtime.ask(lambda: self.runtime._broken is None)


@pytest.fixture
def world(tmp_path: Path) -> Iterator[World]:
    tmp_path.chmod(0o700)
    made = World(tmp_path)
    yield made
    made.runtime.close()


def test_a_lease_that_was_never_granted_is_nobodys(world: World) -> None:
    job = world.job()
    evil, good = world.token("evil"), world.token("good")
    liar, honest = world.hello(evil), world.hello(good, OTHERS)
    ahead = LeaseId(world.runtime.home._next_lease)
    world.tell(evil, liar, running=[Running(ahead, JOB, 50, 50, 51)], free=Amount())
    world.tell(good, honest, node=OTHERS)
    world.linked.leave(world.linked.find(evil, MINE))
    assert set(world.leases.values()) == {honest.site}
    assert world.lives()
    assert job.state is None


def test_a_site_ends_no_lease_of_another(world: World) -> None:
    job = world.job()
    evil, good = world.token("evil"), world.token("good")
    liar, honest = world.hello(evil), world.hello(good, OTHERS)
    world.tell(good, honest, node=OTHERS)
    held = world.leases
    notes = [EndNote(lease, 1, 1, "gone") for lease in held for _ in range(5)]
    world.tell(evil, liar, notes, capacity=Amount(), free=Amount())
    assert world.leases == held
    assert job.state is None


def test_a_broken_site_does_not_fail_what_others_can_run(world: World) -> None:
    job = world.job()
    evil, good = world.token("evil"), world.token("good")
    broken, honest = world.hello(evil), world.hello(good, OTHERS)
    world.tell(good, honest, node=OTHERS)
    first = 1
    for _ in range(12):
        mine = [lease for lease, site in world.leases.items() if site == broken.site]
        notes = [EndNote(lease, 1, 1, "the disk is full") for lease in mine]
        world.tell(evil, broken, notes, first=first)
        first += len(notes)
    assert job.state is None
    assert set(world.leases.values()) == {honest.site}, "it rests"


def test_a_site_saves_for_items_that_it_runs_and_for_no_others(world: World) -> None:
    world.job()
    evil, good = world.token("evil"), world.token("good")
    liar, honest = world.hello(evil), world.hello(good, OTHERS)
    world.tell(good, honest, node=OTHERS)
    world.tell(evil, liar)
    of = {site: lease for lease, site in world.leases.items()}
    theirs = world.runtime.home.leases[of[honest.site]]
    mine = world.runtime.home.leases[of[liar.site]]

    def saves(lease: LeaseId, item: int, job: JobId = JOB, boot: str = liar.boot) -> set[int]:
        told = link.Saved(boot=boot, lease=lease, job=job, item=item)
        world.linked.saved(world.linked.find(evil, MINE), told, [dump_each([b"x"])])
        return set(world.runtime.ask(lambda: world.runtime.checkpoints.within(JOB, 0, 100)))

    for lease, item in [(theirs.id, theirs.start), (mine.id, theirs.start), (mine.id, mine.stop),
                        (mine.id, -1), (LeaseId(7), mine.start)]:  # fmt: skip
        assert saves(lease, item) == set()
    assert saves(mine.id, mine.start, JobId("../../etc")) == set()
    with pytest.raises(BadLink):
        saves(mine.id, mine.start, boot="another")
    assert saves(mine.id, mine.start) == {mine.start}


class SlowToRead(SavedStates):
    """Of a disk that takes its time."""

    def __init__(self, root: Path) -> None:
        super().__init__(root)
        self.read, self.may = threading.Event(), threading.Event()
        self.looks = 0

    def get(self, job: JobId, item: int) -> Payload | None:
        self.read.set()
        assert self.may.wait(60)
        return super().get(job, item)

    def find(self, job: JobId, item: int) -> Deferred | None:
        self.looks += 1
        self.read.set()
        assert self.may.wait(60)
        return super().find(job, item)


@pytest.fixture
def states(world: World, tmp_path: Path) -> SlowToRead:
    """In which the first item of a job has saved something, that is on the disk alone."""
    states = SlowToRead(tmp_path / "saved")
    states.put(JOB, 0, dump_each([b"x" * 100]))
    world.job()
    checkpoints = world.runtime.checkpoints
    checkpoints._states = lambda: states
    checkpoints.begin(Resume(JOB, JobSpec(name="f"), [JobGrown(JOB, 100, {})], False))
    return states


def test_while_what_a_lease_here_goes_on_from_is_read_the_loop_does_other_things(
    world: World, states: SlowToRead
) -> None:
    begun: Future[port.Work | None] = Future()
    grant = Grant(LeaseId(1 << 32), JOB, 0, 10, CORE, {})
    runtime = world.runtime
    runtime.ask(lambda: runtime.work(grant, lambda work, _: begun.set_result(work)))
    assert states.read.wait(60)
    assert runtime.ask(begun.done) is False
    states.may.set()
    work = begun.result(60)
    assert work is not None
    assert load_one(work.saved[0]) == b"x" * 100


def test_while_what_a_linked_lease_goes_on_from_is_looked_through_the_loop_does_other_things(
    world: World, states: SlowToRead
) -> None:
    token = world.token()
    welcome = world.hello(token)
    world.tell(token, welcome)
    (lease,) = world.leases
    wanted = link.Wanted(boot=welcome.boot, grant=Grant(lease, JOB, 0, 1, CORE, {}))
    work, within = world.linked.work(world.linked.find(token, MINE), wanted)
    with ThreadPoolExecutor(1) as elsewhere:
        found = elsewhere.submit(world.linked.find_saved, JOB, within)
        assert states.read.wait(60)
        assert world.runtime.ask(found.done) is False
        states.may.set()
        about, payloads = pack_work(work, 0, frozenset(), frozenset(), found.result(60))
    taking = Unwrapping(1 << 20)
    for piece in wrap(about, payloads):
        taking.feed(piece)
    taking.end()
    assert taking.about is not None
    assert load_one(unpack_work(taking.about, taking.payloads).saved[0]) == b"x" * 100


def test_who_asks_anew_for_a_lease_gets_what_is_being_looked_through_already(
    world: World, states: SlowToRead
) -> None:
    """Of GiB it may take longer than a site has patience for."""
    token = world.token()
    welcome = world.hello(token)
    world.tell(token, welcome)
    (lease,) = world.leases
    wanted = link.Wanted(boot=welcome.boot, grant=Grant(lease, JOB, 0, 1, CORE, {}))
    body = b"".join(wrap(wanted))

    async def receive() -> dict[str, object]:
        return {"type": "http.request", "body": body, "more_body": False}

    async def ask(routes: LinkRoutes) -> bytes:
        scope = {"type": "http", "headers": [], "path_params": {"node": MINE}}
        call = Call(Request(scope, receive), None, token, world.tokens, Bodies(0, 0))
        answer: Any = await routes.work(call)
        return b"".join([bytes(piece) async for piece in answer.body_iterator])

    async def play() -> None:
        routes = LinkRoutes(world.linked)
        first = asyncio.create_task(ask(routes))
        await asyncio.to_thread(states.read.wait, 60)
        first.cancel()  # it has been too long
        again = [asyncio.create_task(ask(routes)) for _ in range(3)]
        for _ in range(100):
            await asyncio.sleep(0)
        states.may.set()
        for answer in await asyncio.gather(*again):
            assert b"x" * 100 in answer
        assert states.looks == 1

    asyncio.run(asyncio.wait_for(play(), 100))


def test_values_have_to_be_what_the_notes_say(world: World) -> None:
    job = world.job()
    token = world.token()
    welcome = world.hello(token)
    world.tell(token, welcome)
    (lease,) = world.leases
    job.program = port.Program(1, JOB, "f", None, each=True)
    note = SegmentNote(lease, JOB, 0, 1, 1)
    for value in (dump_each([1, 2]), dump_batch([1])):
        with pytest.raises(BadLink):
            world.tell(token, welcome, [note], values=[value])
    world.tell(token, welcome, [note], values=[dump_each([1])])
    assert job.done == [(0, 1)]


def test_another_token_takes_no_site_over(world: World) -> None:
    rightful, thief = world.token("a"), world.token("b")
    welcome = world.hello(rightful)
    with pytest.raises(BadLink, match="another token"):
        world.hello(thief, run=1 << 53)
    world.tell(rightful, welcome)
    world.tokens.revoke(rightful.id)
    world.hello(thief, run=3)


def test_a_damaged_file_of_tokens_ends_nothing(world: World) -> None:
    job = world.job()
    token = world.token()
    world.hello(token)
    (world.directory / "tokens.json").write_text("{")
    world.runtime.ask(world.linked._look)
    assert world.lives()
    assert job.state is None


def test_a_site_that_was_dismissed_is_not_heard(world: World) -> None:
    token = world.token()
    welcome = world.hello(token)
    site = world.linked.find(token, MINE)
    world.linked.leave(site)
    world.runtime.ask(lambda: None)
    with pytest.raises(BadLink):
        world.tell(token, welcome)
    report = Report(welcome.site, 2, 9, 0, CORE, CORE, 1, [], [])
    assert not world.runtime.ask(lambda: world.runtime.hear(report, {}))


def test_names_of_sites_are_their_own(world: World) -> None:
    one, other = world.token("lab"), world.token("lab")
    names = {world.hello(one).site, world.hello(other, OTHERS).site}
    assert len(names) == 2


def test_sites_of_an_earlier_run_are_waited_for_after_one_more_kill(world: World) -> None:
    token, other = world.token("a"), world.token("b")
    world.hello(token), world.hello(other, OTHERS)
    again = linked_in(world.directory, world.runtime, world.tokens)
    hello = link.Hello(node=MINE, site="s", incarnation=3, offer=Offer())
    again.hello(token, hello)
    kept = (world.directory / "sites.json").read_text()
    assert "a/s" in kept
    assert "b/s" in kept


def test_failures_that_nobody_asked_for_are_not_kept(world: World) -> None:
    token = world.token()
    welcome = world.hello(token)
    failure = Failure(cause=Cause.RAISED, function="f", item=0)
    for number in range(1, 50):
        note = FailureNote(LeaseId(7), JobId(f"j-{number:012x}"), 0, Cause.RAISED, 1)
        report = Report(welcome.site, 2, number, 0, CORE, CORE, number, [note], [])
        told = link.Told(
            boot=welcome.boot, report=codec.encode(report),
            failures=[link.Failed(number, failure, Usage())],
        )  # fmt: skip
        world.linked.told(world.linked.find(token, MINE), told, [])
    assert world.runtime.ask(lambda: len(world.runtime._reported._failures)) == 0


@pytest.mark.parametrize(
    "bad",
    [
        {"capacity": Amount(cpus_milli=1 << 52), "free": Amount()},
        {"capacity": Amount(custom_milli={f"r{n}": 1 for n in range(1000)}), "free": Amount()},
        {"capacity": Amount(custom_milli={"cpus": 1 << 40}), "free": Amount()},
        {"free": Amount(cpus_milli=2000)},
        {"failed": {"": "no environment at all"}},
        {"building": {"e": "x" * 100_000}},
        {"orders_age_ns": 1 << 60},
        {"notes": [EndNote(LeaseId(1), 1 << 60, 0)]},
        {"notes": [SegmentNote(LeaseId(1), JOB, 0, 1, -5)]},
        {"running": [Running(LeaseId(1), JOB, 5, 3, 9)]},
        {"running": [Running(LeaseId(1), JOB, 0, 0, 1)] * 30_000},
    ],
)
def test_numbers_out_of_bounds_are_refused(world: World, bad: dict[str, Any]) -> None:
    token = world.token()
    welcome = world.hello(token)
    values = [dump_each([1])] if "notes" in bad and "Segment" in str(bad) else []
    with pytest.raises((UsageError, BadLink)):
        world.tell(token, welcome, values=values, **bad)
    world.tell(token, welcome)
    assert world.lives()


@pytest.mark.parametrize(
    "offer",
    [
        {"packages": {f"p{n}": "1" for n in range(10_000)}},
        {"packages": {"p": "1" * 1000}},
        {"allow": ["*" * 1000]},
        {"allow": ["a"] * 1000},
    ],
)
def test_what_a_site_says_of_itself_has_bounds(world: World, offer: dict[str, Any]) -> None:
    with pytest.raises(UsageError):
        world.hello(world.token(), **offer)


@pytest.mark.parametrize(
    "more",
    [
        {"spent": {"x": 1}}, {"moved": {"x": (1, 1)}}, {"late_ns": 1}, {"late_ns": -1},
        {"times": {512: 1}}, {"times": {1: -1}}, {"cpu_ns": 1 << 60}, {"peak_bytes": -1},
    ],
    ids=str,
)  # fmt: skip
def test_a_site_says_what_items_took_and_not_what_they_cost(more: dict[str, Any]) -> None:
    honest = Usage(times={511: 1}, cpu_ns=1, peak_bytes=1)
    assert link.check_usage(honest) == honest
    with pytest.raises(UsageError):
        link.check_usage(msgspec.structs.replace(honest, **more))


def test_of_the_times_of_items_no_more_is_made_than_there_can_be() -> None:
    for count, error in ((BUCKETS, None), (BUCKETS + 1, msgspec.ValidationError)):
        told = msgspec.msgpack.encode(Usage(times=dict.fromkeys(range(count), 1)))
        with pytest.raises(error) if error else nullcontext():
            assert len(msgspec.msgpack.decode(told, type=Usage).times) == count


def test_machines_of_a_site_are_shown_if_their_numbers_can_be(world: World) -> None:
    token = world.token()
    welcome = world.hello(token)
    site = world.linked.find(token, MINE)
    machine = link.Machine(host="m1", offers=CORE)
    world.linked.consists(site, link.Machines(boot=welcome.boot, machines=[machine]))
    assert site.machines == [machine]
    for wrong in (-1, 1 << 60):
        bad = link.Machine(host="m1", offers=CORE, uses=Amount(cpus_milli=wrong))
        with pytest.raises(UsageError):
            world.linked.consists(site, link.Machines(boot=welcome.boot, machines=[bad]))
    with pytest.raises(BadLink):
        world.linked.consists(site, link.Machines(boot="another", machines=[]))
    assert site.machines == [machine]


small = st.integers(0, 12)
lease = st.integers(0, 6).map(lambda n: LeaseId((1 << 32) + n - 1))
notes = st.one_of(
    st.builds(SegmentNote, lease, st.just(JOB), small, small, small, st.booleans()),
    st.builds(FailureNote, lease, st.just(JOB), small, st.sampled_from(Cause), small),
    st.builds(EndNote, lease, small, small, st.sampled_from(["", "lost"])),
)
spans = st.builds(
    lambda n, a, b, c: Running(n, JOB, *sorted((a, b, c))), lease, small, small, small
)
step = st.tuples(
    st.sampled_from([MINE, OTHERS]), st.lists(notes, max_size=4), st.lists(spans, max_size=2),
    st.sampled_from(["tell", "tell", "tell", "leave", "hello"]),
)  # fmt: skip


@given(st.lists(step, max_size=12))
@settings(
    suppress_health_check=[HealthCheck.function_scoped_fixture], max_examples=40, deadline=None
)
def test_no_report_breaks_a_home(tmp_path_factory: Any, steps: list[Any]) -> None:
    directory = tmp_path_factory.mktemp("home")
    directory.chmod(0o700)
    world = World(directory)
    try:
        world.job(size=12)
        tokens = {MINE: world.token("a"), OTHERS: world.token("b")}
        welcomes = {node: world.hello(token, node) for node, token in tokens.items()}
        numbers = dict.fromkeys(tokens, 1)
        for node, some, running, kind in steps:
            token = tokens[node]
            try:
                if kind == "leave":
                    world.linked.leave(world.linked.find(token, node))
                elif kind == "hello":
                    welcomes[node] = world.hello(token, node)
                else:
                    segments = [note for note in some if isinstance(note, SegmentNote)]
                    values = [
                        dump_each([0] * (1 if note.folded else max(0, note.stop - note.start)))
                        for note in segments
                    ]
                    world.tell(token, welcomes[node], some, running, values, node, numbers[node])
                    numbers[node] += len(some)
            except HanseError:
                pass  # it is refused, and nothing has happened
            assert world.lives()
    finally:
        world.runtime.close()
