"""Routes for sites at other nodes that work for this home."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, Mapping

from starlette.responses import Response

from hanse import limits
from hanse.engines.port import Work
from hanse.errors import UsageError
from hanse.ids import LeaseId, SiteId
from hanse.node.http.call import Call, pieces
from hanse.node.http.news import News
from hanse.node.linked import Linked, LinkedSite
from hanse.payloads.parcel import Deferred, wrap
from hanse.payloads.payload import Payload
from hanse.remote.code import packed
from hanse.remote.works import pack_work
from hanse.wire import api, link

_HEARTBEAT = bytes(4)


_Found = tuple[Work, Mapping[int, Payload | Deferred]]


class _Finds:
    """Looks for what leases run. What their items have saved is read for its hashes before it goes,
    GiB of it maybe: a few at a time, as the threads are there for others too, and once for all who
    ask for one lease. So a site that loses patience and asks anew gets it when it is found."""

    def __init__(self, linked: Linked) -> None:
        self._linked = linked
        self._reading = asyncio.Semaphore(limits.CHECKPOINT_FINDS)
        self._under_way: dict[tuple[SiteId, LeaseId], asyncio.Task[_Found]] = {}

    async def find(self, site: LinkedSite, wanted: link.Wanted) -> _Found:
        """What the lease runs, and what its items have saved. Raises HanseError."""
        key = site.id, wanted.grant.lease
        task = self._under_way.get(key)
        if task is None:
            task = self._under_way[key] = asyncio.create_task(self._look(site, wanted))
            task.add_done_callback(lambda _: self._under_way.pop(key))
        return await asyncio.shield(task)

    async def _look(self, site: LinkedSite, wanted: link.Wanted) -> _Found:
        work, within = await asyncio.to_thread(self._linked.work, site, wanted)
        if not within:
            return work, {}
        async with self._reading:  # the lease may have ended meanwhile
            work, within = await asyncio.to_thread(self._linked.work, site, wanted)
            job = wanted.grant.job
            return work, await asyncio.to_thread(self._linked.find_saved, job, within)


class LinkRoutes:
    def __init__(self, linked: Linked) -> None:
        self._linked = linked
        self._finds = _Finds(linked)

    async def hello(self, call: Call) -> Response:
        """A site says who it is; it may report and listen then."""
        hello = await call.told(link.Hello, limits.ASKED_BYTES)
        assert call.token is not None
        return call.answer(await call.waiting(self._linked.hello, call.token, hello))

    async def report(self, call: Call) -> Response:
        """What a site has done, with results."""
        site = self._site(call)
        told, payloads = await call.parcel(link.Told)
        await call.waiting(self._linked.told, site, told, payloads)
        return call.answer(None)

    async def saved(self, call: Call) -> Response:
        """What an item that runs keeps for a later attempt."""
        site = self._site(call)
        most = limits.CHECKPOINT_BYTES + limits.LABEL_BYTES
        told, payloads = await call.parcel(link.Saved, most, account="saves")
        await call.waiting(self._linked.saved, site, told, payloads)
        return call.answer(None)

    async def machines(self, call: Call) -> Response:
        """Which machines a site consists of, if they are several."""
        site = self._site(call)
        told = await call.told(link.Machines, limits.ASKED_BYTES)
        self._linked.consists(site, told)
        return call.answer(None)

    async def orders(self, call: Call) -> Response:
        """What a site is to do, for as long as it listens: frames of a length in 4 bytes and that
        much of the orders' own encoding; length 0 says that all is well."""
        return call.stream(self._orders(self._site(call)))

    async def _orders(self, site: LinkedSite) -> AsyncGenerator[bytes]:
        news = News()
        end = site.listen(news.tell)
        said = 0
        try:
            yield _HEARTBEAT  # the site reports once it knows that it hears the answer
            while self._linked.holds(site):
                news.looked()
                number, orders = site.number, site.orders
                if number > said:
                    said = number
                    yield len(orders).to_bytes(4, "big") + orders
                    continue
                if not await news.wait():
                    yield _HEARTBEAT
        finally:
            end()

    async def work(self, call: Call) -> Response:
        """What a lease runs: a parcel with what the site does not have yet."""
        site = self._site(call)
        wanted = await call.told(link.Wanted, limits.ASKED_BYTES)
        found, saved = await self._finds.find(site, wanted)
        about, payloads = await call.waiting(  # there may be thousands of small ones
            pack_work, found, wanted.program, frozenset(wanted.functions),
            frozenset(wanted.values), saved,
        )  # fmt: skip
        slow = any(isinstance(each, Deferred) for each in payloads)
        return call.stream(pieces(wrap(about, payloads), slow))

    async def code(self, call: Call) -> Response:
        """Which files a project's code has."""
        self._site(call)
        codes = call.board.state.codes
        files = await call.waiting(codes.manifest, call.text("code"))
        return call.answer(api.Code(files=files))

    async def code_files(self, call: Call) -> Response:
        """Files of a project's code: a parcel with a payload of one stream for each."""
        self._site(call)
        asked = await call.told(api.CodeFiles, limits.ASKED_BYTES)
        codes = call.board.state.codes
        content = await call.waiting(codes.content, asked.files, asked.given)
        return call.stream(pieces(wrap(None, [packed(content)])))

    async def leave(self, call: Call) -> Response:
        """The site takes part no more."""
        await call.told(link.Gone)
        await call.waiting(self._linked.leave, self._site(call))
        return call.answer(None)

    def _site(self, call: Call) -> LinkedSite:
        if call.token is None:
            raise UsageError("a site has a token")
        return self._linked.find(call.token, call.text("node"))
