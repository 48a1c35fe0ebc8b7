"""A run folder holds every row exactly once, even if the writing process is killed."""

from __future__ import annotations

import errno
import json
import os
import shutil
import subprocess
import sys
import textwrap
from pathlib import Path
from typing import Any

import duckdb
import pandas
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import given
from hypothesis import strategies as st

from jurat.errors import JuratError
from jurat.runs import RowSchema, merge_runs, read_rows
from jurat.runs.folder import is_run, read_facts, run_files, set_aside, write_facts
from jurat.runs.part_writer import PartWriter

posix = pytest.mark.skipif(sys.platform == "win32", reason="needs POSIX limits and locks")

SCHEMA = pa.schema(
    [
        ("id", pa.string()),
        ("occurrence", pa.int64()),
        ("outcome", pa.string()),
        ("columns", pa.map_(pa.string(), pa.string())),
    ],
    metadata={"jurat.schema": "1"},
)
ROWS = RowSchema(lambda: SCHEMA)


def row(number: int, outcome: str = "safe") -> dict[str, Any]:
    return {"id": f"in/{number}.png", "occurrence": 0, "outcome": outcome, "columns": {"n": str(number)}}


def write(folder: Path, numbers: range, part_rows: int = 10, outcome: str = "safe") -> None:
    if not is_run(folder):
        write_facts(folder, {"settings": {}})
    with PartWriter(folder, ROWS, part_rows=part_rows) as sink:
        for number in numbers:
            sink.write(row(number, outcome))


def numbers(folder: Path) -> list[int]:
    return [int(each["columns"]["n"]) for each in read_rows(folder)]


def names(folder: Path) -> list[str]:
    return sorted(path.name for path in (folder / "parts").iterdir())


@pytest.mark.parametrize("count", [0, 1, 9, 10, 11, 35])
def test_rows_round_trip_in_parts_of_bounded_size(count: int, tmp_path: Path) -> None:
    write(tmp_path / "run", range(count))
    assert list(read_rows(tmp_path / "run")) == [row(number) for number in range(count)]
    parts = [pq.ParquetFile(path) for path in run_files(tmp_path / "run")]
    assert [part.metadata.num_rows for part in parts] == [10] * (count // 10) + [count % 10] * (
        count % 10 > 0
    )
    assert all(part.schema_arrow.metadata[b"jurat.schema"] == b"1" for part in parts)
    assert names(tmp_path / "run") == [f"part-{number:06}.parquet" for number in range(len(parts))]


def test_parts_are_bounded_in_bytes(tmp_path: Path) -> None:
    with PartWriter(tmp_path / "run", ROWS, part_bytes=500) as sink:
        for number in range(30):
            sink.write(row(number))
    assert len(run_files(tmp_path / "run")) > 3


def test_duckdb_pandas_and_pyarrow_read_the_parts(tmp_path: Path) -> None:
    run = tmp_path / "run"
    write(run, range(25))
    pattern = f"{run}/**/*.parquet"
    told = duckdb.sql(f"select count(*), max(columns['n']::int) from read_parquet('{pattern}')").fetchall()
    assert told == [(25, 24)]
    assert list(pandas.read_parquet(run / "parts")["id"]) == [f"in/{number}.png" for number in range(25)]
    assert pq.read_table(run / "parts").num_rows == 25


def test_parquet_readers_open_the_run_folder(tmp_path: Path) -> None:
    """Also during writing and during a retry of errors: other files in the folder are ignored."""
    import pyarrow.dataset as ds

    run = tmp_path / "run"
    write(run, range(20))
    write(run, range(20, 23), outcome="error")
    with PartWriter(run, ROWS, part_rows=10) as sink:
        assert sink.take_out_errors() == 3
        sink.write(row(23))
        assert {".lock", "_run.json", "_retrying.jsonl", "parts"} == set(os.listdir(run))
        assert "_part-000003.jsonl" in names(run)
        for read in (pandas.read_parquet, pq.read_table, lambda path: ds.dataset(path).to_table()):
            assert len(read(run)) == 20
    assert len(pandas.read_parquet(run)) == 21


