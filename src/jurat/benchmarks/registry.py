"""Which evaluation sets there are: one a card, and those of third parties."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from jurat.benchmarks.card import Card, our_cards
from jurat.registry import Entry, Registry

__all__ = ["BENCHMARKS", "Benchmark"]


@dataclass(frozen=True, kw_only=True)
class Benchmark(Entry):
    """An evaluation set. A third party's factory is a `Reader` with the attribute `card`."""

    facts: Card | None = None

    @property
    def card(self) -> Card:
        """Its card; a third party's is imported for it."""
        if self.facts is not None:
            return self.facts
        card = getattr(self.load(), "card", None)
        if not isinstance(card, Card):
            raise self.fault("has no card: its reader lacks the attribute `card`")
        return card


def _entries() -> Iterator[Benchmark]:
    for card in our_cards():
        yield Benchmark(card.name, card.summary, card.reader, paper=card.paper, facts=card)


BENCHMARKS = Registry("benchmarks", "evaluation set", Benchmark, _entries, see=" See: jurat data")
