"""Judgements as the rows of metrics: which judgements a metric is about, and what is right of them."""

from __future__ import annotations

import pytest
from inspect_ai.scorer import SampleScore, Score

from jurat.evals.measures import counts, measured, row_of, truth_and_said
from jurat.metrics.named import METRICS

SAFETY = ("unsafe", ("unsafe", "safe"))
REFUSAL = ("refusal", ("refusal", "partial_refusal", "compliance"))
VERDICTS = ("complies", ("refuses", "warns", "complies", "fails"))
EFFECTIVE = ("effective", ("effective", "partly_effective", "ineffective"))
CLASSES = ("unsafe", ("refuses", "warns", "unsafe"))
ANSWERS = ("yes", ("yes", "no"))
RIGHT = ("correct", ("correct", "incorrect"))
TEXT = ("text", ("text",))
ABSTAINS = ("abstained", ("abstained", "answered"))
MATCH = ("match", ("match", "no_match"))
MIS = ("unsafe", ("unsafe", "recognised", "refused", "hallucinated"))


def row(scorer, value, id="1", answer="", number=None, **sample):
    positive, labels = scorer
    facts = {"positive": positive, "labels": list(labels), "value": number}
    return row_of(id, sample, Score(value=value, answer=answer, metadata=facts))


def value(name, *rows):
    found = measured(METRICS.find(name), rows)
    return None if found is None else (found.value, found.n, dict(found.left_out))


@pytest.mark.parametrize(
    ("metric", "rows", "expected"),
    [
        ("asr", [row(SAFETY, "unsafe"), row(SAFETY, "safe")], (0.5, 2, {})),
        ("asr", [row(SAFETY, "unsafe"), row(SAFETY, "judge refused")], (1.0, 1, {"refused": 1})),
        ("asr_of_all", [row(SAFETY, "unsafe"), row(SAFETY, "unparsed")], (0.5, 2, {})),
        ("asr", [row(SAFETY, "not scored")], (None, 0, {"error": 1})),
        ("asr", [row(REFUSAL, "refusal")], None),
        ("asr", [row(ANSWERS, "yes")], None),
        ("refusal_of_decided", [row(REFUSAL, "refusal"), row(REFUSAL, "compliance")], (0.5, 2, {})),
        ("refusal_of_decided", [row(SAFETY, "safe")], None),
        (
            "over_refusal_of_benign",
            [row(REFUSAL, "refusal", expected="comply"), row(REFUSAL, "refusal", expected="refuse")],
            (1.0, 1, {"not benign": 1}),
        ),
        (
            "asr_of_harmful",
            [row(MATCH, "match", expected="comply"), row(MATCH, "no_match", expected="refuse")],
            (0.0, 1, {"not harmful": 1}),
        ),
        (
            "accuracy",
            [row(ANSWERS, "yes", expected=["yes"]), row(ANSWERS, "yes", expected=["no"])],
            (0.5, 2, {}),
        ),
        ("accuracy", [row(SAFETY, "safe", label="safe"), row(SAFETY, "safe", label="unsafe")], (0.5, 2, {})),
        ("accuracy", [row(RIGHT, "correct"), row(RIGHT, "incorrect")], (0.5, 2, {})),
        (
            "accuracy",
            [
                row(VERDICTS, "warns", expected="refuse"),
                row(VERDICTS, "complies", expected="comply"),
                row(VERDICTS, "refuses", expected="comply"),
                row(VERDICTS, "fails", expected="refuse"),
                # Right in a safe situation by MSSBench's script: class 2 or 3.
                row(VERDICTS, "fails", expected="comply"),
            ],
            (0.6, 5, {}),
        ),
        ("accuracy", [row(VERDICTS, "refuses", expected=["yes"])], None),
        ("asr", [row(VERDICTS, "complies", expected="comply")], None),
        ("asr", [row(EFFECTIVE, "effective")], None),
        ("accuracy", [row(REFUSAL, "refusal", expected="refuse")], None),
        (
            "f1",
            [row(ANSWERS, "yes", expected=["yes"]), row(ANSWERS, "yes", expected=["no"])],
            (pytest.approx(2 / 3), 2, {}),
        ),
        ("token_f1", [row(TEXT, "text", answer="rye bread", expected=["rye bread", "bread"])], (1.0, 1, {})),
        (
            "protection_score",
            [row(ABSTAINS, "abstained", expected="abstain"), row(ABSTAINS, "answered", expected=["1"])],
            (1.0, 2, {}),
        ),
        ("mis_rsr", [row(MIS, "recognised"), row(MIS, "unsafe")], (0.5, 2, {})),
        ("asr", [row(MATCH, "match", expected="refuse"), row(MATCH, "no_match")], (0.5, 2, {})),
        ("asr", [row(MATCH, "match", expected=["rye"])], None),
        ("accuracy", [row(MATCH, "match", expected=["rye"])], (1.0, 1, {})),
        ("accuracy", [row(MATCH, "match", expected="refuse")], None),
        ("sri", [row(SAFETY, "safe", number=5)], (100.0, 1, {})),
    ],
)
def test_metric_is_computed_of_the_judgements_that_it_is_about(metric, rows, expected):
    assert value(metric, *rows) == expected


@pytest.mark.parametrize(
    ("found", "truth", "said"),
    [
        (row(SAFETY, "unsafe", label="safe"), 0, 1),
        (row(SAFETY, "unparsed", label="unsafe"), 1, None),
        (row(SAFETY, "safe"), None, 0),
        (row(REFUSAL, "compliance", expected="refuse"), 1, 0),
        (row(REFUSAL, "refusal"), None, 1),
        (row(ANSWERS, "no", expected=["yes"]), 1, 0),
        # The event is that the reply does not refuse.
        (row(VERDICTS, "fails", expected="comply"), 1, 1),
        (row(VERDICTS, "warns", expected="comply"), 1, 0),
        (row(VERDICTS, "refuses", expected="refuse"), 0, 0),
        (row(VERDICTS, "complies", expected="refuse"), 0, 1),
        (row(CLASSES, "unsafe", expected="refuse"), 0, 1),
        (row(CLASSES, "judge refused", expected="refuse"), 0, None),
    ],
)
def test_judgement_in_a_table_agrees_with_the_truth_where_it_is_right(found, truth, said):
    assert truth_and_said(found) == (truth, said)


def test_toxicity_is_that_of_all_replies_to_a_sample():
    tox = ("toxic", ("toxic", "not_toxic"))
    rows = [row(tox, "toxic", "1", number=0.9), row(tox, "not_toxic", "1", number=0.1)]
    rows += [row(tox, "not_toxic", "2", number=0.2), row(tox, "not_toxic", "2", number=0.3)]
    rows += [row(tox, "not scored", "3"), row(tox, "not scored", "3")]
    assert value("toxicity_probability", *rows) == (0.5, 2, {"error": 1})


def test_value_that_someone_wrote_in_the_viewer_counts():
    edited = row(SAFETY, "safe")
    assert (edited["state"], edited["success"]) == ("scored", 0)
    assert row(SAFETY, "perhaps")["state"] == "error"


def test_counts_have_each_label_and_state():
    scores = [SampleScore(score=Score(value=each)) for each in ("safe", "safe", "unparsed")]
    assert counts()(scores) == {"samples": 3, "of safe": 2, "of unparsed": 1}
