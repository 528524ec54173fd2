"""PySpark in local mode."""

from __future__ import annotations

from pyspark.sql import SparkSession

from bench.contest import Peer

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Sequence
    from typing import Any

OPTIONS = {"spark.ui.enabled": "false", "spark.driver.memory": "4g"}


class Contestant(Peer):
    settings = (
        "`local[workers,4]`: a task may fail three times, as on its clusters; no web page, 4 GB "
        "for its driver (1 GB cannot hold the arrays). RDDs of four partitions per worker (its "
        "guide: two to four) and `collect`, also of an iterator, which `parallelize` reads whole; "
        "long or uneven items: 64 partitions per worker; arrays: a partition each; word count: "
        "`map(count).reduce(merge)`."
    )

    def open(self) -> None:
        builder = SparkSession.builder.master(f"local[{self.workers},4]").appName("bench")
        for option, value in OPTIONS.items():
            builder = builder.config(option, value)
        self.session = builder.getOrCreate()
        self.context = self.session.sparkContext
        self.context.setLogLevel("ERROR")

    def close(self) -> None:
        self.session.stop()

    def _rdd(self, items: Iterable[Any]) -> Any:
        return self.context.parallelize(items, 4 * self.workers)

    def map(self, function: Callable[[Any], Any], items: Sequence[Any]) -> Iterable[Any]:
        return self._rdd(items).map(function).collect()

    def tasks(self, function: Callable[[Any], Any], items: Sequence[Any]) -> list[Any]:
        parts = min(len(items), 64 * self.workers)
        return self.context.parallelize(items, parts).map(function).collect()

    def stream(self, function: Callable[[Any], Any], inputs: Iterator[Any]) -> Iterator[Any]:
        return iter(self._rdd(inputs).map(function).collect())

    def arrays(self, function: Callable[[Any], Any], arrays: Sequence[Any]) -> Iterable[Any]:
        return self.context.parallelize(arrays, len(arrays)).map(function).collect()

    def fold(
        self, function: Callable[[Any], Any], items: Sequence[Any], merge: Callable[[Any, Any], Any]
    ) -> Any:
        return self._rdd(items).map(function).reduce(merge)
