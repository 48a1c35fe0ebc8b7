"""Prepares JPEG files for Pillow: counts scans, and checks that the data of each are complete.

libjpeg fills what is missing with grey, counts a warning, and Pillow does not look at the count. So the
markers are read here, and each scan has to have all its restart intervals and, together with the others,
every coefficient of every component in full. Whether the coded data of a scan end too soon only a
decoder can tell. There are two ways to ask it:

- A single scan without restart intervals is decoded from a copy that ends in bits that no Huffman code
  begins with, and has no end mark: a decoder that lacks data asks for more and gets none.
- Of anything else a second copy is decoded with random bytes behind each interval. A decoder that has all
  it needs skips them; one that lacks data takes them for coefficients, and the pictures differ.
"""

from __future__ import annotations

import io
import random
import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import pairwise
from struct import unpack_from

from jurat.content import ImageError

MAX_SCANS = 100
"""Scans of a file; encoders make up to about 20."""
MAX_SEGMENTS = 10_000
"""Segments of a file: tables, comments and so on."""

_MARKER = re.compile(rb"\xff+([\x01-\xfe])")
_END_OF_SCAN = re.compile(rb"\xff+[\x01-\xcf\xd8-\xfe]")
_RESTART = re.compile(rb"\xff+([\xd0-\xd7])")
_FRAMES = frozenset((*range(0xC0, 0xC4), *range(0xC5, 0xC8), *range(0xC9, 0xCC), *range(0xCD, 0xD0)))
_ARITHMETIC = frozenset(range(0xC9, 0xD0))
_SCAN, _END, _TABLES, _INTERVAL = 0xDA, 0xD9, (0xC4, 0xDB), 0xDD
_BARE = frozenset((0x01, 0xD8, *range(0xD0, 0xD8)))
"""Markers without a length."""
_LOSSLESS = 0xC3

_NO_CODE = b"\xff\x00" * 12
"""Bits that no Huffman code begins with: more than a decoder reads ahead."""
_FEW_ZEROS = 16
_LEFT_OVER = 64
"""Bytes that a scan may have more than are needed."""
_JUNK_OF_INTERVAL, _JUNK_OF_SCAN = 64, 1024


@dataclass(frozen=True)
class _Component:
    id: int
    across: int
    """Blocks of one unit, side by side."""
    down: int


