"""Rulings on disk: one file a model, method and split, so that a run goes on where it was stopped."""

from __future__ import annotations

import json
import math
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

from jurat.bench.cost import Spending
from jurat.bench.methods.base import Ruling


def write_rulings(path: Path, stamp: dict[str, Any], rulings: Sequence[Ruling]) -> None:
    """Writes a whole file aside and renames it, so that what is there is complete."""
    path.parent.mkdir(parents=True, exist_ok=True)
    aside = path.with_suffix(".part")
    rows = (json.dumps(_row(ruling), allow_nan=False) for ruling in rulings)
    aside.write_text("\n".join([json.dumps(stamp), *rows]) + "\n")
    aside.replace(path)


def read_rulings(path: Path, stamp: dict[str, Any]) -> list[Ruling] | None:
    """What was written under the same stamp; None if there is nothing, or it belongs to another run."""
    try:
        first, *rest = path.read_text().splitlines()
    except (FileNotFoundError, ValueError):
        return None
    if json.loads(first) != json.loads(json.dumps(stamp)):
        return None
    return [_ruling(json.loads(line)) for line in rest]


def _row(ruling: Ruling) -> dict[str, Any]:
    return {
        "outcome": ruling.outcome,
        "score": _none(ruling.score),
        "rules": dict(ruling.rules),
        "scores": {name: _none(score) for name, score in ruling.scores.items()},
        "spending": asdict(ruling.spending),
        "reason": ruling.reason,
    }


def _ruling(row: dict[str, Any]) -> Ruling:
    return Ruling(
        row["outcome"],
        _nan(row["score"]),
        row["rules"],
        {name: _nan(score) for name, score in row["scores"].items()},
        Spending(**row["spending"]),
        row["reason"],
    )


def _none(score: float) -> float | None:
    return None if math.isnan(score) else score


def _nan(score: float | None) -> float:
    return math.nan if score is None else score
