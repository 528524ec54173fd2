"""What Ray calls the things that Hanse counts, and which machines it has."""

from __future__ import annotations

from typing import Any

import ray

from hanse.engines.ray.messages import Machine
from hanse.model.resources import Amount

_OURS = {"CPU", "GPU", "memory", "object_store_memory"}


def ray_options(needs: Amount) -> dict[str, Any]:
    """What an actor that holds so much is asked for with."""
    return {
        "num_cpus": needs.cpus_milli / 1000,
        "num_gpus": needs.gpus_milli / 1000,
        "memory": needs.memory_bytes or None,
        "resources": {name: milli / 1000 for name, milli in needs.custom_milli.items()},
    }


def offered(resources: dict[str, float]) -> Amount:
    """What Ray says that a machine has."""
    return Amount(
        cpus_milli=round(resources.get("CPU", 0) * 1000),
        gpus_milli=round(resources.get("GPU", 0) * 1000),
        memory_bytes=int(resources.get("memory", 0)),
        custom_milli={
            name: round(amount * 1000)
            for name, amount in sorted(resources.items())
            if name not in _OURS and ":" not in name  # Ray's own: node:ADDRESS, accelerator_type:T
        },
    )


def machines() -> list[Machine]:
    """The machines that live, by their ids."""
    draining = _draining()
    return sorted(
        (
            Machine(
                id=node["NodeID"],
                host=node["NodeManagerHostname"],
                address=node["NodeManagerAddress"],
                offers=offered(node["Resources"]),
                head="node:__internal_head__" in node["Resources"],
                draining=node["NodeID"] in draining,
            )
            for node in ray.nodes()
            if node["Alive"]
        ),
        key=lambda machine: machine.id,
    )


def free() -> dict[str, Amount]:
    """What each machine has that nobody holds, by its id."""
    from ray._private.state import state  # the public call has the sum of all machines alone

    return {id: offered(found) for id, found in state.available_resources_per_node().items()}


def _draining() -> set[str]:
    """Machines that Ray was told to empty; it gives them nothing new."""
    from ray._private.state import state  # no public call tells

    return set(state.get_draining_nodes())
