"""Tables, Arrow files and tar shards become items, in order, each with its id, its bytes and its columns."""

from __future__ import annotations

import csv
import gzip
import io
import json
import os
import pickle
import tarfile
import threading
import tracemalloc
from collections.abc import Callable
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from jurat.content import ImageError, Item
from jurat.errors import JuratError
from jurat.sources import SourceChanged, SourceOptions, count_items, find_items
from jurat.sources.registry import SOURCES

HUB = {"info": {"features": {"label": {"_type": "ClassLabel"}, "picture": {"_type": "Image"}}}}


@pytest.fixture(autouse=True)
def in_tmp_path(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    for name in ("a.png", "b.png", "sub/c.png"):
        path = tmp_path / "data" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(name.encode())


def items(*paths: str, **options: Any) -> list[Item]:
    return list(find_items(paths, options=SourceOptions(**options)))


def said(item: Item) -> str:
    with pytest.raises(ImageError) as raised:
        item.read()
    assert "\n" not in raised.value.message
    return raised.value.message


ROWS = [
    {"name": "first", "path": "a.png", "label": 3, "split": "train"},
    {"name": "second", "path": "sub/c.png", "label": 5, "split": "test"},
    {"name": "third", "path": "a.png", "label": 3, "split": "train"},
]


def write_csv(path: str, rows: list[dict[str, Any]], delimiter: str = ",") -> None:
    with open(path, "w", newline="", encoding="utf-8-sig") as file:
        writer = csv.DictWriter(file, list(rows[0]), delimiter=delimiter)
        writer.writeheader()
        writer.writerows(rows)


def write_jsonl(path: str, rows: list[dict[str, Any]]) -> None:
    Path(path).write_text("".join(json.dumps(row) + "\n" for row in rows))


def write_arrow(path: str, table: pa.Table, stream: bool = True) -> None:
    make = pa.ipc.new_stream if stream else pa.ipc.new_file
    with pa.OSFile(path, "wb") as file, make(file, table.schema) as writer:
        writer.write_table(table, max_chunksize=2)


TABLES: dict[str, Callable[[str, list[dict[str, Any]]], None]] = {
    "data/t.csv": write_csv,
    "data/t.tsv": lambda path, rows: write_csv(path, rows, "\t"),
    "data/t.jsonl": write_jsonl,
    "data/t.ndjson": write_jsonl,
    "data/t.json": lambda path, rows: Path(path).write_text(json.dumps(rows, indent=1)),
    "data/t.parquet": lambda path, rows: pq.write_table(pa.Table.from_pylist(rows), path, row_group_size=2),
    "data/t.arrow": lambda path, rows: write_arrow(path, pa.Table.from_pylist(rows)),
}


@pytest.mark.parametrize("table", TABLES)
def test_rows_are_items_with_their_other_columns(table: str, tmp_path: Path) -> None:
    TABLES[table](table, ROWS)
    found = items(table)
    assert [item.id for item in found] == ["a.png", "sub/c.png", "a.png"]
    assert [item.read()[0] for item in found] == [b"a.png", b"sub/c.png", b"a.png"]
    assert found[1].uri == str(tmp_path / "data/sub/c.png")
    assert found[1].columns == {"name": "second", "label": "5", "split": "test"}
    assert [pickle.loads(pickle.dumps(item)).read()[0] for item in found] == [
        item.read()[0] for item in found
    ]


@pytest.mark.parametrize("table", TABLES)
def test_column_id_column_and_root_options_are_applied(table: str) -> None:
    rows = [{"key": "one", "photo": "b.png"}, {"key": "two", "photo": "a.png"}, {"key": "", "photo": "a.png"}]
    table = "t" + Path(table).suffix
    TABLES[f"data/{table}"](table, rows)
    found = items(table, column="photo", id_column="key", root="data")
    assert [(item.id, item.read()[0]) for item in found[:2]] == [("one", b"b.png"), ("two", b"a.png")]
    assert found[2].id == f"{table}#2"
    assert found[0].columns == {}


@pytest.mark.parametrize("table", TABLES)
def test_missing_column_error_lists_the_columns(table: str) -> None:
    TABLES[table](table, [{"key": "one", "photo": "b.png"}])
    for options, told in (
        ({}, "has no column with the usual name of images; it has 'key', 'photo'."),
        ({"column": "phto"}, "has no column 'phto'; it has 'key', 'photo'."),
        ({"column": "photo", "id_column": "id"}, "has no column 'id'; it has 'key', 'photo'."),
    ):
        with pytest.raises(JuratError) as raised:
            items(table, **options)
        assert raised.value.message == f"{table} {told}"
        assert raised.value.hint == "Name the column of paths, URIs or bytes: --column NAME."


@pytest.mark.parametrize("table", TABLES)
def test_row_without_an_image_is_an_error_of_that_row_only(table: str) -> None:
    TABLES[table](table, [{"path": "a.png"}, {"path": ""}, {"path": "gone.png"}, {"path": "b.png"}])
    found = items(table)
    assert [item.read()[0] for item in (found[0], found[3])] == [b"a.png", b"b.png"]
    assert said(found[1]) == f"row 1 of {table} has no image: 'path' is empty"
    assert said(found[2]) == "no such file or folder: data/gone.png"


def test_items_are_counted_where_it_is_cheap() -> None:
    told: dict[str, int | None] = {}
    for table, write in TABLES.items():
        write(table, ROWS)
        told[table] = count_items([table])
    assert told == {
        "data/t.csv": None,
        "data/t.tsv": None,
        "data/t.jsonl": 3,
        "data/t.ndjson": 3,
        "data/t.json": None,
        "data/t.parquet": 3,
        "data/t.arrow": 3,
    }
    assert count_items(["data", "data/t.parquet", "nosuch.png"]) == 7
    assert count_items(["data", "-"]) is None
    assert count_items(["s3://bucket/prefix/"]) is None
    Path("bad.parquet").write_bytes(b"none")
    assert count_items(["bad.parquet"]) == len(items("bad.parquet")) == 1


def test_every_table_format_is_tested() -> None:
    suffixes = {suffix for format in SOURCES for suffix in format.suffixes}
    assert suffixes - {Path(table).suffix for table in TABLES} == {".pq", ".tar", ".tar.gz", ".tgz"}


def test_glob_of_tables_reads_each_table() -> None:
    for number in range(3):
        write_jsonl(f"data/part-{number}.jsonl", [{"path": "a.png", "id": number}])
    assert [item.columns["id"] for item in items("data/part-*.jsonl")] == ["0", "1", "2"]


def test_columns_are_kept_as_text_without_bytes() -> None:
    row = {
        "path": "a.png",
        "text": "<b>=1+1",
        "yes": True,
        "number": 0.5,
        "none": None,
        "more": {"a": [1, "ü"]},
    }
    write_jsonl("data/t.jsonl", [row])
    (item,) = items("data/t.jsonl")
    assert item.columns == {"text": "<b>=1+1", "yes": "true", "number": "0.5", "more": '{"a": [1, "ü"]}'}
    table = pa.table({"path": ["a.png"], "blob": [b"x"], "day": pa.array([0], pa.date32())})
    pq.write_table(table, "data/t.parquet")
    (item,) = items("data/t.parquet")
    assert item.columns == {"day": '"1970-01-01"'}


def test_csv_rows_of_wrong_width_are_errors() -> None:
    Path("data/t.csv").write_text('path,note\na.png,"two\nlines, one comma"\nb.png\n\nb.png,x,y\nb.png,z\n')
    found = items("data/t.csv")
    assert found[0].columns == {"note": "two\nlines, one comma"}
    assert said(found[1]) == "row 1 of data/t.csv has 1 cells, not 2"
    assert said(found[2]) == "row 2 of data/t.csv has 3 cells, not 2"
    assert found[3].read()[0] == b"b.png"


def test_json_lines_may_have_different_keys() -> None:
    write_jsonl(
        "data/t.jsonl",
        [{"n": 1}, {"path": "a.png", "caption": None}, {"path": "b.png", "caption": "x", "key": "second"}],
    )
    none, first, second = items("data/t.jsonl", id_column="key")
    assert said(none) == "row 0 of data/t.jsonl has no image: 'path' is empty"
    assert (first.id, first.caption, first.read()[0]) == ("data/t.jsonl#1", None, b"a.png")
    assert (second.id, second.caption) == ("second", "x")
    with pytest.raises(JuratError, match="has no column 'label'; it has 'n', 'path', 'caption', 'key'"):
        items("data/t.jsonl", caption_column="label")


def test_invalid_json_lines_are_errors_of_their_rows() -> None:
    Path("data/t.jsonl").write_text(
        '{"path": "a.png"}\n[1]\n\n{"path": \n{"path": ["a.png"]}\n{"path": 5}\n{}\n'
    )
    found = items("data/t.jsonl")
    assert found[0].read()[0] == b"a.png"
    assert said(found[1]) == "row 1 of data/t.jsonl: not an object {...}"
    assert said(found[2]).startswith("row 2 of data/t.jsonl: not JSON: ")
    assert found[3].read() == (b"a.png",)
    assert said(found[4]) == "row 4 of data/t.jsonl has int in 'path', no path, URI or bytes"
    assert said(found[5]) == "row 5 of data/t.jsonl has no image: 'path' is empty"


def images_table(count: int, size: int = 10) -> pa.Table:
    column = [{"bytes": bytes([number % 256]) * size, "path": None} for number in range(count)]
    kind = pa.struct([("bytes", pa.binary()), ("path", pa.string())])
    schema = pa.schema(
        [pa.field("label", pa.int64()), pa.field("picture", kind)], {"huggingface": json.dumps(HUB)}
    )
    return pa.table({"label": list(range(count)), "picture": pa.array(column, kind)}, schema)


@pytest.mark.parametrize("name", ["t.parquet", "t.arrow", "file.arrow"])
def test_image_column_is_found_by_the_declared_features(name: str, tmp_path: Path) -> None:
    table = images_table(5)
    if name == "t.parquet":
        pq.write_table(table, name, row_group_size=3)
    else:
        write_arrow(name, table, stream=name == "t.arrow")
    found = items(name)
    assert [item.id for item in found] == [f"{name}#{number}" for number in range(5)]
    assert found[4].uri == f"{tmp_path / name}#4"
    assert found[4].columns == {"label": "4"}
    order = (0, 1, 4, 2, 2, 0, 3)  # a row may be opened at any time, and again
    assert [found[number].read()[0][:1] for number in order] == [bytes([number]) for number in order]
    assert [pickle.loads(pickle.dumps(item)).read()[0] for item in found] == [
        item.read()[0] for item in found
    ]


@pytest.mark.parametrize("name", ["t.parquet", "t.arrow"])
def test_image_cell_may_hold_bytes_or_a_path_or_be_empty(name: str) -> None:
    kind = pa.struct([("bytes", pa.binary()), ("path", pa.string())])
    cells = [
        {"bytes": None, "path": "a.png"},
        None,
        {"bytes": b"", "path": "a.png"},
        {"bytes": b"x", "path": "y"},
    ]
    table = pa.table({"image": pa.array(cells, kind)})
    pq.write_table(table, "data/t.parquet") if name == "t.parquet" else write_arrow("data/t.arrow", table)
    found = items(f"data/{name}")
    assert found[0].read()[0] == b"a.png"
    assert said(found[1]) == f"row 1 of data/{name} has no image: 'image' is empty"
    assert said(found[2]) == "the file is empty (0 bytes)"
    assert found[3].read()[0] == b"x"


ODD = {
    "a date after the year 9999": pa.array([None, 10**12], pa.timestamp("s")),
    "nanoseconds": pa.array([0, 1], pa.timestamp("ns")),
    "text that is not UTF-8": pa.array([b"plain", b"caf\xe9"], pa.binary()).view(pa.string()),
}


@pytest.mark.parametrize("name", ["data/t.parquet", "data/t.arrow"])
@pytest.mark.parametrize("what", ODD)
def test_unrepresentable_cell_loses_no_image(name: str, what: str) -> None:
    table = pa.table({"path": ["a.png", "b.png"], "odd": ODD[what]})
    pq.write_table(table, name) if name.endswith("parquet") else write_arrow(name, table)
    found = items(name)
    assert [item.read()[0] for item in found] == [b"a.png", b"b.png"]
    if what.startswith("text"):
        assert [item.columns["odd"] for item in found] == ["plain", "caf\\xe9"]


def test_path_that_is_not_utf_8_is_read(tmp_path: Path) -> None:
    name = os.fsdecode(b"caf\xe9.png")
    (tmp_path / "data" / name).write_bytes(b"coffee")
    pq.write_table(pa.table({"path": pa.array([b"caf\xe9.png"]).view(pa.string())}), "data/t.parquet")
    (item,) = items("data/t.parquet")
    assert (item.id, item.read()[0]) == ("caf\\xe9.png", b"coffee")


@pytest.mark.parametrize("name", ["t.parquet", "t.arrow"])
def test_paths_in_image_cells_are_relative_to_root(name: str) -> None:
    cells = pa.array(
        [{"bytes": None, "path": "a.png"}], pa.struct([("bytes", pa.binary()), ("path", pa.string())])
    )
    table = pa.table({"image": cells, "images": pa.array([cells.to_pylist()], pa.list_(cells.type))})
    pq.write_table(table, name) if name.endswith("parquet") else write_arrow(name, table)
    assert items(name, root="data")[0].read()[0] == b"a.png"
    assert items(name, root="data", column="images")[0].read() == (b"a.png",)
    assert said(items(name)[0]) == "no such file or folder: a.png"


def test_invalid_characters_in_column_names_are_escaped() -> None:
    Path("data/t.csv").write_bytes(b"path,l\xe9gende\na.png,x\n")
    Path("data/t.jsonl").write_text('{"path": "a.png", "\\ud800": 1}\n')
    write_tar("t.tar", {"a.png": b"x", "a.json": b'{"\\ud800": 1}'})
    names = [name for path in ("data/t.csv", "data/t.jsonl", "t.tar") for name in items(path)[0].columns]
    assert names == ["l\\xe9gende", "\\ud800", "\\ud800"]
    assert all(name.isascii() for name in names)


def test_binary_column_is_the_image_column() -> None:
    pq.write_table(pa.table({"jpg": [b"x", b"yy", None]}), "t.parquet")
    found = items("t.parquet")
    assert [item.read()[0] for item in found[:2]] == [b"x", b"yy"]
    assert said(found[2]) == "row 2 of t.parquet has no image: 'jpg' is empty"
    assert said(next(find_items(["t.parquet"], options=SourceOptions(max_bytes=0)))).startswith(
        "the file has 1 "
    )


def test_bytes_are_preferred_to_urls() -> None:
    pq.write_table(pa.table({"url": ["https://example.org/x.jpg"], "jpg": [b"x"]}), "t.parquet")
    (item,) = items("t.parquet")
    assert item.read()[0] == b"x"


def test_images_of_skipped_rows_are_not_held_in_memory(tmp_path: Path) -> None:
    pages = {"compression": "none", "use_dictionary": False, "write_batch_size": 8}
    pq.write_table(images_table(400, size=100_000), "t.parquet", **pages)
    before = pa.total_allocated_bytes()
    tracemalloc.start()
    most = 0
    for number, item in enumerate(find_items(["t.parquet"])):
        if number % 40 == 0:
            assert item.read()[0] == bytes([number % 256]) * 100_000
        most = max(most, pa.total_allocated_bytes() - before)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak + most < 16_000_000  # of 40 million bytes


@pytest.mark.parametrize("name", ["t.parquet", "t.arrow", "t.csv", "t.jsonl", "t.tar"])
def test_file_of_the_wrong_format_is_one_error_item(name: str) -> None:
    Path(name).write_bytes(b"\0\1 no such thing")
    try:
        (item,) = items(name, column="path")
    except JuratError as error:  # a CSV file is anything
        assert name == "t.csv" and "has no column 'path'" in error.message
        return
    assert name in said(item)


@pytest.mark.parametrize("name", ["t.parquet", "t.arrow", "t.tar", "t.tgz"])
def test_truncated_file_yields_complete_rows_and_an_error(name: str) -> None:
    if name.startswith("t.t"):
        write_tar("whole" + name[1:], {f"{number}.png": os.urandom(5000) for number in range(20)})
    else:
        table = images_table(20, 3000)
        pq.write_table(table, "whole.parquet", 4) if name == "t.parquet" else write_arrow(
            "whole.arrow", table
        )
    data = Path("whole" + name[1:]).read_bytes()
    Path(name).write_bytes(data[: len(data) // 2])
    found = items(name)
    if name != "t.parquet":  # its table of contents is at its end
        assert len(found) > 3
        assert found[0].read()[0]
    assert name in said(found[-1])


def test_saved_dataset_is_read_without_the_datasets_package() -> None:
    for split, count in (("train", 3), ("test", 2)):
        folder = Path("saved", split)
        folder.mkdir(parents=True)
        write_arrow(f"{folder}/data-00000-of-00001.arrow", images_table(count))
        (folder / "cache-1.arrow").write_bytes(b"of no one's concern")
        (folder / "state.json").write_text('{"_data_files": [{"filename": "data-00000-of-00001.arrow"}]}')
        (folder / "dataset_info.json").write_text("{}")
    Path("saved/dataset_dict.json").write_text('{"splits": ["train", "test"]}')
    found = items("saved")
    assert [item.id.removeprefix("saved/") for item in found] == [
        *(f"train/data-00000-of-00001.arrow#{number}" for number in range(3)),
        *(f"test/data-00000-of-00001.arrow#{number}" for number in range(2)),
    ]
    assert found[3].read()[0] == bytes(10)
    assert count_items(["saved"]) == 5
    Path("saved/dataset_dict.json").write_text('{"splits": ["../data"]}')
    (item,) = items("saved")
    assert said(item) == "the dataset names a file outside its folder: saved"


def test_truncated_arrow_file_loses_no_other_file() -> None:
    os.makedirs("saved")
    Path("saved/dataset_info.json").write_text("{}")
    for number in range(3):
        write_arrow(f"saved/data-{number}.arrow", pa.table({"image": [bytes([number]) * 9000]}))
    os.truncate("saved/data-1.arrow", 500)
    first, bad, last = items("saved")
    assert (first.read()[0][:1], last.read()[0][:1]) == (b"\0", b"\2")
    assert said(bad).startswith("saved/data-1.arrow is not a whole Arrow file: ")


def test_table_changed_while_reading_is_an_error() -> None:
    write_csv("data/t.csv", ROWS)
    reading = find_items(["data/t.csv"])
    assert next(reading).id == "a.png"
    write_csv("data/t.csv", ROWS * 2)
    with pytest.raises(SourceChanged, match=r"data/t.csv changed, or went away, while it was being read\."):
        list(reading)
    reading = find_items(["data/t.csv"])
    next(reading)
    Path("data/t.csv").unlink()
    with pytest.raises(SourceChanged):
        list(reading)


# Shards


def write_tar(path: str, members: dict[str, bytes | tarfile.TarInfo]) -> None:
    packed = path.endswith("gz")
    with (
        gzip.open(path, "wb") if packed else open(path, "wb") as file,
        tarfile.open(fileobj=file, mode="w") as tar,
    ):
        for name, content in members.items():
            member = content if isinstance(content, tarfile.TarInfo) else tarfile.TarInfo(name)
            data = b"" if isinstance(content, tarfile.TarInfo) else content
            member.size = len(data)
            tar.addfile(member, io.BytesIO(data))


def special(name: str, kind: bytes, target: str = "") -> tarfile.TarInfo:
    member = tarfile.TarInfo(name)
    member.type, member.linkname = kind, target
    return member


@pytest.mark.parametrize("name", ["00000.tar", "00000.tgz", "00000.tar.gz"])
def test_shard_members_with_one_stem_are_one_item(name: str, tmp_path: Path) -> None:
    write_tar(
        f"data/{name}",
        {
            "000.jpg": b"first",
            "000.txt": b"a cat",
            "000.json": b'{"sha256": "ab", "width": 12, "none": null}',
            "dir/001.cls": b"7",
            "dir/001.seg.png": b"second",
            "002.txt": b"no image",
            "003.webp": b"third",
            "003.json": b"not json",
        },
    )
    found = items(f"data/{name}")
    assert [item.id for item in found] == [
        f"data/{name}#{m}" for m in ("000.jpg", "dir/001.seg.png", "003.webp")
    ]
    assert [item.read()[0] for item in found] == [b"first", b"second", b"third"]
    assert found[0].columns == {"txt": "a cat", "sha256": "ab", "width": "12"}
    assert found[1].columns == {"cls": "7"}
    assert found[0].uri == f"{tmp_path}/data/{name}#000.jpg"
    assert [pickle.loads(pickle.dumps(item)).read()[0] for item in found] == [
        item.read()[0] for item in found
    ]
    assert [item.id for item in items(f"data/{name}", column="seg.png")] == [f"data/{name}#dir/001.seg.png"]


@pytest.mark.parametrize("name", ["evil.tar", "evil.tgz"])
def test_members_outside_the_archive_are_refused(name: str, tmp_path: Path) -> None:
    (tmp_path / "secret.png").write_bytes(b"secret")
    before = sorted(str(path) for path in tmp_path.rglob("*"))
    write_tar(
        name,
        {
            "../../etc/a.png": b"x",
            "/etc/b.png": b"x",
            "in/../../c.png": b"x",
            "..\\d.png": b"x",
            "link.png": special("link.png", tarfile.SYMTYPE, str(tmp_path / "secret.png")),
            "hard.png": special("hard.png", tarfile.LNKTYPE, "secret.png"),
            "pipe.png": special("pipe.png", tarfile.FIFOTYPE),
            "device.png": special("device.png", tarfile.CHRTYPE),
            "fine.png": b"fine",
        },
    )
    *refused, fine = items(name)
    told = [said(item) for item in refused]
    assert told[0] == "a member whose name leads out of the archive: ../../etc/a.png"
    assert [line.rpartition(": ")[0] for line in told] == [
        *["a member whose name leads out of the archive"] * 4,
        *["a member that is a link"] * 2,
        *["a member that is no regular file"] * 2,
    ]
    assert fine.read()[0] == b"fine"
    assert sorted(str(path) for path in tmp_path.rglob("*")) == sorted([*before, str(tmp_path / name)])


@pytest.mark.parametrize("name", ["bomb.tar", "bomb.tgz"])
def test_header_with_absurd_length_is_not_read(name: str) -> None:
    header = special("x", tarfile.XHDTYPE)
    header.size = 1 << 40
    data = header.tobuf(tarfile.GNU_FORMAT) + bytes(1 << 25)
    Path(name).write_bytes(gzip.compress(data, 1) if name.endswith("gz") else data)
    tracemalloc.start()
    (item,) = items(name)
    most = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert said(item).startswith(f"the rest of {name} cannot be read: a header of 1,099,511,")
    assert most < 1 << 24


def test_shard_with_one_shared_stem_uses_bounded_memory(monkeypatch: pytest.MonkeyPatch) -> None:
    from jurat.sources import shards

    monkeypatch.setattr(shards, "_MOST_BYTES", 1000)
    members = {f"frame.{number:03}.jpg": bytes([number]) * 400 for number in range(7)}
    write_tar("frames.tgz", members | {"frame.txt": b"of one film"})
    found = find_items(["frames.tgz"])
    first = next(found)
    assert first.read()[0] == bytes(400)
    rest = list(found)
    assert [item.read()[0] for item in (first, *rest)] == list(members.values())
    # What came before its texts does without them.
    assert [dict(item.columns) for item in (first, rest[-1])] == [{}, {"txt": "of one film"}]


@pytest.mark.parametrize("name", ["big.tar", "big.tgz"])
def test_oversized_member_is_refused(name: str) -> None:
    write_tar(name, {"a.png": bytes(2000), "b.png": b"fine"})
    big, fine = items(name, max_bytes=1000)
    assert said(big) == "the file has 2,000 bytes, more than the limit of 1,000"
    assert fine.read()[0] == b"fine"


def test_memory_does_not_grow_with_shard_members() -> None:
    def peak(count: int) -> int:
        write_tar("many.tar", {f"{number:06}.png": b"x" for number in range(count)})
        tracemalloc.start()
        assert sum(1 for _ in find_items(["many.tar"])) == count
        most = tracemalloc.get_traced_memory()[1]
        tracemalloc.stop()
        return most

    peak(10)
    assert peak(4000) < peak(400) * 1.5


# --- rows of several images ----------------------------------------------------------------------

LISTS: dict[str, Callable[[str], None]] = {
    "data/l.csv": lambda path: write_csv(
        path, [{"key": "one", "images": '["a.png", "sub/c.png"]'}, {"key": "two", "images": "[]"}]
    ),
    "data/l.jsonl": lambda path: write_jsonl(path, _lists(["a.png", "sub/c.png"])),
    "data/l.parquet": lambda path: pq.write_table(pa.Table.from_pylist(_lists(["a.png", "sub/c.png"])), path),
    "data/bytes.parquet": lambda path: pq.write_table(
        pa.Table.from_pylist(_lists([b"a.png", b"sub/c.png"])), path
    ),
    "data/structs.parquet": lambda path: pq.write_table(
        pa.Table.from_pylist(
            _lists([{"bytes": b"a.png", "path": None}, {"bytes": None, "path": "sub/c.png"}])
        ),
        path,
    ),
    "data/l.arrow": lambda path: write_arrow(path, pa.Table.from_pylist(_lists([b"a.png", b"sub/c.png"]))),
}


def _lists(images: list[Any]) -> list[dict[str, Any]]:
    return [{"key": "one", "images": images}, {"key": "two", "images": []}]


@pytest.mark.parametrize("table", LISTS)
def test_list_cell_is_an_item_of_several_images(table: str, tmp_path: Path) -> None:
    LISTS[table](table)
    first, empty = items(table)
    assert (first.id, first.uri) == (f"{table}#0", str(tmp_path / f"{table}#0"))
    assert first.columns == {"key": "one"}
    assert first.read() == pickle.loads(pickle.dumps(first)).read() == (b"a.png", b"sub/c.png")
    uris = [image.uri for image in first.lazy_images()]
    assert uris[1] in (str(tmp_path / "data/sub/c.png"), str(tmp_path / f"{table}#0/1"))
    with pytest.raises(ImageError, match=f"row 1 of {table} has no image: 'images' is empty"):
        empty.read()


def test_unreadable_image_of_several_is_named() -> None:
    write_jsonl("data/t.jsonl", [{"images": ["a.png", "gone.png", "b.png"]}, {"images": ["a.png"] * 65}])
    gone, many = items("data/t.jsonl")
    with pytest.raises(ImageError, match=r"^image 2 of 3: no such file or folder: data/gone\.png$"):
        gone.read()
    with pytest.raises(ImageError, match="has 65 images, more than the limit of 64"):
        many.read()


def test_images_of_an_item_share_a_byte_limit(monkeypatch: pytest.MonkeyPatch) -> None:
    from jurat.content import item

    write_jsonl("data/t.jsonl", [{"images": ["a.png", "b.png"]}])
    (both,) = items("data/t.jsonl")
    monkeypatch.setattr(item, "MOST_BYTES", len(b"a.png") + 1)
    with pytest.raises(ImageError, match=r"^its images have more than 6 bytes together$"):
        both.read()


def test_declared_lists_of_images_are_read() -> None:
    for kind in (
        {"_type": "List", "feature": {"_type": "Image"}},
        {"_type": "Sequence", "feature": {"_type": "Image"}},
        [{"_type": "Image"}],
        {"_type": "Video"},
    ):
        table = pa.table({"label": [1], "shots": [[b"a.png", b"b.png"]]})
        told = {"info": {"features": {"label": {"_type": "Value"}, "shots": kind}}}
        table = table.replace_schema_metadata({"huggingface": json.dumps(told)})
        pq.write_table(table, "data/t.parquet")
        (item,) = items("data/t.parquet")
        assert item.read() == (b"a.png", b"b.png")


def test_fewer_large_objects_are_prefetched(monkeypatch: pytest.MonkeyPatch) -> None:
    from jurat.sources import prefetch

    monkeypatch.setattr(prefetch, "AHEAD_BYTES", 1000)

    class Objects(SimpleHTTPRequestHandler):
        asked = 0

        def do_HEAD(self) -> None:
            self.send_response(200)
            self.send_header("Content-Length", self.path.rpartition("-")[2])
            self.end_headers()

        def do_GET(self) -> None:
            Objects.asked += 1
            self.do_HEAD()
            self.wfile.write(bytes(int(self.path.rpartition("-")[2])))

        def log_message(self, *args: object) -> None: ...

    anywhere = SourceOptions(allow_private_hosts=True)

    def most_ahead(size: int) -> int:
        Objects.asked, most = 0, 0
        uris = io.StringIO("".join(f"http://127.0.0.1:{server.server_port}/{n}-{size}\n" for n in range(80)))
        for read, item in enumerate(
            prefetch.read_ahead(find_items(["-"], uris, options=anywhere), prefetch.SourceFolders())
        ):
            assert len(item.read()[0]) == size
            most = max(most, Objects.asked - read)
        return most

    with ThreadingHTTPServer(("127.0.0.1", 0), Objects) as server:
        threading.Thread(target=server.serve_forever, args=(0.02,), daemon=True).start()
        small, large = most_ahead(1), most_ahead(400)
        server.shutdown()
    assert small > 2 * large
    assert large <= prefetch._FIRST + 1


def test_all_images_of_an_item_are_prefetched() -> None:
    from jurat.sources.prefetch import SourceFolders, read_ahead

    write_jsonl("data/t.jsonl", [{"images": ["a.png", "b.png"]}, {"images": ["a.png", "gone.png"]}])
    found = list(read_ahead(iter(items("data/t.jsonl")), SourceFolders()))
    Path("data/a.png").unlink()
    assert found[0].read() == (b"a.png", b"b.png")
    with pytest.raises(ImageError, match="image 2 of 2: no such file"):
        found[1].read()


# --- captions ------------------------------------------------------------------------------------


@pytest.mark.parametrize("table", TABLES)
def test_captions_are_found_by_usual_or_given_name(table: str) -> None:
    rows = [{"path": "a.png", "Text": "one", "note": "mine"}, {"path": "b.png", "Text": " ", "note": "yours"}]
    TABLES[table](table, rows)
    assert [item.caption for item in items(table)] == ["one", None]
    assert items(table)[0].columns == {"Text": "one", "note": "mine"}
    assert [item.caption for item in items(table, caption_column="note")] == ["mine", "yours"]
    with pytest.raises(JuratError, match="has no column 'nte'"):
        items(table, caption_column="nte")


def test_image_column_is_never_the_caption() -> None:
    write_jsonl("data/t.jsonl", [{"text": "a.png"}])
    (item,) = items("data/t.jsonl", column="text")
    assert (item.caption, item.read()[0]) == (None, b"a.png")


def test_shard_members_get_the_caption_of_their_sample() -> None:
    with tarfile.open("s.tar", "w") as tar:
        told = b'{"caption": "two", "alt": "z"}'
        texts = {"0.txt": b"one", "1.json": told}
        for name in ("0.jpg", "0.txt", "1.jpg", "1.json", "2.jpg"):
            data = texts.get(name, b"x")
            info = tarfile.TarInfo(name)
            info.size = len(data)
            tar.addfile(info, io.BytesIO(data))
    assert [item.caption for item in items("s.tar")] == ["one", "two", None]
    assert [item.caption for item in items("s.tar", caption_column="alt")] == [None, "z", None]


def test_videos_in_shards_are_items() -> None:
    with tarfile.open("s.tar", "w") as tar:
        info = tarfile.TarInfo("0.mp4")
        info.size = 1
        tar.addfile(info, io.BytesIO(b"x"))
    assert [item.id for item in items("s.tar")] == ["s.tar#0.mp4"]
