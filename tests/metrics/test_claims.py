"""Claims as data, judged by hand-made comparisons and by a table of judgements."""

from __future__ import annotations

import math

import numpy as np
import pytest
from pydantic import ValidationError

from jurat.metrics import Claim, Comparison, Interval, Table, compare, judge
from jurat.metrics.claims import p_of_interval

NAN = math.nan


def claim(**more) -> Claim:
    return Claim(id="1", a="ours", others=("base*",), metric="accuracy", **more)


def comparison(b: str = "base", **more) -> Comparison:
    return Comparison("ours", b, "accuracy", {"split": "test"}, **more)


@pytest.mark.parametrize(
    ("more", "found", "state"),
    [
        ({}, {"difference": Interval(0.1, 0.2)}, "shown"),
        ({}, {"difference": Interval(-0.1, 0.2)}, "open"),
        ({}, {"difference": Interval(-0.2, -0.1)}, "against"),
        ({}, {"difference": Interval(-0.2, -0.1), "less": True}, "shown"),
        ({}, {"difference": Interval(NAN, NAN)}, "open"),
        ({"test": "values"}, {"values": (0.8, 0.7)}, "shown"),
        ({"test": "values"}, {"values": (0.8, 0.7), "less": True}, "against"),
        ({"test": "values"}, {"values": (0.8, 0.8)}, "open"),
        ({"test": "values", "ties": "shown"}, {"values": (0.8, 0.8)}, "shown"),
        ({"test": "values"}, {"values": (0.8, None)}, "not testable"),
        ({"test": "ratio", "bound": 0.5}, {"ratio": Interval(0.2, 0.5)}, "shown"),
        ({"test": "ratio", "bound": 0.5}, {"ratio": Interval(0.6, NAN)}, "against"),
        ({"testable": {"recall": 0.25}}, {"other": {"recall": 0.2}}, "not testable"),
        ({"testable": {"recall": 0.25}}, {"other": {}}, "not testable"),
    ],
)
def test_comparison_says_what_its_interval_says(more, found, state):
    ((_, (judged,)),) = judge([claim(**more)], [comparison(**found)])
    assert judged.state == state


def test_only_comparisons_of_the_claim_count():
    others = [comparison("basement"), comparison("other"), comparison(difference=Interval(1, 1))]
    ((_, judged),) = judge([claim(where={"split": ("test", "vault")})], others)
    assert [one.comparison.b for one in judged] == ["basement", "base"]
    assert judge([claim(where={"split": ("vault",)})], others)[0][1] == []


def test_least_other_is_chosen_in_each_cell():
    some = [comparison("base1", values=(0.1, 0.4)), comparison("base2", values=(0.1, 0.3))]
    ((_, judged),) = judge([claim(least=True)], some)
    assert [one.comparison.b for one in judged] == ["base2"]


def test_p_is_corrected_within_a_claim_and_without_what_tests_nothing():
    some = [comparison(f"base{i}", p=p, difference=Interval(0.1, 0.2), other={"recall": recall})
            for i, (p, recall) in enumerate([(0.02, 1), (0.03, 1), (0.001, 0)])]  # fmt: skip
    ((_, judged),) = judge([claim(testable={"recall": 0.5})], some)
    assert [one.adjusted for one in judged[:2]] == [0.04, 0.04] and math.isnan(judged[2].adjusted)
    assert [one.holds_adjusted for one in judged] == [True, True, False]


def test_p_of_an_interval_agrees_with_its_level():
    assert p_of_interval(1.0, Interval(0.0, 2.0)) == pytest.approx(0.05)
    assert p_of_interval(0, Interval(0, 0)) == 1
    for value, interval in ((1.0, Interval(NAN, 2.0)), (NAN, Interval(0, 2)), (0.5, Interval(0.5, 0.5))):
        assert math.isnan(p_of_interval(value, interval))


def test_claim_with_an_unknown_field_is_refused():
    with pytest.raises(ValidationError, match="level"):
        claim(level="item")


def judgements(method: str, right: np.ndarray, split: str) -> list[dict]:
    return [
        {"unit": f"{split}{i}", "clusters": [str(i // 2)], "truth": i % 2, "said": int(i % 2 == ok),
         "score": 0.5, "method": method, "split": split}
        for i, ok in enumerate(right)
    ]  # fmt: skip


def test_table_is_compared_in_each_cell_and_in_any_order_of_rows():
    rng = np.random.default_rng(0)
    rows = [
        row
        for split, share in (("test", 0.5), ("vault", 0.9))
        for method, p in (("ours", 0.9), ("base", share))
        for row in judgements(method, rng.random(200) < p, split)
    ]
    table = Table.of(rows[::-1])
    found = list(compare(table, "ours", ["accuracy", "f1"], within=["split"]))
    ((_, judged),) = judge([claim()], found)
    by_split = {one.comparison.where["split"]: one for one in judged}
    assert (by_split["test"].state, by_split["vault"].state) == ("shown", "open")
    assert by_split["test"].holds_adjusted and not by_split["vault"].holds_adjusted
    ours, theirs = by_split["test"].comparison.values
    assert ours == pytest.approx(np.mean([r["said"] == r["truth"] for r in rows[:200]])) and theirs < ours


def test_claim_stays_open_in_a_cell_without_the_method_that_it_is_about():
    rng = np.random.default_rng(0)
    rows = judgements("ours", rng.random(200) < 0.9, "test")
    for split in ("test", "vault"):
        rows += judgements("base", rng.random(200) < 0.5, split)
    found = list(compare(Table.of(rows), "ours", ["accuracy"], within=["split"]))
    ((_, judged),) = judge([claim()], found)
    assert [(one.comparison.where["split"], one.state) for one in judged] == [
        ("test", "shown"),
        ("vault", "open"),
    ]
    assert judged[1].comparison.values[0] is None and judged[1].comparison.values[1] is not None


def test_rows_of_other_units_are_not_compared():
    rows = judgements("ours", np.ones(4), "a") + judgements("base", np.ones(3), "a")
    with pytest.raises(ValueError, match="did not judge the same units: 1 are in one only"):
        list(compare(Table.of(rows), "ours", ["accuracy"]))
