"""Generated pictures that are not scenes, the negatives of the domain gate.

No photograph is among them: clouds of natural spectrum, overlapping leaves, drawings, text, noise, and
spoilt scenes (enlarged, tiled, negative, smeared). Tests measure the gate on photographs.
"""

from __future__ import annotations

import string
from collections.abc import Callable

import numpy as np
from PIL import Image, ImageDraw, ImageFilter, ImageFont, ImageOps

from jurat.pictograms.atlas import sprites
from jurat.pictograms.scene import SIDE, background, draw

Maker = Callable[[np.random.Generator], Image.Image]


def out_of_domain_picture(rng: np.random.Generator) -> Image.Image:
    """One picture that is not a scene, `SIDE` pixels a side."""
    maker = _MAKERS[int(rng.integers(len(_MAKERS)))]
    image = maker(rng).convert("RGB").resize((SIDE, SIDE), Image.Resampling.BICUBIC)
    if rng.random() < 0.25:
        image = ImageOps.grayscale(image).convert("RGB")
    if rng.random() < 0.2:
        image = image.filter(ImageFilter.GaussianBlur(rng.uniform(0.5, 2.5)))
    return image


def _colour(rng: np.random.Generator) -> tuple[int, int, int]:
    r, g, b = (int(c) for c in rng.integers(0, 256, 3))
    return r, g, b


def _spectrum(rng: np.random.Generator) -> Image.Image:
    """Noise whose power falls with frequency as that of photographs does, its colours correlated."""
    side = SIDE
    radius = np.hypot(*np.meshgrid(np.fft.fftfreq(side), np.fft.fftfreq(side)))
    radius[0, 0] = 1 / side
    fall = radius ** -rng.uniform(0.8, 2.2)
    planes = [np.real(np.fft.ifft2(np.fft.fft2(rng.normal(size=(side, side))) * fall)) for _ in range(3)]
    mixed = np.stack([planes[0] + rng.uniform(0, 0.8) * plane for plane in planes], -1)
    mixed = (mixed - mixed.mean()) / (mixed.std() + 1e-6)
    value = rng.uniform(60, 190, 3) + mixed * rng.uniform(20, 70)
    return Image.fromarray(np.clip(value, 0, 255).astype(np.uint8))


def _leaves(rng: np.random.Generator) -> Image.Image:
    """Dead leaves: overlapping patches of power-law size, as objects occlude each other in photographs."""
    canvas = Image.new("RGB", (SIDE, SIDE), _colour(rng))
    pen = ImageDraw.Draw(canvas)
    palette = [_colour(rng) for _ in range(int(rng.integers(3, 14)))]
    square = rng.random() < 0.4
    for _ in range(int(rng.integers(15, 300))):
        size = float(min(80, rng.uniform(2, 6) * rng.random() ** -0.6))
        x, y = rng.uniform(-10, SIDE + 10, 2)
        box = (x - size, y - size * rng.uniform(0.3, 1), x + size, y + size)
        (pen.rectangle if square else pen.ellipse)(box, fill=palette[int(rng.integers(len(palette)))])
    return _mixed(canvas, _spectrum(rng), rng.uniform(0, 0.5))


def _mixed(first: Image.Image, second: Image.Image, share: float) -> Image.Image:
    return Image.blend(first.convert("RGB"), second.convert("RGB"), share)


def _drawing(rng: np.random.Generator) -> Image.Image:
    paper = (255, 255, 255) if rng.random() < 0.6 else _colour(rng)
    canvas = Image.new("RGB", (256, 256), paper)
    pen = ImageDraw.Draw(canvas)
    ink = (0, 0, 0) if rng.random() < 0.6 else _colour(rng)
    for _ in range(int(rng.integers(3, 30))):
        points = [tuple(p) for p in rng.uniform(0, 256, (int(rng.integers(2, 5)), 2)).tolist()]
        if rng.random() < 0.6:
            pen.line(points, fill=ink, width=int(rng.integers(1, 8)))
        else:
            (x0, y0), (x1, y1) = points[0], points[1]
            box = (min(x0, x1), min(y0, y1), max(x0, x1), max(y0, y1))
            pen.ellipse(box, outline=ink, width=int(rng.integers(1, 6)))
    return canvas


def _text(rng: np.random.Generator) -> Image.Image:
    canvas = Image.new("RGB", (320, 320), (250, 250, 250) if rng.random() < 0.6 else _colour(rng))
    pen = ImageDraw.Draw(canvas)
    if rng.random() < 0.5:
        pen.rectangle((0, 0, *rng.uniform(20, 320, 2).tolist()), fill=_colour(rng))
    size = int(rng.integers(9, 60))
    ink = _colour(rng) if rng.random() < 0.5 else (20, 20, 20)
    font = ImageFont.load_default(size=size)
    for y in range(4, 320, int(size * rng.uniform(1.2, 2.5))):
        letters = "".join(rng.choice(list(string.ascii_letters + "   "), int(rng.integers(2, 60))))
        pen.text((int(rng.integers(0, 60)), y), letters, fill=ink, font=font)
    return canvas


