from __future__ import annotations

import json
import re
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet
import pytest

from jurat.constitution import Constitution
from jurat.errors import JuratError
from jurat.judge import Judge, Verdict, arrow_schema, row_to_verdict, verdict_to_row
from jurat.judge.record import describe_record
from jurat.runs.parquet import batch_of, rows_of

from ..models import tiny

REMOVED_PARTS = Path(__file__).with_name("removed_parts.jsonl")
"""A verdict of the version before contrasts, coherent rules, nulls, costs and placebos were removed."""
DOCS = Path(__file__).parents[2] / "docs" / "record.md"


@pytest.fixture(scope="module")
def verdicts() -> list[Verdict]:
    law = Constitution.model_validate(
        {
            "name": "k",
            "rules": [
                {
                    "id": "a",
                    "rule": "A",
                    "severity": "high",
                    "clauses": ["X", {"any of": ["Y", {"not": "Z"}]}],
                    "unless": ["W"],
                },
                {"id": "b", "rule": "B"},
            ],
        }
    )
    models = ("null", "null?mass=0.2", "null?fail=1", "null?fail=1&kind=refused")
    found = [Judge(law, model)(tiny.picture(seed)) for model in models for seed in range(3)]
    return [*found, Judge(law, "null")(b"no image")]


def test_every_outcome_round_trips_through_json(verdicts: list[Verdict]) -> None:
    for verdict in verdicts:
        row = json.loads(json.dumps(verdict_to_row(verdict), allow_nan=False))
        again = row_to_verdict(row)
        assert verdict_to_row(again) == row
        assert (again.outcome, again.broken, again.decision) == (
            verdict.outcome,
            verdict.broken,
            verdict.decision,
        )


def test_every_outcome_round_trips_through_parquet(verdicts: list[Verdict], tmp_path: Path) -> None:
    carried = [verdict.model_copy(update={"columns": {"source": "crawl"}}) for verdict in verdicts[:2]]
    rows = [verdict_to_row(verdict) for verdict in [*carried, *verdicts[2:]]]
    table = pa.Table.from_batches([batch_of(rows, arrow_schema())])
    table.validate(full=True)
    pyarrow.parquet.write_table(table, tmp_path / "v.parquet")
    again = pyarrow.parquet.read_table(tmp_path / "v.parquet")
    assert again.schema.field("time").type == pa.timestamp("ms", tz="UTC")
    assert rows_of(again) == rows
    assert again.schema.metadata[b"jurat.schema"] == b"4"
    assert [row_to_verdict(row) for row in again.to_pylist()] == [row_to_verdict(row) for row in rows]


def test_row_fields_and_their_order_are_unchanged(verdicts: list[Verdict]) -> None:
    row = verdict_to_row(verdicts[0])
    assert [name for name in row if name not in ("frames", "frame", "note")] == [
        "schema", "decision", "time", "id", "uri", "kind", "sha256", "width", "height", "outcome", "broken",
        "reason", "rules", "model", "constitution", "thresholds", "preset", "prompts", "dtype", "jurat",
        "seconds", "error", "cost", "relevant_above", "detector", "matcher", "calibration", "columns",
        "occurrence", "basis", "label", "distance", "handling", "reused", "images", "duration", "fps",
        "caption", "reasoning", "presence", "frames_in_file", "turns", "preset_digest", "thresholds_from",
    ]  # fmt: skip
    rule = row["rules"][0]
    assert set(rule) == {
        "id",
        "outcome",
        "score",
        "severity",
        "action",
        "decided_by",
        "reason",
        "frame",
        "relevance",
        "unscanned",
        "parts",
        "agreeing",
        "needed",
        "clauses",
    }
    clause = rule["clauses"][0]
    assert set(clause) == {
        "text",
        "role",
        "about",
        "outcome",
        "score",
        "baseline",
        "mass",
        "decided_by",
        "reason",
        "alternatives",
    }
    assert set(clause["alternatives"][0]) == {
        "text",
        "negated",
        "score",
        "baseline",
        "mass",
        "outcome",
        "reason",
        "decided_by",
        "score_over_views",
        "regions",
        "score_on_crop",
        "score_without",
        "rating",
        "rationale",
        "stated",
        "presence",
        "found",
    }


def test_numbers_are_rounded_to_nine_digits(verdicts: list[Verdict]) -> None:
    text = json.dumps([verdict_to_row(verdict) for verdict in verdicts])
    numbers = re.findall(r"\d+\.(\d+)", text.replace(verdicts[0].jurat, ""))
    assert max(len(digits.lstrip("0")) for digits in numbers) <= 9


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"schema": 5}, "its schema is 5, not 4 or below"),
        ({"schema": None}, "its schema is None"),
        ({"outcome": "fine"}, "This is not a verdict: outcome"),
        ({"rules": [{}]}, "This is not a verdict: rules.0.id"),
        ({"seconds": float("nan")}, "This is not a verdict: seconds"),
    ],
)
def test_rows_that_are_no_verdict_are_refused(
    verdicts: list[Verdict], change: dict[str, object], message: str
) -> None:
    row = {**verdict_to_row(verdicts[0]), **change}
    with pytest.raises(JuratError) as raised:
        row_to_verdict(row)
    assert message in raised.value.message


def test_unknown_fields_of_later_versions_are_ignored(verdicts: list[Verdict]) -> None:
    row = {**verdict_to_row(verdicts[0]), "added": 1}
    assert verdict_to_row(row_to_verdict(row)) == verdict_to_row(verdicts[0])


def test_fields_of_removed_parts_are_dropped_on_reading() -> None:
    old = json.loads(REMOVED_PARTS.read_text(encoding="utf-8"))
    verdict = row_to_verdict(old)
    row = verdict_to_row(verdict)
    later = [row.pop(name) for name in ("turns", "preset_digest", "thresholds_from")]
    assert later == [[], None, None]
    assert {name: row[name] for name in row if name != "rules"} == {
        name: value for name, value in old.items() if name != "rules"
    }
    for before, after in zip(old["rules"], row["rules"], strict=True):
        assert before.keys() - after.keys() == {"coherence", "keep_below", "break_above"}
        assert (after["outcome"], after["score"]) == (before["outcome"], before["score"])
    said, shown = ((r["rules"][0]["clauses"][0]["alternatives"][0]) for r in (old, row))
    assert said.keys() - shown.keys() == {"contrasts", "nulls", "scores_on_placebos", "vetoed"}
    assert shown == {**{name: said[name] for name in shown if name != "found"}, "found": []}
    assert batch_of([row | {"turns": [], "preset_digest": None}], arrow_schema()).num_rows == 1
    assert verdict.explain().startswith(
        "It breaks blade (critical). The grounds: “A child is visible” (1.00)"
    )


def test_every_record_field_has_a_description() -> None:
    for line in describe_record().splitlines():
        if line.startswith("| `"):
            assert line.split("|")[3].strip(), line


def test_documented_schema_matches_the_models() -> None:
    """To write it anew: python -c "from jurat.judge.record import describe_record;
    print(describe_record())"."""
    assert describe_record() in DOCS.read_text(encoding="utf-8")
