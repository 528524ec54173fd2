"""Jobs whose items need the same, together: who of them comes first, and which sites fit them.

There are few shapes, however many jobs and sites there are, so what changes at a site is told to
each shape, and no event ever looks at all jobs or all sites.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Iterable, Iterator
from heapq import heappop, heappush

from hanse import limits
from hanse.core.job import Job
from hanse.core.site import Site
from hanse.ids import JobId, SiteId
from hanse.model.resources import Amount

Key = tuple[object, ...]


def key_of(needs: Amount) -> Key:
    custom = tuple(sorted(needs.custom_milli.items())) if needs.custom_milli else ()
    return needs.cpus_milli, needs.gpus_milli, needs.memory_bytes, custom


class Shape:
    """Everything about one amount of resources that items need."""

    __slots__ = ("_queue", "idle", "jobs", "key", "needs", "runnable", "slots")

    def __init__(self, key: Key, needs: Amount) -> None:
        self.key = key
        self.needs = needs
        self.jobs = 0  # that have this shape and are not forgotten
        self.runnable: dict[JobId, Job] = {}  # running, with ready items that may be granted
        self._queue: list[tuple[int, JobId]] = []  # by vtime; holds outdated entries too
        self.idle: OrderedDict[SiteId, Site] = OrderedDict()  # have room, longest idle first
        self.slots = 0  # how often it fits into all sites that are not silent

    def push(self, job: Job) -> None:
        """The job has become runnable, or was granted work."""
        heappush(self._queue, (job.vtime, job.id))

    def first(self) -> Job | None:
        """Of the runnable ones, the job that was granted the least for its weight; ties by id."""
        queue = self._queue
        while queue:
            vtime, id = queue[0]
            job = self.runnable.get(id)
            if job is not None and job.vtime == vtime:
                return job
            heappop(queue)
        return None

    def note(self, site: Site) -> None:
        """The site's free resources have changed."""
        if site.reserved is None and site.free.fits(self.needs):
            self.idle[site.id] = site
        else:
            self.idle.pop(site.id, None)


class Shapes:
    """All shapes by what they need. One that no job has any more is kept for a while."""

    __slots__ = ("_shapes", "_unused")

    def __init__(self) -> None:
        self._shapes: dict[Key, Shape] = {}
        self._unused: OrderedDict[Key, None] = OrderedDict()

    def join(self, job: Job, sites: Iterable[Site]) -> None:
        """The job belongs to a shape from now on."""
        key = key_of(job.spec.needs)
        shape = self._shapes.get(key)
        if shape is None:
            shape = self._shapes[key] = Shape(key, job.spec.needs)
            for site in sites:
                shape.slots += site.capacity.times(shape.needs)
                shape.note(site)
        self._unused.pop(key, None)
        shape.jobs += 1
        job.shape = shape

    def leave(self, job: Job) -> None:
        """The job is forgotten."""
        shape = job.shape
        assert shape is not None
        job.shape = None
        shape.jobs -= 1
        if not shape.jobs:
            self._unused[shape.key] = None
            if len(self._unused) > limits.SHAPES_KEPT:
                del self._shapes[self._unused.popitem(last=False)[0]]

    def resized(self, site: Site, capacity: Amount) -> None:
        """The site is about to have this capacity."""
        for shape in self._shapes.values():
            shape.slots += capacity.times(shape.needs) - site.capacity.times(shape.needs)

    def __iter__(self) -> Iterator[Shape]:
        return iter(self._shapes.values())
