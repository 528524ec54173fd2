"""`hanse.connect`: starts what workers come from, and imports the client while that starts.

Importing the client takes as long as a Python process takes to start, and both need only a core
each. So this module imports next to nothing, not even `typing` or the errors (20 ms together), and
the two happen at the same time.
"""

from __future__ import annotations

import gc
import os
import sys

TYPE_CHECKING = False
if TYPE_CHECKING:
    from hanse.client.client import Client
    from hanse.engines.local.spawning import Early
    from hanse.model.resources import Resources


def connect(url: str | None = None, *, resources: Resources | None = None) -> Client:
    """Open a client on this machine.

    Args:
        url: a node's address. Not offered yet: there is only this machine.
        resources: what to use of this machine; by default all its cores (HANSE_CPUS overrides
            that) and all its memory.
    """
    _check(url)
    early = _early()
    try:
        from hanse.client.client import Client

        return Client(resources=resources, early=early)
    finally:
        if early is not None:
            early.end()  # unless it was taken


def ambient() -> Client:
    """The innermost open client, or the program's own."""
    early = _early()
    try:
        from hanse.client import client

        return client.ambient(early)
    finally:
        if early is not None:
            early.end()


def _check(url: str | None) -> None:
    if url is not None or os.environ.get("HANSE_URL"):
        from hanse.errors import UsageError

        raise UsageError(
            "this version of Hanse runs on one machine only: call connect() without a URL and "
            "unset HANSE_URL"
        )


def _early() -> Early | None:
    """What the first client starts with: a nursery, which starts while the client is imported."""
    if "hanse.client.client" in sys.modules:
        return None
    _check(None)
    from hanse.engines.local.spawning import Early

    early = Early()
    try:
        _import_client()
    except BaseException:
        early.end()
        raise
    return early


def _import_client() -> None:
    """Without looks for garbage: modules make much that stays, and looking takes a tenth longer."""
    collecting = gc.isenabled()
    gc.disable()
    try:
        import hanse.client.client  # noqa: F401
    finally:
        if collecting:
            gc.enable()
