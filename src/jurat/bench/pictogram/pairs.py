"""Pairs of scenes for one rule: one that breaks it, and one that differs in one thing and does not.

Everything is drawn by trial. A proposal counts only if the constitution's own clauses, evaluated on the facts
of the scene as drawn, say what was wanted: that it breaks this rule and no other, or that it breaks none with
exactly one clause failing or the exception holding; and nothing may be open.
"""

from __future__ import annotations

import itertools
from collections.abc import Iterator
from dataclasses import replace
from typing import TYPE_CHECKING

import numpy as np

from jurat.bench.pictogram.definition import PARTNERS
from jurat.bench.pictogram.placing import (
    MISS,
    TOUCH,
    TRIES,
    CentralObject,
    DrawnScene,
    Random,
    SceneRequest,
    apart,
    central_objects,
    named_classes,
    only_of,
    require,
    seat,
)
from jurat.pictograms.cases import broken_rules, clause_truth
from jurat.pictograms.objects import CLASSES, LOOKALIKES, OBJECTS
from jurat.pictograms.pieces import Layout, Rendering, beside, covered, draw_layout, overlaps, random_piece
from jurat.pictograms.reading import parse
from jurat.pictograms.scene import GAP, LEAST_OVERLAP, LEAST_VISIBLE, MOST, MOST_OVERLAP, Scene
from jurat.pictograms.statements import Facts, Larger, Lies, Touches, Visible

if TYPE_CHECKING:
    from jurat.constitution import Clause, Rule

_SKETCH = Rendering(textures=("flat",))


def draw_pair(request: SceneRequest, rng: Random, companions: int = 0) -> tuple[DrawnScene, DrawnScene]:
    """A violating scene and its near miss.

    With `companions`, both get as many further bystanders, and where the missing thing of the near
    miss has partners by habit, one of them stands in the near miss and a stranger in the other: what
    usually goes together does not, and what does not, does. Raises ValueError where none was found.
    """
    for _ in range(TRIES):
        centre = central_objects(request.rule, rng)
        layout = _place(centre, request, rng, room=companions, avoid_habits=companions > 0)
        if layout is None or (broken := _accept(layout, request, breaks=True)) is None:
            continue
        for changed in itertools.islice(_changes(layout, len(centre), request, rng), 14):
            near = _accept(changed, request, breaks=False)
            if near is None:
                continue
            if not companions:
                return broken, near
            pair = _with_companions(broken.layout, changed, companions, request, rng)
            if pair is not None:
                return pair
    raise ValueError(f"found no pair of scenes for rule {request.rule.id!r}")


# --- placing -------------------------------------------------------------------------------------


def _place(
    centre: list[CentralObject],
    request: SceneRequest,
    rng: Random,
    *,
    room: int = 0,
    avoid_habits: bool = False,
) -> Layout | None:
    """The central objects at the back, bystanders before them."""
    layout = Layout((), int(rng.integers(2**31)))
    for thing in centre:
        gap = None if thing.touches is None else (thing.touches, TOUCH)
        seated = seat(layout, thing.kind, request, rng, gap)
        if seated is None:
            return None
        layout = layout.with_piece(seated)
    low, high = request.level.bystanders
    most = MOST - 1 - room - len(centre)  # one more may come with the near miss
    for _ in range(min(int(rng.integers(low, high + 1)), most)):
        kind = _bystander(layout, len(centre), request, rng, avoid_habits)
        near = (int(rng.integers(len(layout.pieces))), MISS if rng.random() < 0.5 else TOUCH)
        seated = seat(layout, kind, request, rng, near if rng.random() < request.level.close else None)
        if seated is not None:
            layout = layout.with_piece(seated)
    return layout


def _bystander(layout: Layout, centre: int, request: SceneRequest, rng: Random, avoid_habits: bool) -> int:
    if noun := only_of(request.rule):
        return int(rng.choice(sorted(noun.classes)))
    kinds = [piece.kind for piece in layout.pieces]
    alike = sorted({k for kind in kinds[:centre] for k in LOOKALIKES[kind]} - named_classes(request.rule))
    for _ in range(20):
        looks_alike = bool(alike) and rng.random() < request.level.alike
        kind = int(rng.choice(alike)) if looks_alike else int(rng.integers(CLASSES))
        if not (avoid_habits and PARTNERS.get(kind, frozenset()) & set(kinds)):
            return kind
    return len(OBJECTS)


# --- judging what was placed ---------------------------------------------------------------------


def fair(scene: Scene) -> bool:
    """Whether every pair clearly touches or clearly does not, and nothing is hidden too far."""
    gaps, shared = scene.gap, overlaps(scene)
    areas = np.array([thing.area for thing in scene.objects])
    most = MOST_OVERLAP * np.minimum(areas[:, None], areas[None, :])
    touching = (gaps == 0) & (shared >= LEAST_OVERLAP) & (shared <= most)
    clear = touching | (gaps >= GAP)
    np.fill_diagonal(clear, True)
    return bool(clear.all()) and bool((covered(scene) <= 1 - LEAST_VISIBLE).all())


def _accept(layout: Layout, request: SceneRequest, *, breaks: bool) -> DrawnScene | None:
    """The layout drawn, if its truth is what was wanted."""
    if len(layout.pieces) > MOST:
        return None
    wanted = frozenset({request.rule.id}) if breaks else frozenset[str]()
    drawn = None
    for rendering in (_SKETCH, request.rendering):  # the cheap one weeds out
        scene = draw_layout(layout, rendering)
        if scene is None or not fair(scene):
            return None
        facts = Facts.of(scene)
        if broken_rules(request.constitution, facts) != wanted or (
            not breaks and _failing(request.rule, facts) != 1
        ):
            return None
        drawn = DrawnScene(layout, scene, facts, wanted)
    return drawn


