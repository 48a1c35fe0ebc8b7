"""What a named metric returns: a number or the reason why there is none, its n, and what was left out."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from typing import Any

from jurat.metrics.intervals import Interval

Part = float | int | str | None


@dataclass(frozen=True)
class RowProblem:
    """A row that cannot be used as it stands."""

    place: str
    """"line 7" of a text file, from 1, the header line being 1; "row 7" of a table, from 1."""
    reason: str
    kind: str = "unreadable"
    """Under which reason the row is left out (`MetricValue.left_out`)."""


@dataclass(frozen=True)
class MetricValue:
    """The value of a metric on a set of rows."""

    value: float | None
    """None where the metric is undefined on these rows; never 0 for lack of evidence."""
    n: int
    """What the value is computed over; `counted` names it."""
    counted: str = "row"
    reason: str = ""
    """Why there is no value."""
    left_out: Mapping[str, int] = field(default_factory=dict)
    """Reason to number of rows that are not in n."""
    problems: tuple[RowProblem, ...] = ()
    """The rows among them that were left out for what stands in them: unreadable and repeated ones."""
    interval: Interval | None = None
    interval_method: str = ""
    """How the interval was computed, or why there is none."""
    parts: Mapping[str, Part] = field(default_factory=dict)
    """Numbers that the value is made of, or that belong beside it."""
    notes: tuple[str, ...] = ()
    """What a reader of the value must know, a sentence each."""

    def facts(self) -> dict[str, Any]:
        """The value as JSON holds it; what is not a number is null."""
        interval = (
            None if self.interval is None else [_number(self.interval.low), _number(self.interval.high)]
        )
        return {
            "value": _number(self.value),
            "n": self.n,
            "counted": self.counted,
            "reason": self.reason or None,
            "interval": None if interval is None or None in interval else interval,
            "interval_method": self.interval_method or None,
            "left_out": dict(self.left_out),
            "problems": [asdict(each) for each in self.problems],
            "parts": {name: _number(part) for name, part in self.parts.items()},
            "notes": list(self.notes),
        }


def _number(value: Part) -> Part:
    if isinstance(value, float):
        return value if math.isfinite(value) else None
    return value
