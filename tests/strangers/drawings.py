"""Pictures made of other things than emoji: letters, shapes, charts, tables, maps, cartoons, codes, noise.

Each function draws one picture from its random numbers.
"""

from __future__ import annotations

import io
import math
import string

import numpy as np
from PIL import Image, ImageDraw, ImageFont

from tests.strangers.scenes import backdrop
from tests.strangers.sprites import glyph

Rng = np.random.Generator
WORDS = (
    "lorem",
    "ipsum",
    "dolor",
    "sit",
    "amet",
    "elit",
    "sed",
    "tempor",
    "magna",
    "aliqua",
    "enim",
    "minim",
)


def colour(rng: Rng, low: int = 0, high: int = 256) -> tuple[int, int, int]:
    r, g, b = (int(c) for c in rng.integers(low, high, 3))
    return r, g, b


def side(rng: Rng) -> int:
    return int(rng.choice([128, 192, 256, 384]))


def letter(rng: Rng) -> Image.Image:
    """One coloured letter, digit or mark."""
    from matplotlib.font_manager import findfont

    faces = ("DejaVu Sans:bold", "DejaVu Serif:bold", "DejaVu Sans", "DejaVu Sans Mono:bold")
    font = ImageFont.truetype(findfont(faces[int(rng.integers(len(faces)))]), 80)
    return glyph(str(rng.choice(list(string.ascii_letters + string.digits + "?!&%@#"))), font, colour(rng))


def shape(rng: Rng) -> Image.Image:
    """One flat shape: a polygon, a star, a ring, a half disc, a cross or a heart."""
    canvas = Image.new("RGBA", (96, 96), (0, 0, 0, 0))
    pen, fill = ImageDraw.Draw(canvas), colour(rng)
    edge = colour(rng) if rng.random() < 0.4 else None
    match int(rng.integers(6)):
        case 0:
            pen.regular_polygon((48, 48, 46), int(rng.integers(3, 9)), float(rng.uniform(0, 90)), fill, edge)
        case 1:
            tips = int(rng.integers(4, 9))
            spokes = [(46 if i % 2 == 0 else 20, math.pi * i / tips) for i in range(2 * tips)]
            pen.polygon([(48 + r * math.sin(a), 48 - r * math.cos(a)) for r, a in spokes], fill, edge)
        case 2:
            pen.ellipse((3, 3, 93, 93), outline=fill, width=int(rng.integers(8, 30)))
        case 3:
            pen.pieslice((3, 3, 93, 93), 0, int(rng.integers(120, 300)), fill, edge)
        case 4:
            pen.rectangle((36, 3, 60, 93), fill)
            pen.rectangle((3, 36, 93, 60), fill)
        case _:
            pen.ellipse((4, 8, 50, 54), fill)
            pen.ellipse((46, 8, 92, 54), fill)
            pen.polygon([(8, 42), (88, 42), (48, 92)], fill)
    return canvas.crop(canvas.getchannel("A").getbbox())


def line_chart(rng: Rng, number: int) -> Image.Image:
    """One to four curves over axes."""

    def plot(axes):
        for n in range(int(rng.integers(1, 5))):
            values = (
                np.cumsum(rng.normal(0, 1, 30)) if rng.random() < 0.6 else np.sin(np.arange(30) / (2 + n))
            )
            axes.plot(values, lw=float(rng.uniform(0.8, 3)), marker=str(rng.choice(["", "o", "."])))
        axes.grid(bool(rng.random() < 0.5))
        axes.set_title(" ".join(rng.choice(WORDS, 2)))

    return _chart(rng, plot)


def other_chart(rng: Rng, number: int) -> Image.Image:
    """Bars, a pie, points or a heat map."""

    def plot(axes):
        values = rng.uniform(1, 9, int(rng.integers(3, 8)))
        if number % 4 == 0:
            axes.bar(rng.choice(WORDS, len(values), replace=False), values, color=_palette(rng, len(values)))
        elif number % 4 == 1:
            axes.pie(values, colors=_palette(rng, len(values)), labels=rng.choice(WORDS, len(values)))
        elif number % 4 == 2:
            axes.scatter(*rng.normal(0, 1, (2, 40)), c=rng.uniform(0, 1, 40), s=float(rng.uniform(10, 120)))
        else:
            axes.imshow(rng.uniform(0, 1, (6, 6)), cmap=str(rng.choice(["viridis", "magma", "coolwarm"])))

    return _chart(rng, plot)


def _palette(rng: Rng, count: int) -> list[tuple[float, ...]]:
    return [tuple(c) for c in rng.uniform(0.1, 0.95, (count, 3)).tolist()]


