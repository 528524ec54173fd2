"""Routes about the code of projects: clients ask what is missing, and send that."""

from __future__ import annotations

from starlette.responses import Response

from hanse.limits import ASKED_BYTES, CODE_BYTES
from hanse.node.http.call import Call
from hanse.remote.code import contents
from hanse.wire import api
from hanse.wire.code import code_digest


async def offer_code(call: Call) -> Response:
    """Which files of a project's code are missing here. If none is, jobs may name the code."""
    offered = await call.told(api.Code, ASKED_BYTES)
    return call.answer(await call.waiting(_offer, call, offered.files))


def _offer(call: Call, files: dict[str, str]) -> api.CodeKept:
    codes = call.board.state.codes
    missing = codes.lacks(files)
    name = code_digest(files) if missing else codes.add(files, {})
    return api.CodeKept(code=name, missing=missing)


async def give_code(call: Call) -> Response:
    """The files that are missing; jobs may name the code then."""
    asked, payloads = await call.parcel(api.CodeFiles, CODE_BYTES, label=ASKED_BYTES)
    name = await call.waiting(
        call.board.state.codes.add, asked.files, contents(asked.given, payloads)
    )
    return call.answer(api.CodeKept(code=name, missing=[]), 201)
