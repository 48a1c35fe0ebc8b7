"""Other people's text in a spreadsheet and in Markdown: shown, and nothing else."""

from __future__ import annotations

import re
from typing import Any

from jurat.text import printable

_FORMULA = ("=", "+", "-", "@", "\t", "\r", "＝", "＋", "－", "＠")
_MARKDOWN = re.compile(r"([\\`*_{}\[\]#+!|<>~$])")


def cell(value: Any) -> str:
    """A CSV cell that no spreadsheet takes for a formula: one that might be is led by an apostrophe."""
    if value is None:
        return ""
    raw = str(value)
    text = printable(raw)
    dangerous = raw.startswith(_FORMULA) or text.lstrip().startswith(_FORMULA)
    return f"'{text}" if dangerous else text


def inline(value: Any) -> str:
    """Text inside Markdown: no markup, no link, and nobody is notified."""
    text = _MARKDOWN.sub(r"\\\1", printable(str(value)))
    text = text.replace("&", "&amp;").replace("@", "@<!-- -->").replace("://", ":<!-- -->//")
    return re.sub(r"\bwww\.", "www<!-- -->.", text)