def _chart(rng: Rng, plot) -> Image.Image:
    from matplotlib.figure import Figure

    wide = float(rng.uniform(2.4, 4.2))
    figure = Figure((wide, wide if rng.random() < 0.5 else wide * 0.75), dpi=90)
    plot(figure.subplots())
    buffer = io.BytesIO()
    figure.savefig(buffer)
    with Image.open(buffer) as drawn:
        return drawn.convert("RGB")


def screenshot(rng: Rng, number: int) -> Image.Image:
    """A window with text, dark or light."""
    dark = rng.random() < 0.3
    page = Image.new("RGB", (480, 360), (28, 28, 34) if dark else (250, 250, 252))
    draw = ImageDraw.Draw(page)
    draw.rectangle((0, 0, 480, 34), fill=colour(rng, 30, 140))
    if rng.random() < 0.6:
        draw.rectangle((0, 34, 110, 360), fill=(44, 44, 52) if dark else (235, 236, 240))
    size = int(rng.integers(11, 20))
    for y in range(46, 350, int(size * 1.6)):
        words = " ".join(rng.choice(WORDS, int(rng.integers(2, 7))))
        draw.text(
            (124, y), words, fill=(210, 210, 216) if dark else (40, 40, 46), font=ImageFont.load_default(size)
        )
    return page


def page(rng: Rng, inner: Image.Image) -> Image.Image:
    """A picture in a page of text."""
    sheet = Image.new("RGB", (420, 420), (252, 252, 250))
    draw = ImageDraw.Draw(sheet)
    extent = int(rng.integers(150, 260))
    x, y = int(rng.integers(10, 410 - extent)), int(rng.integers(40, 400 - extent))
    for row in range(12, 410, 18):
        draw.text(
            (14, row), " ".join(rng.choice(WORDS, 9)), fill=(50, 50, 56), font=ImageFont.load_default(12)
        )
    draw.rectangle((x - 8, y - 8, x + extent + 8, y + extent + 8), fill=(252, 252, 250))
    sheet.paste(inner.resize((extent, extent), Image.Resampling.LANCZOS), (x, y))
    return sheet


def scribble(rng: Rng, number: int) -> Image.Image:
    """Curves by hand."""
    extent = side(rng)
    sheet = Image.new("RGB", (extent, extent), "white" if rng.random() < 0.5 else colour(rng, 150))
    pen = ImageDraw.Draw(sheet)
    for _ in range(int(rng.integers(1, 7))):
        steps = np.cumsum(rng.normal(0, extent / 18, (int(rng.integers(10, 70)), 2)), 0)
        points = rng.uniform(0.2, 0.8, 2) * extent + steps
        ink = "black" if rng.random() < 0.5 else colour(rng, 0, 160)
        pen.line([tuple(p) for p in points.tolist()], ink, int(rng.integers(1, 7)), "curve")
    return sheet


def street_map(rng: Rng, number: int) -> Image.Image:
    """Streets, a river, parks and names."""
    extent = 320
    sheet = Image.new("RGB", (extent, extent), (240, 236, 226))
    pen = ImageDraw.Draw(sheet)
    for _ in range(int(rng.integers(1, 4))):
        x, y, w, h = rng.uniform(0, extent, 4)
        pen.rectangle((x, y, x + w / 3, y + h / 3), fill=(190, 222, 170))
    curve = [(x, 160 + 60 * math.sin(x / 70 + float(rng.uniform(0, 0.3)))) for x in range(0, extent + 20, 20)]
    pen.line(curve, (150, 190, 230), 22, "curve")
    for _ in range(int(rng.integers(6, 16))):
        points = [tuple(p) for p in rng.uniform(-40, extent + 40, (int(rng.integers(2, 4)), 2)).tolist()]
        main = rng.random() < 0.3
        pen.line(points, (250, 200, 90) if main else "white", 9 if main else 5)
    for _ in range(6):
        place = tuple(rng.uniform(0, extent - 60, 2).tolist())
        pen.text(place, str(rng.choice(WORDS)), fill=(70, 70, 80), font=ImageFont.load_default(13))
    return sheet


def number_table(rng: Rng, number: int) -> Image.Image:
    """Rows of numbers under headings."""
    columns, rows = int(rng.integers(3, 6)), int(rng.integers(5, 12))
    sheet = Image.new("RGB", (columns * 84 + 8, rows * 24 + 8), "white")
    pen = ImageDraw.Draw(sheet)
    head, stripe = colour(rng, 60, 210), bool(rng.random() < 0.5)
    for row in range(rows):
        if row == 0 or (stripe and row % 2):
            pen.rectangle(
                (4, 4 + row * 24, sheet.width - 4, 28 + row * 24), fill=head if row == 0 else (238, 240, 244)
            )
        for at in range(columns):
            text = str(rng.choice(WORDS)) if row == 0 or at == 0 else f"{rng.uniform(0, 999):.1f}"
            pen.text((10 + at * 84, 8 + row * 24), text, fill="black", font=ImageFont.load_default(13))
            pen.rectangle((4 + at * 84, 4 + row * 24, 88 + at * 84, 28 + row * 24), outline=(180, 180, 186))
    return sheet


