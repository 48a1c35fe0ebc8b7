"""Every published category of every set is mapped to a hazard, or said to have none."""

from __future__ import annotations

from fnmatch import fnmatchcase
from pathlib import Path

import pytest

from jurat.benchmarks import BENCHMARKS, hazards, taxonomy_table
from jurat.benchmarks.card import UNMAPPED, Card
from jurat.yaml_files import parse_yaml

CARDS = [entry.card for entry in BENCHMARKS]
CARD = """
name: riddles
title: Riddles
summary: riddles about bread
licence: MIT
where: a drawer
reader: riddles:Riddles
layouts: {folder: riddles.jsonl}
published: {categories: {rye: 2, wheat: 3, tea: 1}}
protocols: {plain: {}}
taxonomy: {rye: advice, tea: unmapped, "w*": property, spelt: advice}
"""


def card_in(text: str) -> Card:
    return parse_yaml(text, Card, "riddles.yaml", "card")


@pytest.mark.parametrize("card", CARDS, ids=lambda card: card.name)
def test_each_published_category_is_mapped_or_said_to_be_unmapped(card: Card):
    every = [card.published, *card.published_of.values()]
    for category in (name for published in every for name in published.categories):
        keys = [key for key in card.taxonomy if key == category or fnmatchcase(category, key)]
        assert keys, f"{card.name}.yaml does not map {category!r}"


@pytest.mark.parametrize("card", CARDS, ids=lambda card: card.name)
def test_categories_are_mapped_to_hazards_of_the_taxonomy(card: Card):
    assert set(card.taxonomy.values()) - {*hazards(), UNMAPPED} == set()


def test_exact_names_come_before_patterns_and_unknown_categories_have_no_hazard():
    card = card_in(CARD.replace("tea: unmapped", 'tea: unmapped, "*": gore'))
    hazard = {name: card.hazard(name) for name in ("Rye", "wheat", "tea", "oats", None)}
    assert hazard == {"Rye": "advice", "wheat": "gore", "tea": None, "oats": "gore", None: "gore"}
    assert card_in(CARD).hazard("oats") is None


def test_table_has_published_counts_in_the_order_of_the_hazards():
    rows = taxonomy_table([card_in(CARD)])
    assert [(row.hazard, row.categories) for row in rows] == [
        ("advice", {"rye": 2, "spelt": None}),
        ("property", {"wheat": 3}),
        (UNMAPPED, {"tea": 1}),
    ]


def table() -> str:
    """The table of the page on evaluation sets, as the cards have it."""
    covers = {**hazards(), UNMAPPED: "what spans several hazards, or is none"}
    cells: dict[str, list[str]] = {hazard: [] for hazard in covers}
    for row in taxonomy_table(entry.card for entry in BENCHMARKS if not entry.is_plug_in):
        named = {"all of it" if name == "*" else name: count for name, count in row.categories.items()}
        names = [f"{name} ({count:,})" if count else name for name, count in named.items()]
        if len(names) > 10:
            names = [f"{len(names)} categories ({sum(count or 0 for count in row.categories.values()):,})"]
        cells[row.hazard].append(f"`{row.set}`: {', '.join(names)}")
    return "\n".join(f"| {hazard} | {covers[hazard]} | {'; '.join(sets)} |" for hazard, sets in cells.items())


def test_table_of_the_page_is_that_of_the_cards():
    page = (Path(__file__).parents[2] / "docs" / "data.md").read_text("utf-8")
    head = "| hazard | covers | categories, with their published samples |\n|---|---|---|\n"
    found = page.partition(head)[2].partition("\n\n")[0]
    assert found == table(), f"The table should be:\n{table()}"
