"""What cells of rows hold: one text or several, and images."""

from __future__ import annotations

import ast
import json
from collections.abc import Mapping
from hashlib import sha256
from typing import Any, cast

from jurat.benchmarks.reader import Row, SkipRow, text_if_any
from jurat.content import ImageError, LazyImage


def places_in(cells: Mapping[str, Any], *names: str) -> list[str]:
    """The texts of the first of the cells that has any: of a list, also one that is written as JSON or as
    Python writes it, or one text alone. A part of a list that holds no text is ""."""
    for name in names:
        value = parsed(cells.get(name))
        parts = cast("list[Any]", value) if isinstance(value, list) else [value]
        texts = [text_if_any({"": part}, "") or "" for part in parts]
        if any(texts):
            return texts
    return []


def texts_in(cells: Mapping[str, Any], *names: str) -> list[str]:
    """As `places_in`, without the parts that hold no text; equal texts stay."""
    return [text for text in places_in(cells, *names) if text]


def parsed(value: object) -> object:
    """The list or object that a text holds in JSON or as Python writes it; the value itself where it holds
    none."""
    if not isinstance(value, str) or not value.lstrip().startswith(("[", "{")):
        return value
    for parse in (json.loads, ast.literal_eval):
        try:
            found = parse(value.strip())
        except (ValueError, SyntaxError, RecursionError, MemoryError):
            continue
        if isinstance(found, list | dict):
            return cast("list[Any] | dict[str, Any]", found)
    return value


def object_in(cells: Mapping[str, Any], name: str) -> dict[str, Any]:
    """The object in a cell, as `parsed` reads it; empty where there is none."""
    value = parsed(cells.get(name))
    return cast("dict[str, Any]", value) if isinstance(value, dict) else {}


def image_of(row: Row) -> LazyImage:
    """The image in a row of a table that holds images. Raises SkipRow where there is none."""
    if not row.images:
        raise SkipRow("the table has no image for it", missing_image=row.place)
    return row.images[0]


def digest_of_image(image: LazyImage) -> str:
    """SHA-256 of its bytes, which are read; of its place where they cannot be read."""
    try:
        return sha256(image.open()).hexdigest()
    except ImageError:
        return image.uri
