"""The results on labelled images as Markdown, for the terminal and `labelled.md`."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

from jurat.bench.labelled.sections import Grid, Section, headline, provenance_of, sections_of
from jurat.text import printable


def as_markdown(data: dict[str, Any]) -> str:
    """Headline, provenance and all sections."""
    return "\n".join(_lines(data)) + "\n"


def _lines(data: dict[str, Any]) -> Iterator[str]:
    yield "# Results of `jurat bench labelled`"
    yield ""
    yield f"{_cell(headline(data))}."
    yield ""
    yield "; ".join(f"{name} {_cell(value)}" for name, value in provenance_of(data)) + "."
    for section in sections_of(data):
        yield from section_lines(section)


def section_lines(section: Section) -> Iterator[str]:
    """A section in Markdown, after an empty line."""
    yield ""
    yield f"## {printable(section.title)}"
    for note in section.notes:
        yield ""
        yield printable(note)
    for grid in section.grids:
        yield ""
        yield from _table(grid)
    for note in section.after:
        yield ""
        yield printable(note)


def _table(grid: Grid) -> Iterator[str]:
    yield _row(grid.columns)
    yield _row(["---" if i < grid.texts else "---:" for i in range(len(grid.columns))])
    yield from map(_row, grid.rows)


def _row(cells: Sequence[str]) -> str:
    return f"| {' | '.join(map(_cell, cells))} |"


def _cell(text: str) -> str:
    return printable(text).replace("|", "\\|")
