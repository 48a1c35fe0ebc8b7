"""A run of rows other than verdicts is killed, resumed and merged with every item recorded exactly once."""

from __future__ import annotations

import json
import signal
import subprocess
import sys
import textwrap
import time
from collections import Counter
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import duckdb
import pandas
import pyarrow as pa
import pytest

from jurat.content import Item
from jurat.errors import JuratError
from jurat.runs import Progress, RowSchema, Run, Shard, merge_runs, open_sink, read_rows
from jurat.sources.openers import Unreadable

posix = pytest.mark.skipif(sys.platform == "win32", reason="needs POSIX signals and limits")

COLUMNS = pa.schema(
    [
        pa.field("sample", pa.string()),
        pa.field("epoch", pa.int64()),
        pa.field("state", pa.string()),
        pa.field("error", pa.string()),
        pa.field("tokens", pa.int32(), nullable=False),
    ]
)
ANSWERS = RowSchema(lambda: COLUMNS, id="sample", occurrence="epoch", outcome="state", failed="failed")
SETTINGS = {"model": "echo@1", "prompt": "What is this?"}


def items(count: int) -> Iterator[Item]:
    return (Item([Unreadable("x")], f"in/{number}.png", f"/in/{number}.png") for number in range(count))


def answer(item: Item, state: str = "answered") -> dict[str, Any]:
    return {
        "sample": item.id,
        "epoch": item.occurrence,
        "state": state,
        "error": None,
        "tokens": len(item.id),
    }


def fill(folder: Path, count: int, most: int = 10**6, **more: Any) -> Run:
    """Answers the items that are pending, `most` of them at most."""
    with Run(folder, ANSWERS, SETTINGS, **more) as run:
        for item in run.pending(items(count)):
            if run.rows == most:
                break
            run.write(answer(item))
    return run


def samples(folder: Path) -> list[str]:
    return sorted(row["sample"] for row in read_rows(folder))


def every(count: int) -> list[str]:
    return sorted(f"in/{number}.png" for number in range(count))


def test_resume_computes_only_missing_items(tmp_path: Path) -> None:
    first = fill(tmp_path / "run", 30, most=12)
    assert first.summary == f"12 rows are new in {tmp_path / 'run'}"
    second = fill(tmp_path / "run", 30)
    assert (second.before, second.rows, second.outcomes) == ({"answered": 12}, 18, {"answered": 30})
    assert samples(tmp_path / "run") == every(30)
    assert fill(tmp_path / "run", 30).rows == 0
    facts = json.loads((tmp_path / "run" / "_run.json").read_text())
    assert facts["settings"] == {**SETTINGS, "shard": None}
    assert len(facts["sessions"]) == 3


def test_items_recorded_in_this_session_are_not_pending(tmp_path: Path) -> None:
    with Run(tmp_path / "run", ANSWERS, SETTINGS) as run:
        for count in (3, 5):
            for item in run.pending(items(count)):
                run.write(answer(item))
    assert samples(tmp_path / "run") == every(5)


@pytest.mark.parametrize("column", ["sample", "state"])
@pytest.mark.parametrize("value", [None, 5])
def test_row_without_an_item_or_outcome_is_refused_unwritten(column: str, value: Any, tmp_path: Path) -> None:
    (item,) = items(1)
    with Run(tmp_path / "run", ANSWERS, SETTINGS) as run:
        with pytest.raises(JuratError, match=f"row 1 has no text in the column '{column}'"):
            run.write({**answer(item), column: value})
        run.write(answer(item))
    assert samples(tmp_path / "run") == every(1)


def test_items_with_the_same_id_are_recorded_separately(tmp_path: Path) -> None:
    for _ in range(2):
        with Run(tmp_path / "run", ANSWERS, SETTINGS) as run:
            for item in run.pending([*items(3), *items(2)]):
                run.write(answer(item))
    rows = Counter((row["sample"], row["epoch"]) for row in read_rows(tmp_path / "run"))
    assert set(rows.values()) == {1}
    assert [key[1] for key in sorted(rows)] == [0, 1, 0, 1, 0]


PROGRAM = """
    import os, sys
    from pathlib import Path
    sys.path.insert(0, sys.argv[2])
    from test_run import ANSWERS, SETTINGS, Run, answer, items
    with Run(sys.argv[1], ANSWERS, SETTINGS) as run:
        for number, item in enumerate(run.pending(items(int(sys.argv[3])))):
            run.write(answer(item))
            {after}
"""


def start(folder: Path, count: int, after: str) -> subprocess.Popen[str]:
    program = textwrap.dedent(PROGRAM.format(after=after))
    arguments = [sys.executable, "-c", program, str(folder), str(Path(__file__).parent), str(count)]
    return subprocess.Popen(arguments, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)


