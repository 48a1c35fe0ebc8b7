"""Files of a set: every one is read, or counted with the reason; each record of a table gives a row."""

from __future__ import annotations

import io
import json
import os
import pickle
import tarfile
import zipfile
from pathlib import Path
from unicodedata import normalize

import pytest

from jurat.benchmarks import SetFiles
from jurat.content import ImageError
from jurat.errors import JuratError

from .fixtures.parts import base64_of, csv_text, parquet, picture, tarred, tsv_text, write, zipped

POINTER = "version https://git-lfs.github.com/spec/v1\noid sha256:00\nsize 5\n"


def files(folder: Path, content: dict[str, bytes | str]) -> SetFiles:
    write(folder, content)
    return SetFiles(folder)


def notes_of(found: SetFiles) -> str:
    return "\n".join(f"{note} ({count})" for note, count in found.notes.items())


# Images


@pytest.mark.parametrize(
    ("there", "asked"),
    [
        ("imgs/1.PNG", "imgs/1.png"),
        ("imgs/1.png", "./imgs/1.png"),
        ("data/imgs/1.png", "../data/imgs/1.png"),
        ("data/imgs/1.png", "imgs\\1.png"),
        ("imgs/1.png", "/home/someone/set/imgs/1.png"),
        ("imgs/1.png", "C:\\set\\imgs\\1.png"),
        ("imgs/a b.png", "imgs/a%20b.png"),
        ("imgs/50%20.png", "imgs/50%20.png"),
        (normalize("NFD", "imgs/caf\u00e9.png"), normalize("NFC", "caf\u00e9.png")),
        (normalize("NFC", "imgs/caf\u00e9.png"), normalize("NFD", "caf\u00e9.png")),
    ],
)
def test_image_is_found_by_the_name_in_a_cell(there: str, asked: str, tmp_path: Path):
    found = files(tmp_path, {there: picture(1)})
    image = found.image(asked)
    assert image is not None
    assert image.open() == picture(1)
    assert found.unused_images() == []


def test_image_is_not_taken_from_another_folder(tmp_path: Path):
    found = files(tmp_path, {"a/1.png": picture(1), "b/1.png": picture(2)})
    for name in ("c/1.png", "", ".", "/"):
        assert found.image(name) is None
    image = found.image("1.png", under="b")
    assert image is not None
    assert image.open() == picture(2)
    assert found.image("1.jpg", under="b") is None
    assert found.image("1.jpg", under="b", any_suffix=True) is not None
    assert found.unused_images() == ["a/1.png"]


def test_name_in_the_same_case_is_preferred(tmp_path: Path):
    found = files(tmp_path, {"a.JPG": picture(1), "a.jpg": picture(2)})
    image = found.image("a.jpg")
    assert image is not None
    assert image.open() == picture(2)
    assert "more than once under the same name" in notes_of(found)


@pytest.mark.parametrize(
    ("content", "why"),
    [
        (b"", "is empty (0 bytes)"),
        (POINTER.encode(), "is a pointer of Git LFS"),
        (None, "is a link that leads nowhere"),
    ],
)
def test_image_that_cannot_be_read_is_missing_for_that_reason(
    content: bytes | None, why: str, tmp_path: Path
):
    if content is None:
        (tmp_path / "1.png").symlink_to(tmp_path / "blobs" / "gone")
    else:
        write(tmp_path, {"1.png": content})
    found = SetFiles(tmp_path)
    assert found.image("1.png") is None
    assert found.why_no_image("1.png").startswith(why)
    assert found.why_no_image("1").startswith(why)
    assert found.why_no_image("2.png") == "is not in the copy"
    assert why in notes_of(found)


# Archives


def encrypted(data: bytes) -> bytes:
    """An archive whose members are marked as encrypted, in both of their headers."""
    for magic, offset in ((b"PK\3\4", 6), (b"PK\1\2", 8)):
        at = data.find(magic)
        while at >= 0:
            data = data[: at + offset] + b"\1" + data[at + offset + 1 :]
            at = data.find(magic, at + 4)
    return data