def _failing(rule: Rule, facts: Facts) -> int:
    """How many things keep the rule from being broken: clauses that fail, and exceptions that hold."""
    excepted = bool(rule.unless) and all(clause_truth(clause, facts) for clause in rule.unless)
    return sum(not clause_truth(clause, facts) for clause in _independent(rule)) + excepted


def _independent(rule: Rule) -> list[Clause]:
    """The clauses but those that another one implies: who touches a hat implies that a hat is visible."""
    said = [(clause, [parse(s.text) for s in clause.alternatives]) for clause in rule.clauses]
    nouns = {noun for _, group in said for s in group if not isinstance(s, Visible) for noun in s.nouns()}
    return [
        clause
        for clause, group in said
        if not all(isinstance(s, Visible) and set(s.any_of) <= nouns for s in group)
    ]


# --- one thing changed ---------------------------------------------------------------------------


def _changes(layout: Layout, centre: int, request: SceneRequest, rng: Random) -> Iterator[Layout]:
    """Layouts that differ in one piece, likelier ones first; most of them still break the rule."""
    statements = [parse(s.text) for c in request.rule.clauses for s in c.alternatives]
    named = named_classes(request.rule)
    while True:
        at = int(rng.integers(centre))
        chance = rng.random()
        if request.rule.unless and chance < 0.6:
            added = _excepted(layout, request, rng)
        elif any(isinstance(s, Touches) for s in statements) and chance < 0.6:
            added = _moved_off(layout, at, centre, rng)
        elif any(isinstance(s, Lies) for s in statements) and chance < 0.7:
            piece = layout.pieces[at]
            elsewhere = random_piece(rng, piece.kind, (piece.side, piece.side))
            added = layout.change(at, x=elsewhere.x, y=elsewhere.y)
        elif any(isinstance(s, Larger) for s in statements) and chance < 0.6:
            factor = rng.uniform(0.5, 0.8) if rng.random() < 0.5 else rng.uniform(1.25, 1.8)
            added = layout.change(at, side=float(factor * layout.pieces[at].side))
        elif chance < 0.92:
            added = layout.change(at, kind=_other(layout.pieces[at].kind, named, rng))
        else:
            added = layout.without(at)
        if added is not None:
            yield added


def _excepted(layout: Layout, request: SceneRequest, rng: Random) -> Layout | None:
    needed: list[CentralObject] = []
    for clause in request.rule.unless:
        require(parse(clause.alternatives[0].text), needed, rng)
    piece = seat(layout, needed[0].kind, request, rng, None)
    return layout.with_piece(piece) if len(needed) == 1 and piece is not None else None


def _moved_off(layout: Layout, at: int, centre: int, rng: Random) -> Layout | None:
    """One of two touching objects moved a little way off."""
    others = [i for i in range(centre) if i != at]
    if not others:
        return None
    to = int(rng.choice(others))
    moved = beside(rng, layout, to, layout.pieces[at], MISS)
    return None if moved is None else layout.change(at, x=moved.x, y=moved.y)


def _other(kind: int, named: frozenset[int], rng: Random) -> int:
    """A class that the rule does not name: mostly one that looks alike, never an object for a sign card
    or the reverse."""
    alike = sorted(set(LOOKALIKES[kind]) - named)
    if alike and rng.random() < 0.8:
        return int(rng.choice(alike))
    first, last = (0, len(OBJECTS)) if kind < len(OBJECTS) else (len(OBJECTS), CLASSES)
    return int(rng.choice([other for other in range(first, last) if other != kind and other not in named]))


# --- habits broken -------------------------------------------------------------------------------


def _with_companions(
    broken: Layout, near: Layout, count: int, request: SceneRequest, rng: Random
) -> tuple[DrawnScene, DrawnScene] | None:
    """Both layouts with `count` more bystanders each in the same places, of classes that habit would not
    put there."""
    gone = {piece.kind for piece in broken.pieces} - {piece.kind for piece in near.pieces}
    come = {piece.kind for piece in near.pieces} - {piece.kind for piece in broken.pieces}
    for _ in range(count):
        piece = seat(broken, _stranger(broken, come, rng), request, rng, None)
        if piece is None or not all(apart(piece, other) for other in near.pieces):
            return None
        broken = broken.with_piece(piece)
        near = near.with_piece(replace(piece, kind=_stranger(near, gone, rng)))
    first, second = _accept(broken, request, breaks=True), _accept(near, request, breaks=False)
    return None if first is None or second is None else (first, second)


def _stranger(layout: Layout, missing: set[int], rng: Random) -> int:
    """A class that goes, by habit, with something that is missing and with nothing that is there."""
    there = {piece.kind for piece in layout.pieces}
    habitual = frozenset[int]().union(*(PARTNERS.get(kind, frozenset()) for kind in there))
    called = frozenset[int]().union(*(PARTNERS.get(kind, frozenset()) for kind in missing))
    absent = {kind for kind, partners in PARTNERS.items() if not partners & there}
    for choice in (called - habitual - there, absent - habitual - there):
        if choice:
            return int(rng.choice(sorted(choice)))
    return int(rng.integers(len(OBJECTS)))
