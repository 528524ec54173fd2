"""What the workers run, the same for every contestant, and small tools of the adapters."""

from __future__ import annotations

import os
import time

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections import Counter
    from collections.abc import Callable, Iterable, Iterator, Sequence
    from typing import Any


def same(x: Any) -> Any:
    """The least that an item can do."""
    return x


def add(a: int, b: int) -> int:
    return a + b


def bump(x: int) -> int:
    return x + 1


def spin(seconds: float) -> float:
    """Keep a core busy for that long, by the clock on the wall."""
    until = time.perf_counter() + seconds
    while time.perf_counter() < until:
        pass
    return seconds


def whoami(seconds: float) -> int:
    """Which process runs this; it takes long enough that every worker gets one."""
    time.sleep(seconds)
    return os.getpid()


def nap(item: tuple[int, float, str]) -> int:
    """Sleep, and leave word of who began which item when."""
    number, seconds, folder = item
    began = time.monotonic()
    path = os.path.join(folder, f"{number}.{os.getpid()}")
    with open(path + ".new", "w") as file:
        file.write(repr(began))
    os.rename(path + ".new", path)
    time.sleep(seconds)
    return number


# What each byte becomes: letters lower case, the other bytes of words themselves, the rest spaces.
WORDS_ONLY = bytes(
    ord(chr(byte).lower())
    if byte < 128 and chr(byte).isalpha()
    else byte
    if byte >= 128 or byte == ord("_")
    else ord(" ")
    for byte in range(256)
)


def count_words(path: str) -> Counter[bytes]:
    from collections import Counter

    with open(path, "rb", buffering=0) as file:
        return Counter(file.read().translate(WORDS_ONLY).split())


def merge_counts(into: Counter[bytes], other: Counter[bytes]) -> Counter[bytes]:
    into.update(other)
    return into


# --- for adapters -----------------------------------------------------------------------------
def in_chunks(items: Iterable[Any], size: int) -> Iterator[list[Any]]:
    """Lists of `size` items; the last may be shorter."""
    from itertools import islice

    rest = iter(items)
    while chunk := list(islice(rest, size)):
        yield chunk


def slices(items: Sequence[Any], parts: int) -> list[Sequence[Any]]:
    """About that many slices of equal length: a range is cut without being read."""
    size = max(1, -(-len(items) // parts))
    return [items[at : at + size] for at in range(0, len(items), size)]


def each(function: Callable[[Any], Any], chunk: Iterable[Any]) -> list[Any]:
    return [function(item) for item in chunk]


def folded(
    function: Callable[[Any], Any], merge: Callable[[Any, Any], Any], chunk: Iterable[Any]
) -> Any:
    """The items' results, merged where they are."""
    from functools import reduce

    return reduce(merge, map(function, chunk))


def windowed(
    begin: Callable[[list[Any]], Any], fetch: Callable[[Any], list[Any]],
    chunks: Iterable[list[Any]], width: int,
) -> Iterator[Any]:  # fmt: skip
    """Results in order with at most `width` chunks begun and not yet fetched."""
    from collections import deque

    waiting: deque[Any] = deque()
    for chunk in chunks:
        if len(waiting) == width:
            yield from fetch(waiting.popleft())
        waiting.append(begin(chunk))
    while waiting:
        yield from fetch(waiting.popleft())
