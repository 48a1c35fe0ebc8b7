"""Decodes the bytes of a file into RGB frames, whatever the file turns out to be.

Nothing in a file raises anything but `ImageError`, nothing large is allocated before its size was
checked, and nothing is printed. Still PNG, JPEG and WebP images of ordinary size are decoded here, since
their headers bound what that takes; anything else in a process of its own, with a budget of time and
memory (`jurat.media.decoder_pool`). No setting of Pillow is changed, so that threads may decode at once.
"""

from __future__ import annotations

import hashlib
import io
from collections.abc import Generator, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass

from PIL import Image, ImageFile

from jurat.content import ImageError
from jurat.media.decoded import Decoded
from jurat.media.formats import Format, WebP, check_tail, damaged, format_of, open_image, read_webp
from jurat.media.frames import Sampling, count_frames, spread
from jurat.media.gif import Gif, read_gif
from jurat.media.jpeg import Jpeg, read_jpeg
from jurat.media.limits import DEFAULT_MAX_BYTES, JUDGED_PIXELS, MAX_METADATA, Limits
from jurat.media.png import Png, read_png
from jurat.media.quiet import complaints, quiet
from jurat.media.renderings import Rendering, reduced, renderings
from jurat.media.tiff import check_tiff
from jurat.media.video import container_of, frame_at, read_video, require_pyav

__all__ = ["Decoded", "decode", "decode_here", "still", "still_here"]

QUICK_PIXELS = 16_000_000
"""Most pixels of an image that is decoded in this process."""


def decode(
    data: bytes,
    *,
    max_pixels: int | None = None,
    max_bytes: int = DEFAULT_MAX_BYTES,
    max_frames: int | None = None,
    sampling: Sampling | None = None,
) -> Decoded:
    """Decodes an image file, up to `max_frames` frames of an animation spread evenly over it, or frames of
    a video.

    Args:
        data: the whole file.
        max_pixels: of one frame; default: `sampling.max_pixels`. The header is checked before any pixel is
            decoded. A JPEG may have eight times as many, and is scaled down while it is read.
        max_bytes: of the file.
        max_frames: of an animation, at least 1; default: `sampling.frames`. With 2 or more the first and the
            last are among them.
        sampling: which frames of a video.

    Raises:
        ImageError: the file is neither an image nor a video, is damaged or not whole, or is beyond a limit,
            of the processor time and the memory that decoding takes too. One frame to judge that cannot be
            decoded makes the whole file an error: what it would have shown is not known. Or it is a video,
            and the package that reads videos is not installed.
    """
    sampling = sampling or Sampling()
    limits = Limits(max_bytes, max_pixels or sampling.max_pixels, max_frames or sampling.frames)
    if (image := _quick(data, limits)) is None:
        from jurat.media.decoder_pool import decode_elsewhere

        return decode_elsewhere(data, limits, sampling)
    with _memory_errors(), quiet():
        return image.decoded(limits)


def decode_here(data: bytes, limits: Limits, sampling: Sampling) -> Decoded:
    """Like `decode`, for a file whose size was checked, in this process and without a budget."""
    if (container := container_of(data)) is not None:
        return read_video(data, container, limits, sampling)
    with quiet():
        return _ImageFile.of(data, limits).decoded(limits)


def still(data: bytes, index: int, rendering: str | None, time: float | None, longest: int) -> Image.Image:
    """One frame of a file that was judged, scaled down.

    Args:
        index: of the frame, as `Decoded.indices` has it; of a video it does not matter.
        rendering: which of those of the frame, as `Decoded.renderings` has it; the first where there is no
            such.
        time: seconds from the beginning of a video; None for its first frame, and for anything else.
        longest: pixels of its longer side, at most.

    Raises:
        ImageError: as `decode` does.
    """
    limits = Limits()
    if _quick(data, limits) is not None:
        with _memory_errors():
            return still_here(data, limits, index, rendering, time, longest)
    from jurat.media.decoder_pool import still_elsewhere

    return still_elsewhere(data, limits, index, rendering, time, longest)


def still_here(
    data: bytes, limits: Limits, index: int, rendering: str | None, time: float | None, longest: int
) -> Image.Image:
    """Like `still`, in this process and without a budget."""
    if container_of(data) is not None:
        image = frame_at(data, time or 0.0)
    else:
        with quiet():
            found = _ImageFile.of(data, limits).frame(index, limits)
        image = next((each.image for each in found if each.name == rendering), found[0].image)
    if max(image.size) > longest:
        image.thumbnail((longest, longest), Image.Resampling.LANCZOS, reducing_gap=3)
    return image


