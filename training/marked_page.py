"""Pages of docs/ a part of which a command writes, between two marks."""

from __future__ import annotations

import re

from jurat.errors import JuratError

END = "<!-- end of the tables -->"


def mark_of(command: str) -> str:
    """The first mark: what writes the part."""
    return f"<!-- the tables are made by: {command} -->"


def with_part(page: str, command: str, text: str) -> str:
    """A page with a text between its marks.

    Raises:
        JuratError: it has not one place for the text.
    """
    mark = mark_of(command)
    inside = re.compile(re.escape(mark) + r"\n.*?" + re.escape(END), re.DOTALL)
    made, count = inside.subn(lambda _: f"{mark}\n\n{text}\n{END}", page)
    if count != 1:
        raise JuratError(f"The page has not one place for the tables: {mark}")
    return made
