"""What a Ray program leaves in the cluster when it is cancelled.

Ray itself ends the tasks and actors of a program that is gone, but for the actors that it detached
(all of Ray Serve are). Those of a program that came to its own end are meant to stay.
"""

from __future__ import annotations

import contextlib
import os
from typing import Any

import ray
from ray.util import get_node_ip_address, list_named_actors

from hanse.engines.local.processes import family

_TRIES = 3  # one that is ended may just have started another


def programs_below() -> set[str]:
    """Ray's numbers of the programs ("jobs") that processes below this one run."""
    pids, here = set(family(os.getpid())), get_node_ip_address()
    return {
        job["JobID"]
        for job in _state().job_table()
        if not job["IsDead"] and job["DriverPid"] in pids and job["DriverIPAddress"] == here
    }


def end_detached(programs: set[str]) -> None:
    """End the actors that these programs, which are gone, have detached."""
    for _ in range(_TRIES):
        theirs = {
            actor: found["Name"]
            for actor, found in _state().actor_table(None).items()
            if found["IsDetached"] and found["State"] != "DEAD" and found["JobID"] in programs
        }
        if not theirs:
            return
        for named in list_named_actors(all_namespaces=True):
            if named["name"] in theirs.values():
                with contextlib.suppress(ValueError):  # it has just ended
                    handle = ray.get_actor(named["name"], named["namespace"])
                    if handle._actor_id.hex() in theirs:
                        ray.kill(handle)


def _state() -> Any:
    from ray._private.state import state  # no public call tells without a dashboard

    return state
