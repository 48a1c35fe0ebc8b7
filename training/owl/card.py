"""Measures the bundled detector on scenes that it never saw, and writes its card."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import numpy as np

from jurat.content import Failure
from jurat.models.hf.detectors import LEAST_SCORE, OVERLAP, open_bundled
from jurat.models.vision import Box
from jurat.pictograms.objects import GROUPS, OBJECTS, Noun
from jurat.pictograms.scene import SIDE, Scene, draw
from training.lineage import made_of
from training.mllm.evaluation import FIRST_SEED, Score
from training.queries import QUERIES, READING, SIGN

TEST_SEED = FIRST_SEED + 600_000_000
CONFIDENCE = 0.05
"""CLUE's threshold, above which boxes count (arXiv 2501.00192, section 4.4)."""
SURE = 0.5


@dataclass
class Tally:
    """Boxes found for one query."""

    found: list[tuple[float, bool]] = field(default_factory=list)
    """Confidence of each box, and whether it matches a thing asked for that no better box matches."""
    there: int = 0

    @property
    def average_precision(self) -> float:
        """Area under the precision-recall curve over all its points, with precision made non-increasing."""
        ordered = sorted(self.found, key=lambda pair: -pair[0])
        hits = np.cumsum([hit for _, hit in ordered])
        if self.there == 0 or not len(hits):
            return 0.0
        precision = np.maximum.accumulate((hits / np.arange(1, len(hits) + 1))[::-1])[::-1]
        return float(np.sum(precision * [hit for _, hit in ordered]) / self.there)

    def above(self, confidence: float) -> tuple[int, int]:
        """Numbers of right boxes and of all boxes above a confidence."""
        chosen = [hit for score, hit in self.found if score > confidence]
        return sum(chosen), len(chosen)


def evaluate_owl(folder: Path, count: int, seed: int = TEST_SEED) -> dict[str, Any]:
    """Asks for everything in `count` scenes; a box is right if its intersection over union is at least
    0.5."""
    detector = open_bundled("", "cpu", folder)
    words = [noun.singular for noun in QUERIES]
    tallies = [Tally() for _ in QUERIES]
    refused = 0
    for first in range(0, count, 16):
        scenes = [draw(np.random.default_rng(seed + i)) for i in range(first, min(count, first + 16))]
        found = detector.detect([scene.image for scene in scenes], [words] * len(scenes))
        for scene, boxes in zip(scenes, found, strict=True):
            if isinstance(boxes, Failure):
                refused += 1
                continue
            for noun, tally in zip(QUERIES, tallies, strict=True):
                _count(tally, scene, noun, [box for box in boxes if box.word == noun.singular])
    return {"scenes": count, "seed": seed, "refused": refused, "rows": [*_rows(tallies)]}


def _count(tally: Tally, scene: Scene, noun: Noun, boxes: Sequence[Box]) -> None:
    wanted = [thing.box for thing in scene.objects if thing.kind in noun.classes]
    tally.there += len(wanted)
    left = set(range(len(wanted)))
    for box in boxes:  # most confident first
        best = max(left, key=lambda i: overlap(box, wanted[i]), default=None)
        hit = best is not None and overlap(box, wanted[best]) >= 0.5
        if hit and best is not None:
            left.remove(best)
        tally.found.append((box.score, hit))


def overlap(box: Box, other: tuple[float, float, float, float]) -> float:
    """Intersection over union of two boxes."""
    x0, y0, x1, y1 = other
    shared = max(0.0, min(box.x1, x1) - max(box.x0, x0)) * max(0.0, min(box.y1, y1) - max(box.y0, y0))
    return shared / ((box.x1 - box.x0) * (box.y1 - box.y0) + (x1 - x0) * (y1 - y0) - shared)


def _rows(tallies: Sequence[Tally]) -> list[dict[str, Any]]:
    sets: dict[str, list[int]] = {"all objects by name": list(range(len(OBJECTS)))}
    for group in GROUPS:
        sets[f"{group.singular}: its members by name"] = sorted(group.classes)
    sets["group names"] = list(range(len(OBJECTS), len(OBJECTS) + len(GROUPS)))
    sets["a sign, whatever it reads"] = [QUERIES.index(SIGN)]
    sets["a sign that reads a word"] = [QUERIES.index(noun) for noun in READING]
    return [_row(name, [tallies[i] for i in chosen]) for name, chosen in sets.items()]


