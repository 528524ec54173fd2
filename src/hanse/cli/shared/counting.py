"""What `hanse demo` computes: the words of Python files, as Python itself reads them.

Short, so that it can be read before it is believed. Words are what Python calls names: the text of
comments and strings is not counted.
"""

from __future__ import annotations

import os
import tokenize
from collections import Counter


def count(path: str) -> tuple[int, Counter[str]]:
    """The words of one file, and the process that counted them."""
    words: Counter[str] = Counter()
    with open(path, "rb") as file:
        try:
            for token in tokenize.tokenize(file.readline):
                if token.type == tokenize.NAME:
                    words[token.string] += 1
        except (SyntaxError, tokenize.TokenError):
            pass  # Python's tests hold broken files: what comes before the break counts
    return os.getpid(), words


def files_below(directory: str, most: int) -> list[str]:
    """The .py files below a directory, in an order that is always the same."""
    found: list[str] = []
    for folder, subfolders, names in os.walk(directory):
        subfolders[:] = sorted(name for name in subfolders if name != "site-packages")
        found += [os.path.join(folder, name) for name in sorted(names) if name.endswith(".py")]
        if len(found) >= most:
            break
    return found[:most]
