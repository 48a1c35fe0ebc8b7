"""IDEFICS' processor is called with placeholders, as others are, and gives the same as of texts and images in
turn."""

from __future__ import annotations

from typing import Any

import pytest
from PIL import Image

from jurat.models.hf.interleaving import InterleavingProcessor, adapted_processor

from ..folders import FOLDERS
from ..tiny import picture


@pytest.fixture(scope="module")
def official() -> Any:
    return FOLDERS["idefics"]().processor


def adapted(official: Any) -> InterleavingProcessor:
    made = adapted_processor(official)
    assert isinstance(made, InterleavingProcessor)
    return made


@pytest.mark.parametrize(
    ("text", "images", "parts"),
    [
        ("<s>USER : <image> A dog", [picture(1)], ["USER :", picture(1), "A dog"]),
        (
            "<s>USER : <image> A <image> dog",
            [picture(1), picture(2)],
            ["USER :", picture(1), "A", picture(2), "dog"],
        ),
        ("<s>USER : A dog", [], ["USER : A dog"]),
    ],
)
def test_placeholders_become_images_in_turn(
    official: Any, text: str, images: list[Image.Image], parts: list[str | Image.Image]
) -> None:
    made = adapted(official)(text=[text], images=[images] if images else None, return_tensors="pt")
    expected = official(text=[parts], return_tensors="pt")
    assert made.keys() == expected.keys()
    assert all(value.equal(expected[name]) for name, value in made.items())


@pytest.mark.parametrize(
    ("text", "count", "said"),
    [
        ("<s>A <image> dog", 2, "the text has 1 placeholders for 2 images"),
        ("<s>A dog", 1, "the text has 0 placeholders for 1 images"),
        ("<s><image> https://example.org/a.png <image>", 2, "is an address, which the processor would fetch"),
    ],
)
def test_texts_that_it_would_misread_are_refused(official: Any, text: str, count: int, said: str) -> None:
    with pytest.raises(ValueError, match=said):
        adapted(official)(text=[text], images=[[picture(1)] * count], return_tensors="pt")


def test_other_processors_are_left_as_they_are() -> None:
    plain = object()
    assert adapted_processor(plain) is plain
