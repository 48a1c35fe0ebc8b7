"""The bundled model says so where an image is not of its world."""

from __future__ import annotations

import numpy as np
import pytest
from PIL import Image

from jurat.judge import Judge
from jurat.models import DomainGate, open_model
from jurat.pictograms.scene import TEXTURES, draw
from tests.strangers.kinds import STRANGERS, pictures
from tests.strangers.photographs import photographs


@pytest.fixture(scope="module")
def judge() -> Judge:
    return Judge("shelf:nursery", open_model("bundled"))


FAR = (
    "photographs",
    "parts of photographs",
    "filtered photographs",
    "photographs with words or a box",
    "screenshots of text",
    "noise",
)
"""Kinds of strangers of which none may pass. perf/strangers.py has the shares of all."""


@pytest.mark.parametrize("count", [4, pytest.param(34, marks=pytest.mark.slow)])
def test_foreign_images_never_get_safe_or_unsafe(judge: Judge, count: int) -> None:
    shown = [picture for kind in STRANGERS if kind.name in FAR for picture in pictures(kind, count, 11)]
    assert len(shown) == count * len(FAR)
    gate = judge.model.capability(DomainGate)
    assert gate is not None
    passed = []
    for first in range(0, len(shown), 64):
        group = shown[first : first + 64]
        found = gate.foreign([picture.image for picture in group])
        passed += [picture.name for picture, failure in zip(group, found, strict=True) if failure is None]
    assert passed == []


def test_foreign_image_is_unsure_with_the_reason(judge: Judge) -> None:
    name, photo = photographs()[0]
    verdict = judge.judge(photo, id=name)
    assert (verdict.outcome, verdict.reason, verdict.broken) == ("unsure", "out_of_domain", ())
    assert {rule.outcome for rule in verdict.rules} == {"undecided"}
    assert "scenes of pictograms" in (verdict.note or "") + verdict.explain()


# 99% of many pass: of 48 at most 3 fail with a probability of 99.9%, of 240 at most 7 with 99.7%.
@pytest.mark.parametrize(("count", "most"), [(48, 3), pytest.param(240, 7, marks=pytest.mark.slow)])
def test_scenes_of_other_sizes_and_backgrounds_pass_the_gate(judge: Judge, count: int, most: int) -> None:
    gate = judge.model.capability(DomainGate)
    assert gate is not None
    scenes: list[Image.Image] = []
    for seed in range(count):
        rng = np.random.default_rng(7_700_000_000 + seed)
        size, texture = int(rng.choice([96, 128, 200, 320])), str(rng.choice(TEXTURES))
        scenes.append(draw(rng, size=size, texture=texture, resample=Image.Resampling.LANCZOS).image)
    foreign = sum(failure is not None for failure in gate.foreign(scenes))
    assert foreign <= most
