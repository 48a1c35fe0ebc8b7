"""Rulings on disk: one file a model, method and split, so that a run goes on where it was stopped, and so
that several processes can share a folder."""

from __future__ import annotations

import json
import math
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from jurat.bench.cost import Spending
from jurat.bench.methods.base import Ruling
from jurat.files import write_whole


@dataclass(frozen=True)
class Note:
    """Where a file of rulings comes from."""

    command: str
    commit: str | None
    time: str
    """When they were made."""
    tried: int | None = None
    """How many configurations the method tried on dev before."""


@dataclass(frozen=True)
class Kept:
    """What a file holds."""

    rulings: list[Ruling]
    note: Note


def write_rulings(path: Path, stamp: dict[str, Any], kept: Kept) -> None:
    """Writes a whole file aside and renames it, so that what is there is complete."""
    head = json.dumps({"stamp": stamp, "note": asdict(kept.note)})
    rows = (json.dumps(_row(ruling), allow_nan=False) for ruling in kept.rulings)
    write_whole(path, "\n".join([head, *rows]) + "\n")


def read_rulings(path: Path, stamp: dict[str, Any]) -> Kept | None:
    """What was written under the same stamp; None if there is nothing, or it belongs to another run."""
    try:
        first, *rest = path.read_text().splitlines()
        head = json.loads(first)
        if head["stamp"] != json.loads(json.dumps(stamp)):
            return None
        return Kept([_ruling(json.loads(line)) for line in rest], Note(**head["note"]))
    except (FileNotFoundError, ValueError, KeyError, TypeError):
        return None


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
