"""One self-contained page of a file of verdicts: facts, counts, rules, and a gallery to filter.

The page needs no network and runs no code but its own: its policy admits one script and one stylesheet, by
their digests, and images that it carries itself. Whatever comes from the record is text.
"""

from __future__ import annotations

import base64
import hashlib
import os
from collections.abc import Iterable, Iterator
from contextlib import suppress
from dataclasses import dataclass, field
from importlib.resources import files
from pathlib import Path
from typing import TYPE_CHECKING, Any

from jurat.errors import JuratError
from jurat.images import read_rows
from jurat.judge import Verdict, row_to_verdict
from jurat.report.explained import Card, card
from jurat.report.tally import MEANINGS, OUTCOMES, Tally
from jurat.report.text import printable

if TYPE_CHECKING:
    from jinja2 import Environment

LIMIT = 400
"""Items that a page shows unless told otherwise; a thumbnail takes some 15 kB."""

FACTS = {
    "Model": "model",
    "Constitution": "constitution",
    "Thresholds": "thresholds",
    "Preset": "preset",
    "Detector": "detector",
    "Matcher": "matcher",
    "Questions": "prompts",
    "Precision": "dtype",
    "jurat": "jurat",
}
"""What a page says of how its verdicts came about: heading -> field of the record."""


@dataclass(frozen=True)
class Page:
    """What was written."""

    path: Path
    items: int
    """Verdicts in the file."""
    shown: int
    """Of them, those in the gallery."""


@dataclass
class Summary:
    """What the top of the page tells, gathered in one pass over the verdicts."""

    tally: Tally = field(default_factory=Tally)
    facts: dict[str, dict[str, None]] = field(default_factory=lambda: {name: {} for name in FACTS})
    """Heading -> the values met, in order; a file may hold several runs."""
    first: str = ""
    last: str = ""
    seconds: float = 0.0
    kept: dict[str, list[Verdict]] = field(default_factory=lambda: {outcome: [] for outcome in OUTCOMES})
    limit: int = LIMIT

    def add(self, verdict: Verdict) -> None:
        """Counts a verdict, and keeps it for the gallery while there is room."""
        self.tally.add(verdict)
        for name, attribute in FACTS.items():
            if (value := getattr(verdict, attribute)) is not None:
                self.facts[name][str(value)] = None
        self.first = min(self.first or verdict.time, verdict.time)
        self.last = max(self.last, verdict.time)
        self.seconds += verdict.seconds
        of_outcome = self.kept[verdict.outcome]
        if len(of_outcome) < self.limit:
            of_outcome.append(verdict)

    @property
    def span(self) -> str:
        """When the first and the last verdict were reached, to the minute."""
        first, last = (time[:16].replace("T", " ") for time in (self.first, self.last))
        if first == last:
            return f"{first} UTC"
        return f"{first} to {last[11:] if first[:10] == last[:10] else last} UTC"

    @property
    def gallery(self) -> list[Verdict]:
        """At most `limit` verdicts: the unsafe first, the safe last, in the file's order within each."""
        return [verdict for outcome in OUTCOMES for verdict in self.kept[outcome]][: self.limit]


def write_report(
    record: Path, out: Path, *, images_root: Path | None = None, limit: int = LIMIT, overwrite: bool = False
) -> Page:
    """Writes the page of a file of verdicts. Memory grows with `limit`, not with the file.

    Args:
        record: a JSON Lines or Parquet file that `jurat judge --out` wrote.
        out: the page.
        images_root: where the images lie now, if not where they were judged.
        limit: how many items the gallery shows; the unsafe ones come first.
        overwrite: whether `out` may be replaced.

    Raises:
        JuratError: the record cannot be read, holds no verdicts, or `out` is there already.
    """
    if out.exists() and not overwrite:
        raise JuratError(f"{out} is there already.", hint="--overwrite replaces it.")
    summary = Summary(limit=limit)
    for verdict in _verdicts(record):
        summary.add(verdict)
    if summary.tally.items == 0:
        raise JuratError(f"{record} holds no verdicts.")
    shown = summary.gallery
    _write(out, _context(record, summary, (card(verdict, images_root) for verdict in shown)))
    return Page(out, summary.tally.items, len(shown))


def _verdicts(record: Path) -> Iterator[Verdict]:
    for number, row in enumerate(read_rows(record), start=1):
        try:
            yield row_to_verdict(row)
        except JuratError as error:
            raise JuratError(f"{record}, row {number}: {error.message}", hint=error.hint) from error


def _context(record: Path, summary: Summary, cards: Iterable[Card]) -> dict[str, Any]:
    style, script = _asset("page.css"), _asset("page.js")
    policy = (
        f"default-src 'none'; img-src data:; style-src '{_digest(style)}'; script-src '{_digest(script)}'; "
        "base-uri 'none'; form-action 'none'"
    )
    return {
        "style": style,
        "script": script,
        "policy": policy,
        "record": record.name,
        "summary": summary,
        "tally": summary.tally,
        "outcomes": OUTCOMES,
        "meanings": MEANINGS,
        "rate": summary.tally.items / summary.seconds if summary.seconds > 0 else None,
        "shown": len(summary.gallery),
        "cards": cards,
    }


def _write(out: Path, context: dict[str, Any]) -> None:
    # Aside and renamed, so that a page is whole or not there; streamed, so that thumbnails pass one by one.
    aside = out.with_name(f".{out.name}.{os.getpid()}.partial")
    try:
        out.parent.mkdir(parents=True, exist_ok=True)
        with aside.open("w", encoding="utf-8") as file:
            file.writelines(_templates().get_template("page.html").generate(context))
        aside.replace(out)
    except OSError as error:
        raise JuratError(f"{out} cannot be written: {error.strerror or error}") from error
    finally:
        with suppress(OSError):
            aside.unlink()


def _templates() -> Environment:
    from jinja2 import Environment, PackageLoader, StrictUndefined

    templates = Environment(
        loader=PackageLoader("jurat.report"),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    templates.filters["shown"] = lambda value: printable(str(value))  # pyright: ignore[reportUnknownLambdaType]
    return templates


def _asset(name: str) -> str:
    return (files("jurat.report") / "templates" / name).read_text(encoding="utf-8")


def _digest(text: str) -> str:
    return "sha256-" + base64.b64encode(hashlib.sha256(text.encode()).digest()).decode()
