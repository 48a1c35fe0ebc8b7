"""Presets as data: digests, recorded settings, and records of other settings."""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any, ClassVar

import pytest
from typer.testing import CliRunner

from jurat.cli import app
from jurat.content import Failure
from jurat.errors import JuratError
from jurat.judge import PRESETS, Preset, row_to_verdict, verdict_to_row
from jurat.judge.decision import Clue, LogOdds
from jurat.judge.plan import plan
from jurat.judge.preset_settings import preset_of_record, read_preset
from jurat.judge.replay.impact import Change, measure
from jurat.judge.replay.redecide import Redecider
from jurat.judge.stages import Crop, Points, Quick, Reason, Regions, Relevance, Stage, Views
from jurat.models import YesNo

from .drawn import LAW, judged

STRICT = PRESETS["quick"].replace(break_above=0.99, keep_below=0.01)
"""A preset named `quick` with other settings."""
DIGESTS = {
    "jurat": "4ddb6b14dcf4",
    "quick": "98d8b5acafad",
    "clue": "47e13e923857",
    "clue-quick": "c86cb1b40ce3",
    "direct": "0e5745c68739",
}
OLD: dict[str, Any] = {
    "name": "clue", "summary": PRESETS["clue"].summary, "asks": "clauses", "decides": "clue", "debias": 1.0,
    "prior_limit": 2.0, "keep_below": 0.2, "break_above": 0.8, "reject": 0.3, "accept": 0.8, "min_mass": 0.5,
    "views": None, "presence": False, "relevance": True, "points": False, "regions": True, "drop": 0.6,
    "confidence": 0.05, "crop_below": 0.01, "reason": True,
}  # fmt: skip
"""Settings of `clue` in a run of before presets were made of stages."""


def test_digests_of_presets_are_unchanged() -> None:
    assert {name: preset.digest for name, preset in PRESETS.items()} == DIGESTS


def test_digest_covers_stages_and_settings_but_not_the_name() -> None:
    quick = PRESETS["quick"]
    changed = [
        STRICT,
        quick.replace(presence=False),
        quick.replace(stages=(*quick.stages, Points())),
        quick.replace(stages=(*quick.stages, Points(confidence=0.1))),
        quick.replace(decision=Clue()),
    ]
    assert len({preset.digest for preset in (quick, *changed)}) == 1 + len(changed)
    assert quick.replace(name="other", summary="Else.").digest == quick.digest


@pytest.mark.parametrize("preset", [*PRESETS.values(), PRESETS["jurat"].without(["views", "debias"])])
def test_recorded_settings_give_the_preset_back(preset: Preset) -> None:
    again = read_preset(json.loads(json.dumps(preset.settings)))
    assert again == preset and again.digest == preset.digest


def test_settings_of_earlier_runs_are_read() -> None:
    assert read_preset(OLD) == PRESETS["clue"]
    off = {"relevance": False, "regions": False, "crop_below": 0.0, "reason": False}
    jurat = {"name": "jurat", "decides": "log-odds", "debias": 0.25, "keep_below": 0.4, "break_above": 0.6,
             "views": 0.02, "presence": True, "points": True, "nulls": None, "ordered": False}  # fmt: skip
    assert read_preset(OLD | off | jurat).digest == PRESETS["jurat"].digest
    whole = read_preset(OLD | {"decides": "log-odds", "debias": 0.0, "views": 0.1, "points": True})
    assert whole.stages == (Relevance(), Quick(), Crop(), Views(0.1), Regions(), Reason(), Points())
    assert whole.decision == LogOdds()


@pytest.mark.parametrize(
    "change", [{"stages": ["quick", "again"]}, {"decides": "dice"}, {"quick.loudness": 3}]
)
def test_unknown_recorded_settings_are_refused(change: dict[str, Any]) -> None:
    with pytest.raises(JuratError, match=r"again|'quick' are not those of this version"):
        read_preset(PRESETS["quick"].settings | change)


def test_invalid_presets_are_refused() -> None:
    for stages in ((Views(),), (Quick(), Views(), Views(0.1))):
        with pytest.raises(JuratError, match="hold `quick`, and none of them twice"):
            Preset("mine", stages=stages)
    with pytest.raises(JuratError, match="give them the same confidence"):
        Preset("mine", stages=(Quick(), Crop(confidence=0.1), Points()))
    with pytest.raises(JuratError, match="has no setting 'brek_above'") as raised:
        PRESETS["quick"].replace(brek_above=0.9)
    assert raised.value.hint == "Did you mean 'break_above'?"


def test_redeciding_refuses_records_of_other_settings() -> None:
    verdict = row_to_verdict(verdict_to_row(judged(STRICT, 1)))
    assert (verdict.preset, verdict.preset_digest) == ("quick", STRICT.digest)
    quick = PRESETS["quick"]
    with pytest.raises(JuratError, match=f"under a preset 'quick' with the digest {STRICT.digest}"):
        Redecider(plan(LAW, quick), plan(LAW, quick), quick)(verdict)
    with pytest.raises(JuratError, match="under a preset 'quick' with other settings"):
        measure([verdict_to_row(verdict)], Change(LAW, LAW, quick))
    with pytest.raises(JuratError, match="its settings are not known"):
        preset_of_record("quick", STRICT.digest)
    again = Redecider(plan(LAW, STRICT), plan(LAW, STRICT), STRICT)(verdict)
    assert again is not None
    assert [rule.outcome for rule in again.rules] == [rule.outcome for rule in verdict.rules]
    assert measure([verdict_to_row(verdict)], Change(LAW, LAW, STRICT)).flipped == 0
    assert preset_of_record("quick", STRICT.digest, settings=STRICT.settings) == STRICT


