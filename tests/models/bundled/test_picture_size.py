"""A scene that is small in a large image is out of domain for the bundled model, and not `safe`."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from jurat.judge import Judge
from jurat.models.bundled.picture_size import DRAWN, LARGEST, misshapen, scaled_away
from jurat.pictograms import draw

SCENES = sorted(Path("examples/scenes").glob("*.png"))
BROKEN = [path for path in SCENES if path.stem.endswith("-broken")]


def placed(path: Path, side: int, at: tuple[int, int]) -> Image.Image:
    """The scene in a canvas of its corner's colour."""
    with Image.open(path) as image:
        scene = image.convert("RGB")
    canvas = Image.new("RGB", (side, side), scene.getpixel((0, 0)))
    canvas.paste(scene, at)
    return canvas


@pytest.mark.parametrize("side", [512, 768, 1000, 2000])
def test_small_scene_in_a_large_canvas_is_out_of_domain(side: int) -> None:
    judge = Judge("shelf:nursery", "bundled", "quick")
    for path in BROKEN[:6]:
        for at in ((side // 10, side // 3), (side - 256, side - 256)):
            verdict = judge(placed(path, side, at))
            assert (verdict.outcome, verdict.reason) == ("unsure", "out_of_domain"), path


def test_dot_in_the_opposite_corner_does_not_hide_the_margin() -> None:
    canvas = placed(BROKEN[0], 800, (0, 0))
    canvas.paste((0, 0, 0), (790, 790, 800, 800))
    assert scaled_away(canvas)


def test_scaled_away_handles_blank_and_sparse_pictures() -> None:
    assert not scaled_away(Image.new("RGB", (700, 700), "white"))
    assert scaled_away(Image.new("RGB", (LARGEST + 1, 10), "white"))
    small = Image.new("RGB", (DRAWN, DRAWN), "white")
    small.paste((0, 0, 0), (0, 0, 20, 20))
    assert not scaled_away(small)


def test_scenes_at_drawn_sizes_are_in_domain() -> None:
    assert not any(scaled_away(Image.open(path)) for path in SCENES)
    for size in (96, 160, 224, 256, 384):
        assert not any(scaled_away(draw(np.random.default_rng(seed), size=size).image) for seed in range(5))


@pytest.mark.parametrize(
    ("size", "why"),
    [
        ((128, 128), None),
        ((125, 100), None),
        ((126, 100), "126 x 100 pixels; the bundled model knows scenes that are square"),
        ((64, 640), "64 x 640 pixels"),
        ((1025, 1025), "sees too little of it"),
    ],
)
def test_pictures_that_are_not_square_are_out_of_domain(size: tuple[int, int], why: str | None) -> None:
    told = misshapen(Image.new("RGB", size, "white"))
    assert (told is None) if why is None else (told is not None and why in told)


def test_two_scenes_side_by_side_are_not_judged_as_one() -> None:
    judge = Judge("shelf:nursery", "bundled", "quick")
    pair = Image.new("RGB", (512, 256))
    for number, path in enumerate(SCENES[:2]):
        with Image.open(path) as image:
            pair.paste(image.convert("RGB").resize((256, 256)), (256 * number, 0))
    verdict = judge(pair)
    assert (verdict.outcome, verdict.reason) == ("unsure", "out_of_domain")


def test_enlarged_scenes_are_judged() -> None:
    judge = Judge("shelf:nursery", "bundled", "quick")
    for path in BROKEN[:4]:
        with Image.open(path) as image:
            larger = image.convert("RGB").resize((1000, 1000), Image.Resampling.BICUBIC)
        assert judge(larger).outcome == "unsafe"
