"""Predictions on disk: one file a model, method and split, so that a run resumes where it was stopped and
several processes can share a folder."""

from __future__ import annotations

import json
import math
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from jurat.bench.cost import Spending
from jurat.bench.methods.interface import Prediction
from jurat.files import write_whole
from jurat.metrics import UNSURE
from jurat.runs.folder import read_facts

if TYPE_CHECKING:
    from jurat.bench.pictogram.items import BenchItem


@dataclass(frozen=True)
class Origin:
    """Where a file of predictions comes from."""

    command: str
    commit: str | None
    time: str
    """When they were made."""
    tried: int | None = None
    """How many configurations the method tried on dev before."""


@dataclass(frozen=True)
class PredictionFile:
    """What a file holds."""

    predictions: list[Prediction]
    origin: Origin


def origins_of(folder: Path) -> Iterator[Origin]:
    """Where the rows of a run come from, by the sessions that noted how many `rows` they wrote."""
    for session in read_facts(folder)["sessions"]:
        if session.get("rows"):
            yield Origin(session["command"], session.get("commit"), session["time"])


def write_predictions(path: Path, stamp: dict[str, Any], file: PredictionFile) -> None:
    """Writes a whole file aside and renames it, so that what is there is complete."""
    head = json.dumps({"stamp": stamp, "note": asdict(file.origin)})
    rows = (json.dumps(_nan_to_none(asdict(each)), allow_nan=False) for each in file.predictions)
    write_whole(path, "\n".join([head, *rows]) + "\n")


def read_predictions(path: Path, stamp: dict[str, Any]) -> PredictionFile | None:
    """What was written under the same stamp; None if there is nothing, or it belongs to another run."""
    try:
        first, *rest = path.read_text().splitlines()
        head = json.loads(first)
        if head["stamp"] != json.loads(json.dumps(stamp)):
            return None
        return PredictionFile([_prediction(json.loads(line)) for line in rest], Origin(**head["note"]))
    except (FileNotFoundError, ValueError, KeyError, TypeError):
        return None


def unfinished(file: PredictionFile | None, items: Sequence[BenchItem]) -> list[int]:
    """Which items are still to be judged: those without a prediction, and those that failed and may succeed
    now, as an image that cannot be read will not."""
    if file is None:
        return list(range(len(items)))
    return [
        i
        for i, (each, item) in enumerate(zip(file.predictions, items, strict=True))
        if each.failed and item.unreadable is None
    ]


def predictions_of(
    items: Sequence[BenchItem], predict: Callable[[list[BenchItem]], Iterable[Prediction]]
) -> list[Prediction]:
    """Predictions of all items: those of `predict` for the readable ones, and errors for the others."""
    readable = [item for item in items if item.unreadable is None]
    made = iter(predict(readable) if readable else ())
    failed = Prediction(UNSURE, math.nan, reason="error")
    return [failed if item.unreadable is not None else next(made) for item in items]


def completed(
    file: PredictionFile | None, missing: Sequence[int], made: Sequence[Prediction], origin: Origin
) -> PredictionFile:
    """The file with the predictions of what was `unfinished`."""
    predictions = dict(enumerate([] if file is None else file.predictions))
    predictions.update(zip(missing, made, strict=True))
    return PredictionFile([predictions[i] for i in sorted(predictions)], origin)


def _nan_to_none(row: dict[str, Any]) -> dict[str, Any]:
    scores = {name: _none(score) for name, score in row["scores"].items()}
    return row | {"score": _none(row["score"]), "scores": scores}


def _prediction(row: dict[str, Any]) -> Prediction:
    scores = {name: _nan(score) for name, score in row["scores"].items()}
    spending = Spending(**row["spending"])
    return Prediction(row["outcome"], _nan(row["score"]), row["rules"], scores, spending, row["reason"])


def _none(score: float) -> float | None:
    return None if math.isnan(score) else score


def _nan(score: float | None) -> float:
    return math.nan if score is None else score