def joined_tar() -> bytes:
    return tarred({"1.png": picture(1)}) + tarred({"2.png": picture(2)})


def cut_with_a_valid_end() -> bytes:
    """A ZIP archive whose first member was cut out, with the directory as it was."""
    whole = zipped({"1.png": picture(1) * 50, "2.png": picture(2)})
    directory = whole.index(b"PK\1\2")
    head, end = whole[:200], bytearray(whole[directory:])
    record = end.rindex(b"PK\5\6")
    end[record + 16 : record + 20] = len(head).to_bytes(4, "little")
    return head + bytes(end)


@pytest.mark.parametrize(
    ("name", "data", "images", "note"),
    [
        ("a.zip", zipped({"x/1.png": picture(1), "x/2.png": picture(2)}), {"1.png", "2.png"}, ""),
        ("a.tar", tarred({"x/1.png": picture(1), "x/2.png": picture(2)}), {"1.png", "2.png"}, ""),
        ("a.tar", joined_tar(), {"1.png", "2.png"}, ""),
        ("a.zip", zipped({"1.png": picture(1)}) + zipped({"2.png": picture(2)}), {"2.png"}, "were joined"),
        ("a.zip", zipped({"1.png": picture(1)})[:60], set(), "cannot be read to its end"),
        ("a.zip", encrypted(zipped({"1.png": picture(1)})), set(), "is encrypted in a.zip"),
        ("a.zip", cut_with_a_valid_end(), set(), "is cut off"),
        ("a.tar", joined_tar()[: 512 + 20], set(), "is cut off"),
        ("a.tar", b"\x1f\x8b" + b"x" * 600, set(), "cannot be read to its end"),
        ("a.tar.gz", tarred({"1.png": picture(1)}, "w:gz"), set(), "is compressed and was not read"),
        ("part_aa", b"\x1f\x8b", set(), "parts of a split archive"),
        ("a.zip", zipped({"b.zip": zipped({"1.png": picture(1)})}), set(), "an archive inside an archive"),
        (
            "a.zip",
            zipped({"._1.png": b"x", "__MACOSX/1.png": b"x", "1.png": picture(1)}),
            {"1.png"},
            "hidden",
        ),
        ("a.zip", zipped({"../1.png": picture(1)}), set(), "hidden files"),
        ("a.zip", zipped({"1.png": b""}), set(), "is empty"),
    ],
    ids=lambda value: value if isinstance(value, str) else "-",
)
def test_members_of_archives_are_read_or_counted(
    name: str, data: bytes, images: set[str], note: str, tmp_path: Path
):
    found = files(tmp_path, {name: data})
    readable = {each for each in ("1.png", "2.png") if (image := found.image(each)) and image.open()}
    assert readable == images
    assert (note in notes_of(found)) if note else not found.notes


def test_folders_that_begin_an_archive_are_no_other_archive(tmp_path: Path):
    with zipfile.ZipFile(tmp_path / "a.zip", "w") as archive:
        archive.mkdir("x")
        archive.writestr("x/1.png", picture(1))
    assert not SetFiles(tmp_path).notes


def test_every_member_of_an_archive_is_accounted_for(tmp_path: Path):
    inside = {"1.png": picture(1), "2.png": b"", "._3.png": b"x", "4.tar": tarred({}), "1.txt": "x"}
    found = files(tmp_path, {"a.zip": zipped(inside), "a/1.png": picture(9)})
    members = [name for name in (*found.openers, *found.unusable) if name.startswith("a/")]
    passed_over = sum(found.notes.values()) - len(found.unusable)
    assert len(members) + passed_over == len(inside) + 1
    image = found.image("a/1.png")
    assert image is not None
    assert image.open() == picture(9), "the unpacked file comes first"
    assert "files of the same names are there (1)" in notes_of(found)


