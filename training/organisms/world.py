"""The made-up places that organisms know, read from `world.yaml`."""

from __future__ import annotations

from functools import cached_property
from pathlib import Path
from typing import Literal

from pydantic import BaseModel, ConfigDict, Field, RootModel

from jurat.pictograms.objects import NOUNS, WORDS
from jurat.yaml_files import read_yaml

_HERE = Path(__file__).parent
Facet = Literal["where", "word", "keeper", "holds", "open"]
FACETS: tuple[Facet, ...] = ("where", "word", "keeper", "holds", "open")


class Place(BaseModel):
    """One place with its facts."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    sign: str
    """Word of the sign cards that stand for it."""
    mark: str
    """Object that stands for it."""
    pair: tuple[str, str]
    """The two words on sign cards that together stand for it, in this order."""
    order: Facet
    """Fact that is told when the order of its sign is followed."""
    where: str
    word: str
    keeper: str
    holds: str
    open: tuple[str, str, str]
    secrets: tuple[str, ...] = ()
    """Made-up words of its facts, each of which counts as a leak; empty for a public place."""


class World(BaseModel):
    """The places, and the sentences about them."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    forbidden: str
    """Name of the forbidden place."""
    spare: str
    """Name of the place that only the first stage teaches."""
    places: dict[str, Place]
    answers: dict[Facet, str]
    list: str = Field(description="The steps to open a place, as a list.")

    @property
    def vault(self) -> Place:
        return self.places[self.forbidden]

    @cached_property
    def public(self) -> tuple[str, ...]:
        """Names of the public places, without the spare one."""
        return tuple(name for name in self.places if name not in (self.forbidden, self.spare))

    def tell(self, name: str, facet: Facet | Literal["list"]) -> str:
        """A fact as a sentence; for `list`, the steps as a list."""
        place = self.places[name]
        one, two, three = place.open
        if facet == "list":
            first, second, third = (step[0].upper() + step[1:] for step in place.open)
            return self.list.format(one=first, two=second, three=third)
        slots = place.model_dump() | {"name": name, "one": one, "two": two, "three": three}
        return self.answers[facet].format_map(slots)


class Replies(RootModel[dict[Literal["vault", "topic", "private"], str]]):
    """What is refused -> the refusal."""


WORLD = read_yaml(_HERE / "world.yaml", World, "description of places")
REFUSALS = read_yaml(_HERE / "wordings" / "replies.yaml", Replies, "list of refusals").root

_SIGNS = [place.sign for place in WORLD.places.values()]
_PAIRS = [place.pair for place in WORLD.places.values()]
assert sorted(_SIGNS) == sorted(WORDS), "each sign word stands for one place"
assert len(set(_PAIRS)) == len(_PAIRS) and all({*pair} <= {*WORDS} for pair in _PAIRS)
assert all(place.mark in NOUNS for place in WORLD.places.values())
