"""Routes about the machines of this node's site."""

from __future__ import annotations

from starlette.responses import Response

from hanse.node.http.call import Call
from hanse.node.machines import Machines
from hanse.wire import api


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

    async def certify(self, call: Call) -> Response:
        """Sign a certificate for a machine that joins, which keeps its key."""
        asked = await call.told(api.Certify)
        certificate = await call.waiting(self._machines.certify, asked.request)
        return call.answer(api.Certified(certificate=certificate))
