"""Text of unknown origin in CSV cells and in Markdown, escaped so that it is only shown."""

from __future__ import annotations

import csv
import io
import re
from collections.abc import Iterable, Iterator, Sequence
from typing import Any

from jurat.text import printable

_FORMULA = ("=", "+", "-", "@", "\t", "\r", "＝", "＋", "－", "＠")
_MARKDOWN = re.compile(r"([\\`*_{}\[\]#+!|<>~$])")


def cell(value: Any) -> str:
    """A CSV cell that no spreadsheet evaluates: an apostrophe goes before what might be a formula."""
    if value is None:
        return ""
    raw = str(value)
    text = printable(raw)
    dangerous = raw.startswith(_FORMULA) or text.lstrip().startswith(_FORMULA)
    return f"'{text}" if dangerous else text


def csv_line(values: Iterable[object]) -> str:
    """A line of CSV with its cells escaped."""
    line = io.StringIO()
    csv.writer(line, lineterminator="\r\n").writerow([cell(value) for value in values])
    return line.getvalue()


def inline(value: Any) -> str:
    """Text inside Markdown, without markup, links or mentions."""
    text = _MARKDOWN.sub(r"\\\1", printable(str(value)))
    text = text.replace("&", "&amp;").replace("@", "@<!-- -->").replace("://", ":<!-- -->//")
    return re.sub(r"\bwww\.", "www<!-- -->.", text)


def table(head: Sequence[str], rows: Iterable[Sequence[object]]) -> Iterator[str]:
    """A Markdown table with its cells escaped, and an empty line."""
    yield f"| {' | '.join(head)} |\n|{'---|' * len(head)}\n"
    for row in rows:
        yield f"| {' | '.join(inline(value) for value in row)} |\n"
    yield "\n"
