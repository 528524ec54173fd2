"""What items take, measured in the worker: their times, processor time, resident memory.

Items that run one by one are timed exactly; a micro-batch counts all of its items at their mean, so
an item in it costs nothing. Memory is looked at only in runs that last: a look costs some 10 us.
"""

from __future__ import annotations

import os
import time
from _operator import sub

from hanse.limits import MS

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable

_LOOK_NS = 5 * MS  # runs shorter than this are not worth a look at memory
_MARK_RESET = b"5"  # makes the kernel take VmHWM anew; see proc(5)
_HIGH = b"VmHWM:"

_now = time.monotonic_ns


class Meter:
    """Gathers until `take`. All but `marks.append` is called under the runner's lock."""

    def __init__(self) -> None:
        self.marks: list[int] = []  # when the items of the chunk that runs one by one began
        self._times: dict[int, int] = {}
        self._cpu_ns = 0  # as of the last `take`
        self._looked_ns = _now()  # at memory, or when the run began
        self._sees_memory = True  # until the system says no

    def begin(self, now_ns: int) -> None:
        """A run begins; what an earlier one left is not its own."""
        self._looked_ns = now_ns
        self.marks.clear()
        self._times.clear()

    def batch(self, items: int, each_ns: int) -> None:
        """So many items took so long each, in the mean."""
        if items:
            self._count((each_ns,), items)

    def end_chunk(self, now_ns: int, failed: bool) -> int:
        """The chunk that ran one by one is over. If its last item failed, that is not counted, and
        its time is handed back."""
        marks = self.marks
        if not failed:
            marks.append(now_ns)
        self.gather()
        spent = now_ns - marks[-1] if marks else 0
        marks.clear()
        return spent

    def gather(self) -> None:
        """Count the items that have ended; the other thread may do so while one runs."""
        marks = self.marks
        last = len(marks) - 1
        if last > 0:
            self._count(map(sub, marks[1 : last + 1], marks), 1)
            del marks[:last]

    def _count(self, times_ns: Iterable[int], items: int) -> None:
        """So many items took each of these times. One loop, as items can be as short as this."""
        times = self._times
        for ns in times_ns:
            ns |= 8  # as `model.usage.bucket_of`, which workers must not import
            bits = ns.bit_length()
            bucket = bits << 3 | ns >> bits - 4 & 7
            times[bucket] = times.get(bucket, 0) + items

    def take(self) -> tuple[dict[int, int], int, int]:
        """Times, processor time and peak memory since the last time, as plain values."""
        self.gather()
        times, self._times = self._times, {}
        spent = os.times()
        cpu = time.process_time_ns() + int((spent[2] + spent[3]) * 1e9)  # with children's
        before, self._cpu_ns = self._cpu_ns, cpu
        now = _now()
        peak = self._peak() if now - self._looked_ns >= _LOOK_NS else 0
        if peak:
            self._looked_ns = now
        return times, max(0, cpu - before), peak

    def _peak(self) -> int:
        """The most resident memory since the last look; 0 if the system does not tell."""
        if not self._sees_memory:
            return self._most_ever()
        try:
            with open("/proc/self/status", "rb", buffering=0) as status:
                text = status.read(4096)
            at = text.find(_HIGH)
            peak = int(text[at + len(_HIGH) : text.find(b"kB", at)]) * 1024 if at >= 0 else 0
            with open("/proc/self/clear_refs", "wb", buffering=0) as mark:
                mark.write(_MARK_RESET)
        except (OSError, ValueError):
            self._sees_memory = False
            return self._most_ever()
        return peak

    def _most_ever(self) -> int:
        """What there is where the mark cannot be reset: the peak of this worker's life."""
        try:
            import resource
        except ImportError:
            return 0
        return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024
