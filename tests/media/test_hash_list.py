"""Hash lists of known content: entries are matched, and faults of a list are reported."""

from __future__ import annotations

import hashlib
import io
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from PIL import Image, ImageDraw

from jurat.errors import JuratError
from jurat.media.hash_list import NearDuplicates, load_hash_list, picture_hash, picture_hashes

Encode = Callable[..., bytes]


def drawing(seed: int) -> Image.Image:
    """A picture with features."""
    dice = np.random.default_rng(seed)
    image = Image.new("RGB", (256, 256), tuple(int(c) for c in dice.integers(0, 255, 3)))
    pen = ImageDraw.Draw(image)
    for _ in range(12):
        x, y, size = (int(value) for value in dice.integers(0, 200, 3))
        pen.ellipse((x, y, x + size, y + size), fill=tuple(int(c) for c in dice.integers(0, 255, 3)))
    return image


def png(image: Image.Image, format: str = "PNG", **options: int) -> bytes:
    buffer = io.BytesIO()
    image.save(buffer, format, **options)
    return buffer.getvalue()


def pdq(image: Image.Image) -> str:
    return bytes(picture_hash(np.asarray(image))).hex()


def write(path: Path, *rows: str, header: str = "sha256,pdq,label,action,handling,distance") -> Path:
    path.write_text("\n".join((header, *rows)) + "\n")
    return path


def test_file_matches_by_digest(tmp_path: Path) -> None:
    data = png(drawing(1))
    digest = hashlib.sha256(data).hexdigest().upper()
    known = load_hash_list(
        write(tmp_path / "k.csv", f"{digest},,stamp,block,sealed,", f"{'0' * 64},,x,allow,,")
    )
    match = known.match(data)
    assert match is not None
    assert (match.entry.label, match.entry.action, match.entry.handling) == ("stamp", "block", "sealed")
    assert match.distance == 0
    assert known.match(data + b"\0") is None
    assert (len(known), known.compares_pictures, len(known.digest)) == (2, False, 12)


def test_picture_matches_by_perceptual_hash(tmp_path: Path) -> None:
    image = drawing(1)
    known = load_hash_list(
        write(tmp_path / "k.csv", f",{pdq(image)},stamp,block,,", f",{pdq(drawing(2))},x,allow,,")
    )
    copies = [png(image.resize((180, 180)), "JPEG", quality=60), png(image, "WEBP", quality=40)]
    for copy in copies:
        match = known.match(copy)
        assert match is not None and match.entry.label == "stamp"
        assert 0 <= match.distance <= 31
    assert known.match(png(drawing(3))) is None
    assert known.match(b"not an image") is None
    assert known.match(png(Image.new("RGB", (64, 64), "grey"))) is None  # without features


def test_frames_of_an_animation_are_matched(tmp_path: Path) -> None:
    buffer = io.BytesIO()
    drawing(5).save(buffer, "GIF", save_all=True, append_images=[drawing(1), drawing(6)])
    known = load_hash_list(write(tmp_path / "k.csv", f",{pdq(drawing(1))},stamp,block,,40"))
    match = known.match(buffer.getvalue())
    assert match is not None and match.entry.label == "stamp"


def test_allowed_frame_does_not_allow_the_animation(tmp_path: Path) -> None:
    def moving(*pictures: Image.Image) -> bytes:
        buffer = io.BytesIO()
        pictures[0].save(buffer, "GIF", save_all=True, append_images=pictures[1:])
        return buffer.getvalue()

    one, two, other = drawing(1), drawing(2), drawing(3)
    rows = [f",{pdq(one)},one,allow,,40", f",{pdq(two)},two,allow,,40"]
    known = load_hash_list(write(tmp_path / "k.csv", *rows))
    both = known.match(moving(one, two))
    assert both is not None and both.entry.action == "allow"
    assert known.match(moving(one, other)) is None
    assert known.match(moving(one, Image.new("RGB", one.size, "grey"))) is None  # without features
    blocking = load_hash_list(write(tmp_path / "k.csv", *rows, f",{pdq(other)},other,block,sealed,40"))
    match = blocking.match(moving(one, other))
    assert match is not None and (match.entry.label, match.entry.handling) == ("other", "sealed")


