"""Labelled texts that a defense is fitted to: a file of rows with the columns `prompt` or `reply`, `harmful`
(1, 0, true, false, yes, no) and, beside prompts, `image` if there are any (paths, from the file's folder)."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

from jurat.content import Chat, ImageError, Turn
from jurat.errors import JuratError
from jurat.media import decode
from jurat.metrics.cells import BadCell, Labels, parse
from jurat.metrics.row_files import read_rows
from jurat.text import counted, reason, shown

__all__ = ["Examples", "LabelledChat", "read_examples"]

LEAST = 2
"""Examples of each class, at least."""


@dataclass(frozen=True)
class LabelledChat:
    """A conversation, and whether it is harmful."""

    place: str
    """Where it stands in its file: "line 7"."""
    chat: Chat
    harmful: bool


@dataclass(frozen=True)
class Examples:
    """Those of one file."""

    found: tuple[LabelledChat, ...]
    left_out: tuple[str, ...]
    """Why each row that cannot be used is left out: "line 7: there is no label"."""
    digest: str
    """SHA-256 of the file, hexadecimal."""


def read_examples(path: Path, column: Literal["prompt", "reply"]) -> Examples:
    """The examples of a file; each is a conversation of one turn, which holds the text of `column`. A row
    that repeats another one is left out, and both are where their labels differ.

    Raises:
        JuratError: the file cannot be read, lacks a column, or has fewer than `LEAST` examples of a class.
    """
    table = read_rows(path)
    try:
        table.check((column, "harmful"))
    except JuratError as error:
        raise JuratError(error.message, hint=f"The columns are {column} and harmful.") from error
    found: list[LabelledChat] = []
    left_out = [f"{problem.place}: {problem.reason}" for problem in table.problems]
    made: dict[tuple[str, str], list[LabelledChat]] = {}
    for row, place in zip(table.rows, table.places, strict=True):
        try:
            example = _example(row, place, column, path.parent)
            made.setdefault((str(row[column]), str(row.get("image") or "")), []).append(example)
        except (_Unusable, BadCell, ImageError) as error:
            left_out.append(f"{place}: {'harmful: ' if isinstance(error, BadCell) else ''}{error}")
    for first, *others in made.values():
        if any(each.harmful != first.harmful for each in others):
            left_out += [f"{each.place}: the same {column} has both labels" for each in (first, *others)]
        else:  # fitted to and left out of the fit as well, it would look better than it is
            found.append(first)
            left_out += [f"{each.place}: it repeats {first.place}" for each in others]
    check_classes(found, f"{shown(str(path))} has", left_out)
    return Examples(tuple(found), tuple(left_out), hashlib.sha256(path.read_bytes()).hexdigest())


def check_classes(found: list[LabelledChat], what: str, left_out: Sequence[str]) -> None:
    """Raises JuratError where there are too few examples of a class to fit anything to."""
    first = f" Left out: {left_out[0]}" if left_out else ""
    harmful = sum(each.harmful for each in found)
    if min(harmful, len(found) - harmful) < LEAST:
        raise JuratError(
            f"{what} {counted(harmful, 'harmful example')} and {len(found) - harmful} harmless that can be "
            f"used.{first}",
            hint=f"At least {LEAST} of each are needed; some dozens of each are usual.",
        )


def _example(row: Mapping[str, Any], place: str, column: str, folder: Path) -> LabelledChat:
    text = row.get(column)
    if not isinstance(text, str) or not text.strip():
        raise _Unusable(f"there is no {column}")
    harmful = bool(parse("bit", row.get("harmful"), Labels()))
    image = row.get("image") if column == "prompt" else None
    if not image:
        return LabelledChat(place, Chat((Turn("user", (text,)),)), harmful)
    return LabelledChat(place, Chat((Turn("user", (_image(folder / str(image)), text)),)), harmful)


def _image(path: Path) -> Any:
    try:
        return decode(path.read_bytes()).frames[0]
    except (OSError, ValueError) as error:  # a name may hold what no path can
        raise _Unusable(f"the image {path.name} cannot be read: {reason(error)}") from error


class _Unusable(Exception):
    """Why a row gives no example."""
