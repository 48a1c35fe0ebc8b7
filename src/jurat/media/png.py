"""Prepares PNG files for Pillow: drops chunks that no pixel depends on, and checks that all rows are there.

Text, colour profiles and other chunks that no pixel depends on are taken out unread, so that they can
neither make a picture unreadable nor cost time. Pillow's decoder accepts a compressed stream that ends
after too few rows and leaves the rest black, so the rows are counted here.
"""

from __future__ import annotations

import zlib
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property
from struct import unpack_from

from PIL import Image

from jurat.content import ImageError
from jurat.media.limits import MAX_METADATA

MAX_CHUNKS = 100_000
"""Chunks of a file, so that reading them ends soon."""

_KEPT = frozenset((b"tRNS", b"eXIf", b"acTL", b"fcTL", b"fdAT"))
"""Optional chunks that matter to the picture."""
_FRAME_DATA = frozenset((b"acTL", b"fcTL", b"fdAT"))
_CHANNELS = {0: 1, 2: 3, 3: 1, 4: 2, 6: 4}
# Of each pass of Adam7: first column, step between columns, first row, step between rows.
_ADAM7 = (
    (0, 8, 0, 8),
    (4, 8, 0, 8),
    (0, 4, 4, 8),
    (2, 4, 0, 4),
    (0, 2, 2, 4),
    (1, 2, 0, 2),
    (0, 1, 1, 2),
)
_PIECE = 2**18
_VISIBLE = 0.05
"""A gamma that changes the exponent by less is not told from none, as in libpng."""

Span = tuple[int, int]
"""Start and end of bytes in a file."""


@dataclass(frozen=True)
class _Chunk:
    kind: bytes
    start: int
    """Start of its body."""
    size: int

    @property
    def end(self) -> int:
        """After its checksum."""
        return self.start + self.size + 4

    @property
    def ancillary(self) -> bool:
        return bool(self.kind[0] & 0x20)


