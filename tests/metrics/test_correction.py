"""Corrections of a rate: formulas against independent code or worked by hand, refusals, invariances."""

from __future__ import annotations

import math

import numpy as np
import pytest

from jurat.metrics import UNSURE, clustered_rate, correct, correct_by_known
from jurat.metrics.correction import headline_of

NAN = math.nan


def judged(n: int = 1000, labels: int = 200, rate: float = 0.3, se: float = 0.9, sp: float = 0.8):
    """What a judge said of n items, labels of some of them, and the truth of all."""
    rng = np.random.default_rng(0)
    truth = (rng.random(n) < rate).astype(float)
    said = np.where(rng.random(n) < np.where(truth == 1, se, sp), truth, 1 - truth).astype(int)
    return said, np.where(rng.permutation(n) < labels, truth, NAN), truth


def test_prediction_powered_value_is_the_published_formula():
    said, labels, _ = judged()
    known = ~np.isnan(labels)
    y, f, rest = labels[known], said[known].astype(float), said[~known]
    # PPI++ (arXiv 2311.01453), section 6 and ppi-python's mean: the variance over labelled and unlabelled.
    power = np.cov(y, f)[0, 1] / ((1 + len(y) / len(rest)) * said.var())
    found = correct(said, labels, sampling="random").estimates["ppi"]
    assert found.value == pytest.approx(y.mean() + power * (rest.mean() - f.mean()))
    smaller = correct(said, labels, sampling="random").estimates["labels"].interval
    assert found.interval.high - found.interval.low < smaller.high - smaller.low


def test_rogan_gladen_value_and_lang_reiczigel_interval():
    """Labels of few of very many items: the interval is the one of the paper, computed from its equations
    (which the R package asht has in `prevSeSp`) with n = 100,000, m1 = 50, m0 = 150."""
    n, m1, m0, right, kept, positives = 100_000, 50, 150, 45, 120, 30_000
    said = np.r_[np.ones(right), np.zeros(m1 - right), np.zeros(kept), np.ones(m0 - kept), np.zeros(n - 200)]
    said[200 : 200 + positives - right - (m0 - kept)] = 1
    labels = np.r_[np.ones(m1), np.zeros(m0), np.full(n - 200, NAN)]
    found = correct(said.astype(int), labels, sampling="chosen")
    assert found.headline == "rogan-gladen" and found.best is not None
    q, se, sp, z = positives / n, right / m1, kept / m0, 1.959964
    assert found.best.value == pytest.approx((q + sp - 1) / (se + sp - 1))
    n_, m1_, m0_ = n + z * z, m1 + 2, m0 + 2
    q_, se_, sp_ = (n * q + z * z / 2) / n_, (m1 * se + 1) / m1_, (m0 * sp + 1) / m0_
    p_ = (q_ + sp_ - 1) / (se_ + sp_ - 1)
    shift = 2 * z * z * (p_ * se_ * (1 - se_) / m1_ - (1 - p_) * sp_ * (1 - sp_) / m0_)
    variance = q_ * (1 - q_) / n_ + p_**2 * se_ * (1 - se_) / m1_ + (1 - p_) ** 2 * sp_ * (1 - sp_) / m0_
    half = z * math.sqrt(variance) / (se_ + sp_ - 1)
    assert found.best.interval.low == pytest.approx(max(p_ + shift - half, 0), abs=3e-4)
    assert found.best.interval.high == pytest.approx(p_ + shift + half, abs=3e-4)
    assert found.sensitivity[0] == 0.9 and found.specificity[0] == 0.8


def test_judge_no_better_than_chance_is_refused():
    said, labels, _ = judged(se=0.4, sp=0.4)
    found = correct(said, labels, sampling="chosen")
    assert found.headline == "none" and found.best is None
    assert "no better than chance" in found.why and math.isnan(found.estimates["rogan-gladen"].value)
    assert correct(said, labels, sampling="random").headline == "ppi"


