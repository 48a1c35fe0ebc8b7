"""Characters that people do not see but models read."""

from __future__ import annotations

import unicodedata

_IGNORABLE = (
    *((0x034F, 0x034F), (0x115F, 0x1160), (0x17B4, 0x17B5), (0x180B, 0x180F), (0x2065, 0x2065)),
    *((0x2800, 0x2800), (0x3164, 0x3164), (0xFE00, 0xFE0F), (0xFFA0, 0xFFA0), (0xFFF0, 0xFFF8)),
    (0xE0000, 0xE0FFF),
)
"""Unicode's Default_Ignorable_Code_Point beyond the category Cf (DerivedCoreProperties.txt, Unicode 16), with
the blank of Braille, which is drawn as nothing."""
_JOINERS, _VARIANTS = "\u200c\u200d", "\ufe0e\ufe0f"
_JOINED = frozenset(
    {
        *("ARABIC", "BENGALI", "DEVANAGARI", "GUJARATI", "GURMUKHI", "KANNADA", "KHMER", "MALAYALAM"),
        *("MONGOLIAN", "MYANMAR", "ORIYA", "SINHALA", "SYRIAC", "TAMIL", "TELUGU", "TIBETAN"),
    }
)
"""Scripts whose spelling needs joiners, as their letters' names begin."""


def invisible(text: str) -> tuple[str, str] | None:
    """The first character of `text` that cannot be seen, as "U+200B (ZERO WIDTH SPACE)", and the up to 20
    characters before it; None where there is none.

    Joiners within scripts and emoji that are spelled with them are no such characters, nor is the variation
    selector behind a sign or a digit. Blanks of other widths count as blanks and are collapsed elsewhere.
    """
    for at, c in enumerate(text):
        if _is_hidden(text, at):
            name = unicodedata.name(c, "")
            return f"U+{ord(c):04X}" + (f" ({name})" if name else ""), text[max(0, at - 20) : at]
    return None


def without_invisible(text: str) -> tuple[str, int]:
    """The text without characters that cannot be seen, or that move a cursor, and how many there were."""
    kept = "".join(
        c
        for at, c in enumerate(text)
        if c in "\n\r\t" or not (_is_hidden(text, at) or unicodedata.category(c) in ("Cc", "Cs"))
    )
    return kept, len(text) - len(kept)


def _is_hidden(text: str, at: int) -> bool:
    c = text[at]
    if c.isascii():
        return False
    hidden = unicodedata.category(c) == "Cf" or any(low <= ord(c) <= high for low, high in _IGNORABLE)
    return hidden and not _belongs(text, at)


def _belongs(text: str, at: int) -> bool:
    """Whether a joiner or variation selector does what it is there for."""
    before, after = text[:at].rstrip(_VARIANTS)[-1:], text[at + 1 : at + 2]
    if text[at] in _VARIANTS:
        return text[at - 1 : at] == before and (_is_sign(before) or before in "0123456789#*")
    if text[at] not in _JOINERS or not (before and after):
        return False
    if all(unicodedata.name(c, "").split(" ")[0] in _JOINED for c in (before, after)):
        return True
    return text[at] == "\u200d" and _is_sign(before) and _is_sign(after)


def _is_sign(c: str) -> bool:
    return bool(c) and unicodedata.category(c) in ("So", "Sk", "Sm", "Po", "Cn")
