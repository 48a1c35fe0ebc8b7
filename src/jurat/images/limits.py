"""How large an image may be: what is checked before memory is spent on it."""

from __future__ import annotations

from dataclasses import dataclass

from jurat.images.errors import ImageError

DEFAULT_MAX_BYTES = 256 * 2**20
"""Largest file that is read, in bytes: 256 MiB."""
DEFAULT_MAX_PIXELS = 64_000_000
"""Largest frame that is decoded, in pixels: 64 megapixels, 192 MB as RGB."""
DEFAULT_MAX_FRAMES = 8
"""How many frames of an animation are decoded."""

_KEPT = 2
_SEVERAL = 8
_REPLAYED = 32
_COUNTED = 10_000


@dataclass(frozen=True)
class Limits:
    """The limits of one decoding; all are inclusive."""

    max_bytes: int = DEFAULT_MAX_BYTES
    max_pixels: int = DEFAULT_MAX_PIXELS
    """Of one frame."""
    max_frames: int = DEFAULT_MAX_FRAMES

    @property
    def kept_pixels(self) -> int:
        """Pixels of all frames that are kept of one file: twice a frame's, so eight frames of 4K pass."""
        return _KEPT * self.max_pixels

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

    def check_size(self, width: int, height: int) -> None:
        """Raises ImageError for a frame of `width` x `height` pixels that is empty or too large."""
        if width < 1 or height < 1:
            raise ImageError(f"the image has no pixels ({width} x {height})")
        if width * height > self.max_pixels:
            raise ImageError(
                f"{width:,} x {height:,} pixels are more than the limit of {self.max_pixels:,};"
                " it may be a decompression bomb and was not decoded"
            )

    def check_kept(self, pixels: int) -> None:
        """Raises ImageError where the frames to keep have more than `kept_pixels` together."""
        if pixels > self.kept_pixels:
            raise ImageError(
                f"its frames to judge have {pixels:,} pixels together,"
                f" more than the limit of {self.kept_pixels:,}"
            )

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
