"""Rows decided column by column come out as they do one by one, and what that cannot tell is left."""

from __future__ import annotations

import dataclasses
import json
import random
from pathlib import Path
from typing import Any

import pytest

from jurat.errors import JuratError
from jurat.judge import PRESETS, VERDICT_ROWS, verdict_to_row
from jurat.judge.presets import find_preset
from jurat.judge.replay.impact import Change, Impact, measure, measure_blocks
from jurat.judge.replay.sweep import LEAVES, OPTIONAL, slim_schema
from jurat.runs import open_sink, read_blocks
from jurat.runs.folder import write_facts
from jurat.runs.part_writer import PartWriter
from jurat.runs.row_reader import blocks_of

from ..drawn import LAW, Thinking, judged
from .test_redecide import Murmuring, with_thresholds

SEEDS = 30


@pytest.fixture(scope="module", params=["jurat", "quick", "direct"])
def rows(request: pytest.FixtureRequest) -> list[dict[str, Any]]:
    """Verdicts of all kinds: answered and hardly answered, an animation, an error, one of known content."""
    told = [
        verdict_to_row(judged(request.param, seed, model=model)) | {"id": f"{model.__name__} {seed}"}
        for model in (Thinking, Murmuring)
        for seed in range(SEEDS)
    ]
    same = {name: told[0][name] for name in ("model", "note")}
    told = [row | same for row in told]
    told[3] |= {"frames": 4, "kind": "animation"}
    told[7] |= {"outcome": "error", "reason": "error", "rules": [], "broken": [], "error": "It is cut off."}
    told[11] |= {"basis": "known_match", "rules": [], "broken": [], "outcome": "unsafe", "frames": 0}
    return told


def change_of(rows: list[dict[str, Any]], draw: int) -> Change:
    return Change(LAW, with_thresholds(random.Random(draw)), PRESETS[rows[0]["preset"]])


def written(rows: list[dict[str, Any]], kind: str, folder: Path) -> Path:
    path = folder / kind
    if kind == "run":
        write_facts(path, {})
        with PartWriter(path, VERDICT_ROWS, part_rows=13) as sink:
            for row in rows[:50]:
                sink.write(row)
        (path / "parts" / "_part-000004.jsonl").write_text(
            "".join(json.dumps(row) + "\n" for row in rows[50:])
        )
        return path
    with open_sink(path, VERDICT_ROWS) as sink:
        for row in rows:
            sink.write(row)
    return path


def told(found: Impact) -> dict[str, Any]:
    facts = {each.name: getattr(found, each.name) for each in dataclasses.fields(found)}
    facts["flips"] = [dataclasses.replace(flip, row=None) for flip in found.flips]
    return facts


@pytest.mark.parametrize("draw", range(3))
def test_columns_and_whole_rows_give_the_same_impact(
    rows: list[dict[str, Any]], draw: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    change = change_of(rows, draw)
    with monkeypatch.context() as patch:
        patch.setattr(Change, "only_thresholds", False)
        slow = measure(rows, change)
    assert slow.open == 1  # the animation
    assert slow.flipped > 5 and slow.rules
    assert all(flip.row is not None for flip in slow.flips)
    assert told(measure(rows, change)) == told(measure_blocks(blocks_of(rows), change)) == told(slow)
    for kind in ("run", "v.parquet", "v.jsonl"):
        path = written(rows, kind, tmp_path)
        blocks = list(read_blocks(path, LEAVES))
        assert sum(block.count for block in blocks) == len(rows)
        assert (blocks[0].columns is None) is (kind == "v.jsonl")
        assert told(measure_blocks(blocks, change)) == told(slow), kind
        whole = measure_blocks(read_blocks(path, LEAVES), change, whole_flips=True)
        assert told(whole) == told(slow)
        assert [(f.row or {})["rules"] for f in whole.flips] == [(f.row or {})["rules"] for f in slow.flips]


def test_only_rows_that_columns_cannot_decide_are_read_whole(
    rows: list[dict[str, Any]], tmp_path: Path
) -> None:
    read: list[int] = []
    plain = [row for row in rows if row["id"].startswith("Thinking")]
    for block in read_blocks(written(plain, "v.parquet", tmp_path), LEAVES):
        noted = dataclasses.replace(block, read=lambda places, b=block: read.extend(places) or b.read(places))
        measure_blocks([noted], change_of(rows, 0))
    assert read == [3]


def test_rows_of_two_runs_are_refused(rows: list[dict[str, Any]], tmp_path: Path) -> None:
    mixed = [*rows[:20], rows[20] | {"model": "other@1"}, *rows[21:]]
    for path in (written(mixed, "v.parquet", tmp_path), written(mixed, "v.jsonl", tmp_path)):
        with pytest.raises(JuratError, match=r"'Thinking 20' was judged with another model than the first"):
            measure_blocks(read_blocks(path, LEAVES), change_of(rows, 0))


def test_rule_that_the_constitution_lacks_is_refused(rows: list[dict[str, Any]]) -> None:
    strange = json.loads(json.dumps(rows[:3]))
    strange[1]["rules"][0]["id"] = "other"
    with pytest.raises(JuratError, match="verdicts on a rule 'other', which the constitution lacks"):
        measure(strange, change_of(rows, 0))


@pytest.mark.parametrize("preset", ["clue", "clue-quick"])
def test_presets_with_other_evidence_are_not_swept(preset: str) -> None:
    assert not Change(LAW, with_thresholds(random.Random(0)), find_preset(preset)).only_thresholds


def test_schema_holds_only_the_columns_that_are_read() -> None:
    def leaves(kind: Any, path: str) -> list[str]:
        if hasattr(kind, "value_type"):
            return leaves(kind.value_type, f"{path}.list.element")
        if getattr(kind, "num_fields", 0):
            return [leaf for each in kind for leaf in leaves(each.type, f"{path}.{each.name}")]
        return [path]

    assert {leaf for each in slim_schema() for leaf in leaves(each.type, each.name)} == {*LEAVES, *OPTIONAL}
