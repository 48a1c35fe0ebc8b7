"""A row that does not fit its schema becomes an error row, so that one value ends no run, now or later.

What fits is kept column by column: the item's id, its place and its digest above all. The outcome is `error`,
and `error` says which value could not be written.
"""

from __future__ import annotations

import logging
import math
from collections.abc import Mapping
from datetime import datetime
from typing import Any, cast

from jurat.errors import JuratError
from jurat.runs.arrow import ArrowSchema
from jurat.text import reason, shown

log = logging.getLogger("jurat.runs")

_OF_AN_ERROR: dict[str, Any] = {"outcome": "error", "reason": "error", "broken": [], "rules": []}
"""Columns of a row that says that an item could not be judged."""


def check_nulls(batch: Any, schema: ArrowSchema) -> None:
    """Raises ValueError where a column has a null that may have none, which Parquet finds only when it is
    written."""
    for field in cast(Any, schema):
        if (place := _null_in(batch.column(field.name), field, field.name)) is not None:
            raise ValueError(f"{place} is null")


def completed(row: Mapping[str, Any], schema: ArrowSchema) -> dict[str, Any]:
    """The row with an empty list for each list that may not be null and that it does not name: rows of older
    versions have no such column. A null that it does name stays."""
    return {**row, **{field.name: _completed(row, field) for field in cast(Any, schema)}}


def _completed(inside: Mapping[str, Any], field: Any) -> Any:
    """The value of a field of a row or struct."""
    import pyarrow as pa

    if field.name not in inside:
        return [] if pa.types.is_list(field.type) and not field.nullable else None
    return _completed_value(inside[field.name], field.type)


def _completed_value(value: Any, kind: Any) -> Any:
    import pyarrow as pa

    if pa.types.is_struct(kind) and isinstance(value, Mapping):
        given = cast("Mapping[str, Any]", value)
        fields: list[Any] = [kind.field(at) for at in range(kind.num_fields)]
        return {**given, **{each.name: _completed(given, each) for each in fields}}
    if pa.types.is_list(kind) and isinstance(value, list | tuple):
        return [_completed_value(each, kind.value_type) for each in cast("list[Any]", value)]
    return value


def error_row(row: Mapping[str, Any], schema: ArrowSchema, number: int) -> dict[str, Any]:
    """The error row that stands for one that does not fit; `number` is its own, from 1.

    Raises:
        JuratError: the schema has no columns for an error.
    """
    misfits: list[str] = []
    fields: list[Any] = list(cast(Any, schema))
    made = {field.name: _fitting(row.get(field.name), field, field.name, misfits) for field in fields}
    why = misfits[0] if misfits else "it is no row"
    if not {"outcome", "error"} <= set(schema.names):
        raise JuratError(f"row {number} does not fit the schema: {why}")
    name = row.get("id")
    if name is not None and not isinstance(name, str):
        made["id"] = str(name)
    log.warning("row %d, of %s, is recorded as an error: %s", number, shown(str(name)), why)
    known = {column: value for column, value in _OF_AN_ERROR.items() if column in made}
    return made | known | {"error": f"What was found cannot be recorded: {why}."}


def _fitting(value: Any, field: Any, place: str, misfits: list[str]) -> Any:
    """The value if it fits; of a struct what fits; else what says nothing."""
    import pyarrow as pa

    try:
        if pa.types.is_timestamp(field.type) and isinstance(value, str):
            datetime.fromisoformat(value)
            return value
        null = _null_in(pa.array([value], type=field.type), field, place)
        infinite = isinstance(value, float) and not math.isfinite(value)
        if null is None and not infinite:
            return value
        problem = f"{place} is {value}" if infinite else f"{null} is null"
    except (pa.ArrowException, TypeError, ValueError, OverflowError) as error:
        problem = f"{place}: {reason(error)}"
    if pa.types.is_struct(field.type) and isinstance(value, Mapping):
        fields = cast("Mapping[str, Any]", value)
        inner = [field.type.field(at) for at in range(field.type.num_fields)]
        return {
            each.name: _fitting(fields.get(each.name), each, f"{place}.{each.name}", misfits)
            for each in inner
        }
    misfits.append(problem)
    return _nothing(field)


def _nothing(field: Any) -> Any:
    """A value of the field's type that says nothing."""
    import pyarrow as pa

    if field.nullable:
        return None
    if pa.types.is_struct(field.type):
        return {each.name: _nothing(each) for each in _inside(field)}
    if pa.types.is_nested(field.type):
        return []
    if pa.types.is_timestamp(field.type):
        return "1970-01-01T00:00:00Z"
    return "" if pa.types.is_string(field.type) else pa.scalar(0).cast(field.type).as_py()


def _inside(field: Any) -> list[Any]:
    """The fields of a struct."""
    return [field.type.field(at) for at in range(field.type.num_fields)]


def _null_in(array: Any, field: Any, place: str) -> str | None:
    """Where there is a null that may not be one."""
    import pyarrow as pa

    if array.null_count and not field.nullable:
        return place
    if pa.types.is_struct(field.type):
        if array.null_count:
            array = array.drop_null()
        inner = [(array.field(at), each) for at, each in enumerate(_inside(field))]
    elif pa.types.is_list(field.type):
        inner = [(array.flatten(), field.type.value_field)]
    else:
        return None
    for values, each in inner:
        if (found := _null_in(values, each, f"{place}.{each.name}")) is not None:
            return found
    return None
