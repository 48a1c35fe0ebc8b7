"""Kinds of pictures that the bundled judge has to know for strangers, and kinds of scenes that it has to read
rightly or refuse. None shares code with `training/`; each picture has random numbers of its own.

A kind of strangers holds something that the world does not: half of the kinds nothing else, and those "among
objects" one such thing among one to four objects of the world. A kind of scenes holds what the world does, drawn
in another way. `Picture.broken` says which of the six rules (`rules.toml`) the objects of the world in it break.
"""

from __future__ import annotations

import zlib
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np
from PIL import Image, ImageFilter, ImageOps

from tests.strangers import drawings, photographs
from tests.strangers.rules import broken_rules, draw_case, rules
from tests.strangers.scenes import (
    FIRST_CARD,
    HELD_OUT,
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

Maker = Callable[[Rng, int], Drawing | Image.Image | None]
"""Draws one picture from its random numbers and its number in the kind; None to be tried again."""
Change = Callable[[Drawing, Rng], Drawing]
SIX = "six"


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
        drawn = broken = None
        for _ in range(400):
            drawn = kind.make(rng, number)
            broken = frozenset[str]() if isinstance(drawn, Image.Image) else _broken(drawn)
            if broken is not None:
                break
        assert drawn is not None and broken is not None, f"{kind.name} {number} could not be drawn"
        image = drawn if isinstance(drawn, Image.Image) else drawn.image
        yield Picture(f"{kind.name} {number}", image.convert("RGB"), broken)


def _broken(drawing: Drawing | None) -> frozenset[str] | None:
    return None if drawing is None else broken_rules(SIX, known(facts(drawing)))


# --- strangers in scenes ------------------------------------------------------------------------------


def alone(things: Callable[[Rng], Image.Image]) -> Maker:
    """One to four strangers on a backdrop."""

    def make(rng: Rng, number: int) -> Drawing | None:
        return render([things(rng) for _ in range(int(rng.integers(1, 5)))], rng, look=any_look(rng))

    return make


def among(things: Callable[[Rng], Image.Image]) -> Maker:
    """One stranger among one to four objects of the world."""

    def make(rng: Rng, number: int) -> Drawing | None:
        some: list[Thing] = [*objects(rng, 1, 4), things(rng)]
        order = rng.permutation(len(some)).tolist()
        touching = (0, 1) if rng.random() < 0.2 else None
        return render([some[i] for i in order], rng, touching, look=any_look(rng))

    return make


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


def spoilt(change: Callable[[Image.Image, Rng], Image.Image]) -> Maker:
    """A scene whose picture is changed, its objects staying where they are."""

    def make(rng: Rng, number: int) -> Drawing | None:
        drawn = scene(rng)
        return drawn and Drawing(change(drawn.image, rng).convert("RGB"), drawn.names, drawn.masks)

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
    size = int(rng.choice([128, 192, 256]))
    two = [scene(rng, Look(size)) for _ in range(2)]
    if two[0] is None or two[1] is None:
        return None
    return _joined(two[0], two[1].image, two[1])


def beside_photograph(rng: Rng, number: int) -> Drawing | None:
    size = int(rng.choice([128, 192, 256]))
    drawn = scene(rng, Look(size))
    return drawn and _joined(drawn, photographs.ground(rng, size))


def _joined(left: Drawing, right: Image.Image, more: Drawing | None = None) -> Drawing:
    sheet = Image.new("RGB", (2 * right.width, right.height))
    sheet.paste(left.image, (0, 0))
    sheet.paste(right, (right.width, 0))
    none = ((0, 0), (0, right.width)), ((0, 0), (right.width, 0))
    masks = [np.pad(mask, none[0]) for mask in left.masks]
    masks += [np.pad(mask, none[1]) for mask in (more.masks if more else [])]
    return Drawing(sheet, left.names + (more.names if more else []), masks)


def over_photograph(rng: Rng, number: int) -> Drawing | None:
    """A scene over the middle 90% of a photograph."""
    size = int(rng.choice([192, 256, 384]))
    inner = round(size * 0.9)
    drawn = scene(rng, Look(inner))
    if drawn is None:
        return None
    sheet, at = photographs.ground(rng, size), (size - inner) // 2
    sheet.paste(drawn.image, (at, at))
    rest = size - inner - at
    return Drawing(sheet, drawn.names, [np.pad(mask, (at, rest)) for mask in drawn.masks])


def in_a_page(rng: Rng, number: int) -> Image.Image | None:
    drawn = scene(rng, Look(256))
    return drawn and drawings.page(rng, drawn.image)


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


def redrawn(source: SetName) -> Maker:
    """Objects of the world as another set draws them, every second picture breaking a rule."""

    def make(rng: Rng, number: int) -> Drawing | None:
        there = sorted(kind for kind in taught(source) if kind < FIRST_CARD)
        for _ in range(400):
            kinds = rng.choice(there, int(rng.integers(1, 5))).tolist()
            drawn = render(kinds, rng, look=Look(any_look(rng).size, sprites=source))
            broken = _broken(drawn)
            if broken is not None and bool(broken) is (number % 2 == 0):
                return drawn
        return None

    return make


def copies(rng: Rng, number: int) -> Drawing | None:
    """Four to six of one object, every second time of one that breaks a rule."""
    kind = int(rng.integers(FIRST_CARD))
    drawn = render([kind] * int(rng.integers(4, 7)), rng, look=Look(256, (24, 36)))
    return drawn if drawn and (bool(_broken(drawn)) is (number % 2 == 0)) else None


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
    _strangers("contours of scenes", spoilt(contours)),
    _strangers("inverted scenes", spoilt(lambda image, rng: ImageOps.invert(image))),
    _strangers("an object cut off by the rim", enlarged),
    _strangers("two scenes side by side", side_by_side),
    _strangers("a scene beside a photograph", beside_photograph),
    _strangers("a scene over 90% of a photograph", over_photograph),
    _strangers("a scene in a page of text", in_a_page),
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
        ("mirrored", case(lambda rng: Look(256, mirrors=False), mirrored)),
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
