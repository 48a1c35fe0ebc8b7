"""Measures the diffusion model on scenes and seeds that it never saw, and writes its card.

Our judge and our detector look for the object that was prompted. They err, so they look at drawn scenes of
the same size too: with the object (sensitivity) and with another one (specificity).
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from contextlib import closing
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

from jurat.content import Chat, Failure, Turn
from jurat.judge.prompts import STATEMENT
from jurat.models import Detector, Inquiry, Model, open_detector, open_model, open_text_to_image
from jurat.pictograms.objects import NUMBER, OBJECTS
from jurat.pictograms.scene import SIDE as JUDGED_SIDE
from jurat.pictograms.scene import Wish, draw
from training.diffusion.prompts import fill
from training.diffusion.scenes import FIRST_SEED, GROUNDS, LOOK, NAMES, SIDE
from training.lineage import made_of
from training.percents import percent

OPTIONS = "steps=25&guidance=4"
"""Options of sampling that the card is measured with."""
PROMPT = "a picture of {a}"
TEST_SEED = FIRST_SEED + 900_000_000


@dataclass(frozen=True)
class Seen:
    """How often an object was seen in some pictures."""

    pictures: int
    judged: int
    """By the judge: Yes is likelier than No."""
    unjudged: int
    """Pictures that the judge took for none of its world, or did not answer."""
    detected: int


def measure(folder: Path, per_object: int) -> dict[str, dict[str, Seen]]:
    """Object -> what was looked at ("prompted", "drawn", "another drawn") -> how often it was seen."""
    with (
        closing(open_text_to_image(f"diffusers/{folder}?{OPTIONS}")) as model,
        closing(open_model("bundled")) as judge,
    ):
        detector = open_detector("bundled")
        found: dict[str, dict[str, Seen]] = {}
        for number, name in enumerate(NAMES):
            prompt = fill(PROMPT, [OBJECTS[NUMBER[name]]])
            pictures = {
                "prompted": model.generate([prompt] * per_object, TEST_SEED + number),
                "drawn": drawn(name, per_object),
                "another drawn": drawn(NAMES[(number + 1) % len(NAMES)], per_object),
            }
            found[name] = {kind: see(judge, detector, made, name) for kind, made in pictures.items()}
        return found


def drawn(name: str, count: int) -> list[Image.Image]:
    """Scenes of one object."""
    wish = [Wish(NUMBER[name])]
    rngs = [np.random.default_rng([TEST_SEED, NUMBER[name], i]) for i in range(count)]
    return [draw(rng, wish, size=SIDE, look=LOOK, texture=str(rng.choice(GROUNDS))).image for rng in rngs]


def see(judge: Model, detector: Detector, pictures: Sequence[Image.Image], name: str) -> Seen:
    """Looks for an object in pictures, enlarged to the size of the scenes that our models know."""
    shown = [picture.resize((JUDGED_SIDE, JUDGED_SIDE), Image.Resampling.BICUBIC) for picture in pictures]
    noun = OBJECTS[NUMBER[name]]
    question = STATEMENT.ask(f"{noun.indefinite.capitalize()} is visible.")
    inquiries = [
        Inquiry(Chat((Turn("user", (picture, STATEMENT.instruction)),)), (question,)) for picture in shown
    ]
    answers = judge.ask(inquiries)
    scores = [
        None if answer.failure or answer.answers[0].failure else answer.answers[0].score for answer in answers
    ]
    boxes = detector.detect(shown, [[noun.singular]] * len(shown))
    return Seen(
        len(pictures),
        sum(score is not None and score > 0.5 for score in scores),
        scores.count(None),
        sum(not isinstance(found, Failure) and bool(found) for found in boxes),
    )


def variety(folder: Path, count: int = 8) -> dict[str, float]:
    """For each object, how much pictures of one prompt differ from each other, as a share of how much drawn
    scenes of that object do: mean distance of their pixels."""
    with closing(open_text_to_image(f"diffusers/{folder}?{OPTIONS}")) as model:
        return {
            name: round(_spread(model.generate([prompt] * count, TEST_SEED)) / _spread(drawn(name, count)), 3)
            for name in NAMES
            for prompt in [fill(PROMPT, [OBJECTS[NUMBER[name]]])]
        }


def _spread(pictures: Sequence[Image.Image]) -> float:
    pixels = np.stack([np.asarray(picture, np.float64).ravel() for picture in pictures])
    distances = np.linalg.norm(pixels[:, None] - pixels[None], axis=-1)
    return float(distances[np.triu_indices(len(pixels), 1)].mean())


def write_card(folder: Path, records: Sequence[Mapping[str, Any]], per_object: int = 48) -> None:
    """Measures the model in `folder` and writes `README.md` and `measurements.json` there; `records` is its
    lineage."""
    found, varied = measure(folder, per_object), variety(folder)
    rows = [
        {"object": name, "looked at": kind, **vars(seen)}
        for name, kinds in found.items()
        for kind, seen in kinds.items()
    ]
    (folder / "measurements.json").write_text(
        json.dumps({"options": OPTIONS, "rows": rows, "variety": varied}, indent=1) + "\n", encoding="utf-8"
    )
    (folder / "README.md").write_text(card_of(records, found, varied), encoding="utf-8")


def card_of(
    records: Sequence[Mapping[str, Any]],
    found: Mapping[str, Mapping[str, Seen]],
    varied: Mapping[str, float],
) -> str:
    """The text of a card: how the model was made (`records`), and what `measure` and `variety` found."""
    lines = [
        "---\nlicense: apache-2.0\nlibrary_name: diffusers\npipeline_tag: text-to-image\n---\n",
        "# A latent diffusion model of pictogram scenes\n",
        f"Draws one or two of {len(NAMES)} objects at {SIDE} x {SIDE} pixels; for attacks and defenses of "
        "text-to-image models. It has never seen a photograph.",
        f"Written by `python -m training card` on {datetime.now(UTC):%Y-%m-%d}.\n",
        "## How it was made\n",
        "| | |\n|---|---|",
        *(f"| {title} | {text} |" for title, text in made_of(records).items()),
        "",
        "## How often a prompted object is there\n",
        f'Percent of pictures in which the bundled judge sees the object, for the prompt "{PROMPT}" '
        f"({OPTIONS}), with 95% Wilson intervals. The columns on drawn scenes say how often the judge is "
        "right.\n",
        "| object | prompted | of these not judged | drawn | another drawn | prompted, detector | variety |",
        "|---|---|---|---|---|---|---|",
        *(_line(name, kinds, varied[name]) for name, kinds in found.items()),
        _line("all", _total(found), round(float(np.mean(list(varied.values()))), 3)),
        "",
        "Variety: how much pictures of one prompt differ from each other, as a share of how much drawn "
        "scenes do.",
    ]
    return "\n".join(lines) + "\n"


def _total(found: Mapping[str, Mapping[str, Seen]]) -> dict[str, Seen]:
    kinds = next(iter(found.values()))
    fields = ("pictures", "judged", "unjudged", "detected")
    return {
        k: Seen(*(sum(getattr(each[k], field) for each in found.values()) for field in fields)) for k in kinds
    }


def _line(name: str, kinds: Mapping[str, Seen], varied: float) -> str:
    prompted = kinds["prompted"]
    rates = {kind: percent(seen.judged, seen.pictures) for kind, seen in kinds.items()}
    return (
        f"| {name} | {rates['prompted']} | {prompted.unjudged} of {prompted.pictures} | {rates['drawn']} "
        f"| {rates['another drawn']} | {percent(prompted.detected, prompted.pictures)} | {varied:.2f} |"
    )
