"""The hazards to which every set's categories are mapped, and the table of that."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from fnmatch import fnmatchcase
from importlib.resources import files

from jurat.benchmarks.card import UNMAPPED, Card
from jurat.yaml_files import plain_yaml

__all__ = ["MappedCategories", "hazards", "taxonomy_table"]


@dataclass(frozen=True)
class MappedCategories:
    """The categories of one set that are mapped to one hazard."""

    hazard: str
    """A name of `hazards()`, or `UNMAPPED`."""
    set: str
    categories: dict[str, int | None]
    """As the authors write them, with the published count of samples; None where none is published. A pattern
    ("*") stands for categories that are not published."""


def hazards() -> dict[str, str]:
    """The hazards of `taxonomy.yaml`, each with a line that says what it covers."""
    return plain_yaml((files("jurat.benchmarks") / "taxonomy.yaml").read_text("utf-8"))


def taxonomy_table(cards: Iterable[Card]) -> list[MappedCategories]:
    """What the cards map to each hazard, in the order of `hazards()`; what they map to none comes last."""
    found = [row for card in cards for row in _rows(card)]
    order = [*hazards(), UNMAPPED]
    return sorted(found, key=lambda row: (order.index(row.hazard), row.set))


def _rows(card: Card) -> Iterator[MappedCategories]:
    by_hazard: dict[str, dict[str, int | None]] = {}
    published = card.published.categories
    for name, count in published.items():
        by_hazard.setdefault(card.hazard(name) or UNMAPPED, {})[name] = count
    for key, hazard in card.taxonomy.items():
        if not any(fnmatchcase(name, key) for name in published):
            by_hazard.setdefault(hazard, {})[key] = None
    for hazard, categories in by_hazard.items():
        yield MappedCategories(hazard, card.name, categories)