def test_record_without_digest_is_matched_by_its_preset_name() -> None:
    row: dict[str, Any] = verdict_to_row(judged("quick", 1)) | {"schema": 3}
    del row["preset_digest"]
    quick = PRESETS["quick"]
    assert preset_of_record(row["preset"], row.get("preset_digest")) == quick
    again = Redecider(plan(LAW, quick), plan(LAW, quick), quick)(row_to_verdict(row))
    assert again is not None and (again.preset_digest, again.outcome) == (None, row["outcome"])


def test_impact_needs_the_settings_of_a_changed_preset(tmp_path: Path) -> None:
    from jurat.judge import Judge
    from jurat.judge.verdict_runs import open_verdict_run
    from jurat.sources import find_items

    judge = Judge("shelf:nursery", "null", STRICT)
    with open_verdict_run(tmp_path / "run", judge) as run:
        rows = [verdict_to_row(verdict) for verdict in judge.stream(find_items(["examples/scenes/*0.png"]))]
        for row in rows:
            run.write(row)
    file = tmp_path / "rows.jsonl"
    file.write_text("".join(json.dumps(row) + "\n" for row in rows))
    impact = ["constitution", "impact", "shelf:nursery", "shelf:nursery", "--no-ask", "--json", "--run"]
    told = CliRunner().invoke(app, [*impact, str(tmp_path / "run")])
    assert told.exit_code == 0 and json.loads(told.stdout)["flips"] == 0, told.output
    refused = CliRunner().invoke(app, [*impact, str(file)])
    assert isinstance(refused.exception, JuratError | SystemExit) and refused.exit_code != 0


def test_run_is_resumed_when_only_the_summary_of_its_preset_differs(tmp_path: Path) -> None:
    from jurat.judge import Judge
    from jurat.judge.verdict_runs import open_verdict_run

    said = PRESETS["quick"].replace(summary="each statement, as it was described before")
    for preset in (said, PRESETS["quick"]):
        with open_verdict_run(tmp_path / "run", Judge(LAW, "null", preset)):
            pass
    with (
        pytest.raises(JuratError, match="settings"),
        open_verdict_run(tmp_path / "run", Judge(LAW, "null", STRICT)),
    ):
        pass


@pytest.mark.parametrize("failure", [None, Failure("refused", "No.")])
def test_answers_of_a_third_party_stage_are_read_back_with_their_failure(failure: Failure | None) -> None:
    answer = YesNo(0.5, 0.25, failure, stated=True)
    assert Echo().decode(Echo().encode(answer)) == answer


def test_other_results_of_a_third_party_stage_are_read_back() -> None:
    for found in (0.5, "so", ["a"], {"yes": 1, "no": 2, "why": "so"}):
        assert Echo().decode(Echo().encode(found)) == found


@dataclass(frozen=True)
class Echo(Stage):
    """Answers everything that is open with what it was answered."""

    name: ClassVar[str] = "echo"
    boost: float = 0.9

    def select(self, rule: Any) -> Any:
        return rule.open_statements()

    def run(self, models: Any, requests: Any) -> Any:
        return [dict.fromkeys(request.keys, self.boost) for request in requests]

    def change(self, score: Any, result: Any) -> Any:
        return score if result is None else score.settled(result > 0.5, self.name)


ECHO = PRESETS["quick"].replace(name="echo", stages=(*PRESETS["quick"].stages, Echo()))


def test_third_party_stage_is_recorded_and_redecided() -> None:
    seen = 0
    for seed in range(12):
        verdict = row_to_verdict(json.loads(json.dumps(verdict_to_row(judged(ECHO, seed)))))
        shown = [
            a for r in verdict.rules for c in r.clauses for a in c.alternatives if a.decided_by == "echo"
        ]
        assert all([(each.stage, each.found) for each in a.found] == [("echo", "0.9")] for a in shown)
        assert all(rule.outcome != "undecided" for rule in verdict.rules)
        again = Redecider(plan(LAW, ECHO), plan(LAW, ECHO), ECHO)(verdict)
        assert again is not None and [r.outcome for r in again.rules] == [r.outcome for r in verdict.rules]
        seen += len(shown)
    assert seen > 10


def test_redeciding_asks_what_a_third_party_stage_lacks() -> None:
    stricter = LAW.model_copy(
        update={"rules": tuple(rule.model_copy(update={"break_above": 1.0}) for rule in LAW.rules)}
    )
    given = [Redecider(plan(LAW, ECHO), plan(stricter, ECHO), ECHO)(judged(ECHO, seed)) for seed in range(12)]
    assert None in given, "what was sure before would be asked of the stage now"
    assert not Change(LAW, stricter, ECHO).only_thresholds


def test_third_party_stage_is_left_out_by_name() -> None:
    assert ECHO.without(["echo"]).stages == PRESETS["quick"].stages
    assert ECHO.without(["echo"]).name == "echo-no-echo"
