"""A scene that is small in a large image is out of domain for the bundled model, and not `safe`."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from jurat.judge import Judge
from jurat.models.bundled.domain_gate import DRAWN, LARGEST, scaled_away
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


def test_enlarged_scenes_are_judged() -> None:
    judge = Judge("shelf:nursery", "bundled", "quick")
    for path in BROKEN[:4]:
        with Image.open(path) as image:
            larger = image.convert("RGB").resize((1000, 1000), Image.Resampling.BICUBIC)
        assert judge(larger).outcome == "unsafe"
