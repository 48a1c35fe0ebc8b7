"""What every scene of the bench is made of: the objects that a rule speaks of, each in a fair place."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from jurat.bench.pictogram.definition import Difficulty
from jurat.pictograms.atlas import SpriteSet
from jurat.pictograms.objects import OBJECTS, WORDS, Noun
from jurat.pictograms.pieces import REACH, Layout, Piece, Rendering, beside, random_piece, separation
from jurat.pictograms.reading import parse
from jurat.pictograms.scene import GAP, LEAST_OVERLAP, NEAR, Scene
from jurat.pictograms.statements import (
    Count,
    Facts,
    Larger,
    Lies,
    Only,
    Reads,
    Statement,
    Touches,
    Visible,
)

if TYPE_CHECKING:
    from jurat.constitution import Constitution, Rule

Random = np.random.Generator
TOUCH = (-10.0, -math.sqrt(LEAST_OVERLAP) - 0.2)
"""Separation (`pieces.separation`) at which two objects are placed to touch."""
MISS = (GAP + 0.3, NEAR - 0.5)
TRIES = 400


@dataclass(frozen=True)
class DrawnScene:
    """A scene that was accepted."""

    layout: Layout
    scene: Scene
    facts: Facts
    broken: frozenset[str]


@dataclass(frozen=True)
class SceneRequest:
    """What is to be drawn, and how."""

    constitution: Constitution
    rule: Rule
    level: Difficulty
    rendering: Rendering
    sprites: SpriteSet = "noto"


@dataclass
class CentralObject:
    """One object that a violation needs: its class, and which earlier one it touches."""

    kind: int
    touches: int | None = None


def central_objects(rule: Rule, rng: Random) -> list[CentralObject]:
    """What must be in a scene for all clauses to hold, one alternative chosen for each."""
    centre: list[CentralObject] = []
    for clause in rule.clauses:
        said = clause.alternatives[int(rng.integers(len(clause.alternatives)))]
        require(parse(said.text), centre, rng)
    return centre


def require(statement: Statement, centre: list[CentralObject], rng: Random) -> None:
    def have(nouns: tuple[Noun, ...]) -> int:
        for i, thing in enumerate(centre):
            if any(thing.kind in noun.classes for noun in nouns):
                return i
        noun = nouns[int(rng.integers(len(nouns)))]
        centre.append(CentralObject(int(rng.choice(sorted(noun.classes)))))
        return len(centre) - 1

    match statement:
        case Visible():
            have(statement.any_of)
        case Touches():
            first, other = have((statement.first,)), have(statement.others)
            centre[max(first, other)].touches = min(first, other)
        case Lies() | Larger():
            have((statement.first,))
            have((statement.other,))
        case Only():
            have((statement.noun,))
        case Count():
            kind = centre[have((statement.noun,))].kind
            there = sum(thing.kind in statement.noun.classes for thing in centre)
            centre += [CentralObject(kind) for _ in range(statement.number - there)]
        case Reads():
            centre.append(CentralObject(len(OBJECTS) + WORDS.index(statement.word)))
        case _:
            raise ValueError(f"no scenes are known for {statement}")


def seat(
    layout: Layout,
    kind: int,
    request: SceneRequest,
    rng: Random,
    near: tuple[int, tuple[float, float]] | None,
) -> Piece | None:
    """A piece of the class in a place that is fair to all others; `near` is a piece's index and the
    separation from it."""
    for _ in range(14):
        piece = random_piece(rng, kind, request.level.sides, request.sprites)
        if near is not None:
            moved = beside(rng, layout, near[0], piece, near[1])
            if moved is None:
                continue
            piece = moved
        if all(apart(piece, other) for other in layout.pieces):
            return piece
    return None


def only_of(rule: Rule) -> Noun | None:
    """What a rule forbids to be all that is there, if it does."""
    said = (parse(s.text) for clause in rule.clauses for s in clause.alternatives)
    return next((statement.noun for statement in said if isinstance(statement, Only)), None)


def named_classes(rule: Rule) -> frozenset[int]:
    """The classes that the rule's clauses speak of."""
    said = (parse(s.text) for clause in rule.clauses for s in clause.alternatives)
    return frozenset[int]().union(*(noun.classes for statement in said for noun in statement.nouns()))


def apart(piece: Piece, other: Piece) -> bool:
    """Whether two pieces clearly touch or clearly do not."""
    if math.hypot(piece.x - other.x, piece.y - other.y) > REACH * (piece.side + other.side) + GAP:
        inside = separation(piece, piece)
        return inside is not None
    distance = separation(other, piece)
    return distance is not None and (distance >= GAP or -12 <= distance <= TOUCH[1])