def _row(name: str, tallies: Sequence[Tally]) -> dict[str, Any]:
    counted = [tally for tally in tallies if tally.there]
    there = sum(tally.there for tally in counted)
    row: dict[str, Any] = {
        "asked for": name,
        "n": there,
        "ap50": _percent(float(np.mean([tally.average_precision for tally in counted])) if counted else 0.0),
    }
    for confidence in (CONFIDENCE, SURE):
        right, boxes = map(sum, zip(*(tally.above(confidence) for tally in tallies), strict=True))
        row[f"recall at {confidence}"] = _percent(right / max(1, there))
        row[f"precision at {confidence}"] = _percent(right / max(1, boxes))
        if confidence == CONFIDENCE and there:
            low, high = Score(right, there).interval
            row |= {"recall, low": round(low, 1), "recall, high": round(high, 1)}
    return row


def _percent(share: float) -> float:
    return round(100 * share, 1)


def write_owl_card(folder: Path, records: Sequence[Mapping[str, Any]], found: dict[str, Any]) -> None:
    """Writes `README.md` and `measurements.json` into `folder`; `records` is the lineage of the model."""
    (folder / "measurements.json").write_text(json.dumps(found, indent=1) + "\n")
    weights = (folder / "model.safetensors").stat().st_size
    lines = [
        "---\nlicense: apache-2.0\n"
        "library_name: transformers\npipeline_tag: zero-shot-object-detection\n---\n",
        "# The bundled detector: a small OWL-ViT that finds pictograms\n",
        "It looks through the bundled MLLM's vision tower, unchanged, and one more layer on top of it. It",
        "finds the objects and groups of `docs/pictograms.md` and sign cards, by the names given there,",
        f"and nothing else: it has never seen a photograph. Weights: {weights / 1e6:.1f} MB, bfloat16, the",
        "tower's among them. Written by `python -m training owl` on",
        f"{datetime.now(UTC):%Y-%m-%d}.\n",
        "## How it was made\n",
        "| | |\n|---|---|",
        *(f"| {name} | {value} |" for name, value in made_of(records).items()),
        "",
        "Targets are the exact boxes of the drawn pixels, covered ones included. The patch in which a",
        f"box's centre lies is to find it. Boxes for one word that overlap by more than {OVERLAP} are",
        f"reduced to the most confident one; boxes below a confidence of {LEAST_SCORE} are not given.\n",
        "## What it finds in scenes it never saw\n",
        f"{found['scenes']} scenes with seeds from {found['seed']}, of which it refused {found['refused']}",
        "as foreign; every name asked for in every scene. Percent; a box is right if its intersection",
        "over union with a thing asked for is at least 0.5. AP50 is the mean of the names' areas under",
        "their precision-recall curves; recall and precision are for boxes above a confidence,",
        f"{CONFIDENCE} being the judge's, with the recall's 95% Wilson interval.\n",
        f"| asked for | n | AP50 | recall at {CONFIDENCE} "
        f"| precision at {CONFIDENCE} | recall at {SURE} | precision at {SURE} |",
        "|---|---|---|---|---|---|---|",
        *(_line(row) for row in found["rows"]),
        "",
        "## Limits\n",
        "It learned from one drawing of each scene, at 128 pixels, on backgrounds of the trained kinds.",
        "Two things of one name whose centres lie in one patch of 16 pixels are found as one.",
    ]
    (folder / "README.md").write_text("\n".join(lines) + "\n")


def _line(row: dict[str, Any]) -> str:
    kinds = [f"{what} at {level}" for level in (CONFIDENCE, SURE) for what in ("recall", "precision")]
    cells = [f"{row[kind]:.1f}" for kind in kinds]
    if "recall, low" in row:
        cells[0] += f" ({row['recall, low']:.1f}-{row['recall, high']:.1f})"
    return f"| {row['asked for']} | {row['n']} | {row['ap50']:.1f} | {' | '.join(cells)} |"


assert SIDE == 128, "the card says so"
