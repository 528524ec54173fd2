"""Word count of real text: this Python's own library."""

from __future__ import annotations

import hashlib
import json
import os
import sysconfig
from collections import Counter
from pathlib import Path

from bench.contest import Peer
from bench.measures.measure import (
    Family,
    Measure,
    Sizes,
    Teller,
    at_least,
    both,
    check,
    timed,
)  # fmt: skip
from bench.work import count_words, folded, merge_counts

REFERENCES = Path(__file__).parents[1] / "results"


def library_files(limit: int) -> list[str]:
    """The .py files of the standard library; not of what is installed beside it."""
    found = []
    for folder, below, names in os.walk(sysconfig.get_path("stdlib")):
        below[:] = sorted(set(below) - {"site-packages", "dist-packages", "__pycache__"})
        found += [os.path.join(folder, name) for name in sorted(names) if name.endswith(".py")]
    return found[:limit] if limit else found


def digest(counts: Counter[bytes]) -> str:
    return hashlib.sha256(repr(sorted(counts.items())).encode()).hexdigest()


def reference(files: list[str]) -> str:
    """The digest of a plain loop's count, computed once for the same files."""
    of = hashlib.sha256(repr([(f, os.stat(f).st_mtime_ns) for f in files]).encode()).hexdigest()
    kept = REFERENCES / f"words-{of[:16]}.json"
    if not kept.exists():
        REFERENCES.mkdir(exist_ok=True)
        kept.write_text(json.dumps(digest(folded(count_words, merge_counts, files))))
    return json.loads(kept.read_text())


def words(peer: Peer, sizes: Sizes, teller: Teller) -> float:
    files = library_files(sizes.text_files)
    size = sum(os.path.getsize(path) for path in files)
    wanted = reference(files)
    seconds, counts = timed(lambda: peer.fold(count_words, files, merge_counts))
    check(digest(counts) == wanted, "the counts are not those of a plain loop")
    return size / seconds / 1e6


TEXT = Family(
    "text",
    (
        Measure("words", "word count of this Python's library", "MB/s", True, words,
                "ahead of Dask, Ray, PySpark; within 5% of a hand-written Pool",
                both(at_least(1.0, "words", "dask", "ray", "spark"),
                     at_least(0.95, "words", "pool"))),
    ),
)  # fmt: skip
