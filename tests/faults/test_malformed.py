"""Over a thousand malformed files, mutated from seeds and made by hand: each gets its reason, in time.

The decoding runs in a process of its own with a limit on its memory, so that a crash of a decoder, or one
that asks for gigabytes, is seen here as what it is.
"""

from __future__ import annotations

import ctypes
import io
import json
import os
import random
import struct
import subprocess
import sys
import time
import zlib
from collections import Counter
from collections.abc import Callable
from pathlib import Path

import pytest
from PIL import Image, ImageDraw

from jurat.content import ImageError
from jurat.media import decode
from jurat.media.limits import DEFAULT_MAX_PIXELS
from jurat.runs import read_rows

FORMATS = ("JPEG", "PNG", "WEBP", "GIF", "TIFF", "BMP", "AVIF")
PER_FORMAT = 150
SECONDS = 20.0
"""For one file, on a machine that is busy."""
MEMORY = 3 * 2**30
"""Address space of the decoding process beyond what it starts with: a frame of 64 megapixels, twice over."""


def picture() -> Image.Image:
    image = Image.new("RGB", (48, 40), (200, 220, 240))
    pen = ImageDraw.Draw(image)
    pen.ellipse((6, 6, 30, 30), fill=(200, 40, 40))
    pen.line((0, 39, 47, 0), fill=(0, 0, 0), width=3)
    return image


def encoded(format: str) -> bytes:
    buffer = io.BytesIO()
    exif = Image.Exif()
    exif[0x0112] = 6
    options = {"exif": exif.tobytes()} if format in ("JPEG", "PNG", "WEBP", "AVIF") else {}
    picture().save(buffer, format, **options)
    return buffer.getvalue()


def truncated(data: bytes, rng: random.Random) -> bytes:
    return data[: rng.randrange(1, len(data))]


def flipped(data: bytes, rng: random.Random) -> bytes:
    changed = bytearray(data)
    for _ in range(rng.choice((1, 2, 8, 40))):
        changed[rng.randrange(len(changed))] ^= 1 << rng.randrange(8)
    return bytes(changed)


def lying_header(data: bytes, rng: random.Random) -> bytes:
    """Extreme numbers somewhere in the first bytes, where sizes and offsets are."""
    changed = bytearray(data)
    at = rng.randrange(min(len(changed) - 4, 160))
    number = rng.choice((0, 1, 2**15, 2**16 - 1, 2**31 - 1, 2**31, 2**32 - 1, 100_000))
    changed[at : at + 4] = struct.pack(rng.choice("<>") + "I", number)
    return bytes(changed)


def repeated(data: bytes, rng: random.Random) -> bytes:
    a, b = sorted(rng.randrange(len(data)) for _ in range(2))
    return data[:b] + data[a:b] * rng.choice((1, 5, 50)) + data[b:]


def cut_out(data: bytes, rng: random.Random) -> bytes:
    a = rng.randrange(len(data))
    return data[:a] + data[a + rng.randrange(1, 64) :]


def polyglot(data: bytes, rng: random.Random) -> bytes:
    """One format's beginning with another's body."""
    other = encoded(rng.choice(FORMATS))
    at = rng.randrange(4, 32)
    return data[:at] + other[rng.randrange(len(other)) :]


def with_zeros(data: bytes, rng: random.Random) -> bytes:
    a = rng.randrange(len(data))
    return data[:a] + bytes(rng.randrange(1, 200)) + data[a:]


MUTATORS: tuple[Callable[[bytes, random.Random], bytes], ...] = (
    truncated, flipped, lying_header, repeated, cut_out, polyglot, with_zeros,
)  # fmt: skip


def mutations(format: str) -> list[bytes]:
    rng = random.Random(f"malformed {format}")
    data = encoded(format)
    return [MUTATORS[i % len(MUTATORS)](data, rng) for i in range(PER_FORMAT)]


DECODER = f"""
import json, resource, sys, time
from jurat.content import ImageError
from jurat.media import decode
import PIL.AvifImagePlugin, PIL.WebPImagePlugin
if sys.platform == "linux":
    used = int(open("/proc/self/statm").read().split()[0]) * resource.getpagesize()
    resource.setrlimit(resource.RLIMIT_AS, (used + {MEMORY},) * 2)
for line in sys.stdin:
    data, start = bytes.fromhex(line.strip()), time.monotonic()
    try:
        said = ["image", [frame.size for frame in decode(data).frames]]
    except ImageError as error:
        said = ["error", error.message]
    print(json.dumps([*said, time.monotonic() - start]), flush=True)
"""


def decoded_apart(files: list[bytes]) -> list[tuple[str, object, float]]:
    done = subprocess.run(
        [sys.executable, "-c", DECODER],
        input="\n".join(data.hex() for data in files),
        capture_output=True,
        text=True,
        timeout=SECONDS * 20,
        check=False,
    )
    found = [tuple(json.loads(line)) for line in done.stdout.splitlines()]
    assert len(found) == len(files), f"file {len(found)} ended the process: {done.returncode}, {done.stderr}"
    assert done.stderr == ""
    return found


@pytest.mark.parametrize("format", FORMATS)
def test_mutated_images_decode_or_fail_within_limits(format: str) -> None:
    found = decoded_apart(mutations(format))
    kinds = Counter(kind for kind, _, _ in found)
    assert kinds["error"] > PER_FORMAT / 5  # the mutations do harm
    for kind, said, seconds in found:
        assert seconds < SECONDS
        if kind == "error":
            assert isinstance(said, str) and said and "\n" not in said
        else:
            assert isinstance(said, list)
            assert all(0 < w * h <= DEFAULT_MAX_PIXELS for w, h in said)