def test_nearest_entry_within_its_distance_decides(tmp_path: Path) -> None:
    hash = picture_hash(np.asarray(drawing(1)))
    near = bytes(np.bitwise_xor(hash, np.frombuffer(bytes([3]) + bytes(31), np.uint8))).hex()
    data = png(drawing(1))

    def match(*rows: str):
        return load_hash_list(write(tmp_path / "k.csv", *rows)).match(data)

    assert match(f",{near},near,block,,1") is None
    assert match(f",{near},near,block,,2").distance == 2
    same = bytes(hash).hex()
    assert match(f",{near},near,block,,", f",{same},same,allow,,").entry.label == "same"
    assert match(f",{same},one,allow,,", f",{same},two,block,,").entry.label == "two"
    digest = hashlib.sha256(data).hexdigest()
    assert match(f",{same},picture,block,,", f"{digest},,file,allow,,").entry.label == "file"
    assert match(f"{digest},,one,block,,", f"{digest},,two,allow,,").entry.label == "one"


def test_distant_entry_matches_behind_many_stricter_nearer_ones(tmp_path: Path) -> None:
    hash = bytes(picture_hash(np.asarray(drawing(1))))
    near = [bytes([hash[0] ^ 1, *hash[1:-1], hash[-1] ^ 2]).hex()] * 100  # 2 bits off, and 0 or 1 are allowed
    far = bytes([hash[0] ^ 255, *hash[1:]]).hex()
    rows = [f",{each},strict,allow,,{number % 2}" for number, each in enumerate(near)]
    known = load_hash_list(write(tmp_path / "k.csv", *rows, f",{far},wide,block,sealed,8"))
    match = known.match(png(drawing(1)))
    assert match is not None and (match.entry.label, match.distance) == ("wide", 8)


H = "a" * 64
WRONG = {
    "no columns": ("path,label", (), "is no list of known content: its columns are path, label."),
    "no hash column": ("label,action", (), "is no list of known content"),
    "an unknown column": ("sha256,label,action,colour", (), "is no list of known content"),
    "no hash": ("sha256,pdq,label,action", (",,x,block",), "k.csv:2: a hash of 64 hex digits is expected"),
    "a bad hash": ("sha256,label,action", ("xyz,x,block",), "k.csv:2: a hash of 64 hex digits is expected"),
    "a bad action": (
        "sha256,label,action",
        (f"{H},x,hide",),
        "k.csv:2: the action is 'hide'; there are block",
    ),
    "a bad handling": (
        "sha256,label,action,handling",
        (f"{H},x,block,seal",),
        "k.csv:2: the handling is 'seal'",
    ),
    "a bad distance": ("pdq,label,action,distance", (f"{H},x,block,-1",), "k.csv:2: the distance is '-1'"),
    "no label": ("sha256,label,action", (f"{H},x,block", f"{H}, ,block"), "k.csv:3: a label is missing."),
    "a quote that is not closed": (
        "sha256,action,label",
        (f'{H},block,"x', f"{H},block,y"),
        "k.csv cannot be read: unexpected end of data.",
    ),
    "too many cells": ("sha256,label,action", (f"{H},x,block,sealed",), "k.csv:2: more cells than"),
}


@pytest.mark.parametrize("case", WRONG)
def test_faults_of_a_list_are_reported_with_the_line(case: str, tmp_path: Path) -> None:
    header, rows, told = WRONG[case]
    with pytest.raises(JuratError) as raised:
        load_hash_list(write(tmp_path / "k.csv", *rows, header=header))
    assert told in raised.value.message


def test_near_duplicates_are_found_among_recent_pictures() -> None:
    memory = NearDuplicates(8, size=3)
    hashes = [picture_hashes(png(drawing(seed)))[0] for seed in range(5)]
    for number, hash in enumerate(hashes):
        assert memory.find(hash) is None
        memory.keep(hash, number)
        (copy,) = picture_hashes(png(drawing(number), "WEBP", quality=90))
        assert memory.find(copy) == number
    assert [memory.find(hash) for hash in hashes] == [None, None, 2, 3, 4]
