"""Rows are written completely in every format and are kept when a run ends early."""

from __future__ import annotations

import errno
import io
import json
import os
import stat
import subprocess
import sys
import textwrap
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from jurat.errors import JuratError
from jurat.runs import RowSchema, open_sink, read_rows

posix = pytest.mark.skipif(sys.platform == "win32", reason="needs POSIX limits and devices")

CLAUSE = pa.struct(
    [
        ("text", pa.string()),
        ("score", pa.float64()),
        ("alternatives", pa.list_(pa.struct([("text", pa.string())]))),
    ]
)
RULE = pa.struct([("id", pa.string()), ("severity", pa.string()), ("clauses", pa.list_(CLAUSE))])


def schema() -> pa.Schema:
    fields = [
        ("schema", pa.int64()),
        ("id", pa.string()),
        ("broken", pa.list_(pa.string())),
        ("rules", pa.list_(RULE)),
    ]
    return pa.schema(fields, metadata={"jurat.schema": "1"})


ROWS = RowSchema(schema)


def row(number: int, **changes: Any) -> dict[str, Any]:
    """A row as nested as a verdict is."""
    clause = {
        "text": "Ein Kind ist zu sehen. 👶",
        "score": number / 7,
        "alternatives": [{"text": "a"}, {"text": 'b\n"c"'}],
    }
    rule = {
        "id": "r",
        "severity": None,
        "clauses": [clause, {"text": None, "score": None, "alternatives": []}],
    }
    return {"schema": 1, "id": f"in/{number}.png", "broken": ["r"] * (number % 3), "rules": [rule], **changes}


def written(path: Path, count: int, **options: Any) -> list[dict[str, Any]]:
    rows = [row(number) for number in range(count)]
    with open_sink(path, ROWS, **options) as sink:
        for each in rows:
            sink.write(each)
    assert sink.rows == count
    return rows


def files(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir())


SUFFIXES = [".jsonl", ".ndjson", ".parquet", ".pq", ".PARQUET"]


@pytest.mark.parametrize("suffix", SUFFIXES)
@pytest.mark.parametrize("count", [0, 1, 256, 700])
def test_rows_round_trip(suffix: str, count: int, tmp_path: Path) -> None:
    path = tmp_path / f"verdicts{suffix}"
    rows = written(path, count)
    assert list(read_rows(path)) == rows
    assert files(tmp_path) == [path.name]


def test_summary_names_the_file(tmp_path: Path) -> None:
    for path, count, text in (
        (tmp_path / "a.jsonl", 1, "1 row is in "),
        (tmp_path / "a.parquet", 1_200, "1,200 rows are in "),
    ):
        with open_sink(path, ROWS) as sink:
            for number in range(count):
                sink.write(row(number))
        assert sink.summary == f"{text}{path}"


def test_json_lines_are_flushed_row_by_row(tmp_path: Path) -> None:
    path = tmp_path / "verdicts.jsonl"
    with open_sink(path, ROWS) as sink:
        for number in range(3):
            sink.write(row(number))
            lines = path.read_text(encoding="utf-8").splitlines()
            assert len(lines) == number + 1
            assert json.loads(lines[-1]) == row(number)
    assert "👶" in path.read_text(encoding="utf-8")


def test_json_lines_need_no_schema(tmp_path: Path) -> None:
    def never() -> pa.Schema:
        raise AssertionError

    with open_sink(tmp_path / "verdicts.jsonl", RowSchema(never)) as sink:
        sink.write({"any": "thing"})
    assert list(read_rows(tmp_path / "verdicts.jsonl")) == [{"any": "thing"}]


def test_parquet_file_appears_only_when_complete(tmp_path: Path) -> None:
    path = tmp_path / "verdicts.parquet"
    with open_sink(path, ROWS) as sink:
        for number in range(600):
            sink.write(row(number))
        assert not path.exists()
    assert path.exists()
    assert stat.S_IMODE(path.stat().st_mode) == stat.S_IMODE(_fresh_file_mode(tmp_path))


def _fresh_file_mode(folder: Path) -> int:
    fresh = folder / "fresh"
    fresh.touch()
    return fresh.stat().st_mode


def test_parquet_keeps_schema_and_metadata(tmp_path: Path) -> None:
    path = tmp_path / "verdicts.parquet"
    written(path, 3)
    stored = pq.read_schema(path)
    assert stored.equals(schema())
    assert stored.metadata[b"jurat.schema"] == b"1"