@contextmanager
def _memory_errors() -> Generator[None]:
    try:
        yield
    except MemoryError as error:
        raise ImageError("decoding it needs more memory than there is") from error


def _quick(data: bytes, limits: Limits) -> _ImageFile | None:
    """The image, if its header bounds what decoding it takes, so that it is decoded in this process."""
    limits.check_bytes(len(data))
    if container_of(data) is not None:
        require_pyav()
        return None
    if format_of(data).name not in ("PNG", "JPEG", "WEBP"):
        return None
    with quiet():
        image = _ImageFile.of(data, limits)
    return image if image.is_quick else None


@dataclass(frozen=True)
class _Frame:
    index: int
    size: tuple[int, int]
    """Width and height as shown, before scaling down."""
    shown: list[Rendering]


@dataclass(frozen=True)
class _ImageFile:
    """An image file whose format is known, parsed as far as the format's own checks need."""

    data: bytes
    format: Format
    parsed: Png | Jpeg | Gif | WebP | None

    @classmethod
    def of(cls, data: bytes, limits: Limits) -> _ImageFile:
        """Raises ImageError as `decode` does."""
        format = format_of(data)
        parsed: Png | Jpeg | Gif | WebP | None = None
        match format.name:
            case "PNG":
                parsed = read_png(data)
            case "JPEG":
                parsed = read_jpeg(data)
                limits.check_size(parsed.width, parsed.height, scaled=True)
            case "GIF":
                parsed = read_gif(data, limits)
            case "WEBP":
                parsed = read_webp(data, limits)
            case "TIFF":
                check_tiff(data, limits)
            case "AVIF" | "JPEG2000":
                check_tail(data, format.name)
            case _:
                pass
        return cls(data, format, parsed)

    @property
    def is_quick(self) -> bool:
        """Whether it is a still image of ordinary size in a format whose decoder takes no longer than its
        header lets expect."""
        match self.parsed:
            case Png():
                width, height = self.parsed.size
                return not self.parsed.animated and width * height <= QUICK_PIXELS
            case Jpeg():
                return self.parsed.width * self.parsed.height <= QUICK_PIXELS
            case WebP(width, height, animated, metadata):
                return not animated and metadata <= MAX_METADATA and width * height <= QUICK_PIXELS
            case _:
                return False

    def decoded(self, limits: Limits) -> Decoded:
        """Raises ImageError as `decode` does."""
        with self._opened(limits) as image:
            count = self._count(image, limits)
            frames = list(self._drawn(image, spread(count, limits.max_frames), count, limits))
        shown = [(frame.index, each) for frame in frames for each in frame.shown]
        names = tuple(each.name for _, each in shown)
        scales = tuple(max(1.0, f.size[0] / each.image.width) for f in frames for each in f.shown)
        return Decoded(
            tuple(each.image for _, each in shown),
            tuple(index for index, _ in shown),
            *frames[0].size,
            animated=count > 1,
            sha256=hashlib.sha256(self.data).hexdigest(),
            renderings=names if any(names) else (),
            scales=scales if max(scales) > 1 else (),
            count=count,
        )

    def frame(self, index: int, limits: Limits) -> list[Rendering]:
        """One frame, in each of the ways that viewers show it. Raises ImageError as `decode` does."""
        with self._opened(limits) as image:
            (frame,) = self._drawn(image, (index,), self._count(image, limits), limits)
        return frame.shown

    def _opened(self, limits: Limits) -> ImageFile.ImageFile:
        match self.parsed:
            case Jpeg():
                source = self.parsed.opened()
            case Png() | Gif():
                source = io.BytesIO(self.parsed.data)
            case _:
                source = io.BytesIO(self.data)
        image = open_image(source, self.format, self.data)
        if isinstance(self.parsed, Jpeg):
            _scale_on_the_way(image, limits)
        limits.check_size(image.width, image.height)
        return image

    def _count(self, image: ImageFile.ImageFile, limits: Limits) -> int:
        if isinstance(self.parsed, Gif):
            return max(1, len(self.parsed.frames))
        try:
            return count_frames(image, self.format, limits)
        except (ImageError, MemoryError):
            raise
        except Exception as error:  # Pillow's decoders raise anything on hostile input
            raise ImageError(damaged(self.format, error)) from error

    def _drawn(
        self, image: ImageFile.ImageFile, indices: Sequence[int], count: int, limits: Limits
    ) -> Iterator[_Frame]:
        replayed = self.format.frames == "replayed"
        if replayed:
            limits.check_replay((indices[-1] + 1) * image.width * image.height)
        if isinstance(self.parsed, Png) and self.parsed.animated:
            self.parsed.check_frames()
        drawn = 0
        for index in indices:
            try:
                # Step by step where frames are drawn over each other: a GIF's frame may enlarge the canvas,
                # and Pillow allocates the new one only when it goes on to the next frame.
                start = min(image.tell() + (index > 0), index) if replayed else index
                for step in range(start, index + 1):
                    image.seek(step)
                    limits.check_size(image.width, image.height)
                    drawn += image.width * image.height if replayed else 0
                    limits.check_replay(drawn)
                    if isinstance(self.parsed, Gif):
                        self.parsed.check_pixels(step, limits)
                yield self._frame(image, index, limits.share_of(len(indices)))
            except ImageError as error:
                raise ImageError(_of_frame(index, count) + error.message) from error
            except MemoryError:  # nothing is wrong with the file
                raise
            except Exception as error:
                raise ImageError(_of_frame(index, count) + damaged(self.format, error)) from error
        if isinstance(self.parsed, Gif) and not self.parsed.ended:
            raise ImageError("the GIF image is truncated: it ends before its end mark")

    def _frame(self, image: ImageFile.ImageFile, index: int, largest: int) -> _Frame:
        """The current frame of `image`, in renderings that have at most `largest` pixels together."""
        source = image.fp
        complaints()
        image.load()
        self._check_whole(image, source)
        shown = renderings(image, self.parsed.gamma if isinstance(self.parsed, Png) else None)
        size = shown[0].image.size
        if isinstance(self.parsed, Jpeg):
            width, height = self.parsed.width, self.parsed.height
            size = (width, height) if size == image.size else (height, width)
        if isinstance(self.parsed, Gif) and self.parsed.beyond_screen:
            shown = [part for each in shown for part in _with_screen(each, self.parsed.screen)]
        most = min(JUDGED_PIXELS, largest // len(shown))
        return _Frame(index, size, [Rendering(reduced(each.image, most), each.name) for each in shown])

    def _check_whole(self, image: ImageFile.ImageFile, source: object) -> None:
        """Raises ImageError where a loaded image lacks pixels, which its decoder does not report."""
        match self.parsed:
            case Png() if not self.parsed.animated:
                self.parsed.check_rows(image)
            case Jpeg():
                self.parsed.check_read(source)
                if (probe := self.parsed.probe()) is not None:
                    with open_image(io.BytesIO(probe), self.format, probe) as other:
                        other.draft(None, image.size)
                        if other.tobytes() != image.tobytes():
                            raise ImageError("the JPEG image is truncated: its coded data end too soon")
            case _:
                if self.format.name == "TIFF" and (found := complaints()):
                    raise ImageError(f"the TIFF image is damaged: {found[0]} warns of its data")


def _scale_on_the_way(image: ImageFile.ImageFile, limits: Limits) -> None:
    """Has a JPEG that is too large scaled down while it is read: to the largest of a half, a quarter and an
    eighth of its sides with which it has at most half of the pixels that a frame may have."""
    width, height = image.size
    if width * height <= limits.max_pixels:
        return
    for factor in (2, 4, 8):
        sides = max(1, width // factor), max(1, height // factor)
        if sides[0] * sides[1] <= limits.max_pixels // 2 or factor == 8:
            image.draft(None, sides)
            return


def _with_screen(shown: Rendering, screen: tuple[int, int]) -> list[Rendering]:
    """A GIF's frame with and without an enlarged screen, since viewers show either."""
    image = shown.image
    if image.width <= screen[0] and image.height <= screen[1]:
        return [shown]
    cut = image.crop((0, 0, min(image.width, screen[0]), min(image.height, screen[1])))
    before = f"{shown.name}, " if shown.name else ""
    return [Rendering(cut, before + "cut to the screen"), Rendering(image, before + "beyond the screen")]


def _of_frame(index: int, count: int) -> str:
    return f"frame {index + 1} of {count}: " if count > 1 else ""
