"""What decoding a file gives."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

if TYPE_CHECKING:
    from PIL import Image


@dataclass(frozen=True)
class Decoded:
    """The frames of an image or a video that are judged, upright and in RGB."""

    frames: tuple[Image.Image, ...]
    """Mode RGB, 8 bits a channel; one for a still image."""
    indices: tuple[int, ...]
    """Index of each frame in the file, from 0, rising; of a video, among these frames. A frame that viewers
    show in several ways comes several times, with the same index."""
    width: int
    """Of the first frame as it is shown, after its EXIF orientation, in pixels, before large frames were
    scaled down."""
    height: int
    animated: bool
    """Whether the file has several frames or pages."""
    sha256: str
    """Hex digest of the file's bytes; of the pixels for an image that came as pixels (`pixels_sha256`)."""
    times: tuple[float, ...] = ()
    """Of each frame of a video: seconds from its beginning. Empty for anything else."""
    duration: float | None = None
    """Of a video, in seconds."""
    renderings: tuple[str | None, ...] = ()
    """Of each frame: in which of the ways that viewers show it ("over black"); None for one with only one
    way. Empty where all have only one."""
    scales: tuple[float, ...] = ()
    """Of each frame: how many pixels of the file one of its own stands for, along a side. Empty where none
    was scaled down."""
    count: int | None = 1
    """How many frames or pages the file has; None for a video."""

    @property
    def kind(self) -> Literal["image", "animation", "video"]:
        return "video" if self.times else "animation" if self.animated else "image"
