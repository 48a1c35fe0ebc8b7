"""Damaged or oversized parts of a table lose only their own row, are reported, and use bounded memory."""

from __future__ import annotations

import io
import json
import os
import random
import struct
import subprocess
import sys
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from jurat.content import ImageError, Item
from jurat.sources import SourceOptions, find_items, lines


@pytest.fixture(autouse=True)
def in_tmp_path(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    for number in range(9):
        Path(f"{number}.png").write_bytes(str(number).encode())


def rows(name: str, content: str | bytes | None = None, **options: Any) -> list[Item]:
    if content is not None:
        Path(name).write_bytes(content if isinstance(content, bytes) else content.encode())
    return list(find_items([name], options=SourceOptions(**options)))


def told(items: list[Item]) -> list[str]:
    """What each item holds, or why it cannot be read."""
    found: list[str] = []
    for item in items:
        try:
            found.append(item.read()[0].decode())
        except ImageError as error:
            found.append(error.message)
    return found


# --- quotes that are not closed


EIGHT = [f"{number}.png,caption {number}\n" for number in range(8)]
SWALLOWED = "a quote is not closed; the {} lines behind it are read as rows of their own"


@pytest.mark.parametrize("ending", ["\n", "\r\n", "\r"])
@pytest.mark.parametrize(("at", "behind"), [(2, 5), (0, 7), (6, 1)])
def test_unclosed_quote_loses_only_its_row(at: int, behind: int, ending: str) -> None:
    table = list(EIGHT)
    table[at] = f'{at}.png,"caption\n'
    items = rows("t.csv", ("path,caption\n" + "".join(table)).replace("\n", ending))
    whole = [str(number) for number in range(8)]
    assert [found for number, found in enumerate(told(items)) if number != at] == whole[:at] + whole[at + 1 :]
    assert told(items)[at] == f"t.csv:{at + 2}: {SWALLOWED.format(behind)}"


def test_unclosed_quote_on_the_last_line_is_an_error() -> None:
    items = rows("t.csv", 'path,caption\n0.png,a\n1.png,"cut o')
    assert told(items) == ["0", "t.csv:3: a quote is not closed"]


def test_quote_closed_by_a_later_row_loses_no_row_silently() -> None:
    table = list(EIGHT)
    table[2] = '2.png,"caption\n'
    table[5] = '5.png,"a caption"\n'
    items = rows("t.csv", "path,caption\n" + "".join(table))
    assert [found for found in told(items) if len(found) == 1] == list("0134567")
    assert told(items)[2].startswith("t.csv:4: ")
    assert told(items)[2].endswith("; the 3 lines behind it are read as rows of their own")


@pytest.mark.parametrize(
    ("first", "last"),
    [
        ('2.png,"caption,x\n', '5.png,caption",x\n'),  # as many cells as a row has
        ('"2.png,caption,x\n', '5.png,",x\n'),  # fewer
        ('2.png,caption,"x\n', '5.png,caption,x"\n'),
    ],
)
def test_rows_joined_by_stray_quotes_are_read_separately(first: str, last: str) -> None:
    table = [f"{number}.png,caption {number},x\n" for number in range(8)]
    table[2], table[5] = first, last
    items = rows("t.csv", "path,caption,label\n" + "".join(table))
    assert len(items) == 8
    assert told(items)[2] == (
        "t.csv:4: a quote joins several rows; the 3 lines behind it are read as rows of their own"
    )
    assert [told(items)[number] for number in (0, 1, 3, 4, 6, 7)] == list("013467")


def test_quoted_line_breaks_and_stray_text_are_read() -> None:
    items = rows("t.csv", 'path,caption\n0.png,"two\nlines, ""quoted"""\n1.png,"a"b\n2.png,a "b" c\n')
    assert [item.caption for item in items] == ['two\nlines, "quoted"', "ab", 'a "b" c']
    assert told(items) == ["0", "1", "2"]


def test_duplicate_column_names_are_numbered() -> None:
    (item,) = rows("t.csv", "image,label,label,image\n0.png,a,b,1.png\n")
    assert item.read()[0] == b"0"
    assert dict(item.columns) == {"label": "a", "label.2": "b", "image.2": "1.png"}


def test_file_with_many_broken_quotes_is_abandoned(monkeypatch: pytest.MonkeyPatch) -> None:
    from jurat.sources import delimited

    monkeypatch.setattr(delimited, "_MOST_BROKEN", 20)
    items = rows("t.csv", "path,caption\n" + '0.png,"a\n' * 200)
    assert told(items)[-1] == "the rest of t.csv is not read: 21 rows have broken quotes"


# --- lines and texts without end


@pytest.mark.parametrize("name", ["t.jsonl", "t.csv", "t.tsv"])
def test_overlong_line_loses_only_its_row(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(lines, "MOST", 3 << 20)
    monkeypatch.setattr(lines, "_PIECE", 1 << 16)
    long = "x" * (4 << 20)
    if name == "t.jsonl":
        content = f'{{"path": "0.png"}}\n{{"path": "{long}"}}\n{{"path": "1.png"}}\n'
    else:
        mark = "\t" if name == "t.tsv" else ","
        content = f"path{mark}x\n0.png{mark}a\n{long}{mark}b\n1.png{mark}c\n"
    first, bad, last = told(rows(name, content))
    assert (first, last) == ("0", "1")
    assert "a line of 4,19" in bad
    assert bad.endswith(" characters, more than the limit of 3,145,728")


@pytest.mark.parametrize("name", ["t.jsonl", "t.csv", "t.json"])
def test_sparse_file_without_line_ends_uses_bounded_memory(name: str) -> None:
    with open(name, "wb") as file:
        file.write(b'path\n"' if name == "t.csv" else b"[" if name == "t.json" else b"{")
        file.truncate(20 << 30)
    script = (
        "import resource, sys\n"
        "resource.setrlimit(resource.RLIMIT_AS, (2 << 30, 2 << 30))\n"
        "from jurat.sources import find_items\nfrom jurat.content import ImageError\n"
        "from jurat.sources import lines\n"
        "lines._MOST_SKIPPED = 1 << 28\n"
        "for item in find_items(sys.argv[1:]):\n"
        "    try: item.read()\n"
        "    except ImageError as error: print(error.message)\n"
    )
    result = subprocess.run([sys.executable, "-c", script, name], capture_output=True, text=True, timeout=120)
    assert result.returncode == 0, result.stderr
    assert f"of {name} is not read" in result.stdout


def test_row_with_too_many_values_is_an_error() -> None:
    items = rows("t.jsonl", '{"path": "0.png"}\n{"path": "1.png", "x": [' + "[]," * 2_100_000 + "0]}\n")
    assert told(items) == ["0", "row 1 of t.jsonl: more than 4,000,000 values"]


TABLES = ["t.csv", "t.jsonl", "t.parquet", "t.arrow"]


def write(name: str, table: list[dict[str, Any]]) -> None:
    if name == "t.csv":
        names = list(table[0])
        Path(name).write_text("\n".join([",".join(names), *(",".join(map(str, r.values())) for r in table)]))
    elif name == "t.jsonl":
        Path(name).write_text("".join(json.dumps(row) + "\n" for row in table))
    elif name == "t.parquet":
        pq.write_table(pa.Table.from_pylist(table), name)
    else:
        made = pa.Table.from_pylist(table)
        with pa.OSFile(name, "wb") as file, pa.ipc.new_stream(file, made.schema) as writer:
            writer.write_table(made)


@pytest.mark.parametrize("name", TABLES)
def test_overlong_text_is_left_out_and_overlong_caption_is_an_error(name: str) -> None:
    long = "x" * ((1 << 18) + 1)
    write(name, [{"path": "0.png", "note": "short"}, {"path": "1.png", "note": long}])
    first, second = rows(name)
    assert dict(first.columns) == {"note": "short"}
    assert second.columns["note"].startswith("(left out: 262,145 ")
    assert told([first, second]) == ["0", "1"]
    first, second = rows(name, caption_column="note")
    assert told([first])[0] == "0"
    assert told([second])[0].startswith(
        f"row 1 of {name} has a caption that is too long: (left out: 262,145 "
    )


MEASURED = """
import json, resource, sys
from jurat.sources import find_items, SourceOptions
from jurat.content import ImageError
def peak():
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
import pyarrow.parquet
before = peak()
found = []
for item in find_items(sys.argv[1:]):
    try: data = item.read()[0][:20].decode()
    except ImageError as error: data = error.message
    found.append([data, dict(item.columns)])
print(json.dumps([peak() - before, found]))
"""


def measured(name: str) -> tuple[int, list[Any]]:
    """By how many KiB the memory of a process grew that read a table, and what it read."""
    result = subprocess.run(
        [sys.executable, "-c", MEASURED, name], capture_output=True, text=True, timeout=120
    )
    assert result.returncode == 0, result.stderr
    grown, found = json.loads(result.stdout)
    return grown, found


@pytest.mark.slow
def test_highly_compressed_text_in_parquet_is_not_unpacked() -> None:
    table = pa.table({"image": [b"a picture"], "note": pa.array(["x" * 400_000_000])})
    pq.write_table(table, "t.parquet", compression="zstd")
    assert os.path.getsize("t.parquet") < 100_000
    grown, found = measured("t.parquet")
    assert grown < 200_000  # KiB
    assert found[0][0] == "a picture"
    assert found[0][1]["note"].startswith("(left out: 400,")


@pytest.mark.slow
def test_text_shared_by_many_rows_is_held_once() -> None:
    text = pa.DictionaryArray.from_arrays(pa.array([0] * 2000, pa.int32()), pa.array(["y" * 250_000]))
    pq.write_table(pa.table({"image": [b"a picture"] * 2000, "text": text}), "t.parquet")
    grown, found = measured_shared("t.parquet")
    assert grown < 200_000  # KiB, of half a gigabyte
    assert found == 2000


def measured_shared(name: str) -> tuple[int, int]:
    script = MEASURED.replace(
        "found.append([data, dict(item.columns)])", "found.append(len(item.columns['text']))"
    )
    script = script.replace(
        "print(json.dumps([peak() - before, found]))", "print(json.dumps([peak() - before, len(found)]))"
    )
    result = subprocess.run([sys.executable, "-c", script, name], capture_output=True, text=True, timeout=120)
    assert result.returncode == 0, result.stderr
    grown, found = json.loads(result.stdout)
    return grown, found


@pytest.mark.slow
def test_highly_compressed_images_in_parquet_are_errors() -> None:
    pq.write_table(
        pa.table({"image": [bytes(300_000_000)] * 4, "n": [0, 1, 2, 3]}), "t.parquet", compression="zstd"
    )
    grown, found = measured("t.parquet")
    assert grown < 700_000  # KiB: one of them at a time
    assert len(found) == 4
    assert all("more than the limit" in said or "decompression bomb" in said for said, _ in found)


# --- damaged Arrow and Parquet files


def typed_table() -> pa.Table:
    """Columns of every kind whose buffers refer to one another."""
    count = 12
    texts = pa.array([f"text {number}" for number in range(count)])
    return pa.table(
        {
            "image": pa.array([{"bytes": os.urandom(60), "path": f"{n}.png"} for n in range(count)]),
            "text": texts,
            "large": texts.cast(pa.large_string()),
            "view": texts.cast(pa.string_view()),
            "list": pa.array([["a", f"b{number}"] for number in range(count)]),
            "struct": pa.array([{"x": [{"y": str(number)}]} for number in range(count)]),
            "map": pa.array(
                [[("k", str(number))] for number in range(count)], pa.map_(pa.string(), pa.string())
            ),
            "dictionary": texts.dictionary_encode(),
            "nested": pa.ListArray.from_arrays(
                pa.array(range(count + 1), pa.int32()), texts.dictionary_encode()
            ),
            "json": pa.ExtensionArray.from_storage(pa.json_(), texts),
            "number": pa.array(range(count)),
        }
    )


def broken_offsets(kind: str) -> bytes:
    """An IPC file whose second batch has a column with an offset or an index that leaves its buffer."""
    texts = pa.array(["abc", "defg"])
    dictionary = pa.array([str(number) for number in range(100)])
    columns: dict[str, pa.Array] = {
        "text": texts,
        "binary": texts.cast(pa.binary()),
        "extension": pa.ExtensionArray.from_storage(pa.json_(), texts),
        "struct": pa.StructArray.from_arrays([texts], ["x"]),
        "list": pa.array([[1, 2, 3], [4, 5, 6, 7]], pa.list_(pa.int8())),
        "dictionary": pa.DictionaryArray.from_arrays(pa.array([77, 78], pa.int32()), dictionary),
        "image": texts.cast(pa.binary()),
    }
    column = columns[kind]
    out = io.BytesIO()

    def batch(*images: bytes) -> pa.RecordBatch:
        part = column.take(pa.array(range(len(images))))
        named = {"image": part} if kind == "image" else {"image": pa.array(images), "carried": part}
        return pa.record_batch(named)

    with pa.ipc.new_file(out, batch(b"zero").schema) as writer:
        for each in (batch(b"zero"), batch(b"one", b"two"), batch(b"last")):
            writer.write_batch(each)
    whole, broken = ((77, 78), (77, 7000)) if kind == "dictionary" else ((0, 3, 7), (0, 3, 1 << 30))
    data = out.getvalue()
    assert data.count(struct.pack(f"<{len(whole)}i", *whole)) == 1
    return data.replace(struct.pack(f"<{len(whole)}i", *whole), struct.pack(f"<{len(broken)}i", *broken))


@pytest.mark.parametrize("kind", ["text", "binary", "extension", "struct", "list", "dictionary", "image"])
def test_batch_with_broken_buffers_is_one_error(kind: str) -> None:
    found = told(rows("t.arrow", broken_offsets(kind)))
    problem = next(each for each in found if "is damaged" in each)
    assert problem.startswith("t.arrow is damaged, and the 2 rows from 1 on not read: ")
    assert [each for each in found if each != problem] == (
        ["abc"] * 2 if kind == "image" else ["zero", "last"]
    )


def test_billions_of_rows_in_few_bytes_are_one_error() -> None:
    table = pa.table({"image": pa.nulls(2**31 - 1)})
    with pa.OSFile("t.arrow", "wb") as file, pa.ipc.new_file(file, table.schema) as writer:
        writer.write_table(table)
    (found,) = told(rows("t.arrow"))
    assert found.endswith(": it has 2,147,483,647 rows in 0 bytes")
    pq.write_table(pa.table({"path": pa.nulls(1 << 22, pa.string())}), "t.parquet", row_group_size=1 << 22)
    (found,) = told(rows("t.parquet"))
    assert found.startswith("t.parquet is not read: it has 4,194,304 rows in ")


@pytest.mark.parametrize("kind", ["file", "stream", "parquet"])
def test_mutated_tables_never_crash_the_process(kind: str) -> None:
    out = io.BytesIO()
    table = typed_table()
    if kind == "parquet":
        pq.write_table(table.drop_columns(["view"]), out, row_group_size=4)
    else:
        with (pa.ipc.new_file if kind == "file" else pa.ipc.new_stream)(out, table.schema) as writer:
            writer.write_table(table, max_chunksize=4)
    name = "t.parquet" if kind == "parquet" else "t.arrow"
    data = out.getvalue()
    chance = random.Random(kind)
    os.mkdir("mutated")
    for number in range(60):
        mutated = bytearray(data)
        for _ in range(chance.choice((1, 2, 4))):
            at = chance.randrange(len(mutated) - 8)
            mutated[at : at + 4] = chance.choice(
                (b"\xff\xff\xff\x7f", b"\xff\xff\xff\xff", chance.randbytes(4))
            )
        Path(f"mutated/{number}-{name}").write_bytes(mutated)
    script = (
        "import sys, glob, itertools\n"
        "from jurat.errors import JuratError\n"
        "from jurat.sources import find_items\n"
        "for name in sorted(glob.glob('mutated/*')):\n"
        "    try:\n"
        "        for item in itertools.islice(find_items([name]), 500):\n"
        "            dict(item.columns)\n"
        "            try: item.read()\n"
        "            except JuratError: pass\n"
        "    except JuratError: pass\n"
        "print('done')\n"
    )
    result = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, timeout=120)
    assert (result.returncode, result.stdout) == (0, "done\n"), result.stderr
