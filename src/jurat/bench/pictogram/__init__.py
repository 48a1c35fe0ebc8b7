"""Pictogram Bench: the protocol of OS Bench (arXiv 2501.00192) on a harmless world whose truth is exact."""

from __future__ import annotations

from jurat.bench.pictogram.items import BenchItem, truth_of
from jurat.bench.pictogram.protocol import (
    KINDS,
    LEVELS,
    PER_RULE,
    SPLITS,
    Split,
    kind_of,
    law_of,
)
from jurat.bench.pictogram.splits import draw_split, keep_split

__all__ = [
    "KINDS",
    "LEVELS",
    "PER_RULE",
    "SPLITS",
    "BenchItem",
    "Split",
    "draw_split",
    "keep_split",
    "kind_of",
    "law_of",
    "truth_of",
]
