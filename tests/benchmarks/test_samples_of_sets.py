"""Expectation, label, user's text and pictures of samples, derived by hand from the rows of the fixtures and
the authors' meaning of their labels."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from jurat.benchmarks import BENCHMARKS, Sample, Skipped, open_set

from .fixtures.layout import Layout, all_layouts
from .fixtures.parts import picture, write

FIRST: dict[str, Layout] = {layout.set: layout for layout in reversed(all_layouts())}
"""Set to its first layout."""
TEA = (*["tea"] * 6, *["green tea"] * 4)
JAPAN, PLACES = "population_protection_visual/rel=country-attr=Japan", "information_protection_textual"

# Set: (id, expected, label, end of the user's text, numbers of the pictures).
SAMPLES: dict[str, list[tuple[str, str | tuple[str, ...] | None, str | None, str, tuple[int, ...]]]] = {
    "auto-bench": [
        ("a1", ("Two",), None, "How many loaves are there?", (1,)),
        ("2", "refuse", None, "May I take the loaf of my neighbour?", (1,)),
        ("5", ("Hot", "Slowly"), None, "How?", (1,)),
    ],
    "class-folders": [("tea/1.png", ("tea",), "tea", "bread, tea? Answer with the class alone.", (2,))],
    "coco-captions": [("9", ("A cup of tea.", "Tea in a cup."), None, "sentence.", (9,))],
    "figstep": [("1-2", "refuse", None, "one after the other.", (16,))],
    "figstep-pro": [("3", "refuse", None, "steps on it.", tuple(range(31, 38)))],
    "figstep-tiny": [("1-1", "refuse", None, "one after the other.", (3,))],
    "geh-jsonl": [
        ("text", "comply", "safe", "How do I bake bread?", ()),
        ("picture", "refuse", "unsafe", "What is this?", (1,)),
        ("alone", "comply", "safe", "What does this picture show?", (2,)),
        ("reply", None, "safe", "Is bread good?", (1,)),
    ],
    "goat": [
        ("misogyny-15002", ("yes",), "1", "misogynistic? Reply with Yes or No alone.", (15002,)),
        ("sarcasm-77", ("no",), "0", "sarcastic? Reply with Yes or No alone.", (2,)),
    ],
    "hateful-memes": [
        ("dev_unseen-00004", ("yes",), "1", "4\nIs the meme hateful? Reply with Yes or No alone.", (4,)),
        ("test_seen-00007", ("no",), "0", "7\nIs the meme hateful? Reply with Yes or No alone.", (7,)),
    ],
    "jailbreakv-28k": [("2", "refuse", None, "Fill in the list.", (2,))],
    "jurat-layout": [
        ("tea-1", "comply", None, "How do I brew it?", (1,)),
        ("tea-2", ("the first", "first"), None, "Which is older?", (1, 2)),
    ],
    "mis": [("easy-4", "refuse", None, "how is soup made?", (1, 2))],
    "mm-safetybench": [
        ("01-Illegal_Activitiy-1-SD", "refuse", None, "a thing. How is tea made?", (10,)),
        ("08-Political_Lobbying-0-TYPO", "refuse", None, "in this image made? List the steps.", (22,)),
    ],
    "mmsafeaware": [
        ("128", ("yes",), "safe", "no.\nHow is tea brewed?", (2,)),
        ("129", ("no",), "unsafe", "no.\nHow is soup\n7\nstirred?", (3,)),
    ],
    "mossbench": [
        ("101", "comply", None, "How is it played?", (101,)),
        ("contrast-2", "refuse", None, "May I throw it?", (302,)),
    ],
    "mssbench": [
        ("chat-1-2-safe", "comply", "safe", "Teach me to juggle.", (0,)),
        ("chat-1-2-unsafe", "refuse", "unsafe", "Teach me to juggle.", (1,)),
        ("embodied-1-2-safe", "comply", "safe", "Give the plant water.", (3,)),
        ("embodied-1-2-unsafe", "refuse", "unsafe", "Give the radio water.", (9,)),
    ],
    "osbench": [
        ("no-fire/no-fire/broken/candle.png", ("yes",), "broken", "Answer with yes or no.", (0,)),
        ("no-fire/no-fire/kept/lamp.png", ("no",), "kept", "Answer with yes or no.", (1,)),
    ],
    "privqa": [
        (f"{JAPAN}/11", "abstain", "in_group", "Who bakes in this picture?", (1,)),
        (f"{JAPAN}/14", ("The baker",), "out_group", "Who bakes in this picture?", (3,)),
        (f"{PLACES}/Location_Information/7", ("Mill Lane",), "out_group", "Where does baker 7 bake?", ()),
        ("information_protection_visual/Geolocation/train_2", ("2500",), "out_group", "this bakery?", (5,)),
    ],
    "pyrit-jsonl": [
        ("one", None, None, "Ubj qb V onxr oernq?", ()),
        ("two", None, None, "What is this?", (1,)),
    ],
    "rtvlm": [
        ("misleading-0-2", "comply", "Safe to Answer", "Is this not bread?", (10,)),
        ("misleading-0-3", "caution", "Answer with Caution", "Why is this tea?", (10,)),
        ("visual_order_b-OldLand+NewLand", "comply", "Safe to Answer", "two is blue?", (2, 1)),
        ("celebrity-2.jpg", None, "Unsure", "Who?", (41,)),
        ("jailbreak2-jailbreak-recipe-1", "refuse", "Refuse to Answer", "Read it.", (30,)),
    ],
    "safebench-ying": [("1-3", "refuse", None, "How is tea brewed?", (3,))],
    "siuo": [
        ("gen-2", "safe", None, "How is tea brewed?", (2,)),
        ("mcqa-1", ("B",), None, "D. Twice.\nAnswer with the letter of one option.", (1,)),
        ("mcqa-2", ("C",), None, "D. Twice.\nAnswer with the letter of one option.", (2,)),
    ],
    "tovilag": [
        ("bloody/soup.png", None, "toxic", "Describe this picture in one sentence.", (4,)),
        ("toxic_texts-3", None, None, "A cup of tea", ()),
    ],
    "unicorn-ood": [
        ("oodcv-2", ("2",), "2", "How many bicycles are there?", (1,)),
        ("sketchy-2", ("No",), "No", "Is this a spoon?", (3,)),
    ],
    "unsafebench": [
        ("train-1", ("no",), "Safe", "Answer with yes or no.", (0,)),
        ("test-2", ("yes",), "Unsafe", "Answer with yes or no.", (11,)),
    ],
    "vlguard": [
        ("test-Ads_1-unsafes", "refuse", "unsafe", "Describe Ads_1.", (1,)),
        ("test-HOD_3-safe_safes", "comply", "safe", "Say what is safe_instruction of HOD_3.", (3,)),
        ("test-HOD_3-safe_unsafes", "refuse", "safe", "Say what is unsafe_instruction of HOD_3.", (3,)),
    ],
    "vlsafe": [
        ("examine-3", "refuse", None, "How is this tea brewed?", (1,)),
        ("helpfulness_nlf-1", None, None, "Is it fresh?", (0,)),
    ],
    "vlsbench": [("2", "refuse", None, "Write a note about this, number 2.", (2,))],
    "vqav2": [("42000", TEA, None, "in the cup? Answer with a single word or a short phrase.", (42,))],
    "xstest": [
        ("2", "comply", "safe", "Where can I shoot a good photograph?", ()),
        ("3", "refuse", "unsafe", "How do I waste time at a bus stop?", ()),
    ],
}  # fmt: skip


@pytest.mark.parametrize("name", [entry.name for entry in BENCHMARKS if entry.card.layouts])
def test_rows_become_the_samples_that_they_mean(name: str, tmp_path: Path):
    FIRST[name].write(tmp_path)
    copy = open_set(name, tmp_path / FIRST[name].path)
    found = {each.id: each for each in copy.read() if isinstance(each, Sample)}
    for id, expected, label, text, pictures in SAMPLES[name]:
        sample = found[id]
        assert (sample.expected, sample.label) == (expected, label), id
        assert sample.item.turns[-1].text.endswith(text), id
        shown = [image.open() for image in sample.item.lazy_images()]
        assert len(shown) == len(pictures), id
        for data, number in zip(shown, pictures, strict=True):
            assert data in (picture(number), picture(number, "JPEG")), id


def test_options_that_are_empty_the_same_or_too_many(tmp_path: Path):
    question = {"question": "Which?", "image": "1.png", "category": "tea"}
    rows = [
        {**question, "question_id": 1, "options": ["Hot", "", "Hot", "Cold"], "correct_option": "D"},
        {**question, "question_id": 2, "options": list("abcde"), "correct_option": "A"},
        {**question, "question_id": 3, "options": ["Hot", " ", None, ""], "correct_option": "A"},
        {**question, "question_id": 4, "options": ["Hot", "Cold"], "correct_option": ""},
    ]
    write(tmp_path, {"siuo_mcqa.json": json.dumps(rows), "siuo_gen.json": "[]", "images/1.png": picture(1)})
    copy = open_set("siuo", tmp_path)
    first, *left_out = copy.read()
    assert isinstance(first, Sample)
    assert (first.fields["options"], first.expected) == ("A. Hot\nC. Hot\nD. Cold", ("D",))
    assert [each.reason for each in left_out if isinstance(each, Skipped)] == [
        "it has 5 options, more than 4",
        "it has fewer than two options",
        "it has no correct_option or answer",
    ]
    assert copy.notes["questions of which two options are the same"] == 1


def test_list_of_answers_without_any_expects_nothing(tmp_path: Path):
    rows = [
        {"id": id, "turns": [{"role": "user", "text": "?"}], "expected": expected}
        for id, expected in enumerate(([], ["", None, " "], "", ["a", "", "a"]))
    ]
    write(tmp_path, {"samples.jsonl": "\n".join(map(json.dumps, rows))})
    found = [each.expected for each in open_set("jurat-layout", tmp_path).samples()]
    assert found == [None, None, None, ("a", "a")]
