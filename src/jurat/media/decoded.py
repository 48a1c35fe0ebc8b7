"""The result of decoding a file."""

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
    """Width of the first frame as it is shown, after its EXIF orientation, in pixels, before large frames
    were scaled down."""
    height: int
    animated: bool
    """Whether the file has several frames or pages."""
    sha256: str
    """Hex digest of the file's bytes, or of the pixels of an image from memory (`pixels_sha256`)."""
    times: tuple[float, ...] = ()
    """Seconds from the beginning, for each frame of a video. Empty for anything else."""
    duration: float | None = None
    """Length of a video in seconds."""
    renderings: tuple[str | None, ...] = ()
    """For each frame, which of the ways in which viewers show it ("over black"); None for one that all show
    alike. Empty where all are."""
    scales: tuple[float, ...] = ()
    """For each frame, how many pixels of the file one of its pixels stands for, along a side. Empty where
    none was scaled down."""
    count: int | None = 1
    """How many frames or pages the file has; None for a video."""

    @property
    def kind(self) -> Literal["image", "animation", "video"]:
        return "video" if self.times else "animation" if self.animated else "image"
