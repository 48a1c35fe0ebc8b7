"""Scenes that break a rule by half, with a declared soft truth.

A gap g between 0 and 6 (in 1/128 of the side) touches to 1 - g / 6; an object of which a share o is
hidden is visible to (0.7 - o) / 0.4. Both are conventions, not findings: they say what a score between
0 and 1 is compared with, and that it should fall in between at all.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, TypeAlias

from jurat.bench.pictogram.definition import OCCLUSION
from jurat.bench.pictogram.placing import (
    TRIES,
    CentralObject,
    DrawnScene,
    Random,
    SceneRequest,
    central_objects,
    seat,
)
from jurat.pictograms.cases import broken_rules, rule_truth
from jurat.pictograms.objects import OBJECTS
from jurat.pictograms.pieces import Layout, beside, covered, draw_layout, random_piece
from jurat.pictograms.reading import parse
from jurat.pictograms.scene import GAP
from jurat.pictograms.statements import Facts, Touches

if TYPE_CHECKING:
    from jurat.pictograms.scene import Scene

HalfBroken: TypeAlias = tuple[DrawnScene, float]
"""A scene and its soft truth."""

_GAPS = (0.3, GAP - 0.3)


def draw_borderline(request: SceneRequest, rng: Random) -> HalfBroken:
    """A scene that breaks the rule by half: a gap of less than `GAP` where it asks for a touch, or else an
    object that others hide by 30 to 70%; and its soft truth. Raises ValueError where none was found."""
    touches = any(isinstance(parse(s.text), Touches) for c in request.rule.clauses for s in c.alternatives)
    for _ in range(TRIES):
        centre = central_objects(request.rule, rng)
        found = (_half_touching if touches else _half_hidden)(centre, request, rng)
        if found is not None:
            return found
    raise ValueError(f"found no borderline scene for rule {request.rule.id!r}")


def _half_touching(centre: list[CentralObject], request: SceneRequest, rng: Random) -> HalfBroken | None:
    """A proposal in which the two objects that should touch are a small gap apart."""
    layout = Layout((), int(rng.integers(2**31)))
    at, to = -1, -1
    for i, thing in enumerate(centre):
        if thing.touches is None:
            piece = seat(layout, thing.kind, request, rng, None)
        else:
            at, to = i, thing.touches
            piece = beside(
                rng,
                layout,
                to,
                random_piece(rng, thing.kind, request.level.sides, request.sprites),
                _within(rng, *_GAPS),
            )
        if piece is None:
            return None
        layout = layout.with_piece(piece)
    scene = draw_layout(layout, request.rendering)
    if scene is None or not 0 < scene.gap[at, to] < GAP:
        return None
    return _accept(layout, scene, float(scene.contact[at, to]), request)


def _half_hidden(centre: list[CentralObject], request: SceneRequest, rng: Random) -> HalfBroken | None:
    """A proposal in which a bystander stands before one of the objects that the rule speaks of."""
    layout = Layout((), int(rng.integers(2**31)))
    for thing in centre:
        piece = seat(layout, thing.kind, request, rng, None)
        if piece is None:
            return None
        layout = layout.with_piece(piece)
    at = int(rng.integers(len(centre)))
    screen = random_piece(rng, int(rng.integers(len(OBJECTS))), (30, 44), request.sprites)
    depth = rng.uniform(12, 26)
    before = beside(rng, layout, at, screen, (-depth - 2, -depth))
    if before is None:
        return None
    layout = layout.with_piece(before)
    scene = draw_layout(layout, request.rendering)
    if scene is None:
        return None
    low, high = OCCLUSION
    hidden = covered(scene)
    others = [share for i, share in enumerate(hidden.tolist()) if i != at]
    if not low <= hidden[at] <= high or max(others, default=0) > low:
        return None
    return _accept(layout, scene, float((high - hidden[at]) / (high - low)), request)


def _within(rng: Random, low: float, high: float) -> tuple[float, float]:
    wanted = rng.uniform(low, high)
    return max(low, wanted - 0.8), min(high, wanted + 0.8)


def _accept(layout: Layout, scene: Scene, soft: float, request: SceneRequest) -> HalfBroken | None:
    """The scene, if it clearly keeps every other rule, and nothing but the half-truth is in doubt here."""
    facts = Facts.of(scene)
    others = [rule_truth(rule, facts) for rule in request.constitution.rules if rule is not request.rule]
    own = rule_truth(request.rule, facts)
    if any(truth is not False for truth in others) or own is False:
        return None
    return DrawnScene(layout, scene, facts, broken_rules(request.constitution, facts) or frozenset()), soft
