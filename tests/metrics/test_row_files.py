"""Files of rows: every kind of file gives the same rows, and what cannot be read is named by its line."""

from __future__ import annotations

import json
from pathlib import Path

import pyarrow as pa
import pytest
from pyarrow import parquet

from jurat.errors import JuratError
from jurat.metrics import METRICS, read_rows

ROWS = [{"success": "1", "unit": "a"}, {"success": "0", "unit": "b"}]


def written(path: Path, text: str | bytes) -> Path:
    path.write_bytes(text if isinstance(text, bytes) else text.encode())
    return path


@pytest.mark.parametrize(
    ("name", "text"),
    [
        ("a.csv", "success,unit\n1,a\n0,b\n"),
        ("bom.csv", "\ufeffsuccess,unit\r\n1,a\r\n\r\n0,b"),
        ("quoted.csv", '"success","unit"\n"1","a"\n0,"b"\n'),
        ("a.tsv", "success\tunit\n1\ta\n0\tb\n"),
        ("a.jsonl", "\n".join(map(json.dumps, ROWS))),
        ("bom.jsonl", "\ufeff" + "\r\n\r\n".join(map(json.dumps, ROWS)) + "\n"),
        ("a.json", json.dumps(ROWS)),
        ("UPPER.CSV", "success,unit\n1,a\n0,b\n"),
    ],
)
def test_every_kind_of_file_gives_the_same_rows(tmp_path, name, text):
    table = read_rows(written(tmp_path / name, text))
    assert (table.columns, list(table.rows), table.problems) == (("success", "unit"), ROWS, ())


def test_parquet_keeps_its_types(tmp_path):
    path = tmp_path / "a.parquet"
    cells = {"input": pa.array([0.8, 0.5], pa.float32()), "outputs": pa.array([[0.6, 0.1], [0.2, 0.3]])}
    parquet.write_table(pa.table(cells), path)
    assert METRICS.find("toxicity_probability").compute(read_rows(path)).value == 0.5
    parquet.write_table(pa.table({"success": pa.array([True, None, False])}), path)
    found = METRICS.find("asr").compute(read_rows(path))
    assert (found.value, found.left_out) == (0.5, {"missing success": 1})


def test_unreadable_rows_are_named_by_line_and_the_others_are_kept(tmp_path):
    table = read_rows(written(tmp_path / "a.csv", b'success,unit\n1,a\n1\n1,b,c\n"1\n",d\n0,\xff\n0,e\n'))
    found = METRICS.find("asr").compute(table)
    assert [each.place for each in found.problems] == ["line 3", "line 4", "line 7"]
    assert [(each.place, each.reason) for each in table.problems] == [
        ("line 3", "1 cells where the header has 2"),
        ("line 4", "3 cells where the header has 2"),
        ("line 7", "not UTF-8"),
    ]
    assert list(zip(table.places, [row["unit"] for row in table.rows], strict=True)) == [
        ("line 2", "a"),
        ("line 5", "d"),
        ("line 8", "e"),
    ]


def test_lines_of_jsonl_that_are_no_objects_are_named(tmp_path):
    text = '{"success": 1}\nnot json\n[1]\n\n{"success": 1, "success": 0}\n{"success": NaN}\n'
    table = read_rows(written(tmp_path / "a.jsonl", text))
    assert [each.place for each in table.problems] == ["line 2", "line 3", "line 5"]
    assert table.problems[1].reason == "not an object {...}"
    assert table.problems[2].reason == "not JSON: the key 'success' is there twice"
    found = METRICS.find("asr").compute(table)
    assert (found.n, found.left_out) == (1, {"unreadable": 4})
    assert found.problems[-1].reason == "success: NaN"


@pytest.mark.parametrize(
    ("name", "text", "message"),
    [
        ("a.csv", 'success,unit\n1,a\n0,"b\n1,c\n', "cannot be read from line 3 on"),
        ("a.csv", "success,success\n1,0\n", "has more than one column 'success'"),
        ("a.csv", "success\n1\n".encode("utf-16"), "is not text in UTF-8"),
        ("a.json", '{"success": 1}', "is no JSON array of objects"),
        ("a.json", "[1,", "is not JSON"),
        ("a.parquet", b"PAR1 and no more", "cannot be read"),
        ("a.xlsx", b"PK", "is no file of rows"),
    ],
)
def test_file_whose_rows_cannot_be_told_apart_is_an_error(tmp_path, name, text, message):
    with pytest.raises(JuratError, match=message):
        read_rows(written(tmp_path / name, text))


def test_file_that_is_not_there_is_an_error(tmp_path):
    with pytest.raises(JuratError, match=r"none\.csv cannot be read: No such file"):
        read_rows(tmp_path / "none.csv")


@pytest.mark.parametrize(
    ("name", "text"), [("a.csv", ""), ("a.csv", "success\n"), ("a.jsonl", "\n"), ("a.json", "[]")]
)
def test_file_without_rows_is_not_available(tmp_path, name, text):
    found = METRICS.find("asr").compute(read_rows(written(tmp_path / name, text)))
    assert (found.value, found.n, found.reason) == (None, 0, "there is no row to count")


def test_blank_lines_of_a_single_column_are_missing_cells(tmp_path):
    """The last ones are the end of the file."""
    found = METRICS.find("asr").compute(read_rows(written(tmp_path / "a.csv", "success\n1\n\n0\n\n\n")))
    assert (found.value, found.n, found.left_out) == (0.5, 2, {"missing success": 1})


def test_whole_numbers_with_a_decimal_point_are_the_same_labels(tmp_path):
    """pandas writes a column of whole numbers with empty cells so."""
    table = read_rows(written(tmp_path / "a.csv", "truth,said\n1,1.0\n0,0.0\n1,\n"))
    for name in ("accuracy", "f1"):
        found = METRICS.find(name).compute(table, draws=0)
        assert (found.value, found.n, found.problems) == (1, 2, ())


def test_event_that_is_a_label_tells_how_labels_are_named():
    found = METRICS.find("asr").compute([{"success": "unsafe"}])
    assert found.problems[0].reason == (
        "success: 'unsafe' is none of 1, 0, true, false, yes, no; if it is a label, name all (--labels)"
    )


@pytest.mark.parametrize("cell", ['["a cat", "a dog"]', "['a cat', 'a dog']", " ['a cat', \"a dog\"] "])
def test_lists_in_csv_are_json_or_as_python_writes_them(cell):
    found = METRICS.find("exact_match").compute([{"answer": "dog", "answers": cell}])
    assert (found.value, found.n) == (1, 1)


def test_text_in_brackets_that_is_no_list_is_unreadable():
    found = METRICS.find("exact_match").compute([{"answer": "dog", "answers": "[a dog]"}])
    assert (found.value, found.left_out) == (None, {"unreadable": 1})
    assert found.problems[0].reason == "answers: '[a dog]' is in brackets, but no list in JSON"
