"""`hanse.connect`: starts what workers come from, and imports the client while that starts.

Importing the client takes as long as a Python process takes to start, and both need only a core
each. So this module imports next to nothing, not even `typing` or the errors (20 ms together), and
the two happen at the same time.
"""

from __future__ import annotations

import gc
import os
import sys

_HERE = "here"  # as in hanse.remote.finding, which takes long to import

TYPE_CHECKING = False
if TYPE_CHECKING:
    from hanse.client.client import Client
    from hanse.engines.local.spawning import Early
    from hanse.model.resources import Resources


def connect(
    url: str | None = None, *, resources: Resources | None = None, prints: bool | None = None
) -> Client:
    """Open a client on this machine.

    Args:
        url: a node's address, or a token for it; by default HANSE_URL or HANSE_TOKEN, or the node
            that `hanse login` named. Without any of these, and for "here", this machine does the
            work.
        resources: what to use of this machine; by default all its cores (HANSE_CPUS overrides
            that) and all its memory.
        prints: whether what items print on a node comes to this program's stdout and stderr;
            by default what HANSE_PRINTS says (`hanse run --prints` sets it), else no. What items
            print on this machine comes always.

    Raises NodeUnavailable, NotAllowed, UsageError.
    """
    told = _told() if url is None else url
    if told not in (None, _HERE):
        return _to_node(url, resources, prints)
    early = _early()
    try:
        if told is None and _logged_in():
            return _to_node(None, resources, prints)
        from hanse.client.client import Client

        return Client(resources=resources, early=early)
    finally:
        if early is not None:
            early.end()  # unless it was taken


def ambient() -> Client:
    """The innermost open client, or the program's own."""
    told = _told()
    early = _early() if told in (None, _HERE) else None
    try:
        from hanse.client import client

        elsewhere = told is None and _logged_in()
        return client.ambient(None if elsewhere else early)
    finally:
        if early is not None:
            early.end()


def _early() -> Early | None:
    """What the first client starts with: a nursery, which starts while the client is imported."""
    if "hanse.client.client" in sys.modules:
        return None
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


# --- nodes ----------------------------------------------------------------------------------------
def _told() -> str | None:
    """The node that variables tell of, or that there is none."""
    return os.environ.get("HANSE_URL") or os.environ.get("HANSE_TOKEN") or None


def _logged_in() -> bool:
    from hanse.home import home_directory

    return os.path.exists(home_directory() / "login")


def _to_node(url: str | None, resources: Resources | None, prints: bool | None = None) -> Client:
    if resources is not None:
        from hanse.errors import UsageError

        raise UsageError("resources= is about this machine, and a node does the work: leave it out")
    from hanse.client.client import Client
    from hanse.client.code import Gatherer
    from hanse.client.requirements import requirements
    from hanse.remote.dial import Dial
    from hanse.remote.finding import find_node
    from hanse.remote.runtime import RemoteRuntime

    found = find_node(url)
    assert found is not None
    runtime = RemoteRuntime(Dial(found), Gatherer(), requirements)
    return Client(runtime=runtime, prints=prints)
