"""The pipes of one worker as main reads them: its stdout, its stderr, and notes of who wrote what.

The loop's thread makes them and says whose run it is; the output thread reads (see `output`).
"""

from __future__ import annotations

import array
import codecs
import fcntl
import os
import select
import termios
from collections.abc import Iterable

from hanse.engines.local.attributing import Notes, Splitter, Who
from hanse.engines.local.printing import tail
from hanse.engines.port import Printed
from hanse.ids import JobId, LeaseId
from hanse.limits import OUTPUT_TAIL_BYTES

_READ = 64 * 1024
_NOTE_READS = 64  # at a time; of one who writes notes without end, the rest comes too late
_RUNS = 2048  # about as many notes as a pipe holds: each may be of another run


def _waiting(fd: int) -> int:
    """Bytes in a pipe."""
    count = array.array("i", [0])
    fcntl.ioctl(fd, termios.FIONREAD, count)
    return count[0]


class Owner:
    """A run of a program whose output is kept."""

    __slots__ = ("job", "lease", "run", "start", "stop")

    def __init__(self, run: int, job: JobId, lease: LeaseId, start: int, stop: int) -> None:
        self.run, self.job, self.lease, self.start, self.stop = run, job, lease, start, stop

    def item(self, index: int) -> int | None:
        """The item of a note, if it is one of the run; of a run of one item, that one."""
        if self.start <= index < self.stop:
            return index
        return self.start if self.stop - self.start == 1 else None


class Source:
    """The two pipes of one worker, and a third with notes of who wrote what."""

    def __init__(self) -> None:
        self.reads: list[tuple[int, str]] = []
        self.writes: list[int] = []
        self._decoders: dict[int, codecs.IncrementalDecoder] = {}
        self._tail = ""
        self.taken = False  # the thread reads it
        self.owner: Owner | None = None  # whose everything is that nobody noted; the thread's view
        self.latest: Owner | None = None  # the same in the loop's view, which is ahead
        self._owners: dict[int, Owner] = {}  # by run
        self._splitters = {1: Splitter(), 2: Splitter()}
        self._reader = Notes()
        self._spelling: dict[str, tuple[Who | None, codecs.IncrementalDecoder]] = {}
        for stream in ("stdout", "stderr"):
            read, write = os.pipe()
            os.set_blocking(read, False)
            self.reads.append((read, stream))
            self.writes.append(write)
            self._decoders[read] = codecs.getincrementaldecoder("utf-8")("replace")
        self._notes, write = os.pipe()
        os.set_blocking(self._notes, False)
        self.writes.append(write)

    def waits(self) -> bool:
        """Is there anything to read now?"""
        watcher = select.poll()
        for fd, _ in self.reads:
            watcher.register(fd, select.POLLIN)
        return any(event & select.POLLIN for _, event in watcher.poll(0))

    def known(self, owner: Owner) -> None:
        """Notes may name this run from now on."""
        self._owners[owner.run] = owner
        while len(self._owners) > _RUNS:
            del self._owners[next(iter(self._owners))]

    def is_of(self, owner: Owner | None) -> bool:
        """Whether the output has been that of this job already."""
        before = self.latest
        return owner is not None and before is not None and owner.job == before.job

    def read(self, fd: int) -> tuple[str | None, bytes]:
        """Text that came, or None at the end. Raises BlockingIOError if there is none yet."""
        data = os.read(fd, _READ)
        text = self._decoders[fd].decode(data, final=not data)
        if text:
            self._tail = (self._tail + text)[-OUTPUT_TAIL_BYTES:]
        return text if data else None, data

    def told(self, stream: str, data: bytes) -> Iterable[Printed]:
        """Who printed this, which may be some of it now and some of it later; without data, the
        last of it."""
        if not self._owners:
            return ()
        number = 1 if stream == "stdout" else 2
        self._read_notes(number, len(data))
        splitter = self._splitters[number]
        parts = splitter.feed(data) if data else splitter.finish()
        return [told for part in parts if (told := self._printed(stream, *part)) is not None]

    def _read_notes(self, number: int, read: int) -> None:
        """The notes of everything that was read: each is written before its bytes are. Of stream
        `number` so many bytes were read that are not told yet."""
        notes: list[tuple[int, Who, int, bytes]] = []
        for _ in range(_NOTE_READS):
            try:
                notes += self._reader.read(os.read(self._notes, _READ))
            except BlockingIOError:
                break
        if not notes:
            return
        behind = {each: _waiting(fd) for each, (fd, _) in enumerate(self.reads, 1)}
        behind[number] += read
        for fd, who, size, beginning in notes:
            if fd in self._splitters:
                self._splitters[fd].note(who, size, beginning, behind[fd])

    def passed_on(self) -> None:
        """All that was written before the latest run began has been told."""
        self.owner = self.latest
        for splitter in self._splitters.values():
            splitter.forget(-1 if self.latest is None else self.latest.run)

    def _printed(self, stream: str, who: Who | None, data: bytes) -> Printed | None:
        run, item = who or (0, -1)
        owner = self._owners.get(run, self.owner)
        if owner is None:
            return None
        text = self._spelt(stream, who, data)
        return Printed(owner.job, owner.lease, owner.item(item), stream, text) if text else None

    def _spelt(self, stream: str, who: Who | None, data: bytes) -> str:
        """The text; a character may be spread over two pieces of one writer."""
        before, decoder = self._spelling.get(stream, (None, None))
        if decoder is None or before != who:
            decoder = codecs.getincrementaldecoder("utf-8")("replace")
            self._spelling[stream] = who, decoder
        return decoder.decode(data)

    def tail(self) -> str:
        return tail(self._tail)

    def close(self) -> None:
        for fd, _ in self.reads:
            os.close(fd)
        self.reads = []
        if self._notes >= 0:
            os.close(self._notes)
            self._notes = -1