def test_perfect_judge_still_has_an_interval_with_width():
    said, labels, truth = judged(se=1, sp=1)
    for name, found in correct(said, labels, sampling="random").estimates.items():
        assert found.interval.high - found.interval.low > 0.03, name
        assert truth.mean() in found.interval


@pytest.mark.parametrize(
    ("sampling", "labels", "strata", "headline"),
    [
        ("random", {0: (10, 20)}, False, "ppi"),
        ("random", {0: (0, 30)}, False, "ppi"),
        ("random", {0: (10, 19)}, False, "labels"),
        ("random", {0: (0, 0)}, False, "none"),
        ("random within strata", {"a": (1, 9), "b": (5, 5)}, True, "stratified"),
        ("random within strata", {"a": (1, 8), "b": (50, 50)}, True, "none"),
        ("random within strata", {0: (50, 50)}, False, "none"),
        ("chosen", {0: (20, 20)}, False, "rogan-gladen"),
        ("chosen", {"a": (20, 20), "b": (20, 25)}, True, "stratified rogan-gladen"),
        ("chosen", {"a": (20, 20), "b": (2, 25)}, True, "rogan-gladen"),
        ("chosen", {0: (19, 500)}, False, "none"),
    ],
)
def test_headline_depends_on_sampling_and_number_of_labels_only(sampling, labels, strata, headline):
    assert headline_of(sampling, labels, strata)[0] == headline


def test_estimates_say_whether_the_labels_were_sampled_as_they_need():
    said, labels, _ = judged()
    strata = (np.arange(1000) % 3).tolist()
    for sampling, valid in (
        ("random", {"labels", "ppi", "rogan-gladen", "stratified", "stratified rogan-gladen"}),
        ("random within strata", {"stratified", "stratified rogan-gladen"}),
        ("chosen", {"rogan-gladen", "stratified rogan-gladen"}),
    ):
        found = correct(said, labels, sampling=sampling, strata=strata).estimates
        assert {name for name, each in found.items() if each.valid} == valid


def test_stratified_estimate_weighs_strata_by_their_items():
    said = np.zeros(1000, int)
    strata = np.repeat(["rare", "common"], [100, 900])
    labels = np.full(1000, NAN)
    labels[:50], labels[100:150] = 1, 0
    found = correct(said, labels, sampling="random within strata", strata=strata.tolist())
    assert found.headline == "stratified" and found.best is not None
    assert found.best.value == pytest.approx(0.1)
    assert found.estimates["labels"].value == 0.5


def test_undecided_answers_are_counted_and_corrected():
    said, labels, truth = judged(n=4000, labels=800, se=1, sp=1)
    hidden = (truth == 1) & (np.arange(4000) % 2 == 0)
    said = np.where(hidden, UNSURE, said)
    found = correct(said, labels, sampling="random")
    assert found.undecided == hidden.sum() and found.raw == pytest.approx((said == 1).sum() / (~hidden).sum())
    assert truth.mean() in found.estimates["ppi"].interval and truth.mean() not in found.raw_interval


def test_order_of_items_does_not_matter():
    said, labels, _ = judged()
    strata, clusters = np.arange(1000) % 3, np.arange(1000) // 4
    order = np.random.default_rng(1).permutation(1000)
    one = correct(said, labels, sampling="random", strata=strata.tolist(), clusters=clusters.tolist())
    other = correct(
        said[order], labels[order], sampling="random", strata=strata[order].tolist(),
        clusters=clusters[order].tolist(),
    )  # fmt: skip
    for name, found in one.estimates.items():
        assert other.estimates[name].value == pytest.approx(found.value)
        assert other.estimates[name].interval.low == pytest.approx(found.interval.low)


