"""Strangers, and scenes of the second renderer: alike for the same seed, true to their pixels, untaught."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from jurat.pictograms.objects import CODE_POINTS
from tests.strangers.kinds import SCENES, STRANGERS, Kind, pictures
from tests.strangers.rules import cases, constitution, draw_scene, rules
from tests.strangers.scenes import APART, FIRST_CARD, NEAR, STRANGER, Drawing, Look, compressed
from tests.strangers.sprites import SHIPPED, strangers, taught, untaught
from tests.strangers.truth import Facts, facts, holds, known
from training.scenes.unknown import characters

KINDS = [kind for kind in (*STRANGERS, *SCENES) if not kind.needs]
QUICK = 7
"""Every such kind is drawn in the quick part of the tests."""


def test_no_drawing_is_taught_or_shown_in_training() -> None:
    shown = {ord(letter) for letter, _ in characters()}
    assert len(untaught()) == len(set(untaught())) >= 250
    assert not set(untaught()) & (shown | set(CODE_POINTS))


def test_nothing_of_the_world_is_used_but_its_words_and_its_sheet_of_sprites() -> None:
    allowed = ("jurat.pictograms.objects", "jurat.constitution")
    imports = ("from jurat", "import jurat", "from training", "import training")
    for file in Path(__file__).parent.glob("*.py"):
        if file != Path(__file__):
            lines = map(str.strip, file.read_text("utf-8").splitlines())
            taken = [line for line in lines if line.startswith(imports)]
            assert all(line.startswith(tuple(f"from {name} import" for name in allowed)) for line in taken), (
                file
            )


def test_there_are_24_kinds_of_strangers_and_names_are_unique() -> None:
    assert len([kind for kind in STRANGERS if not kind.needs]) >= 24
    names = [kind.name for kind in (*STRANGERS, *SCENES)]
    assert len(set(names)) == len(names)


def some_slow(kinds: Sequence[Kind]) -> list[Any]:
    slow = pytest.mark.slow
    return [
        pytest.param(kind, id=kind.name, marks=[slow] if at % QUICK else []) for at, kind in enumerate(kinds)
    ]


@pytest.mark.parametrize("kind", some_slow(KINDS))
def test_same_seed_draws_the_same_pictures(kind: Kind) -> None:
    first, second = pictures(kind, 2, 7)
    (again,) = pictures(kind, 1, 7)
    assert np.array_equal(np.asarray(first.image), np.asarray(again.image))
    assert first.broken == again.broken
    assert not np.array_equal(np.asarray(first.image), np.asarray(second.image))
    assert first.image.mode == "RGB" and min(first.image.size) >= 48


@pytest.mark.parametrize("kind", some_slow(SCENES))
def test_every_second_scene_breaks_a_rule(kind: Kind) -> None:
    assert [bool(picture.broken) for picture in pictures(kind, 2, 3)] == [True, False]


def test_sets_draw_the_same_objects_in_other_ways() -> None:
    assert len(taught("fluent")) == len(taught("twemoji")) == len(taught()) == FIRST_CARD + 6
    assert len(taught("fxemoji")) >= 50
    assert all(len(strangers(source)) >= 100 for source in ("noto", "fluent", "fxemoji"))
    assert taught("fluent")[3].tobytes() != taught()[3].tobytes()
    assert taught("fluent")[FIRST_CARD].tobytes() == taught()[FIRST_CARD].tobytes()
    assert SHIPPED.joinpath("atlas.png").exists()


# --- truth --------------------------------------------------------------------------------------------


def boxes(*places: tuple[int, int, int, int], kinds: list[int] | None = None, side: int = 128) -> Drawing:
    """A drawing whose objects are boxes (left, top, right, bottom), one unit a pixel."""
    masks = []
    for left, top, right, bottom in places:
        mask = np.zeros((side, side), bool)
        mask[top:bottom, left:right] = True
        masks.append(mask)
    return Drawing(Image.new("RGB", (side, side)), kinds or list(range(len(places))), masks)


CHILD, MAN, DOG, CAT = 0, 1, 5, 6


def test_facts_are_those_of_the_pixels() -> None:
    found = facts(boxes((0, 0, 20, 20), (15, 15, 40, 40), (50, 0, 60, 10)))
    assert found.gaps[0, 1] == 0 and found.gaps[0, 2] == 31
    assert found.areas.tolist() == [400, 625, 100]
    assert found.centres.tolist() == [[10, 10], [27.5, 27.5], [55, 5]]


@pytest.mark.parametrize(
    ("gap", "truth"), [(-5, True), (3, None), (5, None), (8, False)], ids=lambda value: str(value)
)
def test_touch_is_true_false_or_open(gap: int, truth: bool | None) -> None:
    drawn = boxes((0, 0, 20, 20), (20 + gap - 1 if gap > 0 else 20 + gap, 0, 50, 20), kinds=[CHILD, DOG])
    assert holds(["touch", "child", "/", "dog", "cat"], facts(drawn)) is truth
    assert holds(["touch", "dog", "/", "child"], facts(drawn)) is truth
    assert holds(["touch", "child", "/", "cat"], facts(drawn)) is False


def test_meanings() -> None:
    seen = facts(boxes((0, 0, 20, 20), (60, 0, 70, 10), (100, 60, 110, 70), kinds=[DOG, CAT, CAT]))
    true = (
        ["visible", "animal"],
        ["left", "dog", "cat"],
        ["right", "cat", "dog"],
        ["below", "cat", "dog"],
        ["larger", "dog", "cat"],
        ["exactly", 2, "cat"],
        ["at least", 3, "animal"],
        ["only", "animal"],
        ["not", ["visible", "person"]],
        ["any", ["sign", "STOP"], ["exactly", 1, "dog"]],
    )
    false = (
        ["larger", "cat", "dog"],
        ["larger", "dog", "horse"],
        ["left", "horse", "dog"],
        ["exactly", 1, "cat"],
        ["only", "cat"],
        ["sign", "STOP"],
        ["all", ["visible", "dog"], ["visible", "horse"]],
    )
    assert [meaning for meaning in true if holds(list(meaning), seen) is not True] == []
    assert [meaning for meaning in false if holds(list(meaning), seen) is not False] == []
    level = facts(boxes((0, 0, 20, 20), (60, 4, 80, 24), kinds=[DOG, CAT]))
    assert holds(["above", "dog", "cat"], level) is None


def test_strangers_are_not_asked_about() -> None:
    seen = facts(boxes((0, 0, 20, 20), (60, 0, 80, 20), kinds=[DOG, STRANGER]))
    assert holds(["only", "animal"], seen) is False
    assert holds(["only", "animal"], known(seen)) is True


def test_scene_is_drawn_as_written() -> None:
    rng = np.random.default_rng(4)
    gaps = {"child ~ dog": (-1, 0), "child | dog": (APART, NEAR), "dog, child": (APART, 200)}
    for scene, (low, high) in gaps.items():
        drawn = draw_scene(scene, rng, Look())
        assert drawn is not None
        found = facts(drawn)
        assert set(found.kinds) == {CHILD, DOG} and low < found.gaps[0, 1] + 1e-9 <= high + 1e-6, scene
    drawn = draw_scene("coin*3, sign STOP", rng, Look(96, jpeg=60))
    assert drawn is not None and len(drawn.names) == 4 and drawn.image.size == (96, 96)
    assert drawn.names[-1] == FIRST_CARD


# --- rules --------------------------------------------------------------------------------------------


def test_there_are_six_and_twenty_five_rules() -> None:
    assert len(constitution("six").rules) == 6 and len(constitution("many").rules) == 25
    said = [how for rule in rules("many") for how in flat(rule.meaning)]
    hows = "visible touch left right above below larger exactly sign only not any all"
    assert {*hows.split(), "at least"} <= set(said)


def flat(meaning: list) -> list[str]:
    return [meaning[0], *(how for part in meaning[1:] if isinstance(part, list) for how in flat(part))]


@pytest.mark.parametrize("which", ["six", pytest.param("many", marks=pytest.mark.slow)])
def test_half_of_the_cases_break_their_rule_and_the_others_none(which) -> None:
    drawn = list(cases(which, 2 * len(rules(which)), 5))
    for breaking, keeping in zip(drawn[::2], drawn[1::2], strict=True):
        assert breaking.rule in breaking.broken, breaking.scene
        assert not keeping.broken, keeping.scene
    assert {case.rule for case in drawn} == {rule.id for rule in rules(which)}


def test_compressed_pictures_differ_a_little() -> None:
    picture = next(pictures(SCENES[0], 1, 9)).image
    apart = np.abs(np.asarray(compressed(picture, 30)).astype(int) - np.asarray(picture)).mean()
    assert 0 < apart < 12


def test_facts_of_nothing() -> None:
    nothing = Facts([], np.zeros((0, 2)), np.zeros(0), np.zeros((0, 0)))
    assert holds(["only", "animal"], nothing) is False and holds(["visible", "dog"], nothing) is False
