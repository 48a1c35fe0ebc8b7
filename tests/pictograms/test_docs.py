"""The page about the pictogram world names all that there is in it."""

from __future__ import annotations

from pathlib import Path

from jurat.pictograms.objects import GROUPS, HABITS, NOUNS, OBJECTS, WORDS
from jurat.pictograms.reading import parse
from jurat.pictograms.statements import HELD_OUT, TEMPLATES

PAGE = (Path(__file__).parents[2] / "docs" / "pictograms.md").read_text()


def test_every_object_group_and_word_is_listed() -> None:
    for noun in OBJECTS:
        assert f"| {noun.indefinite} | {noun.plural} |" in PAGE
    for noun in GROUPS:
        members = ", ".join(OBJECTS[i].singular for i in sorted(noun.classes))
        assert f"| {noun.indefinite} | {noun.plural} | {members} |" in PAGE
    assert ", ".join(WORDS) in PAGE


def test_every_habit_and_kind_of_statement_is_listed() -> None:
    for name, others in HABITS.items():
        assert f"{NOUNS[name].indefinite} with {', '.join(others)}" in PAGE
    assert all(f"\n| {kind} | " in PAGE for kind in TEMPLATES)


def test_every_phrasing_is_listed_with_held_out_ones_marked() -> None:
    rows = [line.split(" | ") for line in PAGE.splitlines() if line.startswith("| ")]
    found = {row[0].removeprefix("| "): row for row in rows if len(row) == 4}
    for kind in TEMPLATES:
        _, canonical, _, others = found[kind]
        assert parse(canonical).kind == kind
        said = parse(canonical).phrasings()
        trained, held_out = " ".join(said[1:-HELD_OUT]), " ".join(said[-HELD_OUT:])
        assert others == f"{trained} *Held out:* {held_out} |"