def test_missing_fields_are_null_in_parquet(tmp_path: Path) -> None:
    path = tmp_path / "verdicts.parquet"
    with open_sink(path, ROWS) as sink:
        sink.write({"id": "x"})
    assert list(read_rows(path)) == [{"schema": None, "id": "x", "broken": None, "rules": None}]


def test_nothing_is_written_without_a_path() -> None:
    with open_sink(None, ROWS) as sink:
        sink.write(row(1))
    assert (sink.rows, sink.summary) == (1, "the rows were not written to a file")


def test_dash_writes_rows_to_standard_output(capfdbinary: pytest.CaptureFixture[bytes]) -> None:
    with open_sink("-", ROWS) as sink:
        sink.write(row(1))
        sink.write(row(2))
    assert [json.loads(line) for line in capfdbinary.readouterr().out.splitlines()] == [row(1), row(2)]
    assert sink.summary == "2 rows are in standard output"
    print("still open")


@pytest.mark.parametrize("suffix", [".jsonl", ".parquet"])
def test_existing_file_is_refused_without_overwrite(suffix: str, tmp_path: Path) -> None:
    path = tmp_path / f"verdicts{suffix}"
    path.write_text("precious")
    with pytest.raises(JuratError) as raised:
        open_sink(path, ROWS)
    assert raised.value.message == f"{path} already exists and was not changed."
    assert raised.value.hint == "Give another name, or --overwrite if the command has that option."
    assert raised.value.exit_code == 2
    assert path.read_text() == "precious"
    rows = written(path, 2, overwrite=True)
    assert list(read_rows(path)) == rows
    assert files(tmp_path) == [path.name]


def test_a_dangling_link_is_not_written_through(tmp_path: Path) -> None:
    path = tmp_path / "verdicts.jsonl"
    path.symlink_to(tmp_path / "elsewhere.jsonl")
    with pytest.raises(JuratError, match="already exists"):
        open_sink(path, ROWS)


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("verdicts.csv", "verdicts.csv: jurat does not write .csv files."),
        ("verdicts", "verdicts: jurat does not write a file without a suffix."),
        ("folder.jsonl", "folder.jsonl is a folder."),
        ("file/verdicts.jsonl", "file/verdicts.jsonl cannot be written: {tmp_path}/file is not a folder."),
        (
            "file/verdicts.parquet",
            "file/verdicts.parquet cannot be written: {tmp_path}/file is not a folder.",
        ),
    ],
)
def test_unwritable_paths_are_refused_before_writing(name: str, message: str, tmp_path: Path) -> None:
    (tmp_path / "folder.jsonl").mkdir()
    (tmp_path / "file").touch()
    with pytest.raises(JuratError) as raised:
        open_sink(tmp_path / name, ROWS)
    assert message.format(tmp_path=tmp_path) in raised.value.message
    assert "\n" not in raised.value.message


def test_missing_folders_are_created(tmp_path: Path) -> None:
    written(tmp_path / "a/b/verdicts.jsonl", 1)
    written(tmp_path / "c/d/verdicts.parquet", 1)
    assert (tmp_path / "a/b/verdicts.jsonl").exists()
    assert (tmp_path / "c/d/verdicts.parquet").exists()


@pytest.mark.parametrize("error", [RuntimeError("model died"), KeyboardInterrupt()], ids=["error", "ctrl-c"])
@pytest.mark.parametrize("count", [1, 300])
def test_parquet_rows_survive_an_exception_in_a_partial_file(
    error: BaseException, count: int, tmp_path: Path
) -> None:
    path = tmp_path / "verdicts.parquet"
    with pytest.raises(type(error)) as raised, open_sink(path, ROWS) as sink:
        for number in range(count):
            sink.write(row(number))
        raise error
    partial = tmp_path / "verdicts.parquet.partial"
    assert files(tmp_path) == [partial.name]
    assert pq.read_table(partial).num_rows == count
    assert list(read_rows(partial)) == [row(number) for number in range(count)]
    assert sink.summary == f"{'1 row is' if count == 1 else '300 rows are'} in {partial}"
    assert sink.summary in raised.value.__notes__


def test_partial_files_are_not_overwritten(tmp_path: Path) -> None:
    path = tmp_path / "verdicts.parquet"
    for number in range(3):
        with pytest.raises(RuntimeError), open_sink(path, ROWS) as sink:
            sink.write(row(number))
            raise RuntimeError
    assert files(tmp_path) == [f"verdicts.parquet.partial{tail}" for tail in ("", "-2", "-3")]
    assert [next(read_rows(tmp_path / name))["id"] for name in files(tmp_path)] == [
        f"in/{i}.png" for i in range(3)
    ]


