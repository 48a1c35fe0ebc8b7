"""Images embedded in tables as text are decoded and kept out of ids, messages and columns; JSON tables."""

from __future__ import annotations

import base64
import io
import json
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from PIL import Image

from jurat.content import ImageError, Item
from jurat.errors import JuratError
from jurat.sources import SourceOptions, find_items


def picture(format: str, size: int = 8) -> bytes:
    out = io.BytesIO()
    noise = np.random.default_rng(0).integers(0, 255, (size, size, 3), dtype=np.uint8)
    Image.fromarray(noise).save(out, format)
    return out.getvalue()


PNG, LARGE = picture("PNG"), picture("PNG", 200)
TEXT = base64.b64encode(PNG).decode()


@pytest.fixture(autouse=True)
def in_tmp_path(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    Path("a.png").write_bytes(PNG)


def rows(name: str, content: str | bytes, **options: Any) -> list[Item]:
    Path(name).write_bytes(content.encode("utf-8", "surrogatepass") if isinstance(content, str) else content)
    return list(find_items([name], options=SourceOptions(**options)))


def said(item: Item) -> str:
    with pytest.raises(ImageError) as raised:
        item.read()
    assert "\n" not in raised.value.message
    return raised.value.message


def parquet(values: Any) -> bytes:
    out = io.BytesIO()
    pq.write_table(pa.table({"image": values}), out)
    return out.getvalue()


@pytest.mark.parametrize("format", ["PNG", "JPEG", "GIF", "WEBP", "BMP", "TIFF", "AVIF", "JPEG2000"])
def test_base64_images_are_decoded(format: str) -> None:
    data = picture(format)
    text = base64.b64encode(data).decode()
    forms = [
        text,
        text.rstrip("="),
        base64.urlsafe_b64encode(data).decode(),
        base64.encodebytes(data).decode(),
    ]
    items = rows("t.jsonl", "".join(json.dumps({"image": form}) + "\n" for form in forms))
    assert [item.read()[0] for item in items] == [data] * 4
    assert [item.id for item in items] == [f"t.jsonl#{number}" for number in range(4)]


CELLS: dict[str, Any] = {
    "base64": TEXT,
    "data URL": f"data:image/png;base64,{TEXT}",
    "data URL with parameters": f"DATA:image/png;charset=utf-8;base64,{TEXT}",
    "object of the OpenAI protocol": {
        "type": "image_url",
        "image_url": {"url": f"data:image/png;base64,{TEXT}"},
    },
    "object of the images protocol": {"b64_json": TEXT},
    "object of datasets as JSON": {"bytes": TEXT, "path": None},
    "list of numbers": list(PNG),
    "object of numbers": {"bytes": list(PNG), "path": "a.png"},
    "percent-encoded": "data:image/png," + "".join(f"%{byte:02x}" for byte in PNG),
}


@pytest.mark.parametrize("cell", CELLS)
def test_encoded_bytes_are_read_from_json(cell: str) -> None:
    (item,) = rows("t.jsonl", json.dumps({"image": CELLS[cell]}))
    assert item.read()[0] == PNG
    assert (item.id, item.uri) == ("t.jsonl#0", f"{Path.cwd()}/t.jsonl#0")
    (item,) = rows("u.jsonl", json.dumps({"key": "1", "images": [CELLS[cell], "a.png"]}), id_column="key")
    assert list(item.read()) == [PNG, PNG]
    assert [image.uri for image in item.lazy_images()] == [f"{Path.cwd()}/u.jsonl#0/0", f"{Path.cwd()}/a.png"]


def test_encoded_bytes_are_read_from_csv() -> None:
    written = {"bytes": PNG, "path": None}
    cells = [
        TEXT,
        base64.b64encode(LARGE).decode(),
        f"data:image/png;base64,{TEXT}",
        repr(PNG),
        repr(written),
    ]
    cells += [json.dumps({"url": "a.png"}), json.dumps({"bytes": TEXT}), "a.png"]
    items = rows("t.tsv", "image\tlabel\n" + "".join('"' + c.replace('"', '""') + '"\tx\n' for c in cells))
    assert [item.read()[0] for item in items] == [PNG, LARGE, *[PNG] * 6]
    assert [item.id for item in items[:5]] == [f"t.tsv#{number}" for number in range(5)]
    assert [item.id for item in items[5:]] == ["a.png", "t.tsv#6", "a.png"]


@pytest.mark.parametrize(
    "values",
    [
        pa.array([TEXT]),
        pa.array([TEXT]).dictionary_encode(),
        pa.array([list(PNG)], pa.list_(pa.uint8())),
        pa.array([list(PNG)], pa.large_list(pa.uint8())),
        pa.array([list(PNG)], pa.list_(pa.uint8(), len(PNG))),
        pa.array([PNG], pa.binary(len(PNG))),
        pa.array([{"bytes": TEXT, "path": None}]),
        pa.array([{"src": "a.png", "height": 30}]),
        pa.array([[list(PNG)]], pa.list_(pa.list_(pa.uint8()))),
    ],
)
def test_encoded_bytes_are_read_from_parquet_and_arrow(values: pa.Array) -> None:
    table = pa.table({"image": values})
    with pa.OSFile("t.arrow", "wb") as file, pa.ipc.new_file(file, table.schema) as writer:
        writer.write_table(table)
    for name in ("t.parquet", "t.arrow"):
        (item,) = rows(name, parquet(values)) if name == "t.parquet" else find_items([name])
        assert item.read() == (PNG,)


def test_images_in_other_columns_are_cut() -> None:
    long = base64.b64encode(LARGE).decode()
    row = {
        "image": "a.png",
        "thumbnail": long,
        "url": f"data:image/png;base64,{TEXT}",
        "html": f'<img src="data:image/png;base64,{TEXT}"> and text',
        "messages": [{"content": [{"image_url": {"url": f"data:image/jpeg;base64,{long}"}}, "what is it?"]}],
        "raw": list(LARGE),
        "note": "9j/ is no picture",
    }
    (item,) = rows("t.jsonl", json.dumps(row))
    assert dict(item.columns) == {
        "thumbnail": "iVBORw0KGgoAAAANSUhEUgAA...",
        "url": "data:image/png;base64...",
        "html": '<img src="data:image/png;base64..."> and text',
        "messages": '[{"content": [{"image_url": {"url": "data:image/jpeg;base64..."}}, "what is it?"]}]',
        "raw": "[...]",
        "note": "9j/ is no picture",
    }


def test_long_non_image_texts_are_cut_in_ids_and_messages() -> None:
    content = "x" * 5000
    damaged = TEXT[:60] + "!" + TEXT[61:]
    cells = [content, "y" * 300, f"data:image/png;base64,{damaged}", f"data:image/png;base64,{'A' * 3000}"]
    items = rows("t.jsonl", "".join(json.dumps({"image": cell}) + "\n" for cell in cells), max_bytes=2000)
    assert [item.id for item in items] == [f"t.jsonl#{number}" for number in range(4)]
    told = [said(item) for item in items]
    assert told[0] == (
        "row 0 of t.jsonl has a long text in 'image', no path, URI or bytes: 5,000 characters that begin with"
        " 'xxxxxxxxxxxxxxxxxxxxxxx…'"
    )
    assert "300 characters that begin with" in told[1]
    assert told[2].startswith("row 2 of t.jsonl has a picture in base64 that is damaged")
    assert told[3].endswith("the file has about 2,250 bytes, more than the limit of 2,000")
    assert max(map(len, told)) < 200


def test_paths_resembling_base64_are_paths() -> None:
    for name in ("Qk02", "iVBORw0KGgo.png", "R0lGOD/9j/a.png"):
        Path(name).parent.mkdir(parents=True, exist_ok=True)
        Path(name).write_bytes(name.encode())
        (item,) = rows("t.csv", f"path\n{name}\n")
        assert item.read()[0] == name.encode()


def test_number_in_the_image_column_is_refused_with_a_hint() -> None:
    Path("7").write_bytes(b"a file of that name")
    zero, seven = rows("t.csv", "index,image\n2,0\n3,7\n")
    assert said(zero) == (
        "row 0 of t.csv has the number 0 in 'image', no path; if it is the index of another row,"
        " whose image is meant, write that here"
    )
    assert seven.read()[0] == b"a file of that name"


# --- tables in JSON


ARRAYS = {
    "indented.json": json.dumps([{"image": "a.png", "id": 1}, {"image": "a.png", "id": 2}], indent=2),
    "line.json": json.dumps([{"image": "a.png", "id": 1}, {"image": "a.png", "id": 2}]),
    "lines.json": '{"image": "a.png", "id": 1}\n{"image": "a.png", "id": 2}\n',
    "pretty.json": '{\n "image": "a.png", "id": 1\n}\n{\n "image": "a.png",\n "id": 2}',
    "marked.json": '\ufeff [{"image": "a.png", "id": 1},\n{"image": "a.png", "id": 2}]\n',
    "array.jsonl": '[\n{"image": "a.png", "id": 1},\n{"image": "a.png", "id": 2}\n]\n',
    "one-line.jsonl": json.dumps([{"image": "a.png", "id": 1}, {"image": "a.png", "id": 2}]),
    "lines.jsonl": '{"image": "a.png", "id": 1}\n\n{"image": "a.png", "id": 2}',
}


@pytest.mark.parametrize("name", ARRAYS)
def test_json_arrays_and_concatenated_objects_are_tables(name: str) -> None:
    items = rows(name, ARRAYS[name])
    assert [(item.id, item.read()[0], dict(item.columns)) for item in items] == [
        ("a.png", PNG, {"id": "1"}),
        ("a.png", PNG, {"id": "2"}),
    ]


def test_json_array_larger_than_the_buffer_is_read_to_the_end() -> None:
    table = [{"image": "a.png", "caption": "ü" * (number * 37 % 5000), "n": number} for number in range(400)]
    items = rows("t.json", json.dumps(table, ensure_ascii=False, indent=1))
    assert [item.columns["n"] for item in items] == [str(number) for number in range(400)]
    assert [len(item.caption or "") for item in items] == [number * 37 % 5000 for number in range(400)]


@pytest.mark.parametrize(
    ("text", "whole", "told"),
    [
        (
            '[{"image": "a.png"}, {"image": "a.p',
            1,
            "the rest of t.json is not read, from row 1 on: not JSON: ",
        ),
        ('[{"image": "a.png"}, ', 1, "the rest of t.json is not read, from row 1 on: its array has no end"),
        ('[{"image": "a.png"}] x', 1, "the rest of t.json is not read: more follows its array"),
        ('[{"image": "a.png"}, nonsense]', 1, "the rest of t.json is not read, from row 1 on: not JSON: "),
        ('{"image": "a.png"}\nnonsense', 1, "the rest of t.json is not read, from row 1 on: not JSON: "),
        ("", 0, "the rest of t.json is not read, from row 0 on: not JSON"),
        ('[{"image": "a.png"}, 5, {"image": "a.png"}]', 1, "row 1 of t.json: not an object {...}"),
    ],
)
def test_damaged_json_reports_where_reading_stopped(text: str, whole: int, told: str) -> None:
    items = rows("t.json", text)
    assert [item.read()[0] for item in items[:whole]] == [PNG] * whole
    assert said(items[whole]).startswith(told)


def test_json_object_of_tables_is_refused_with_a_hint() -> None:
    coco = {"info": {}, "images": [{"file_name": "a.png"}] * 100, "annotations": [{"id": 1}] * 100}
    (item,) = rows("coco.json", json.dumps(coco))
    assert said(item) == (
        "row 0 of coco.json: an object with tables in it, 'images', 'annotations'; write one of them"
        " as an array, or an object a line"
    )


def test_object_cells_without_an_image_list_their_keys() -> None:
    cells = [
        {"url": "a.png", "detail": "low"},
        {"src": "a.png"},
        {"width": 3, "id": 1},
        {},
        {"bytes": None},
        None,
    ]
    items = rows("t.jsonl", "".join(json.dumps({"image": cell}) + "\n" for cell in cells))
    assert [item.read()[0] for item in items[:2]] == [PNG, PNG]
    assert said(items[2]).startswith(
        "row 2 of t.jsonl has an object with the keys 'width', 'id' in 'image', none of"
    )
    assert said(items[3]) == "row 3 of t.jsonl has no image: 'image' is an empty object"
    assert said(items[4]) == said(items[5]).replace("row 5", "row 4")
    assert said(items[5]) == "row 5 of t.jsonl has no image: 'image' is empty"


def test_python_list_literals_are_lists_of_images() -> None:
    items = rows("t.csv", 'images\n"[\'a.png\', \'a.png\']"\n"[""a.png""]"\n[\'a.png\'\n')
    assert items[0].read() == (PNG, PNG)
    assert items[1].read() == (PNG,)
    assert said(items[2]) == "no such file or folder: ['a.png'"


@pytest.mark.parametrize(
    ("name", "start", "what"),
    [
        ("t.csv", b"\x1f\x8b\x08\0", "compressed with gzip"),
        ("t.jsonl", b"BZh9", "compressed with bzip2"),
        ("t.json", b"\x28\xb5\x2f\xfd", "compressed with Zstandard"),
        ("t.csv", b"PK\3\4", "a ZIP archive or a spreadsheet"),
        ("t.tsv", "image\n".encode("utf-16"), "in UTF-16"),
        ("t.csv", b"PAR1", "a Parquet file"),
    ],
)
def test_binary_file_with_a_text_suffix_is_identified(name: str, start: bytes, what: str) -> None:
    (item,) = rows(name, start + bytes(100))
    assert said(item).startswith(f"{name} cannot be read: it is {what}")


def test_missing_column_error_lists_nested_columns() -> None:
    with pytest.raises(JuratError, match="it has 'id', 'data'"):
        rows("t.json", '[{"id": 5, "data": {"image": "a.png"}}]')
    (item,) = rows("t.json", '[{"id": 5, "data": {"image": "a.png"}}]', column="data")
    assert item.read()[0] == PNG
