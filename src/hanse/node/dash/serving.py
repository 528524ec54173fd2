"""The page without a node: a server on loopback that shows what a sight has, and takes nothing."""

from __future__ import annotations

import contextlib
import logging
import signal
import tempfile
from collections.abc import Callable
from pathlib import Path

from hanse.errors import UsageError
from hanse.node.audit import Audit
from hanse.node.daemon import NOT_INSTALLED, listen, server_for
from hanse.node.dash.codes import Codes
from hanse.node.dash.sight import Sight
from hanse.node.log_lines import keep_plain
from hanse.node.tokens import Tokens
from hanse.remote.address import LOOPBACK


def serve(sight: Sight, port: int, ready: Callable[[str, str], None]) -> None:
    """Serve the page until SIGTERM or SIGINT. `ready` is told its URL, and a code that lets one
    browser in. Nothing is left behind. Raises UsageError, WorldError."""
    try:
        from hanse.node.http.app import dash_table
        from hanse.node.http.dash import DashRoutes
    except ImportError as error:
        raise UsageError(NOT_INSTALLED) from error
    keep_plain()
    logging.getLogger("uvicorn.error").setLevel(logging.CRITICAL)  # pages that are open at the end
    with contextlib.ExitStack() as stack:
        listening = stack.enter_context(contextlib.closing(listen("127.0.0.1", port)))
        place = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="hanse-dash-")))
        tokens = Tokens(place / "tokens.json")
        audit = stack.enter_context(contextlib.closing(Audit(place / "audit.log")))
        codes = Codes(tokens)
        routes = dash_table(DashRoutes(sight, codes))
        server = server_for(None, tokens, audit, None, LOOPBACK, routes)

        def stop(*_: object) -> None:
            server.should_exit = True

        for number in (signal.SIGTERM, signal.SIGINT):  # see `daemon.run`
            stack.callback(signal.signal, number, signal.signal(number, stop))
        ready(f"http://127.0.0.1:{listening.getsockname()[1]}", codes.create(None))
        server.run([listening])
