"""Prepares GIF files for Pillow: drops comments, and checks that all pixels of each frame are there.

Pillow joins comments and counts frames in Python, without a limit; it enlarges the screen for a frame that
goes beyond it; and it leaves what a frame's data do not reach as it was.
"""

from __future__ import annotations

import io
from dataclasses import dataclass
from struct import pack, unpack_from

from PIL import GifImagePlugin

from jurat.content import ImageError
from jurat.media.limits import Limits

MAX_BLOCKS = 2_000_000
"""Blocks of a file, of 255 bytes at most each, so that reading them ends soon."""

_FILLS = (0, 1)


@dataclass(frozen=True)
class _Frame:
    left: int
    top: int
    width: int
    height: int
    interlaced: bool
    start: int
    """Start of its compressed data, with the byte before them that holds the size of codes."""
    end: int


@dataclass(frozen=True)
class Gif:
    """A GIF file, parsed into blocks."""

    data: bytes
    """The file without comments and what programs put beside the pictures."""
    screen: tuple[int, int]
    """Width and height in its header."""
    frames: tuple[_Frame, ...]
    """With places in `data`."""
    ended: bool
    """Whether it reaches its end mark, so that no frame can be missing; a still image needs none."""

    @property
    def beyond_screen(self) -> bool:
        """Whether a frame goes beyond the screen: some viewers cut it off there, others show a larger one."""
        width, height = self.screen
        return any(f.left + f.width > width or f.top + f.height > height for f in self.frames)

    def check_pixels(self, number: int, limits: Limits) -> None:
        """Raises ImageError where the data of a frame, by its number from 0, have fewer pixels than it."""
        if number >= len(self.frames):
            return
        frame = self.frames[number]
        limits.check_size(frame.width, frame.height)
        # What the data do not reach stays as it was filled before.
        if self._alone(frame, _FILLS[0]) != self._alone(frame, _FILLS[1]):
            raise ImageError("the GIF image is truncated: its data end before its last pixel")

    def _alone(self, frame: _Frame, fill: int) -> bytes:
        """The palette's indices of a frame by itself, where it reaches, and `fill` elsewhere."""
        header = pack("<6sHHBBB", b"GIF89a", frame.width, frame.height, 0, 0, 0)
        control = pack("<4BHBB", 0x21, 0xF9, 4, 1, 0, fill, 0)
        flags = 0x40 if frame.interlaced else 0
        place = pack("<BHHHHB", 0x2C, 0, 0, frame.width, frame.height, flags)
        file = header + control + place + self.data[frame.start : frame.end] + b";"
        with GifImagePlugin.GifImageFile(io.BytesIO(file)) as image:
            image.load()
            return image.tobytes()


def read_gif(data: bytes, limits: Limits) -> Gif:
    """Reads the blocks of a file up to the first invalid one.

    Raises:
        ImageError: it has more frames than `limits` has them, or too many blocks.
    """
    at = 13 + _palette_bytes(data, 10)
    parts = [data[:at]]
    size = at
    frames: list[_Frame] = []
    blocks = _Blocks(data)
    begun = False
    while at < len(data) and data[at] != 0x3B:  # the end
        start, kind = at, data[at]
        at += 1
        if kind == 0x2C:  # a frame
            if begun := at + 9 >= len(data):
                break
            left, top, width, height, flags = unpack_from("<HHHHB", data, at)
            body = at + 9 + _palette_bytes(data, at + 8)
            at = blocks.after(body + 1)
            place = left, top, width, height, bool(flags & 0x40)
            frames.append(_Frame(*place, size + body - start, size + min(at, len(data)) - start))
            limits.check_count(len(frames))
        elif kind == 0x21:
            label = data[at] if at < len(data) else 0
            at = blocks.after(at + 1)
            if label != 0xF9:  # it does not say how a frame is shown
                begun = begun and label != 0x01  # a text that is shown in the place of a frame
                continue
            begun = True
        else:
            continue
        parts.append(data[start:at])
        size += len(parts[-1])
    screen = unpack_from("<HH", data, 6) if len(data) >= 10 else (0, 0)
    ended = not begun and (at < len(data) or len(frames) < 2)
    return Gif(b"".join(parts) + (b";" if at < len(data) else b""), screen, tuple(frames), ended)


@dataclass
class _Blocks:
    """Skips blocks, and counts them."""

    data: bytes
    passed: int = 0

    def after(self, at: int) -> int:
        """The end of the blocks that begin at a place."""
        data, passed = self.data, self.passed
        while at < len(data) and data[at]:
            at += 1 + data[at]
            passed += 1
            if passed > MAX_BLOCKS:
                raise ImageError(f"the GIF image has more blocks than the limit of {MAX_BLOCKS:,}")
        self.passed = passed
        return at + 1


def _palette_bytes(data: bytes, at: int) -> int:
    flags = data[at] if at < len(data) else 0
    return 3 << ((flags & 7) + 1) if flags & 0x80 else 0
