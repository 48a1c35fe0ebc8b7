"""Suffixes, limits and errors in docs/images.md match the code."""

from __future__ import annotations

import io
import re
from collections.abc import Callable
from pathlib import Path

import numpy as np
from PIL import Image

from jurat.content import ImageError
from jurat.content.item import MOST_BYTES
from jurat.media import (
    DEFAULT_MAX_BYTES,
    DEFAULT_MAX_FRAMES,
    DEFAULT_MAX_PIXELS,
    IMAGE_SUFFIXES,
    VIDEO_SUFFIXES,
    decode,
)
from jurat.media.decoding import QUICK_PIXELS
from jurat.media.formats import FORMATS
from jurat.media.frames import DEFAULT_FPS
from jurat.media.gif import MAX_BLOCKS
from jurat.media.jpeg import MAX_SCANS
from jurat.media.limits import JUDGED_PIXELS, WALL, Limits
from jurat.media.png import MAX_CHUNKS
from jurat.media.tiff import MAX_ENTRIES
from jurat.media.video import LEAST_FRAME, MAX_DECODED, MAX_FRAME, MAX_PIXELS, MAX_SECONDS, SKIPPED
from jurat.sources import find_items
from jurat.sources.table_rows import MOST

PAGE = (Path(__file__).parents[2] / "docs/images.md").read_text(encoding="utf-8")


def table_row(first: str) -> list[str]:
    (line,) = re.findall(rf"^\| {re.escape(first)} \| .* \|$", PAGE, re.M)
    return [cell.strip() for cell in line.strip("|").split("|")]


def message(data: bytes) -> str:
    try:
        decode(data)
    except ImageError as error:
        return error.message
    raise AssertionError


def test_page_lists_exactly_the_image_suffixes() -> None:
    paragraph = PAGE[PAGE.index("- The image suffixes are") : PAGE.index("- Videos are items too")]
    assert set(re.findall(r"\.[a-z0-9]+", paragraph)) == IMAGE_SUFFIXES


def test_page_names_all_formats() -> None:
    section = PAGE[PAGE.index("## What is decoded") :].lower().replace("jpeg 2000", "jpeg2000")
    assert all(format.name.lower() in section for format in FORMATS)


def test_page_limits_equal_the_code() -> None:
    limits = Limits()
    assert table_row("size of a file")[1] == f"{DEFAULT_MAX_BYTES // 2**20} MiB"
    assert table_row("pixels of a frame, `--max-image-pixels`")[1] == f"{DEFAULT_MAX_PIXELS:,}"
    assert table_row("frames that are judged, `--max-frames`")[1] == str(DEFAULT_MAX_FRAMES)
    assert table_row("pixels of a frame that is judged")[1].startswith(f"{JUDGED_PIXELS:,};")
    assert limits.scaled_pixels == 8 * limits.max_pixels
    assert table_row("scans of a JPEG")[1] == str(MAX_SCANS)
    assert table_row("directory entries of a TIFF, of all pages")[1] == f"{MAX_ENTRIES:,}"
    assert table_row("chunks of a PNG")[1] == f"{MAX_CHUNKS:,}"
    assert table_row("blocks of a GIF")[1] == f"{MAX_BLOCKS:,}"
    seconds = f"{limits.seconds(video=False):g} s; of a video {limits.seconds(video=True):g} s"
    assert table_row("processor time that decoding takes")[1] == seconds
    assert (table_row("time by the clock")[1], WALL) == ("three times as long", 3)
    assert f"{limits.memory:,} bytes" in table_row("memory that decoding takes, besides the file")[1]
    assert f"of up to {QUICK_PIXELS:,} pixels" in PAGE
    assert limits.kept_pixels == 2 * limits.max_pixels
    assert limits.replayed_pixels == 32 * limits.max_pixels
    assert table_row("frames in a file")[1] == f"{limits.counted_frames:,}"
    assert (table_row("images of one item")[1], table_row("their files together")[1]) == (str(MOST), "1 GiB")
    assert MOST_BYTES == 2**30


def test_page_quotes_the_actual_error_messages(encode: Callable[..., bytes]) -> None:
    rng = np.random.default_rng(0)
    noise = [Image.fromarray(rng.integers(0, 255, (40, 40, 3), dtype=np.uint8)) for _ in range(2)]
    said = {
        "truncated file": message(encode(noise[0], "JPEG")[:-100]),
        "damaged file": message(encode(noise[0], "WEBP")[:400]),
        "decompression bomb": message(b"P6 50000 50000 255\n"),
        "not an image": message(b"<!doctype html><html>"),
        "HEIC": message(b"\0\0\0\x18ftypheic\0\0\0\0mif1heic"),
        "empty file": message(b""),
    }
    (missing,) = find_items(["gone.png"], io.StringIO())
    try:
        missing.read()
    except ImageError as error:
        said["missing file"] = error.message
    for kind, text in said.items():
        page = table_row(kind)[1]
        assert re.sub(r"\d+ bytes", "N bytes", text) == re.sub(r"\d+ bytes", "N bytes", page), kind


def test_page_lists_exactly_the_video_suffixes() -> None:
    paragraph = PAGE[PAGE.index("- Videos are items too") : PAGE.index("are picked up like images")]
    assert set(re.findall(r"\.[a-z0-9]+", paragraph)) == VIDEO_SUFFIXES


def test_page_video_limits_equal_the_code() -> None:
    assert MAX_SECONDS == 4 * 3600 and "at most 4 hours" in table_row("length")[1]
    assert MAX_FRAME == 1920 * 1080 and Limits().kept_pixels // MAX_FRAME == 61
    assert f"at most {MAX_PIXELS:,} pixels" in table_row("size of a frame")[1]
    assert f"more than {SKIPPED:g} seconds apart" in PAGE
    assert f"at most {MAX_DECODED:,} times" in table_row("decoding")[1]
    assert f"counts for {LEAST_FRAME:,} at least" in table_row("decoding")[1]
    assert (DEFAULT_FPS, f"at most {DEFAULT_MAX_FRAMES}," in table_row("frames")[1]) == (1.0, True)
