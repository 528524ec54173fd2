"""A directory for what is recorded: this user's alone, and refused where it is not.

Records hold functions, which are loaded and run, so who may write them may run programs as this
user. Everything is made for its owner alone; what is there already is looked at.
"""

from __future__ import annotations

import os
import secrets
import stat
from collections.abc import Iterable
from contextlib import suppress
from pathlib import Path

from hanse.errors import JournalError

_OTHERS_WRITE = stat.S_IWGRP | stat.S_IWOTH


def directory(path: str) -> None:
    """Make a directory, with those above it, for its owner alone, and for good: a power cut takes
    none of them away with what was recorded. Raises JournalError if it is another user's, or if
    others may write to it; OSError."""
    _make(path)
    found = os.stat(path)
    _owned(path, found)
    if found.st_mode & _OTHERS_WRITE:
        raise JournalError(
            f"others may write to {path} (its mode is {stat.S_IMODE(found.st_mode):04o}), and so"
            " change what programs of this user load and run: `chmod go-w` it, or set HANSE_HOME to"
            " a directory of your own"
        )


def _make(path: str) -> None:
    if os.path.isdir(path):
        return
    parent = os.path.dirname(path)
    _make(parent)
    try:
        os.mkdir(path, 0o700)
    except FileExistsError:
        if not os.path.isdir(path):  # else another program was quicker
            raise
    with suppress(PermissionError):  # who may make a name there may not be allowed to read it
        sync(parent)


def files(paths: Iterable[str]) -> None:
    """Look at files that may be there. Raises JournalError if one is a link, or another user's, or
    may be written by everybody; OSError."""
    for path in paths:
        try:
            found = os.lstat(path)
        except FileNotFoundError:
            continue
        if stat.S_ISLNK(found.st_mode):
            raise JournalError(
                f"{path} is a link, and what is recorded must lie beside its log: put the file"
                " itself there, or set HANSE_HOME to the directory where it is"
            )
        _owned(path, found)
        if found.st_mode & stat.S_IWOTH:
            raise JournalError(f"everybody may write to {path}: `chmod 600` it")


def write(path: Path, data: bytes) -> None:
    """Replace a file by one for its owner alone, whole or not at all."""
    temporary = path.with_name(f".{path.name}.{secrets.token_hex(4)}")
    fd = os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600)
    try:
        with os.fdopen(fd, "wb") as file:
            file.write(data)
            file.flush()
            os.fsync(file.fileno())
        os.replace(temporary, path)
    except BaseException:
        with suppress(OSError):
            os.unlink(temporary)
        raise
    sync(str(path.parent))


def sync(path: str) -> None:
    """What was made in this directory, renamed or removed stays so after a power cut."""
    fd = os.open(path, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        os.fsync(fd)
    finally:
        os.close(fd)


def _owned(path: str, found: os.stat_result) -> None:
    if found.st_uid != os.geteuid():
        raise JournalError(
            f"{path} belongs to another user (number {found.st_uid}; this one is {os.geteuid()}),"
            " who could change what programs of this user load and run: set HANSE_HOME to a"
            " directory of your own"
        )
