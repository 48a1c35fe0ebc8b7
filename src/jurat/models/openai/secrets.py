"""Removes the API key from text of a server, also where it is encoded."""

from __future__ import annotations

import base64
import os
import re
from collections.abc import Iterator
from functools import lru_cache

KEY = "OPENAI_API_KEY"
SHOWN = "[key]"
"""Replaces a key."""

_LEAST_KEY = 8
"""Least length of a secret key. Shorter keys ("none", "ollama", "1") are placeholders and occur in replies by
chance."""
_RUN = 16
"""Letters and digits in a row by which a part of a key is recognised."""
_SECRET = re.compile(r"\b(sk|key|pk)-[\w*.-]{4,}|(?<=bearer )\S+", re.I)
_CONTROL = re.compile(r"[\x00-\x1f\x7f-\x9f\u200b-\u200f\u202a-\u202e\u2060-\u2069\ufeff]+")


def clean(text: str) -> str:
    """Text of a server on one line of at most 200 characters, without anything that may be a key."""
    return " ".join(_CONTROL.sub(" ", _SECRET.sub(SHOWN, without_key(text))).split())[:200].rstrip(".")


def without_key(text: str) -> str:
    """The text without the key, also where it is spaced out, cut in two, in other case, reversed, escaped, or
    encoded in hex, base64 or base32."""
    key = os.environ.get(KEY) or ""
    if len(key) < _LEAST_KEY:
        return text
    text = text.replace(key, SHOWN)
    # Letters and digits only: separators may stand between the key's characters.
    places = [at for at, character in enumerate(text) if character.isascii() and character.isalnum()]
    bare = "".join(text[at] for at in places).lower()
    kept: list[str] = []
    end = 0
    for first, last in _found(bare, key):
        kept += [text[end : places[first]], SHOWN]
        end = places[last] + 1
    return "".join([*kept, text[end:]])


def _found(bare: str, key: str) -> Iterator[tuple[int, int]]:
    """First and last index of each stretch of `bare` that repeats a form of the key."""
    runs = _runs(key)
    first = last = -1
    for at in range(len(bare)):
        length = next((n for n, known in runs.items() if bare[at : at + n] in known), 0)
        if not length:
            continue
        if first >= 0 and at <= last + 1:
            last = max(last, at + length - 1)
            continue
        if first >= 0:
            yield first, last
        first, last = at, at + length - 1
    if first >= 0:
        yield first, last


@lru_cache(maxsize=4)
def _runs(key: str) -> dict[int, frozenset[str]]:
    """Texts that repeat the key or a part of it, by length: each run of 16 letters and digits of its forms,
    or a shorter form whole."""
    found: dict[int, set[str]] = {}
    for form in _forms(key):
        bare = "".join(c for c in form if c.isascii() and c.isalnum()).lower()
        length = min(_RUN, len(bare))
        if length >= _LEAST_KEY - 2:  # a key of 8 characters may have two that are neither
            found.setdefault(length, set()).update(
                bare[at : at + length] for at in range(len(bare) - length + 1)
            )
    return {length: frozenset(runs) for length, runs in found.items()}


def _forms(key: str) -> Iterator[str]:
    yield from (key, key[::-1])
    data = key.encode()
    yield data.hex()
    yield "".join(f"u{ord(c):04x}" for c in key)  # \u0073 in JSON
    yield "".join(str(ord(c)) for c in key)  # &#115; in HTML
    for code, bits in ((base64.b64encode, 6), (base64.b32encode, 5)):
        # Whatever stands before the key moves it within the encoding; only whole characters of it count.
        for before in range(5 if bits == 5 else 3):
            text = code(b"\0" * before + data).decode()
            yield text[-(-before * 8 // bits) : (before + len(data)) * 8 // bits]
