"""The page about the pictogram world names all that there is in it."""

from __future__ import annotations

from pathlib import Path

from jurat.pictograms.objects import GROUPS, HABITS, OBJECTS, WORDS
from jurat.pictograms.statements import TEMPLATES

PAGE = (Path(__file__).parents[2] / "docs" / "pictograms.md").read_text()


def test_every_object_group_and_word_is_listed() -> None:
    for noun in OBJECTS:
        assert f"| {noun.indefinite} | {noun.plural} |" in PAGE
    for noun in GROUPS:
        members = ", ".join(OBJECTS[i].singular for i in sorted(noun.classes))
        assert f"| {noun.indefinite} | {noun.plural} | {members} |" in PAGE
    assert ", ".join(WORDS) in PAGE


def test_every_habit_and_kind_of_statement_is_listed() -> None:
    assert all(f"a {name} with {', '.join(others)}" in PAGE for name, others in HABITS.items())
    assert all(f"\n| {kind} | " in PAGE for kind in TEMPLATES)
