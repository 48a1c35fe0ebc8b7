"""Rates of attacks, refusals and defenses: the denominators by hand, what is undecided, intervals."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st
from statsmodels.stats.proportion import proportion_confint

from jurat.errors import JuratError
from tests.metrics.named_values import columns, value_of

ATTACKS = columns(
    success=[1, 0, "yes", "no", None, 1, "", 0, 1],
    state=["scored", None, "", "scored", "refused", "unparsed", "error", "scored", "scored"],
)
"""Decided: 1 0 1 0 0 1, three undecided."""


def test_asr_leaves_undecided_rows_out_and_counts_them():
    found = value_of("asr", ATTACKS)
    assert found.value == pytest.approx(3 / 6)
    assert (found.n, found.left_out) == (6, {"refused": 1, "unparsed": 1, "error": 1})


def test_asr_of_all_counts_undecided_rows_as_no_success():
    found = value_of("asr_of_all", ATTACKS)
    assert (found.value, found.n) == (pytest.approx(3 / 9), 9)
    assert found.parts["undecided, unparsed"] == 1
    assert found.parts["highest"] == pytest.approx(6 / 9)
    none = value_of("asr_of_all", columns(success=[None], state=["refused"]))
    assert (none.value, none.reason) == (None, "no row is decided")


def test_interval_of_a_rate_is_the_wilson_interval_of_statsmodels():
    found = value_of("asr", ATTACKS)
    low, high = proportion_confint(3, 6, method="wilson")
    assert (found.interval.low, found.interval.high) == (pytest.approx(low), pytest.approx(high))
    assert found.interval_method == "Wilson"


def test_clusters_widen_the_interval_of_a_rate():
    cells = {"success": [1, 1, 1, 0, 0, 0] * 4}
    clusters = [number // 3 for number in range(24)]
    alone, together = value_of("asr", columns(**cells)), value_of("asr", columns(**cells, cluster=clusters))
    assert alone.value == together.value
    assert together.interval.high - together.interval.low > alone.interval.high - alone.interval.low
    assert together.interval_method == "Wilson, effective n of 8 clusters"


def test_clusters_of_one_row_each_change_nothing():
    rows = columns(success=[1, 0, 1], cluster=["a", "b", None])
    assert value_of("asr", rows).interval_method == "Wilson"


def test_repeated_units_are_clusters_where_no_cluster_is_named():
    rows = columns(success=[1, 1, 0, 0, 1, 1], unit=["a", "a", "b", "b", "c", "c"])
    assert value_of("asr", rows).interval_method == "Wilson, effective n of 3 clusters"


def test_asr_macro_is_the_mean_of_the_categories_and_has_a_mover_interval():
    # a: 1/2, b: 0/1, c: 2/2; mean (0.5 + 0 + 1) / 3; pooled 3/5
    rows = columns(success=[1, 0, 0, 1, 1], category=list("aabcc"))
    found = value_of("asr_macro", rows)
    assert found.value == pytest.approx(0.5)
    assert found.parts["pooled"] == pytest.approx(0.6)
    assert found.parts["category a"] == 0.5
    below = sum((rate - proportion_confint(k, n, method="wilson")[0]) ** 2 for rate, k, n in _CATEGORIES)
    assert found.interval.low == pytest.approx(0.5 - below**0.5 / 3)


def test_asr_macro_has_no_interval_where_a_cluster_lies_in_several_categories():
    rows = columns(success=[1, 0, 0, 1], category=list("aabb"), cluster=list("xyxz"))
    found = value_of("asr_macro", rows)
    assert found.value == 0.5 and found.interval is None
    assert found.interval_method.startswith("none: a cluster lies in several categories")


_CATEGORIES = ((0.5, 1, 2), (0.0, 0, 1), (1.0, 2, 2))


def test_asr_at_k_counts_units_with_a_success_in_k_tries():
    rows = columns(unit=list("aaabbbccc"), success=[0, 1, 0, 0, 0, 0, 1, 1, 1])
    found = value_of("asr@k", rows, k=3)
    assert (found.value, found.n, found.counted) == (pytest.approx(2 / 3), 3, "unit")
    assert found.parts["mean over tries"] == pytest.approx(4 / 9)


def test_asr_at_k_with_more_tries_is_the_expectation_over_draws():
    # Chen et al. 2021: a has 1 success in 3 tries: 1 - C(2, 2) / C(3, 2) = 2/3; b has 0; c has 3: 1
    rows = columns(unit=list("aaabbbccc"), success=[0, 1, 0, 0, 0, 0, 1, 1, 1])
    assert value_of("asr@k", rows, k=2).value == pytest.approx((2 / 3 + 0 + 1) / 3)
    assert value_of("asr@k", rows, k=1).value == pytest.approx(4 / 9)


def test_asr_at_k_leaves_units_with_too_few_decided_tries_out_and_gives_bounds():
    rows = columns(unit=[*"aabbc"], success=[1, 0, 0, 0, 1], state=["", "", "", "unparsed", ""])
    found = value_of("asr@k", rows, k=2)
    assert (found.value, found.n) == (1.0, 1)
    assert found.left_out == {"unparsed": 1, "units with fewer than 2 decided tries": 2}
    assert (found.parts["lowest"], found.parts["highest"]) == (0.5, 1.0)


def test_k_above_every_number_of_tries_is_not_available():
    found = value_of("asr@k", columns(unit=["a"], success=[1]), k=5)
    assert (found.value, found.reason) == (None, "there is no unit to count")
    with pytest.raises(JuratError, match="k must be at least 1"):
        value_of("asr@k", columns(unit=["a"], success=[1]), k=0)


@pytest.mark.parametrize(("name", "expected", "n"), [("rsr_of_all", 1 / 4, 4), ("rsr_of_answered", 1 / 2, 2)])
def test_rsr_has_both_denominators(name, expected, n):
    # four queries, two attempted, one of them right; a right answer that was not attempted does not count
    found = value_of(name, columns(attempted=[1, 1, 0, 0], correct=[1, 0, 1, 0]))
    assert (found.value, found.n) == (pytest.approx(expected), n)


def test_dsr_and_refusal_rates_name_their_denominators():
    rows = columns(refused=[1, 1, 0, 1, None], harmful=[1, 0, 1, 0, 1], benign=[0, 1, 0, 1, 0])
    assert value_of("dsr", rows).value == pytest.approx(3 / 4)
    assert value_of("refusal_of_decided", rows).value == pytest.approx(3 / 4)
    assert value_of("refusal_of_all", rows).value == pytest.approx(3 / 5)
    assert value_of("refusal_of_harmful", rows).value == pytest.approx(1 / 2)
    over = value_of("over_refusal_of_benign", rows)
    assert (over.value, over.n) == (1.0, 2)
    assert over.left_out == {"missing refused": 1, "not benign": 2}


def test_rate_without_rows_of_its_group_is_not_available():
    found = value_of("over_refusal_of_benign", columns(refused=[1], benign=[0]))
    assert (found.value, found.interval, found.reason) == (None, None, "there is no row to count")


def test_four_rates_of_mis_sum_to_one_and_a_safe_row_needs_a_level():
    rows = columns(
        unsafe=[1, 1, 0, 0, 0, 0, 0],
        level=[None, 3, 1, 2, 2, 3, None],  # the level of an unsafe answer does not matter
    )
    found = {name: value_of(name, rows) for name in ("mis_asr", "mis_rsr", "mis_rr", "mis_hr")}
    assert [each.value for each in found.values()] == pytest.approx([2 / 6, 1 / 6, 2 / 6, 1 / 6])
    assert found["mis_asr"].left_out == {"safe, without a level": 1}
    bad = value_of("mis_rr", columns(unsafe=[0], level=[4]))
    assert bad.problems[0].reason == "level: 4 is not a whole number from 1 to 3"


@given(st.lists(st.sampled_from([0, 1, None]), max_size=30))
def test_asr_of_all_never_exceeds_asr(cells):
    rows = columns(success=cells)
    asr, of_all = value_of("asr", rows), value_of("asr_of_all", rows)
    assert asr.n + sum(asr.left_out.values()) == len(cells)
    if asr.value is not None:
        assert of_all.n == len(cells) and of_all.value <= asr.value
        assert asr.value in asr.interval


@given(st.lists(st.tuples(st.sampled_from("abc"), st.integers(0, 1)), min_size=1, max_size=20))
def test_asr_at_k_rises_with_k(tries):
    rows = [{"unit": unit, "success": success} for unit, success in tries]
    least = min(sum(each["unit"] == unit for each in rows) for unit in {row["unit"] for row in rows})
    values = [value_of("asr@k", rows, k=k).value for k in range(1, least + 1)]
    assert values == sorted(values)


def test_rsr_needs_no_correctness_of_what_was_not_attempted():
    rows = columns(attempted=[1, 1, 0, 1], correct=[1, 0, None, ""])
    whole, answered = value_of("rsr_of_all", rows), value_of("rsr_of_answered", rows)
    assert (whole.value, whole.n) == (pytest.approx(1 / 3), 3)
    assert (answered.value, answered.n) == (pytest.approx(1 / 2), 2)
    assert whole.left_out == {"attempted, missing correct": 1}


def test_asr_macro_names_categories_without_a_decided_row():
    rows = columns(success=[1, 0, 1, None], category=["a", "a", "b", "c"], state=["", "", "", "error"])
    found = value_of("asr_macro", rows)
    assert found.value == pytest.approx((1 / 2 + 1) / 2)
    assert found.parts["category c"] is None
    assert found.notes == ("The mean leaves out 1 category without a decided row: c.",)
