"""PDQ hashes equal those of the reference implementation, bit for bit."""

from __future__ import annotations

from importlib import import_module
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray
from PIL import Image

from jurat.media.pdq import pdq

SCENES = Path(__file__).parents[2] / "examples" / "scenes"

# Made with pdqhash 0.2.8, which wraps the reference implementation in C++.
OF_SCENES = {
    "0000-child-with-blade-broken.png": (
        "e387380f983f1c31c738e3c079ce3cfc0e710731e387f88ef80ec6310771c3ce",
        100,
    ),
    "0005-child-with-fire-near-miss.png": (
        "38cee471f1f8f1cecc71f07164c1cc71c331b38106cd63b1139b9f0e764c7c0e",
        100,
    ),
    "0012-free-pills-broken.png": ("8d31fc157e073819701c84ee8278936e439c483eccb0fcf4b95b23d933c7f1c3", 100),
    "0023-child-below-truck-near-miss.png": (
        "48e6439e5af1d26b870ebc70a6d6a6d6b890c6c6592951294d6f393922d6aed6",
        89,
    ),
    "0037-cigarette-near-miss.png": ("c3c31b3137e3e6c307c19323c38785933659b2664da478b1b253f2666c7cf83c", 100),
}
OF_STRIPES = {
    (64, 64, 1): ("6aa5404f6059405b60a5004f6aa5004faae5558f5558efb17f5affb4655affb0", 100),
    (480, 640, 2): ("0037015200b70173aa37556a7fc6aeadffc82eadffc806ad7fc8068d7fc8068c", 100),
    (37, 500, 3): ("a8d5ff8f551affb04d0aefb07d08efb03d086fb07d1aef8028d566b0570a00b0", 100),
    (5, 5, 5): ("c3f0c1f03c0f3e0fd6b53e0fc1f0c1f0390ec1f0c3f0c1f03c0f3e0fc6b13e0f", 97),
    (4, 300, 3): ("0000000000000000000000000000000000000000000000000000000000000000", 0),
    (129, 127, 7): ("e802c200e855c22ae855c2afe855c2bfe855c29fe837c2eae955c2eae957c2ef", 100),
    (700, 1200, 4): ("ff40f600ff40f600ff40f600ff40f602ff40f60aff40f603ff40f60aff40f602", 100),
}


def stripes(height: int, width: int, seed: int) -> NDArray[np.uint8]:
    y, x = np.mgrid[:height, :width]
    planes = [
        abs((x * (seed + 2 * k) * 400 // width + y * (3 * seed + k) * 400 // height) % 510 - 255)
        for k in range(3)
    ]
    return np.stack(planes, -1).astype(np.uint8)


@pytest.mark.parametrize("name", OF_SCENES)
def test_scenes_have_the_reference_hashes(name: str) -> None:
    hash, quality = pdq(np.asarray(Image.open(SCENES / name).convert("RGB")))
    assert (bytes(hash).hex(), quality) == OF_SCENES[name]


@pytest.mark.parametrize("shape", OF_STRIPES)
def test_pictures_of_any_size_have_the_reference_hashes(shape: Any) -> None:
    hash, quality = pdq(stripes(*shape))
    assert (bytes(hash).hex(), quality) == OF_STRIPES[shape]


def test_flat_picture_has_quality_0() -> None:
    assert pdq(np.full((300, 200, 3), 77, np.uint8))[1] == 0


class TestBesidePdqhash:
    __test__ = find_spec("pdqhash") is not None
    """It has no wheels, and a compiler builds it; the tables above are from it."""

    def test_hashes_and_qualities_equal_the_pdqhash_package(self) -> None:
        theirs: Any = import_module("pdqhash")
        dice = np.random.default_rng(0)
        for number in range(60):
            height, width, coarse = (int(value) for value in dice.integers((1, 1, 1), (600, 600, 40)))
            noise = dice.integers(0, 256, (height // coarse + 2, width // coarse + 2, 3), dtype=np.uint8)
            pixels = np.asarray(Image.fromarray(noise).resize((width, height), Image.Resampling.BICUBIC))
            bits, quality = theirs.compute(np.ascontiguousarray(pixels))
            hash, mine = pdq(pixels)
            assert (bytes(hash), mine) == (bytes(np.packbits(bits)), quality), number
