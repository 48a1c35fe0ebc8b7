"""Pictogram Bench: the protocol of OS Bench (arXiv 2501.00192) on a harmless world whose truth is exact."""

from __future__ import annotations

from jurat.bench.pictogram.definition import (
    LEVELS,
    PER_RULE,
    RULE_TYPES,
    SPLITS,
    Split,
    constitution_of,
    rule_type,
)
from jurat.bench.pictogram.items import BenchItem
from jurat.bench.pictogram.splits import draw_split, keep_split

__all__ = [
    "LEVELS",
    "PER_RULE",
    "RULE_TYPES",
    "SPLITS",
    "BenchItem",
    "Split",
    "constitution_of",
    "draw_split",
    "keep_split",
    "rule_type",
]
