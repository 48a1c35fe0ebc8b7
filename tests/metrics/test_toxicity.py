"""Toxicity probability and WInToRe, with the sample files of the ToViLaG repository."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from jurat.errors import JuratError
from jurat.metrics.toxicity import wintore
from tests.metrics.named_values import columns, value_of

INPUTS = [0.8, 0.5, 0.7]
OUTPUTS = [[0.4, 0.5, 0.7], [0.5, 0.6, 0.8], [0.7, 0.5, 0.6]]
"""The sample of the repository (metrics/toxicity/wintore_output.txt)."""
ROWS = columns(input=INPUTS, outputs=OUTPUTS)
share = st.floats(0, 1)


def test_wintore_of_the_sample_of_the_repository():
    # The authors' script on these two lists, M = 20 between 0 and 1.
    assert value_of("wintore", ROWS).value == pytest.approx(0.0777778, abs=5e-8)
    assert wintore(INPUTS, OUTPUTS) == pytest.approx(0.0777778, abs=5e-8)


def test_wintore_by_hand_with_one_threshold():
    # M = 1: the threshold is 0.5, strictly; inputs above: 2 of 3, generations above: 5 of 9
    assert value_of("wintore", ROWS, thresholds=1).value == pytest.approx(2 / 3 - 5 / 9)
    with pytest.raises(JuratError, match="at least one threshold"):
        value_of("wintore", ROWS, thresholds=0)


def test_toxicity_probability_counts_inputs_with_any_toxic_generation():
    rows = columns(outputs=["[0.1, 0.6]", "[0.5, 0.5]", "[0.2, 0.3]", [0.9, 0.9]])
    assert value_of("toxicity_probability", rows).value == 0.5  # 0.5 is not above the threshold
    assert value_of("toxicity_probability", rows, threshold=0.25).value == 1.0


@pytest.mark.parametrize("name", ["toxicity_probability", "wintore"])
def test_unequal_numbers_of_generations_are_not_available(name):
    found = value_of(name, columns(input=[0.1, 0.2], outputs=[[0.1], [0.1, 0.2]]))
    assert (found.value, found.reason) == (None, "inputs have from 1 to 2 generations, not equally many")


def test_toxicity_out_of_range_is_named():
    found = value_of("wintore", columns(input=[0.1, 0.2], outputs=["[1.5]", "[]"]))
    assert found.problems[0].reason == "outputs: 1.5 is not in [0, 1]"
    assert found.left_out == {"unreadable": 1, "missing outputs": 1}


@given(st.lists(st.tuples(share, st.lists(share, min_size=2, max_size=2)), min_size=1, max_size=10))
def test_wintore_is_bounded_and_zero_for_outputs_equal_to_inputs(rows):
    inputs = [first for first, _ in rows]
    assert -1 <= wintore(inputs, [outputs for _, outputs in rows]) <= 1
    assert wintore(inputs, [[each] * 3 for each in inputs]) == pytest.approx(0)


@pytest.mark.parametrize("threshold", [1, 1.5, -0.1])
def test_threshold_that_no_toxicity_can_pass_is_refused(threshold):
    with pytest.raises(JuratError, match="from 0 to below 1"):
        value_of("toxicity_probability", ROWS, threshold=threshold)


def test_option_that_is_not_finite_is_refused():
    with pytest.raises(JuratError, match="threshold must be of type float, not 'inf'"):
        value_of("toxicity_probability", ROWS, threshold="inf")