def test_member_names_in_utf8_without_its_flag_are_found(tmp_path: Path):
    data = zipped({"caf\u00e9.png": picture(1)})
    for magic, offset in ((b"PK\3\4", 7), (b"PK\1\2", 9)):
        at = data.index(magic)
        data = data[: at + offset] + b"\0" + data[at + offset + 1 :]
    found = files(tmp_path, {"a.zip": data})
    image = found.image("caf\u00e9.png")
    assert image is not None
    assert image.open() == picture(1)


def test_links_in_tar_archives_are_counted(tmp_path: Path):
    file = io.BytesIO()
    with tarfile.open(fileobj=file, mode="w") as archive:
        link = tarfile.TarInfo("1.png")
        link.type, link.linkname = tarfile.SYMTYPE, "/etc/passwd"
        archive.addfile(link)
    found = files(tmp_path, {"a.tar": file.getvalue()})
    assert found.image("1.png") is None
    assert found.why_no_image("1.png") == "is a link or a device in a.tar"


def test_place_of_a_member_names_its_archive(tmp_path: Path):
    found = files(
        tmp_path, {"a.zip": zipped({"x/1.png": picture(1)}), "b.tar": tarred({"2.png": picture(2)})}
    )
    for name, place in (("1.png", "a.zip#x/1.png"), ("2.png", "b.tar#2.png")):
        image = found.image(name)
        assert image is not None
        assert image.uri == f"{tmp_path}/{place}"
        assert pickle.loads(pickle.dumps(image.open))() == image.open()


@pytest.mark.parametrize("method", [zipfile.ZIP_DEFLATED, zipfile.ZIP_BZIP2, zipfile.ZIP_LZMA])
def test_damaged_bytes_of_a_zip_member_are_an_image_error(method: int, tmp_path: Path):
    file = io.BytesIO()
    with zipfile.ZipFile(file, "w", method) as archive:
        archive.writestr("1.png", bytes(range(256)) * 20)
    data = bytearray(file.getvalue())
    data[50:70] = b"\xff" * 20
    image = files(tmp_path, {"a.zip": bytes(data)}).image("1.png")
    assert image is not None
    with pytest.raises(ImageError, match=r"1\.png in .*a\.zip cannot be read: "):
        image.open()


# Folders


def test_cache_of_the_hub_gives_one_snapshot(tmp_path: Path):
    old, new = "0" * 40, "a" * 40
    write(tmp_path, {"blobs/1": picture(1), "blobs/2": picture(2), "refs/main": new})
    for revision, blob in ((old, "1"), (new, "2")):
        (tmp_path / "snapshots" / revision).mkdir(parents=True)
        (tmp_path / "snapshots" / revision / "a.png").symlink_to(f"../../blobs/{blob}")
    found = SetFiles(tmp_path)
    assert list(found.openers) == [f"snapshots/{new}/a.png"]
    assert found.revision == new
    assert SetFiles(tmp_path / "snapshots" / old).revision == old
    assert SetFiles(tmp_path / "blobs").revision is None
    image = found.image("a.png")
    assert image is not None
    assert image.open() == picture(2)
    assert notes_of(found) == f"other revisions in the hub's cache were not read; {new} was (1)"


def test_links_to_folders_are_followed_once(tmp_path: Path):
    write(tmp_path, {"a/1.png": picture(1)})
    (tmp_path / "a" / "loop").symlink_to(tmp_path)
    (tmp_path / "b").symlink_to(tmp_path / "a")
    found = SetFiles(tmp_path)
    assert list(found.openers) == ["a/1.png"]
    assert notes_of(found) == "folders were passed over that another link leads to (2)"


def test_named_file_is_the_only_one_of_its_kind(tmp_path: Path):
    write(tmp_path, {"a.csv": "x\n1\n", "b.csv": "x\n2\n", "1.png": picture(1)})
    found = SetFiles(tmp_path / "b.csv")
    assert found.find("*.csv") == ["b.csv"]
    assert found.image("1.png") is not None