def test_clusters_widen_every_interval():
    rng = np.random.default_rng(1)
    scenes = np.repeat(rng.random(50) < 0.4, 20)
    truth = scenes.astype(float)
    said = np.where(rng.random(1000) < 0.9, truth, 1 - truth).astype(int)
    clusters = np.repeat(np.arange(50), 20)
    labels = np.where(clusters < 15, truth, NAN)
    flat = correct(said, labels, sampling="random")
    nested = correct(said, labels, sampling="random", clusters=clusters.tolist())
    for name in ("labels", "ppi", "rogan-gladen"):
        wide, narrow = nested.estimates[name].interval, flat.estimates[name].interval
        assert wide.high - wide.low > 1.5 * (narrow.high - narrow.low), name
    assert nested.raw_interval.low < flat.raw_interval.low
    one = correct(said, np.where(clusters < 1, truth, NAN), sampling="random", clusters=clusters.tolist())
    assert (one.estimates["ppi"].interval.low, one.estimates["ppi"].interval.high) == (0, 1)


def test_more_labels_halve_the_interval():
    said, labels, truth = judged(n=20_000, labels=200, se=0.8, sp=0.8)
    found = correct(said, labels, sampling="random")
    assert found.best is not None and found.more_labels is not None and 400 < found.more_labels < 900
    more = np.where(np.random.default_rng(1).permutation(20_000) < 200 + found.more_labels, truth, NAN)
    again = correct(said, more, sampling="random")
    assert again.best is not None
    before, after = (each.interval.high - each.interval.low for each in (found.best, again.best))
    assert after / before == pytest.approx(0.5, abs=0.06)


def test_few_items_cannot_be_corrected_to_half_the_width():
    said, labels, _ = judged(n=300, labels=200)
    assert correct(said, labels, sampling="random").more_labels is None


def test_all_items_labelled_gives_the_labels_rate():
    said, labels, truth = judged(n=300, labels=300)
    assert correct(said, labels, sampling="random").estimates["ppi"].value == pytest.approx(truth.mean())


@pytest.mark.parametrize(
    ("said", "labels", "sampling", "message"),
    [
        ([], [], "random", "at least one"),
        ([1, 0], [1], "random", "must name the same items"),
        ([1, 0], [1, 0.5], "random", "labels 0, 1 or nan"),
        ([1, 2], [1, 0], "random", "said must be 0, 1 or undecided"),
        ([1, 0], [1, 0], "first 100", "sampling must be one of random"),
    ],
)
def test_wrong_arguments_are_refused(said, labels, sampling, message):
    with pytest.raises(ValueError, match=message):
        correct(np.array(said, int), np.array(labels, float), sampling=sampling)


def test_without_labels_only_the_raw_rate_is_there():
    found = correct(np.array([1, 0, 0, UNSURE]), np.full(4, NAN), sampling="random")
    assert found.headline == "none" and found.raw == pytest.approx(1 / 3) and found.undecided == 1
    assert all(math.isnan(each.value) and each.problem for each in found.estimates.values())


# --- other samples of known truth ------------------------------------------------------------------


def bits(ones: int, zeros: int) -> np.ndarray:
    return np.r_[np.ones(ones), np.zeros(zeros)]


def test_known_samples_give_lang_and_reiczigels_interval():
    """Of separate samples; `prevSeSp(AP=0.3, nP=200, Se=0.9, nSe=50, Sp=0.8, nSp=150)` of the R package
    asht has these equations."""
    n, m1, m0, q, se, sp, z = 200, 50, 150, 0.3, 0.9, 0.8, 1.959964
    found = correct_by_known(bits(60, 140), bits(45, 5), bits(30, 120))
    assert found.value == pytest.approx((q + sp - 1) / (se + sp - 1))
    n_, m1_, m0_ = n + z * z, m1 + 2, m0 + 2
    q_, se_, sp_ = (n * q + z * z / 2) / n_, (m1 * se + 1) / m1_, (m0 * sp + 1) / m0_
    p_ = (q_ + sp_ - 1) / (se_ + sp_ - 1)
    shift = 2 * z * z * (p_ * se_ * (1 - se_) / m1_ - (1 - p_) * sp_ * (1 - sp_) / m0_)
    variance = q_ * (1 - q_) / n_ + p_**2 * se_ * (1 - se_) / m1_ + (1 - p_) ** 2 * sp_ * (1 - sp_) / m0_
    half = z * variance**0.5 / (se_ + sp_ - 1)
    assert (found.interval.low, found.interval.high) == pytest.approx((p_ + shift - half, p_ + shift + half))


