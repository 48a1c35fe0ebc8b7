"""The page of answers: counts of labels by model and scorer, and the gallery of samples."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from jurat.errors import JuratError
from jurat.files import file_errors
from jurat.report.answers.rows import STATES, Given, Judged, SampleRow
from jurat.report.gallery import Columns, Layout, Place, Store, Thumbnail, write_page
from jurat.text import printable

LIMIT = 400
"""Default number of pictures on a page."""
LAYOUT = Layout("jurat.report.answers", scripts=("answers",), styles=("answers",))


@dataclass(frozen=True)
class AnswersPage:
    """What was written."""

    path: Path
    samples: int
    pictures: int
    """Samples whose pictures were looked for: at most the limit."""
    files: Path | None = None
    """The folder beside the page, if it has one."""


@dataclass
class _Tally:
    """Labels and states of each model and scorer."""

    counts: dict[tuple[str, str], Counter[str]] = field(default_factory=dict[tuple[str, str], Counter[str]])

    def add(self, row: SampleRow) -> None:
        for answer in row.answers:
            for one in answer.judgements:
                found = self.counts.setdefault((answer.by, one.scorer), Counter())
                found[one.label or _word(one)] += 1

    def rows(self) -> list[tuple[str, str, list[tuple[str, int]]]]:
        """Model, scorer, and the number of each label and state."""
        return [(by, scorer, counts.most_common()) for (by, scorer), counts in self.counts.items()]


def write_answers(
    rows: Iterable[SampleRow],
    picture: Callable[[int], Thumbnail],
    out: Path,
    *,
    title: str,
    facts: Sequence[tuple[str, str]] = (),
    facts_of: str = "log",
    notes: Sequence[str] = (),
    limit: int = LIMIT,
    overwrite: bool = False,
) -> AnswersPage:
    """Writes a page of samples.

    Args:
        rows: the samples.
        picture: the picture of the n-th row, asked for up to `limit` rows, those that are not scored first.
        out: the page, if it ends in .html, else a folder for it. Many samples need a folder beside it.
        title: of the page.
        facts: name of each log, and what it is of; or of each setting, and its value.
        facts_of: what has these names: "log" or "setting".
        notes: what a reader must know, a sentence each: logs that are not shown.

    Raises:
        JuratError: there are no rows, or `out` exists already.
    """
    place = Place.at(out)
    place.check(overwrite=overwrite)
    columns, tally, states = Columns(STATES), _Tally(), Counter[str]()
    with file_errors(place.page), Store(place) as store:
        for row in rows:
            tally.add(row)
            states[row.state] += 1
            columns.append(row.name, row.state, None, _filters(row))
            store.add(_item(row))
        if not len(columns):
            raise JuratError("There are no samples to show.")
        order = sorted(range(len(columns)), key=lambda number: columns.outcomes[number])[:limit]
        for number in order:
            store.add_picture(number, picture(number))
        filling = {
            "title": title,
            "facts": facts,
            "facts_of": facts_of,
            "notes": notes,
            "tally": tally.rows(),
            "outcome_counts": [(state, states[state]) for state in STATES],
            "pictures": len(order),
        }
        write_page(LAYOUT, "answers.html", store, columns.payload(), filling)
    return AnswersPage(place.page, len(columns), len(order), place.files if store.apart else None)


def _filters(row: SampleRow) -> dict[str, str]:
    alike = {True: "alike", False: "differ", None: "not compared"}
    found = {**row.facts, "judgements": alike[row.unanimous]}
    for answer in row.answers:
        for one in answer.judgements:
            found[f"{answer.by}: {one.scorer}"] = one.label or _word(one)
    return found


def _item(row: SampleRow) -> dict[str, Any]:
    """What the page's script shows of a row."""
    first = "\n\n".join(f"{answer.by}: {answer.text or answer.note}" for answer in row.answers)
    return {
        "said": [{"text": _lines(first)}],
        "asked": [[printable(role), _lines(text)] for role, text in row.asked],
        "answers": [_answer(answer) for answer in row.answers],
        "carried": {printable(name): printable(value) for name, value in row.facts.items()},
    }


def _answer(answer: Given) -> dict[str, Any]:
    return {
        "by": printable(answer.by),
        "text": _lines(answer.text),
        "note": _lines(answer.note),
        "judgements": [
            {
                "scorer": printable(one.scorer),
                "word": printable(one.label or _word(one)),
                "kind": one.state if one.event is None else "event" if one.event else "other",
                "reason": _lines(one.reason),
            }
            for one in answer.judgements
        ],
    }


def _word(one: Judged) -> str:
    return "judge refused" if one.state == "refused" else one.state


def _lines(text: str) -> str:
    """The text without control characters, line by line."""
    return "\n".join(printable(line) for line in text.splitlines())
