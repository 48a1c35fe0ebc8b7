"""What builders draw and say, by where the unsafe element sits."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from PIL import Image, ImageChops

from jurat.benchmarks.building.builders import Rendered, render
from jurat.benchmarks.building.spec import PLACES, read_spec
from jurat.benchmarks.drawing import has_glyph, scene, text_card, with_caption
from jurat.errors import JuratError

from .specs import SPEC, KnownWriter, build, drafted

SCENES = "scenes: [{shows: [A dog is visible.], near_miss: {shows: [A cat is visible.]}}]"
ALL = [(builder, place) for builder, places in PLACES.items() for place in places]


def rendered(
    folder: Path, builder: str, place: str, sources: str = SCENES, rest: str = ""
) -> dict[bool, Rendered]:
    """The unsafe sample (False) and its near miss (True) of the first draft."""
    spec = SPEC.replace("[typographic, key-phrase]", f"[{builder}]").replace("volume: 3", "volume: 1")
    spec = spec.replace("unsafe_in: image", f"unsafe_in: {place}")
    spec = spec.replace("topics: [round pots, square pots, flat pots]", sources)
    report = build(folder, KnownWriter({"shows:|It is about": drafted("a round pot")}), spec + rest)
    made = list(render(report.kept[0], read_spec(folder / "spec.yaml")))
    return {each.near_miss: each for each in made if isinstance(each, Rendered)}


def same(one: Image.Image, other: Image.Image) -> bool:
    return one.size == other.size and ImageChops.difference(one, other).getbbox() is None


@pytest.mark.parametrize(("builder", "place"), ALL)
def test_near_miss_differs_from_its_sample_where_the_unsafe_element_sits(tmp_path, builder, place):
    pair = rendered(tmp_path, builder, place)
    unsafe, harmless = pair[False], pair[True]
    alike = [same(a, b) for a, b in zip(unsafe.pictures, harmless.pictures, strict=True)]
    assert all(alike) == (place == "text")
    assert (unsafe.text == harmless.text) == (place != "text")
    if place != "text":
        assert "pot" not in unsafe.text
    else:
        assert "a round pot" in unsafe.text and "a round egg" in harmless.text


def test_pictures_hold_what_the_draft_says(tmp_path: Path):
    assert same(
        rendered(tmp_path / "a", "typographic", "image")[True].pictures[0],
        text_card(["Ways to break a round egg", "1.", "2.", "3."]),
    )
    assert same(
        rendered(tmp_path / "b", "key-phrase", "image")[False].pictures[0], text_card(["a round pot"])
    )
    assert same(
        rendered(tmp_path / "c", "key-phrase", "text")[False].pictures[0], text_card(["kitchen table"])
    )
    first, second = rendered(tmp_path / "d", "two-images", "both", "topics: [pots]")[False].pictures
    assert same(first, text_card(["kitchen table"])) and same(second, text_card(["a round pot"]))
    captioned = rendered(tmp_path / "e", "captioned", "both")[False]
    picture = rendered(tmp_path / "f", "picture", "image")[False].pictures[0]
    assert captioned.caption == "a round pot"
    assert same(captioned.pictures[0], with_caption(picture, "a round pot"))


def ink(picture: Image.Image) -> tuple[int, int, int, int]:
    box = ImageChops.invert(picture.convert("L")).getbbox()
    assert box is not None
    return box


@pytest.mark.parametrize("text", ["apple", "a kettle of water " * 40, "W" * 90, "Wide " * 9])
def test_card_grows_until_no_text_is_cut(text: str):
    card = text_card([text])
    left, top, right, bottom = ink(card)
    assert min(left, top) >= 10
    assert right <= card.width - 10 and bottom <= card.height - 10
    assert min(card.size) >= 256


@pytest.mark.parametrize("width", [40, 256, 700])
def test_caption_stands_whole_below_a_picture_of_any_size(width: int):
    picture = Image.new("RGB", (width, 60), "white")
    whole = with_caption(picture, "The kettle on the left is older than the cup. " * 3)
    left, top, right, bottom = ink(whole)
    assert top >= 60
    assert left >= 5 and right <= whole.width - 5 and bottom <= whole.height
    assert np.asarray(whole)[:60, :width].min() == 255


def test_letters_that_cannot_be_drawn_are_known():
    assert all(map(has_glyph, "Break a pot, now! (3)"))
    assert not any(map(has_glyph, "чか"))


def test_same_seed_draws_the_same_scene():
    wanted = [("A dog is visible.", True)]
    assert same(scene(wanted, (1, 2)), scene(wanted, (1, 2)))
    assert not same(scene(wanted, (1, 2)), scene(wanted, (1, 3)))


def test_scene_that_cannot_be_is_reported_before_the_writer_is_asked(tmp_path: Path):
    writer = KnownWriter()
    sources = "scenes: [{shows: [A dog is visible.], hides: [A dog is visible.]}]"
    spec = SPEC.replace("topics: [round pots, square pots, flat pots]", sources)
    with pytest.raises(JuratError, match=r"No scene shows 'A dog is visible\.'"):
        build(tmp_path, writer, spec)
    assert writer.asked == []


def test_named_thing_is_in_a_scene_though_others_of_its_kind_are_not(tmp_path: Path):
    rest = "\nonly_where_named: [dog, cat, ball]"
    pair = rendered(tmp_path, "picture", "image", SCENES, rest)
    assert not same(pair[False].pictures[0], pair[True].pictures[0])
