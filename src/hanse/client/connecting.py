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
        url: a node's address, or a token for it; by default HANSE_URL or HANSE_TOKEN, or the node
            that `hanse login` named. Without any of these this machine does the work.
        resources: what to use of this machine; by default all its cores (HANSE_CPUS overrides
            that) and all its memory.

    Raises NodeUnavailable, NotAllowed, UsageError.
    """
    if url is not None or _node_is_told():
        return _to_node(url, resources)
    early = _early()
    try:
        if _logged_in():
            return _to_node(None, resources)
        from hanse.client.client import Client

        return Client(resources=resources, early=early)
    finally:
        if early is not None:
            early.end()  # unless it was taken


def ambient() -> Client:
    """The innermost open client, or the program's own."""
    early = None if _node_is_told() else _early()
    try:
        from hanse.client import client

        return client.ambient(None if early is None or _logged_in() else early)
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
def _node_is_told() -> bool:
    return bool(os.environ.get("HANSE_URL") or os.environ.get("HANSE_TOKEN"))


def _logged_in() -> bool:
    from hanse.home import home_directory

    return os.path.exists(home_directory() / "login")


def _to_node(url: str | None, resources: Resources | None) -> Client:
    if resources is not None:
        from hanse.errors import UsageError

        raise UsageError("resources= is about this machine, and a node does the work: leave it out")
    from hanse.client.client import Client
    from hanse.client.code import Gatherer
    from hanse.remote.dial import Dial
    from hanse.remote.finding import find_node
    from hanse.remote.runtime import RemoteRuntime

    found = find_node(url)
    assert found is not None
    return Client(runtime=RemoteRuntime(Dial(found), Gatherer()))
