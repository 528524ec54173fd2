"""joblib with its default backend, loky."""

from __future__ import annotations

import functools

from joblib import Parallel, delayed
from joblib.externals.loky import get_reusable_executor

from bench.contest import Peer
from bench.work import folded, slices

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Sequence
    from typing import Any


class Contestant(Peer):
    settings = (
        "`Parallel` of the loky backend, one that is kept open. Small items: `batch_size=10_000` "
        "(the default finds its size by trial, and is slower); long or uneven items: as it is; an "
        "iterator and arrays: `return_as='generator'`, arrays above 1 MB go by memory map as by "
        "default; single calls: loky's executor; word count as for Pool."
    )

    def _executor(self) -> Any:
        """loky's one executor: the one of `Parallel`, if that was used before."""
        return get_reusable_executor(max_workers=self.workers, reuse=True)

    def close(self) -> None:
        self._executor().shutdown(wait=True, kill_workers=True)

    def _run(self, calls: Iterator[Any], **options: Any) -> Any:
        return Parallel(n_jobs=self.workers, **options)(calls)

    def map(self, function: Callable[[Any], Any], items: Sequence[Any]) -> Iterable[Any]:
        one = delayed(function)
        return self._run((one(item) for item in items), batch_size=10_000)

    def tasks(self, function: Callable[[Any], Any], items: Sequence[Any]) -> list[Any]:
        return self._run(delayed(function)(item) for item in items)

    def stream(self, function: Callable[[Any], Any], inputs: Iterator[Any]) -> Iterator[Any]:
        one = delayed(function)
        calls = (one(item) for item in inputs)
        return self._run(calls, batch_size=10_000, return_as="generator")

    def submit(self, function: Callable[..., Any], *args: Any) -> Any:
        return self._executor().submit(function, *args)

    def results(self, handles: list[Any]) -> list[Any]:
        return [future.result() for future in handles]

    def arrays(self, function: Callable[[Any], Any], arrays: Sequence[Any]) -> Iterable[Any]:
        return self._run((delayed(function)(a) for a in arrays), return_as="generator")

    def fold(
        self, function: Callable[[Any], Any], items: Sequence[Any], merge: Callable[[Any, Any], Any]
    ) -> Any:
        one = delayed(functools.partial(folded, function, merge))
        return functools.reduce(merge, self._run(one(s) for s in slices(items, 16 * self.workers)))