@dataclass(frozen=True)
class Png:
    """A PNG file, parsed into chunks."""

    data: bytes
    """The file without the chunks that no pixel depends on."""
    gamma: float | None
    """What samples are raised to where the file's `gAMA` is applied; None where that changes nothing, or
    another chunk says what the colours are."""

    @cached_property
    def _chunks(self) -> list[_Chunk]:
        return list(_walk(self.data))

    @property
    def animated(self) -> bool:
        return any(chunk.kind == b"acTL" for chunk in self._chunks)

    @property
    def size(self) -> tuple[int, int]:
        """Width and height that its header says; of a broken header (0, 0)."""
        return self._header[:2]

    def check_rows(self, image: Image.Image) -> None:
        """Raises ImageError where the compressed data of a still image have fewer rows than `image`, which
        was loaded from them."""
        # Missing rows are left black, so that nothing has to be counted where the last row is not.
        last = (0, image.height - 1, *image.size)
        row = image.resize((image.width, 1), Image.Resampling.NEAREST, box=last)
        if self._interlaced or not any(row.tobytes()):
            self.check_frames()

    def check_frames(self) -> None:
        """Raises ImageError where the compressed data of the image or of a frame have fewer rows than it, or
        where there are more frames than the file says: some viewers show them."""
        told = next((unpack_from(">I", self.data, c.start)[0] for c in self._chunks if c.kind == b"acTL"), 0)
        there = sum(chunk.kind == b"fcTL" for chunk in self._chunks)
        if there > told:
            raise ImageError(f"the PNG image is damaged: it says that it has {told} frames, and has {there}")
        for number, (sides, spans) in enumerate(self._pictures()):
            wanted = self._raw_bytes(*sides)
            there = _inflated(self.data, spans, wanted)
            if there < wanted:
                of = f"frame {number + 1}: " if number else ""
                raise ImageError(
                    f"the PNG image is truncated: {of}{there:,} of {wanted:,} bytes of its rows are there"
                )

    @property
    def _header(self) -> tuple[int, int, int, int, int]:
        """Width, height, bits a sample, colour type, whether it is interlaced."""
        if len(self.data) < 29:
            return 0, 0, 0, 0, 0
        width, height, depth, colour, _, _, interlaced = unpack_from(">IIBBBBB", self.data, 16)
        return width, height, depth, colour, interlaced

    @property
    def _interlaced(self) -> bool:
        return bool(self._header[4])

    def _pictures(self) -> Iterator[tuple[tuple[int, int], list[Span]]]:
        """Width and height of the image and of each frame, and the spans of its compressed data."""
        sides, spans = self._header[:2], list[Span]()
        for chunk in self._chunks:
            if chunk.kind == b"IDAT":
                spans.append((chunk.start, chunk.start + chunk.size))
            elif chunk.kind == b"fdAT":
                spans.append((chunk.start + 4, chunk.start + chunk.size))
            elif chunk.kind == b"fcTL" and chunk.size >= 12:
                if spans:
                    yield sides, spans
                sides, spans = unpack_from(">II", self.data, chunk.start + 4), []
        if spans:
            yield sides, spans

    def _raw_bytes(self, width: int, height: int) -> int:
        """Bytes of the rows of an image, each with the byte that names its filter."""
        _, _, depth, colour, interlaced = self._header
        bits = depth * _CHANNELS.get(colour, 1)
        if not interlaced:
            return height * (1 + (width * bits + 7) // 8)
        passes = (
            (-(-max(0, width - left) // across), -(-max(0, height - top) // down))
            for left, across, top, down in _ADAM7
        )
        return sum(rows * (1 + (columns * bits + 7) // 8) for columns, rows in passes if columns)


def read_png(data: bytes) -> Png:
    """Raises ImageError where it has too many chunks; anything else that is wrong is left to the decoder."""
    chunks = list(_walk(data))
    parts: list[bytes] = []
    kept = 8
    gamma, tagged = None, False
    for chunk in chunks:
        if chunk.kind == b"gAMA" and chunk.size == 4 and _sound(data, chunk):
            gamma = unpack_from(">I", data, chunk.start)[0] / 100_000
        tagged |= chunk.kind in (b"sRGB", b"iCCP", b"cICP")
        if _is_passed_over(data, chunk):
            parts.append(data[kept : chunk.start - 8])
            kept = chunk.end
    clean = data if not parts else data[:8] + b"".join((*parts, data[kept:]))
    exponent = 1 / (2.2 * gamma) if gamma else 1.0
    return Png(clean, None if tagged or abs(exponent - 1) < _VISIBLE else exponent)


def _is_passed_over(data: bytes, chunk: _Chunk) -> bool:
    if not chunk.ancillary or chunk.kind in _FRAME_DATA:
        return False
    return (
        chunk.kind not in _KEPT
        or (chunk.kind == b"eXIf" and chunk.size > MAX_METADATA)
        or not _sound(data, chunk)
    )


def _sound(data: bytes, chunk: _Chunk) -> bool:
    """Whether a chunk's checksum is right; browsers pass over those where it is not."""
    end = chunk.start + chunk.size
    return data[end : end + 4] == zlib.crc32(data[chunk.start - 4 : end]).to_bytes(4, "big")


def _walk(data: bytes) -> Iterator[_Chunk]:
    """The chunks of a file, up to the last one or to one that is not whole."""
    at = 8
    for _ in range(MAX_CHUNKS):
        if at + 12 > len(data):
            return
        size, kind = unpack_from(">I4s", data, at)
        chunk = _Chunk(kind, at + 8, size)
        if chunk.end > len(data) or not kind.isalpha():
            return
        yield chunk
        if kind == b"IEND":
            return
        at = chunk.end
    raise ImageError(f"the PNG image has more chunks than the limit of {MAX_CHUNKS:,}")


def _inflated(data: bytes, spans: Sequence[Span], enough: int) -> int:
    """Decompressed size in bytes, counted up to `enough`."""
    inflate = zlib.decompressobj()
    count = 0
    try:
        for start, end in spans:
            for at in range(start, end, _PIECE):
                piece = data[at : min(end, at + _PIECE)]
                while piece and count < enough and not inflate.eof:
                    count += len(inflate.decompress(piece, _PIECE))
                    piece = inflate.unconsumed_tail
                if count >= enough or inflate.eof:
                    return min(count, enough)
        count += len(inflate.flush())
    except zlib.error:  # the decoder says so
        return enough
    return min(count, enough)
