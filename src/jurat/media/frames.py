"""Chooses the frames of animations and videos to judge, and counts those of an animation."""

from __future__ import annotations

from dataclasses import dataclass
from itertools import count

from PIL import ImageFile

from jurat.media.formats import Format
from jurat.media.limits import DEFAULT_MAX_FRAMES, DEFAULT_MAX_PIXELS, Limits

DEFAULT_FPS = 1.0
"""Frames judged for each second of a video."""


@dataclass(frozen=True)
class Sampling:
    """Which frames of a video or an animation are judged, and how large a picture may be."""

    fps: float = DEFAULT_FPS
    """Frames for each second of a video."""
    frames: int = DEFAULT_MAX_FRAMES
    """Most frames of one video or animation, spread evenly over it where it has more."""
    max_pixels: int = DEFAULT_MAX_PIXELS
    """Most pixels of one frame; a larger one is an error."""

    def __post_init__(self) -> None:
        if not 0 < self.fps <= 240 or self.frames < 1:
            raise ValueError("fps must be above 0 and at most 240, frames at least 1")
        if self.max_pixels < 1:
            raise ValueError("max_pixels must be at least 1")

    def times(self, duration: float) -> tuple[float, ...]:
        """Seconds from the beginning of a video that lasts `duration` seconds, rising, the first 0.

        >>> Sampling(1, 4).times(3.5)
        (0.0, 1.0, 2.0, 3.0)
        >>> Sampling(1, 4).times(10)
        (0.0, 3.0, 6.0, 9.0)
        """
        count = max(1, int(duration * self.fps - 1e-6) + 1)
        return tuple(index / self.fps for index in spread(count, self.frames))


def spread(count: int, limit: int) -> tuple[int, ...]:
    """At most `limit` indices of `count` frames, rising, evenly spread, the first and the last among them.

    >>> spread(100, 8)
    (0, 14, 28, 42, 57, 71, 85, 99)
    >>> spread(3, 8)
    (0, 1, 2)
    """
    if count < 1 or limit < 1:
        raise ValueError("count and limit must be at least 1")
    if count <= limit:
        return tuple(range(count))
    if limit == 1:
        return (0,)
    gaps = limit - 1
    return tuple((i * (count - 1) + gaps // 2) // gaps for i in range(limit))


def count_frames(image: ImageFile.ImageFile, format: Format, limits: Limits) -> int:
    """How many frames or pages an opened image has, found without decoding them.

    Raises:
        ImageError: more than `limits.counted_frames`.
        Exception: whatever Pillow raises for a broken file.
    """
    if format.frames == "one":
        return 1
    if format.frames == "pages":
        return _count_pages(image, limits)
    frames = int(getattr(image, "n_frames", 1))
    limits.check_count(frames)
    return max(frames, 1)


def _count_pages(image: ImageFile.ImageFile, limits: Limits) -> int:
    for page in count(1):
        limits.check_count(page)
        try:
            image.seek(page)
        except EOFError:
            image.seek(0)
            return page
    raise AssertionError("count() does not end")
