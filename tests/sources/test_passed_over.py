"""Files that are not items are counted; names in other Unicode forms are found; pipes are refused."""

from __future__ import annotations

import io
import os
import unicodedata
from pathlib import Path

import pyarrow as pa
import pytest

from jurat.content import ImageError
from jurat.sources import PassedOver, SourceOptions, find_items

NAMES = (
    *("a.jpg", "b.JPG", "c.jfif", "8f3a9c0b12d4", "photo.jpg?width=600", "f.jpg_large", "g.jpg.1", "h.pjpeg"),
    *("i.jpeg~", "l.dng", "notes.txt", "Thumbs.db", ".DS_Store", "deep/m.png", "deep/n.raw", "deep/o.dng"),
)
APPLE = bytes.fromhex("00051607")


@pytest.fixture(autouse=True)
def in_tmp_path(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)


def make(*names: str, data: bytes = b"x") -> None:
    for name in names:
        Path(name).parent.mkdir(parents=True, exist_ok=True)
        Path(name).write_bytes(data)


def walk(*paths: str, **options: str) -> tuple[list[str], PassedOver]:
    passed_over = PassedOver()
    items = find_items(paths, options=SourceOptions(**options), passed_over=passed_over)
    return [item.id for item in items], passed_over


def test_items_and_skipped_files_add_up_to_all_files() -> None:
    make(*(f"in/{name}" for name in NAMES))
    make("in/._a.jpg", data=APPLE)
    make("in/._e.jpg", data=b"a picture of that name")
    ids, passed_over = walk("in")
    files = sum(len(names) for _, _, names in os.walk("in"))
    assert ids == ["in/._e.jpg", "in/a.jpg", "in/b.JPG", "in/c.jfif", "in/deep/m.png"]
    assert len(ids) + passed_over.total == files
    assert passed_over.as_dict() == {
        "files": {
            **{
                "no suffix": 2,
                ".dng": 2,
                ".jpg?width=600": 1,
                ".jpg_large": 1,
                ".1": 1,
                ".pjpeg": 1,
                ".jpeg~": 1,
            },
            **{".txt": 1, ".db": 1, ".raw": 1},
        },
        "others": {"macOS attributes (._NAME)": 1},
    }
    assert passed_over.lines()[0].startswith("12 files were passed over by the name (no suffix 2, .dng 2, ")
    assert passed_over.lines()[0].endswith(
        ", ...); to judge them too, name them, by a glob ('*.SUFFIX') or in a list for -."
    )
    assert passed_over.lines()[1] == "Passed over as well: 1 macOS attributes (._NAME)."


@pytest.mark.parametrize(
    ("pattern", "taken", "passed"),
    [
        ("in/*", 4, 11),  # hidden names are not matched, and the folder in it is walked
        ("in/**", 4, 12),
        ("in/*.dng", 1, 0),
        ("in/h*", 0, 1),
        ("in/d*", 1, 2),  # a folder that matches is walked
    ],
)
def test_non_images_matched_by_a_glob_are_counted(pattern: str, taken: int, passed: int) -> None:
    make(*(f"in/{name}" for name in NAMES))
    ids, passed_over = walk(pattern)
    assert (len([id for id in ids if id != pattern]), passed_over.total) == (taken, passed)
    if not taken:
        (item,) = find_items([pattern])
        with pytest.raises(ImageError, match="nothing with the suffix of an image or a video matches: "):
            item.read()


def test_skipped_shards_are_reported_with_the_command_to_judge_them() -> None:
    make("shards/0.tar", "shards/1.tar", "shards/notes.txt")
    ids, passed_over = walk("shards")
    assert ids == []
    assert passed_over.lines() == [
        "3 files were passed over by the name (.tar 2, .txt 1); there are 2 files of many items"
        " (WebDataset shard): jurat judge 'shards/*.tar'."
    ]


def test_files_beside_a_saved_dataset_are_counted() -> None:
    table = pa.table({"image": [b"a", b"b"]})
    Path("saved/more").mkdir(parents=True)
    with pa.OSFile("saved/data.arrow", "wb") as file, pa.ipc.new_stream(file, table.schema) as writer:
        writer.write_table(table)
    make("saved/dataset_info.json", "saved/state.json", data=b"{}")
    make("saved/state.json", data=b'{"_data_files": [{"filename": "data.arrow"}]}')
    make("saved/cache-1.arrow", "saved/more/c.png")
    ids, passed_over = walk("saved")
    assert ids == ["saved/data.arrow#0", "saved/data.arrow#1"]
    assert passed_over.as_dict() == {
        "files": {".arrow": 1, ".png": 1},
        "others": {"facts on a data set": 2},
    }