def test_exception_before_the_first_row_leaves_no_file(tmp_path: Path) -> None:
    with pytest.raises(RuntimeError), open_sink(tmp_path / "verdicts.parquet", ROWS) as sink:
        raise RuntimeError
    assert files(tmp_path) == []
    assert sink.summary == f"no rows were written to {tmp_path / 'verdicts.parquet'}"


def test_overwritten_parquet_file_stays_until_the_new_one_is_complete(tmp_path: Path) -> None:
    path = tmp_path / "verdicts.parquet"
    written(path, 5)
    with pytest.raises(RuntimeError), open_sink(path, ROWS, overwrite=True) as sink:
        sink.write(row(9))
        raise RuntimeError
    assert len(list(read_rows(path))) == 5
    assert files(tmp_path) == ["verdicts.parquet", "verdicts.parquet.partial"]


def test_unreadable_spool_does_not_replace_the_file(tmp_path: Path) -> None:
    path = tmp_path / "v.parquet"
    old = written(path, 3)
    with (
        pytest.raises(JuratError, match=r"only 256 of 512 rows for \S+v\.parquet could be read back"),
        open_sink(path, ROWS, overwrite=True) as sink,
    ):
        for number in range(512):
            sink.write(row(number))
            if number == 255:
                (spool,) = tmp_path.glob(".v.parquet.*.writing")
                first = spool.stat().st_size
        spool.write_bytes(spool.read_bytes()[: first + 100])
    assert list(read_rows(path)) == old
    assert len(list(read_rows(tmp_path / "v.parquet.partial"))) == 256
    assert files(tmp_path) == ["v.parquet", "v.parquet.partial"]


class ClosingFails(io.FileIO):
    """A file on a share that reports a lost write when it is closed."""

    def close(self) -> None:
        if not self.closed:
            super().close()
            raise OSError(errno.ENOSPC, "No space left on device")


