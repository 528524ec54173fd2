"""What a lease runs, on its way from a home to a site: as plain values, with payloads beside them.

In the label of the parcel a payload is its number. Programs, functions and values that the site has
already are left out, so they cross the line once for all leases.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Mapping, Sequence, Set
from itertools import count
from pathlib import Path
from typing import Any, cast

import msgspec
from msgspec.structs import replace

from hanse import limits
from hanse.decoding import from_msgpack
from hanse.engines.port import Block, Program, Work
from hanse.errors import NodeError
from hanse.ids import LeaseId
from hanse.payloads.parcel import BadParcel, Deferred, bundle, is_small, unbundle
from hanse.payloads.payload import Payload
from hanse.payloads.references import PUT

Ref = tuple[str, int]


class _Bundled(msgspec.Struct, frozen=True):
    """What of it is read first."""

    bundled: list[int] = []


class SentWork(msgspec.Struct, frozen=True, kw_only=True):
    """`port.Work`, without what the site has."""

    lease: LeaseId
    start: int
    stop: int
    key: int  # of its program
    program: Program | None = None
    blocks: list[Block]
    attempts: dict[int, int] = {}
    skip: list[int] = []
    functions: dict[int, Payload] = {}
    known_functions: list[int] = []
    values: list[tuple[str, int, Payload]] = []
    known_values: list[Ref] = []
    links: dict[int, int] = {}
    token: str = ""
    saved: dict[int, Payload] = {}
    loss_ns: int = 0
    bundled: list[int] = []  # the numbers of payloads that are together in the last one

    def __repr__(self) -> str:
        return f"SentWork({self.lease}: {self.start} to {self.stop})"  # no secret


def pack_work(
    work: Work,
    program: int,
    functions: Set[int],
    values: Set[Ref],
    saved: Mapping[int, Payload | Deferred],
) -> tuple[msgspec.Raw, list[Payload | Deferred]]:
    """The work, and what its items have saved, as plain values and payloads. The site has the
    rest."""
    sent = SentWork(
        lease=work.lease,
        start=work.start,
        stop=work.stop,
        key=work.program.key,
        program=None if work.program.key == program else _named(work.program),
        blocks=list(work.blocks),
        attempts=dict(work.attempts),
        skip=sorted(work.skip),
        functions={key: each for key, each in work.functions.items() if key not in functions},
        known_functions=[key for key in work.functions if key in functions],
        values=[(*ref, each) for ref, each in work.values.items() if ref not in values],
        known_values=[ref for ref in work.values if ref in values],
        links=dict(work.links),
        token=work.token,
        saved=cast("dict[int, Payload]", dict(saved)),
        loss_ns=work.loss_ns,
    )
    about, payloads = _numbered(sent)
    if len(payloads) <= limits.WORK_PAYLOADS:
        return about, payloads
    small = {number: each for number, each in enumerate(payloads) if is_small(each)}
    about, _ = _numbered(replace(sent, bundled=list(small)))
    left = [each for number, each in enumerate(payloads) if number not in small]
    return about, [*left, bundle(list(small.values()))]


def _numbered(sent: SentWork) -> tuple[msgspec.Raw, list[Payload | Deferred]]:
    """With numbers in place of its payloads, and these."""
    payloads: list[Payload | Deferred] = []

    def number(value: Any) -> int:
        if not isinstance(value, Payload | Deferred):
            raise NotImplementedError(f"{type(value)} cannot travel")
        payloads.append(value)
        return len(payloads) - 1

    return msgspec.Raw(msgspec.msgpack.encode(sent, enc_hook=number)), payloads


def _named(program: Program) -> Program:
    """With its code by name, in place of the directory that it has at home."""
    return replace(program, code=Path(program.code).parent.name if program.code else "")


def unpack_work(about: msgspec.Raw, payloads: Sequence[Payload]) -> SentWork:
    """Raises NodeError if it is none."""
    all_of_them: dict[int, Payload] = {}

    def payload(kind: type, value: Any) -> Any:
        if kind is not Payload or not isinstance(value, int) or value not in all_of_them:
            raise ValueError("a payload is missing")
        return all_of_them[value]

    try:
        bundled = from_msgpack(about, _Bundled).bundled
        all_of_them |= _apart(bundled, payloads)
        return from_msgpack(about, SentWork, dec_hook=payload)
    except (msgspec.MsgspecError, BadParcel, UnicodeDecodeError, RecursionError) as error:
        raise NodeError(f"the home sent a work that cannot be read: {error}") from error


def _apart(bundled: Sequence[int], payloads: Sequence[Payload]) -> dict[int, Payload]:
    """All payloads by their numbers. Raises BadParcel."""
    if not bundled:
        return dict(enumerate(payloads))
    *others, last = payloads or [Payload(0, b"")]
    found = unbundle(last)
    numbers = set(bundled)
    if len(numbers) != len(bundled) or len(found) != len(bundled):
        raise BadParcel("its bundle is not what it says")
    rest = (number for number in count() if number not in numbers)
    return dict(zip(bundled, found, strict=True)) | dict(zip(rest, others, strict=False))


def check_work(sent: SentWork, lease: LeaseId, start: int) -> SentWork:
    """Whether it is what was granted, and whole. Where it may stop sooner is said elsewhere. Raises
    NodeError."""
    at = sent.start
    for block in sent.blocks:
        if block.start > at:
            break
        at = max(at, block.start + block.payload.count)
    if (sent.lease, sent.start) != (lease, start) or not start < sent.stop <= at:
        raise NodeError("the home sent another work than it granted")
    return sent


class Shelf:
    """What a site keeps of one job of a home, so that it is sent once: what the last lease
    used, and what fits into SHELF_BYTES beside it.

    Args:
        program: as it runs here: with a key and a directory of code of this node.
        key: its number at the home.
        earlier: what is there of the same job, with another program.
    """

    def __init__(self, program: Program, key: int, earlier: Shelf | None = None) -> None:
        self.program = program
        self.key = key
        # Functions by their keys, and values that were put: many items may use them. What was used
        # last is at the end.
        self.kept: OrderedDict[int | Ref, Payload] = OrderedDict()
        self.nbytes = 0
        if earlier is not None:
            self.kept, self.nbytes = earlier.kept.copy(), earlier.nbytes

    def take(self, sent: SentWork, had: Mapping[int | Ref, Payload]) -> Work:
        """Keep what is new, and put the work together. Raises NodeError if something is lacking.

        Args:
            had: what was here when the work was asked for.
        """
        fresh = {(job, item): payload for job, item, payload in sent.values}
        try:
            functions = {key: had[key] for key in sent.known_functions}
            values = {ref: had[ref] for ref in sent.known_values}
        except KeyError as error:
            raise NodeError("the home left out what this site does not have") from error
        put = {ref: each for ref, each in (values | fresh).items() if ref[0] == PUT}
        self._keep([*(functions | sent.functions).items(), *put.items()])
        return Work(
            lease=sent.lease,
            start=sent.start,
            stop=sent.stop,
            program=self.program,
            blocks=sent.blocks,
            attempts=sent.attempts,
            skip=frozenset(sent.skip),
            functions=functions | sent.functions,
            values=values | fresh,
            links=sent.links,
            token=sent.token,
            saved=sent.saved,
            loss_ns=sent.loss_ns,
        )

    def _keep(self, used: Sequence[tuple[int | Ref, Payload]]) -> None:
        for key, payload in used:
            if key in self.kept:
                self.nbytes -= self.kept.pop(key).nbytes
            self.kept[key] = payload
            self.nbytes += payload.nbytes
        while len(self.kept) > len(used) and (
            self.nbytes > limits.SHELF_BYTES or len(self.kept) > limits.SHELF_PAYLOADS
        ):
            self.nbytes -= self.kept.popitem(last=False)[1].nbytes