def test_a_judge_without_mistakes_leaves_the_rate_and_the_doubt_of_few_known_items():
    many = correct_by_known(bits(30, 70), bits(5000, 0), bits(0, 5000))
    few = correct_by_known(bits(30, 70), bits(20, 0), bits(0, 20))
    assert many.value == few.value == pytest.approx(0.3)
    assert few.interval.low < many.interval.low < 0.3 < many.interval.high < few.interval.high
    assert many.interval.high - many.interval.low == pytest.approx(
        2 * 1.96 * (0.3 * 0.7 / 100) ** 0.5, rel=0.05
    )


def test_clusters_widen_the_interval_and_one_says_nothing():
    said = np.repeat([1, 1, 0, 0, 0], 20)
    alone = correct_by_known(said, bits(90, 10), bits(10, 90))
    alike = correct_by_known(said, bits(90, 10), bits(10, 90), clusters=np.repeat(range(5), 20).tolist())
    assert alike.value == alone.value
    assert alike.interval.low < alone.interval.low and alone.interval.high < alike.interval.high
    one = correct_by_known(said, bits(90, 10), bits(10, 90), clusters=["a"] * 100).interval
    assert (one.low, one.high) == (0, 1)
    sure = correct_by_known(said, bits(10**6, 0), bits(0, 10**6), clusters=np.repeat(range(5), 20).tolist())
    rate = clustered_rate(said.astype(float), np.repeat(range(5), 20).tolist())
    assert sure.interval.low < 0.4 - 0.8 * (0.4 - rate.low) and sure.interval.high > rate.high - 0.1


def test_clustered_intervals_by_known_samples_hold_the_rate():
    rng, held = np.random.default_rng(2), 0
    for _ in range(500):
        rates = rng.beta(0.8 * 3, 0.2 * 3, 16)  # an intra-cluster correlation of 1/4
        truth = rng.random((16, 9)) < rates[:, None]
        said = np.where(truth, rng.random((16, 9)) < 0.96, rng.random((16, 9)) > 0.97).ravel()
        event, others = rng.random(200) < 0.96, rng.random(200) > 0.97
        found = correct_by_known(said, event, others, clusters=np.repeat(range(16), 9).tolist())
        held += 0.8 in found.interval
    assert 0.93 <= held / 500 <= 0.99, held / 500


def test_a_judge_no_better_than_chance_corrects_nothing():
    found = correct_by_known(bits(30, 70), bits(5, 15), bits(10, 10))
    assert math.isnan(found.value) and "no better than chance" in found.problem
    assert "no label of the event" in correct_by_known(bits(1, 1), bits(0, 0), bits(0, 3)).problem
    for wrong in ([UNSURE, 1], []):
        with pytest.raises(ValueError, match="0 or 1"):
            correct_by_known(wrong, bits(3, 0), bits(0, 3))


@pytest.mark.parametrize(("rate", "se", "sp"), [(0.1, 0.95, 0.98), (0.5, 0.8, 0.9), (0.9, 0.99, 0.9)])
def test_intervals_by_known_samples_hold_the_rate(rate: float, se: float, sp: float):
    rng, held = np.random.default_rng(1), 0
    for _ in range(600):
        truth = rng.random(150) < rate
        said = np.where(truth, rng.random(150) < se, rng.random(150) > sp)
        event, others = rng.random(100) < se, rng.random(100) > sp
        held += rate in correct_by_known(said, event, others).interval
    assert 0.93 <= held / 600 <= 0.99, held / 600
