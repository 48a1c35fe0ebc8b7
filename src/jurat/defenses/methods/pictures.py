"""Pictures are changed before the model sees them, so that what an attack put into single pixels is lost.

They help against changes that are small and were not made with the defense in view; an attack that goes
through the same change is not stopped.
"""

from __future__ import annotations

import io
from dataclasses import dataclass
from typing import Annotated, ClassVar

from PIL import Image
from pydantic import Field

from jurat.defenses.defense import Defense
from jurat.media.changes import as_jpeg, rescaled
from jurat.named_settings import setting

__all__ = ["Jpeg", "Resize"]


@dataclass(frozen=True)
class Jpeg(Defense):
    """Compression and decompression."""

    name: ClassVar[str] = "jpeg"

    quality: Annotated[int, Field(ge=1, le=95)] = setting(75, "ours", "Quality of Pillow's encoder.")

    def image(self, image: Image.Image) -> Image.Image:
        return Image.open(io.BytesIO(as_jpeg(image, self.quality))).convert("RGB")


@dataclass(frozen=True)
class Resize(Defense):
    """Scaling down and up to the same size, both bicubic."""

    name: ClassVar[str] = "resize"

    scale: Annotated[float, Field(gt=0, le=1)] = setting(0.5, "ours", "Share of each side that is kept.")

    def image(self, image: Image.Image) -> Image.Image:
        return rescaled(image, self.scale)
