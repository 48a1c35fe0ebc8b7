"""Composition of the scenes of training, with their mix as data.

Most scenes are those of `jurat.pictograms.scene`, with objects of other sizes and tilts among them, some
with copies of one object or members of one group, and never with a pair of `HELD_APART`. Some hold unknown
things, or have a background that is unknown, wholly or in part.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from PIL import Image

from jurat.pictograms.objects import GROUPS, HELD_APART, OBJECTS
from jurat.pictograms.scene import MOST, SIDE, Look, Scene, Wish, background, draw, pick_kinds
from jurat.pictograms.statements import UNKNOWN
from training.scenes.grounds import unknown_ground
from training.scenes.unknown import unknown_sprite

LOOKS: dict[str, tuple[float, Look]] = {
    "usual": (0.62, Look()),
    "small": (0.14, Look(sides=(16, 28), card_sides=(26, 40))),
    "mixed": (0.14, Look(sides=(16, 50), card_sides=(28, 56))),
    "turned": (0.10, Look(sides=(24, 44), tilt=180, card_tilt=30)),
}
"""Name of a look -> its share of scenes, and the look."""
SIZES: dict[int, float] = {SIDE: 0.75, 224: 0.15, 352: 0.10}
"""Side in pixels -> its share of scenes. Larger ones are scaled down to `SIDE` as the model's processor does,
which looks other than a drawing of that size."""
CHOSEN = 0.30
"""Share of scenes whose objects are those of `chosen_kinds`, where it names some (two in five)."""
UNKNOWN_THINGS = 0.30
"""Share of scenes with one to four unknown things."""
UNKNOWN_GROUNDS = 0.16
"""Share of scenes on an unknown background."""
NOTHING_KNOWN = 0.25
"""Share of the pictures with unknown things or grounds that hold nothing else."""
RARE_TEXTURES = ("stripes", "checks", "crossed stripes")
RARE = 0.18
"""Share of scenes on one of `RARE_TEXTURES`; crossed stripes are the mean of two backgrounds of stripes."""


@dataclass(frozen=True)
class Composed:
    """A scene, with the pixels where its background is unknown."""

    scene: Scene
    foreign: np.ndarray
    """Pixels of an unknown background, covered ones included; bool, of the scene's shape."""
    tags: tuple[str, ...]
    """Names of its parts, to be counted: a look, and kinds of unknown things and backgrounds."""


def compose(rng: np.random.Generator, *, known: bool = False) -> Composed:
    """A scene of training; with `known`, one without unknown things and backgrounds."""
    for _ in range(50):
        try:
            return _compose(rng, known)
        except RuntimeError:  # no room for what was drawn
            continue
    raise RuntimeError("no scene found room in 50 tries")


def _compose(rng: np.random.Generator, known: bool) -> Composed:
    name = str(rng.choice(list(LOOKS), p=[share for share, _ in LOOKS.values()]))
    size = int(rng.choice(list(SIZES), p=list(SIZES.values())))
    tags = [f"look {name}", f"size {size}"]
    strange_things = not known and rng.random() < UNKNOWN_THINGS
    strange_ground = not known and rng.random() < UNKNOWN_GROUNDS
    wishes = [Wish(kind) for kind in kinds_of_a_scene(rng)]
    if (strange_things or strange_ground) and rng.random() < NOTHING_KNOWN:
        wishes = []
    if strange_things:
        for _ in range(int(rng.choice([1, 2, 3, 4], p=[0.55, 0.25, 0.12, 0.08]))):
            kind, sprite = unknown_sprite(rng)
            tags.append(f"unknown {kind}")
            wishes.append(Wish(UNKNOWN, sprite=sprite))
        wishes = [wishes[int(i)] for i in rng.permutation(len(wishes))][:MOST]
    ground, foreign = _known_ground(rng, size), np.zeros((size, size), bool)
    if strange_ground:
        foreign = _foreign(rng, size)
        ground[foreign] = _unknown_ground(rng, size, tags)[foreign]
    scene = draw(
        rng,
        wishes,
        ground=ground,
        look=LOOKS[name][1],
        crowd=True,
        resample=_FILTERS[int(rng.integers(len(_FILTERS)))],
    )
    if any(thing.kind == UNKNOWN for thing in scene.objects):
        tags.append("with unknown things")
    return Composed(scene, foreign, tuple(tags))


_FILTERS = (
    Image.Resampling.BICUBIC,
    Image.Resampling.LANCZOS,
    Image.Resampling.BILINEAR,
    Image.Resampling.BOX,
)


def kinds_of_a_scene(rng: np.random.Generator) -> list[int]:
    """The classes of a random scene, none of which are held apart."""
    kinds = chosen_kinds(rng) if rng.random() < CHOSEN else None
    return together(kinds or pick_kinds(rng))


def chosen_kinds(rng: np.random.Generator) -> list[int] | None:
    """Classes of a scene that seldom comes by chance: two to six copies of one object, or members of one
    group and at most one stranger (for `Only`, and for counts of groups); in three of five cases None."""
    how = rng.random()
    if how < 0.2:
        kind, other = rng.integers(0, len(OBJECTS), 2).tolist()
        return [kind] * int(rng.integers(2, 7)) + [other] * int(rng.integers(0, 2))
    if how < 0.4:
        members = sorted(GROUPS[int(rng.integers(len(GROUPS)))].classes)
        strangers = rng.integers(0, len(OBJECTS), int(rng.integers(0, 2))).tolist()
        return rng.choice(members, int(rng.integers(1, 5))).tolist() + strangers
    return None


def together(kinds: list[int]) -> list[int]:
    """`kinds` without those that are held apart from an earlier one."""
    kept: list[int] = []
    for kind in kinds:
        if all(frozenset((kind, other)) not in HELD_APART for other in kept):
            kept.append(kind)
    return kept


def _known_ground(rng: np.random.Generator, size: int) -> np.ndarray:
    rare = rng.random() < RARE
    texture = str(rng.choice(RARE_TEXTURES)) if rare else None
    if texture == "crossed stripes":
        return (background(rng, size, "stripes") + background(rng, size, "stripes")) / 2
    return background(rng, size, texture)


def _unknown_ground(rng: np.random.Generator, size: int, tags: list[str]) -> np.ndarray:
    kind, picture = unknown_ground(rng)
    tags.append(f"ground {kind}")
    return np.asarray(picture.resize((size, size), Image.Resampling.BICUBIC), np.float32)


def _foreign(rng: np.random.Generator, size: int) -> np.ndarray:
    """Where a background is unknown: everywhere, in a band at a side, or in a rectangle."""
    foreign = np.ones((size, size), bool)
    if rng.random() >= 0.4:
        return foreign
    foreign[:] = False
    across = int(rng.integers(size // 8, size * 7 // 8))
    if rng.random() < 0.5:
        foreign[:, :across] = True
        return np.rot90(foreign, int(rng.integers(4))).copy()
    wide, high = (int(v) for v in rng.integers(size // 4, size, 2))
    x, y = int(rng.integers(0, size - wide + 1)), int(rng.integers(0, size - high + 1))
    foreign[y : y + high, x : x + wide] = True
    return foreign
