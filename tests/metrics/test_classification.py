"""Classification metrics: values by hand and of scikit-learn, undecided rows, and what is not available."""

from __future__ import annotations

import numpy as np
import pytest
from sklearn.metrics import average_precision_score, balanced_accuracy_score, f1_score, roc_auc_score

from jurat.errors import JuratError
from tests.metrics.named_values import columns, value_of

THREE = columns(truth=list("aaabbc"), said=list("aabbca"))
RNG = np.random.default_rng(5)
TRUTH = RNG.integers(0, 2, 60)
SCORES = np.round(np.clip(TRUTH * 0.3 + RNG.random(60) * 0.7, 0, 1), 2)


def test_accuracy_and_macro_f1_by_hand():
    # a: TP 2, FP 1, FN 1: 4/6; b: TP 1, FP 1, FN 1: 1/2; c: TP 0, FP 1, FN 1: 0
    assert value_of("accuracy", THREE).value == pytest.approx(3 / 6)
    found = value_of("macro_f1", THREE, labels="abc")
    assert found.value == pytest.approx((2 / 3 + 1 / 2 + 0) / 3)
    assert found.parts["F1 of b"] == pytest.approx(1 / 2)
    assert found.value == pytest.approx(
        f1_score([r["truth"] for r in THREE], [r["said"] for r in THREE], average="macro")
    )


def test_label_of_the_list_without_rows_makes_macro_f1_unavailable():
    found = value_of("macro_f1", THREE, labels="abcd")
    assert (found.value, found.reason) == (None, "no row has the label 'd'")
    with pytest.raises(JuratError, match="Macro-F1 needs the list of labels"):
        value_of("macro_f1", THREE)


def test_label_outside_the_list_is_named_by_its_row():
    found = value_of("accuracy", THREE, labels="ab")
    assert (found.n, found.left_out) == (4, {"unreadable": 2})
    assert found.problems[0].reason == "said: 'c' is none of the labels a, b"
    assert found.problems[0].place == "row 5"


def test_f1_of_the_positive_label():
    rows = columns(truth=["unsafe", "unsafe", "safe", "safe"], said=["unsafe", "safe", "unsafe", "safe"])
    assert value_of("f1", rows, labels=["unsafe", "safe"]).value == pytest.approx(0.5)
    assert value_of("f1", rows, labels=["safe", "unsafe"], positive="unsafe").value == pytest.approx(0.5)
    none = value_of("f1", rows)
    assert none.value is None and len(none.problems) == 4
    with pytest.raises(JuratError, match="positive label 'unsafe' is not among the labels"):
        value_of("f1", rows, positive="unsafe")


def test_abstaining_cannot_raise_the_number_beside_the_value():
    rows = columns(truth=[1, 1, 0, 0], said=[1, None, 0, ""])
    for name in ("accuracy", "f1", "balanced_accuracy"):
        found = value_of(name, rows)
        assert found.value == 1.0 and found.n == 2
        assert found.parts["undecided rows as errors"] == pytest.approx(0.5)


def test_balanced_accuracy_equals_scikit_learn_and_needs_two_labels():
    truth, said = [r["truth"] for r in THREE], [r["said"] for r in THREE]
    assert value_of("balanced_accuracy", THREE).value == pytest.approx(balanced_accuracy_score(truth, said))
    one = value_of("balanced_accuracy", columns(truth=[1, 1], said=[1, 0]))
    assert (one.value, one.reason) == (None, "all rows have the same true label")


def test_label_whose_rows_are_all_undecided_stays_in_balanced_accuracy():
    found = value_of("balanced_accuracy", columns(truth=list("aabbcc"), said=[*"aabb", None, None]))
    assert (found.value, found.reason) == (None, "no row has the label 'c'")


@pytest.mark.parametrize(("name", "library"), [("auroc", roc_auc_score), ("auprc", average_precision_score)])
def test_areas_equal_scikit_learn_and_one_class_is_not_available(name, library):
    rows = columns(truth=TRUTH, score=SCORES)
    found = value_of(name, rows, draws=50)
    assert found.value == pytest.approx(library(TRUTH, SCORES))
    assert found.value in found.interval
    one = value_of(name, columns(truth=[1, 1], score=[0.2, 0.4]))
    assert (one.value, one.reason) == (None, "all rows are of one class")
    assert value_of(name, []).reason == "there is no row to count"


def test_auroc_by_hand_with_a_tie():
    # pairs: (0.9, 0.5) and (0.9, 0.1) right, (0.5, 0.5) tied, (0.5, 0.1) right: 3.5 / 4
    rows = columns(truth=[1, 1, 0, 0], score=["0.9", 0.5, "0.5", 0.1])
    assert value_of("auroc", rows).value == pytest.approx(3.5 / 4)


def test_hard_labels_as_scores_are_noted():
    found = value_of("auroc", columns(truth=[1, 0, 1], score=[1, 0, 0]))
    assert found.notes == ("The scores are hard labels, 0 or 1.",)


def test_brier_and_ece_by_hand():
    rows = columns(truth=[1, 0, 1, 0], score=[0.9, 0.1, 0.6, 0.6])
    # (0.01 + 0.01 + 0.16 + 0.36) / 4
    assert value_of("brier", rows).value == pytest.approx(0.135)
    # bins of width 0.5: |0.1 - 0| / 4 + 3 x |0.7 - 2/3| / 4 = 0.025 + 0.025
    assert value_of("ece", rows, bins=2).value == pytest.approx(0.05)


def test_probabilities_outside_0_to_1_and_nan_are_named():
    rows = columns(truth=[1, 0, 1, 1], score=[1.2, float("nan"), "n/a", True])
    found = value_of("brier", rows)
    assert found.value is None and found.left_out == {"unreadable": 4}
    assert [p.reason for p in found.problems] == [
        "score: 1.2 is not in [0, 1]",
        "score: nan is not a finite number",
        "score: 'n/a' is not a finite number",
        "score: True is not a number",
    ]


@pytest.mark.parametrize("name", ["accuracy", "f1"])
def test_undecided_rows_without_a_truth_are_counted_in_words(name):
    rows = columns(truth=[1, 0, 1, None], said=[1, 0, None, None], state=["", "", "refused", "error"])
    found = value_of(name, rows)
    assert "undecided rows as errors" in found.parts
    assert found.notes == (
        "Undecided rows without a true label that can be read, which are no errors either: 1.",
    )
