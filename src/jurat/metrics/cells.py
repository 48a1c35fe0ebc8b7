"""Cells of a table as metrics need them: events, numbers, labels, texts.

A cell may hold what CSV, JSON or Parquet give: a text, a number, a bool, a list, or nothing. What does not
fit raises `BadCell`, with a reason for people; nothing is guessed.
"""

from __future__ import annotations

import ast
import json
import math
import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, Literal, cast

from jurat.text import one_line

Kind = Literal[
    "event",
    "bit",
    "number",
    "probability",
    "level",
    "rating",
    "label",
    "key",
    "text",
    "texts",
    "numbers",
    "image",
]

_WHOLE = re.compile(r"-?(0|[1-9]\d*)\.0+")
_BITS = {"1": 1, "true": 1, "yes": 1, "0": 0, "false": 0, "no": 0}


class BadCell(ValueError):
    """A cell that cannot be read as what its column holds."""


class MissingCell(BadCell):
    """A cell that holds nothing."""


@dataclass(frozen=True)
class Labels:
    """The labels that cells may hold; any is allowed where there are none."""

    names: tuple[str, ...] = ()
    positive: str | None = None
    """The label that is the event; default: the first of `names`."""


def parse(kind: Kind, cell: object, labels: Labels) -> Any:
    """The value in a cell.

    Raises:
        MissingCell: it holds nothing.
        BadCell: it holds something else; the message completes "success: ...".
    """
    if cell is None:
        raise MissingCell("empty")
    if type(cell).__module__ == "numpy" and getattr(cell, "ndim", None) == 0:
        cell = cast("Any", cell).item()
    return _PARSERS[kind](cell, labels)


def _event(cell: object, labels: Labels) -> int:
    if not labels.names:
        try:
            return _bit(cell, labels)
        except MissingCell:
            raise
        except BadCell as error:
            hint = "; if it is a label, name all (--labels)" if isinstance(cell, str) else ""
            raise BadCell(f"{error}{hint}") from error
    positive = labels.positive if labels.positive is not None else labels.names[0]
    return int(_label(cell, labels) == positive)


def _bit(cell: object, labels: Labels) -> int:
    text = _whole_text(_plain(cell))
    if (value := _BITS.get(text.lower())) is None:
        raise BadCell(f"{_quoted(cell)} is none of 1, 0, true, false, yes, no")
    return value


def _number(cell: object, labels: Labels) -> float:
    if isinstance(cell, bool):
        raise BadCell(f"{_quoted(cell)} is not a number")
    if isinstance(cell, str):
        text = _plain(cell)
        try:
            value = math.nan if "_" in text else float(text)
        except ValueError:
            value = math.nan
    else:
        try:
            value = float(cast("Any", cell))
        except (TypeError, ValueError, OverflowError):
            value = math.nan
    if not math.isfinite(value):
        raise BadCell(f"{_quoted(cell)} is not a finite number")
    return value


def _probability(cell: object, labels: Labels) -> float:
    value = _number(cell, labels)
    if not 0 <= value <= 1:
        raise BadCell(f"{_quoted(cell)} is not in [0, 1]")
    return value


def _whole(low: int, high: int) -> Callable[[object, Labels], int]:
    def read(cell: object, labels: Labels) -> int:
        value = _number(cell, labels)
        if value != int(value) or not low <= value <= high:
            raise BadCell(f"{_quoted(cell)} is not a whole number from {low} to {high}")
        return int(value)

    return read


def _label(cell: object, labels: Labels) -> str:
    text = _plain(cell)
    if text not in labels.names:
        text = _whole_text(text)
    if labels.names and text not in labels.names:
        raise BadCell(f"{_quoted(cell)} is none of the labels {', '.join(labels.names)}")
    if not labels.names and text.lower() in ("nan", "null"):  # as some writers mark a missing value
        raise BadCell(f"{_quoted(cell)} is not a label; name it in the labels if it is one")
    return text


def _key(cell: object, labels: Labels) -> str:
    return _plain(cell)


def _text(cell: object, labels: Labels) -> str:
    if isinstance(cell, str):
        return cell
    if isinstance(cell, bool | int | float):
        return _plain(cell)
    raise BadCell(f"{_quoted(cell)} is not a text")


def _texts(cell: object, labels: Labels) -> list[str]:
    """A list of texts, of which some may be empty, or one text that is not."""
    values = _listed(cell)
    if values is None and isinstance(cell, str) and not cell.strip():
        raise MissingCell("empty")
    texts = [_text(cell, labels)] if values is None else [_text(value, labels) for value in values]
    if not texts:
        raise MissingCell("an empty list")
    return texts


def _numbers(cell: object, labels: Labels) -> list[float]:
    values = _listed(cell)
    if values is None and isinstance(cell, str) and not cell.strip():
        raise MissingCell("empty")
    numbers = [_probability(value, labels) for value in ([cell] if values is None else values)]
    if not numbers:
        raise MissingCell("an empty list")
    return numbers


def _image(cell: object, labels: Labels) -> Any:
    """A path as a text, or an image in memory."""
    if isinstance(cell, bool | int | float | list | tuple | dict | bytes):
        raise BadCell(f"{_quoted(cast('object', cell))} is neither a path nor an image")
    return _plain(cell) if isinstance(cell, str) else cell


def _listed(cell: object) -> Sequence[Any] | None:
    """The values of a list, or of a text that is a list in JSON or as Python writes it; None for anything
    else. Raises BadCell for a text in brackets that is none."""
    if isinstance(cell, str) and cell.lstrip().startswith("[") and cell.rstrip().endswith("]"):
        for parse in (json.loads, ast.literal_eval):
            try:
                return cast("Sequence[Any]", parse(cell.strip()))
            except (ValueError, SyntaxError, RecursionError, MemoryError):
                continue
        raise BadCell(f"{_quoted(cell)} is in brackets, but no list in JSON")
    return cast("Sequence[Any]", cell) if isinstance(cell, list | tuple) else None


def _plain(cell: object) -> str:
    """A label or key as a text, so that 1, 1.0 and "1" are the same one."""
    if isinstance(cell, bool):
        return "true" if cell else "false"
    if isinstance(cell, float):
        if math.isnan(cell):
            raise BadCell("NaN")
        return str(int(cell)) if cell.is_integer() else str(cell)
    if not isinstance(cell, str | int):
        raise BadCell(f"{_quoted(cell)} is not a text or a number")
    text = str(cell).strip()
    if not text:
        raise MissingCell("empty")
    return text


def _whole_text(text: str) -> str:
    """A whole number without ".0", which tools write where a column of whole numbers has empty cells."""
    return text.partition(".")[0] if _WHOLE.fullmatch(text) else text


def _quoted(cell: object) -> str:
    return one_line(repr(cell), most=60)


_PARSERS: dict[str, Callable[[object, Labels], Any]] = {
    "event": _event,
    "bit": _bit,
    "number": _number,
    "probability": _probability,
    "level": _whole(1, 3),
    "rating": _whole(1, 5),
    "label": _label,
    "key": _key,
    "text": _text,
    "texts": _texts,
    "numbers": _numbers,
    "image": _image,
}
