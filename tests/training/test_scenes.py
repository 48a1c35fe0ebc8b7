"""Scenes to train on: what is never together, what is unknown, and their truth when they are turned."""

from __future__ import annotations

from collections import Counter
from pathlib import Path

import numpy as np
import pytest

from jurat.pictograms.objects import CLASSES, HELD_APART, OBJECTS
from jurat.pictograms.scene import MOST, SIDE
from jurat.pictograms.statements import UNKNOWN
from training.scenes import unknown
from training.scenes.composition import Composed, compose
from training.scenes.pool import CELLS, Pool, fill
from training.scenes.unknown import SHARES, unknown_sprite
from training.scenes.variation import spoil, turn, vary

SCENES = 80


@pytest.fixture(scope="module")
def composed() -> list[Composed]:
    return [compose(np.random.default_rng(i)) for i in range(SCENES)]


@pytest.fixture(scope="module")
def pool(tmp_path_factory: pytest.TempPathFactory) -> Pool:
    return fill(tmp_path_factory.mktemp("pools") / "few", 7, 24, workers=1)


def test_pairs_that_are_held_apart_never_meet(composed: list[Composed]) -> None:
    for each in composed:
        kinds = [kind for kind in each.scene.kinds if kind < CLASSES]
        assert not {frozenset((a, b)) for a in kinds for b in kinds if a != b} & HELD_APART
    assert 100 < len(HELD_APART) < 200
    assert all(len(pair) == 2 and max(pair) < len(OBJECTS) for pair in HELD_APART)


def test_tags_say_what_is_unknown(composed: list[Composed]) -> None:
    counts = Counter(tag for each in composed for tag in each.tags)
    for each in composed:
        things = UNKNOWN in each.scene.kinds
        assert things is ("with unknown things" in each.tags)
        assert each.foreign.any() == any(tag.startswith("ground ") for tag in each.tags)
        assert len(each.scene.objects) <= MOST
        assert sum(tag.startswith("look ") for tag in each.tags) == 1
    assert 0.15 * SCENES < counts["with unknown things"] < 0.45 * SCENES


def test_known_scenes_hold_nothing_unknown() -> None:
    for i in range(12):
        each = compose(np.random.default_rng(i), known=True)
        assert not each.foreign.any() and UNKNOWN not in each.scene.kinds


@pytest.mark.parametrize("kind", SHARES)
def test_every_kind_of_unknown_thing_is_drawn(kind: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(unknown, "SHARES", {kind: 1.0})
    drawn = [unknown_sprite(np.random.default_rng(i)) for i in range(4)]
    assert all(name == kind and sprite.mode == "RGBa" and sprite.size == (96, 96) for name, sprite in drawn)
    assert len({sprite.tobytes() for _, sprite in drawn}) == 4


def test_untaught_emoji_are_none_of_the_world() -> None:
    from jurat.pictograms.objects import CODE_POINTS

    letters = [letter for letter, _ in unknown.characters()]
    assert len(letters) == len(set(letters)) == len(unknown.untaught())
    assert not {ord(letter) for letter in letters} & set(CODE_POINTS)


def test_pool_counts_its_scenes_by_tags_and_does_not_depend_on_workers(pool: Pool, tmp_path: Path) -> None:
    again = fill(tmp_path / "again", 7, 6, workers=2)
    for name, values in again.arrays.items():
        assert np.array_equal(values, pool[name][:6]), name
    assert "look " in (tmp_path / "again" / "tags.json").read_text()


def _row(pool: Pool, row: int) -> dict[str, np.ndarray]:
    return {name: np.array(pool[name][row : row + 1]) for name in pool.arrays}


@pytest.mark.parametrize("mirrored", [False, True])
@pytest.mark.parametrize("quarters", [0, 1, 2, 3])
def test_turned_scenes_keep_their_truth(pool: Pool, quarters: int, mirrored: bool) -> None:
    """Centres turn as the mass of what each object covers does; four turns, or two mirrorings, are none."""
    for number in range(6):
        batch = _row(pool, number)
        before = {name: value.copy() for name, value in batch.items()}
        turn(batch, 0, quarters, mirrored=mirrored)
        for kind, centre, cover in zip(
            batch["kinds"][0], batch["centres"][0], batch["cover"][0], strict=True
        ):
            if kind >= 0:
                rows, columns = np.nonzero(cover)
                weights = cover[rows, columns].astype(float)
                mass = (np.average(columns, weights=weights), np.average(rows, weights=weights))
                middle = (np.array(mass) + 0.5) * SIDE / CELLS
                assert np.abs(middle - centre).max() < 14, (kind, middle, centre)
        assert np.array_equal(batch["gaps"], before["gaps"])
        turn(batch, 0, (4 - quarters) % 4, mirrored=False)
        if mirrored:
            turn(batch, 0, 0, mirrored=True)
        assert all(np.allclose(batch[name], before[name]) for name in batch)


def test_scenes_with_signs_are_not_mirrored(pool: Pool) -> None:
    batch = _row(pool, 0)
    batch["kinds"][0, 0] = len(OBJECTS)
    seen = set()
    for seed in range(60):
        varied = {name: value.copy() for name, value in batch.items()}
        vary(varied, 0, np.random.default_rng(seed))
        seen.add(tuple(np.round(varied["centres"][0, :2], 3).ravel().tolist()))
    x, y = batch["centres"][0, 0]
    corners = {(round(float(first), 3), round(float(second), 3)) for first, second, *_ in seen}
    turned = {(x, y), (y, SIDE - x), (SIDE - x, SIDE - y), (SIDE - y, x)}
    assert corners <= {(round(float(a), 3), round(float(b), 3)) for a, b in turned}


def test_spoilt_scenes_keep_shape_and_type() -> None:
    pixels = np.random.default_rng(0).integers(0, 256, (SIDE, SIDE, 3), np.uint8)
    made = [spoil(pixels, np.random.default_rng(seed)) for seed in range(40)]
    assert all(each.shape == pixels.shape and each.dtype == np.uint8 for each in made)
    assert 5 < sum(np.array_equal(each, pixels) for each in made) < 35
