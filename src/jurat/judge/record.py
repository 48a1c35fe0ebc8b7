"""The record: a verdict as one row, the same in JSON Lines and Parquet, and its schema.

The pydantic models of `jurat.judge.verdict` are the schema; the Arrow schema and the reference in
`docs/record.md` are made from them.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from types import NoneType, UnionType
from typing import TYPE_CHECKING, Any, Literal, Union, get_args, get_origin

from pydantic import BaseModel, ValidationError
from pydantic.fields import FieldInfo

from jurat.errors import JuratError
from jurat.judge.verdict import (
    SCHEMA,
    TIMESTAMP,
    AlternativeScore,
    Cost,
    Finding,
    ItemImage,
    Part,
    PresenceScore,
    RecordedTurn,
    Region,
    RuleFinding,
    StageEvidence,
    Verdict,
)

if TYPE_CHECKING:
    import pyarrow

_DIGITS = 9
"""Significant digits of numbers in rows: more than float32 holds."""
_PLAIN = {str: "text", int: "integer", float: "number", bool: "true or false"}


def verdict_to_row(verdict: Verdict) -> dict[str, Any]:
    """A row of plain JSON types. Numbers are rounded to 9 significant digits."""
    row = verdict.model_dump(mode="json")
    _round(row, row.items())
    return {_row_name(name): value for name, value in row.items()}


def row_to_verdict(row: Mapping[str, Any]) -> Verdict:
    """The verdict of a row, whether it was read from JSON Lines or Parquet. Fields that are not known are
    left out.

    Raises:
        JuratError: it is not a row of this schema, or of a later one that this version cannot read.
    """
    schema = row.get("schema")
    if schema not in range(1, SCHEMA + 1):
        raise JuratError(
            f"This is not a verdict that this jurat reads: its schema is {schema!r}, not {SCHEMA} or below.",
            hint="Name a file that `jurat judge --out` wrote." if schema is None else "Update jurat.",
        )
    fields = {("schema_" if name == "schema" else name): v for name, v in row.items()}
    if isinstance(columns := fields.get("columns"), list):  # a map, as pyarrow returns it by default
        fields["columns"] = dict(columns)
    try:
        return Verdict.model_validate(fields)
    except ValidationError as error:
        first = error.errors()[0]
        where = ".".join(str(part) for part in first["loc"])
        raise JuratError(f"This is not a verdict: {where}: {first['msg']}.") from error


def arrow_schema() -> pyarrow.Schema:  # pyright: ignore[reportUnknownParameterType]
    """The Arrow schema of rows; its metadata holds the version under `jurat.schema`."""
    import pyarrow as pa

    fields = [
        pa.field(_row_name(name), _arrow_of(info), nullable=_optional(info))
        for name, info in Verdict.model_fields.items()
    ]
    return pa.schema(fields, metadata={"jurat.schema": str(SCHEMA)})


def describe_record() -> str:
    """The reference of the record as Markdown tables, made from the models and their docstrings."""
    models = (
        Verdict,
        ItemImage,
        RecordedTurn,
        RuleFinding,
        Part,
        Finding,
        AlternativeScore,
        PresenceScore,
        StageEvidence,
        Region,
        Cost,
    )
    return "\n\n".join(_describe(model) for model in models)


def _describe(model: type[BaseModel]) -> str:
    lines = [
        f"### {model.__name__}",
        "",
        " ".join((model.__doc__ or "").split()),
        "",
        "| field | type | meaning |",
        "|---|---|---|",
    ]
    for name, info in model.model_fields.items():
        meaning = " ".join((info.description or "").split()).replace("|", "\\|")
        lines.append(f"| `{_row_name(name)}` | {_named_type(info)} | {meaning} |")
    return "\n".join(lines)


def _row_name(name: str) -> str:
    return name.rstrip("_")


def _round(values: Any, places: Iterable[tuple[Any, Any]]) -> None:
    """Rounds the numbers in a dict or list in place; `places` are its items by key or index."""
    # A row has hundreds of values, most of them text, null or empty lists; these need no call.
    for place, value in places:
        kind = type(value)
        if kind is float:
            values[place] = float(f"{value:.{_DIGITS}g}")
        elif kind is dict:
            _round(value, value.items())
        elif kind is list and value:
            _round(value, enumerate(value))


def _without_none(annotation: Any) -> Any:
    if get_origin(annotation) in (Union, UnionType):
        (kept,) = (part for part in get_args(annotation) if part is not NoneType)
        return kept
    return annotation


def _optional(info: FieldInfo) -> bool:
    return info.annotation != _without_none(info.annotation)


def _arrow_of(info: FieldInfo) -> Any:
    import pyarrow as pa

    return pa.timestamp("ms", tz="UTC") if TIMESTAMP in info.metadata else _arrow(info.annotation)


def _arrow(annotation: Any) -> Any:
    import pyarrow as pa

    kind = _without_none(annotation)
    if get_origin(kind) is tuple:
        return pa.list_(pa.field("item", _arrow(get_args(kind)[0]), nullable=False))
    if get_origin(kind) is Literal:
        return pa.string()
    if get_origin(kind) is dict:
        return pa.map_(*(_arrow(part) for part in get_args(kind)))
    if issubclass(kind, BaseModel):
        return pa.struct(
            [
                pa.field(name, _arrow(info.annotation), nullable=_optional(info))
                for name, info in kind.model_fields.items()
            ]
        )
    return {str: pa.string(), int: pa.int64(), float: pa.float64(), bool: pa.bool_()}[kind]


def _named_type(info: FieldInfo) -> str:
    return "timestamp" if TIMESTAMP in info.metadata else _type_name(info.annotation)


def _type_name(annotation: Any) -> str:
    kind = _without_none(annotation)
    if get_origin(kind) is tuple:
        name = f"list of {_type_name(get_args(kind)[0])}"
    elif get_origin(kind) is Literal:
        name = ", ".join(f"`{value}`" for value in get_args(kind))
    elif get_origin(kind) is dict:
        name = "names with text"
    elif issubclass(kind, BaseModel):
        name = kind.__name__
    else:
        name = _PLAIN[kind]
    return f"{name} or null" if kind is not annotation else name