def _noise(rng: np.random.Generator) -> Image.Image:
    side = int(rng.integers(8, 200))
    planes = 3 if rng.random() < 0.7 else 1
    value = rng.integers(0, 256, (side, side, planes), dtype=np.uint8)
    return Image.fromarray(np.repeat(value, 3, 2) if planes == 1 else value)


def _empty(rng: np.random.Generator) -> Image.Image:
    """A background with nothing on it."""
    return Image.fromarray(np.clip(background(rng), 0, 255).astype(np.uint8))


def _enlarged(rng: np.random.Generator) -> Image.Image:
    scene = draw(rng, size=256).image
    side = int(rng.uniform(0.2, 0.45) * 256)
    x, y = (int(v) for v in rng.integers(0, 256 - side, 2))
    return scene.crop((x, y, x + side, y + side))


def _tiled(rng: np.random.Generator) -> Image.Image:
    sheet = Image.new("RGB", (256, 256))
    for i in range(4):
        sheet.paste(draw(rng).image, (128 * (i % 2), 128 * (i // 2)))
    return sheet


def _negative(rng: np.random.Generator) -> Image.Image:
    return ImageOps.invert(draw(rng).image)


def _smeared(rng: np.random.Generator) -> Image.Image:
    return draw(rng).image.filter(ImageFilter.GaussianBlur(rng.uniform(4, 9)))


def _portrait(rng: np.random.Generator) -> Image.Image:
    """One sprite that fills the picture, on clutter."""
    canvas = (_leaves if rng.random() < 0.5 else _spectrum)(rng)
    side, x, y = int(rng.integers(80, 180)), int(rng.integers(-40, 40)), int(rng.integers(-40, 40))
    sprite = sprites()[int(rng.integers(len(sprites())))].resize((side, side)).convert("RGBA")
    canvas.paste(sprite, (x, y), sprite)
    return canvas


def _striped(rng: np.random.Generator) -> Image.Image:
    """Regular textures of high contrast, warped: bricks, weave, ripples."""
    u, v = np.meshgrid(np.linspace(0, 1, SIDE), np.linspace(0, 1, SIDE))
    warp = np.asarray(_spectrum(rng).convert("L"), float) / 255 * rng.uniform(0, 0.3)
    waves = np.sin((u + warp) * rng.uniform(5, 90)) + np.sin(
        (v + warp) * rng.uniform(5, 90) + rng.uniform(0, 6)
    )
    if rng.random() < 0.5:
        waves = np.sign(waves)
    value = rng.uniform(50, 200, 3) + waves[..., None] * rng.uniform(15, 60) * rng.uniform(0.5, 1, 3)
    return Image.fromarray(np.clip(value, 0, 255).astype(np.uint8))


def _contours(rng: np.random.Generator) -> Image.Image:
    """The edges of a cluttered picture, dark on light or light on dark."""
    clutter = (_leaves if rng.random() < 0.6 else _spectrum)(rng).convert(
        "L" if rng.random() < 0.7 else "RGB"
    )
    edges = clutter.filter(ImageFilter.CONTOUR if rng.random() < 0.5 else ImageFilter.FIND_EDGES).convert(
        "RGB"
    )
    return ImageOps.invert(edges) if rng.random() < 0.5 else edges


def _blobs(rng: np.random.Generator) -> Image.Image:
    """A few soft lights on a plain ground, as a photograph out of focus or in the dark."""
    u, v = np.meshgrid(np.linspace(0, 1, SIDE), np.linspace(0, 1, SIDE))
    value = np.full((SIDE, SIDE, 3), rng.uniform(0, 255))
    for _ in range(int(rng.integers(1, 9))):
        x, y, wide, high = *rng.uniform(-0.1, 1.1, 2), *rng.uniform(0.03, 0.35, 2)
        light = np.exp(-(((u - x) / wide) ** 2) - ((v - y) / high) ** 2)
        value += light[..., None] * rng.uniform(-160, 160) * rng.uniform(0.6, 1, 3)
    value += rng.normal(0, rng.uniform(0, 12), value.shape)
    return Image.fromarray(np.clip(value, 0, 255).astype(np.uint8))


_MAKERS: tuple[Maker, ...] = (
    _spectrum,
    _spectrum,
    _leaves,
    _leaves,
    _leaves,
    _drawing,
    _text,
    _noise,
    _empty,
    _enlarged,
    _tiled,
    _negative,
    _smeared,
    _portrait,
    _striped,
    _striped,
    _contours,
    _contours,
    _blobs,
    _blobs,
)
