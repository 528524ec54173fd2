"""A node from its start to its end."""

from __future__ import annotations

import contextlib
import gc
import os
import platform
import signal
import socket
import time
from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

import msgspec

from hanse import __version__, limits
from hanse.engines.environments.store import root_in
from hanse.engines.local.engine import LocalEngine
from hanse.errors import UsageError, WorldError
from hanse.home import home_directory
from hanse.journal import private
from hanse.limits import HEARTBEAT_NS, MS
from hanse.model.aims import NANO, Tariff
from hanse.model.fit import Offer
from hanse.model.resources import Amount, Resources
from hanse.node.audit import Audit
from hanse.node.board import Board
from hanse.node.evictions.machine import Leaving
from hanse.node.fetching import Fetching
from hanse.node.lease_tokens import LeaseTokens, key_in
from hanse.node.linked import Linked, earlier_sites
from hanse.node.links import Links
from hanse.node.log_lines import keep_plain
from hanse.node.machines import Machines
from hanse.node.place import Place, Running
from hanse.node.prices import egress_of, schedule_of
from hanse.node.renting import Renting
from hanse.node.seen_spots import SeenSpots
from hanse.node.serving import Serving
from hanse.node.tokens import Role, Tokens
from hanse.records.state import open_state
from hanse.remote import address
from hanse.runtime.machine import capacity, packages, python_version, with_scripts
from hanse.runtime.runtime import EngineFactory, Runtime
from hanse.wire import protocol
from hanse.wire.api import NodeInfo

if TYPE_CHECKING:
    from hanse.engines.local.sandbox import Sandbox
    from hanse.engines.ray.site import Site
    from hanse.node.http.bodies import Bodies
    from hanse.node.http.line import Listening
    from hanse.node.identity import Identity
    from hanse.node.site_tls import SiteAuthority

DEFAULT_PORT = 7437
NOT_INSTALLED = "a node needs more libraries than a client: pip install 'hanse[node]'"


class Settings(msgspec.Struct, frozen=True, kw_only=True):
    """
    Attributes:
        home: the node's directory.
        host, port: where it listens; port 0 takes a free one.
        engine: "local", or "ray": then this node heads a Ray cluster.
        ray_address: of a Ray cluster that is used instead.
        names: host names and addresses by which others reach it, the best first.
        region, labels, price: what it is, for whoever places work; the price is for an hour.
        prices: a file with other prices, from certain moments on.
        egress: a file that says what bytes between regions cost; None: `egress.toml` in `home`, if
            there is one.
        evictions: who tells that this machine is taken away, one of `evictions.KINDS`; "": that
            of the cloud it is in, if it can be taken away at any time.
        evict_file: a file that tells so by being there.
        notice_s: what is left then, if nobody says.
        works: whether jobs run on this machine too, not only at the sites that are linked to it.
        providers: a file that says what can be rented; None: `providers.toml` in `home`, if there
            is one.
        rented: the token of a node that this machine was rented by: it works for that one alone,
            and ends when that wants it no more.
        sandbox: what items run in: "bwrap", or "" for nothing.
    """

    home: Path
    host: str = "127.0.0.1"
    port: int = DEFAULT_PORT
    names: Sequence[str] = ()
    region: str = ""
    labels: Sequence[str] = ()
    price: float | None = None
    prices: Path | None = None
    egress: Path | None = None
    resources: Resources | None = None
    sandbox: str = ""
    engine: str = "local"
    ray_address: str | None = None
    works: bool = True
    providers: Path | None = None
    rented: str = ""
    evictions: str = ""
    evict_file: Path | None = None
    notice_s: float = limits.EVICTION_NOTICE_S


