"""Routes about the homes that this node works for."""

from __future__ import annotations

from starlette.responses import Response

from hanse.node.http.call import Call
from hanse.node.links import Links
from hanse.wire import api


class LinksRoutes:
    def __init__(self, links: Links) -> None:
        self._links = links

    async def list_links(self, call: Call) -> Response:
        """The homes that this node works for, and what each may have."""
        return call.answer(await call.waiting(self._links.all))

    async def add(self, call: Call) -> Response:
        """Work for another home too."""
        new = await call.told(api.NewLink)
        return call.answer(await call.waiting(self._links.add, new), 201)

    async def remove_link(self, call: Call) -> Response:
        """Work for that home no more: what runs for it ends now."""
        await call.waiting(self._links.remove, call.text("link"))
        return call.answer(None)
