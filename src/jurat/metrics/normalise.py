"""Texts as metrics and scorers compare them."""

from __future__ import annotations

import re
import unicodedata

_APOSTROPHES = dict.fromkeys(map(ord, "\u2018\u2019\u02bc\u2032\u00b4`\uff07"), "'")
_INVISIBLE: dict[int, None] = dict.fromkeys((0x200B, 0x200C, 0x200D, 0x2060, 0xFEFF, 0x00AD))


def normalised(text: str, *, fold: bool = True) -> str:
    """The text in NFKC with plain apostrophes, without invisible characters, and with single spaces for runs
    of white space; in lower case if `fold`."""
    plain = unicodedata.normalize("NFKC", text.translate(_APOSTROPHES)).translate(_INVISIBLE)
    plain = " ".join(plain.split())
    return plain.casefold() if fold else plain


def without_end_marks(text: str) -> str:
    """The text without quotation marks around it and punctuation at its end."""
    return re.sub(r"[\s.,;:!?\"'…]+$", "", text).lstrip("\"' ")
