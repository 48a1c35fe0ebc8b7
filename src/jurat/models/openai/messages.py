"""From conversations to the messages of the OpenAI protocol; images travel in them as data URLs.

An image of at most `LOSSLESS_PIXELS` goes as PNG, so that the server sees exactly the pixels that were
judged and the upload stays below a megabyte. A larger one goes as JPEG of high quality with full colour
resolution: it is sent anew with each question, a photograph takes about a sixth of what PNG would
take, and every server decodes both.
"""

from __future__ import annotations

import base64
import io
import math
from collections.abc import Sequence
from typing import Any, TypeAlias

from PIL import Image

from jurat.content import Turn

Message: TypeAlias = dict[str, Any]

LOSSLESS_PIXELS = 512 * 512
JPEG_QUALITY = 92


def messages(turns: Sequence[Turn], urls: Sequence[str]) -> list[Message]:
    """The turns, with the images' data URLs in their order. The content of a turn without images is text."""
    following = iter(urls)
    made: list[Message] = []
    for turn in turns:
        content: str | list[Message] = turn.text
        if turn.images:
            content = [
                {"type": "text", "text": part}
                if isinstance(part, str)
                else {"type": "image_url", "image_url": {"url": next(following)}}
                for part in turn.parts
            ]
        made.append({"role": turn.role, "content": content})
    return made


def data_url(image: Image.Image, max_pixels: int) -> str:
    """The image, scaled down to at most `max_pixels`, as a data URL. The same image makes the same URL."""
    scaled = scale(image, max_pixels)
    lossless = scaled.width * scaled.height <= LOSSLESS_PIXELS
    out = io.BytesIO()
    if lossless:
        scaled.save(out, "PNG")
    else:
        scaled.save(out, "JPEG", quality=JPEG_QUALITY, subsampling=0)
    text = base64.b64encode(out.getbuffer()).decode("ascii")
    return f"data:image/{'png' if lossless else 'jpeg'};base64,{text}"


def scale(image: Image.Image, max_pixels: int) -> Image.Image:
    """The image as RGB, with its sides' ratio kept, of at most `max_pixels`; never enlarged."""
    size = scaled_size(image.width, image.height, max_pixels)
    image = image.convert("RGB")
    return image if size == image.size else image.resize(size, Image.Resampling.LANCZOS)


def scaled_size(width: int, height: int, max_pixels: int) -> tuple[int, int]:
    """What `scale` makes of a width and a height; no side becomes 0."""
    if width * height <= max_pixels:
        return width, height
    factor = math.sqrt(max_pixels / (width * height))
    # Where one side stays at 1 pixel, the other takes what is left.
    if min(width, height) * factor < 1:
        return (1, max_pixels) if width < height else (max_pixels, 1)
    return int(width * factor), int(height * factor)
