"""Kinds of pictures that the bundled judge has to know for strangers, and kinds of scenes that it has to read
rightly or refuse. None shares code with `training/`; each picture has random numbers of its own.

A kind of strangers holds something that the world does not: most kinds nothing else, and those "among
objects" one such thing among one to four objects of the world. A kind of scenes holds what the world does,
drawn in another way. `Picture.broken` says which of the six rules (`rules.toml`) the objects of the world in
it break.
"""

from __future__ import annotations

import zlib
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np
from PIL import Image, ImageFilter, ImageOps
from scipy.ndimage import binary_dilation

from jurat.pictograms.objects import NUMBER
from tests.strangers import drawings, photographs
from tests.strangers.rules import broken_rules, draw_case, rules
from tests.strangers.scenes import (
    FIRST_CARD,
    HELD_OUT,
    STRANGER,
    Drawing,
    Look,
    Rng,
    Thing,
    any_look,
    compressed,
    render,
)
from tests.strangers.sprites import SetName, icons, outlines, strangers, taught
from tests.strangers.truth import facts, known

Drawn = Drawing | Image.Image | tuple[Image.Image, Drawing]
"""A drawing with its truth, a picture of nothing of the world, or a picture with the scene that it shows."""
Maker = Callable[[Rng, int], Drawn | None]
"""Draws one picture from its random numbers and its number in the kind; None to be tried again."""
Change = Callable[[Drawing, Rng], Drawing]
SIX = "six"
LEAST_CONTRAST = 36
"""Levels of 255 by which the mean colour of a stranger differs from that around it, at least."""


@dataclass(frozen=True)
class Kind:
    name: str
    of: Literal["strangers", "scenes"]
    make: Maker
    needs: str = ""
    """What is not installed, without which there are no such pictures."""


@dataclass(frozen=True)
class Picture:
    name: str
    image: Image.Image
    broken: frozenset[str]
    """Which of the six rules the objects of the world in it break."""


def pictures(kind: Kind, n: int, seed: int) -> Iterator[Picture]:
    """The first `n` pictures of a kind; the same for the same seed, however many are drawn."""
    for number in range(n):
        rng = np.random.default_rng([seed, zlib.crc32(kind.name.encode()), number])
        for _ in range(400):
            drawn = kind.make(rng, number)
            broken = None if drawn is None else _broken(drawn)
            if drawn is not None and broken is not None:
                break
        else:
            raise ValueError(f"{kind.name} {number} could not be drawn")
        image = drawn[0] if isinstance(drawn, tuple) else drawn.image if isinstance(drawn, Drawing) else drawn
        yield Picture(f"{kind.name} {number}", image.convert("RGB"), broken)


def _broken(drawn: Drawn) -> frozenset[str] | None:
    """The rules that the objects of the world in it break; None where the truth of one is open."""
    if isinstance(drawn, Image.Image):
        return frozenset()
    return broken_rules(SIX, known(facts(drawn[1] if isinstance(drawn, tuple) else drawn)))


# --- strangers in scenes ------------------------------------------------------------------------------


def alone(things: Callable[[Rng], Image.Image]) -> Maker:
    """One to four strangers on a backdrop."""

    def make(rng: Rng, number: int) -> Drawing | None:
        some = [things(rng) for _ in range(int(rng.integers(1, 5)))]
        return _distinct(render(some, rng, look=any_look(rng)))

    return make


def among(things: Callable[[Rng], Image.Image]) -> Maker:
    """One stranger among one to four objects of the world."""

    def make(rng: Rng, number: int) -> Drawing | None:
        some: list[Thing] = [*objects(rng, 1, 4), things(rng)]
        order = rng.permutation(len(some)).tolist()
        touching = (0, 1) if rng.random() < 0.2 else None
        return _distinct(render([some[i] for i in order], rng, touching, look=any_look(rng)))

    return make


def _distinct(drawing: Drawing | None) -> Drawing | None:
    """The drawing, if its strangers stand out from what is around them."""
    if drawing is None:
        return None
    pixels = np.asarray(drawing.image).astype(float)
    for name, mask in zip(drawing.names, drawing.masks, strict=True):
        around = binary_dilation(mask, iterations=3) & ~mask
        if name == STRANGER and np.abs(pixels[mask].mean(0) - pixels[around].mean(0)).max() < LEAST_CONTRAST:
            return None
    return drawing


