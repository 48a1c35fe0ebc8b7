"""What is true of a drawing, by the definitions of `docs/pictograms.md`, and by code of its own.

A meaning is a list whose first entry says how the others are read (`meaning`); it stands beside the sentence
of a rule in `rules.toml`. Truth is three-valued: None where the world leaves it open.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from scipy.ndimage import binary_erosion
from scipy.spatial import cKDTree

from jurat.pictograms.objects import NOUNS, WORDS
from tests.strangers.scenes import FIRST_CARD, STRANGER, UNITS, Drawing

Meaning = list[Any]
Truth = bool | None


@dataclass
class Facts:
    """Measurements of n objects that statements depend on. Lengths are in 1/128 of the shorter side."""

    kinds: list[int]
    centres: np.ndarray  # (n, 2), middle of the bounding box
    areas: np.ndarray  # (n,)
    gaps: np.ndarray  # (n, n), 0 where two overlap

    def which(self, *names: str) -> list[int]:
        classes = frozenset[int]().union(*(NOUNS[name].classes for name in names))
        return [i for i, kind in enumerate(self.kinds) if kind in classes]


def facts(drawing: Drawing) -> Facts:
    masks = drawing.masks
    unit = min(drawing.image.size) / UNITS
    boxes = [(np.flatnonzero(m.any(0))[[0, -1]], np.flatnonzero(m.any(1))[[0, -1]]) for m in masks]
    gaps = np.zeros((len(masks), len(masks)))
    rims = [np.argwhere(mask & ~binary_erosion(mask)) for mask in masks]
    for i, one in enumerate(masks):
        for j in range(i):
            if not (one & masks[j]).any():
                gaps[i, j] = gaps[j, i] = cKDTree(rims[i]).query(rims[j])[0].min() / unit
    return Facts(
        list(drawing.names),
        np.array([((x.sum() + 1) / 2, (y.sum() + 1) / 2) for x, y in boxes]).reshape(-1, 2) / unit,
        np.array([m.sum() for m in masks]) / unit**2,
        gaps,
    )


def holds(meaning: Meaning, facts: Facts) -> Truth:
    """Whether a meaning holds:

    ["visible", name...]                    one of them is there
    ["touch", name..., "/", name...]        one of the first touches one of the others
    ["left" | "right" | "above" | "below", name, name]
    ["larger", name, name]                  by drawn area
    ["exactly" | "at least", n, name]
    ["sign", word]
    ["only", name...]                       something is there, and nothing else than these
    ["not", meaning], ["all", meaning...], ["any", meaning...]
    """
    how, *rest = meaning
    match how:
        case "visible":
            return bool(facts.which(*rest))
        case "not":
            inner = holds(rest[0], facts)
            return None if inner is None else not inner
        case "all" | "any":
            truths = [holds(part, facts) for part in rest]
            decisive = how == "any"
            return decisive if decisive in truths else (None if None in truths else not decisive)
        case "exactly" | "at least":
            number, name = rest
            there = len(facts.which(name))
            return there == number if how == "exactly" else there >= number
        case "sign":
            return FIRST_CARD + WORDS.index(rest[0]) in facts.kinds
        case "only":
            return len(facts.kinds) > 0 and len(facts.which(*rest)) == len(facts.kinds)
        case _:
            return _relation(how, rest, facts)


def _relation(how: str, names: list[str], facts: Facts) -> Truth:
    at = names.index("/") if "/" in names else 1
    first, others = facts.which(*names[:at]), facts.which(*(n for n in names[at:] if n != "/"))
    truths: list[Truth] = []
    for i, j in ((i, j) for i in first for j in others if i != j):
        if how == "touch":
            gap = facts.gaps[i, j]
            truths.append(True if gap == 0 else False if gap >= 6 else None)
        elif how == "larger":
            ratio = facts.areas[i] / facts.areas[j]
            truths.append(True if ratio >= 1.3 else False if ratio <= 1 / 1.3 else None)
        else:
            axis, sign = {"left": (0, 1), "right": (0, -1), "above": (1, 1), "below": (1, -1)}[how]
            lead = sign * (facts.centres[j, axis] - facts.centres[i, axis])
            truths.append(True if lead >= 14 else False if lead <= -14 else None)
    return True if True in truths else (None if None in truths else False)


def known(facts: Facts) -> Facts:
    """The same of the objects of the world alone, without strangers."""
    keep = [i for i, kind in enumerate(facts.kinds) if kind != STRANGER]
    return Facts(
        [facts.kinds[i] for i in keep],
        facts.centres[keep],
        facts.areas[keep],
        facts.gaps[np.ix_(keep, keep)],
    )