def earlier_layout(run: Path) -> None:
    """Renames the files of a run as an earlier jurat named them."""
    for path in [*run.iterdir(), *(run / "parts").iterdir()]:
        if path.name == ".lock":
            path.rename(run / "lock")
        elif path.name.startswith("_"):
            path.rename(path.with_name(path.name[1:]))


def test_earlier_layout_is_read_and_resumed(tmp_path: Path) -> None:
    run = tmp_path / "run"
    write(run, range(12))
    write(run, range(12, 15), outcome="error")
    with PartWriter(run, ROWS) as sink:
        sink.take_out_errors()
    lines = "".join(json.dumps(row(number)) + "\n" for number in (20, 21))
    (run / "parts" / "_part-000009.jsonl").write_text(lines)
    earlier_layout(run)
    assert set(os.listdir(run)) == {"lock", "run.json", "retrying.jsonl", "parts"}
    assert is_run(run) and read_facts(run) == {"settings": {}}
    assert numbers(run) == [*range(12), 20, 21]
    with pytest.raises(JuratError, match="errors that were being tried again"):
        merge_runs([run], tmp_path / "all", ROWS)
    with PartWriter(run, ROWS) as sink:
        assert sink.put_back() == {"error": 3}
    assert sorted(numbers(run)) == [*range(15), 20, 21]
    assert set(os.listdir(run)) == {".lock", "_run.json", "parts"}
    assert len(pandas.read_parquet(run)) == 17


@posix
def test_run_locked_by_an_earlier_version_is_left_alone(tmp_path: Path) -> None:
    import fcntl

    run = tmp_path / "run"
    write(run, range(3))
    earlier_layout(run)
    with (run / "lock").open("ab") as other:
        fcntl.flock(other, fcntl.LOCK_EX)
        with pytest.raises(JuratError, match="Another run is writing to"):
            PartWriter(run, ROWS)
        assert (run / "run.json").exists()
    write(run, range(3, 5))
    assert numbers(run) == list(range(5))


