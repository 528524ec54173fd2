"""Count the words of real text on every core, and fold the counts where they are made.

    hanse run examples/wordcount.py                  this Python's own library and packages
    hanse run examples/wordcount.py ~/notes a.txt    directories and files

One item is one file. Each worker folds the counts of its files into one before anything travels,
so the client receives a few tables and not twenty thousand. Files that cannot be read are counted
and shown, and stop nothing. Of directories, the .py, .txt and .rst files are read.

A word is a run of ASCII letters, underscores and characters outside ASCII, with A-Z as a-z: cutting
bytes that way is ten times faster than decoding text, and the same for every UTF-8 file.
"""

from __future__ import annotations

import argparse
import os
import sys
import sysconfig
import time
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field

import hanse

SUFFIXES = (".py", ".txt", ".rst")
EXAMPLES_OF_UNREADABLE = 3
# What each byte becomes: letters lower case, the other bytes of words themselves, the rest spaces.
WORDS_ONLY = bytes(
    ord(chr(byte).lower())
    if byte < 128 and chr(byte).isalpha()
    else byte
    if byte >= 128 or byte == ord("_")
    else ord(" ")
    for byte in range(256)
)


@dataclass
class Tally:
    """What was found in some files."""

    words: Counter[bytes] = field(default_factory=Counter)
    files: int = 0
    bytes: int = 0
    unreadable: int = 0
    because: list[str] = field(default_factory=list)  # for the first few of those


def count(path: str) -> Tally:
    """Count the words of one file."""
    try:
        with open(path, "rb", buffering=0) as file:
            text = file.read()
    except OSError as error:
        return Tally(unreadable=1, because=[f"{path}: {error.strerror}"])
    return Tally(Counter(text.translate(WORDS_ONLY).split()), files=1, bytes=len(text))


def merge(into: Tally, other: Tally) -> Tally:
    """Add one tally to another. The left one may be changed: nobody else holds it."""
    into.words.update(other.words)
    into.files += other.files
    into.bytes += other.bytes
    into.unreadable += other.unreadable
    into.because = (into.because + other.because)[:EXAMPLES_OF_UNREADABLE]
    return into


def serial(files: Iterable[str]) -> Tally:
    """The same count in a plain loop, for the test and for comparison."""
    total = Tally()
    for path in files:
        merge(total, count(path))
    return total


def text_files(paths: Iterable[str]) -> Iterator[str]:
    """Files as they are; of directories, every text file below, each once."""
    seen: set[str] = set()
    for path in paths:
        found = text_files_below(path) if os.path.isdir(path) else [path]
        for file in found:
            if file not in seen:
                seen.add(file)
                yield file


def text_files_below(directory: str) -> Iterator[str]:
    for folder, subfolders, names in os.walk(directory):
        subfolders.sort()
        for name in sorted(names):
            if name.endswith(SUFFIXES):
                yield os.path.join(folder, name)


def main(argv: Sequence[str] | None = None) -> int:
    parser = argparse.ArgumentParser(description="Count the words of text files on every core.")
    parser.add_argument("paths", nargs="*", metavar="PATH", help="files and directories")
    parser.add_argument("--top", type=int, default=10, help="how many words to print (default: 10)")
    args = parser.parse_args(argv)
    paths = args.paths or [sysconfig.get_path("stdlib"), sysconfig.get_path("purelib")]
    files = list(text_files(os.path.realpath(path) for path in paths))
    if not files:
        print("there are no .py, .txt or .rst files there", file=sys.stderr)
        return 1

    began = time.perf_counter()
    with hanse.connect() as client:
        total = client.map(count, files).reduce(merge)
    seconds = time.perf_counter() - began

    for word, times in total.words.most_common(args.top):
        print(f"{times:>12,}  {word.decode(errors='replace')}")
    megabytes = total.bytes / 1e6
    print(
        f"{total.files:,} files, {megabytes:,.1f} MB, {total.words.total():,} words, "
        f"{len(total.words):,} different: {seconds:.1f} s, {megabytes / seconds:,.0f} MB/s"
    )
    if total.unreadable:
        print(f"{total.unreadable:,} files could not be read, such as", file=sys.stderr)
        print("\n".join(f"  {line}" for line in total.because), file=sys.stderr)
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
