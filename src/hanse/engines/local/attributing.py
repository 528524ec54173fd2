"""Which item printed what: notes of a worker's own writes, laid against the bytes in its pipe.

Items share one pipe with programs they start and with code in C, and the bytes there must stay as
they are. So before Python code of a worker writes to it, the worker notes beside it who writes, how
much, and how that begins. Whoever reads the pipe finds each noted write by its beginning; bytes in
between were written past Python's streams, and belong to the work alone.

Notes go astray: an item lets its stdout lead elsewhere for a while, or writes notes of its own. So
a note that fits nothing is dropped when a later one fits, or once all has come that was in the pipe
when it was read; it tells of few bytes only; and nothing outlives the run that it names for long.
What went astray harms the attribution of a few lines at most.

Both ends import this; it stays small because workers start with it.
"""

from __future__ import annotations

import collections
from struct import Struct

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator

NOTE = Struct("=BBqqq")  # descriptor, length of the beginning, run, item, bytes; then the beginning
BEGINNING = 48  # bytes of a write that tell it from others
WRITE_BYTES = 64 * 1024  # what one note may speak of: as much as a pipe holds
_LOOK_AHEAD = 16  # behind so many notes whose bytes may still come, a few bytes prove nothing
_FEW = 4
_UNWRITTEN = 16  # notes whose bytes may not be written yet: one for each thread that prints
_MOST = 4096  # notes kept; what is older will never fit

Who = tuple[int, int]  # run, and item or -1


def note(fd: int, who: Who, data: bytes, size: int) -> bytes:
    """A note, to be written before `size` bytes that begin with `data`."""
    beginning = data[:BEGINNING]
    return NOTE.pack(fd, len(beginning), *who, size) + beginning


class Notes:
    """Puts notes together from what their pipe yields."""

    def __init__(self) -> None:
        self._rest = b""

    def read(self, data: bytes) -> Iterator[tuple[int, Who, int, bytes]]:
        """Descriptor, who, size and beginning of each. What is no note ends them: a task may have
        written it."""
        data = self._rest + data
        at = 0
        while len(data) - at >= NOTE.size:
            fd, length, run, item, size = NOTE.unpack_from(data, at)
            end = at + NOTE.size + length
            if end > len(data):
                break
            beginning = data[at + NOTE.size : end]
            at = end
            if 0 < length <= BEGINNING and length <= size <= WRITE_BYTES:
                yield fd, (run, item), size, beginning
        self._rest = data[at:]


_NEVER = 1 << 62


class _Note:
    __slots__ = ("beginning", "due", "size", "who")

    def __init__(self, who: Who, size: int, beginning: bytes) -> None:
        self.who, self.size, self.beginning = who, size, beginning
        self.due = _NEVER  # its bytes are before this place in the stream, if they were written


class Splitter:
    """The bytes of one stream of one worker, told apart by who wrote them."""

    def __init__(self) -> None:
        self._notes: collections.deque[_Note] = collections.deque(maxlen=_MOST)
        self._who: Who | None = None
        self._left = 0  # bytes of the noted write that are still to come
        self._held = b""  # the end of what came, which may begin a noted write
        self._came = 0  # bytes in all

    def note(self, who: Who, size: int, beginning: bytes, behind: int = _NEVER) -> None:
        """Somebody was about to write this. `behind`: bytes that were written when the note was
        read, and were not fed yet."""
        notes, due = self._notes, self._came + behind
        if self._who is not None and self._who[0] != who[0]:
            self._left = min(self._left, behind)  # a run that is over writes no more
        if notes and notes[-1].who[0] != who[0]:
            for index in range(1, min(len(notes), _UNWRITTEN) + 1):
                notes[-index].due = min(notes[-index].due, due)
        notes.append(_Note(who, size, beginning))
        if len(notes) > _UNWRITTEN:
            notes[-_UNWRITTEN - 1].due = min(notes[-_UNWRITTEN - 1].due, due)

    def forget(self, run: int) -> None:
        """All that other runs wrote has been fed."""
        if self._who is not None and self._who[0] != run:
            self._left = 0
        kept = [note for note in self._notes if note.who[0] == run]
        self._notes.clear()
        self._notes.extend(kept)

    def feed(self, data: bytes) -> list[tuple[Who | None, bytes]]:
        """Who wrote which part, in order. Notes of these bytes must have been given before."""
        self._came += len(data)
        data, self._held = self._held + data, b""
        parts: list[tuple[Who | None, bytes]] = []
        at = 0
        while at < len(data):
            if not self._left:
                at = self._find(data, at, parts)
            end = min(len(data), at + self._left)
            if end > at:
                _add(parts, self._who, data[at:end])
                self._left -= end - at
                at = end
        self._drop_overdue()
        return parts

    def finish(self) -> list[tuple[Who | None, bytes]]:
        """What is left when nothing more comes."""
        held, self._held = self._held, b""
        return [(None, held)] if held else []

    def _find(self, data: bytes, at: int, parts: list[tuple[Who | None, bytes]]) -> int:
        """Step to the next noted write, over what nobody noted."""
        early = 0
        for index, note in enumerate(self._notes):
            # Each is looked for in little more than a pipe holds: then it is due, and dropped.
            far = early > _LOOK_AHEAD and len(note.beginning) <= _FEW
            found = -1 if far else data.find(note.beginning, at)
            if found >= 0:
                for _ in range(index + 1):
                    self._notes.popleft()
                self._who, self._left = note.who, note.size
                if found > at:
                    _add(parts, None, data[at:found])
                return found
            early += note.due > self._came
        end = len(data) - self._begun(data, at)
        self._held = data[end:]
        if end > at:
            _add(parts, None, data[at:end])
        return len(data)

    def _begun(self, data: bytes, at: int) -> int:
        """How many bytes at the end may be the beginning of the next noted write."""
        if not self._notes:
            return 0
        beginning = self._notes[0].beginning
        for length in range(min(len(beginning) - 1, len(data) - at), 0, -1):
            if data.endswith(beginning[:length]):
                return length
        return 0

    def _drop_overdue(self) -> None:
        """Drop the oldest notes whose bytes went elsewhere."""
        while self._notes and self._notes[0].due <= self._came - len(self._held):
            self._notes.popleft()


def _add(parts: list[tuple[Who | None, bytes]], who: Who | None, data: bytes) -> None:
    if parts and parts[-1][0] == who:
        parts[-1] = who, parts[-1][1] + data
    else:
        parts.append((who, data))
