"""perf/drift.py compares scores in two dtypes."""

from __future__ import annotations

import pytest

from jurat.content import Failure
from jurat.models import YesNo

from .scripts import script

drift = script("drift")


def test_drift_counts_flips_and_largest_differences() -> None:
    full = [YesNo(0.6, 0.2), YesNo(0.1, 0.4), YesNo(0.0, 0.0, Failure("out_of_domain", "Unknown."))]
    half = [YesNo(0.3, 0.5), YesNo(0.1, 0.4), YesNo(0.0, 0.0, Failure("out_of_domain", "Unknown."))]
    row = drift.drift("with an image", half, full)
    assert row["answers"] == 2 and row["flips"] == 1
    assert row["score_max"] == pytest.approx(0.75 - 0.375)
    assert row["score_mean"] == pytest.approx((0.75 - 0.375) / 2)
    assert row["mass_max"] == pytest.approx(0.0) and row["least_mass"] == pytest.approx(0.5)


def test_no_answers_at_all_is_an_error() -> None:
    failed = [YesNo(0.0, 0.0, Failure("error", "No."))]
    with pytest.raises(SystemExit, match="no question could be answered without an image"):
        drift.drift("without an image", failed, failed)
