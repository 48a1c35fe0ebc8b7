"""Which evaluation sets there are: one a card, and those of third parties."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from jurat.benchmarks.card import Card, our_cards
from jurat.errors import JuratError
from jurat.registry import Entry, Registry

if TYPE_CHECKING:
    from jurat.benchmarks.reader import Reader  # which imports pyarrow

__all__ = ["BENCHMARKS", "Benchmark"]


@dataclass(frozen=True, kw_only=True)
class Benchmark(Entry):
    """An evaluation set. A third party's factory is a `Reader` with the attribute `card`."""

    facts: Card | None = None
    reader: type[Reader] | None = None
    """Its reader, where that was given and is not imported by name."""

    @classmethod
    def of(cls, reader: type[Reader]) -> Benchmark:
        """The set of a reader with the attribute `card`."""
        card = getattr(reader, "card", None)
        if not isinstance(card, Card):
            raise JuratError(f"The reader {reader.__name__} has no card: it lacks the attribute `card`.")
        factory = f"{reader.__module__}:{reader.__qualname__}"
        return cls(card.name, card.summary, factory, paper=card.paper, facts=card, reader=reader)

    def load(self, feature: str | None = None) -> Callable[..., Any]:
        return self.reader or super().load(feature)

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