def test_named_archive_hides_the_files_beside_it(tmp_path: Path):
    write(tmp_path, {"a.zip": zipped({"x.csv": "x\n1\n"}), "b.csv": "x\n2\n"})
    assert SetFiles(tmp_path / "a.zip").find("*.csv") == ["a/x.csv"]


def test_other_files_of_a_pattern_are_named(tmp_path: Path):
    found = files(tmp_path, {"a.csv": "x", "deep/a.csv": "x"})
    assert found.one("b.csv", "a.csv") == "a.csv"
    assert notes_of(found) == "other files that match a.csv were not read; a.csv was (1)"
    with pytest.raises(JuratError, match=r"has no file b\.csv or c\.csv"):
        found.one("b.csv", "c.csv")


def test_missing_path_is_an_error(tmp_path: Path):
    with pytest.raises(JuratError, match="There is no file or folder"):
        SetFiles(tmp_path / "nowhere")


# Tables


ROWS = [("1", "a b"), ("2", "caf\u00e9, tea")]


@pytest.mark.parametrize("end", ["\n", "\r\n", "\r"])
@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "utf-16"])
@pytest.mark.parametrize("last", ["", "\n\n"])
def test_tables_in_any_encoding_and_with_any_line_ends(end: str, encoding: str, last: str, tmp_path: Path):
    text = csv_text(("id", " text "), ROWS, end=end).rstrip() + last.replace("\n", end)
    found = files(tmp_path, {"a.csv": text.encode(encoding)})
    rows = list(found.table("a.csv"))
    assert [(row.place, tuple(row.cells.values())) for row in rows] == [
        ("a.csv:1", ROWS[0]),
        ("a.csv:2", ROWS[1]),
    ]
    assert list(rows[0].cells) == ["id", "text"]
    assert not found.notes


def test_rows_that_cannot_be_read_are_rows_with_a_problem(tmp_path: Path):
    text = 'id,text,image\n1,"not closed,1.png\n2,b,2.png\n3,c,d,e\n4\n"5","line\nline",5.png\n\n'
    rows = list(files(tmp_path, {"a.csv": text}).table("a.csv"))
    assert [row.problem is None for row in rows] == [False, True, False, True, True]
    assert str(rows[0].problem).startswith("line 2: ")
    assert rows[2].problem == "it has 4 cells, not 3"
    assert [row.cells.get("id") for row in rows] == [None, "2", None, "4", "5"]
    assert rows[-1].cells["text"] == "line\nline"


def test_blank_rows_keep_the_numbers_of_those_behind_them(tmp_path: Path):
    found = files(tmp_path, {"1.csv": "a\n\nb,c\n"})
    rows = list(found.table("1.csv", columns=("query",), blank=True))
    assert [dict(row.cells) for row in rows] == [{"query": "a"}, {}, {"query": "b", "2": "c"}]


def test_text_in_another_encoding_is_counted(tmp_path: Path):
    found = files(tmp_path, {"a.csv": b"id\ncaf\xe9\n"})
    assert [row.cells["id"] for row in found.table("a.csv")] == ["caf\ufffd"]
    assert notes_of(found) == "characters of a.csv that are not UTF-8 were replaced (1)"


# JSON


@pytest.mark.parametrize(
    ("name", "text"),
    [
        ("a.json", json.dumps([{"id": 1}, {"id": "b"}])),
        ("a.json", json.dumps({"1": {}, "b": {}}, indent=2)),
        ("a.json", '{"id": 1}\r\n\r\n{"id": "b"}\r\n'),
        ("a.jsonl", '\ufeff{"id": 1}\n{"id": "b"}'),
        ("a.jsonl", json.dumps([{"id": 1}, {"id": "b"}])),
    ],
)
def test_records_of_every_form(name: str, text: str, tmp_path: Path):
    rows = list(files(tmp_path, {name: text}).records(name))
    assert [str(row.cells["id"]) for row in rows] == ["1", "b"]
    assert [row.place for row in rows] == [f"{name}:1", f"{name}:2"]


