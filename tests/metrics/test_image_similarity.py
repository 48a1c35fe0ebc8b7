"""SSIM against the formula of the paper written out, and pairs that cannot be compared."""

from __future__ import annotations

import numpy as np
import pytest
from PIL import Image

from jurat.metrics.image_similarity import ssim
from tests.metrics.named_values import columns, value_of

RNG = np.random.default_rng(1)
IMAGE = RNG.integers(0, 256, (20, 24), dtype=np.uint8)
NOISY = np.clip(IMAGE + RNG.normal(0, 30, IMAGE.shape), 0, 255).astype(np.uint8)


def of_the_paper(x: np.ndarray, y: np.ndarray) -> float:
    """Wang et al. 2004, equation 13 with an 11 x 11 Gaussian window, averaged over all whole windows."""
    offsets = np.arange(-5, 6)
    line = np.exp(-(offsets**2) / (2 * 1.5**2))
    window = np.outer(line, line) / line.sum() ** 2
    first, second = (0.01 * 255) ** 2, (0.03 * 255) ** 2
    values = []
    for top in range(x.shape[0] - 10):
        for left in range(x.shape[1] - 10):
            a, b = (z[top : top + 11, left : left + 11].astype(float) for z in (x, y))
            ma, mb = (window * a).sum(), (window * b).sum()
            va, vb = (window * a**2).sum() - ma**2, (window * b**2).sum() - mb**2
            both = (window * a * b).sum() - ma * mb
            values.append(
                (2 * ma * mb + first) * (2 * both + second) / ((ma**2 + mb**2 + first) * (va + vb + second))
            )
    return float(np.mean(values))


def test_ssim_equals_the_formula_of_the_paper():
    assert ssim(IMAGE, NOISY) == pytest.approx(of_the_paper(IMAGE, NOISY), abs=1e-7)


def test_equal_images_score_one_and_flat_ones_by_their_means():
    assert ssim(IMAGE, IMAGE) == pytest.approx(1)
    flat = np.full((12, 12), 100, np.uint8)
    c = (0.01 * 255) ** 2
    assert ssim(flat, np.full((12, 12), 200, np.uint8)) == pytest.approx((40000 + c) / (50000 + c))


def test_pairs_of_files_are_read_and_those_that_cannot_be_compared_are_counted(tmp_path):
    Image.fromarray(IMAGE).save(tmp_path / "a.png")
    Image.fromarray(NOISY).save(tmp_path / "b.png")
    Image.fromarray(IMAGE[:5, :5]).save(tmp_path / "small.png")
    (tmp_path / "bad.png").write_bytes(b"\x89PNG\r\n")
    rows = columns(
        image=["a.png", "a.png", "small.png", "bad.png", "a.png"],
        reference=["b.png", "small.png", "small.png", "a.png", "none.png"],
    )
    found = value_of("ssim", rows, folder=str(tmp_path))
    assert found.value == pytest.approx(ssim(IMAGE, NOISY))
    assert (found.n, sum(found.left_out.values())) == (1, 4)
    reasons = " | ".join(found.left_out)
    assert "24 x 20 and 5 x 5 pixels: the sizes differ" in reasons
    assert "5 x 5 pixels: smaller than the window of 11" in reasons
    assert "unreadable images: No such file or directory" in reasons


def test_images_in_memory_are_taken():
    rows = columns(image=[Image.fromarray(IMAGE)], reference=[np.stack([NOISY] * 3, -1)])
    assert value_of("ssim", rows).value == pytest.approx(ssim(IMAGE, NOISY))


@pytest.mark.parametrize("cell", [3, True, 0.5, [1, 2], {"a": 1}, b"x"])
def test_cell_that_is_no_image_is_unreadable(cell):
    found = value_of("ssim", [{"image": cell, "reference": "a.png"}])
    assert (found.value, found.left_out) == (None, {"unreadable": 1})
    assert found.problems[0].reason == f"image: {cell!r} is neither a path nor an image"
