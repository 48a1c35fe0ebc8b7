"""Tables with notes that are printed on a terminal, or written as Markdown."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from jurat.cli.plain_output import plain_console, plain_table, plain_text
from jurat.text import printable

if TYPE_CHECKING:
    from jurat.metrics.intervals import Interval

NOT_AVAILABLE = "not available"


@dataclass
class Section:
    """A heading, a table and sentences."""

    title: str
    headings: Sequence[str] = ()
    rows: list[Sequence[str]] = field(default_factory=list[Sequence[str]])
    before: list[str] = field(default_factory=list[str])
    """Sentences before the table."""
    after: list[str] = field(default_factory=list[str])


def print_sections(sections: Sequence[Section]) -> None:
    """Prints sections on standard output."""
    console = plain_console()
    for number, section in enumerate(sections):
        if number:
            console.print()
        for line in [section.title, *section.before]:
            console.print(plain_text(line), soft_wrap=True)
        if section.rows:
            table = plain_table(*section.headings)
            for row in section.rows:
                table.add_row(*map(plain_text, row))
            console.print(table)
        for line in section.after:
            console.print(plain_text(line), soft_wrap=True)


def markdown(title: str, sections: Sequence[Section]) -> str:
    """Sections as a page of Markdown; texts cannot end a cell or make a link."""
    lines = [f"# {_plain(title)}", ""]
    for section in sections:
        lines += [f"## {_plain(section.title)}", ""]
        lines += [f"{_plain(line)}\n" for line in section.before]
        if section.rows:
            lines += [_line(section.headings), _line(["---"] * len(section.headings), escape=False)]
            lines += [*map(_line, section.rows), ""]
        lines += [f"- {_plain(line)}" for line in section.after]
        lines += [""] if section.after else []
    return "\n".join(lines).rstrip() + "\n"


def rate(value: float) -> str:
    """Three decimals; "not available" for nan."""
    return NOT_AVAILABLE if math.isnan(value) else f"{value:.3f}"


def signed(value: float) -> str:
    """Three decimals with the sign."""
    return NOT_AVAILABLE if math.isnan(value) else f"{value:+.3f}"


def span(interval: Interval, *, sign: bool = False) -> str:
    """ "0.1 to 0.3"; "not available" where there is none."""
    if math.isnan(interval.low) or math.isnan(interval.high):
        return NOT_AVAILABLE
    shown = signed if sign else rate
    return f"{shown(interval.low)} to {shown(interval.high)}"


def with_interval(value: str, interval: Interval, *, sign: bool = False) -> str:
    """ "0.2 (0.1 to 0.3)"; the value alone where there is no interval."""
    told = span(interval, sign=sign)
    return value if told == NOT_AVAILABLE else f"{value} ({told})"


def probability(p: float) -> str:
    """Three decimals, or "<0.001"."""
    return NOT_AVAILABLE if math.isnan(p) else "<0.001" if p < 0.001 else f"{p:.3f}"


def listed(counts: Mapping[str, int]) -> str:
    """ "unparsed 3, error 1"; "0" without any."""
    return ", ".join(f"{name} {count:,}" for name, count in counts.items()) or "0"


def _line(cells: Sequence[str], *, escape: bool = True) -> str:
    return f"| {' | '.join(_plain(cell) if escape else cell for cell in cells)} |"


def _plain(text: str) -> str:
    shown = printable(text)
    for sign in "\\`*_[]<>|#":
        shown = shown.replace(sign, f"\\{sign}")
    return shown
