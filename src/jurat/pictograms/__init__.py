"""A harmless world of pictograms: scenes with exact truth, statements about them, a model trained on them."""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from jurat.pictograms.cases import Case, draw_case, draw_cases, rule_truth
    from jurat.pictograms.composing import compose, near_miss
    from jurat.pictograms.objects import GROUPS, HABITS, OBJECTS, WORDS, Noun
    from jurat.pictograms.reading import parse
    from jurat.pictograms.scene import Scene, draw
    from jurat.pictograms.statements import Facts, Statement

__all__ = [
    "GROUPS",
    "HABITS",
    "OBJECTS",
    "WORDS",
    "Case",
    "Facts",
    "Noun",
    "Scene",
    "Statement",
    "compose",
    "draw",
    "draw_case",
    "draw_cases",
    "near_miss",
    "parse",
    "rule_truth",
]

_HOMES = {
    "cases": ("Case", "draw_case", "draw_cases", "rule_truth"),
    "composing": ("compose", "near_miss"),
    "objects": ("GROUPS", "HABITS", "OBJECTS", "WORDS", "Noun"),
    "reading": ("parse",),
    "scene": ("Scene", "draw"),
    "statements": ("Facts", "Statement"),
}


def __getattr__(name: str) -> Any:
    for home, names in _HOMES.items():
        if name in names:
            return getattr(import_module(f"jurat.pictograms.{home}"), name)
    raise AttributeError(f"module 'jurat.pictograms' has no attribute {name!r}")


def __dir__() -> list[str]:
    return __all__
