"""A value that no column can hold makes an error row of its item and never stops the run, also when
the run is resumed, retried or merged."""

from __future__ import annotations

import json
import math
from collections import Counter
from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest
from PIL import Image

from jurat.constitution import Clause, Constitution, Rule, Statement
from jurat.judge import VERDICT_ROWS, Judge, row_to_verdict, verdict_to_row
from jurat.runs import RowSchema, merge_runs, open_sink, read_rows
from jurat.runs.folder import run_files, write_facts
from jurat.runs.part_writer import PartWriter

SCHEMA = VERDICT_ROWS.arrow()
HUGE = 10**20


@pytest.fixture(scope="module")
def plain() -> dict[str, Any]:
    """A row as a run has it."""
    image = Image.new("RGB", (40, 30), "red")
    rule = Rule(
        id="r", rule="No dog.", clauses=(Clause(alternatives=(Statement(text="A dog is visible."),)),)
    )
    return verdict_to_row(Judge(Constitution(name="c", rules=(rule,)), "null")(image, id="in/0.png"))


def changed(row: dict[str, Any], place: str, value: Any) -> dict[str, Any]:
    """The row with another value in one place, such as `cost.images` or `rules.0.score`."""
    row = json.loads(json.dumps(row))
    *path, last = place.split(".")
    inner: Any = row
    for name in path:
        inner = inner[int(name) if isinstance(inner, list) else name]
    inner[last] = value
    return row


WRONG = {
    "tokens": ("cost.question_tokens", HUGE),
    "tokens written": ("cost.generated_tokens", -HUGE),
    "money": ("cost.dollars", "much"),
    "text for a struct": ("cost", 3),
    "a score": ("rules.0.score", "high"),
    "a nested score": ("rules.0.clauses.0.alternatives.0.score", [1]),
    "a null in a list": ("broken", [None]),
    "a null in a struct": ("rules.0.id", None),
    "text for a map": ("columns", 7),
    "null where none may be": ("uri", None),
    "a number that is too large": ("width", HUGE),
    "seconds": ("seconds", None),
    "an invalid time": ("time", "yesterday"),
    "a null time": ("time", None),
    "a reason": ("reason", {"why": 1}),
    "a wrong id": ("id", 12),
    "bytes": ("note", ["\udcff"]),
}


def run_with(folder: Path, rows: list[dict[str, Any]]) -> list[dict[str, Any]]:
    write_facts(folder, {"settings": {}})
    with PartWriter(folder, VERDICT_ROWS) as sink:
        for row in rows:
            sink.write(row)
    return list(read_rows(folder))


