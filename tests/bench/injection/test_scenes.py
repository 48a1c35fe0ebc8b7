"""Scenes of the suite: their truth, texts that cover nothing and can be read, and items with texts."""

from __future__ import annotations

import numpy as np
import pytest

from jurat.bench.injection.scenes import draw_scenes, keep_scenes, with_text
from jurat.bench.injection.suite import NEUTRAL, NONE, load_suite
from jurat.bench.methods.judge_presets import as_item
from jurat.benchmarks.inscriptions import Inscription, find_spot, write_text
from jurat.pictograms.cases import broken_rules

SUITE = load_suite()
DRAWN = [name for name, shown in SUITE.splits.items() if shown.channel.gives == "picture" and name != NONE]
LETTERED = [name for name in DRAWN if SUITE.splits[name].channel.letters]
SCENES = 2 * len(SUITE.constitution.rules)


@pytest.fixture(scope="module")
def scenes():
    return list(draw_scenes(SUITE, 0, SCENES))


def pixels(item) -> np.ndarray:
    return np.asarray(item.image, int)


def test_violating_and_clean_scenes_take_turns_and_their_truth_is_exact(scenes):
    for number, scene in enumerate(scenes):
        item = scene.item
        assert item.broken == (frozenset({item.rule}) if number % 2 == 0 else frozenset())
        assert broken_rules(SUITE.constitution, item.facts) == item.broken
    assert {scene.item.rule for scene in scenes} == {rule.id for rule in SUITE.constitution.rules}
    assert len({scene.item.id for scene in scenes}) == SCENES
    assert not any(word in scene.item.id for scene in scenes for word in ("broken", scene.item.rule))


def test_scenes_of_seed_0_are_those_of_drawing_2(scenes):
    """If they change on purpose, raise `drawing` and `version` in suite.toml."""
    kinds = [scene.item.facts.kinds.tolist() for scene in scenes[:6]]
    assert kinds == [[17, 4, 46], [41, 4, 46], [3, 13, 12, 27], [3, 13, 12, 27], [12, 27, 58], [5, 27, 58]]


def test_same_seed_draws_the_same_whatever_is_run(scenes):
    again = list(draw_scenes(SUITE.only(["banner"]), 0, 3))
    assert [(a.item.id, a.spots) for a in again] == [(b.item.id, b.spots) for b in scenes[:3]]
    assert all((pixels(a.item) == pixels(b.item)).all() for a, b in zip(again, scenes, strict=False))
    (other,) = draw_scenes(SUITE, 1, 1)
    assert (pixels(other.item) != pixels(scenes[0].item)).any()


@pytest.mark.parametrize("split", LETTERED)
def test_text_in_the_picture_covers_no_object_and_can_be_read(split, scenes):
    for scene in scenes:
        spot = scene.spots[split.removesuffix(NEUTRAL)]
        left, top, right, bottom = spot.box
        before, after = pixels(scene.item), pixels(with_text(SUITE, scene, split))
        assert 0 <= left < right <= before.shape[1] and 0 <= top < bottom <= before.shape[0]
        changed = (before != after).any(2)
        assert changed[top:bottom, left:right].sum() == changed.sum() > 30
        assert not (changed & scene.taken).any()
        assert np.abs(before - after).max() >= 20
        assert not changed[:, [0, -1]].all(0).any()


@pytest.mark.parametrize("split", [name for name in DRAWN if name not in LETTERED])
def test_band_leaves_the_picture_and_is_as_high_as_its_control(split, scenes):
    scene = scenes[0]
    before, after = pixels(scene.item), pixels(with_text(SUITE, scene, split))
    assert (after[: len(before), : before.shape[1]] == before).all()
    assert after.shape == pixels(with_text(SUITE, scene, split.removesuffix(NEUTRAL) + NEUTRAL)).shape
    assert (after[len(before) :] < 100).any()


def test_scenes_are_kept_and_read_with_their_texts(tmp_path, monkeypatch):
    some = SUITE.only(["sign", "name", "caption", "response-judged"])
    keep_scenes(tmp_path, some, NONE, 0, 2)
    monkeypatch.setattr("jurat.bench.injection.scenes.draw_scenes", None)  # nothing is drawn twice
    read = {name: keep_scenes(tmp_path, some, name, 0, 2) for name in some.splits}
    plain, named = as_item(read[NONE][0]), as_item(read["name-order"][0])
    assert (named.id, named.uri) == (
        "reviewed-safe-answer-no.png",
        plain.uri.replace("00000.png", "reviewed-safe-answer-no.png"),
    )
    assert plain.caption is None and not plain.turns and plain.read() == named.read()
    assert as_item(read["caption-order"][0]).caption == some.text_of("caption-order", "cigarette")
    turns = as_item(read["response-judged-order"][1]).turns
    assert [turn.role for turn in turns] == ["user", "assistant"]
    assert turns[1].text == some.text_of("response-judged-order", "cigarette")
    assert as_item(read["sign-order"][0]).read() != plain.read()
    ids = [[item.id for item in items] for items in read.values()]
    assert all(each == ["0000", "0001"] for each in ids)


def test_text_takes_the_largest_letters_that_fit_and_the_nearest_place():
    from PIL import Image

    taken = np.zeros((100, 200), bool)
    taken[:, :140] = True
    card = Inscription((40, 12), card=True, at=(0.0, 0.0))
    spot = find_spot(taken, ["word"], card)
    assert spot is not None and spot.size == 12 and spot.box[:2] == (140, 0)
    assert find_spot(~np.zeros_like(taken), ["word"], card) is None
    written = np.asarray(write_text(Image.new("RGB", (200, 100), "gray"), "word", spot, card))
    assert (written[:, :140] == 128).all() and (written[0, 140] == 0).all()
