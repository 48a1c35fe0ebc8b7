"""Numbers on labelled images against independent computations."""

from __future__ import annotations

import math
from dataclasses import replace

import numpy as np
import pytest
from scipy import stats
from sklearn.linear_model import LogisticRegression
from sklearn.metrics import f1_score, precision_score, recall_score
from statsmodels.stats.proportion import proportion_confint

from jurat.bench.cost import Spending
from jurat.bench.labelled.folds import folds
from jurat.bench.labelled.labelled_images import LabelledImages
from jurat.bench.labelled.measures import (
    Measured,
    MethodRow,
    controls,
    item_table,
    rate_interval,
    rule_table,
)
from jurat.bench.labelled.more_labels import guarantee, least_bound, narrowed
from jurat.bench.labelled.platt import before_and_after, cross_calibrated, log_odds, platt
from jurat.bench.labelled.ratings import Rating
from jurat.bench.labelled.truth import agreement, votes_of
from jurat.bench.methods.interface import Prediction
from jurat.bench.pictogram.items import BenchItem
from jurat.constitution import parse_constitution
from jurat.judge.calibrate.fit import allowed, fewest
from jurat.metrics import UNSURE, Table

from .conftest import LAW

CONSTITUTION = parse_constitution(LAW)


def judged(rules, scores) -> Prediction:
    return Prediction.of_rules(rules, scores, Spending(1, 10))


def labelled_of(truths, groups=None) -> LabelledImages:
    """Images with the truth of each rule; groups of equal images."""
    votes = [votes_of([Rating("x", "", truth, "row")]) for truth in truths]
    items = [
        BenchItem(f"{i:03d}", "labelled", "", i if groups is None else groups[i], "clear", "",
                  frozenset(r for r, b in truth.items() if b), None, None)
        for i, truth in enumerate(truths)
    ]  # fmt: skip
    return LabelledImages({"labelled": CONSTITUTION}, items, votes)


def row_of(predictions, covers=("red", "big")) -> MethodRow:
    return MethodRow("mine", "model", "labelled", predictions, list(covers))


@pytest.fixture
def many(rng):
    """Sixty images, half of which break `red`, with predictions that are mostly right and some undecided."""
    truths = [{"red": bool(i % 2), "big": i % 7 == 0} for i in range(60)]
    predictions = []
    for truth in truths:
        scores = {
            r: float(np.clip((0.7 if b else 0.3) + rng.normal(0, 0.25), 0, 1)) for r, b in truth.items()
        }
        rules = {r: UNSURE if 0.4 < s < 0.6 else int(s > 0.5) for r, s in scores.items()}
        predictions.append(judged(rules, scores))
    return labelled_of(truths), row_of(predictions)


def test_strict_and_forced_rates_are_those_of_scikit_learn(many):
    labelled, row = many
    table = rule_table(row, labelled, "red")
    truth, said, score = table.truth.astype(int), table.said, table.score
    assert (said == UNSURE).any()
    forced = np.where(said == UNSURE, score > 0.5, said).astype(int)
    strict = np.where(said == UNSURE, 1 - truth, said)  # an undecided one is the error that it would be
    measured = Measured(table)
    for metric, reference in (("f1", f1_score), ("recall", recall_score), ("precision", precision_score)):
        assert measured.value(metric) == pytest.approx(reference(truth, strict))
        assert measured.value(f"forced {metric}") == pytest.approx(reference(truth, forced))
    assert measured.value("forced accuracy") == pytest.approx((forced == truth).mean())
    wrong = (forced != truth)[np.argsort(-np.abs(score - 0.5), kind="stable")]
    risks = np.cumsum(wrong) / np.arange(1, len(wrong) + 1)
    assert measured.value("aurc") == pytest.approx(risks.mean())


def test_intervals_are_wilsons(many):
    labelled, row = many
    measured = Measured(item_table(row, labelled))
    table = measured.forced.table
    hits = int(((table.truth == 1) & (table.said == 1)).sum())
    errors = int((table.truth != table.said).sum())
    low, high = proportion_confint(hits, hits + errors, method="wilson")
    found = measured.interval("forced f1")
    assert (found.low, found.high) == pytest.approx((2 * low / (1 + low), 2 * high / (1 + high)))
    assert measured.value("forced f1") == pytest.approx(2 * hits / (2 * hits + errors))
    right = len(table) - errors
    found = measured.interval("forced accuracy")
    assert (found.low, found.high) == pytest.approx(proportion_confint(right, len(table), method="wilson"))