@posix
def test_killed_run_resumes_with_every_item_once(tmp_path: Path) -> None:
    run, count = tmp_path / "run", 400
    for _ in range(3):
        process = start(run, count, "import time; time.sleep(0.002)")
        before = len(list(read_rows(run))) if run.exists() else 0
        deadline = time.monotonic() + 60
        while time.monotonic() < deadline and process.poll() is None:
            if (run / "_run.json").exists() and len(list(read_rows(run))) >= before + 20:
                break
            time.sleep(0.005)
        process.send_signal(signal.SIGKILL)
        process.communicate()
        assert process.returncode == -signal.SIGKILL
    assert 60 <= len(samples(run)) < count
    fill(run, count)
    assert samples(run) == every(count)


@posix
def test_second_process_is_refused(tmp_path: Path) -> None:
    with Run(tmp_path / "run", ANSWERS, SETTINGS) as run:
        second = start(tmp_path / "run", 3, "pass")
        stderr = second.communicate()[1]
        assert f"Another run is writing to {tmp_path / 'run'}." in stderr
        for item in run.pending(items(3)):
            run.write(answer(item))
    assert start(tmp_path / "run", 5, "pass").wait() == 0
    assert samples(tmp_path / "run") == every(5)


@posix
def test_full_disk_keeps_complete_rows(tmp_path: Path) -> None:
    limit = "number or __import__('resource').setrlimit(1, (3000, 3000))"
    ignore = "number or __import__('signal').signal(25, 1)"
    full = start(tmp_path / "run", 1000, f"{ignore}; {limit}")
    stderr = full.communicate()[1]
    kept = len(samples(tmp_path / "run"))
    assert 10 < kept < 100
    assert f"run cannot be written: File too large; {kept} rows are new and whole in it." in stderr
    fill(tmp_path / "run", 1000)
    assert samples(tmp_path / "run") == every(1000)


def test_shards_merge_into_the_whole_run(tmp_path: Path) -> None:
    folders = [tmp_path / f"s{number}" for number in (1, 2, 3)]
    for number, folder in enumerate(folders, 1):
        fill(folder, 60, shard=Shard(number, 3))
    merged = merge_runs(folders[:2], tmp_path / "part", ANSWERS)
    assert (merged.missing, merged.rows) == (("3/3",), len(samples(tmp_path / "part")))
    assert merge_runs(folders, tmp_path / "all", ANSWERS).rows == 60
    assert samples(tmp_path / "all") == every(60)
    assert fill(tmp_path / "all", 60).rows == 0
    with pytest.raises(JuratError, match=r"s1 and .*s1 both hold 'in/"):
        merge_runs([folders[0], folders[0]], tmp_path / "no", ANSWERS)


def test_pandas_and_duckdb_read_the_rows(tmp_path: Path) -> None:
    fill(tmp_path / "run", 25)
    table = pandas.read_parquet(tmp_path / "run")
    assert sorted(table["sample"]) == every(25)
    told = duckdb.sql(f"select count(*), max(tokens) from '{tmp_path}/run/**/*.parquet'").fetchall()
    assert told == [(25, len("in/24.png"))]


def test_changed_settings_are_refused_with_the_difference(tmp_path: Path) -> None:
    fill(tmp_path / "run", 3)
    with pytest.raises(
        JuratError, match="holds a run under other settings:\n  model: echo@1 -> echo@2"
    ) as raised:
        Run(tmp_path / "run", ANSWERS, {**SETTINGS, "model": "echo@2"})
    assert "--fresh to set that run aside" in str(raised.value)
    with Run(tmp_path / "other", ANSWERS, {**SETTINGS, "model": "echo@2"}):
        pass
    with pytest.raises(
        JuratError, match=r"run and .*other were made under different settings:\n  model: echo@1"
    ):
        merge_runs([tmp_path / "run", tmp_path / "other"], tmp_path / "all", ANSWERS)
    fresh = fill(tmp_path / "run", 4, fresh=True)
    assert fresh.moved_to == tmp_path / "run.before-1"
    assert (samples(tmp_path / "run"), samples(tmp_path / "run.before-1")) == (every(4), every(3))


class Shorter:
    """Recomputes answers of nine tokens and shortens the others by one."""

    def __call__(self, row: dict[str, Any]) -> dict[str, Any] | None:
        return None if row["tokens"] == 9 else {**row, "tokens": row["tokens"] - 1}

    def note(self) -> dict[str, Any]:
        return {"shortened": True}


def test_rows_are_rewritten_when_the_adapter_allows_it(tmp_path: Path) -> None:
    fill(tmp_path / "run", 110)
    changed = {**SETTINGS, "prompt": "Say it shorter."}
    seen: list[Progress] = []
    with Run(tmp_path / "run", ANSWERS, changed, adapt=lambda old, new: Shorter(), watch=seen.append) as run:
        assert isinstance(run.rewriter, Shorter)
        assert [(each.step, each.done, each.total) for each in seen] == [
            ("rewriting", number, 110) for number in range(1, 111)
        ]
        assert run.before == {"answered": 20}
        for item in run.pending(items(110)):
            run.write(answer(item))
    assert samples(tmp_path / "run") == every(110)
    # "in/0.png" has 8 letters and lost one; "in/99.png" was taken out, and computed anew.
    lengths = Counter(row["tokens"] for row in read_rows(tmp_path / "run"))
    assert lengths == {7: 10, 9: 10 + 90}
    facts = json.loads((tmp_path / "run" / "_run.json").read_text())
    assert (facts["settings"]["prompt"], facts["sessions"][-1]["shortened"]) == ("Say it shorter.", True)


