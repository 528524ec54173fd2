"""A slot as its engine sees it: an actor, where it is, and what it holds already."""

from __future__ import annotations

import sys
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING

import msgspec

from hanse.engines.local.process import Held
from hanse.engines.port import Building, Work
from hanse.engines.ray.messages import Begin, Command, Reader, Said, Tell, Writer
from hanse.ids import LeaseId
from hanse.model.resources import SCRIPTS, Amount
from hanse.payloads.files import File
from hanse.payloads.payload import Payload
from hanse.payloads.references import PUT

if TYPE_CHECKING:
    from hanse.engines.local.execution import Execution

_BLOCKS, _BLOCK_BYTES = 4, 4 << 20  # as a worker holds
_OTHERS, _OTHER_BYTES = 1024, 256 << 20  # programs, functions, values that were put
_CODES = 8
_RUNS = 64  # what was printed in one may come after its end

Send = Callable[[Tell, list[File]], None]


class Slot:
    """
    Attributes:
        machine: Ray's id of the machine that it is on; empty until Ray has found one.
        execution: what runs in it.
        idle_since_ns: since when nothing does.
    """

    def __init__(self, number: int, needs: Amount, send: Send) -> None:
        self.number = number
        self.needs = needs
        self.shape = shape_of(needs)
        self.machine = ""
        self.execution: Execution | None = None
        self.idle_since_ns = 0
        self.builds = Building({}, {})
        self.reader = Reader(Said)
        self._send = send
        self._path: list[str] | None = None
        self._blocks, self._others = Held(_BLOCKS, _BLOCK_BYTES), Held(_OTHERS, _OTHER_BYTES)
        self._codes = Held(_CODES)
        self._leases: dict[int, LeaseId] = {}  # of the last runs

    @property
    def builds_something(self) -> bool:
        """It builds an environment, or knows why one cannot be built for now."""
        return bool(self.builds.environments or self.builds.failed)

    def tell(self, *commands: Command) -> None:
        writer = Writer()
        self._send(Tell(self.number, writer.write(list(commands))), writer.files)

    def begin(self, whole: Work, run: int, start: int, stop: int) -> None:
        """Run these items of a work, sent without what the actor has."""
        lease, work = whole.lease, _part_of(whole, run, start, stop)
        numbers = self._hold(work)
        writer = Writer(lambda payload: numbers.get(id(payload), (0, False)))
        path = None if self._path == sys.path else list(sys.path)
        self._path = list(sys.path)
        self._leases[run] = lease
        if len(self._leases) > _RUNS:
            del self._leases[next(iter(self._leases))]
        begin = Begin(work, path, self._code(work.program.code), self._forget())
        self._send(Tell(self.number, writer.write([begin])), writer.files)

    def lease_of(self, run: int) -> LeaseId | None:
        return self._leases.get(run)

    def _hold(self, work: Work) -> dict[int, tuple[int, bool]]:
        """The number of every payload that the actor keeps, by identity, and whether it has it.
        Blocks have even numbers, the others odd ones."""
        numbers: dict[int, tuple[int, bool]] = {}

        def hold(held: Held, payload: Payload | None, odd: int) -> None:
            if payload is not None and id(payload) not in numbers:
                number, there = held.number(id(payload), payload, payload.nbytes)
                numbers[id(payload)] = 2 * number + odd, there

        for block in work.blocks:
            hold(self._blocks, block.payload, 0)
        program = work.program
        for payload in (program.function, program.fold, program.initializer):
            hold(self._others, payload, 1)
        for payload in work.functions.values():
            hold(self._others, payload, 1)
        for (job, _), payload in work.values.items():
            if job == PUT:
                hold(self._others, payload, 1)
        return numbers

    def _forget(self) -> list[int]:
        blocks = [2 * number for number, _ in self._blocks.surplus()]
        return blocks + [2 * number + 1 for number, _ in self._others.surplus()]

    def _code(self, code: str) -> dict[str, bytes] | None:
        """The modules of a directory, unless the actor has them."""
        if not code or self._codes.number(code, code)[1]:
            return None
        root = Path(code)
        return {
            str(path.relative_to(root)): path.read_bytes() for path in sorted(root.rglob("*.py"))
        }


def _part_of(work: Work, run: int, start: int, stop: int) -> Work:
    """The items from `start` to `stop` of a work, as a work whose lease is the run."""
    blocks = [
        block
        for block in work.blocks
        if block.start < stop and block.start + block.payload.count > start
    ]
    return msgspec.structs.replace(work, lease=LeaseId(run), start=start, stop=stop, blocks=blocks)


def held_for(work: Work) -> Amount:
    """What a slot holds for such items. Places for scripts are the site's: Ray knows none."""
    needs = work.program.needs
    custom = {name: milli for name, milli in needs.custom_milli.items() if name != SCRIPTS}
    return msgspec.structs.replace(needs, custom_milli=custom)


def shape_of(needs: Amount) -> bytes:
    """The same for equal needs, and can be a key."""
    return msgspec.msgpack.encode(needs)