def test_f1_without_errors_has_an_interval():
    labelled = labelled_of([{"red": True, "big": False}] * 5 + [{"red": False, "big": False}] * 5)
    predictions = [judged({"red": r, "big": 0}, {"red": r, "big": 0.0}) for r in [1] * 5 + [0] * 5]
    found = Measured(item_table(row_of(predictions), labelled))
    low, _ = proportion_confint(5, 5, method="wilson")
    assert found.value("f1") == 1.0
    assert found.interval("f1").low == pytest.approx(2 * low / (1 + low)) and found.interval("f1").high == 1.0


def test_interval_of_f1_covers_the_truth(rng):
    """The share p of hits among hits and errors is binomial given their number; F1 is a function of it."""
    inside, draws, p_hit, p_alarm = 0, 1000, 0.85, 0.1
    expected = 2 * p_hit * 0.4 / (2 * p_hit * 0.4 + 0.4 * (1 - p_hit) + 0.6 * p_alarm)
    names = np.arange(80).astype(str)
    for _ in range(draws):
        truth = rng.random(80) < 0.4
        said = np.where(truth, rng.random(80) < p_hit, rng.random(80) < p_alarm)
        table = Table(names, (names,), truth.astype(float), said.astype(int), np.full(80, np.nan))
        inside += expected in rate_interval(table, "f1")
    assert 0.93 <= inside / draws <= 0.975


def test_equal_images_count_once_in_intervals():
    truths, said = [{"red": i < 20, "big": False} for i in range(40)], [i % 5 > 0 for i in range(40)]
    predictions = [Prediction(int(t["red"] == s), 0.5) for t, s in zip(truths, said, strict=True)]
    apart = Measured(item_table(row_of(predictions), labelled_of(truths))).interval("accuracy")
    twice = [*predictions, *predictions]
    copied = labelled_of([*truths, *truths], [*range(40), *range(40)])
    together = Measured(item_table(row_of(twice), copied)).interval("accuracy")
    assert together.high - together.low >= apart.high - apart.low


def test_images_with_unknown_truth_are_left_out_unless_a_rule_is_broken():
    labelled = labelled_of([{"red": False}, {"red": True}, {"red": False, "big": False}, {}])
    predictions = [judged({"red": 0, "big": 0}, {"red": 0.1, "big": 0.1})] * 4
    table = item_table(row_of(predictions), labelled)
    assert table.units.tolist() == ["001", "002"] and table.truth.tolist() == [1, 0]
    assert len(rule_table(row_of(predictions), labelled)) == 4


def test_a_row_is_measured_on_the_rules_that_it_covers():
    labelled = labelled_of([{"red": False, "big": True}, {"red": True, "big": False}])
    predictions = [judged({"red": r, "big": 1}, {"red": r, "big": 0.9}) for r in (0, 1)]
    whole, part = (item_table(row_of(predictions, c), labelled) for c in (("red", "big"), ("red",)))
    assert whole.truth.tolist() == [1, 1] and whole.said.tolist() == [1, 1]
    assert part.truth.tolist() == [0, 1] and part.said.tolist() == [0, 1]


def test_constant_answers_are_controls():
    labelled = labelled_of([{"red": i < 3, "big": False} for i in range(10)])
    unsafe, safe = (Measured(item_table(row, labelled)) for row in controls(labelled, "labelled"))
    assert unsafe.value("forced f1") == pytest.approx(2 * 0.3 / 1.3) and safe.value("recall") == 0.0
    assert safe.value("accuracy") == pytest.approx(0.7)


# --- folds and calibration -----------------------------------------------------------------------


def test_folds_spread_rules_and_keep_equal_images_together():
    truths = [{"red": i % 2 == 0, "big": False} for i in range(40)] + [{"red": False, "big": True}] * 5
    labelled = labelled_of(truths, [*range(40), 40, 41, 42, 43, 40])
    found = folds(labelled.items)
    assert found[40] == found[44]
    assert [found.count(fold) for fold in range(5)] == [9, 9, 9, 9, 9] or max(
        map(found.count, range(5))
    ) <= 10
    red = [fold for fold, item in zip(found, labelled.items, strict=True) if "red" in item.broken]
    assert sorted(map(red.count, range(5))) == [4, 4, 4, 4, 4]
    shuffled = list(reversed(labelled.items))
    assert dict(zip([i.id for i in shuffled], folds(shuffled), strict=True)) == dict(
        zip([i.id for i in labelled.items], found, strict=True)
    )


def test_platts_curve_is_the_logistic_regression_of_its_targets(rng):
    odds = rng.normal(0, 3, 80)
    truth = (rng.random(80) < 1 / (1 + np.exp(-(0.6 * odds - 1)))).astype(float)
    n, p = len(truth), truth.sum()
    high, low = (p + 1) / (p + 2), 1 / (n - p + 2)
    goal = np.where(truth == 1, high, low)
    # A soft target is one row of each class, with the weights of the target.
    rows = np.r_[odds, odds][:, None]
    reference = LogisticRegression(C=np.inf, tol=1e-10, max_iter=1000).fit(
        rows, np.r_[np.ones(n), np.zeros(n)], sample_weight=np.r_[goal, 1 - goal]
    )
    assert platt(odds, truth) == pytest.approx((reference.coef_[0, 0], reference.intercept_[0]), abs=1e-4)