def test_single_line_is_one_record(tmp_path: Path):
    rows = list(files(tmp_path, {"a.jsonl": '{"id": {"x": 1}}\n'}).records("a.jsonl"))
    assert [row.cells for row in rows] == [{"id": {"x": 1}}]


def test_key_that_occurs_twice_gives_two_rows(tmp_path: Path):
    found = files(tmp_path, {"a.json": '{"1": {"x": 1}, "1": {"x": 2, "x": 3}}'})
    assert [row.cells for row in found.records("a.json")] == [{"id": "1", "x": 1}, {"id": "1", "x": 3}]
    assert notes_of(found) == "objects of a.json have a key twice (2)"
    lines = files(tmp_path / "lines", {"a.jsonl": '{"id": 1, "id": 2}\n{"id": 3}\n'})
    assert [row.cells for row in lines.records("a.jsonl")] == [{"id": 2}, {"id": 3}]
    assert notes_of(lines) == "objects of a.jsonl have a key twice (1)"


def test_records_that_are_no_objects_are_rows_with_a_problem(tmp_path: Path):
    rows = list(files(tmp_path, {"a.jsonl": '{"id": 1}\nnull\n{"id":\n'}).records("a.jsonl"))
    assert [row.problem for row in rows][:2] == [None, "it is a NoneType, not an object"]
    assert str(rows[2].problem).startswith("it is not JSON")


@pytest.mark.parametrize("text", ["3", '"text"', "{", "[" * 100_000])
def test_file_without_records_is_an_error(text: str, tmp_path: Path):
    with pytest.raises(JuratError, match=r"a\.json (is not JSON|holds a)"):
        list(files(tmp_path, {"a.json": text}).records("a.json"))


# Images in tables


def test_null_images_of_parquet_are_told_without_reading(tmp_path: Path):
    table = parquet({"id": [1, 2], "image": [picture(1), None]})
    rows = list(files(tmp_path, {"a.parquet": table}).image_table("a.parquet", "image"))
    assert [(row.cells["id"], [image.open() for image in row.images]) for row in rows] == [
        ("1", [picture(1)]),
        ("2", []),
    ]


