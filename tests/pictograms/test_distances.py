"""Scenes are the same with scipy and without."""

from __future__ import annotations

import sys

import numpy as np
import pytest

from jurat.pictograms import distances
from jurat.pictograms.scene import draw


def test_distances_without_scipy_equal_scipy() -> None:
    dice = np.random.default_rng(0)
    for size, share in ((1, 1.0), (2, 0.5), (33, 0.001), (64, 0.3), (128, 0.01), (200, 0.9)):
        mask = dice.random((size, size + 3)) < share
        mask[dice.integers(size), dice.integers(size)] = True
        assert np.array_equal(distances._by_columns(mask), distances.distances_to(mask))


def test_scenes_without_scipy_are_equal(monkeypatch: pytest.MonkeyPatch) -> None:
    with_scipy = [draw(np.random.default_rng(seed), size=128) for seed in range(4)]
    monkeypatch.setitem(sys.modules, "scipy.ndimage", None)
    for seed, scene in enumerate(with_scipy):
        again = draw(np.random.default_rng(seed), size=128)
        assert again.image.tobytes() == scene.image.tobytes()
        assert np.array_equal(again.touch, scene.touch)
