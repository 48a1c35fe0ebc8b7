"""Verdicts of every preset are unchanged, and rules do not affect each other."""

from __future__ import annotations

import hashlib
import json
import random
from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import pyarrow
import pytest

from jurat.constitution import Constitution, Rule
from jurat.content import Failure, FailureKind
from jurat.judge import PRESETS, Judge, Preset, arrow_schema, prompts, row_to_verdict, verdict_to_row
from jurat.judge.decision import LogOdds
from jurat.judge.stages import Crop, Points, Quick, Reason, Regions, Relevance, Views
from jurat.models import Answer, Inquiry, YesNo
from jurat.models.null import NullSettings
from jurat.runs.parquet import batch_of, rows_of

from ..models import tiny
from .drawn import Thinking, Wavering, judged
from .scripted import Alike, Finder, box

TODAY = {
    "jurat": "cffb6196df648f50",
    "quick": "3902edc0fb74d6c3",
    "clue": "3a96767d3eb48c22",
    "clue-quick": "377d5a6195cd1f77",
    "direct": "4e17c1f1dce4328e",
}
"""Preset -> digest of its verdicts on 24 images, from the first version of the record."""
ADDED: dict[str, object] = {
    "stated": False,
    "unscanned": None,
    "dollars": None,
    "about": "image",
    "agreeing": 1,
    "needed": 1,
    "parts": [],
    "presence": [],
    "found": [],
}
"""Fields that were added since, and what they are where nothing of it is used."""
TOLD = (
    "id", "uri", "kind", "sha256", "width", "height", "frames", "frame", "outcome", "broken",
    "reason", "rules", "model", "constitution", "thresholds", "preset", "prompts", "dtype", "error", "cost",
    "relevant_above", "detector", "matcher", "calibration", "note",
)  # fmt: skip
"""Fields of a verdict that a digest is of."""


def digest(preset: str) -> str:
    before = PRESETS[preset].replace(presence=False)
    rows = [essence(verdict_to_row(judged(before, seed))) for seed in range(24)]
    return hashlib.sha256(json.dumps(rows, sort_keys=True).encode()).hexdigest()[:16]


def essence(row: dict[str, Any]) -> Any:
    """Without what differs between two runs, and without fields that were added since. `prompts` covered
    closed questions only, and not the wording of reasoning."""
    return _old({name: row[name] for name in TOLD} | {"prompts": prompts.digest()})


def _old(value: Any) -> Any:
    if isinstance(value, dict):
        return {k: _old(v) for k, v in value.items() if not (k in ADDED and v == ADDED[k])}
    return [_old(each) for each in value] if isinstance(value, list) else value


@pytest.mark.parametrize("preset", PRESETS)
def test_verdicts_of_every_preset_are_unchanged(preset: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Reasoning is asked in the wording of then, since the null model's replies depend on it."""
    monkeypatch.setitem(prompts.REASONING, "full", prompts.REASONING["short"])
    assert digest(preset) == TODAY[preset]


# --- rules apart ---------------------------------------------------------------------------------

STATEMENTS = (
    "A dog is visible.", "A cat is visible.", "A dog or a cat is visible.", "No dog is visible.",
    "A dog is left of a cat.", "A dog is right of a cat.", "A cat is left of a dog.", "A dog touches a cat.",
    "There are at least two dogs.", "There are exactly two dogs.", "There is exactly one dog.", "It rains.",
)  # fmt: skip
FULL = Preset(
    "full",
    "all stages",
    (Relevance(), Quick(), Crop(0.01), Views(0.05), Regions(drop=0.3), Reason(), Points()),
    LogOdds(debias=0.25, keep_below=0.35, break_above=0.65),
)  # fmt: skip


def drawn_rule(rng: random.Random, id: str) -> Rule:
    texts = rng.sample(STATEMENTS, rng.randint(1, 4))
    clauses: list[Any] = []
    for text in texts:
        negated = "not" if rng.random() < 0.2 else "statement"
        objects = rng.choice([[], ["dog"], ["cat"], ["dog", "cat"]])
        clauses.append({negated: text, "objects": objects})
    if len(clauses) > 2 and rng.random() < 0.5:
        first, second = texts[0], texts[1]
        clauses[:2] = [{"any of": [first, {"not": second}], "objects": ["cat"]}]
    severity = rng.choice([None, "low", "medium", "high", "critical"])
    unless = rng.sample([text for text in STATEMENTS if text not in texts], rng.choice([0, 0, 1, 2]))
    rule: Any = {
        "id": id,
        "rule": f"No {id} dog.",
        "clauses": clauses,
        "unless": unless,
        "severity": severity,
    }
    return Rule.model_validate(rule)


def test_each_rule_is_judged_alone() -> None:
    """Whatever else the constitution says, a rule's finding is the same."""
    rng = random.Random("")
    outcomes: set[str] = set()
    for seed in range(12):
        rules = tuple(drawn_rule(rng, f"r{n}") for n in range(rng.randint(2, 5)))
        together = judged(FULL, seed, Constitution(name="all", rules=rules), Wavering)
        for rule, found in zip(rules, together.rules, strict=True):
            (alone,) = judged(FULL, seed, Constitution(name="one", rules=(rule,)), Wavering).rules
            assert alone == found
            outcomes.add(found.outcome)
    assert len(outcomes) == 3, "the draw reaches every outcome"


@pytest.mark.parametrize("kind", ["refused", "filtered", "unparsed", "out_of_domain", "error"])
def test_failed_statement_leaves_its_rule_undecided(kind: FailureKind) -> None:
    """Whatever is asked, a statement that failed on the image leaves its one-clause rule undecided."""

    class Failing(Thinking):
        def ask(self, inquiries: Sequence[Inquiry]) -> list[Answer]:
            return [
                replace(
                    answer,
                    answers=tuple(
                        YesNo(0, 0, Failure(kind, "No.")) if "touches" in question else one
                        for question, one in zip(inquiry.questions, answer.answers, strict=True)
                    ),
                )
                for inquiry, answer in zip(inquiries, super().ask(inquiries), strict=True)
            ]

    rule = Rule.model_validate(
        {"id": "r", "rule": "R.", "clauses": [{"statement": "A dog touches a cat.", "objects": ["dog"]}]}
    )
    for seed in range(6):
        judge = Judge(
            Constitution(name="law", rules=(rule,)),
            Failing(NullSettings(seed=seed)),
            FULL,
            detector=Finder({"dog": [box("dog", 14)]}),
            matcher=Alike(lambda text: 1.0),
        )
        verdict = judge(tiny.picture(seed))
        assert (verdict.outcome, verdict.reason) == ("unsure", kind)


def test_records_round_trip_and_are_explained() -> None:
    rng = random.Random(1)
    for seed in range(6):
        law = Constitution(name="all", rules=tuple(drawn_rule(rng, f"r{n}") for n in range(3)))
        verdict = judged(FULL, seed, law)
        row = json.loads(json.dumps(verdict_to_row(verdict), allow_nan=False))
        assert verdict_to_row(row_to_verdict(row)) == row
        table = pyarrow.Table.from_batches([batch_of([row], arrow_schema())])
        (again,) = rows_of(table)
        assert verdict_to_row(row_to_verdict(again)) == row
        assert verdict.explain().count(". ") == 1
