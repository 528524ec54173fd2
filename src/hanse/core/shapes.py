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
from hanse.core.placement import Placement
from hanse.core.site import Site
from hanse.ids import JobId, SiteId
from hanse.model.fit import Requires
from hanse.model.resources import Amount

Key = tuple[object, ...]


def key_of(needs: Amount, requires: Requires) -> Key:
    custom = tuple(sorted(needs.custom_milli.items())) if needs.custom_milli else ()
    return needs.cpus_milli, needs.gpus_milli, needs.memory_bytes, custom, requires.key


class Shape:
    """Everything about one amount of resources that items need, and one kind of code."""

    __slots__ = (
        "_queue",
        "_unfit",
        "functions",
        "idle",
        "jobs",
        "key",
        "needs",
        "place",
        "requires",
        "runnable",
        "slots",
    )

    def __init__(
        self, key: Key, needs: Amount, requires: Requires, place: Placement | None = None
    ) -> None:
        self.key = key
        self.needs = needs
        self.requires = requires
        self.place = place  # of the one job that has this shape; None: jobs without aims
        self._unfit: set[SiteId] = set()  # cannot run such code
        self.jobs = 0  # that have this shape and are not forgotten
        self.runnable: dict[JobId, Job] = {}  # running, with ready items that may be granted
        self.functions: dict[str, int] = {}  # ... by name: how many of those jobs call them
        self._queue: list[tuple[int, JobId]] = []  # by vtime; holds outdated entries too
        self.idle: OrderedDict[SiteId, Site] = OrderedDict()  # have room, longest idle first
        self.slots = 0  # how often it fits into all sites that are not silent

    def wake(self, job: Job) -> None:
        """The job has become runnable."""
        self.runnable[job.id] = job
        function = job.spec.function
        self.functions[function] = self.functions.get(function, 0) + 1
        self.push(job)

    def sleep(self, job: Job) -> None:
        """It is runnable no more."""
        del self.runnable[job.id]
        function = job.spec.function
        self.functions[function] -= 1
        if not self.functions[function]:
            del self.functions[function]

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

    def first_for(self, site: Site) -> Job | None:
        """Of the runnable ones that the site's owner lets through, the same."""
        if not site.restricted:
            return self.first()
        assert site.offer is not None
        let = {name for name in self.functions if site.offer.lets(name)}
        if not let:
            return None
        jobs = (job for job in self.runnable.values() if job.spec.function in let)
        return min(jobs, key=lambda job: (job.vtime, job.id), default=None)

    def suits(self, site: Site) -> bool:
        """Whether the site can run such code."""
        return site.id not in self._unfit

    def meet(self, site: Site) -> None:
        """The site is new here, or offers something else from now on."""
        kept = site.tariff.rented and self.place is None
        if kept or site.lacks(self.requires) is not None:
            self._unfit.add(site.id)
        else:
            self._unfit.discard(site.id)

    def part(self, site: Site) -> None:
        """The site is known no more."""
        self._unfit.discard(site.id)
        self.idle.pop(site.id, None)

    def slots_in(self, site: Site, capacity: Amount) -> int:
        return 0 if site.id in self._unfit else capacity.times(self.needs)

    def note(self, site: Site) -> None:
        """The site's free resources have changed. One that is restricted is looked at by itself:
        whether it can run anything depends on the job."""
        if self.fits(site) and not site.restricted:
            self.idle[site.id] = site
        else:
            self.idle.pop(site.id, None)

    def fits(self, site: Site) -> bool:
        """Whether the site could take one more lease now."""
        return (
            site.reserved is None
            and site.free.fits(self.needs)
            and self.suits(site)
            and (self.place is None or self.place.allows(site.id))
        )


class Shapes:
    """All shapes by what they need. One that no job has any more is kept for a while."""

    __slots__ = ("_shapes", "_unused")

    def __init__(self) -> None:
        self._shapes: dict[Key, Shape] = {}
        self._unused: OrderedDict[Key, None] = OrderedDict()

    def join(self, job: Job, sites: Iterable[Site]) -> None:
        """The job belongs to a shape from now on."""
        key = key_of(job.spec.needs, job.spec.requires)
        if job.place is not None:
            key = (*key, job.id)
        shape = self._shapes.get(key)
        if shape is None:
            shape = Shape(key, job.spec.needs, job.spec.requires, job.place)
            self._shapes[key] = shape
            for site in sites:
                shape.meet(site)
                shape.slots += shape.slots_in(site, site.capacity)
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
        if shape.place is not None:
            del self._shapes[shape.key]
        elif not shape.jobs:
            self._unused[shape.key] = None
            if len(self._unused) > limits.SHAPES_KEPT:
                del self._shapes[self._unused.popitem(last=False)[0]]

    def resized(self, site: Site, capacity: Amount) -> None:
        """The site is about to have this capacity."""
        for shape in self._shapes.values():
            shape.slots += shape.slots_in(site, capacity) - shape.slots_in(site, site.capacity)

    def __iter__(self) -> Iterator[Shape]:
        return iter(self._shapes.values())