def test_rows_restored_after_a_rewrite_count_by_their_outcomes(tmp_path: Path) -> None:
    fill(tmp_path / "run", 12)  # the ids of the first ten have eight letters, and those of two nine
    changed = {**SETTINGS, "prompt": "Say it shorter."}
    with Run(tmp_path / "run", ANSWERS, changed, adapt=lambda old, new: Shorter()) as run:
        assert list(run.pending(items(10))) == []
    assert (run.restored, run.outcomes) == ({"answered": 2}, {"answered": 12})
    assert samples(tmp_path / "run") == every(12)


def test_retry_restores_rows_of_items_that_are_gone(tmp_path: Path) -> None:
    with Run(tmp_path / "run", ANSWERS, SETTINGS) as run:
        for item in run.pending(items(10)):
            run.write(answer(item, "failed" if item.id in ("in/3.png", "in/9.png") else "answered"))
    again = fill(tmp_path / "run", 9, retry_errors=True)  # the last one is gone
    assert (again.retried, again.rows, again.restored) == (2, 1, {"failed": 1})
    assert again.outcomes == {"answered": 9, "failed": 1}
    assert samples(tmp_path / "run") == every(10)
    assert not (tmp_path / "run" / "_retrying.jsonl").exists()


def test_interrupted_retry_keeps_the_remaining_failures(tmp_path: Path) -> None:
    with Run(tmp_path / "run", ANSWERS, SETTINGS) as run:
        for item in run.pending(items(10)):
            run.write(answer(item, "failed"))
    stopped = fill(tmp_path / "run", 10, most=4, retry_errors=True)
    assert (stopped.retried, stopped.restored) == (10, {})
    assert fill(tmp_path / "run", 10).outcomes == {"answered": 10}


def test_row_outside_the_schema_becomes_an_error_row(tmp_path: Path) -> None:
    for write in (into_run, into_file):
        rows = write(tmp_path, [{**answer(item), "tokens": 2**40} for item in items(1)])
        assert rows == [
            {
                "sample": "in/0.png",
                "epoch": 0,
                "state": "failed",
                "error": "What was found cannot be recorded: "
                "tokens: Value 1099511627776 too large to fit in C integer type.",
                "tokens": 0,
            }
        ]


def into_run(folder: Path, rows: list[dict[str, Any]]) -> list[dict[str, Any]]:
    with Run(folder / "run", ANSWERS, SETTINGS) as run:
        for row in rows:
            run.write(row)
    return list(read_rows(folder / "run"))


def into_file(folder: Path, rows: list[dict[str, Any]]) -> list[dict[str, Any]]:
    with open_sink(folder / "rows.parquet", ANSWERS) as sink:
        for row in rows:
            sink.write(row)
    return list(read_rows(folder / "rows.parquet"))


def test_progress_is_reported_per_row(tmp_path: Path) -> None:
    fill(tmp_path / "run", 5)
    seen: list[Progress] = []
    fill(tmp_path / "run", 8, watch=seen.append)
    assert [(each.step, each.done) for each in seen] == [("computing", number) for number in (1, 2, 3)]
    assert seen[-1].outcomes == {"answered": 8}
    assert seen[-1].rate > 0


class Workers:
    """An engine that computes every second item, loses the rest once, and then computes those."""

    def __init__(self) -> None:
        self.asked = 0

    def rows(self, job: Any, recorded: Callable[[], Any], key: Any) -> Iterator[tuple[dict[str, Any], ...]]:
        for step in (2, 1):
            there = recorded()
            self.asked += 1
            rows = [answer(item) for item in list(items(job))[::step]]
            yield tuple(row for row in rows if key(row) not in there)


def test_engine_computes_only_missing_items(tmp_path: Path) -> None:
    fill(tmp_path / "run", 20, most=5)
    workers: Any = Workers()
    with Run(tmp_path / "run", ANSWERS, SETTINGS) as run:
        groups = list(run.collect(workers, 20))  # pyright: ignore[reportArgumentType]
    assert [len(group) for group in groups] == [7, 8]
    assert workers.asked == 2
    assert samples(tmp_path / "run") == every(20)


def test_runs_import_neither_judge_nor_models() -> None:
    code = """
        import sys, jurat.runs.run, jurat.runs.merge, jurat.runs.engines.ray_engine
        print([name for name in sys.modules if name.startswith(("jurat.judge", "jurat.models"))])
    """
    done = subprocess.run(
        [sys.executable, "-c", textwrap.dedent(code)], capture_output=True, text=True, check=True
    )
    assert done.stdout.strip() == "[]", done.stderr
