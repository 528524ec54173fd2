"""`hanse export`: a job's results as a file that other programs read."""

from __future__ import annotations

import contextlib
import os
import secrets
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any, BinaryIO

import click
import msgspec

from hanse.cli.shared.command import Command
from hanse.cli.shared.lookup import job_argument, record_of, recorded
from hanse.cli.shared.output import Output
from hanse.errors import UsageError

if TYPE_CHECKING:
    from hanse.model.failure import Failure
    from hanse.payloads.payload import Payload
    from hanse.records.record import JobRecord, StoredPart

KINDS = (".jsonl", ".parquet")


class Row(msgspec.Struct, frozen=True):
    """One item: its value, or why it has none."""

    item: int
    value: Any
    failure: Failure | None


@click.command(cls=Command)
@job_argument
@click.option("--to", "target", required=True, type=click.Path(path_type=Path), metavar="FILE",
              help="results.jsonl or results.parquet")  # fmt: skip
@click.option("--force", is_flag=True, help="Overwrite the file if it is there.")
@click.pass_obj
def export(out: Output, job: str, target: Path, force: bool) -> None:
    """Write a job's results to a file.

    .jsonl: one line for each item, {"item": 0, "value": ...} or {"item": 0, "error": {...}}. What
    JSON cannot hold is written as well as can be: bytes as base64, times as ISO 8601, dataclasses
    and named tuples as objects, arrays and sets as lists, anything else as its repr.

    .parquet (needs pip install 'hanse[export]'): one row for each item; if all values are dicts
    or dataclasses, their keys are the columns, else there is one column named value.

    Items that are not done yet are left out. Reading results runs code of theirs: their classes
    are imported.
    """
    write = _writer(target)
    if target.exists() and not force:  # before the work; what counts is asked at its end
        raise _is_there(target)
    with recorded(job) as (side, head):
        record = record_of(side, head)
        if any(part.folded for part in record.parts()):
            raise UsageError(
                f"the results of job {head.id} were folded into one by reduce(), and single ones "
                "were not kept: there is nothing to export"
            )
        sys.path += [path for path in record.program.sys_path if path not in sys.path]
        with _whole(target, force) as file:
            odd = write(record, file)
        _tell(out, record, target, odd)


def _writer(target: Path) -> Any:
    match target.suffix:
        case ".jsonl":
            from hanse.cli.shared.export_jsonl import write

            return write
        case ".parquet":
            try:
                from hanse.cli.shared.export_parquet import write as write_parquet
            except ImportError as error:
                raise UsageError(
                    f"writing .parquet needs pyarrow ({error}): pip install 'hanse[export]', or "
                    "export to .jsonl"
                ) from None
            return write_parquet
    raise UsageError(f"{target} must end in {' or '.join(KINDS)}")


def _tell(out: Output, record: JobRecord, target: Path, odd: str | None) -> None:
    written, failed = len(record.settled), len(record.failed)
    missing = record.size - written
    if odd is not None:
        out.note(f"hanse: {odd}")
    if missing or record.head.ended_s is None:
        out.note(f"hanse: the job has not ended: {missing:,} items have no result yet")
    document = {"path": str(target), "items": written, "failed": failed, "missing": missing}
    shown = f"{written:,} items, {failed:,} of them failed: {target}"
    out.result(document, lambda: out.say(shown), quiet=())


def rows(record: JobRecord) -> Iterator[tuple[StoredPart, list[Row]]]:
    """What is on record, part by part, in order of items. Raises UsageError for values that cannot
    be unpickled here."""
    for part, payload in record.outcomes():
        if part.failure is not None:
            for item in range(part.start, part.stop):
                why = msgspec.structs.replace(part.failure, item=item)  # it tells of the first
                yield part, [Row(item, None, why)]
            continue
        yield part, [Row(part.start + n, v, None) for n, v in enumerate(_values(part, payload))]


def _values(part: StoredPart, payload: Payload | None) -> list[Any]:
    from hanse.errors import HanseError

    assert payload is not None
    try:
        return part.load(payload)
    except HanseError:
        raise
    except Exception as error:
        raise UsageError(
            f"the results of items {part.start} to {part.stop - 1} cannot be read here: "
            f"{type(error).__name__}: {error}. Is this the Python, and are these the packages, "
            "that the job ran with?"
        ) from error


def _is_there(target: Path) -> UsageError:
    return UsageError(f"{target} is there already: choose another name, or say --force")


@contextlib.contextmanager
def _whole(target: Path, force: bool) -> Iterator[BinaryIO]:
    """A new file that gets the target's name when it is whole, or is gone.

    With `force` it takes the place of what is there, and its rights too: results that were for one
    user alone stay so. Otherwise raises UsageError if there is anything by then.
    """
    path = target.with_name(f".{target.name[:100]}.{secrets.token_hex(6)}.part")
    rights = _rights(target) if force else None
    try:
        with open(path, "xb", opener=None if rights is None else _open_private) as file:
            yield file
            file.flush()
            if rights is not None:
                os.fchmod(file.fileno(), rights)
            os.fsync(file.fileno())
        if not force:
            _claim(path, target)
        else:
            os.replace(path, target)
    finally:
        with contextlib.suppress(OSError):
            path.unlink()


def _rights(target: Path) -> int | None:
    """The permissions of a file that is there."""
    try:
        return target.stat().st_mode & 0o777
    except FileNotFoundError:
        return None


def _open_private(path: str, flags: int) -> int:
    return os.open(path, flags, 0o600)


def _claim(path: Path, target: Path) -> None:
    """Give the file a name that nobody may have taken meanwhile. Raises UsageError."""
    try:
        try:
            os.link(path, target)
        except FileExistsError:
            raise
        except OSError:  # a disk without such links, as on a USB stick
            os.close(os.open(target, os.O_WRONLY | os.O_CREAT | os.O_EXCL))
            os.replace(path, target)
    except FileExistsError:
        raise _is_there(target) from None
