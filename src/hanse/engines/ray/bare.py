"""`ray start`, without what Ray adds to a cluster where more of it is installed than its core.

That is a dashboard, metrics and a server for Ray's old client: they listen on all addresses,
partly without asking for the token, partly at ports that are the same for every cluster of a
machine. No option turns them all off. What is not there any more in a newer Ray ends this with an
AttributeError: then it has to be seen again what listens where.
"""

from __future__ import annotations

from typing import Any

import ray._private.utils as utils
from ray._private.node import Node
from ray.scripts import scripts


def main() -> None:
    absent = ImportError("Hanse starts Ray without it")
    for place, name in (
        (utils, "get_dashboard_dependency_error"),
        (scripts, "get_ray_client_dependency_error"),
    ):
        _replace(place, name, lambda: absent)
    _replace(Node, "start_api_server", lambda *_, **__: None)
    scripts.main()


def _replace(place: Any, name: str, by: Any) -> None:
    getattr(place, name)
    setattr(place, name, by)


if __name__ == "__main__":
    main()