@pytest.mark.parametrize("case", WRONG)
def test_value_outside_the_schema_becomes_an_error_row(
    case: str, plain: dict[str, Any], tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    place, value = WRONG[case]
    rows = [{**plain, "id": f"in/{number}.png"} for number in range(12)]
    rows[7] = changed(rows[7], place, value)
    for name in ("run", "v.parquet"):
        caplog.clear()
        if name == "run":
            found = run_with(tmp_path / name, rows)
        else:
            with open_sink(tmp_path / name, VERDICT_ROWS) as sink:
                for row in rows:
                    sink.write(row)
            found = list(read_rows(tmp_path / name))
        assert Counter(row["outcome"] for row in found if row["outcome"] == "error") == {"error": 1}
        assert [row["id"] for row in found] == [str(row["id"]) for row in rows]
        verdict = row_to_verdict(found[7])
        assert (verdict.outcome, verdict.reason, verdict.rules) == ("error", "error", ())
        assert verdict.error is not None
        assert verdict.error.startswith(f"What was found cannot be recorded: {place.split('.')[0]}")
        assert verdict.sha256 == plain["sha256"] and verdict.model == plain["model"]
        assert len(caplog.records) == 1 and "is recorded as an error" in caplog.text


@pytest.mark.parametrize("name", ["run", "v.jsonl", "v.parquet"])
def test_value_outside_json_becomes_an_error_row(name: str, plain: dict[str, Any], tmp_path: Path) -> None:
    rows = [plain, {**plain, "id": "nan", "seconds": math.nan}, {**plain, "id": "set", "note": {1, 2}}]
    if name == "run":
        found = run_with(tmp_path / name, rows)
    else:
        with open_sink(tmp_path / name, VERDICT_ROWS) as sink:
            for row in rows:
                sink.write(row)
        found = list(read_rows(tmp_path / name))
    outcomes = [row["outcome"] for row in found]
    expected = [plain["outcome"], "error", "error"]
    if name == "v.parquet":  # which has a place for a number that is none
        outcomes.pop(1), expected.pop(1)
    assert outcomes == expected


def wedged(folder: Path, plain: dict[str, Any]) -> None:
    """A run killed after writing a row outside the schema, as older versions left it."""
    write_facts(folder, {"settings": {}})
    (folder / "parts").mkdir()
    rows = [{**plain, "id": f"{folder.name}/{number}.png"} for number in range(3)]
    rows[1] = changed(rows[1], "cost.question_tokens", HUGE)
    lines = [json.dumps(row) + "\n" for row in rows]
    (folder / "parts" / "part-000000.jsonl").write_text("".join(lines))


def test_run_stopped_at_an_invalid_row_resumes(plain: dict[str, Any], tmp_path: Path) -> None:
    run = tmp_path / "run"
    wedged(run, plain)
    with PartWriter(run, VERDICT_ROWS) as sink:
        sink.write({**plain, "id": "new"})
    assert [path.suffix for path in run_files(run)] == [".parquet"]
    assert [row["outcome"] == "error" for row in read_rows(run)] == [False, True, False, False]
    with PartWriter(run, VERDICT_ROWS) as sink:
        assert sink.take_out_errors() == 1
        assert sink.put_back() == {"error": 1}
    assert sum(row["outcome"] == "error" for row in read_rows(run)) == 1


def test_run_stopped_at_an_invalid_row_can_retry_errors(plain: dict[str, Any], tmp_path: Path) -> None:
    run = tmp_path / "run"
    wedged(run, plain)
    with PartWriter(run, VERDICT_ROWS) as sink:
        assert sink.take_out_errors() == 1
        sink.write({**plain, "id": "run/1.png"})
        assert sink.put_back() == {}
    assert sorted(row["id"] for row in read_rows(run)) == ["run/0.png", "run/1.png", "run/2.png"]
    assert not any(row["outcome"] == "error" for row in read_rows(run))


def test_runs_with_invalid_rows_merge(plain: dict[str, Any], tmp_path: Path) -> None:
    for name in ("a", "b"):
        wedged(tmp_path / name, plain)
    assert merge_runs([tmp_path / "a", tmp_path / "b"], tmp_path / "all", VERDICT_ROWS).rows == 6
    assert sum(row["outcome"] == "error" for row in read_rows(tmp_path / "all")) == 2


def without(value: Any, column: str) -> Any:
    """The value without a (nested) column, as written by a version that lacked it."""
    if isinstance(value, dict):
        return {name: without(inner, column) for name, inner in value.items() if name != column}
    return [without(inner, column) for inner in value] if isinstance(value, list) else value


def older_kind(kind: Any) -> Any:
    """A type without the lists `presence` in it."""
    if pa.types.is_list(kind):
        return pa.list_(kind.value_field.with_type(older_kind(kind.value_type)))
    if pa.types.is_struct(kind):
        return pa.struct(
            [each.with_type(older_kind(each.type)) for each in kind.fields if each.name != "presence"]
        )
    return kind


@pytest.mark.parametrize("suffix", ["parquet", "jsonl"])
def test_rows_of_an_older_version_keep_their_outcomes(
    plain: dict[str, Any], tmp_path: Path, suffix: str
) -> None:
    """After a merge and after a retry of errors; missing lists become empty."""
    run = tmp_path / "run"
    write_facts(run, {"settings": {}})
    (run / "parts").mkdir()
    rows = [{**plain, "id": f"{number}.png"} for number in range(3)]
    rows = [without(without(row, "presence"), "turns") for row in rows]
    rows[1] |= {"outcome": "error", "reason": "error", "error": "it is damaged"}
    part = run / "parts" / f"part-000000.{suffix}"
    if suffix == "jsonl":
        part.write_text("".join(json.dumps(row) + "\n" for row in rows))
    else:
        schema = pa.schema(
            [f.with_type(older_kind(f.type)) for f in SCHEMA if f.name not in ("presence", "turns")]
        )
        with open_sink(part, RowSchema(lambda: schema)) as sink:
            for row in rows:
                sink.write(row)

    def outcomes(folder: Path) -> dict[str, str]:
        return {row["id"]: row_to_verdict(row).outcome for row in read_rows(folder)}

    was = {"0.png": plain["outcome"], "1.png": "error", "2.png": plain["outcome"]}
    assert outcomes(run) == was and plain["outcome"] != "error"
    assert merge_runs([run], tmp_path / "all", VERDICT_ROWS).rows == 3
    assert outcomes(tmp_path / "all") == was
    with PartWriter(run, VERDICT_ROWS) as sink:
        assert sink.take_out_errors() == 1
        sink.write({**plain, "id": "1.png"})
    assert outcomes(run) == was | {"1.png": plain["outcome"]}


def test_schema_without_error_column_refuses_the_row(tmp_path: Path) -> None:
    from jurat.errors import JuratError

    schema = pa.schema([pa.field("id", pa.string()), pa.field("n", pa.int64(), nullable=False)])
    with (
        pytest.raises(JuratError, match="row 2 does not fit the schema: n is null"),
        open_sink(tmp_path / "v.parquet", RowSchema(lambda: schema)) as sink,
    ):
        for number in (1, None, 3):
            sink.write({"id": "a", "n": number})