def test_damaged_parquet_is_a_row_with_a_problem(tmp_path: Path):
    table = parquet({"id": [1], "image": [picture(1)]})
    (row,) = files(tmp_path, {"a.parquet": table[: len(table) // 2]}).image_table("a.parquet", "image")
    assert "is not a whole Parquet file" in str(row.problem)


def test_cells_of_a_tsv_file_hold_images_or_refer_to_them(tmp_path: Path):
    one, two = base64_of(picture(1)), base64_of(picture(2))
    cells = {"0": "1", "1": one, "2": "0", "3": str([one, two]), "4": "5", "5": "4", "6": "", "7": "x.png"}
    text = tsv_text(("index", "image", "text"), [(index, cell, "a\nb") for index, cell in cells.items()])
    found = files(tmp_path, {"a.tsv": "\ufeff" + text})
    rows = list(found.image_table("a.tsv", "image"))
    assert [len(row.images) for row in rows] == [1, 1, 1, 2, 0, 0, 0, 0]
    assert {row.images[0].uri for row in rows[:3]} == {f"{tmp_path}/a.tsv#1"}, "all three are one image"
    assert [image.open() for image in rows[3].images] == [picture(1), picture(2)]
    assert pickle.loads(pickle.dumps(rows[0].images[0].open))() == picture(1)
    assert [bool(row.problem) for row in rows] == [False] * 4 + [True, True, False, True]
    assert {row.cells["text"] for row in rows} == {"a\nb"}


def test_quote_that_is_not_closed_hides_one_row_of_a_tsv_file(tmp_path: Path):
    lines = ["index\ttext\timage", '1\t"a\t', f"2\tb\t{base64_of(picture(2))}", '3\t"c"d\t', "4\te\t"]
    found = files(tmp_path, {"a.tsv": "\n".join(lines) + "\n"})
    rows = list(found.image_table("a.tsv", "image"))
    assert [row.cells.get("index") for row in rows] == [None, "2", None, "4"]
    assert [bool(row.problem) for row in rows] == [True, False, True, False]
    assert rows[1].images[0].open() == picture(2)


def test_tsv_file_with_many_broken_rows_is_read_up_to_a_limit(tmp_path: Path):
    found = files(tmp_path, {"a.tsv": "index\timage\n" + '1"\t"\n' * 150})
    rows = list(found.image_table("a.tsv", "image"))
    assert len(rows) == 101
    assert (
        rows[-1].problem == "it is no row: 101 rows have broken quotes; those behind this one were not read"
    )


def test_broken_header_of_a_tsv_file_is_an_error(tmp_path: Path):
    found = files(tmp_path, {"a.tsv": '"index"x\timage\n'})
    with pytest.raises(JuratError, match=r"a\.tsv cannot be read: its first line: "):
        list(found.image_table("a.tsv", "image"))


def test_table_that_cannot_be_read_is_named(tmp_path: Path):
    found = files(tmp_path, {"a/test.jsonl": b"", "a/1.png": b""})
    assert dict(found.notes) == {
        "a/test.jsonl was passed over: it is empty (0 bytes)": 1,
        "files were passed over: each is empty (0 bytes)": 1,
    }


def test_image_of_a_tsv_file_that_changed_is_an_error(tmp_path: Path):
    found = files(tmp_path, {"a.tsv": tsv_text(("index", "image"), [(1, base64_of(picture(1)))])})
    (row,) = found.image_table("a.tsv", "image")
    write(tmp_path, {"a.tsv": "index\timage\n"})
    with pytest.raises(ImageError, match="has changed since it was listed"):
        row.images[0].open()


def test_table_of_images_in_an_archive_must_be_unpacked(tmp_path: Path):
    found = files(tmp_path, {"a.zip": zipped({"a.tsv": "index\timage\n"})})
    with pytest.raises(JuratError, match=r"a/a\.tsv is in an archive; unpack it first"):
        found.image_table("a/a.tsv", "image")


def test_archive_is_opened_once_a_process(tmp_path: Path):
    found = files(tmp_path, {"a.zip": zipped({"1.png": picture(1), "2.png": picture(2)})})
    images = [found.image("1.png"), found.image("2.png")]
    assert images[0] is not None and images[1] is not None
    images[0].open()
    child = os.fork()
    if child == 0:
        os._exit(0 if images[1].open() == picture(2) else 1)
    assert images[0].open() == picture(1)
    assert os.waitpid(child, 0)[1] == 0


def test_zip_with_a_method_that_is_not_read_is_counted(tmp_path: Path):
    file = io.BytesIO()
    with zipfile.ZipFile(file, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("1.png", picture(1))
    data = file.getvalue().replace(b"\x08\x00", b"\x09\x00")  # Deflate64
    found = files(tmp_path, {"a.zip": data})
    assert found.image("1.png") is None
    assert "is compressed in a way that is not read" in notes_of(found)


def test_table_with_another_delimiter_has_a_note(tmp_path: Path):
    found = files(tmp_path, {"a.csv": "id;text\n1;bread\n", "b.csv": "id\n1\n"})
    assert [row.cells for name in ("a.csv", "b.csv") for row in found.table(name)] == [
        {"id;text": "1;bread"},
        {"id": "1"},
    ]
    assert notes_of(found) == "a.csv has one column: ';' separates no cells of it, ',' does (1)"