@posix
def test_lock_file_replaces_unsupported_system_locks(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    import fcntl

    def none(*_: object) -> None:
        raise OSError(errno.ENOLCK, "No locks available")

    monkeypatch.setattr(fcntl, "flock", none)
    run = tmp_path / "run"
    with PartWriter(run, ROWS) as sink:
        sink.write(row(0))
        with pytest.raises(JuratError, match=r"Another run is writing to .*\n.*remove .*\.lock\.held"):
            PartWriter(run, ROWS)
    write(run, range(1, 3))
    assert numbers(run) == [0, 1, 2]


TIMED = pa.schema([*SCHEMA, pa.field("time", pa.timestamp("ms", tz="UTC"))], SCHEMA.metadata)


def timed(number: int) -> dict[str, Any]:
    return {**row(number), "time": f"2026-11-20T09:30:{number:02}.050Z"}


def write_timed(run: Path, schema: pa.Schema, numbers: range) -> None:
    if not is_run(run):
        write_facts(run, {"settings": {}})
    with PartWriter(run, RowSchema(lambda: schema)) as sink:
        for number in numbers:
            sink.write(timed(number))


def test_times_are_timestamps_in_parquet_and_text_in_rows(tmp_path: Path) -> None:
    run = tmp_path / "run"
    write_timed(run, TIMED, range(5))
    assert list(read_rows(run)) == [timed(number) for number in range(5)]
    table = pandas.read_parquet(run)
    assert str(table["time"].dtype) == "datetime64[ms, UTC]"
    assert table["time"].max() == pandas.Timestamp("2026-11-20T09:30:04.050Z")
    with PartWriter(
        run, RowSchema(lambda: TIMED)
    ) as sink:  # rows that are taken out and put back are text on the way
        assert sink.take_out_errors() == 0
    (tmp_path / "other").mkdir()
    write_timed(tmp_path / "other" / "run", TIMED, range(5, 7))
    assert merge_runs([run, tmp_path / "other" / "run"], tmp_path / "all", RowSchema(lambda: TIMED)).rows == 7
    assert list(read_rows(tmp_path / "all")) == [timed(number) for number in range(7)]


def test_run_with_text_times_resumes_with_timestamps(tmp_path: Path) -> None:
    run = tmp_path / "run"
    older = pa.schema([*SCHEMA, pa.field("time", pa.string())], SCHEMA.metadata)
    write_timed(run, older, range(4))
    assert list(read_rows(run)) == [timed(number) for number in range(4)]
    assert merge_runs([run], tmp_path / "all", RowSchema(lambda: TIMED)).rows == 4
    assert str(pandas.read_parquet(tmp_path / "all")["time"].dtype) == "datetime64[ms, UTC]"
    write_timed(run, TIMED, range(4, 6))
    assert list(read_rows(run)) == [timed(number) for number in range(6)]
    assert {pq.read_schema(path).field("time").type for path in run_files(run)} == {TIMED.field("time").type}
    assert str(pandas.read_parquet(run)["time"].dtype) == "datetime64[ms, UTC]"
    assert (
        duckdb.sql(f"select max(time)::text from '{run}/**/*.parquet'")
        .fetchall()[0][0]
        .startswith("2026-11-20")
    )


def test_invalid_time_is_refused_with_the_row_number(tmp_path: Path) -> None:
    refused = pytest.raises(JuratError, match="row 1 does not fit the schema: time: Invalid isoformat string")
    with refused, PartWriter(tmp_path / "run", RowSchema(lambda: TIMED)) as sink:
        sink.write({**row(0), "time": "yesterday"})


def test_resumed_run_appends_rows(tmp_path: Path) -> None:
    run = tmp_path / "run"
    for first in range(0, 30, 6):
        write(run, range(first, first + 6))
    assert numbers(run) == list(range(30))
    assert len(set(map(ROWS.key, read_rows(run)))) == 30


def test_rows_can_be_read_while_they_are_written(tmp_path: Path) -> None:
    run = tmp_path / "run"
    write_facts(run, {})
    with PartWriter(run, ROWS, part_rows=4) as sink:
        for number in range(10):
            sink.write(row(number))
            assert numbers(run) == list(range(number + 1))


@given(cut=st.integers(0, 400), part=st.booleans())
def test_kill_at_any_byte_loses_at_most_one_row(cut: int, part: bool) -> None:
    import tempfile

    with tempfile.TemporaryDirectory() as folder:
        run = Path(folder, "run")
        write(run, range(7), part_rows=7)
        lines = b"".join(json.dumps(row(number)).encode() + b"\n" for number in range(7, 11))
        kept = lines[: min(cut, len(lines))]
        if part:  # the part was put in its place, and the rows behind it not removed yet
            write(run, range(7, 11))
            kept = lines
        else:
            (run / "parts" / ".part-000001.parquet.77-ab.writing").write_bytes(b"half a part")
        (run / "parts" / "_part-000001.jsonl").write_bytes(kept)
        whole = list(range(7 + kept.count(b"\n")))
        assert numbers(run) == whole
        write(run, range(len(whole), 15))
        assert numbers(run) == list(range(15))
        assert [name for name in names(run) if not name.endswith(".parquet")] == []


def test_error_rows_not_retried_are_restored(tmp_path: Path) -> None:
    run = tmp_path / "run"
    write(run, range(12))
    write(run, range(12, 15), outcome="error")
    write(run, range(15, 20))
    with PartWriter(run, ROWS, part_rows=10) as sink:
        assert sink.take_out_errors() == 3
        assert sorted(numbers(run)) == [*range(12), *range(15, 20)]
        sink.write(row(13))
        assert sink.put_back() == {"error": 2}
        assert sink.put_back() == {}
    told = {each["id"]: each["outcome"] for each in read_rows(run)}
    assert sorted(numbers(run)) == list(range(20))
    assert [number for number in range(20) if told[f"in/{number}.png"] == "error"] == [12, 14]
    assert not (run / "_retrying.jsonl").exists()


def test_killed_retry_resumes(tmp_path: Path) -> None:
    run = tmp_path / "run"
    write(run, range(5), outcome="error")
    with PartWriter(run, ROWS) as sink:
        sink.take_out_errors()
    # Killed between the list of what was dropped and the part without it: both hold the rows.
    write(run, range(3), outcome="error")
    with PartWriter(run, ROWS) as sink:
        assert sink.take_out_errors() == 3
        sink.write(row(0))
        assert sink.put_back() == {"error": 4}
    assert sorted(numbers(run)) == list(range(5))


def test_truncated_retry_file_loses_no_later_error(tmp_path: Path) -> None:
    run = tmp_path / "run"
    write(run, range(3), outcome="error")
    (run / "_retrying.jsonl").write_text('{"schema": 2, "id"')
    with PartWriter(run, ROWS) as sink:
        assert sink.take_out_errors() == 3
        assert sink.put_back() == {"error": 3}
    assert sorted(numbers(run)) == [0, 1, 2]


@posix
def test_two_runs_cannot_write_to_one_folder(tmp_path: Path) -> None:
    there = pytest.raises(JuratError, match=r"^Another run is writing to .*run\.\n")
    with PartWriter(tmp_path / "run", ROWS), there:
        PartWriter(tmp_path / "run", ROWS)
    with PartWriter(tmp_path / "run", ROWS) as sink:
        sink.write(row(0))


def test_refused_run_is_unlocked(tmp_path: Path) -> None:
    run = tmp_path / "run"
    write(run, range(12))
    part = run / "parts" / "part-000000.parquet"
    whole = part.read_bytes()
    part.write_bytes(whole[:100])
    with pytest.raises(JuratError, match="is not a whole Parquet file") as raised:
        PartWriter(run, ROWS)
    part.write_bytes(whole)
    write(run, range(12, 15))
    assert (numbers(run), raised.value.exit_code) == (list(range(15)), 2)


@posix
def test_full_disk_stops_the_run_and_keeps_complete_rows(tmp_path: Path) -> None:
    program = """
        import resource, signal, sys
        from pathlib import Path
        sys.path.insert(0, sys.argv[2])
        from test_folder import PartWriter, ROWS, row, write_facts
        signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
        run = Path(sys.argv[1])
        write_facts(run, {})
        with PartWriter(run, ROWS) as sink:
            resource.setrlimit(resource.RLIMIT_FSIZE, (2000, 2000))
            try:
                for number in range(1000):
                    sink.write(row(number))
            finally:
                print(sink.rows)
    """
    arguments = [
        sys.executable,
        "-c",
        textwrap.dedent(program),
        str(tmp_path / "run"),
        str(Path(__file__).parent),
    ]
    done = subprocess.run(arguments, capture_output=True, text=True, check=False)
    rows = int(done.stdout)
    assert 10 < rows < 100
    assert f"run cannot be written: File too large; {rows} rows are new and whole in it." in done.stderr
    assert "Once it is writable again, rerun the same command to resume." in done.stderr
    assert numbers(tmp_path / "run") == list(range(rows))
    write(tmp_path / "run", range(rows, 100))
    assert numbers(tmp_path / "run") == list(range(100))


def test_vanished_folder_stops_the_run_with_one_error(tmp_path: Path) -> None:
    run = tmp_path / "run"
    told = rf"run cannot be written: {os.strerror(errno.ENOENT)}; 3 rows are new"
    with pytest.raises(JuratError, match=told), PartWriter(run, ROWS, part_rows=4) as sink:
        for number in range(8):
            if number == 3:
                shutil.move(run, tmp_path / "elsewhere")
            sink.write(row(number))
    write_facts(tmp_path / "elsewhere", {})
    assert numbers(tmp_path / "elsewhere")[:3] == [0, 1, 2]


def test_set_aside_picks_a_free_name(tmp_path: Path) -> None:
    for number in (1, 2):
        write(tmp_path / "run", range(number))
        assert set_aside(tmp_path / "run").name == f"run.before-{number}"
    assert numbers(tmp_path / "run.before-2") == [0, 1]


def test_run_being_written_is_not_set_aside(tmp_path: Path) -> None:
    with PartWriter(tmp_path / "run", ROWS) as sink:
        sink.write(row(0))
        with pytest.raises(JuratError, match="Another run is writing to"):
            set_aside(tmp_path / "run")
        sink.write(row(1))
    assert sorted(os.listdir(tmp_path)) == ["run"]
    assert set_aside(tmp_path / "run").name == "run.before-1"


def test_facts_round_trip_and_folder_without_facts_is_refused(tmp_path: Path) -> None:
    write_facts(tmp_path / "run", {"a": "ü"})
    assert read_facts(tmp_path / "run") == {"a": "ü"}
    assert os.listdir(tmp_path / "run") == ["_run.json"]
    with pytest.raises(JuratError, match=r"is a folder, and not one of a run: it has no _run\.json\.$"):
        read_rows(tmp_path)
    (tmp_path / "run" / "_run.json").write_text("[]")
    with pytest.raises(JuratError, match="was not written by a run"):
        read_facts(tmp_path / "run")


def test_runs_over_different_items_are_merged(tmp_path: Path) -> None:
    write(tmp_path / "a", range(0, 25))
    write(tmp_path / "b", range(25, 30))
    assert merge_runs([tmp_path / "a", tmp_path / "b"], tmp_path / "all", ROWS).rows == 30
    assert numbers(tmp_path / "all") == list(range(30))
    assert len(run_files(tmp_path / "all")) == 1
    write(tmp_path / "c", range(29, 31))
    with pytest.raises(JuratError, match=r"b and .*c both hold 'in/29\.png'\."):
        merge_runs([tmp_path / "b", tmp_path / "c"], tmp_path / "no", ROWS)
    with pytest.raises(JuratError, match="all is there already"):
        merge_runs([tmp_path / "a"], tmp_path / "all", ROWS)
    assert not (tmp_path / "no").exists()
    assert not [path for path in tmp_path.iterdir() if "merging" in path.name]


def test_merge_refuses_a_run_with_an_unfinished_retry(tmp_path: Path) -> None:
    one, two = tmp_path / "one", tmp_path / "two"
    write(one, range(3), outcome="error")
    write(two, range(3, 5))
    with PartWriter(one, ROWS) as sink:
        sink.take_out_errors()
    with pytest.raises(JuratError, match="one has errors that were being tried again") as raised:
        merge_runs([one, two], tmp_path / "all", ROWS)
    assert raised.value.hint == "Rerun the jurat judge command of that run to finish it, then merge."


def test_parts_of_an_older_schema_are_merged_with_nulls(tmp_path: Path) -> None:
    older = pa.schema([field for field in SCHEMA if field.name != "columns"], SCHEMA.metadata)
    write_facts(tmp_path / "a", {})
    with PartWriter(tmp_path / "a", RowSchema(lambda: older)) as sink:
        sink.write({"id": "x", "occurrence": 0, "outcome": "safe"})
    merge_runs([tmp_path / "a"], tmp_path / "all", ROWS)
    assert list(read_rows(tmp_path / "all")) == [
        {"id": "x", "occurrence": 0, "outcome": "safe", "columns": None}
    ]
