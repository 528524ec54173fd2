"""Routes about the machines of this node's site."""

from __future__ import annotations

from starlette.responses import Response

from hanse.node.http.call import Call
from hanse.node.machines import Machines


class MachineRoutes:
    def __init__(self, machines: Machines) -> None:
        self._machines = machines

    async def list_machines(self, call: Call) -> Response:
        """The machines that this node's jobs may run on."""
        return call.answer(await call.waiting(self._machines.all))

    async def list_providers(self, call: Call) -> Response:
        """Who brings machines to this node, what they offer, and what they have brought."""
        return call.answer(await call.waiting(self._machines.providers))

    async def show_site(self, call: Call) -> Response:
        """What a machine needs to join this node's site. It opens the whole site."""
        return call.answer(self._machines.to_join())