@dataclass(frozen=True)
class _Frame:
    marker: int
    width: int
    height: int
    components: tuple[_Component, ...]

    def units(self, ids: Sequence[int]) -> int:
        """Number of coded units in a scan of some components."""
        unit = 1 if self.marker == _LOSSLESS else 8
        most_across = max(component.across for component in self.components)
        most_down = max(component.down for component in self.components)
        if len(ids) > 1:
            across, down = most_across, most_down
            return -(-self.width // (unit * across)) * -(-self.height // (unit * down))
        only = next(component for component in self.components if component.id == ids[0])
        width = -(-self.width * only.across // most_across)
        height = -(-self.height * only.down // most_down)
        return -(-width // unit) * -(-height // unit)


@dataclass(frozen=True)
class _Scan:
    components: tuple[int, ...]
    band: tuple[int, int]
    """The first and last coefficient."""
    bits: tuple[int | None, int]
    """The lowest bit of them that was there before, None for none, and the lowest that is there with it."""
    start: int
    """Start of its coded data."""
    end: int
    interval: int
    """Coded units between restart markers; 0 if there are none."""


@dataclass(frozen=True)
class Jpeg:
    """A JPEG file, parsed into segments and scans."""

    data: bytes
    """The file up to its end mark, without segments that no pixel depends on."""
    width: int
    height: int
    scans: tuple[_Scan, ...]
    """With places in `data`."""
    progressive: bool

    @property
    def _simple(self) -> bool:
        return len(self.scans) == 1 and not self.scans[0].interval and not self.progressive

    def opened(self) -> io.BytesIO:
        """What Pillow is to read: it lacks data where the file does (see the module's docstring)."""
        if not self._simple:
            return io.BytesIO(self.data)
        start, end = self.scans[0].start, self.scans[0].end
        return ReadTracker(self.data[:end] + _NO_CODE, (max(start, end - _LEFT_OVER), end))

    def check_read(self, file: object) -> None:
        """Raises ImageError where a decoder that read `opened` left much of the coded data over."""
        if isinstance(file, ReadTracker) and file.furthest < self.scans[0].end:
            raise ImageError("the JPEG image is damaged: it has coded data for more pixels than it has")

    def probe(self) -> bytes | None:
        """A file that gives the same picture where no data are missing; None where none is needed."""
        if self._simple:
            return None
        junk = random.Random(0)
        parts: list[bytes] = []
        at = 0
        for scan in self.scans:
            for mark in _RESTART.finditer(self.data, scan.start, scan.end):
                parts += (self.data[at : mark.start()], _junk(junk, _JUNK_OF_INTERVAL))
                at = mark.start()
            parts += (self.data[at : scan.end], _junk(junk, _JUNK_OF_SCAN))
            at = scan.end
        return b"".join((*parts, self.data[at:]))


class ReadTracker(io.BytesIO):
    """A file whose reads stop at given positions, and which records how far it was read."""

    def __init__(self, data: bytes, stops: tuple[int, ...]) -> None:
        super().__init__(data)
        self._stops = stops
        self.furthest = 0

    def read(self, size: int | None = -1, /) -> bytes:
        at = self.tell()
        stop = next((stop for stop in self._stops if stop > at), None)
        if stop is not None:
            size = stop - at if size is None or size < 0 else min(size, stop - at)
        found = super().read(size)
        self.furthest = max(self.furthest, self.tell())
        return found


def _junk(source: random.Random, size: int) -> bytes:
    """Bytes among which there is no marker."""
    return bytes(source.choices(range(0xFF), k=size))


def read_jpeg(data: bytes) -> Jpeg:
    """Reads the markers of a file.

    Raises:
        ImageError: it has no frame or no scan, too many of either, is coded in a way of which it cannot be
            told whether it is whole, or lacks scans or restart intervals.
    """
    frame: _Frame | None = None
    scans: list[_Scan] = []
    parts: list[bytes] = [b"\xff\xd8"]
    size = len(parts[0])
    interval = 0
    kept_once: set[bytes] = set()

    def keep(start: int, end: int) -> int:
        nonlocal size
        parts.append(data[start:end])
        size += end - start
        return size

    ended = False
    for marker, start, end in _segments(data):
        if ended := marker == _END:
            break
        body = data[start + 4 : end]
        if marker in _FRAMES:
            if frame is not None:
                raise ImageError("the JPEG image is damaged: it has two frame headers")
            frame = _read_frame(marker, body)
        elif marker == _INTERVAL and len(body) >= 2:
            interval = int.from_bytes(body[:2], "big")
        if marker == _SCAN:
            if frame is None:
                raise ImageError("the JPEG image is damaged: it has coded data before its frame header")
            after = _END_OF_SCAN.search(data, end)
            last = after.start() if after else len(data)
            first_kept = keep(start, end)
            scans.append(_read_scan(frame, body, first_kept, keep(end, last), interval))
            if len(scans) > MAX_SCANS:
                raise ImageError(f"the JPEG image has more scans than the limit of {MAX_SCANS}")
        elif marker in _FRAMES or marker in (*_TABLES, _INTERVAL) or _matters(marker, body, kept_once):
            keep(start, end)
    if not ended and data.endswith(bytes(_FEW_ZEROS)):
        raise ImageError("the JPEG image is truncated: it ends in zeros, without an end mark")
    if frame is None or not scans:
        raise ImageError("the JPEG image is truncated: its header is cut off")
    parts.append(b"\xff\xd9")
    jpeg = Jpeg(b"".join(parts), frame.width, frame.height, tuple(scans), frame.marker in (0xC2, 0xC6))
    _check_intervals(jpeg, frame)
    _check_coefficients(jpeg, frame)
    return jpeg


def _segments(data: bytes) -> Iterator[tuple[int, int, int]]:
    """Each segment: its marker, and where it begins and ends; of a scan its header."""
    at = 2
    for _ in range(MAX_SEGMENTS):
        found = _MARKER.search(data, at)
        if found is None:
            return
        marker, start = found[1][0], found.end() - 2
        at = found.end()
        if marker in _BARE:
            continue
        if marker == _END:
            yield marker, start, at
            return
        if at + 2 > len(data):
            return
        at += max(2, unpack_from(">H", data, at)[0])
        if at > len(data):
            return
        yield marker, start, at
    raise ImageError(f"the JPEG image has more segments than the limit of {MAX_SEGMENTS:,}")


def _matters(marker: int, body: bytes, kept_once: set[bytes]) -> bool:
    """Whether a segment says how the picture is shown: its colours, or how it is turned. Of each kind the
    first one counts."""
    kind = next(
        (kind for kind in (b"Exif\0\0", b"http://ns.adobe.com/xap/1.0/\0") if body.startswith(kind)), b""
    )
    if marker in (0xE0, 0xEE):
        kind = bytes((marker,)) + body[:5]
    elif marker != 0xE1 or not kind:
        return False
    if kind in kept_once:
        return False
    kept_once.add(kind)
    return True


def _read_frame(marker: int, body: bytes) -> _Frame:
    if marker in _ARITHMETIC:
        raise ImageError(
            "a JPEG image with arithmetic coding, of which it cannot be told whether it is whole"
        )
    count = body[5] if len(body) > 5 else 0
    if not count or len(body) < 6 + 3 * count:
        raise ImageError("the JPEG image is damaged: its frame header is cut off")
    height, width = unpack_from(">HH", body, 1)
    each = [body[6 + 3 * i : 9 + 3 * i] for i in range(count)]
    components = tuple(_Component(id, sides >> 4, sides & 15) for id, sides, _ in each)
    if any(not 1 <= side <= 4 for one in components for side in (one.across, one.down)):
        raise ImageError("the JPEG image is damaged: its frame header names an impossible sampling")
    return _Frame(marker, width, height, components)


def _read_scan(frame: _Frame, body: bytes, start: int, end: int, interval: int) -> _Scan:
    count = body[0] if body else 0
    ids = tuple(body[1 : 1 + 2 * count : 2])
    known = {component.id for component in frame.components}
    if not count or len(body) < 4 + 2 * count or len(ids) != len(set(ids)) or not known.issuperset(ids):
        raise ImageError("the JPEG image is damaged: a scan header makes no sense")
    first, last, bits = body[1 + 2 * count : 4 + 2 * count]
    if frame.marker not in (0xC2, 0xC6):
        first, last, bits = 0, 63, 0
    return _Scan(ids, (first, min(last, 63)), (bits >> 4 or None, bits & 15), start, end, interval)


def _check_intervals(jpeg: Jpeg, frame: _Frame) -> None:
    for scan in jpeg.scans:
        marks = [found[1][0] for found in _RESTART.finditer(jpeg.data, scan.start, scan.end)]
        wanted = -(-frame.units(scan.components) // scan.interval) if scan.interval else 1
        # One more, behind the last interval, is harmless.
        if len(marks) + 1 < wanted:
            raise ImageError(
                f"the JPEG image is truncated: {len(marks) + 1:,} of {wanted:,} parts of a scan are there"
            )
        if len(marks) > wanted or any((b - a) % 8 != 1 for a, b in pairwise((0xCF, *marks))):
            raise ImageError("the JPEG image is damaged: the parts of a scan are not those that it says")


def _check_coefficients(jpeg: Jpeg, frame: _Frame) -> None:
    """Every coefficient of every component has to be there down to its last bit."""
    lowest: dict[int, list[int | None]] = {component.id: [None] * 64 for component in frame.components}
    for scan in jpeg.scans:
        before, bit = scan.bits
        for id in scan.components:
            for number in range(scan.band[0], scan.band[1] + 1):
                if lowest[id][number] != before:
                    raise ImageError("the JPEG image is damaged: a scan refines what no scan before it has")
                lowest[id][number] = bit
    missing = sum(bit != 0 for bits in lowest.values() for bit in bits)
    if missing:
        raise ImageError(
            f"the JPEG image is truncated: its scans lack {missing} of {64 * len(lowest)} coefficients"
        )