def cartoon(rng: Rng, number: int) -> Image.Image:
    """A house, a sun, a tree of two shapes and stick figures."""
    extent = 256
    sky = colour(rng, 150, 256)
    sheet = Image.new("RGB", (extent, extent), sky)
    pen = ImageDraw.Draw(sheet)
    pen.rectangle((0, 180, extent, extent), fill=(int(rng.integers(60, 150)), 180, 80))
    x = float(rng.uniform(10, 120))
    pen.rectangle((x, 110, x + 90, 200), fill=colour(rng, 90), outline="black", width=3)
    pen.polygon([(x - 8, 112), (x + 98, 112), (x + 45, 60)], fill=colour(rng, 60, 220), outline="black")
    pen.rectangle((x + 34, 150, x + 56, 200), fill=colour(rng), outline="black", width=2)
    sun = float(rng.uniform(10, 200))
    pen.ellipse((sun, 12, sun + 40, 52), fill=(255, 214, 40), outline="black", width=2)
    for _ in range(int(rng.integers(1, 4))):
        at = float(rng.uniform(20, 236))
        pen.ellipse((at - 9, 158, at + 9, 176), fill="white", outline="black", width=3)
        bones = ((at, 176, at, 210), (at, 186, at - 14, 198), (at, 186, at + 14, 198))
        legs = ((at, 210, at - 10, 236), (at, 210, at + 10, 236))
        for bone in (*bones, *legs):
            pen.line(bone, fill="black", width=3)
    at = float(rng.uniform(150, 220))
    pen.rectangle((at, 150, at + 12, 200), fill=(120, 80, 40))
    pen.polygon([(at - 24, 156), (at + 36, 156), (at + 6, 90)], fill=(40, 130, 60))
    return sheet


def squares(rng: Rng, number: int) -> Image.Image:
    """A code of black and white squares, with the three marks of a QR code in half of them."""
    cells = int(rng.integers(17, 34))
    code = rng.random((cells, cells)) < 0.5
    if number % 2 == 0:
        for top, left in ((0, 0), (0, cells - 7), (cells - 7, 0)):
            mark = np.zeros((7, 7), bool)
            mark[[0, -1], :] = mark[:, [0, -1]] = mark[2:5, 2:5] = True
            code[top : top + 7, left : left + 7] = mark
    ink = (0, 0, 0) if rng.random() < 0.6 else colour(rng, 0, 130)
    pixels = np.where(code[..., None], np.array(ink), 255).astype(np.uint8)
    extent = side(rng)
    inner = Image.fromarray(pixels).resize((int(extent * 0.8),) * 2, Image.Resampling.NEAREST)
    sheet = Image.new("RGB", (extent, extent), "white")
    sheet.paste(inner, (extent // 10, extent // 10))
    return sheet


def noise(rng: Rng, number: int) -> Image.Image:
    """White noise, noise of one colour, smooth noise, stripes of noise."""
    extent = side(rng)
    if number % 4 == 0:
        return Image.fromarray(rng.integers(0, 256, (extent, extent, 3), dtype=np.uint8))
    if number % 4 == 1:
        grey = rng.integers(0, 256, (extent, extent), dtype=np.uint8)
        return Image.fromarray(grey).convert("RGB")
    if number % 4 == 2:
        few = rng.integers(0, 256, (int(rng.integers(3, 30)),) * 2 + (3,), dtype=np.uint8)
        return Image.fromarray(few).resize((extent, extent), Image.Resampling.BICUBIC)
    row = rng.integers(0, 256, (1, extent, 3), dtype=np.uint8)
    return Image.fromarray(np.repeat(row, extent, 0))


def cells(rng: Rng, number: int) -> Image.Image:
    """Discs in a grid, of random colours, as in a board game or an app."""
    extent, across = side(rng), int(rng.integers(3, 9))
    sheet = backdrop(rng, extent)
    pen, step = ImageDraw.Draw(sheet), extent / across
    for row in range(across):
        for at in range(across):
            if rng.random() < 0.6:
                box = (at * step + 3, row * step + 3, (at + 1) * step - 3, (row + 1) * step - 3)
                (pen.ellipse if rng.random() < 0.6 else pen.rectangle)(box, fill=colour(rng))
    return sheet
