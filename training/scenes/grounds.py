"""Unknown backgrounds, made only of noise, shapes and scenes.

Clouds of natural spectrum, overlapping leaves, warped textures, soft lights; and scenes that are enlarged,
smeared, or filtered by a random kernel and a random mixture of their colours. There is no photograph
among them, no drawing, no text, no negative and no collage: those are left to the tests.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
from PIL import Image, ImageDraw, ImageFilter

from jurat.pictograms.scene import SIDE, draw

Maker = Callable[[np.random.Generator], Image.Image]


def unknown_ground(rng: np.random.Generator) -> tuple[str, Image.Image]:
    """A random kind of `SHARES` and an image of it, `SIDE` pixels a side."""
    kind = str(rng.choice(list(SHARES), p=list(SHARES.values())))
    image = _MAKERS[kind](rng).convert("RGB").resize((SIDE, SIDE), Image.Resampling.BICUBIC)
    if rng.random() < 0.2:
        image = image.filter(ImageFilter.GaussianBlur(rng.uniform(0.5, 2.5)))
    return kind, image


def _colour(rng: np.random.Generator) -> tuple[int, int, int]:
    r, g, b = (int(c) for c in rng.integers(0, 256, 3))
    return r, g, b


def _spectrum(rng: np.random.Generator) -> Image.Image:
    """Noise with the power spectrum of photographs and correlated colours."""
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


def _enlarged(rng: np.random.Generator) -> Image.Image:
    scene = draw(rng, size=256).image
    side = int(rng.uniform(0.2, 0.45) * 256)
    x, y = (int(v) for v in rng.integers(0, 256 - side, 2))
    return scene.crop((x, y, x + side, y + side))


def _smeared(rng: np.random.Generator) -> Image.Image:
    return draw(rng).image.filter(ImageFilter.GaussianBlur(rng.uniform(4, 9)))


def _striped(rng: np.random.Generator) -> Image.Image:
    """Regular textures of high contrast, warped: bricks, weave, ripples. Straight or faint ones are known."""
    u, v = np.meshgrid(np.linspace(0, 1, SIDE), np.linspace(0, 1, SIDE))
    warp = np.asarray(_spectrum(rng).convert("L"), float) / 255 * rng.uniform(0.1, 0.3)
    waves = np.sin((u + warp) * rng.uniform(5, 90)) + np.sin(
        (v + warp) * rng.uniform(5, 90) + rng.uniform(0, 6)
    )
    if rng.random() < 0.5:
        waves = np.sign(waves)
    value = rng.uniform(50, 200, 3) + waves[..., None] * rng.uniform(30, 60) * rng.uniform(0.5, 1, 3)
    return Image.fromarray(np.clip(value, 0, 255).astype(np.uint8))


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


def _filtered(rng: np.random.Generator) -> Image.Image:
    """A scene under a random kernel whose weights sum to nearly nothing or to one, and a random mixture of
    its colours."""
    from scipy.ndimage import convolve

    pixels = draw(rng).pixels.astype(np.float32)
    side = int(rng.choice([3, 5]))
    kernel = rng.normal(size=(side, side))
    kernel -= kernel.mean()
    if rng.random() < 0.4:
        kernel[side // 2, side // 2] += rng.choice([-1, 1])
    made = np.stack([convolve(pixels[..., i], kernel, mode="nearest") for i in range(3)], -1)
    made = made @ rng.normal(size=(3, 3)).astype(np.float32)
    made = (made - made.mean((0, 1))) / (made.std((0, 1)) + 1e-6)
    value = rng.uniform(30, 225, 3) + made * rng.uniform(25, 80)
    return Image.fromarray(np.clip(value, 0, 255).astype(np.uint8))


SHARES: dict[str, float] = {
    "spectrum": 0.24,
    "leaves": 0.24,
    "striped": 0.16,
    "blobs": 0.12,
    "filtered": 0.14,
    "enlarged": 0.05,
    "smeared": 0.05,
}
"""Kind of unknown background -> its share."""
_MAKERS: dict[str, Maker] = {
    "spectrum": _spectrum,
    "leaves": _leaves,
    "striped": _striped,
    "blobs": _blobs,
    "filtered": _filtered,
    "enlarged": _enlarged,
    "smeared": _smeared,
}
