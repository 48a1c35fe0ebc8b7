"""A verdict decided again from its record equals one of judging anew, or there is none."""

from __future__ import annotations

import math
import random
from collections.abc import Iterator, Sequence
from dataclasses import replace

import pytest

from jurat.constitution import Constitution, Rule
from jurat.content import Failure
from jurat.errors import JuratError
from jurat.judge import PRESETS, Judge, row_to_verdict, verdict_to_row
from jurat.judge.decision import LogOdds, sigmoid
from jurat.judge.plan import plan
from jurat.judge.presets import Preset
from jurat.judge.replay.redecide import Redecider
from jurat.judge.stages import Crop, Quick, Views
from jurat.judge.verdict import Verdict
from jurat.models import Answer, Inquiry, YesNo

from ..drawn import LAW, Thinking, Wavering, judged
from ..scripted import CROP, PAINTED, WHOLE, Finder, Scripted, box, white

SEEDS = range(30)


class Murmuring(Thinking):
    """It hardly answers some questions, and others on some pictures only."""

    def ask(self, inquiries: Sequence[Inquiry]) -> list[Answer]:
        return [
            replace(answer, answers=tuple(map(self._quieter, answer.answers, inquiry.questions)))
            for inquiry, answer in zip(inquiries, super().ask(inquiries), strict=True)
        ]

    def _quieter(self, said: YesNo, question: str) -> YesNo:
        loud = len(question) % 3 or said.yes > 0.4
        return said if loud else YesNo(said.yes / 9, said.no / 9)


class Stating(Thinking):
    """As a server without logprobs: it says Yes or No in text."""

    def ask(self, inquiries: Sequence[Inquiry]) -> list[Answer]:
        return [
            replace(answer, answers=tuple(map(self._stated, answer.answers)), basis="stated")
            for answer in super().ask(inquiries)
        ]

    @staticmethod
    def _stated(said: YesNo) -> YesNo:
        return YesNo(1.0, 0.0, stated=True) if said.yes > said.no else YesNo(0.0, 1.0, stated=True)


def redecided(verdict: Verdict, new: Constitution, preset: Preset, old: Constitution = LAW) -> Verdict | None:
    kept = row_to_verdict(verdict_to_row(verdict))  # what is left of it on disk
    return Redecider(plan(old, preset), plan(new, preset), preset)(kept)


def outcomes(verdict: Verdict) -> object:
    rules = [(r.id, r.outcome, r.reason, r.decided_by, [c.outcome for c in r.clauses]) for r in verdict.rules]
    return verdict.outcome, verdict.broken, verdict.reason, rules


def scores(verdict: Verdict) -> Iterator[float | None]:
    for rule in verdict.rules:
        yield rule.score
        for clause in rule.clauses:
            yield clause.score
            yield from (alternative.score_over_views for alternative in clause.alternatives)


def same(one: Verdict, other: Verdict) -> bool:
    close = all(
        a == b or (a is not None and b is not None and abs(a - b) < 1e-5)
        for a, b in zip(scores(one), scores(other), strict=True)
    )
    return outcomes(one) == outcomes(other) and close


def with_thresholds(rng: random.Random) -> Constitution:
    rules: list[Rule] = []
    for rule in LAW.rules:
        low, high = sorted(rng.choice((0.05, 0.3, 0.5, 0.7, 0.95)) for _ in range(2))
        rules.append(rule.model_copy(update={"keep_below": low, "break_above": high}))
    return LAW.model_copy(update={"rules": tuple(rules)})


def edited(rng: random.Random) -> Constitution:
    """Rules gone, renamed, with clauses and exceptions gone, swapped about between rules, or turned round."""
    clauses = [clause for rule in LAW.rules for clause in rule.clauses]
    rules: list[Rule] = []
    for rule in with_thresholds(rng).rules:
        if rng.random() < 0.2:
            continue
        update: dict[str, object] = {"id": f"{rule.id}-2"} if rng.random() < 0.3 else {}
        if rule.clauses and rng.random() < 0.6:
            update["clauses"] = tuple(rng.sample(clauses, rng.choice((1, 2))))
        if rng.random() < 0.4:
            update["unless"] = () if rule.unless else tuple(rng.sample(clauses, 1))
        rules.append(rule.model_copy(update=update))
    return LAW.model_copy(update={"rules": tuple(rules) or LAW.rules})


@pytest.mark.parametrize("preset", PRESETS)
@pytest.mark.parametrize("model", [Thinking, Wavering, Stating])
def test_redeciding_under_the_same_constitution_changes_nothing(preset: str, model: type[Thinking]) -> None:
    for seed in SEEDS:
        verdict = judged(preset, seed, model=model)
        again = redecided(verdict, LAW, PRESETS[preset])
        assert again is not None
        assert same(again, verdict)


@pytest.mark.parametrize("preset", ["jurat", "quick", "clue-quick", "direct"])
@pytest.mark.parametrize("model", [Thinking, Murmuring, Stating])
def test_changed_thresholds_equal_judging_again(preset: str, model: type[Thinking]) -> None:
    for seed in SEEDS:
        new = with_thresholds(random.Random(seed))
        again = redecided(judged(preset, seed, model=model), new, PRESETS[preset])
        assert again is not None
        assert same(again, judged(preset, seed, new, model))