def test_over_a_thousand_distinct_mutations() -> None:
    made = [data for format in FORMATS for data in mutations(format)]
    assert len(made) > 1000
    assert len(set(made)) > 0.95 * len(made)


def chunk(name: bytes, data: bytes) -> bytes:
    return struct.pack(">I", len(data)) + name + data + struct.pack(">I", zlib.crc32(name + data))


def strip(width: int, height: int = 1) -> bytes:
    """A PNG of one row of so many pixels, whatever its header says of its height."""
    header = struct.pack(">IIBBBBB", width, height, 8, 0, 0, 0, 0)
    rows = zlib.compress(b"\0" + bytes(width))
    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + chunk(b"IDAT", rows) + chunk(b"IEND", b"")


def recursive_thumbnail() -> bytes:
    """A JPEG whose EXIF directory names itself as the next, and itself again for its thumbnail."""
    entry = struct.pack("<HHII", 0x8769, 4, 1, 8)
    exif = b"II*\0" + struct.pack("<I", 8) + struct.pack("<H", 1) + entry + struct.pack("<I", 8)
    segment = b"Exif\0\0" + exif
    data = encoded("JPEG")
    return data[:2] + b"\xff\xe1" + struct.pack(">H", len(segment) + 2) + segment + data[2:]


def thumbnails_within(depth: int) -> bytes:
    """A JPEG whose EXIF has a thumbnail whose EXIF has a thumbnail, and so on; the last one is cut off."""
    data = encoded("JPEG")[:400]
    for _ in range(depth):
        entry = struct.Struct("<HHII")
        where, size = entry.pack(0x0201, 4, 1, 44), entry.pack(0x0202, 4, 1, len(data))
        first = struct.pack("<H", 0) + struct.pack("<I", 14)
        second = struct.pack("<H", 2) + where + size + struct.pack("<I", 14)  # and itself again
        segment = b"Exif\0\0" + b"II*\0" + struct.pack("<I", 8) + first + second + data
        outer = encoded("JPEG")
        data = outer[:2] + b"\xff\xe1" + struct.pack(">H", len(segment) + 2) + segment + outer[2:]
    return data


def test_strip_of_65000_pixels_decodes() -> None:
    assert decode(strip(65_000)).width == 65_000


@pytest.mark.parametrize("data", [recursive_thumbnail(), thumbnails_within(1), thumbnails_within(40)])
def test_recursive_thumbnails_decode_in_time(data: bytes) -> None:
    start = time.monotonic()
    assert decode(data).width == 48
    assert time.monotonic() - start < SECONDS


HANDMADE: dict[str, Callable[[Path], object]] = {
    "zero-bytes.png": lambda path: path.write_bytes(b""),
    "a-directory.png": lambda path: path.mkdir(),
    "dangling.png": lambda path: path.symlink_to("nowhere.png"),
    "loop.png": lambda path: path.symlink_to(path.name),
    "fifo.png": os.mkfifo,
    "words.jpg": lambda path: path.write_text("This is a letter, not a picture."),
    "page.gif": lambda path: path.write_text("<html><body>404</body></html>"),
    "really-a-bmp-cut.png": lambda path: path.write_bytes(encoded("BMP")[:60]),
    "no-permission.png": lambda path: (path.write_bytes(encoded("PNG")), path.chmod(0)),
    "bomb.png": lambda path: path.write_bytes(
        strip(65_000)[:16] + struct.pack(">II", 65_000, 65_000) + b"\x08"
    ),
}
"""What becomes of each is an error with a reason; a directory holds no image and is nothing."""
FINE: dict[str, bytes] = {
    "strip.png": strip(65_000),
    "self-containing.jpg": recursive_thumbnail(),
    "thumbnails-within.jpg": thumbnails_within(40),
    "really-a-png.jpg": encoded("PNG"),
}


def no_superuser() -> None:
    """Makes permissions count for root too: without CAP_DAC_OVERRIDE and CAP_DAC_READ_SEARCH."""
    if sys.platform == "linux":
        for capability in (1, 2):
            ctypes.CDLL(None).prctl(24, capability, 0, 0, 0)


def judged(folder: Path, out: Path) -> dict[str, dict[str, object]]:
    command = [sys.executable, "-m", "jurat", "judge", os.fsdecode(bytes(folder)), "--out", str(out)]
    command += ["-c", "shelf:nursery", "--model", "null", "--preset", "quick", "--quiet"]
    subprocess.run(command, timeout=SECONDS * 6, check=False, capture_output=True, preexec_fn=no_superuser)
    return {str(row["id"]).rpartition("/")[2]: row for row in read_rows(out)}


def test_malformed_files_in_a_folder_become_error_rows(tmp_path: Path) -> None:
    folder = tmp_path / "pile"
    folder.mkdir()
    for name, make in HANDMADE.items():
        make(folder / name)
    for name, data in FINE.items():
        (folder / name).write_bytes(data)
    (Path(os.fsdecode(bytes(folder) + b"/caf\xe9.png"))).write_bytes(encoded("PNG"))
    rows = judged(folder, tmp_path / "verdicts.jsonl")
    for name in FINE:
        assert rows[name]["outcome"] != "error", rows[name]
    assert [row["outcome"] for name, row in rows.items() if name.startswith("caf")] != ["error"]
    for name in HANDMADE.keys() - {"a-directory.png"}:
        assert rows[name]["outcome"] == "error", name
        assert rows[name]["error"]


def test_oversized_image_is_refused_before_allocation() -> None:
    with pytest.raises(ImageError, match="more than the limit"):
        decode(strip(65_000, 65_000))