def run(settings: Settings, ready: Callable[[Running, str], None]) -> None:
    """Run a node until SIGTERM or SIGINT. `ready` is called, with the token of this user, once it
    can be reached.

    Raises UsageError if another runs in its directory, WorldError if it cannot listen, or cannot
    make the sandbox.
    """
    for name in ("HANSE_URL", "HANSE_TOKEN"):  # items would see them, and work somewhere else
        os.environ.pop(name, None)
    if settings.rented:  # it keeps nothing beyond its life, and nothing of others
        os.environ.pop("HANSE_JOURNAL", None)
    keep_plain()
    gc.freeze()  # what was imported stays: to look through it again and again holds up the loop
    place = Place(settings.home)
    with place.taken(), contextlib.ExitStack() as stack:
        listening = listen(settings.host, settings.port)
        stack.callback(listening.close)
        port = listening.getsockname()[1]
        identity, names = _identity(settings)
        scheme = "http" if identity is None else "https"
        url = f"{scheme}://{_in_url(names[0])}:{port}"
        tokens = Tokens(place.tokens)
        mine = _local_token(place, tokens, url, identity)
        machine = capacity(settings.resources)
        offered = with_scripts(machine) if settings.works else Amount()
        authority = _site_authority(settings)
        site = _site(settings, machine, authority)
        engine: EngineFactory
        if site is not None:
            stack.callback(site.close)
            engine = site.engine
        else:
            engine = partial(
                LocalEngine, max_idle=max(1, offered.cpus_milli // 1000),
                environments=root_in(settings.home), sandbox=_sandbox(settings),
            )  # fmt: skip
        # Sites may still run leases of an earlier run: numbers must not come twice.
        run = place.next_run()
        first_lease = run << limits.LEASE_BITS
        sites = earlier_sites(place.sites)
        runtime = Runtime(offered, engine, settings.home, first_lease, sites)
        stack.callback(runtime.close)
        if site is not None:
            runtime.loop.post(partial(site.begin, partial(_resize, runtime)))
        board = Board(runtime)
        key = key_in(place.lease_key)
        tokens.of_leases = leases = LeaseTokens(key, runtime.home.leases, board.has)
        fingerprint = "" if identity is None else identity.fingerprint
        board.token_of = lambda job, lease: address.encode(
            address.Address(url, fingerprint, leases.secret(job, lease))
        )
        node = _node_id(settings.home)
        info = NodeInfo(
            node=node, host=socket.gethostname(), version=__version__,
            protocol=protocol.OURS.newest, oldest_protocol=protocol.OURS.oldest,
            python=platform.python_version(), region=settings.region,
            labels=list(settings.labels), price=settings.price, capacity=offered,
        )  # fmt: skip
        board.recover()
        audit = stack.enter_context(contextlib.closing(Audit(place.audit)))
        offer = Offer(
            python=python_version(), packages=packages(), tariff=_tariff(settings),
            works=settings.works,
            names=sorted({socket.gethostname(), *settings.names, *settings.labels}),
        )  # fmt: skip
        runtime.ask(lambda: runtime.describe(runtime.own.agent.site, offer))
        egress = egress_of(settings.egress, place.egress)
        runtime.ask(lambda: runtime.home.carries_at(egress, settings.region))
        linked = Linked(runtime, place.sites, sites, node, tokens)
        links = Links(
            runtime, place.links, node, offer,
            lambda dial, offer: Fetching(dial, node, offer, board.state.codes, board.next_key),
        )  # fmt: skip
        stack.callback(links.close)
        renting = _renting(settings, place, runtime, linked, tokens, node, run, url, fingerprint)
        seen_spots = SeenSpots(runtime, place.spots)
        seen_spots.begin()  # before sites are heard
        stack.callback(seen_spots.close)
        machines = Machines(runtime, linked, site, renting, authority)
        links.machines = machines.parts
        leaving = Leaving(
            runtime, links, settings.labels, settings.evictions, settings.evict_file,
            settings.notice_s,
        )  # fmt: skip
        stack.callback(leaving.close)
        own = b"" if identity is None else identity.authority
        routes = _table(info, own, board, linked, links, machines, tokens)
        server = server_for(board, tokens, audit, identity, names, routes)
        links.begin()
        if renting is not None:
            stack.callback(renting.close)
            renting.begin()
        running = Running(os.getpid(), url, time.time())

        def stop(*_: object) -> None:
            server.should_exit = True

        # The server takes these while it runs, ends in order, and then raises them once more: that
        # must not cut short what is done after it.
        for number in (signal.SIGTERM, signal.SIGINT):
            stack.callback(signal.signal, number, signal.signal(number, stop))
        leaving.mind(server)
        from hanse.node.http.line import serve

        place.say(running)
        ready(running, mine)
        if settings.rented:
            Serving(links, settings.rented, stop).begin()
        serve(server, listening, lambda: _identity(settings)[0])


def _renting(
    settings: Settings, place: Place, runtime: Runtime, linked: Linked, tokens: Tokens, node: str,
    run: int, url: str, fingerprint: str,
) -> Renting | None:  # fmt: skip
    """What rents machines; None if there is no file that says what can be. Raises UsageError if
    that is wrong."""
    path = settings.providers or place.providers
    known = settings.providers is not None or path.exists()
    if not known and not place.rented.exists():  # else there may be machines, which are told of
        return None
    from hanse.node.providers import config

    def token_text(secret: str) -> str:
        return address.encode(address.Address(url, fingerprint, secret))

    brings = config.read(path, node) if known else []
    return Renting(runtime, linked, tokens, place.rented, run, brings, token_text)


def _sandbox(settings: Settings) -> Sandbox | None:
    """What items run in. They see of the node's directory what they import, and nothing else."""
    if not settings.sandbox:
        return None
    from hanse.engines.local.sandbox import Sandbox

    state = open_state(home=settings.home)
    assert state is not None
    state.close()
    code = state.home / "code"
    private.directory(str(code))  # what is not there now could not be shown later
    hidden = [str(settings.home), str(home_directory())]
    sandbox = Sandbox(hidden, shown=[str(code)])
    sandbox.check()
    return sandbox


def _resize(runtime: Runtime, offered: Amount) -> None:
    """Its machines have so much now; nothing: they are gone."""
    runtime.resize(with_scripts(offered) if offered != Amount() else offered)


def _site_authority(settings: Settings) -> SiteAuthority | None:
    """Signs for the machines of a cluster that this node heads."""
    if settings.engine != "ray" or settings.ray_address is not None:
        return None
    try:
        from hanse.node.site_tls import SiteAuthority
    except ImportError as error:
        raise UsageError(NOT_INSTALLED) from error
    return SiteAuthority(settings.home / "site")


def _site(settings: Settings, offered: Amount, authority: SiteAuthority | None) -> Site | None:
    """The machines of this node, if there may be several. Raises EngineError, UsageError."""
    if settings.engine != "ray":
        return None
    from hanse.engines.ray.site import Site

    host = settings.host
    near = address.is_loopback(host) or host in ("0.0.0.0", "::")
    return Site(
        settings.home, offered, address=settings.ray_address, host=None if near else host,
        certify=None if authority is None else authority.own,
        sandbox=_sandbox(settings) is not None,
    )  # fmt: skip


def listen(host: str, port: int) -> Listening:
    """A socket that listens. Raises UsageError, WorldError."""
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    try:
        from hanse.node.http.line import Listening, raise_descriptors
    except ImportError as error:
        raise UsageError(NOT_INSTALLED) from error
    listening = Listening(family, socket.SOCK_STREAM, socket.IPPROTO_TCP)
    listening.bound(raise_descriptors() // 2)
    try:
        # asyncio turns Nagle's algorithm off where it is told that this is TCP.
        listening.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        if hasattr(socket, "TCP_USER_TIMEOUT"):  # a client that vanished is seen by its silence
            gone_ms = 3 * HEARTBEAT_NS // MS
            listening.setsockopt(socket.IPPROTO_TCP, socket.TCP_USER_TIMEOUT, gone_ms)
        listening.bind((host, port))
        listening.listen(1024)
    except (OSError, OverflowError) as error:
        listening.close()
        raise WorldError(
            f"cannot listen on {host}:{port}: {error}. --listen ADDRESS:PORT names another"
        ) from error
    return listening


def _identity(settings: Settings) -> tuple[Identity | None, list[str]]:
    """The identity, beyond loopback, and the names that it is for."""
    if address.is_loopback(settings.host):
        names = [settings.host, *(n for n in address.LOOPBACK if n != settings.host)]
        return None, names
    names = list(settings.names)
    if not names:
        wildcard = settings.host in ("0.0.0.0", "::")
        names = [socket.getfqdn() if wildcard else settings.host]
    try:
        from hanse.node.identity import make_identity
    except ImportError as error:
        raise UsageError(NOT_INSTALLED) from error
    return make_identity(settings.home, [*names, "localhost", "127.0.0.1"]), [
        *names,
        *address.LOOPBACK,
    ]


def _local_token(place: Place, tokens: Tokens, url: str, identity: Identity | None) -> str:
    """The token of whoever runs the node, in a file that only they can read."""
    fingerprint = "" if identity is None else identity.fingerprint
    secret = ""
    with contextlib.suppress(OSError, UsageError):
        private.files([str(place.local_token)])
        secret = address.decode(place.local_token.read_text()).secret
    if not secret or tokens.find(secret) is None:
        _, secret = tokens.create(Role.ADMIN, "the user of this machine", None)
    text = address.encode(address.Address(url, fingerprint, secret))
    private.write(place.local_token, text.encode() + b"\n")
    return text


def _node_id(home: Path) -> str:
    """Random, made once."""
    path = home / "id"
    with contextlib.suppress(FileNotFoundError):
        return path.read_text().strip()
    id = "n-" + os.urandom(6).hex()
    private.write(path, id.encode() + b"\n")
    return id


def _tariff(settings: Settings) -> Tariff:
    """What the node says of where it is, and at what price."""
    return Tariff(
        region=settings.region, price_nano=round((settings.price or 0) * NANO),
        spot="spot" in settings.labels,
        schedule=schedule_of(settings.prices) if settings.prices is not None else [],
    )  # fmt: skip


def _table(*arguments: Any) -> list[Any]:
    try:
        from hanse.node.http.app import table
    except ImportError as error:
        raise UsageError(NOT_INSTALLED) from error
    return table(*arguments)


def server_for(
    board: Board | None, tokens: Tokens, audit: Audit, identity: Identity | None,
    names: Sequence[str], routes: list[Any], bodies: Bodies | None = None,
) -> Any:  # fmt: skip
    """uvicorn, ready to run. `bodies`: see `make_app`. Raises UsageError, WorldError."""
    try:
        import httptools  # noqa: F401 - uvicorn would fall back to what takes twice as long
        import uvicorn

        from hanse.node.http.app import make_app
        from hanse.node.http.line import Line
    except ImportError as error:
        raise UsageError(NOT_INSTALLED) from error
    app = make_app(board, tokens, audit, frozenset(name.lower() for name in names), routes, bodies)
    config = uvicorn.Config(
        app, http=Line, ws="none", lifespan="off", log_config=None, access_log=False,
        server_header=False, date_header=False, timeout_keep_alive=75, backlog=1024,
        proxy_headers=False, timeout_graceful_shutdown=1,
        ssl_keyfile=None if identity is None else str(identity.key),
        ssl_certfile=None if identity is None else str(identity.chain),
    )  # fmt: skip
    try:
        config.load()  # before anybody is told that the node runs
    except OSError as error:  # ssl.SSLError is one
        raise WorldError(f"the node's certificate cannot be used: {error}") from error
    return uvicorn.Server(config)


def _in_url(name: str) -> str:
    return f"[{name}]" if ":" in name else name
