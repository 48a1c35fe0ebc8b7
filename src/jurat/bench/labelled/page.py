"""The page of results on labelled images: all sections, and a gallery of the images, wrong ones first."""

from __future__ import annotations

import math
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from jurat.bench.labelled.measures import MethodRow, item_table
from jurat.bench.labelled.sections import headline, provenance_of, sections_of
from jurat.files import file_errors
from jurat.metrics import UNSURE
from jurat.report.answers.pictures import picture_of
from jurat.report.gallery import Columns, Layout, Place, Store, Thumbnail, write_page
from jurat.text import counted, printable

if TYPE_CHECKING:
    from jurat.bench.labelled.labelled_results import LabelledResults
    from jurat.bench.pictogram.items import BenchItem

LAYOUT = Layout("jurat.bench.labelled", scripts=("labelled",), styles=("labelled",))
LIMIT = 400
"""Largest number of images on the page; wrong ones go first."""
OUTCOMES = ("missed", "false-alarm", "no-answer", "no-truth", "right")
_SAID = {1: "broken", 0: "kept", UNSURE: "undecided"}


def write_labelled_page(out: Path, results: LabelledResults) -> Path:
    """Writes `index.html` and the folder beside it, and replaces an earlier page.

    Raises:
        JuratError: it cannot be written.
    """
    place = Place.at(out / "index.html")
    place.check(overwrite=True)
    lead, labelled = results.rows[0], results.labelled
    outcomes = _outcomes(results)
    columns = Columns(OUTCOMES)
    with file_errors(place.page), Store(place) as store:
        for number, item in enumerate(labelled.items):
            score = lead.predictions[number].score
            carried = {"broken": ", ".join(sorted(item.broken)) or "nothing"}
            columns.append(item.id, outcomes[number], None if math.isnan(score) else score, carried)
            store.add(_item(results, number) | {"carried": carried})
        order = sorted(range(len(columns)), key=lambda number: columns.outcomes[number])[:LIMIT]
        for number in order:
            store.add_picture(number, _picture(labelled.items[number]))
        sections = sections_of(results.data)
        filling = {
            "title": headline(results.data),
            "beneath": _beneath(results),
            "sections": sections,
            "facts": provenance_of(results.data),
            "lead": lead.name,
            "outcome_counts": [(name, outcomes.count(name)) for name in OUTCOMES],
            "pictures": len(order),
        }
        write_page(LAYOUT, "labelled.html", store, columns.payload(), filling)
    return place.page


def _beneath(results: LabelledResults) -> str:
    found = results.data["rows"][0]["item"]
    if not found["n"]:
        return f"{counted(len(results.labelled.items), 'image')} with labels."
    f1 = found["forced f1"]
    value = "undefined" if f1["value"] is None else f"{f1['value']:.3f}"
    ends = "" if f1["low"] is None else f", 95% interval {f1['low']:.3f} to {f1['high']:.3f}"
    return f"Every image decided by its score: F1 {value}{ends}; {found['positives']:,} break a rule."


def _outcomes(results: LabelledResults) -> list[str]:
    """Outcome of each image under the first row."""
    table = item_table(results.rows[0], results.labelled)
    found = dict.fromkeys((item.id for item in results.labelled.items), "no-truth")
    for unit, truth, said, score in zip(
        table.units.tolist(), table.truth, table.said, table.score, strict=True
    ):
        if said == UNSURE:
            said = UNSURE if np.isnan(score) else int(score > 0.5)
        wrong = "missed" if truth else "false-alarm"
        found[unit] = "no-answer" if said == UNSURE else "right" if said == truth else wrong
    return [found[item.id] for item in results.labelled.items]


def _item(results: LabelledResults, number: int) -> dict[str, Any]:
    """Data of one image for the page's script."""
    labelled, rows = results.labelled, [row for row in results.rows if not row.control]
    votes = labelled.votes[number]
    rules = [
        [
            printable(rule),
            _labelled(rule, votes),
            *(_said(row, number, rule, votes.truth.get(rule)) for row in rows),
        ]
        for rule in labelled.rules
    ]
    broken = bool(labelled.items[number].broken)
    truth = broken if broken or len(votes.truth) == len(labelled.rules) else None
    whole = ["the image", "–" if truth is None else "broken" if truth else "kept"]
    rules.append([*whole, *(_said(row, number, None, truth) for row in rows)])
    several = len(labelled.constitutions) > 1
    names = [f"{row.name} · {row.constitution}" if several else row.name for row in rows]
    first = f"Labelled: {', '.join(sorted(labelled.items[number].broken)) or 'breaks nothing'}."
    return {
        "said": [{"text": printable(first)}],
        "columns": ["rule", "labels", *map(printable, names)],
        "rules": rules,
    }


def _labelled(rule: str, votes: Any) -> str:
    found = votes.by_rule.get(rule)
    if found is None:
        return "–"
    word = {True: "broken", False: "kept", None: "tie"}[found.majority]
    return f"{word} ({found.broken} of {len(found.by)})" if len(found.by) > 1 else word


def _said(row: MethodRow, number: int, rule: str | None, truth: bool | None) -> str:
    """Outcome and score, with a mark where the labels say otherwise."""
    prediction = row.predictions[number]
    if rule is None:
        said, score = prediction.outcome, prediction.score
    elif rule in prediction.rules:
        said, score = prediction.rules[rule], prediction.scores.get(rule, math.nan)
    else:
        return "–"
    mark = "✗ " if truth is not None and said not in (UNSURE, int(truth)) else ""
    return mark + (_SAID[said] if math.isnan(score) else f"{_SAID[said]} {score:.2f}")


def _picture(item: BenchItem) -> Thumbnail:
    if item.unreadable is not None or not isinstance(item.picture, Path):
        return Thumbnail(None, missing=f"The image cannot be shown: {item.unreadable}")
    return picture_of([item.picture.read_bytes()])
