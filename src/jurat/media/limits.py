"""Limits on the size of images, checked before memory is spent on them."""

from __future__ import annotations

from dataclasses import dataclass
from math import sqrt

from jurat.content import ImageError

DEFAULT_MAX_BYTES = 256 * 2**20
"""Largest file that is read, in bytes: 256 MiB."""
DEFAULT_MAX_PIXELS = 64_000_000
"""Largest frame that is decoded, in pixels: 64 megapixels, 192 MB as RGB."""
DEFAULT_MAX_FRAMES = 32
"""Most frames of an animation or a video that are decoded."""
JUDGED_PIXELS = 16_000_000
"""Most pixels of a frame that is judged; larger ones are scaled down. No model sees as many."""
DEFAULT_SECONDS = 20.0
"""Processor time that decoding one picture may take, in seconds, with the default limit of pixels."""
VIDEO_SECONDS = 200.0
"""Processor time for one video."""
WALL = 3
"""Wall-clock time that decoding may take, as a multiple of its processor time: the machine may be busy."""
MAX_METADATA = 2**16
"""Most bytes of EXIF data that are read; larger blocks are ignored."""

_KEPT = 2
_SCALED = 8
_BYTES_A_PIXEL = 16
_SEVERAL = 8
_REPLAYED = 32
_COUNTED = 10_000


def fitted(width: int, height: int, most: int) -> tuple[int, int]:
    """Width and height in the same proportion, with at most `most` pixels."""
    factor = min(1.0, sqrt(most / (width * height)))
    return max(1, int(width * factor)), max(1, int(height * factor))


@dataclass(frozen=True)
class Limits:
    """The limits of one decoding; all are inclusive."""

    max_bytes: int = DEFAULT_MAX_BYTES
    max_pixels: int = DEFAULT_MAX_PIXELS
    """Most pixels of one frame."""
    max_frames: int = DEFAULT_MAX_FRAMES
    hint: str = " (--max-image-pixels raises the limit)"
    """Ends the message on a frame that is too large."""

    @property
    def kept_pixels(self) -> int:
        """Pixels of all frames that are kept of one file; where they have more, each is scaled down."""
        return _KEPT * self.max_pixels

    @property
    def scaled_pixels(self) -> int:
        """Pixels of a JPEG that is scaled down while it is read, to half of `max_pixels` at most."""
        return _SCALED * self.max_pixels

    @property
    def memory(self) -> int:
        """Bytes that decoding a picture may take, besides the file's: 1.02 GB with the default limit of
        pixels; a video may take three times as much."""
        return _BYTES_A_PIXEL * self.max_pixels

    def seconds(self, video: bool) -> float:
        """Processor time that decoding may take, in seconds; it grows with `max_pixels`."""
        return (VIDEO_SECONDS if video else DEFAULT_SECONDS) * max(1.0, self.max_pixels / DEFAULT_MAX_PIXELS)

    @property
    def replayed_pixels(self) -> int:
        """Pixels that may be drawn to get to an animation's last frame: two gigapixels, tens of seconds."""
        return _REPLAYED * self.max_pixels

    @property
    def counted_frames(self) -> int:
        """Frames that a file may have, so that counting them ends soon."""
        return _COUNTED

    def check_bytes(self, size: int) -> None:
        """Raises ImageError for an empty or too large file of `size` bytes."""
        if size == 0:
            raise ImageError("the file is empty (0 bytes)")
        if size > self.max_bytes:
            raise ImageError(f"the file has {size:,} bytes, more than the limit of {self.max_bytes:,}")

    def check_size(self, width: int, height: int, *, scaled: bool = False) -> None:
        """Raises ImageError for a frame of `width` x `height` pixels that is empty or too large; one that is
        `scaled` down while it is read may be larger."""
        if width < 1 or height < 1:
            raise ImageError(f"the image has no pixels ({width} x {height})")
        limit = self.scaled_pixels if scaled else self.max_pixels
        if width * height > limit:
            raise ImageError(
                f"{width:,} x {height:,} pixels are more than the limit of {limit:,};"
                " it may be a decompression bomb and was not decoded" + self.hint
            )

    def share_of(self, frames: int) -> int:
        """Pixels that each of so many frames may have, so that all can be kept."""
        return max(1, self.kept_pixels // frames)

    def check_several(self, pixels: int) -> None:
        """Raises ImageError where the images of one item have more than eight frames' pixels together."""
        if pixels > _SEVERAL * self.max_pixels:
            raise ImageError(
                f"its images have {pixels:,} pixels together,"
                f" more than the limit of {_SEVERAL * self.max_pixels:,}"
            )

    def check_count(self, frames: int) -> None:
        """Raises ImageError where a file has more than `counted_frames`."""
        if frames > self.counted_frames:
            raise ImageError(f"it has more frames than the limit of {self.counted_frames:,}")

    def check_replay(self, pixels: int) -> None:
        """Raises ImageError where more than `replayed_pixels` must be drawn to reach the last frame."""
        if pixels > self.replayed_pixels:
            raise ImageError(
                f"{pixels:,} pixels must be drawn to reach its last frame,"
                f" more than the limit of {self.replayed_pixels:,}"
            )
