"""All routes of a node, in one table: what is not in it is not there."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Sequence
from typing import Any, NamedTuple

import msgspec
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import HTMLResponse, Response
from starlette.routing import Route as Path

from hanse import limits
from hanse.model.quote import Quote
from hanse.node.audit import Audit
from hanse.node.board import Board
from hanse.node.dash.codes import Codes
from hanse.node.dash.sight import OfNode
from hanse.node.http import code, docs, jobs, logs, metrics, openapi
from hanse.node.http.bodies import Bodies
from hanse.node.http.call import BYTES, Call
from hanse.node.http.dash import DashRoutes, Failures, Leases, LogPart
from hanse.node.http.guard import Guard, Handler, secured
from hanse.node.http.link import LinkRoutes
from hanse.node.http.links import LinksRoutes
from hanse.node.http.machines import MachineRoutes
from hanse.node.http.problems import internal, problem
from hanse.node.http.turns import Turns
from hanse.node.linked import Linked
from hanse.node.links import Links
from hanse.node.machines import Machines
from hanse.node.tokens import Right, Tokens
from hanse.remote.records import NodeHead
from hanse.runtime.machine import usable_memory
from hanse.wire import api
from hanse.wire import link as wire_link

PEM = "application/x-pem-file"


class Route(NamedTuple):
    method: str
    path: str
    right: Right | None  # None: open to all
    handler: Handler
    takes: type | None = None  # what its parcel is about
    gives: Any = None  # None: bytes, of this media type
    media: str = BYTES


def table(
    info: api.NodeInfo,
    authority: bytes,
    board: Board,
    linked: Linked,
    links: Links,
    machines: Machines,
    tokens: Tokens,
) -> list[Route]:
    """
    Args:
        authority: the certificate of the node's own authority, PEM; empty without TLS.
    """
    sites, homes, joining = LinkRoutes(linked), LinksRoutes(links), MachineRoutes(machines)
    turns = Turns()
    dash = DashRoutes(OfNode(board, info, machines), Codes(tokens), turns)
    described: dict[str, Any] = {}
    page, style = "", docs.STYLE.read_text()
    looking, looked_s = asyncio.Lock(), -limits.READY_S

    async def show_node(call: Call) -> Response:
        """Who this node is."""
        return call.answer(msgspec.structs.replace(info, capacity=board.runtime.capacity))

    async def alive(call: Call) -> Response:
        """The process answers."""
        return call.answer("ok")

    async def ready(call: Call) -> Response:
        """Jobs can be run: the journal can be read."""
        nonlocal looked_s
        async with looking:  # many ask: one looks
            if time.monotonic() - looked_s > limits.READY_S:
                await call.waiting(call.board.state.journal.heads, 1)
                looked_s = time.monotonic()
        return call.answer("ready")

    async def show_authority(call: Call) -> Response:
        """The certificate of this node's own authority; tokens carry its fingerprint."""
        if not authority:
            return problem(404, "no-tls", "This node is on loopback only, and has no certificate")
        return Response(authority, media_type=PEM)

    async def describe(call: Call) -> Response:
        """What you are reading, for programs."""
        return call.answer(described)

    async def show_docs(call: Call) -> Response:
        """What you are reading, for people."""
        return HTMLResponse(page, headers={"content-security-policy": docs.POLICY})

    async def show_style(call: Call) -> Response:
        """How that looks."""
        return Response(style, media_type="text/css")

    read, submit, link = Right.READ, Right.SUBMIT, Right.LINK
    routes = [
        Route("GET", "/healthz", None, alive, gives=str),
        Route("GET", "/readyz", None, ready, gives=str),
        Route("GET", "/authority.pem", None, show_authority, media=PEM),
        Route("GET", "/openapi.json", None, describe, gives=dict),
        Route("GET", "/docs", None, show_docs, media="text/html"),
        Route("GET", "/docs.css", None, show_style, media="text/css"),
        Route("GET", "/metrics", read, metrics.answering(board, info), media="text/plain"),
        Route("GET", "/v1/node", read, show_node, gives=api.NodeInfo),
        Route("GET", "/v1/machines", read, joining.list_machines, gives=list[api.MachineInfo]),
        Route("GET", "/v1/providers", read, joining.list_providers, gives=list[api.ProviderInfo]),
        Route("GET", "/v1/site", Right.JOIN, joining.show_site, gives=api.SiteInfo),
        Route(
            "POST", "/v1/site/certificate", Right.JOIN, joining.certify, api.Certify, api.Certified
        ),
        Route("GET", "/v1/jobs", read, jobs.list_jobs, gives=list[NodeHead]),
        Route("POST", "/v1/jobs", submit, jobs.create, api.NewJob, api.Taken),
        Route("POST", "/v1/quote", read, turns.quote, api.AskQuote, Quote),
        Route("GET", "/v1/find", read, jobs.find_job, gives=NodeHead),
        Route("GET", "/v1/jobs/{job}", read, jobs.show_job, gives=NodeHead),
        Route("DELETE", "/v1/jobs/{job}", submit, jobs.remove, gives=api.Removed),
        Route("GET", "/v1/jobs/{job}/logs", read, logs.logs),
        Route("GET", "/v1/jobs/{job}/progress", read, turns.progress, gives=api.Progress),
        Route("GET", "/v1/jobs/{job}/entries", read, jobs.entries),
        Route("GET", "/v1/jobs/{job}/payloads", read, jobs.show_payloads, gives=list[bytes]),
        Route("GET", "/v1/jobs/{job}/follow", read, jobs.follow),
        Route("POST", "/v1/jobs/{job}/take", submit, jobs.take, api.Take, api.Taken),
        Route("PUT", "/v1/jobs/{job}/inputs", submit, jobs.feed, api.Inputs, int),
        Route("POST", "/v1/jobs/{job}/seal", submit, jobs.seal, api.SealJob, type(None)),
        Route("POST", "/v1/jobs/{job}/fold", submit, jobs.fold, api.Fold, type(None)),
        Route("POST", "/v1/jobs/{job}/cancel", submit, jobs.cancel, api.CancelRange, type(None)),
        Route("GET", "/v1/blobs/{blob}", read, jobs.blob),
        Route("POST", "/v1/code", submit, code.offer_code, api.Code, api.CodeKept),
        Route("PUT", "/v1/code", submit, code.give_code, api.CodeFiles, api.CodeKept),
        Route("POST", "/v1/link/hello", link, sites.hello, wire_link.Hello, wire_link.Welcome),
        Route("GET", "/v1/link/{node}/orders", link, sites.orders),
        Route("POST", "/v1/link/{node}/report", link, sites.report, wire_link.Told, type(None)),
        Route("POST", "/v1/link/{node}/saved", link, sites.saved, wire_link.Saved, type(None)),
        Route(
            "POST", "/v1/link/{node}/machines", link, sites.machines, wire_link.Machines, type(None)
        ),
        Route("POST", "/v1/link/{node}/work", link, sites.work, wire_link.Wanted),
        Route("GET", "/v1/link/{node}/code/{code}", link, sites.code, gives=api.Code),
        Route("POST", "/v1/link/{node}/code", link, sites.code_files, api.CodeFiles),
        Route("POST", "/v1/link/{node}/leave", link, sites.leave, wire_link.Gone, type(None)),
        Route("GET", "/v1/sites", read, dash.list_sites, gives=list[api.SiteSeen]),
        Route("GET", "/v1/links", read, homes.list_links, gives=list[api.LinkInfo]),
        Route("POST", "/v1/links", Right.ADMIN, homes.add, api.NewLink, api.LinkInfo),
        Route("DELETE", "/v1/links/{link}", Right.ADMIN, homes.remove_link, gives=type(None)),
    ]
    routes += dash_table(dash)
    described |= openapi.document(routes, info.version)
    page = docs.page(described)
    return routes


