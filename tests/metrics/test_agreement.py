"""Agreement: Krippendorff's example, Gwet's package, scikit-learn, statsmodels, and undefined cases."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from sklearn.metrics import cohen_kappa_score
from statsmodels.stats.inter_rater import fleiss_kappa

from jurat.errors import JuratError
from jurat.metrics.agreement import gwet_ac1, krippendorff_alpha
from tests.metrics.named_values import value_of

N = None
FOUR_RATERS = [
    [1, 2, 3, 3, 2, 1, 4, 1, 2, N, N, N],
    [1, 2, 3, 3, 2, 2, 4, 1, 2, 5, N, 3],
    [N, 3, 3, 3, 2, 3, 4, 2, 2, 5, 1, N],
    [1, 2, 3, 3, 2, 4, 4, 1, 2, 5, 1, N],
]
"""Krippendorff 2011, "Computing Krippendorff's alpha-reliability", part C: 4 observers, 12 units."""


def ratings(raters: list[list], **more) -> list[dict]:
    return [
        {"unit": unit, "rater": f"r{number}", "rating": rating, **more}
        for number, row in enumerate(raters)
        for unit, rating in enumerate(row)
    ]


ROWS = ratings(FOUR_RATERS)


@pytest.mark.parametrize(
    ("scale", "published", "exact"),
    # Published to three digits; exact by the package `krippendorff` 0.9.
    [
        ("nominal", 0.743, 0.743421052632),
        ("ordinal", 0.815, 0.815387503755),
        ("interval", 0.849, 0.849107142857),
    ],
)
def test_alpha_of_krippendorffs_example(scale, published, exact):
    found = value_of(f"krippendorff_alpha_{scale}", ROWS)
    assert found.value == pytest.approx(published, abs=5e-4)
    assert found.value == pytest.approx(exact, abs=1e-11)
    assert (found.n, found.counted) == (11, "unit")
    assert found.left_out == {"missing rating": 7, "ratings of units with fewer than 2": 1}


def test_gwet_ac1_of_the_example_of_its_package():
    # irrCAC, gwet.ac1.raw(cac.raw4raters): the same ratings; agreement 0.81818, AC1 0.77544
    found = value_of("gwet_ac1", ROWS)
    assert found.value == pytest.approx(0.77544, abs=5e-6)
    assert found.parts["raw agreement"] == pytest.approx(0.81818, abs=5e-6)
    assert found.n == 12


def test_ratings_as_text_or_decimals_are_the_same_ratings():
    text = [{**row, "rating": N if row["rating"] is N else f"{row['rating']}.0"} for row in ROWS]
    for name in ("krippendorff_alpha_ordinal", "krippendorff_alpha_interval"):
        mixed = text[:20] + ROWS[20:]
        assert value_of(name, mixed).value == pytest.approx(value_of(name, ROWS).value)


def test_ordered_words_take_the_order_of_the_labels():
    words = dict(zip((1, 2, 3, 4, 5), ("low", "some", "mid", "much", "high"), strict=True))
    rows = [{**row, "rating": words.get(row["rating"])} for row in ROWS]
    found = value_of("krippendorff_alpha_ordinal", rows, labels=list(words.values()))
    assert found.value == pytest.approx(0.815387503755)
    with pytest.raises(JuratError, match="not all numbers"):
        value_of("krippendorff_alpha_ordinal", rows)
    with pytest.raises(JuratError, match="not all numbers"):
        value_of("krippendorff_alpha_interval", rows, labels=list(words.values()))


FIRST, SECOND = [1, 2, 3, 1, 2, 3, 1, 1, 2, 3], [1, 2, 2, 1, 3, 3, 2, 1, 2, 1]


@pytest.mark.parametrize("weights", ["none", "linear", "quadratic"])
def test_cohen_kappa_equals_scikit_learn(weights):
    found = value_of("cohen_kappa", ratings([FIRST, SECOND]), weights=weights, draws=20)
    by = None if weights == "none" else weights
    assert found.value == pytest.approx(cohen_kappa_score(FIRST, SECOND, weights=by))
    assert found.interval is not None and found.parts["raters"] == "r0 and r1"


def test_cohen_kappa_by_hand():
    # 10 units: 6 agree; marginals 4,3,3 and 4,4,2: chance 0.16 + 0.12 + 0.06 = 0.34
    rows = ratings([[*"aaaabbbccc"], [*"aaabbbbcac"]])
    assert value_of("cohen_kappa", rows).value == pytest.approx((0.8 - 0.34) / (1 - 0.34))


def test_cohen_kappa_leaves_units_of_one_rater_out_and_takes_two_raters():
    found = value_of("cohen_kappa", ratings([[1, 2, 1], [1, 2, None]]))
    assert (found.n, found.value) == (2, 1.0)
    assert found.left_out == {"missing rating": 1, "ratings of units that one rater rated": 1}
    with pytest.raises(JuratError, match="of two raters, and the rows have 4"):
        value_of("cohen_kappa", ROWS)


def test_fleiss_kappa_equals_statsmodels_on_units_with_all_ratings():
    found = value_of("fleiss_kappa", ROWS, draws=20)
    full = [unit for unit in zip(*FOUR_RATERS, strict=True) if None not in unit]
    counts = np.array([[unit.count(label) for label in range(1, 6)] for unit in full])
    assert found.value == pytest.approx(fleiss_kappa(counts))
    assert (found.n, found.parts["ratings per unit"]) == (8, 4)
    assert found.left_out == {"missing rating": 7, "ratings of units without 4": 9}


def test_fleiss_kappa_takes_the_number_of_ratings_that_most_units_have():
    """One unit with a further rating does not leave the others out."""
    pairs = [("a", "b"), ("a", "a"), ("b", "b"), ("a", "a")]
    rows = [{"unit": u, "rater": r, "rating": x} for u, pair in enumerate(pairs) for r, x in enumerate(pair)]
    alone = value_of("fleiss_kappa", rows)
    found = value_of(
        "fleiss_kappa", [*rows, *({"unit": "more", "rater": r, "rating": "a"} for r in range(3))]
    )
    assert (found.value, found.n) == (pytest.approx(fleiss_kappa([[1, 1], [2, 0], [0, 2], [2, 0]])), 4)
    assert found.value == alone.value
    assert found.left_out == {"ratings of units without 2": 3}


@pytest.mark.parametrize(
    "name",
    ["cohen_kappa", "fleiss_kappa", "krippendorff_alpha_nominal", "krippendorff_alpha_interval", "gwet_ac1"],
)
def test_one_label_is_not_available_but_raw_agreement_is(name):
    found = value_of(name, ratings([[1, 1, 1], [1, 1, 1]]))
    assert (found.value, found.reason) == (None, "every rating is the same label")
    assert found.parts["raw agreement"] == 1.0
    assert value_of(name, []).value is None


def test_ac1_is_defined_where_another_label_could_have_been_given():
    found = value_of("gwet_ac1", ratings([["safe"] * 4, ["safe"] * 4]), labels=["safe", "unsafe"])
    assert found.value == 1.0


def test_second_rating_of_a_rater_is_named_and_left_out():
    rows = [*ratings([[1, 2], [1, 2]]), {"unit": 0, "rater": "r0", "rating": 2}]
    found = value_of("cohen_kappa", rows)
    assert (found.value, found.left_out) == (1.0, {"repeated ratings": 1})
    assert (found.problems[0].place, found.problems[0].reason) == (
        "row 5",
        "rater r0 rated unit 0 in row 1 already",
    )


def test_skewed_labels_drive_kappa_down_and_not_ac1():
    # 18 of 20 units agree on "safe", two disagree: agreement 0.9, kappa below 0
    first, second = ["s"] * 18 + ["u", "s"], ["s"] * 18 + ["s", "u"]
    rows = ratings([first, second])
    assert value_of("cohen_kappa", rows).value == pytest.approx(-1 / 19)
    # shares 0.95 and 0.05: chance 2 x 0.95 x 0.05 = 0.095
    assert value_of("gwet_ac1", rows).value == pytest.approx((0.9 - 0.095) / (1 - 0.095))


tables = st.lists(st.lists(st.integers(0, 3), min_size=3, max_size=3), min_size=2, max_size=12).map(np.array)


@given(tables)
def test_coefficients_are_at_most_one_and_do_not_depend_on_the_order_of_units(counts):
    for coefficient in (gwet_ac1, lambda c: krippendorff_alpha(c, [0, 1, 2], "ordinal")):
        value, turned = coefficient(counts), coefficient(counts[::-1])
        assert np.isnan(value) or value <= 1 + 1e-12
        assert value == pytest.approx(turned, nan_ok=True)


@given(tables, st.lists(st.integers(0, 2), min_size=12, max_size=12))
def test_weights_equal_repeated_units(counts, weights):
    weight = np.array(weights[: len(counts)])
    drawn = np.repeat(counts, weight, 0)
    if not len(drawn):
        return
    assert gwet_ac1(counts, weight) == pytest.approx(gwet_ac1(drawn), nan_ok=True)
    for scale in ("nominal", "ordinal", "interval"):
        ours, theirs = (
            krippendorff_alpha(counts, [1, 2, 5], scale, weight),
            krippendorff_alpha(drawn, [1, 2, 5], scale),
        )
        assert ours == pytest.approx(theirs, nan_ok=True)


def test_weighted_kappa_says_that_ratings_which_do_not_occur_are_no_steps():
    """Values of scikit-learn's cohen_kappa_score, without labels and with labels=[1, 2, 3, 4, 5]."""
    pairs = [(4, 2), (2, 5), (5, 5)]
    rows = [{"unit": u, "rater": r, "rating": x} for u, pair in enumerate(pairs) for r, x in enumerate(pair)]
    bare = value_of("cohen_kappa", rows, weights="quadratic")
    assert bare.value == pytest.approx(0)
    assert "among those that occur, 2, 4, 5;" in bare.notes[0]
    scaled = value_of("cohen_kappa", rows, weights="quadratic", labels=["1", "2", "3", "4", "5"])
    assert (scaled.value, scaled.notes) == (pytest.approx(-2 / 11), ())
