"""What an engine, its driver and its actors say to each other.

A frame is a body of msgpack and descriptors of anonymous files, as between a local engine and its
workers. What an actor is told or says passes through the driver unread, because values are large
and the driver is one for all.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import msgspec

from hanse.decoding import msgpack_decoder
from hanse.engines.port import Event, Printed, Work
from hanse.model.resources import Amount
from hanse.payloads.files import File
from hanse.payloads.packing import pack, unpack
from hanse.payloads.payload import Payload


# --- engine to actor ------------------------------------------------------------------------------
class Begin(msgspec.Struct, frozen=True, tag=True):
    """Run this work; its lease is the number of the run.

    Attributes:
        path: where to import from, if it is not what the actor was told before.
        code: the modules of the work's program by name, if the actor does not have them.
        forget: payloads that are not needed any more after this work.
    """

    work: Work
    path: list[str] | None = None
    code: dict[str, bytes] | None = None
    forget: list[int] = []


class Shorten(msgspec.Struct, frozen=True, tag=True):
    run: int
    stop: int


class Stop(msgspec.Struct, frozen=True, tag=True):
    run: int


class Shown(msgspec.Struct, frozen=True, tag=True):
    """So many characters of output were taken: as many more may come."""

    size: int


Command = Begin | Shorten | Stop | Shown


# --- actor to engine ------------------------------------------------------------------------------
class Written(msgspec.Struct, frozen=True, tag=True):
    """What was printed, to be shown; see also `Printed`."""

    stream: str
    text: str


Said = Event | Printed | Written


# --- engine to driver -----------------------------------------------------------------------------
class Make(msgspec.Struct, frozen=True, tag=True):
    """Have Ray start an actor that holds so much; `sandbox`: its worker is kept in one."""

    actor: int
    needs: Amount
    sandbox: bool = False


class Tell(msgspec.Struct, frozen=True, tag=True):
    """Pass the commands on."""

    actor: int
    commands: bytes


class End(msgspec.Struct, frozen=True, tag=True):
    """Have Ray end the actor."""

    actor: int


class Close(msgspec.Struct, frozen=True, tag=True):
    """End all actors in order."""


Order = Make | Tell | End | Close


# --- driver to engine -----------------------------------------------------------------------------
class Made(msgspec.Struct, frozen=True, tag=True):
    actor: int
    machine: str


class Heard(msgspec.Struct, frozen=True, tag=True):
    """An actor spoke."""

    actor: int
    said: bytes


class Gone(msgspec.Struct, frozen=True, tag=True):
    """An actor has ended, or never will begin."""

    actor: int
    because: str
    never: bool = False  # Ray refuses what it needs


class Machine(msgspec.Struct, frozen=True):
    """A machine of the cluster, as Ray sees it."""

    id: str
    host: str
    address: str
    offers: Amount
    head: bool = False
    draining: bool = False


class Machines(msgspec.Struct, frozen=True, tag=True):
    machines: list[Machine]


class Free(msgspec.Struct, frozen=True, tag=True):
    """What each machine has free, by its id; told while actors wait for a place."""

    machines: dict[str, Amount]


class Closed(msgspec.Struct, frozen=True, tag=True):
    """All actors have ended."""


News = Made | Heard | Gone | Machines | Free | Closed

orders = msgpack_decoder(Order)
news = msgpack_decoder(News)
plain = msgspec.msgpack.Encoder()


# --- payloads within ------------------------------------------------------------------------------
class Writer:
    """Encodes messages with payloads; `number` tells which of them the reader keeps, and whether it
    has them. The files that must go with the bytes are in `files`."""

    def __init__(self, number: Callable[[Payload], tuple[int, bool]] | None = None) -> None:
        self.files: list[File] = []
        self._number = number
        self._encoder = msgspec.msgpack.Encoder(enc_hook=self._pack)

    def write(self, messages: list[Any]) -> bytes:
        return self._encoder.encode(messages)

    def _pack(self, payload: Any) -> Any:
        if not isinstance(payload, Payload):
            raise NotImplementedError(f"{type(payload)} is no part of a message")
        number, there = self._number(payload) if self._number is not None else (0, False)
        return number, None if there else pack(payload, self.files)


class Reader:
    """Decodes them again. Payloads with a number are the same objects each time, until they are
    forgotten."""

    def __init__(self, kind: Any) -> None:
        self._kept: dict[int, Payload] = {}
        self._fds: list[int] = []
        self._decoder = msgpack_decoder(list[kind], dec_hook=self._unpack)

    def read(self, data: bytes, fds: list[int]) -> list[Any]:
        """The messages; takes descriptors from the front of `fds`."""
        self._fds = fds
        return self._decoder.decode(data)

    def forget(self, numbers: list[int]) -> None:
        for number in numbers:
            self._kept.pop(number, None)

    def _unpack(self, kind: Any, packed: Any) -> Any:
        number, inside = packed
        if inside is None:
            return self._kept[number]
        count, data, ends, bulk = inside
        whole = count, data, None if ends is None else tuple(ends), bulk
        payload = unpack(whole, self._fds)
        if number:
            self._kept[number] = payload
        return payload