def test_redeciding_back_and_forth_keeps_the_boxes() -> None:
    verdict, preset = judged("jurat", 1), PRESETS["jurat"]
    pointed = [rule for rule in verdict.rules if rule.outcome == "broken"]
    assert any(each.regions for rule in pointed for clause in rule.clauses for each in clause.alternatives)
    lenient = tuple(rule.model_copy(update={"break_above": 1.0, "keep_below": 1.0}) for rule in LAW.rules)
    other = redecided(verdict, LAW.model_copy(update={"rules": lenient}), preset)
    assert other is not None and other.outcome == "safe"
    back = redecided(other, LAW, preset)
    assert back is not None and same(back, verdict)
    boxes = [
        [each.regions for rule in one.rules for clause in rule.clauses for each in clause.alternatives]
        for one in (row_to_verdict(verdict_to_row(verdict)), back)
    ]
    assert boxes[0] == boxes[1]


@pytest.mark.parametrize("preset", PRESETS)
@pytest.mark.parametrize("model", [Thinking, Wavering, Murmuring, Stating])
def test_redeciding_equals_judging_again_or_gives_none(preset: str, model: type[Thinking]) -> None:
    told = 0
    for seed in SEEDS:
        new = edited(random.Random(seed))
        again = redecided(judged(preset, seed, model=model), new, PRESETS[preset])
        told += again is not None
        assert again is None or same(again, judged(preset, seed, new, model)), seed
    assert told > 0


@pytest.mark.parametrize("change", ["a new statement", "frames"])
def test_redeciding_gives_none_when_evidence_is_missing(change: str) -> None:
    verdict, new, preset = judged("jurat", 1), LAW, PRESETS["jurat"]
    if change == "a new statement":
        new = Constitution(
            name="law",
            rules=(Rule(id="bird", rule="No bird.", clauses=("A bird is visible.",)),),  # pyright: ignore[reportArgumentType]
        )
    else:
        verdict = verdict.model_copy(update={"frames": 3, "kind": "animation"})
    assert redecided(verdict, new, preset) is None


def test_views_of_a_cropped_statement_are_recorded_for_rules_without_a_crop() -> None:
    preset = Preset("both", "", (Quick(), Crop(0.01), Views(0.05)), LogOdds())
    old, new = (
        Constitution.model_validate(
            {
                "name": "law",
                "rules": [{"id": "r", "rule": "No.", "clauses": [{"statement": "A.", **objects}]}],
            }
        )
        for objects in ({"objects": ["thing"]}, {})
    )
    model = Scripted({("A.", WHOLE): 0.5, ("A.", CROP): 0.5, ("A.", PAINTED): 0.99})
    finder = Finder({"thing": [box("thing", 5)]})
    cropped, whole = (Judge(law, model, preset, detector=finder)(white()) for law in (old, new))
    (shown,) = cropped.rules[0].clauses[0].alternatives
    assert (cropped.outcome, shown.score_on_crop, whole.outcome) == ("unsure", 0.5, "unsafe")
    assert shown.score_over_views == pytest.approx(sigmoid(4 / 5 * math.log(99)))
    again = redecided(cropped, new, preset, old)
    assert again is not None and same(again, whole)


def test_failure_on_the_image_keeps_its_reason_beside_a_rule_with_a_crop() -> None:
    preset = Preset("both", "", (Quick(), Crop(0.01)), LogOdds())
    clauses = ({"statement": "A.", "objects": ["thing"]}, "A.")
    law = Constitution.model_validate(
        {
            "name": "law",
            "rules": [{"id": f"r{n}", "rule": "No.", "clauses": [clauses[n]]} for n in (1, 0)],
        }
    )
    refused = YesNo(0.0, 0.0, Failure("refused", "No."))
    model = Scripted({("A.", WHOLE): refused, ("A.", CROP): 0.9})
    verdict = Judge(law, model, preset, detector=Finder({"thing": [box("thing", 5)]}))(white())
    assert [rule.reason for rule in verdict.rules] == ["refused", None]
    again = redecided(verdict, law, preset, law)
    assert again is not None and same(again, verdict)


def test_record_made_with_a_removed_part_is_refused() -> None:
    verdict = judged("jurat", 1).model_copy(update={"preset": "jurat+coherent"})
    with pytest.raises(JuratError, match="This record was made with `coherent`, which jurat no longer has"):
        redecided(verdict, LAW, PRESETS["jurat"])


@pytest.mark.parametrize("update", [{"outcome": "error", "rules": ()}, {"basis": "known_match"}])
def test_errors_and_known_content_are_not_redecided(update: dict[str, object]) -> None:
    verdict = judged("jurat", 1).model_copy(update=update)
    new = with_thresholds(random.Random(0))
    assert redecided(verdict, new, PRESETS["jurat"]) == row_to_verdict(verdict_to_row(verdict))
