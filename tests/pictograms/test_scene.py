"""Scenes: their truth is what the pixels say, and the same seed draws the same scene."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.ndimage import distance_transform_edt

from jurat.pictograms.atlas import sprites
from jurat.pictograms.objects import CLASSES, GROUPS, HABITS, LOOKALIKES, NUMBER, OBJECTS, WORDS
from jurat.pictograms.scene import GAP, LEAST_OVERLAP, MOST_OVERLAP, SIDE, TEXTURES, Wish, draw
from jurat.pictograms.statements import Facts

SEEDS = st.integers(0, 2**32 - 1)


def test_world_has_the_documented_objects() -> None:
    assert len(OBJECTS) >= 64
    assert len([noun for noun in GROUPS if len(noun.classes) > 1]) >= 10
    assert WORDS == ("STOP", "FREE", "SALE", "EXIT", "OPEN", "HELP")
    assert CLASSES == len(OBJECTS) + len(WORDS) == len(LOOKALIKES)
    assert all(name in NUMBER for owner, others in HABITS.items() for name in (owner, *others))


@settings(max_examples=25, deadline=None)
@given(SEEDS, st.sampled_from([96, 128, 256]))
def test_truth_agrees_with_masks(seed: int, size: int) -> None:
    scene = draw(np.random.default_rng(seed), size=size)
    unit = size / SIDE
    assert 2 <= len(scene.objects) <= 7
    assert scene.pixels.shape == (size, size, 3)
    for i, thing in enumerate(scene.objects):
        left, top, right, bottom = thing.box
        assert thing.mask[top:bottom, left:right].sum() == thing.mask.sum() > 0
        assert not (thing.visible & ~thing.mask).any()
        for j, other in enumerate(scene.objects[:i]):
            overlap = (thing.mask & other.mask).sum() / unit**2
            if scene.touch[i, j]:
                assert LEAST_OVERLAP <= overlap <= MOST_OVERLAP * min(thing.area, other.area) + 1e-6
            else:
                gap = distance_transform_edt(~other.mask)[thing.mask].min() / unit
                assert overlap == 0
                assert gap == pytest.approx(scene.gap[i, j], abs=1e-3)
                assert gap >= GAP


@settings(max_examples=10, deadline=None)
@given(SEEDS)
def test_same_seed_draws_the_same_scene(seed: int) -> None:
    first, again = (draw(np.random.default_rng(seed)) for _ in range(2))
    assert np.array_equal(first.pixels, again.pixels)
    assert first.kinds == again.kinds


def test_draw_places_wished_objects() -> None:
    child, knife = NUMBER["child"], NUMBER["kitchen knife"]
    rng = np.random.default_rng(0)
    for how in ("touch", "near"):
        scene = draw(rng, [Wish(child), Wish(knife, 0, how)])
        assert scene.kinds == [child, knife]
        assert bool(scene.touch[0, 1]) is (how == "touch")
        assert how == "touch" or GAP <= scene.gap[0, 1] < 13


def test_ambiguous_gaps_are_drawn_on_request_with_soft_truth() -> None:
    gaps = [
        scene.gap[i, j]
        for seed in range(60)
        for scene in [draw(np.random.default_rng(seed), between=True)]
        for i in range(len(scene.objects))
        for j in range(i)
    ]
    assert any(0 < gap < GAP for gap in gaps)
    scene = next(
        s
        for seed in range(200)
        for s in [draw(np.random.default_rng(seed), between=True)]
        if ((s.gap > 0) & (s.gap < GAP)).any()
    )
    i, j = np.argwhere((scene.gap > 0) & (scene.gap < GAP))[0]
    assert scene.contact[i, j] == pytest.approx(1 - scene.gap[i, j] / GAP)


@pytest.mark.parametrize("texture", TEXTURES)
def test_every_texture_draws(texture: str) -> None:
    assert draw(np.random.default_rng(3), texture=texture).pixels.std() > 0


def test_unknown_texture_is_refused() -> None:
    with pytest.raises(ValueError, match=r"unknown texture 'plaid'; there are flat, gradient"):
        draw(np.random.default_rng(0), texture="plaid")


def test_too_many_wishes_are_refused() -> None:
    with pytest.raises(RuntimeError, match="no room for 40 objects as wished"):
        draw(np.random.default_rng(0), [Wish(0)] * 40, size=32)


def test_sprite_sets_differ_in_every_object_and_share_the_sign_cards() -> None:
    pairs = list(zip(sprites("noto"), sprites("twemoji"), strict=True))
    assert len(pairs) == CLASSES
    same = [np.array_equal(np.asarray(a), np.asarray(b)) for a, b in pairs]
    assert same == [False] * len(OBJECTS) + [True] * (CLASSES - len(OBJECTS))


def test_scene_of_the_other_sprites_keeps_its_truth() -> None:
    scene = draw(np.random.default_rng(7), sprites="twemoji")
    gaps = Facts.of(scene).gaps
    for i, a in enumerate(scene.objects):
        for j, b in enumerate(scene.objects):
            assert i == j or (gaps[i, j] == 0) == bool((a.mask & b.mask).any())