def test_counts_of_many_suffixes_use_bounded_memory() -> None:
    passed_over = PassedOver()
    for number in range(3000):
        passed_over.file(f"a.{number}{'x' * 5000}")
    passed_over.file("a.\x1b[31m\n")
    assert passed_over.total == 3001
    assert len(passed_over.files) <= 1001
    assert sum(map(len, passed_over.files)) < 30_000
    assert "\x1b" not in "".join(passed_over.lines())


FORMS = [("NFC", "NFD"), ("NFD", "NFC")]


@pytest.mark.parametrize(("there", "given"), FORMS)
def test_names_in_another_unicode_form_are_found(there: str, given: str) -> None:
    folder, name = "Köln/bücher", "café-ñ-が.png"
    make(unicodedata.normalize(there, f"{folder}/{name}"), data=b"found")
    written = unicodedata.normalize(given, f"{folder}/{name}")
    tables = {
        "t.csv": f"path\n{written}\n",
        "t.jsonl": f'{{"path": "{written}"}}\n',
    }
    for table, text in tables.items():
        Path(table).write_text(text, encoding="utf-8")
    listed = io.StringIO(f"{written}\n")
    items = list(find_items([written, *tables, "-"], listed))
    assert [item.read()[0] for item in items] == [b"found"] * 4
    assert {item.id for item in items} == {written}
    below = list(
        find_items([unicodedata.normalize(given, folder), unicodedata.normalize(given, f"{folder}/c*.png")])
    )
    assert [item.read()[0] for item in below] == [b"found"] * 2


def test_ambiguous_unicode_names_are_reported() -> None:
    make("d\u0307\u0323.png", "\u1e0d\u0307.png")  # two orders of the same marks
    (item,) = find_items(["\u1e0b\u0323.png"])
    with pytest.raises(ImageError) as raised:
        item.read()
    assert raised.value.message == (
        "no such file or folder: \u1e0b\u0323.png"
        " (2 files are there whose names look the same, in other Unicode forms)"
    )


def test_file_uris_are_read_literally_or_decoded(tmp_path: Path) -> None:
    place = tmp_path / "My Pictures" / "café 100%.png"
    make(str(place), data=b"found")
    make(str(place.with_name("a%20b.png")), data=b"as it stands")
    uri = place.as_uri()
    assert "%C3%A9%20100%25" in uri
    forms = [
        *(str(place), f"file://{place}", uri, uri.replace("file:///", "file://localhost/")),
        *(uri.replace("file:///", "file:/"), uri.replace("file:", "FILE:")),
    ]
    Path("list.csv").write_text("path\n" + "".join(f'"{form}"\n' for form in forms), encoding="utf-8")
    assert [item.read()[0] for item in find_items(["list.csv"])] == [b"found"] * 6
    assert [item.read()[0] for item in find_items(forms)] == [b"found"] * 6
    assert [item.read()[0] for item in find_items(["-"], io.StringIO("\n".join(forms)))] == [b"found"] * 6
    (kept,) = find_items([f"file://{place.with_name('a%20b.png')}"])
    assert kept.read()[0] == b"as it stands"
    for other in ("file://elsewhere/etc/hostname", "file:///nowhere/a%20b.png"):
        (item,) = find_items([other])
        with pytest.raises(ImageError, match="no such file or folder"):
            item.read()


@pytest.mark.parametrize(
    "suffix", ["csv", "tsv", "jsonl", "json", "parquet", "arrow", "tar", "tar.gz", "png", "txt"]
)
def test_pipes_of_any_suffix_are_refused(suffix: str) -> None:
    os.mkfifo(f"x.{suffix}")
    (item,) = find_items([f"x.{suffix}"])
    with pytest.raises(ImageError) as raised:
        item.read()
    assert raised.value.message == f"cannot be read (not a regular file): x.{suffix}"


def test_pipes_in_a_saved_dataset_are_refused() -> None:
    make("saved/data.arrow")
    make("saved/dataset_info.json", data=b"{}")
    os.mkfifo("saved/state.json")
    (item,) = find_items(["saved"])
    with pytest.raises(ImageError, match="not a regular file"):
        item.read()


def test_text_file_of_paths_is_refused_with_the_command() -> None:
    make("list.txt", data="a.png\nbücher/b.png\n".encode())
    make("picture.txt", data=b"\x89PNG\r\n\x1a\n\0\0")
    listed, picture = find_items(["list.txt", "picture.txt"])
    with pytest.raises(ImageError) as raised:
        listed.read()
    assert raised.value.message == "not an image but text; if it lists paths: jurat judge - < list.txt"
    assert picture.read()[0].startswith(b"\x89PNG")