def dash_table(dash: DashRoutes) -> list[Route]:
    """The page's own, which `hanse dash` serves without a node too."""
    read = Right.READ
    return [
        Route("GET", "/", None, dash.show_page, media="text/html"),
        Route("GET", "/dash/file/{file}", None, dash.page_file, media="text/javascript"),
        Route("POST", "/dash/codes", read, dash.make_code, gives=api.DashCode),
        Route("POST", "/dash/session", None, dash.redeem, api.Redeem, api.DashSession),
        Route("GET", "/dash/about", read, dash.about, gives=dict),
        Route("GET", "/dash/events", read, dash.events, media="text/event-stream"),
        Route("GET", "/dash/jobs/{job}", read, dash.job_story, gives=dict),
        Route("GET", "/dash/jobs/{job}/waits", read, dash.job_waits, gives=api.Progress),
        Route("GET", "/dash/jobs/{job}/failures", read, dash.job_failures, gives=Failures),
        Route("GET", "/dash/jobs/{job}/leases", read, dash.job_leases, gives=Leases),
        Route("GET", "/dash/jobs/{job}/trace", read, dash.job_trace, gives=dict),
        Route("GET", "/dash/jobs/{job}/log", read, dash.job_log, gives=LogPart),
    ]


def make_app(
    board: Board | None,
    tokens: Tokens,
    audit: Audit,
    hosts: frozenset[str],
    routes: Sequence[Route],
    bodies: Bodies | None = None,
) -> Starlette:
    """
    Args:
        bodies: where they have room, if not in a part of this machine's memory.
    """
    if bodies is None:
        share = max(limits.BODIES_LEAST_BYTES, usable_memory() // limits.BODIES_SHARE)
        bodies = Bodies(share, limits.BODIES_SHARES * share)
    guard = Guard(board, tokens, audit, hosts, bodies)
    paths = [
        Path(each.path, guard.endpoint(each.handler, each.right, each.path), methods=[each.method])
        for each in routes
    ]

    for each in paths:  # starlette adds it to GET by itself
        assert each.methods is not None
        each.methods.discard("HEAD")

    async def missing(request: Request, error: Exception) -> Response:
        words = "There is nothing here: /docs and /openapi.json list what is"
        return secured(problem(404, "no-such-path", words))

    async def refused(request: Request, error: Exception) -> Response:
        return secured(problem(405, "wrong-method", "This path does not take that method"))

    async def broken(request: Request, error: Exception) -> Response:
        return secured(internal())

    app = Starlette(
        routes=paths, exception_handlers={404: missing, 405: refused, Exception: broken}
    )
    app.router.redirect_slashes = False  # a path is what the table says
    return app
