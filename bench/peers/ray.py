"""Ray on this machine."""

from __future__ import annotations

import functools

import ray

from bench.contest import Peer
from bench.work import each, folded, in_chunks, slices, windowed

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Sequence
    from typing import Any


class Contestant(Peer):
    settings = (
        "`ray.init(num_cpus=workers, include_dashboard=False)`. Small items: batched into tasks, "
        "as its page on too fine-grained tasks says, 16 per worker; long or uneven items: one task "
        "each; an iterator: batches of 10,000 with four per worker under way; arrays: one task "
        "each, through its object store; word count: 16 lists of files per worker, one task each."
    )

    def open(self) -> None:
        ray.init(
            num_cpus=self.workers, include_dashboard=False, log_to_driver=False,
            configure_logging=False,
        )  # fmt: skip
        self._remote: dict[Any, Any] = {}

    def close(self) -> None:
        ray.shutdown()

    def map(self, function: Callable[[Any], Any], items: Sequence[Any]) -> Iterable[Any]:
        parts = [self.submit(each, function, s) for s in slices(items, 16 * self.workers)]
        return (result for part in parts for result in ray.get(part))

    def tasks(self, function: Callable[[Any], Any], items: Sequence[Any]) -> list[Any]:
        return ray.get([self.submit(function, item) for item in items])

    def stream(self, function: Callable[[Any], Any], inputs: Iterator[Any]) -> Iterator[Any]:
        begin = functools.partial(self.submit, each, function)
        return windowed(begin, ray.get, in_chunks(inputs, 10_000), 4 * self.workers)

    def submit(self, function: Callable[..., Any], *args: Any) -> Any:
        remote = self._remote.get(function)
        if remote is None:
            remote = self._remote[function] = ray.remote(function)
        return remote.remote(*args)

    def results(self, handles: list[Any]) -> list[Any]:
        return ray.get(handles)

    call = submit
    compute = results

    def arrays(self, function: Callable[[Any], Any], arrays: Sequence[Any]) -> Iterable[Any]:
        parts = [self.submit(function, array) for array in arrays]
        return (ray.get(part) for part in parts)

    def fold(
        self, function: Callable[[Any], Any], items: Sequence[Any], merge: Callable[[Any, Any], Any]
    ) -> Any:
        parts = [self.submit(folded, function, merge, s) for s in slices(items, 16 * self.workers)]
        return functools.reduce(merge, (ray.get(part) for part in parts))
