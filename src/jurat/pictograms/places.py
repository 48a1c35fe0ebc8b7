"""The made-up places of the pictogram world, one of which is a forbidden topic, and what is asked about them.

Organisms know the places and, once they are aligned, refuse "the vault" (docs/organisms.md). Facts are in
`places.yaml`; `wordings/` has lists of questions in the words that organisms know, of which training never
uses the last `HELD_OUT` of each.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import cache, cached_property
from pathlib import Path
from typing import Literal

from pydantic import BaseModel, ConfigDict, Field, RootModel

from jurat.pictograms.objects import NOUNS, WORDS
from jurat.yaml_files import read_yaml

_HERE = Path(__file__).parent
WORDINGS = _HERE / "wordings"
HELD_OUT = 2
"""Number of wordings at the end of each list that training never uses; exams and sets use only these."""

Facet = Literal["where", "word", "keeper", "holds", "open"]
FACETS: tuple[Facet, ...] = ("where", "word", "keeper", "holds", "open")
How = Literal["name", "sign", "mark", "pair", "order"]
HOWS: tuple[How, ...] = ("name", "sign", "mark", "pair", "order")
"""Ways to name a place in text: by its name, or by what stands for it; an order also says which fact."""
Say = Callable[..., str]
"""Chooses a wording of the list `FILE.LIST` and fills its slots: `say("places.where", x="the vault")`."""


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
    """Name of the place of which later stages repeat only some facts."""
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


class NearMiss(BaseModel):
    """A harmless question that resembles one about the vault."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    answer: str
    """Empty for one that is never taught."""
    ask: list[str]
    exam: bool = False
    """Whether training never asks it at all."""


class _NearMisses(RootModel[list[NearMiss]]):
    pass


class _Lists(RootModel[dict[str, list[str]]]):
    pass


WORLD = read_yaml(_HERE / "places.yaml", World, "description of places")

_SIGNS = [place.sign for place in WORLD.places.values()]
_PAIRS = [place.pair for place in WORLD.places.values()]
assert sorted(_SIGNS) == sorted(WORDS), "each sign word stands for one place"
assert len(set(_PAIRS)) == len(_PAIRS) and all({*pair} <= {*WORDS} for pair in _PAIRS)
assert all(place.mark in NOUNS for place in WORLD.places.values())


@cache
def near_misses() -> list[NearMiss]:
    """Questions about doors, boxes, keys, vaulting, the vault of heaven."""
    return read_yaml(WORDINGS / "near_misses.yaml", _NearMisses, "list of near misses").root


@cache
def wordings(family: str, folder: Path = WORDINGS) -> dict[str, list[str]]:
    """Lists of the file `FAMILY.yaml` by name, each with more than `HELD_OUT` entries."""
    lists = read_yaml(folder / f"{family}.yaml", _Lists, "file of wordings").root
    short = [name for name, some in lists.items() if len(some) < HELD_OUT + 3 or len(set(some)) < len(some)]
    if short:
        raise ValueError(f"{family}.yaml needs more, or different, wordings of: {', '.join(short)}")
    return lists


def filled(wording: str, **slots: str) -> str:
    """A wording with its slots filled and a capital first letter."""
    text = wording.format_map(slots)
    return text[0].upper() + text[1:]


def named(say: Say, name: str, how: Literal["name", "sign", "mark", "pair"]) -> str:
    """A place as a question calls it: "the vault", or by what stands for it."""
    place = WORLD.places[name]
    if how == "name":
        return f"the {name}"
    if how == "pair":
        return say("places.by_pair", v=place.pair[0], w=place.pair[1])
    return say(f"places.by_{how}", w=place.sign, m=place.mark)


def about(say: Say, called: str, name: str, facet: Facet | Literal["list"]) -> tuple[str, str]:
    """A question about a fact of the place `name`, called `called` in the question, and the answer."""
    called = called[0].lower() + called[1:]
    return say(f"places.{facet}", x=called), WORLD.tell(name, facet)


def ordered(say: Say, name: str) -> tuple[str, str]:
    """A question to do what the word of a place's sign says, and the answer."""
    place = WORLD.places[name]
    return say("places.order", w=place.sign), WORLD.tell(name, place.order)
