"""`hanse.connect`: starts what workers come from, and imports the client while that starts.

Importing the client takes as long as a Python process takes to start, and both need only a core
each. So this module imports next to nothing, and the two happen at the same time.
"""

from __future__ import annotations

import os
import sys
from typing import TYPE_CHECKING

from hanse.errors import UsageError

if TYPE_CHECKING:
    from hanse.client.client import Client
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
    if url is not None or os.environ.get("HANSE_URL") or os.environ.get("HANSE_TOKEN"):
        return _to_node(url, resources)
    if "hanse.client.client" in sys.modules:
        from hanse.client.client import Client

        return _to_node(None, resources) if _logged_in() else Client(resources=resources)
    from hanse.engines.local.spawning import Early

    early = Early()
    try:
        if _logged_in():
            return _to_node(None, resources)
        from hanse.client.client import Client

        return Client(resources=resources, early=early)
    finally:
        early.end()


def _logged_in() -> bool:
    from hanse.home import home_directory

    return os.path.exists(home_directory() / "login")


def _to_node(url: str | None, resources: Resources | None) -> Client:
    if resources is not None:
        raise UsageError("resources= is about this machine, and a node does the work: leave it out")
    from hanse.client.client import Client
    from hanse.remote.dial import Dial
    from hanse.remote.finding import find_node
    from hanse.remote.runtime import RemoteRuntime

    found = find_node(url)
    assert found is not None
    return Client(runtime=RemoteRuntime(Dial(found)))