def objects(rng: Rng, least: int, most: int) -> list[int]:
    """Classes of the world, cards among them."""
    return [int(kind) for kind in rng.integers(0, FIRST_CARD + 6, int(rng.integers(least, most + 1)))]


def some_of(drawn: Callable[[], Sequence[Image.Image]]) -> Callable[[Rng], Image.Image]:
    return lambda rng: drawn()[int(rng.integers(len(drawn())))]


def icon(rng: Rng) -> Image.Image:
    """A symbol in one colour, in half of the cases on a tile as apps have it."""
    black = icons()[int(rng.integers(len(icons())))]
    flat = Image.new("RGBA", black.size, (*drawings.colour(rng), 255))
    flat.putalpha(black.getchannel("A"))
    if rng.random() < 0.5:
        return flat
    tile = Image.new("RGBA", (128, 128), (*drawings.colour(rng, 120), 255))
    flat.thumbnail((92, 92))
    tile.paste(flat, ((128 - flat.width) // 2, (128 - flat.height) // 2), flat)
    return tile


def swapped_halves(rng: Rng) -> Image.Image:
    """The left or upper half of one object with the other half of another."""
    one, two = (taught()[k].resize((96, 96)) for k in rng.choice(FIRST_CARD, 2, replace=False).tolist())
    made = one.copy()
    box = (48, 0, 96, 96) if rng.random() < 0.5 else (0, 48, 96, 96)
    made.paste(two.crop(box), box[:2])
    return made


def recoloured(rng: Rng) -> Image.Image:
    """An object whose colours are turned by a quarter to three quarters of the circle."""
    picture = taught()[int(rng.integers(FIRST_CARD))]
    hue, saturation, value = picture.convert("RGB").convert("HSV").split()
    turn = int(rng.integers(64, 192))
    vivid = saturation.point(lambda v: min(255, v + 60))
    made = Image.merge("HSV", (hue.point(lambda v: (v + turn) % 256), vivid, value)).convert("RGBA")
    made.putalpha(picture.getchannel("A"))
    return made


# --- scenes spoilt, and together with other pictures -----------------------------------------------------


def scene(rng: Rng, look: Look | None = None) -> Drawing | None:
    return render(objects(rng, 2, 5), rng, look=look or any_look(rng))


def within(change: Callable[[Image.Image, Rng], Image.Image], sizes: Sequence[int] = ()) -> Maker:
    """A picture made of a scene."""

    def make(rng: Rng, number: int) -> Drawn | None:
        drawn = scene(rng, Look(int(rng.choice(sizes))) if sizes else None)
        return drawn and (change(drawn.image, rng), drawn)

    return make


def contours(image: Image.Image, rng: Rng) -> Image.Image:
    kinds = (ImageFilter.CONTOUR, ImageFilter.FIND_EDGES)
    grey = image.convert("L") if rng.random() < 0.7 else image
    return grey.filter(kinds[int(rng.integers(2))])


def enlarged(rng: Rng, number: int) -> Image.Image:
    """One object so large that the picture's rim cuts it off."""
    look = any_look(rng)
    ground = drawings.backdrop(rng, look.size)
    picture = taught()[int(rng.integers(FIRST_CARD))]
    scale = look.size * float(rng.uniform(1.3, 2.2)) / max(picture.size)
    large = picture.resize(tuple(round(extent * scale) for extent in picture.size), Image.Resampling.BICUBIC)
    ground.paste(large, tuple(int(v) for v in rng.uniform(-0.7, -0.2, 2) * look.size), large)
    return ground


def side_by_side(rng: Rng, number: int) -> Drawing | None:
    """Two scenes in one picture."""
    look = Look(int(rng.choice([128, 192, 256])))
    left, right = scene(rng, look), scene(rng, look)
    if left is None or right is None:
        return None
    masks = [np.pad(mask, ((0, 0), (0, look.size))) for mask in left.masks]
    masks += [np.pad(mask, ((0, 0), (look.size, 0))) for mask in right.masks]
    return Drawing(_beside(left.image, right.image), left.names + right.names, masks)


def _beside(left: Image.Image, right: Image.Image) -> Image.Image:
    sheet = Image.new("RGB", (left.width + right.width, left.height))
    sheet.paste(left, (0, 0))
    sheet.paste(right, (left.width, 0))
    return sheet


def beside_photograph(image: Image.Image, rng: Rng) -> Image.Image:
    return _beside(image, photographs.ground(rng, image.width))


def over_photograph(image: Image.Image, rng: Rng) -> Image.Image:
    """The scene over the middle of a photograph, 90% of its side."""
    size = round(image.width / 0.9)
    sheet = photographs.ground(rng, size)
    sheet.paste(image, ((size - image.width) // 2,) * 2)
    return sheet


def on_photograph(blur: tuple[float, float] | None) -> Maker:
    def make(rng: Rng, number: int) -> Drawing | None:
        size = int(rng.choice([160, 224, 320]))
        strength = float(rng.uniform(*blur)) * size / 256 if blur else 0.0
        return render(objects(rng, 1, 5), rng, ground=photographs.ground(rng, size, strength))

    return make


# --- scenes drawn in other ways --------------------------------------------------------------------------


def case(look: Callable[[Rng], Look] = any_look, change: Change | None = None) -> Maker:
    """A scene for one of the six rules, every second one of which breaks it."""

    def make(rng: Rng, number: int) -> Drawing | None:
        rule = rules(SIX)[(number // 2) % len(rules(SIX))]
        scenes = rule.broken if number % 2 == 0 else rule.kept
        chosen = scenes[int(rng.integers(len(scenes)))]
        return draw_case(SIX, rule, chosen, number % 2 == 0, rng, look(rng), change).drawing

    return make


BREAKING = ("kitchen knife", "dagger", "axe", "bomb", "cigarette")


def redrawn(source: SetName, change: Change | None = None) -> Maker:
    """One to four objects of the world as a set draws them, every second picture breaking a rule."""

    def make(rng: Rng, number: int) -> Drawing | None:
        there = sorted(kind for kind in taught(source) if kind < FIRST_CARD)
        kinds = rng.choice(there, int(rng.integers(1, 5))).tolist()
        breaking = [NUMBER[name] for name in BREAKING if NUMBER[name] in there and name != "bomb"]
        kinds += [int(rng.choice(breaking))] if number % 2 == 0 else []
        drawn = render(kinds, rng, look=Look(any_look(rng).size, sprites=source))
        drawn = change(drawn, rng) if drawn and change else drawn
        return drawn if drawn and bool(_broken(drawn)) is (number % 2 == 0) else None

    return make


def copies(rng: Rng, number: int) -> Drawing | None:
    """Four to six of one object, every second time of one that breaks a rule."""
    kind = NUMBER[str(rng.choice(BREAKING))] if number % 2 == 0 else int(rng.integers(FIRST_CARD))
    drawn = render([kind] * int(rng.integers(4, 7)), rng, look=Look(256, (24, 36)))
    return drawn if drawn and bool(_broken(drawn)) is (number % 2 == 0) else None


def grey(drawing: Drawing, rng: Rng) -> Drawing:
    return Drawing(drawing.image.convert("L").convert("RGB"), drawing.names, drawing.masks)


def flip(drawing: Drawing, how: Image.Transpose) -> Drawing:
    turned = [np.asarray(Image.fromarray(mask).transpose(how)) for mask in drawing.masks]
    return Drawing(drawing.image.transpose(how), drawing.names, turned)


def mirrored(drawing: Drawing, rng: Rng) -> Drawing:
    return flip(drawing, Image.Transpose.FLIP_LEFT_RIGHT)


def upside_down(drawing: Drawing, rng: Rng) -> Drawing:
    return flip(drawing, Image.Transpose.ROTATE_180)


def quarter_turn(drawing: Drawing, rng: Rng) -> Drawing:
    return flip(drawing, (Image.Transpose.ROTATE_90, Image.Transpose.ROTATE_270)[int(rng.integers(2))])


def turned(drawing: Drawing, rng: Rng) -> Drawing:
    """By 10 to 40 degrees either way; what comes in at the corners has the backdrop's colour, or is black."""
    angle = float(rng.uniform(10, 40)) * (1 if rng.random() < 0.5 else -1)
    fill = drawing.image.getpixel((2, 2)) if rng.random() < 0.5 else (0, 0, 0)
    image = drawing.image.rotate(angle, Image.Resampling.BICUBIC, expand=True, fillcolor=fill)
    masks = [np.asarray(Image.fromarray(mask).rotate(angle, expand=True)) for mask in drawing.masks]
    return Drawing(image, drawing.names, masks)


def coarse(drawing: Drawing, rng: Rng) -> Drawing:
    return Drawing(compressed(drawing.image, 30), drawing.names, drawing.masks)


def held_out(rng: Rng) -> Look:
    return Look(any_look(rng).size, backdrop=str(rng.choice(list(HELD_OUT))))


# --- all of them -------------------------------------------------------------------------------------------

_noto = {name: some_of(lambda name=name: strangers("noto", name)) for name in ("things", "people", "symbols")}
_fluent, _fxemoji = some_of(lambda: strangers("fluent")), some_of(lambda: strangers("fxemoji"))
_FONT = "" if outlines() else "the Debian package fonts-symbola"


def _strangers(name: str, make: Maker, needs: str = "") -> Kind:
    return Kind(name, "strangers", make, needs)


STRANGERS: tuple[Kind, ...] = (
    _strangers("untaught things of the font", alone(_noto["things"])),
    _strangers("untaught faces and people of the font", alone(_noto["people"])),
    _strangers("untaught symbols of the font", alone(_noto["symbols"])),
    _strangers("an untaught thing among objects", among(_noto["things"])),
    _strangers("an untaught face or person among objects", among(_noto["people"])),
    _strangers("an untaught symbol among objects", among(_noto["symbols"])),
    _strangers("untaught emoji of Fluent", alone(_fluent)),
    _strangers("untaught emoji of FxEmojis", alone(_fxemoji)),
    _strangers("one of Fluent among objects", among(_fluent)),
    _strangers("one of FxEmojis among objects", among(_fxemoji)),
    _strangers("line art", alone(some_of(outlines)), _FONT),
    _strangers("line art among objects", among(some_of(outlines)), _FONT),
    _strangers("icons", alone(icon)),
    _strangers("an icon among objects", among(icon)),
    _strangers("coloured letters", alone(drawings.letter)),
    _strangers("a letter among objects", among(drawings.letter)),
    _strangers("flat shapes", alone(drawings.shape)),
    _strangers("a flat shape among objects", among(drawings.shape)),
    _strangers("halves of two objects", alone(swapped_halves)),
    _strangers("halves of two objects among objects", among(swapped_halves)),
    _strangers("recoloured objects", alone(recoloured)),
    _strangers("contours of scenes", within(contours)),
    _strangers("inverted scenes", within(lambda image, rng: ImageOps.invert(image))),
    _strangers("an object cut off by the rim", enlarged),
    _strangers("two scenes side by side", side_by_side),
    _strangers("a scene beside a photograph", within(beside_photograph, (128, 192, 256))),
    _strangers("a scene over 90% of a photograph", within(over_photograph, (172, 230, 346))),
    _strangers("a scene in a page of text", within(lambda image, rng: drawings.page(rng, image), (256,))),
    _strangers("objects on a photograph", on_photograph(None)),
    _strangers("objects on a blurred photograph", on_photograph((3, 9))),
    _strangers("photographs", photographs.whole),
    _strangers("parts of photographs", photographs.crop),
    _strangers("filtered photographs", photographs.filtered),
    _strangers("photographs with words or a box", photographs.captioned),
    _strangers("line charts", drawings.line_chart),
    _strangers("other charts", drawings.other_chart),
    _strangers("tables", drawings.number_table),
    _strangers("maps", drawings.street_map),
    _strangers("cartoons", drawings.cartoon),
    _strangers("scribbles", drawings.scribble),
    _strangers("screenshots of text", drawings.screenshot),
    _strangers("codes of squares", drawings.squares),
    _strangers("discs in a grid", drawings.cells),
    _strangers("noise", drawings.noise),
)
SCENES: tuple[Kind, ...] = tuple(
    Kind(name, "scenes", make)
    for name, make in (
        ("as drawn", case()),
        ("greyscale", case(change=grey)),
        ("mirrored, no signs", redrawn("noto", mirrored)),
        ("upside down", case(change=upside_down)),
        ("a quarter turn", case(change=quarter_turn)),
        ("turned by 10 to 40 degrees", case(change=turned)),
        ("objects of 16 to 26 units", case(lambda rng: Look(any_look(rng).size, (16, 26)))),
        ("4 to 6 copies of one object", copies),
        ("JPEG 30", case(lambda rng: Look(256), coarse)),
        ("96 pixels", case(lambda rng: Look(96))),
        ("512 pixels", case(lambda rng: Look(512))),
        ("backdrops held out", case(held_out)),
        ("the objects of Twemoji", redrawn("twemoji")),
        ("the objects of Fluent", redrawn("fluent")),
        ("the objects of FxEmojis", redrawn("fxemoji")),
    )
)
