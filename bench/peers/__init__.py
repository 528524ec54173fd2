"""The contestants: each is the module of that name in this folder.

Only names, so that reading this costs nothing.
"""

from __future__ import annotations


class Entry:
    """How a contestant is called, the environment it runs in, and the distribution it comes from
    (none for the standard library)."""

    __slots__ = ("environment", "name", "package")

    def __init__(self, name: str, environment: str, package: str = "") -> None:
        self.name, self.environment, self.package = name, environment, package


ENTRIES = {
    "hanse": Entry("Hanse", "light", "hanse"),
    "pool": Entry("Pool", "light"),
    "executor": Entry("ProcessPoolExecutor", "light"),
    "joblib": Entry("joblib", "light", "joblib"),
    "ray": Entry("Ray", "ray", "ray"),
    "dask": Entry("Dask", "dask", "distributed"),
    "spark": Entry("PySpark", "spark", "pyspark"),
    "alone": Entry("one process", "light"),  # no peer: a plain loop, and memcpy
}
QUICK = ("hanse", "pool", "executor", "joblib", "alone")