def test_rows_lost_at_closing_are_reported(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "v.jsonl"
    monkeypatch.setattr(Path, "open", lambda self, mode: io.BufferedWriter(ClosingFails(self, "w")))
    with (
        pytest.raises(JuratError, match=r"v\.jsonl cannot be written: No space left on device"),
        open_sink(path, ROWS) as sink,
    ):
        sink.write(row(1))


def test_file_created_meanwhile_is_not_replaced(tmp_path: Path) -> None:
    path = tmp_path / "verdicts.parquet"
    with pytest.raises(JuratError, match="already exists") as raised, open_sink(path, ROWS) as sink:
        sink.write(row(1))
        path.write_text("someone else's")
    assert path.read_text() == "someone else's"
    partial = tmp_path / "verdicts.parquet.partial"
    assert list(read_rows(partial)) == [row(1)]
    assert raised.value.__notes__ == [f"1 row is in {partial}"]


@pytest.mark.parametrize("at", [0, 100, 299])
def test_row_outside_the_schema_is_named_and_others_kept(at: int, tmp_path: Path) -> None:
    path = tmp_path / "verdicts.parquet"
    with (
        pytest.raises(JuratError, match=f"^row {at + 1} does not fit the schema: "),
        open_sink(path, ROWS) as sink,
    ):
        for number in range(300):
            sink.write(row(number, schema="one" if number == at else 1))
    kept = list(read_rows(tmp_path / "verdicts.parquet.partial"))
    assert row(at)["id"] not in [each["id"] for each in kept]
    assert len(kept) == (299 if at >= 256 else 255)
    assert sink.rows == len(kept)


def test_fields_missing_in_the_schema_are_refused(tmp_path: Path) -> None:
    with pytest.raises(JuratError, match=r"^row 2 has fields that the schema lacks: colour, shape"):  # noqa: SIM117
        with open_sink(tmp_path / "verdicts.parquet", ROWS) as sink:
            sink.write(row(0))
            sink.write(row(1, shape=1, colour=2))
    assert list(read_rows(tmp_path / "verdicts.parquet.partial")) == [row(0)]


def test_values_outside_json_are_refused_with_the_row_number(tmp_path: Path) -> None:
    for value, message in ((float("nan"), "Out of range float values"), (object(), "not JSON serializable")):
        path = tmp_path / "verdicts.jsonl"
        with (
            pytest.raises(JuratError, match=f"^row 2 cannot be written as JSON: .*{message}"),
            open_sink(path, ROWS, overwrite=True) as sink,
        ):
            sink.write({"id": 1})
            sink.write({"id": value})
        assert list(read_rows(path)) == [{"id": 1}]


def test_invalid_utf_8_is_escaped(tmp_path: Path) -> None:
    odd = "caf\udce9 \ud800 é"
    with open_sink(tmp_path / "a.jsonl", ROWS) as sink:
        sink.write({"id": odd})
    assert (tmp_path / "a.jsonl").read_bytes().decode("utf-8") == '{"id": "caf\\udce9 \\ud800 é"}\n'
    assert list(read_rows(tmp_path / "a.jsonl")) == [{"id": odd}]
    with open_sink(tmp_path / "a.parquet", ROWS) as sink:
        sink.write(row(0))
        sink.write(row(1, id=odd, broken=[odd]))
    first, second = read_rows(tmp_path / "a.parquet")
    assert first == row(0)
    assert second == row(1, id="caf\\udce9 \\ud800 é", broken=["caf\\udce9 \\ud800 é"])


@posix
def test_full_disk_stops_json_lines_with_one_error(tmp_path: Path) -> None:
    path = tmp_path / "verdicts.jsonl"
    path.symlink_to("/dev/full")
    with pytest.raises(JuratError) as raised, open_sink(path, ROWS, overwrite=True) as sink:
        sink.write(row(0))
    assert (
        raised.value.message == f"{path} cannot be written: No space left on device; 0 rows are whole in it."
    )
    assert sink.rows == 0


def run_with_small_disk(code: str, limit: int, folder: Path) -> str:
    """Runs code in a process whose files cannot grow beyond `limit` bytes; returns what it printed."""
    start = f"import resource; resource.setrlimit(resource.RLIMIT_FSIZE, ({limit}, {limit}))\n"
    lines = """
        import random, sys
        import pyarrow as pa
        from jurat.errors import JuratError
        from jurat.runs import RowSchema, open_sink
        random.seed(1)
        def schema(): return pa.schema([("n", pa.int64()), ("noise", pa.string())])
        ROWS = RowSchema(schema)
        def rows(count):
            for n in range(count): yield {"n": n, "noise": random.randbytes(500).hex()}
    """
    source = start + textwrap.dedent(lines) + textwrap.dedent(code)
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)}
    done = subprocess.run(
        [sys.executable, "-c", source],
        cwd=folder,
        env=environment,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    assert done.stderr == ""
    return done.stdout


WRITE = """
    try:
        with open_sink({name!r}, ROWS) as sink:
            for row in rows({count}): sink.write(row)
    except JuratError as error:
        print(error.message)
    print(sink.rows, sink.summary, sep="|")
"""


@posix
def test_full_disk_keeps_complete_json_lines(tmp_path: Path) -> None:
    printed = run_with_small_disk(WRITE.format(name="v.jsonl", count=1_000), 100_000, tmp_path).splitlines()
    kept = list(read_rows(tmp_path / "v.jsonl"))
    assert printed == [
        f"v.jsonl cannot be written: File too large; {len(kept)} rows are whole in it.",
        f"{len(kept)}|{len(kept)} rows are in v.jsonl",
    ]
    assert [each["n"] for each in kept] == list(range(len(kept)))
    assert 90 < len(kept) < 100


@posix
@pytest.mark.parametrize("limit", [300_000, 400_000])
def test_full_disk_keeps_written_parquet_rows(limit: int, tmp_path: Path) -> None:
    printed = run_with_small_disk(WRITE.format(name="v.parquet", count=5_000), limit, tmp_path).splitlines()
    assert files(tmp_path) == ["v.parquet.partial"]
    kept = list(read_rows(tmp_path / "v.parquet.partial"))
    assert printed == [
        "v.parquet cannot be written: File too large.",
        f"{len(kept)}|{len(kept)} rows are in v.parquet.partial",
    ]
    assert [each["n"] for each in kept] == list(range(len(kept)))
    assert len(kept) >= 256


@posix
def test_killed_run_leaves_parquet_rows_in_the_hidden_file(tmp_path: Path) -> None:
    code = """
        import os, signal
        with open_sink("v.parquet", ROWS) as sink:
            for row in rows(1_000): sink.write(row)
            os.kill(os.getpid(), signal.SIGKILL)
    """
    with pytest.raises(AssertionError):
        run_with_small_disk(code, 10**9, tmp_path)
    (name,) = files(tmp_path)
    assert name.startswith(".v.parquet.")
    assert [each["n"] for each in read_rows(tmp_path / name)] == list(range(768))


BAD_LINES = {
    "not json": (b"verdict\n", ":2: not a row of JSON: Expecting value: line 1 column 1 (char 0)"),
    "a list": (b"[1]\n", ":2: not a row of JSON: an object {...} was expected, this is a list"),
    "two on a line": (b'{"a": 1} {"b": 2}\n', ":2: not a row of JSON: Extra data: line 1 column 10 (char 9)"),
    "not utf-8": (b'{"a": "\xff"}\n', ":2: not a row of JSON: 'utf-8' codec can't decode byte 0xff"),
    "too deep": (b"[" * 100_000 + b"\n", ":2: not a row of JSON: "),
    "huge number": (b'{"a": ' + b"9" * 5_000 + b"}\n", ":2: not a row of JSON: Exceeds the limit"),
    "cut off": (
        b'{"schema": 1, "id": "in/1',
        ":2: the last row is cut off; the run that wrote it was stopped.",
    ),
}


@pytest.mark.parametrize("kind", BAD_LINES)
def test_bad_json_lines_are_reported_by_number(kind: str, tmp_path: Path) -> None:
    line, message = BAD_LINES[kind]
    path = tmp_path / "verdicts.jsonl"
    path.write_bytes(b'{"id": 1}\n' + line)
    rows = read_rows(path)
    assert next(rows) == {"id": 1}
    with pytest.raises(JuratError) as raised:
        next(rows)
    assert raised.value.message.startswith(f"{path}{message}")


def test_blank_lines_and_byte_order_mark_are_ignored(tmp_path: Path) -> None:
    path = tmp_path / "verdicts.jsonl"
    path.write_bytes(b'\xef\xbb\xbf{"id": 1}\r\n\r\n  \n{"id": 2}')
    assert list(read_rows(path)) == [{"id": 1}, {"id": 2}]


def test_an_empty_file_has_no_rows(tmp_path: Path) -> None:
    (tmp_path / "verdicts.jsonl").touch()
    assert list(read_rows(tmp_path / "verdicts.jsonl")) == []


def test_unreadable_files_are_refused_before_reading(tmp_path: Path) -> None:
    with pytest.raises(JuratError, match=r"gone.jsonl cannot be read: No such file or directory\.$"):
        read_rows(tmp_path / "gone.jsonl")
    with pytest.raises(JuratError, match=r"is a folder, and not one of a run: it has no _run\.json\.$"):
        read_rows(tmp_path)


def test_truncated_parquet_file_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "verdicts.parquet"
    written(path, 3)
    path.write_bytes(path.read_bytes()[:-20])
    with pytest.raises(JuratError, match=r"verdicts\.parquet is not a whole Parquet file: "):
        list(read_rows(path))


def test_rows_are_read_lazily(tmp_path: Path) -> None:
    path = tmp_path / "verdicts.jsonl"
    path.write_bytes(b'{"id": 1}\nbroken\n')
    rows = read_rows(path)
    assert isinstance(rows, Iterator)
    assert next(rows) == {"id": 1}


@pytest.mark.parametrize("keep", [0.0, 0.3, 0.9, 1.0])
def test_truncated_stream_gives_its_complete_batches(keep: float, tmp_path: Path) -> None:
    buffer = io.BytesIO()
    with pa.ipc.new_stream(buffer, pa.schema([("n", pa.int64())])) as stream:
        for start in range(0, 500, 100):
            stream.write_batch(pa.RecordBatch.from_pydict({"n": list(range(start, start + 100))}))
    data = buffer.getvalue()
    path = tmp_path / "cut"
    path.write_bytes(data[: int(len(data) * keep)])
    numbers = [each["n"] for each in read_rows(path)]
    assert numbers == list(range(len(numbers)))
    assert len(numbers) == {0.0: 0, 0.3: 100, 0.9: 400, 1.0: 500}[keep]


json_values = st.recursive(
    st.none()
    | st.booleans()
    | st.integers(-(2**53), 2**53)
    | st.floats(allow_nan=False, allow_infinity=False)
    | st.text(),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(), inner, max_size=4),
    max_leaves=12,
)


@settings(max_examples=60, deadline=None)
@given(rows=st.lists(st.dictionaries(st.text(), json_values, max_size=4), max_size=5))
def test_any_json_row_round_trips(
    rows: list[dict[str, Any]], tmp_path_factory: pytest.TempPathFactory
) -> None:
    path = tmp_path_factory.mktemp("rows") / "rows.jsonl"
    with open_sink(path, ROWS) as sink:
        for each in rows:
            sink.write(each)
    assert list(read_rows(path)) == rows
