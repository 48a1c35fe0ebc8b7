"""One small picture of a sample: its images side by side."""

from __future__ import annotations

import io
from collections.abc import Sequence

from PIL import Image

from jurat.content import ImageError
from jurat.media.decoding import still
from jurat.report.gallery import Thumbnail
from jurat.report.gallery.thumbnails import LONGEST

MOST = 6
"""Images that are shown; of more, the first."""
_GAP = 8


def picture_of(images: Sequence[bytes]) -> Thumbnail:
    """The images of a sample as one picture, or why there is none."""
    if not images:
        return Thumbnail(None, missing="This sample has no image.")
    try:
        shown = [still(data, 0, None, None, LONGEST // min(len(images), 2)) for data in images[:MOST]]
    except ImageError as error:
        return Thumbnail(None, missing=f"The image cannot be shown: {error}")
    joined = shown[0] if len(shown) == 1 else _joined(shown)
    out = io.BytesIO()
    joined.save(out, "WEBP", quality=78, method=4)
    return Thumbnail(out.getvalue(), *joined.size)


def _joined(images: Sequence[Image.Image]) -> Image.Image:
    width = sum(image.width for image in images) + _GAP * (len(images) - 1)
    joined = Image.new("RGB", (width, max(image.height for image in images)), "white")
    left = 0
    for image in images:
        joined.paste(image, (left, 0))
        left += image.width + _GAP
    return joined
