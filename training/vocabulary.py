"""The words of each model, one a line in `vocabularies/`: the id of a word is its line, counted from 0.

The files are append-only, since the embeddings of trained weights belong to ids. A new sentence in the
training data changes no id if its words are all there; a new word goes at the end of the file.
"""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path

VOCABULARIES = Path(__file__).parent / "vocabularies"


def read_vocabulary(file: Path, needed: Iterable[str]) -> list[str]:
    """The words of `file` in the order of their ids.

    Raises:
        ValueError: it lacks one of the `needed` words, or holds a word twice.
    """
    words = file.read_text(encoding="utf-8").splitlines()
    known = set(words)
    if len(known) < len(words):
        twice = sorted({word for word in words if words.count(word) > 1})
        raise ValueError(f"{file} holds words twice: {', '.join(map(repr, twice))}")
    if missing := [word for word in dict.fromkeys(needed) if word not in known]:
        raise ValueError(
            f"{file} lacks {', '.join(map(repr, missing))}. "
            "Append each at the end of the file, on a line of its own."
        )
    return words
