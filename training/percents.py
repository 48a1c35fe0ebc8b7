"""Shares as cards write them."""

from __future__ import annotations

from jurat.metrics import wilson


def percent(count: int, n: int) -> str:
    """`count` of `n` in percent, with its 95% Wilson interval: "2.0 (0.4-10.5)"."""
    interval = wilson(count, n)
    return f"{100 * count / n:.1f} ({100 * interval.low:.1f}-{100 * interval.high:.1f})"
