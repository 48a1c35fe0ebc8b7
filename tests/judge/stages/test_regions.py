from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image

from jurat.content import Failure
from jurat.judge.stages.boxes import Search, find, share
from jurat.judge.stages.crop import LEAST_SIDE, crop
from jurat.judge.stages.regions import painted_over
from jurat.models.vision import Box

from ..scripted import Finder, white

side = st.floats(1, 60)
place = st.floats(0, 99)
boxes = st.lists(
    st.builds(
        lambda x, y, w, h: Box(x, y, min(x + w, 100), min(y + h, 100), 0.5, "a"), place, place, side, side
    ),
    min_size=1,
    max_size=4,
)


def box(score: float, word: str = "a") -> Box:
    return Box(0, 0, 10, 10, score, word)


@pytest.mark.parametrize(
    ("scores", "kept"),
    [
        ([0.9], [0.9]),
        ([0.05], []),
        ([0.06], [0.06]),
        ([0.9, 0.5, 0.44], [0.9, 0.5]),
        ([0.2, 0.9], [0.9]),
        ([0.9, 0.9, 0.9, 0.9, 0.9], [0.9] * 4),
        ([], []),
    ],
)
def test_confident_boxes_count_up_to_four(scores: list[float], kept: list[float]) -> None:
    finder = Finder({"a": [box(score) for score in scores], "b": [box(0.99, "b")]})
    (found,) = find(finder, [Search(white(), ("a", "b"))], 0.05)
    assert [one.score for one in found["a"]] == kept  # pyright: ignore[reportGeneralTypeIssues]


class Limited(Finder):
    """It never learned zebras, and fails on anything very long."""

    def unknown_words(self, text: str) -> list[str]:
        return [word for word in text.split() if word == "zebra"]

    def detect(
        self, images: Sequence[Image.Image], words: Sequence[Sequence[str]]
    ) -> list[list[Box] | Failure]:
        found = super().detect(images, words)
        wrong = [any("long" in word or "zebra" in word for word in asked) for asked in words]
        return [Failure("error", "No.") if w else f for f, w in zip(found, wrong, strict=True)]


@pytest.mark.parametrize("beside", [(), ("zebra",), ("a long one",), ("zebra", "a long one", "b")])
def test_unknown_or_failing_words_do_not_affect_other_words(beside: tuple[str, ...]) -> None:
    finder = Limited({"a": [box(0.9)], "b": [box(0.8, "b")]})
    (found,) = find(finder, [Search(white(), ("a", *beside))], 0.05)
    assert found["a"] == (box(0.9),)
    wrong = {word: entry.kind for word, entry in found.items() if isinstance(entry, Failure)}
    kinds = {"zebra": "out_of_domain", "a long one": "error"}
    assert wrong == {word: kinds[word] for word in beside if word in kinds}
    assert not any("zebra" in words for words in finder.searched)


@given(boxes)
def test_painting_over_changes_only_the_boxes(some: list[Box]) -> None:
    rng = np.random.default_rng(0)
    image = Image.fromarray(rng.integers(0, 256, (100, 100, 3), dtype=np.uint8))
    before, after = np.array(image), np.array(painted_over(image, some))
    inside = np.zeros((100, 100), bool)
    for one in some:
        inside[int(one.y0) : int(np.ceil(one.y1)), int(one.x0) : int(np.ceil(one.x1))] = True
    assert (before == after)[~inside].all()
    assert len(np.unique(after[inside], axis=0)) == 1, "the paint is of one colour"
    if not inside.all():
        np.testing.assert_allclose(after[inside][0], before[~inside].mean(0), atol=0.51)


@given(boxes)
def test_crop_holds_every_small_box(some: list[Box]) -> None:
    image = white()
    found = crop(image, some, 0.01)
    if any(share(image, one) >= 0.01 for one in some):
        assert found is None
        return
    assert found is not None
    assert found.width >= min(LEAST_SIDE, max(b.x1 for b in some) - min(b.x0 for b in some))
    assert found.width <= 100 and found.height <= 100
    assert found.width == found.height, "the image is square, so every crop can be"


def test_crop_shows_the_object_with_its_surroundings() -> None:
    image = Image.new("RGB", (400, 300), "white")
    image.paste("red", (200, 100, 220, 120))
    found = crop(image, [Box(200, 100, 220, 120, 0.9, "a")], 0.01)
    assert found is not None
    assert found.size == (60, 60)
    assert found.getpixel((30, 30)) == (255, 0, 0)
    assert found.getpixel((5, 5)) == (255, 255, 255)


@pytest.mark.parametrize(
    ("size", "boxes", "expected"),
    [
        (
            (400, 400),
            [(100, 200, 120, 220), (160, 200, 180, 220)],
            (20, 90, 260, 330),
        ),  # wide: grows in height
        ((400, 400), [(100, 0, 120, 20), (160, 0, 180, 20)], (20, 0, 260, 240)),  # at an edge: shifted inside
        (
            (400, 100),
            [(100, 40, 110, 50), (180, 40, 190, 50)],
            (10, 0, 280, 100),
        ),  # as square as there is room
    ],
)
def test_crop_is_square_where_the_image_allows_it(
    size: tuple[int, int], boxes: list[tuple[int, int, int, int]], expected: tuple[int, int, int, int]
) -> None:
    across = np.broadcast_to(np.arange(size[0]), size[::-1]) % 256
    down = np.broadcast_to(np.arange(size[1])[:, None], size[::-1]) % 256
    image = Image.fromarray(np.stack([across, across // 256, down], 2).astype(np.uint8))
    found = crop(image, [Box(*box, 0.9, "a") for box in boxes], 0.01)
    assert found is not None
    left, top, right, bottom = expected
    assert found.size == (right - left, bottom - top)
    assert found.getpixel((0, 0)) == image.getpixel((left, top))


def test_image_covered_by_a_box_keeps_its_mean_colour() -> None:
    image = Image.new("RGB", (10, 10), "red")
    assert painted_over(image, [Box(0, 0, 10, 10, 0.9, "a")]).getpixel((5, 5)) == (255, 0, 0)
