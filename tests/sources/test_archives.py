"""Tar shards, concatenated, truncated, damaged or packed by macOS: every member is an item or counted."""

from __future__ import annotations

import bz2
import gzip
import io
import lzma
import tarfile
from pathlib import Path
from typing import Any

import pytest

from jurat.content import ImageError, Item
from jurat.sources import PassedOver, SourceOptions, find_items

COMPANION = bytes.fromhex("0005160700020000") + b"Mac OS X        " + bytes(100)


@pytest.fixture(autouse=True)
def in_tmp_path(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)


def tar(members: dict[str, bytes], *, format: int = tarfile.USTAR_FORMAT) -> bytes:
    """An archive with an end mark, and no padding behind it."""
    out = io.BytesIO()
    with tarfile.open(fileobj=out, mode="w", format=format) as shard:
        for name, data in members.items():
            info = tarfile.TarInfo(name)
            info.size = len(data)
            shard.addfile(info, io.BytesIO(data))
    size = sum(512 + -(-len(data) // 512) * 512 for data in members.values())
    return out.getvalue()[: size + 1024] if format == tarfile.USTAR_FORMAT else out.getvalue()


def read(name: str, data: bytes, **options: Any) -> tuple[list[Item], PassedOver]:
    Path(name).write_bytes(data)
    passed_over = PassedOver()
    return list(find_items([name], options=SourceOptions(**options), passed_over=passed_over)), passed_over


def told(items: list[Item]) -> list[bytes | str]:
    """What each item holds, or why it cannot be read."""
    found: list[bytes | str] = []
    for item in items:
        try:
            found.append(item.read()[0])
        except ImageError as error:
            found.append(error.message)
    return found


FIRST, SECOND = tar({"0001.jpg": b"first"}), tar({"0002.jpg": b"second"})
FOUR = {f"{number}.jpg": bytes([number]) * 900 for number in range(4)}
ONE = 512 + 1024
"""Bytes of a member of `FOUR`."""


@pytest.mark.parametrize(
    ("name", "data"),
    {
        "joined.tar": FIRST + SECOND,
        "padded.tar": FIRST + bytes(9000 // 512 * 512) + SECOND + bytes(10240),
        "odd.tar": FIRST[:-512] + SECOND,  # a lone block of zeros between them
        "joined.tar.gz": gzip.compress(FIRST) + gzip.compress(SECOND),
        "inside.tgz": gzip.compress(FIRST + SECOND),
        "plain.tar.gz": FIRST + SECOND,
        "gzipped.tar": gzip.compress(FIRST + SECOND),
        "bzipped.tar": bz2.compress(FIRST + SECOND),
    }.items(),
)
def test_concatenated_archives_are_read_to_the_end(name: str, data: bytes) -> None:
    items, passed_over = read(name, data)
    assert told(items) == [b"first", b"second"]
    assert passed_over.as_dict() == {}


@pytest.mark.parametrize("suffix", ["tar", "tgz"])
@pytest.mark.parametrize(
    ("end", "last"),
    {
        2 * ONE: "cut.{}: it has no end mark: it may be cut off",
        2 * ONE + 100: "the rest of cut.{} cannot be read: truncated header",
        2 * ONE + 512: "the rest of cut.{} cannot be read: unexpected end of data",
        2 * ONE - 10: "the rest of cut.{} cannot be read: unexpected end of data",
    }.items(),
)
def test_truncated_archive_is_reported(suffix: str, end: int, last: str) -> None:
    data = tar(FOUR)[:end]
    items, _ = read(f"cut.{suffix}", gzip.compress(data) if suffix == "tgz" else data)
    assert told(items)[:2] == [FOUR["0.jpg"], FOUR["1.jpg"]]
    assert told(items)[-1] == last.format(suffix)
    assert items[-1].id == f"cut.{suffix}"


@pytest.mark.parametrize("suffix", ["tar", "tgz"])
@pytest.mark.parametrize("place", [0, 20, 130, 150, 157])
@pytest.mark.parametrize("format", [tarfile.USTAR_FORMAT, tarfile.GNU_FORMAT, tarfile.PAX_FORMAT])
def test_damaged_header_loses_only_its_member(suffix: str, place: int, format: int) -> None:
    data = bytearray(tar(FOUR, format=format))
    data[ONE + place] ^= 0xFF
    items, _ = read(f"bad.{suffix}", gzip.compress(bytes(data)) if suffix == "tgz" else bytes(data))
    assert [found for found in told(items) if isinstance(found, bytes)] == [
        FOUR[f"{n}.jpg"] for n in (0, 2, 3)
    ]
    (problem,) = [found for found in told(items) if isinstance(found, str)]
    assert problem.startswith(f"bad.{suffix}: a damaged header at byte {ONE:,} (")
    assert problem.endswith(f"{ONE:,} bytes were passed over, up to the next header")


def test_damaged_first_header_loses_only_its_member() -> None:
    data = bytearray(tar(FOUR))
    data[3] ^= 0xFF
    items, _ = read("bad.tar", bytes(data))
    assert told(items)[1:] == [FOUR[f"{n}.jpg"] for n in (1, 2, 3)]
    assert "a damaged header at byte 0" in str(told(items)[0])


def test_negative_length_in_a_header_is_skipped() -> None:
    info = tarfile.TarInfo("x.jpg")
    info.size = -1024
    header = info.tobuf(tarfile.GNU_FORMAT)
    items, _ = read("bad.tar", tar({"a.jpg": b"a"})[:1024] + header + SECOND)
    assert told(items)[0] == b"a"
    assert told(items)[-1] == b"second"
    assert "a negative length" in str(told(items)[1])


def test_truncated_long_name_header_is_reported() -> None:
    data = tar({"0.jpg": b"a", f"{'x' * 200}.jpg": b"b"}, format=tarfile.GNU_FORMAT)
    items, _ = read("cut.tar", data[: 1024 + 1024] + bytes(1024))
    assert told(items) == [b"a", "the rest of cut.tar cannot be read: the header of a member is missing"]


def test_trailing_bytes_after_the_end_are_reported() -> None:
    items, _ = read("tail.tar", FIRST + b"a signature" * 200)
    assert told(items) == [
        b"first",
        "the rest of tail.tar cannot be read: what follows its end is no archive",
    ]
    items, _ = read("tail.tar", FIRST + b"x" * 2048 + SECOND)
    assert told(items)[::2] == [b"first", b"second"]
    assert "bytes after an end mark that are no archive at byte 2,048" in str(told(items)[1])


@pytest.mark.parametrize(
    ("data", "what"),
    [
        (lzma.compress(FIRST), "xz"),
        (b"\x28\xb5\x2f\xfd" + bytes(20), "Zstandard"),
        (b"PK\3\4" + bytes(20), "ZIP"),
    ],
)
def test_unsupported_compression_is_named(data: bytes, what: str) -> None:
    items, _ = read("packed.tar", data)
    assert told(items) == [f"packed.tar is a {what} file; unpack it first"]


def test_archive_compressed_twice_is_reported() -> None:
    items, _ = read("twice.tar.gz", gzip.compress(gzip.compress(FIRST)))
    (problem,) = told(items)
    assert str(problem).startswith("the rest of twice.tar.gz cannot be read: ")


def test_decompression_bomb_is_abandoned(monkeypatch: pytest.MonkeyPatch) -> None:
    from jurat.sources import tar as archives

    monkeypatch.setattr(archives, "_UNPACKED", 1 << 22)
    bomb = bz2.compress(tar({"a.jpg": b"a", "b.bin": bytes(1 << 23), "c.jpg": b"c"}))
    items, _ = read("bomb.tar", bomb)
    assert told(items) == [
        b"a",
        "the rest of bomb.tar cannot be read: it unpacks to more than 200 times its own size and"
        " 4,194,304 bytes",
    ]


@pytest.mark.parametrize("suffix", ["tar", "tgz"])
def test_macos_companion_files_are_skipped(suffix: str) -> None:
    members: dict[str, bytes] = {}
    for number in range(3):
        for kind, data in (("jpg", b"picture"), ("txt", b"A caption."), ("json", b'{"source": "crawl"}')):
            members[f"d/._{number}.{kind}"] = COMPANION
            members[f"d/{number}.{kind}"] = data
    members["d/._real.jpg"] = b"a picture of that name"
    data = tar(members)
    items, passed_over = read(f"mac.{suffix}", gzip.compress(data) if suffix == "tgz" else data)
    assert told(items) == [b"picture"] * 3 + [b"a picture of that name"]
    assert [dict(item.columns) for item in items[:3]] == [{"txt": "A caption.", "source": "crawl"}] * 3
    assert [item.caption for item in items[:3]] == ["A caption."] * 3
    assert passed_over.as_dict()["others"] == {
        "macOS attributes (._NAME)": 9,
        "texts carried with an image": 6,
    }


def special(name: str, kind: bytes) -> tarfile.TarInfo:
    member = tarfile.TarInfo(name)
    member.type, member.linkname = kind, "0.jpg"
    return member


@pytest.mark.parametrize("suffix", ["tar", "tgz"])
def test_every_member_is_an_item_or_counted(suffix: str) -> None:
    out = io.BytesIO()
    members: list[tuple[str | tarfile.TarInfo, bytes]] = [
        (special("folder", tarfile.DIRTYPE), b""),
        ("folder/0.jpg", b"taken"),
        ("folder/0.txt", b"a caption"),
        ("folder/0.seg.png", b"taken"),
        ("1.img", b"by its suffix"),
        ("2", b"by its suffix"),
        ("3.jpg.bin", b"by its suffix"),
        ("4.txt", b"a text alone"),
        ("5.JPG", b"taken"),
        (special("6.txt", tarfile.SYMTYPE), b""),
        (special("7.png", tarfile.LNKTYPE), b""),
        ("../8.png", b"an error"),
        ("._9.png", COMPANION),
        ("5.JPG", b"taken again"),
        ("10.mp4", b"taken"),
        (".hidden", b"by its suffix"),
    ]
    with tarfile.open(fileobj=out, mode="w") as shard:
        for name, data in members:
            info = tarfile.TarInfo(name) if isinstance(name, str) else name
            info.size = len(data)
            shard.addfile(info, io.BytesIO(data))
    data = out.getvalue()
    items, passed_over = read(f"all.{suffix}", gzip.compress(data) if suffix == "tgz" else data)
    counted = sum(sum(counts.values()) for counts in passed_over.as_dict().values())
    assert len(items) + counted == len(members)
    assert passed_over.as_dict() == {
        "members": {".img": 1, "no suffix": 1, ".jpg.bin": 1, ".hidden": 1},
        "others": {
            "folder entries": 1,
            "texts carried with an image": 1,
            "texts of archives without an image of the same name beside them": 1,
            "members of archives that are no regular file": 1,
            "macOS attributes (._NAME)": 1,
        },
    }
    assert passed_over.total == 7
    assert passed_over.lines()[0] == (
        "4 members of archives were passed over by the suffix (.img 1, no suffix 1, .jpg.bin 1, .hidden 1);"
        " --column img takes those with that suffix."
    )
    items, passed_over = read("all.tar", data, column="IMG")
    assert told(items) == [b"by its suffix"]
    assert passed_over.as_dict()["members"][".jpg"] == 3


@pytest.mark.parametrize("suffix", ["tar", "tgz"])
def test_overlong_text_is_left_out_and_reported(suffix: str) -> None:
    members = {
        "0.jpg": b"a",
        "0.ocr.json": b" " * (1 << 18) + b"{}",
        "1.jpg": b"b",
        "1.txt": b"x" * (1 << 18) + b"y",
    }
    data = tar(members)
    packed = gzip.compress(data) if suffix == "tgz" else data
    items, _ = read(f"long.{suffix}", packed)
    left_out = "(left out: {} bytes, more than the limit of 262,144)"
    assert [dict(item.columns) for item in items] == [
        {"ocr.json": left_out.format("262,146")},
        {"txt": left_out.format("262,145")},
    ]
    assert told(items) == [b"a", b"b"]
    assert [item.caption for item in items] == [None, None]
    items, _ = read(f"long.{suffix}", packed, caption_column="txt")
    assert told(items) == [b"a", f"its caption is too long: {left_out.format('262,145')}"]
