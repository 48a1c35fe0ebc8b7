"""From conversations to the messages of the OpenAI protocol; images travel in them as data URLs.

PNG is lossless: the server sees exactly the pixels that were judged. JPEG of high quality with full colour
resolution takes about a sixth of that for a photograph, and changes noise by 5 levels of 255 on average.
`auto` sends an image of at most `LOSSLESS_PIXELS` as PNG, below a megabyte, and a larger one as JPEG, since
it is sent anew with each question.
"""

from __future__ import annotations

import asyncio
import base64
import io
import math
from collections.abc import Callable, Sequence
from typing import Any, TypeAlias

from PIL import Image

from jurat.content import Failure, Turn
from jurat.models.model_spec import ImageFormat, Serving

Message: TypeAlias = dict[str, Any]

LOSSLESS_PIXELS = 512 * 512
JPEG_QUALITY = 92


def _text_part(text: str) -> Message:
    return {"type": "text", "text": text}


def _image_part(url: str) -> Message:
    return {"type": "image_url", "image_url": {"url": url}}


def messages(
    turns: Sequence[Turn],
    urls: Sequence[str],
    text_part: Callable[[str], Message] = _text_part,
    image_part: Callable[[str], Message] = _image_part,
) -> list[Message]:
    """The turns, with the images' data URLs in their order. The content of a turn without images is text."""
    following = iter(urls)

    def content(turn: Turn) -> str | list[Message]:
        if not turn.images:
            return turn.text
        return [text_part(p) if isinstance(p, str) else image_part(next(following)) for p in turn.parts]

    return [{"role": turn.role, "content": content(turn)} for turn in turns]


def data_url(image: Image.Image, max_pixels: int, image_format: ImageFormat = "auto") -> str:
    """The image, scaled down to at most `max_pixels`, as a data URL. The same image makes the same URL."""
    scaled = scale(image, max_pixels)
    if image_format == "auto":
        image_format = "png" if scaled.width * scaled.height <= LOSSLESS_PIXELS else "jpeg"
    out = io.BytesIO()
    if image_format == "png":
        scaled.save(out, "PNG")
    else:
        scaled.save(out, "JPEG", quality=JPEG_QUALITY, subsampling=0)
    return f"data:image/{image_format};base64,{base64.b64encode(out.getbuffer()).decode('ascii')}"


async def data_urls(images: Sequence[Image.Image], serving: Serving) -> list[str] | Failure:
    """The data URL of each image, made beside the calls that are under way."""
    size, form = serving.max_pixels, serving.image_format
    try:
        return [await asyncio.to_thread(data_url, image, size, form) for image in images]
    except (OSError, ValueError, MemoryError) as error:
        return Failure("error", f"The image could not be sent: {type(error).__name__}: {error}")


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
