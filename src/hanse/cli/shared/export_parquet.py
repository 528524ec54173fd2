"""Results as a Parquet file, row group by row group.

The record is read twice: a file has one schema, and only the last value tells what it must hold. A
column whose values have no type in common holds text.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import TYPE_CHECKING, Any, BinaryIO

import pyarrow as pa
import pyarrow.parquet as pq

from hanse.cli.export import Row, rows
from hanse.cli.shared.plain import Plain
from hanse.limits import EXPORT_BYTES, EXPORT_ROWS

if TYPE_CHECKING:
    from hanse.records.record import JobRecord

_UNFIT = (pa.ArrowException, TypeError, ValueError, OverflowError)


def write(record: JobRecord, file: BinaryIO) -> str | None:
    """Write one row for each item; returns what had to be described, if anything had."""
    plain = Plain(native=True)
    shape = Shape()
    for batch in _batches(record, plain):
        shape.look(batch)
    schema = shape.schema()
    with pq.ParquetWriter(file, schema) as writer:
        for batch in _batches(record, plain):
            writer.write_table(shape.table(batch, schema))
    return plain.odd


def _batches(record: JobRecord, plain: Plain) -> Iterator[list[Row]]:
    """Rows with plain values, as many as a row group holds."""
    batch: list[Row] = []
    taken = 0
    for part, some in rows(record):
        for row in some:
            batch.append(Row(row.item, plain(row.value), row.failure))
            if len(batch) == EXPORT_ROWS:
                yield batch
                batch, taken = [], 0
        taken += part.kept.stored.nbytes if part.kept is not None else 0
        if taken >= EXPORT_BYTES:
            yield batch
            batch, taken = [], 0
    if batch:
        yield batch


class Shape:
    """What columns all the rows need: found out batch by batch."""

    def __init__(self) -> None:
        self._dicts = True  # as long as every value is one
        self._values: pa.DataType = pa.null()
        self._columns: dict[str, pa.DataType] = {}

    def look(self, batch: list[Row]) -> None:
        values = [row.value for row in batch if row.failure is None]
        self._values = _common(self._values, _type_of(values))
        self._dicts = self._dicts and all(isinstance(value, dict) for value in values)
        if self._dicts:
            for name in {name: None for value in values for name in value}:
                kind = _type_of([value.get(name) for value in values])
                self._columns[name] = _common(self._columns.get(name, pa.null()), kind)

    def schema(self) -> pa.Schema:
        """Ours are the columns item and error, with a prefix where values have such keys."""
        columns = self._columns if self._dicts and self._columns else {"value": self._values}
        item, error = self._own_names(columns)
        return pa.schema(
            [pa.field(item, pa.int64(), nullable=False)]
            + [pa.field(name, kind) for name, kind in columns.items()]
            + [pa.field(error, pa.string())]
        )

    @staticmethod
    def _own_names(columns: dict[str, pa.DataType]) -> list[str]:
        return [f"hanse_{name}" if name in columns else name for name in ("item", "error")]

    def table(self, batch: list[Row], schema: pa.Schema) -> pa.Table:
        """The batch as a table of this schema."""
        item, *columns, error = schema
        arrays = [pa.array([row.item for row in batch], item.type)]
        by_key = bool(self._dicts and self._columns)
        for field in columns:
            values = [_cell(row, field.name if by_key else None) for row in batch]
            arrays.append(_array(values, field.type))
        failures = [row.failure.headline() if row.failure else None for row in batch]
        arrays.append(_array(failures, error.type))
        return pa.Table.from_arrays(arrays, schema=schema)


def _cell(row: Row, key: str | None) -> Any:
    if row.failure is not None or key is None:
        return row.value
    return row.value.get(key)


def _type_of(values: list[Any]) -> pa.DataType:
    try:
        return _storable(pa.array(values).type)
    except _UNFIT:
        return pa.string()


def _storable(kind: pa.DataType) -> pa.DataType:
    """Parquet has no struct without fields, as of an empty dict: that becomes text."""
    return pa.string() if "struct<>" in str(kind) else kind


def _common(one: pa.DataType, other: pa.DataType) -> pa.DataType:
    """The type that holds values of both; text if there is none."""
    if one == other:
        return one
    schemas = [pa.schema([("x", one)]), pa.schema([("x", other)])]
    try:
        return pa.unify_schemas(schemas, promote_options="permissive").field("x").type
    except _UNFIT:
        return pa.string()


def _array(values: list[Any], kind: pa.DataType) -> pa.Array:
    if pa.types.is_string(kind):
        return pa.array([_text(value) for value in values], kind)
    return pa.array(values, kind)


def _text(value: Any) -> str | None:
    if value is None:
        return None
    if not isinstance(value, str):
        value = json.dumps(value, default=str)
    return str(value).encode("utf-8", "backslashreplace").decode()  # lone surrogates