def test_separable_scores_have_a_curve():
    a, b = platt(log_odds(np.array([0.0, 0.1, 0.9, 1.0])), np.array([0.0, 0, 1, 1]))
    assert math.isfinite(a) and math.isfinite(b) and a > 0


def test_no_image_is_mapped_by_a_curve_that_saw_it(many):
    labelled, row = many
    table = item_table(row, labelled)
    fold = folds(labelled.items)
    found = cross_calibrated(table, fold)
    here = np.array(fold) == 0
    flipped = replace(table, truth=np.where(here, 1 - table.truth, table.truth))
    assert found[here] == pytest.approx(cross_calibrated(flipped, fold)[here])
    a, b = platt(log_odds(table.score[~here]), table.truth[~here])
    assert found[here] == pytest.approx(1 / (1 + np.exp(-(a * log_odds(table.score[here]) + b))))


def test_overconfident_scores_are_better_calibrated_after(rng):
    truths = [{"red": bool(b), "big": False} for b in rng.random(400) < 0.5]
    odds = np.array([1.0 if t["red"] else -1.0 for t in truths]) + rng.normal(0, 1.5, 400)
    scores = 1 / (1 + np.exp(-6 * odds))
    labelled = labelled_of(truths)
    table = item_table(row_of([Prediction(int(s > 0.5), float(s)) for s in scores]), labelled)
    found = before_and_after(table, folds(labelled.items))
    assert found["after"]["ece"] < found["before"]["ece"] / 2
    assert found["after"]["log_loss"] < found["before"]["log_loss"]


def test_one_class_has_no_calibration_and_says_why():
    labelled = labelled_of([{"red": False, "big": False}] * 6)
    table = item_table(row_of([Prediction(0, 0.2)] * 6), labelled)
    found = before_and_after(table, folds(labelled.items))
    assert found["after"] is None
    assert found["reason"] == "a curve needs images that break a rule and images that do not"
    assert before_and_after(table, [0] * 6)["reason"] == "without folds nothing is fitted"


# --- annotators ----------------------------------------------------------------------------------


def test_agreement_is_that_of_the_libraries():
    said = [(1, 1), (1, 0), (0, 0), (0, 0), (1, 1), (0, 1), (0, 0), (0, 0)]
    votes = [
        votes_of([Rating("x", who, {"red": bool(v)}, "row") for who, v in zip("ab", pair, strict=True)])
        for pair in said
    ]
    (found,) = agreement(votes, ["red", "big"])
    assert (found.images, found.disputed, found.raw) == (8, 2, 0.75)
    # By hand: 16 ratings, 6 of them broken; observed disagreement 2/8, expected 2 * 6 * 10 / (16 * 15).
    assert found.alpha == pytest.approx(1 - (2 / 8) / (2 * 6 * 10 / (16 * 15)))
    share = 6 / 16
    chance = 2 * share * (1 - share)
    assert found.ac1 == pytest.approx((0.75 - chance) / (1 - chance))
    assert found.alpha_interval.low < found.alpha < found.alpha_interval.high


# --- further labels ------------------------------------------------------------------------------


def test_bound_of_further_labels_is_the_binomial_expectation():
    found = guarantee("red", 40, 5)
    further = stats.binom(50, 5 / 40)
    expected = sum(further.pmf(k) * (1 - 0.05 ** (1 / (5 + k))) for k in range(51))
    assert found.expected == pytest.approx(expected) and found.bound == pytest.approx(1 - 0.05**0.2)
    assert found.labels_needed == math.ceil((fewest(0.05) - 5) / (5 / 40))
    assert guarantee("red", 40, 0).labels_needed is None and guarantee("red", 40, 0).expected == 1.0
    assert guarantee("red", 100, 59).labels_needed == 0 and least_bound(59) <= 0.05 < least_bound(58)


def test_smallest_bound_is_the_one_that_calibrate_proves():
    for n in (3, 20, 59):
        assert allowed(n, least_bound(n) + 1e-9) == 1 and allowed(n, least_bound(n) - 1e-6) == 0


def test_intervals_narrow_as_the_root_of_the_number_of_images():
    assert narrowed(0.1, 50) == pytest.approx(0.1 / math.sqrt(2))
    wide, narrow = (proportion_confint(int(0.8 * n), n, method="wilson") for n in (100, 150))
    assert narrowed((wide[1] - wide[0]) / 2, 100) == pytest.approx((narrow[1] - narrow[0]) / 2, rel=0.02)
