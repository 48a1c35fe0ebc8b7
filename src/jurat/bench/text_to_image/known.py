"""Pictures whose truth is known: drawn scenes, or the user's own.

Pictures that a model made are none: what it was prompted with may not be there. Each of these is passed
through the model's codec (encoded into a latent, and decoded), so that the judge sees it with the codec's
traces; what the denoising network adds to a picture of its own is not in it.
"""

from __future__ import annotations

from collections.abc import Sequence
from itertools import islice
from pathlib import Path
from zlib import crc32

import numpy as np
from PIL import Image, ImageOps

from jurat.attacks.attack_run import only_picture
from jurat.bench.text_to_image.pictures import Make, Picture, Wanted
from jurat.bench.text_to_image.suite import Drawing, Suite
from jurat.content import Item
from jurat.errors import JuratError
from jurat.models import LatentDiffusion
from jurat.pictograms.objects import NUMBER
from jurat.pictograms.scene import Look, Wish, draw
from jurat.sources import find_items

__all__ = ["AGAIN", "REAL", "WITH", "WITHOUT", "drawer", "given", "opener", "reconstructor", "scenes"]

WITH, WITHOUT, REAL, AGAIN = "with", "without", "real", "again"
"""Sets: with the concept; without it; of what the prompts of other things name; and others of the same."""
_STREAM = 11
"""Random numbers that no other part of the bench takes."""


def scenes(suite: Suite, seed: int, known: int, others: int, real: int) -> list[Wanted]:
    """Drawn scenes: `known` with the concept and as many without it, half of them with one object and half
    with two; and `real` twice for each of the prompts of other things, with the objects that it names."""
    concept = suite.concept.name
    rest = [name for name in suite.objects if name != concept]
    wanted: list[Wanted] = []
    for name in (WITH, WITHOUT):
        for place in range(known):
            drawn = np.random.default_rng([seed, _STREAM, crc32(name.encode()), place])
            one, other = drawn.permutation(rest)[:2].tolist() if len(rest) > 1 else (rest[0], None)
            first = concept if name == WITH else one
            second = [] if place % 2 else [one if name == WITH else other]
            wanted.append(Wanted(name, place, 0, seed, "", (first, *filter(None, second))))
    for name in (REAL, AGAIN):
        wanted += [
            Wanted(name, number * len(suite.others) + place, 0, seed, each.prompt, each.shows)
            for number in range(real)
            for place, each in enumerate(suite.others[:others])
        ]
    return wanted


def drawer(drawing: Drawing, side: int) -> Make:
    """Draws scenes of `side` pixels."""
    look = Look(sides=drawing.sides, tilt=drawing.tilt)

    def one(wanted: Wanted) -> Image.Image:
        rng = np.random.default_rng([wanted.seed, _STREAM, crc32(wanted.set.encode()), wanted.place, 1])
        ground = str(rng.choice(drawing.grounds))
        wishes = [Wish(NUMBER[name]) for name in wanted.shows]
        return draw(rng, wishes, size=side, texture=ground, look=look).image

    return lambda group: [one(each) for each in group]


def given(suite: Suite, folder: Path, known: int) -> tuple[list[Wanted], dict[str, Item]]:
    """The user's own pictures, at most `known` of the folder `with` and of `without`; the latter are the real
    ones, too. Beside them the files, by ids of what is wanted.

    Raises:
        JuratError: one of the two folders has no pictures.
    """
    wanted: list[Wanted] = []
    items: dict[str, Item] = {}
    for name, kept_as in ((WITH, (WITH,)), (WITHOUT, (WITHOUT, REAL))):
        place = folder / name
        found = list(islice(find_items([str(place)]), known)) if place.is_dir() else []
        if not found:
            raise JuratError(
                f"{place} holds no pictures.",
                hint=f"Put pictures with the concept into {folder / WITH}, others into {folder / WITHOUT}.",
            )
        shows = (suite.concept.name,) if name == WITH else ()
        for kind in kept_as:
            of_kind = [Wanted(kind, number, shows=shows) for number in range(len(found))]
            wanted += of_kind
            items |= {each.id: item for each, item in zip(of_kind, found, strict=True)}
    return wanted, items


def opener(items: dict[str, Item], side: int) -> Make:
    """Reads the user's own pictures, cut to squares of `side` pixels."""

    def one(wanted: Wanted) -> Image.Image:
        image = only_picture(items[wanted.id].read()).convert("RGB")
        return ImageOps.fit(image, (side, side), Image.Resampling.BICUBIC)

    return lambda group: [one(each) for each in group]


def reconstructor(model: LatentDiffusion, pictures: Sequence[Picture]) -> Make:
    """Passes pictures through a model's codec."""
    known = {each.wanted.id: each for each in pictures}
    return lambda group: model.reconstruct([known[each.id].image for each in group])
