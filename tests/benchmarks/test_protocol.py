"""How a sample becomes a conversation."""

from __future__ import annotations

from pathlib import Path

import pytest
from PIL import Image

from jurat.benchmarks import Sample, choose_protocol
from jurat.benchmarks.card import Card
from jurat.content import ImageError, Item, LazyImage, Turn
from jurat.errors import JuratError

from .fixtures.parts import picture

CARD = Card(
    name="bread",
    title="Bread",
    summary="Questions about bread.",
    licence="CC0",
    where="nowhere",
    reader="none:None",
    layouts={"one": "bread.csv"},
    protocols={
        "as_read": {"prompt": "unused", "evidence": "authors"},
        "paper": {"prompt": "Say: {question}", "images": "after", "max_tokens": 64, "evidence": "paper"},
        "text_only": {"prompt": "{question}", "images": "none", "system": "Be brief.", "temperature": 0.7},
        "by_group": {"prompt": {"a": "A: {question}"}},
    },
)


def sample(*images: bytes, turns: tuple[Turn, ...] = (Turn("user", ("As the reader words it.",)),)) -> Sample:
    lazy = [LazyImage(f"{at}.png", lambda data=data: data) for at, data in enumerate(images)]
    return Sample("1", Item(lazy, turns=turns), group="a", fields={"question": "How to bake?"})


def shape(name: str | None, of: Sample) -> list[tuple[str, list[str]]]:
    """Roles, and texts or the names of images."""
    turns = choose_protocol(CARD, name).turns(of)
    return [
        (turn.role, [part if isinstance(part, str) else part.uri for part in turn.parts]) for turn in turns
    ]


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        (None, [("user", ["0.png", "1.png", "As the reader words it."])]),
        ("paper", [("user", ["Say: How to bake?", "0.png", "1.png"])]),
        ("text_only", [("system", ["Be brief."]), ("user", ["How to bake?"])]),
        ("by_group", [("user", ["0.png", "1.png", "A: How to bake?"])]),
    ],
)
def test_protocol_sets_wording_and_order_of_images(name, expected):
    assert shape(name, sample(picture(1), picture(2))) == expected


def test_earlier_turns_stay_and_images_stand_in_the_first_of_the_user():
    turns = (Turn("user", ("Hello.",)), Turn("assistant", ("Hi.",)), Turn("user", ("And now?",)))
    assert shape("paper", sample(picture(1), turns=turns)) == [
        ("user", ["Hello.", "0.png"]),
        ("assistant", ["Hi."]),
        ("user", ["Say: How to bake?"]),
    ]


def test_chat_has_decoded_images_and_the_settings_of_the_protocol():
    chat = choose_protocol(CARD, "paper").chat(sample(picture(1), picture(2)))
    assert [image.size for image in chat.images] == [(8, 8), (8, 8)]
    assert chat.turns[0].parts[0] == "Say: How to bake?"
    assert (chat.generation.max_tokens, chat.generation.temperature) == (64, 0.0)


def test_image_that_cannot_be_decoded_is_named(tmp_path: Path):
    with pytest.raises(ImageError, match="image 2 of 2: "):
        choose_protocol(CARD).chat(sample(picture(1), b"no image"))
    frames = [Image.new("RGB", (8, 8), (shade, 0, 0)) for shade in (0, 200)]
    frames[0].save(tmp_path / "a.gif", save_all=True, append_images=frames[1:])
    with pytest.raises(ImageError, match="it is an animation; models are shown still images"):
        choose_protocol(CARD).chat(sample((tmp_path / "a.gif").read_bytes()))


def test_text_that_a_sample_lacks_is_an_error_that_names_it():
    bare = Sample("7", Item(turns=(Turn("user", ("x",)),)), group="b")
    with pytest.raises(JuratError, match="'paper' needs the field 'question', which the sample lacks"):
        choose_protocol(CARD, "paper").turns(bare)
    with pytest.raises(JuratError, match="'by_group' has no wording for the group b"):
        choose_protocol(CARD, "by_group").turns(bare)


def test_unknown_protocol_is_an_error_with_the_closest():
    with pytest.raises(JuratError, match="Bread has no protocol 'papr'") as caught:
        choose_protocol(CARD, "papr")
    assert caught.value.hint == "Did you mean 'paper'?"


def test_differences_name_each_field():
    paper = choose_protocol(CARD, "paper")
    assert paper.differences(paper) == []
    assert paper.differences(choose_protocol(CARD, "text_only")) == [
        "another prompt text",
        "a system",
        "images none instead of after",
        "max_tokens 512 instead of 64",
        "temperature 0.7 instead of 0.0",
    ]


def test_what_is_ours_is_labelled_unverified():
    assert [choose_protocol(CARD, name).label for name in CARD.protocols] == [
        "as_read",
        "paper",
        "text_only, unverified (ours)",
        "by_group, unverified (ours)",
    ]
