"""Rows and values that the tests of named metrics share."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from jurat.metrics import METRICS, MetricValue


def value_of(name: str, rows: Iterable[Mapping[str, Any]], **options: Any) -> MetricValue:
    """The value of a metric on rows, without bootstrap draws unless they are asked for."""
    return METRICS.find(name).compute(rows, **{"draws": 0, **options})


def columns(**cells: Sequence[Any]) -> list[dict[str, Any]]:
    """Rows from columns of cells."""
    return [dict(zip(cells, row, strict=True)) for row in zip(*cells.values(), strict=True)]
