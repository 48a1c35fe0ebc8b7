from __future__ import annotations

from base64 import b64encode
from pathlib import Path
from typing import Any

import pytest

from jurat.benchmarks import Sample, Skipped, from_inspect
from jurat.media import decode

from .fixtures.parts import base64_of, picture

inspect_dataset = pytest.importorskip("inspect_ai.dataset")
inspect_model = pytest.importorskip("inspect_ai.model")


def of(*samples: dict[str, Any], **options: Any) -> list[Sample | Skipped]:
    return list(from_inspect([inspect_dataset.Sample(**sample) for sample in samples], **options))


def user(*parts: object) -> Any:
    return inspect_model.ChatMessageUser(content=list(parts))


def text(words: str) -> Any:
    return inspect_model.ContentText(text=words)


def image(where: str) -> Any:
    return inspect_model.ContentImage(image=where)


def test_texts_targets_choices_and_metadata_are_carried_over() -> None:
    (found,) = of(
        {
            "input": "Which is warm?",
            "target": ["A", "tea"],
            "choices": ["tea", "ice"],
            "id": 7,
            "metadata": {"category": "drinks", "level": 2, "tags": ["a"]},
        }
    )

    assert isinstance(found, Sample)
    assert (found.id, found.expected, found.category) == ("7", ("A", "tea"), "drinks")
    assert found.fields == {
        "prompt": "Which is warm?", "choices": "A) tea\nB) ice", "category": "drinks", "level": "2",
    }  # fmt: skip
    assert [(turn.role, turn.text) for turn in found.item.turns] == [("user", "Which is warm?")]


def test_images_are_read_from_paths_and_data_urls(tmp_path: Path) -> None:
    (tmp_path / "cup.png").write_bytes(picture(1))
    url = f"data:image/png;base64,{base64_of(picture(2))}"
    conversation = [
        inspect_model.ChatMessageSystem(content="Be brief."),
        user(text("Which differs?"), image("cup.png"), image(url)),
        inspect_model.ChatMessageAssistant(content="The second."),
    ]

    (found,) = of({"input": conversation, "id": "pair"}, root=tmp_path)

    assert isinstance(found, Sample)
    assert [turn.role for turn in found.item.turns] == ["system", "user"]
    assert found.fields["response"] == "The second."
    colours = [decode(each.open()).frames[0].getpixel((0, 0)) for each in found.item.lazy_images()]
    assert colours == [(37, 91, 1), (74, 182, 2)]


@pytest.mark.parametrize(
    ("sample", "reason"),
    [
        ({"input": [user(text("What is it?"), image("no.png"))]}, "there is no image 'no.png'"),
        (
            {"input": [user(text("What is it?"), image("https://example.org/a.png"))]},
            "its image is behind https://, which is not fetched",
        ),
        (
            {"input": [user(text("Hear!"), inspect_model.ContentAudio(audio="a.wav", format="wav"))]},
            "a message has a part of the kind 'audio', which is not read",
        ),
        ({"input": [user(image("data:image/png;base64,????"))]}, "a picture in base64 that is damaged"),
        ({"input": [inspect_model.ChatMessageSystem(content="Be brief.")]}, "it has no message of the user"),
        ({"input": ""}, "the user's last message has no text"),
        ({"input": "Which?", "choices": ["bread"] * 27}, "it has 27 choices, more than there are letters"),
    ],
)  # fmt: skip
def test_what_cannot_be_carried_over_is_left_out_with_the_reason(sample: dict[str, Any], reason: str) -> None:
    kept: dict[str, Any] = {"input": "And this?", "id": "kept"}

    left_out, found = of(sample, kept)

    assert isinstance(left_out, Skipped) and reason in left_out.reason
    assert left_out.source_row == "sample 1"
    assert isinstance(found, Sample) and found.id == "kept"


def test_a_second_sample_with_the_same_id_is_left_out() -> None:
    _, second = of({"input": "One?", "id": "1"}, {"input": "Two?", "id": 1})

    assert isinstance(second, Skipped) and second.reason == "an earlier sample has its id '1'"


def test_a_dataset_of_inspect_is_read(tmp_path: Path) -> None:
    file = tmp_path / "riddles.jsonl"
    file.write_text(
        '{"input": "What is hot?", "target": "tea"}\n{"input": "What is cold?", "target": "ice"}\n'
    )

    found = list(from_inspect(inspect_dataset.json_dataset(str(file))))

    assert [(each.id, each.expected) for each in found if isinstance(each, Sample)] == [
        ("1", ("tea",)),
        ("2", ("ice",)),
    ]


def test_text_that_only_looks_like_a_picture_is_no_path() -> None:
    (left_out,) = of({"input": [user(text("?"), image(b64encode(b"tea").decode()))]})

    assert isinstance(left_out, Skipped) and left_out.reason == "there is no image 'dGVh'"
