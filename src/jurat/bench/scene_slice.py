"""What a results file holds scene by scene: the first pair of every rule of test, under a few presets.

They can be drawn again from the seed alone and judged again in seconds, so that anyone can see that the
tables come from this code and these weights.
"""

from __future__ import annotations

import math
from collections.abc import Iterable
from typing import TYPE_CHECKING, Any

from jurat.metrics import UNSURE

if TYPE_CHECKING:
    from jurat.bench.methods.base import Ruling
    from jurat.bench.table import Judged

SPLIT = "test"
SCENES = 28
PRESETS = ("jurat", "clue", "direct")
_SAID = {1: "unsafe", 0: "safe", UNSURE: "unsure"}


def slice_of(judged: Iterable[Judged]) -> list[dict[str, Any]]:
    """One entry a model, preset and scene."""
    return [
        {"model": each.model, "preset": each.preset, "scene": item.id} | told(ruling)
        for each in judged
        if each.split == SPLIT and each.key in PRESETS
        for item, ruling in list(zip(each.items, each.rulings, strict=True))[:SCENES]
    ]


def told(ruling: Ruling) -> dict[str, Any]:
    """What a ruling decided and what it cost, as an entry holds it."""
    return {
        "outcome": _SAID[ruling.outcome],
        "broken": sorted(name for name, said in ruling.rules.items() if said == 1),
        "score": None if math.isnan(ruling.score) else ruling.score,
        "images": ruling.spending.images,
        "question_tokens": ruling.spending.question_tokens,
        "generated_tokens": ruling.spending.generated_tokens,
        "detections": ruling.spending.detections,
    }
