"""The schema of a run's rows: columns, key and outcome.

A row that does not fit its columns becomes an error row, so that one value never ends a run, now or when it
is resumed. What fits is kept column by column: the item's id, its place and its digest above all.
"""

from __future__ import annotations

import json
import logging
import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, cast

from jurat.errors import JuratError
from jurat.runs.arrow import ArrowSchema
from jurat.runs.recorded_items import item_key
from jurat.text import reason, shown

Row = Mapping[str, Any]
"""Names to values that JSON can hold: text, numbers, booleans, None, lists and dicts of these."""

log = logging.getLogger("jurat.runs")


def _unchanged(settings: dict[str, Any]) -> dict[str, Any]:
    return settings


def _no_text(facts: Mapping[str, Any]) -> str:
    return ""


@dataclass(frozen=True)
class RowSchema:
    """The columns of rows and what a run does with them. Rows of any kind can be stored:

    ANSWERS = RowSchema(
        lambda: pyarrow.schema(
            [
                ("id", pyarrow.string()),
                ("outcome", pyarrow.string()),
                ("error", pyarrow.string()),
                ("answer", pyarrow.string()),
            ]
        ),
        occurrence=None,
    )
    """

    arrow: Callable[[], ArrowSchema]
    """Makes the `pyarrow.Schema`, with its metadata; called to write Parquet and for rows that do not fit."""
    id: str = "id"
    """Column that names the row's item."""
    occurrence: str | None = "occurrence"
    """Column that tells rows of the same id apart: a number, where null is 0. None where ids are unique."""
    outcome: str = "outcome"
    """Column that says what became of the item."""
    error: str = "error"
    """Column that says why an item failed."""
    failed: str = "error"
    """The outcome of items that failed, which `retry_errors` computes anew."""
    error_values: Mapping[str, Any] = field(default_factory=dict[str, Any])
    """Further columns of a row whose item failed."""
    encode: Callable[[Any], Row] = dict
    """Makes a row of what `Run.write` is given, unless that is a mapping already."""
    upgrade: Callable[[dict[str, Any]], dict[str, Any]] = _unchanged
    """Makes settings that an earlier version recorded comparable with today's. Raises JuratError for a run
    that can neither be resumed nor merged any more."""
    text_of: Callable[[Mapping[str, Any]], str] = _no_text
    """A text of many lines in a run's facts; where settings differ, its difference is shown."""

    @property
    def keys(self) -> list[str]:
        """The columns that identify a row."""
        return [self.id] if self.occurrence is None else [self.id, self.occurrence]

    def key(self, row: Row) -> bytes:
        """The key of a row, made by `jurat.runs.recorded_items.item_key`."""
        return item_key(row[self.id], 0 if self.occurrence is None else row[self.occurrence] or 0)

    def json_line(self, row: Row, number: int) -> bytes:
        """Row `number`, from 1, as a line of JSON; the error row in its place where JSON cannot hold it."""
        try:
            return _json_line(row, number)
        except JuratError as error:
            try:
                return _json_line(self.error_row(row, number), number)
            except JuratError:  # the schema has no columns for an error
                raise error from None

    def error_row(self, row: Row, number: int) -> dict[str, Any]:
        """The error row in the place of row `number`, from 1, which does not fit.

        Raises:
            JuratError: the schema has no columns for an error.
        """
        misfits: list[str] = []
        schema = self.arrow()
        made = {each.name: _fitting(row.get(each.name), each, each.name, misfits) for each in schema}
        why = misfits[0] if misfits else "it is not a row"
        if not {self.outcome, self.error} <= set(schema.names):
            raise JuratError(f"row {number} does not fit the schema: {why}")
        name = row.get(self.id)
        if name is not None and not isinstance(name, str):
            made[self.id] = str(name)
        log.warning("row %d, of %s, is recorded as an error: %s", number, shown(str(name)), why)
        told = {self.outcome: self.failed, self.error: f"What was found cannot be recorded: {why}."}
        return made | dict(self.error_values) | told


def _json_line(row: Row, number: int) -> bytes:
    try:
        text = json.dumps(row, ensure_ascii=False, allow_nan=False)
    except (TypeError, ValueError) as error:
        raise JuratError(f"row {number} cannot be written as JSON: {reason(error)}") from error
    # A lone surrogate has no UTF-8. Written as \udcff it is JSON all the same, and reads back as it was.
    return text.encode("utf-8", "backslashreplace") + b"\n"


def null_in(array: Any, field: Any, place: str) -> str | None:
    """Where an Arrow array has a null that may not be one; Parquet notices only while it is written."""
    import pyarrow as pa

    if array.null_count and not field.nullable:
        return place
    if pa.types.is_struct(field.type):
        if array.null_count:
            array = array.drop_null()
        inner = [(array.field(at), each) for at, each in enumerate(_fields(field))]
    elif pa.types.is_list(field.type):
        inner = [(array.flatten(), field.type.value_field)]
    else:
        return None
    for values, each in inner:
        if (found := null_in(values, each, f"{place}.{each.name}")) is not None:
            return found
    return None


def completed(row: Row, fields: Any) -> dict[str, Any]:
    """The row, or struct, with an empty list for each list that may not be null and that it lacks: rows of
    older versions have no such column. A null that it holds stays."""
    return {**row, **{each.name: _completed(row, each) for each in fields}}


def _completed(inside: Row, field: Any) -> Any:
    import pyarrow as pa

    def value_of(value: Any, kind: Any) -> Any:
        if pa.types.is_struct(kind) and isinstance(value, Mapping):
            return completed(cast("Row", value), [kind.field(at) for at in range(kind.num_fields)])
        if pa.types.is_list(kind) and isinstance(value, list | tuple):
            return [value_of(each, kind.value_type) for each in cast("list[Any]", value)]
        return value

    if field.name not in inside:
        return [] if pa.types.is_list(field.type) and not field.nullable else None
    return value_of(inside[field.name], field.type)


def _fitting(value: Any, field: Any, place: str, misfits: list[str]) -> Any:
    """The value if it fits, the fitting fields of a struct, or else an empty value."""
    import pyarrow as pa

    try:
        if pa.types.is_timestamp(field.type) and isinstance(value, str):
            datetime.fromisoformat(value)
            return value
        null = null_in(pa.array([value], type=field.type), field, place)
        infinite = isinstance(value, float) and not math.isfinite(value)
        if null is None and not infinite:
            return value
        problem = f"{place} is {value}" if infinite else f"{null} is null"
    except (pa.ArrowException, TypeError, ValueError, OverflowError) as error:
        problem = f"{place}: {reason(error)}"
    if pa.types.is_struct(field.type) and isinstance(value, Mapping):
        inside = cast("Row", value)
        return {
            each.name: _fitting(inside.get(each.name), each, f"{place}.{each.name}", misfits)
            for each in _fields(field)
        }
    misfits.append(problem)
    return _empty(field)


def _empty(field: Any) -> Any:
    import pyarrow as pa

    if field.nullable:
        return None
    if pa.types.is_struct(field.type):
        return {each.name: _empty(each) for each in _fields(field)}
    if pa.types.is_nested(field.type):
        return []
    if pa.types.is_timestamp(field.type):
        return "1970-01-01T00:00:00Z"
    return "" if pa.types.is_string(field.type) else pa.scalar(0).cast(field.type).as_py()


def _fields(field: Any) -> list[Any]:
    """The fields of a struct."""
    return [field.type.field(at) for at in range(field.type.num_fields)]
