"""Pictures that are not of the pictogram world, made from photographs that well-known packages ship.

Photographs whole, cropped, filtered and overlaid; screenshots of text; line drawings; noise; memes.
"""

from __future__ import annotations

from collections.abc import Iterator
from importlib.resources import files
from pathlib import Path

import numpy as np
from PIL import Image, ImageDraw, ImageFilter, ImageFont, ImageOps

_SKIMAGE = """
    astronaut.png brick.png camera.png cell.png chelsea.png clock_motion.png coffee.png coins.png color.png
    grass.png gravel.png horse.png hubble_deep_field.jpg ihc.png microaneurysms.png moon.png
    motorcycle_left.png
    motorcycle_right.png page.png phantom.png retina.jpg rocket.jpg text.png
"""


def photographs() -> list[tuple[str, Image.Image]]:
    """What scikit-image, scikit-learn and Matplotlib ship, at most 512 pixels a side."""
    from matplotlib.cbook import get_sample_data

    skimage, sklearn = (
        Path(str(files("skimage") / "data")),
        Path(str(files("sklearn") / "datasets" / "images")),
    )
    paths = [skimage / name for name in _SKIMAGE.split()] + [
        sklearn / name for name in ("china.jpg", "flower.jpg")
    ]
    paths.append(Path(get_sample_data("grace_hopper.jpg", asfileobj=False)))
    found = []
    for path in paths:
        with Image.open(path) as picture:
            small = picture.convert("RGB")
            small.thumbnail((512, 512))
            found.append((path.stem, small))
    return found


def foreign_images() -> Iterator[tuple[str, Image.Image]]:
    """At least 200 named pictures, the same on every call."""
    rng = np.random.default_rng(11)
    for name, photo in photographs():
        yield name, photo
        for i in range(3):
            yield f"{name}, crop {i}", _crop(photo, rng)
        yield f"{name}, blurred", photo.filter(ImageFilter.GaussianBlur(3))
        yield (
            f"{name}, contours",
            ImageOps.invert(photo.convert("L").filter(ImageFilter.CONTOUR)).convert("RGB"),
        )
        yield f"{name}, posterised", ImageOps.posterize(photo, 3)
        yield f"{name}, as a meme", _meme(photo)
        yield f"{name}, behind a box", _boxed(photo, rng)
    for i in range(12):
        yield f"noise {i}", Image.fromarray(rng.integers(0, 256, (160, 160, 3), dtype=np.uint8))
        yield f"line drawing {i}", _lines(rng)
        yield f"screenshot {i}", _screenshot(rng)


def _crop(photo: Image.Image, rng: np.random.Generator) -> Image.Image:
    side = int(min(photo.size) * rng.uniform(0.35, 0.8))
    x, y = (int(rng.integers(0, extent - side + 1)) for extent in photo.size)
    return photo.crop((x, y, x + side, y + side))


def _meme(photo: Image.Image) -> Image.Image:
    meme = photo.resize((400, 400))
    draw = ImageDraw.Draw(meme)
    font = ImageFont.load_default(size=44)
    for y, words in ((8, "WHEN THE TEST"), (340, "PASSES TWICE")):
        draw.text((200, y), words, font=font, fill="white", stroke_width=3, stroke_fill="black", anchor="ma")
    return meme


def _boxed(photo: Image.Image, rng: np.random.Generator) -> Image.Image:
    boxed = photo.copy()
    width, height = boxed.size
    x, y = int(rng.integers(0, width // 2)), int(rng.integers(0, height // 2))
    colour = tuple(int(c) for c in rng.integers(0, 256, 3))
    ImageDraw.Draw(boxed).rectangle((x, y, x + width // 3, y + height // 3), fill=colour)
    return boxed


def _lines(rng: np.random.Generator) -> Image.Image:
    sheet = Image.new("RGB", (300, 300), "white")
    draw = ImageDraw.Draw(sheet)
    for _ in range(int(rng.integers(8, 25))):
        points = [tuple(map(int, p)) for p in rng.integers(0, 300, (2, 2))]
        (draw.line if rng.random() < 0.6 else _ellipse(draw))(
            points, fill="black", width=int(rng.integers(1, 5))
        )
    return sheet


def _ellipse(draw: ImageDraw.ImageDraw):
    def ellipse(points, fill, width):
        (x0, y0), (x1, y1) = points
        draw.ellipse((min(x0, x1), min(y0, y1), max(x0, x1), max(y0, y1)), outline=fill, width=width)

    return ellipse


def _screenshot(rng: np.random.Generator) -> Image.Image:
    page = Image.new("RGB", (480, 360), (250, 250, 252))
    draw = ImageDraw.Draw(page)
    draw.rectangle((0, 0, 480, 34), fill=tuple(int(c) for c in rng.integers(30, 120, 3)))
    draw.rectangle((0, 34, 110, 360), fill=(235, 236, 240))
    for row in range(14):
        words = "lorem ipsum dolor sit amet elit sed"[: int(rng.integers(12, 36))]
        draw.text((124, 46 + 22 * row), words, fill=(40, 40, 46), font=ImageFont.load_default(size=14))
    return page
