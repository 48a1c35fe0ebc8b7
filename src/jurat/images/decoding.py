"""Decodes the bytes of a file into RGB frames, whatever the file turns out to be.

Nothing in a file raises anything but `ImageError`, nothing large is allocated before its size was
checked, and nothing is printed. No setting of Pillow is changed, so that threads may decode at once.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterator

from PIL import Image, ImageFile

from jurat.images.decoded import Decoded
from jurat.images.errors import ImageError
from jurat.images.formats import Format, damaged, open_image
from jurat.images.frames import Sampling, count_frames, spread
from jurat.images.limits import DEFAULT_MAX_BYTES, DEFAULT_MAX_FRAMES, DEFAULT_MAX_PIXELS, Limits
from jurat.images.pixels import to_rgb
from jurat.images.quiet import quiet
from jurat.images.video import container_of, read_video

__all__ = ["Decoded", "decode", "decoded", "read_frames"]


def decode(
    data: bytes,
    *,
    max_pixels: int = DEFAULT_MAX_PIXELS,
    max_bytes: int = DEFAULT_MAX_BYTES,
    max_frames: int = DEFAULT_MAX_FRAMES,
    sampling: Sampling | None = None,
) -> Decoded:
    """Decodes an image file, up to `max_frames` frames of an animation spread evenly over it, or frames of
    a video.

    Args:
        data: the whole file.
        max_pixels: of one frame; the header is checked before any pixel is decoded.
        max_bytes: of the file.
        max_frames: of an animation; at least 1; with 2 or more the first and the last are among them.
        sampling: which frames of a video.

    Raises:
        ImageError: the file is neither an image nor a video, is damaged, or is beyond a limit. One frame to
            judge that cannot be decoded makes the whole file an error: what it would have shown is not
            known. Or it is a video, and the package that reads videos is not installed.
    """
    limits = Limits(max_bytes, max_pixels, max_frames)
    limits.check_bytes(len(data))
    if (container := container_of(data)) is not None:
        return read_video(data, container, limits, sampling or Sampling())
    with quiet():
        image, format = open_image(data, limits)
        with image:
            frames, indices, count = read_frames(image, format, data, limits)
    return decoded(frames, indices, count, hashlib.sha256(data).hexdigest())


def decoded(frames: tuple[Image.Image, ...], indices: tuple[int, ...], count: int, sha256: str) -> Decoded:
    """A `Decoded` of frames that are chosen from `count`."""
    first = frames[0]
    return Decoded(frames, indices, first.width, first.height, animated=count > 1, sha256=sha256)


def read_frames(
    image: ImageFile.ImageFile, format: Format, data: bytes, limits: Limits
) -> tuple[tuple[Image.Image, ...], tuple[int, ...], int]:
    """The frames to judge of an opened image, their indices, and how many the file has.

    Args:
        data: the whole file, to count a GIF's frames in; may be empty for an image whose frames were counted.

    Raises:
        ImageError: as `decode` does.
    """
    try:
        count = count_frames(image, format, data, limits)
    except ImageError:
        raise
    except Exception as error:  # Pillow's decoders raise anything on hostile input
        raise ImageError(damaged(format, error)) from error
    indices = spread(count, limits.max_frames)
    return tuple(_frames(image, format, indices, count, limits)), indices, count


def _frames(
    image: ImageFile.ImageFile, format: Format, indices: tuple[int, ...], count: int, limits: Limits
) -> Iterator[Image.Image]:
    replayed = format.frames == "replayed"
    if replayed:
        limits.check_replay((indices[-1] + 1) * image.width * image.height)
    kept = drawn = 0
    for index in indices:
        try:
            # Step by step where frames are drawn over each other: a GIF's frame may enlarge the canvas,
            # and Pillow allocates the new one only when it goes on to the next frame.
            start = min(image.tell() + 1, index) if replayed else index
            for step in range(start, index + 1):
                image.seek(step)
                limits.check_size(image.width, image.height)
                drawn += image.width * image.height if replayed else 0
                limits.check_replay(drawn)
            kept += image.width * image.height
            limits.check_kept(kept)
            frame = to_rgb(image)
        except ImageError as error:
            raise ImageError(_of_frame(index, count) + error.message) from error
        except Exception as error:
            raise ImageError(_of_frame(index, count) + damaged(format, error)) from error
        yield frame


def _of_frame(index: int, count: int) -> str:
    return f"frame {index + 1} of {count}: " if count > 1 else ""
