"""What platforms do to pictures, without looking at them: compression, scaling, cropping."""

from __future__ import annotations

import io

from PIL import Image

__all__ = ["as_jpeg", "cropped", "rescaled", "scaled"]


def as_jpeg(picture: Image.Image, quality: int) -> bytes:
    """The picture as a JPEG file of a quality from 1 to 95."""
    buffer = io.BytesIO()
    picture.convert("RGB").save(buffer, "JPEG", quality=quality)
    return buffer.getvalue()


def scaled(picture: Image.Image, scale: float) -> Image.Image:
    """The picture with both sides scaled, at least one pixel each, with a bicubic filter."""
    width, height = (max(1, round(scale * side)) for side in picture.size)
    return picture.resize((width, height), Image.Resampling.BICUBIC)


def rescaled(picture: Image.Image, scale: float) -> Image.Image:
    """The picture scaled and brought back to its size, so that only detail is lost."""
    return scaled(picture, scale).resize(picture.size, Image.Resampling.BICUBIC)


def cropped(picture: Image.Image, share: float) -> Image.Image:
    """The middle of the picture, `share` of each side, enlarged to its size."""
    width, height = (max(1, round(share * side)) for side in picture.size)
    left, top = (picture.width - width) // 2, (picture.height - height) // 2
    return picture.crop((left, top, left + width, top + height)).resize(picture.size)
