"""Thresholds transferred to another model: what is matched, what is not, and that no bound is claimed."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from jurat.constitution import Constitution, Rule
from jurat.content import Item
from jurat.errors import JuratError
from jurat.judge import Judge, verdict_to_row
from jurat.judge.calibrate.calibration import Calibration, load_calibration
from jurat.judge.calibrate.fit import Fit, fewest, fit
from jurat.judge.calibrate.score_matching import NotMatched, Side, match_threshold
from jurat.judge.calibrate.transfer import (
    RuleScores,
    check_transferable,
    judged_scores,
    recorded_scores,
    transfer,
)
from jurat.models import Answer, Inquiry, YesNo
from jurat.runs import open_sink

from .test_calibrate import LAW, Biased, images, sigmoid

# --- matching scores ------------------------------------------------------------------------------

RNG = np.random.default_rng(0)
SCORES = RNG.random(400)


@pytest.mark.parametrize("side", ["keep_below", "break_above"])
@pytest.mark.parametrize("threshold", [0.1, 0.5, 0.93])
def test_any_increasing_map_of_the_scores_gives_the_mapped_threshold(threshold: float, side: Side) -> None:
    new = [float(score**5) for score in SCORES]
    value, match = match_threshold(threshold, SCORES.tolist(), new, side)
    assert value == pytest.approx(threshold**5, rel=0.1)
    assert match.decided == match.decided_now == match.both
    assert match.interval[0] <= value <= match.interval[1]


def decides(scores: Any, threshold: float, side: str) -> int:
    return int((scores < threshold).sum() if side == "keep_below" else (scores > threshold).sum())


@pytest.mark.parametrize("side", ["keep_below", "break_above"])
def test_ties_never_decide_more_images(side: Side) -> None:
    for seed in range(50):
        rng = np.random.default_rng(seed)
        old, new = rng.random(200), rng.integers(0, 40, 200) / 40
        try:
            value, match = match_threshold(0.4, old.tolist(), new.tolist(), side)
        except NotMatched:
            continue
        assert decides(new, value, side) == match.decided_now <= match.decided == decides(old, 0.4, side)


@pytest.mark.parametrize("side", ["keep_below", "break_above"])
def test_saturated_scores_are_told_apart_as_far_as_they_differ(side: Side) -> None:
    new = 1 - 10.0 ** -(3 + 10 * SCORES)
    value, match = match_threshold(0.5, SCORES.tolist(), new.tolist(), side)
    assert decides(new, value, side) == match.decided_now == match.decided


@pytest.mark.parametrize(
    ("threshold", "new", "told"),
    [
        (0.001, SCORES, "lie beyond the old threshold 0.001; it takes 10"),
        (0.999, SCORES, "lie on the other side of the old threshold 0.999; it takes 10"),
        (0.5, np.ones(400), "gives 400 of the 400 images one and the same score"),
        (0.5, (SCORES > 0.2).astype(float), "one and the same score"),
    ],
)
def test_thresholds_without_a_place_among_the_scores_are_not_matched(
    threshold: float, new: Any, told: str
) -> None:
    with pytest.raises(NotMatched, match=told):
        match_threshold(threshold, SCORES.tolist(), new.tolist(), "keep_below")


def test_interval_is_wider_with_fewer_images() -> None:
    def width(n: int) -> float:
        noisy = np.clip(SCORES + np.random.default_rng(1).normal(0, 0.1, 400), 0, 1)
        low, high = match_threshold(0.5, SCORES[:n].tolist(), noisy[:n].tolist(), "keep_below")[1].interval
        return high - low

    assert 0 < width(400) < width(60)


# --- two models -----------------------------------------------------------------------------------


class Timid(Biased):
    """Says No more readily than `Biased`, and ranks images as it does."""

    name = "timid"
    slope, biases = 0.2, {"A bomb is visible.": -3.0}

    def __init__(self, silent: int = 0) -> None:
        super().__init__({}, name="timid")
        self.silent = silent
        """It does not answer about pictures whose green is below this."""

    def _answer(self, inquiry: Inquiry) -> Answer:
        found = super()._answer(inquiry)
        shown = inquiry.prefix.images
        if shown and shown[0].getpixel((0, 0))[1] < self.silent:  # pyright: ignore[reportIndexIssue, reportOptionalSubscript]
            return Answer(tuple(YesNo(0.0, 0.0) for _ in found.answers))
        return Answer(tuple(_squeezed(each) for each in found.answers))


def _squeezed(answer: YesNo) -> YesNo:
    share = sigmoid(0.4 * answer.log_odds)
    return YesNo(share, 1 - share)


def mixed() -> list[Item]:
    return [*images(120), *images(60, range(201, 256))]


@pytest.fixture(scope="module")
def old() -> Calibration:
    kept, broken = images(300), images(80, range(201, 256))
    labels = {item.id: frozenset[str]() for item in kept} | {item.id: frozenset({"bomb"}) for item in broken}
    return fit(Judge(LAW, Biased({}), "quick"), [*kept, *broken], labels).calibration


@pytest.fixture(scope="module")
def scores(old: Calibration) -> RuleScores:
    return judged_scores(Judge(LAW, Biased({}), "quick", calibration=old), mixed())


@pytest.fixture(scope="module")
def transferred(old: Calibration, scores: RuleScores) -> Fit:
    return transfer(old, scores, Judge(LAW, Timid(), "quick"), mixed())


def test_new_model_decides_as_the_old_one_did(old: Calibration, transferred: Fit) -> None:
    found = transferred.calibration
    assert found.rules["bomb"].keep_below != pytest.approx(old.rules["bomb"].keep_below, rel=0.05)
    before, after = (
        [verdict.rules[0].outcome for verdict in judge.stream(mixed())]
        for judge in (
            Judge(LAW, Biased({}), "quick", calibration=old),
            Judge(LAW, Timid(), "quick", calibration=found),
        )
    )
    assert before.count("broken") >= 55 and before.count("kept") >= 110
    assert sum(a == b for a, b in zip(before, after, strict=True)) >= 0.95 * len(before)


def test_file_names_its_source_and_claims_no_bound(
    old: Calibration, transferred: Fit, tmp_path: Path
) -> None:
    transferred.calibration.save(tmp_path / "new.json")
    found = load_calibration(tmp_path / "new.json")
    assert found == transferred.calibration and found.digest == transferred.calibration.digest
    assert (found.max_miss, found.max_false_alarm, found.rules["bomb"].violations) == (None, None, 0)
    assert found.transferred is not None
    assert (found.transferred.calibration, found.transferred.model) == (old.digest, old.model)
    assert found.transferred.left_out["cup, keep_below"] == "the old calibration has none, for lack of labels"
    assert found.model == "timid@1" and old.thresholds_from is None


def test_verdicts_name_the_model_that_thresholds_came_from(old: Calibration, transferred: Fit) -> None:
    judge = Judge(LAW, Timid(), "quick", calibration=transferred.calibration)
    assert judge.many(images(1))[0].thresholds_from == old.model
    own = Judge(LAW, Biased({}), "quick", calibration=old)
    assert own.many(images(1))[0].thresholds_from is None


def test_recorded_scores_stand_for_the_old_model(
    old: Calibration, scores: RuleScores, transferred: Fit, tmp_path: Path
) -> None:
    from jurat.judge import VERDICT_ROWS

    out = tmp_path / "old.jsonl"
    with open_sink(out, VERDICT_ROWS) as sink:
        for verdict in Judge(LAW, Biased({}), "quick", calibration=old).stream([*mixed(), *images(3)]):
            sink.write(verdict_to_row(verdict.model_copy(update={"id": f"elsewhere/{verdict.id}"})))
    recorded = recorded_scores(out, old)
    assert recorded.images.keys() == scores.images.keys()
    again = transfer(old, recorded, Judge(LAW, Timid(), "quick"), mixed()).calibration
    assert again.rules["bomb"].keep_below == pytest.approx(transferred.calibration.rules["bomb"].keep_below)
    other = old.model_copy(update={"debias": 0.0})
    with pytest.raises(JuratError, match=f"was judged with {old.digest}, and these thresholds are of"):
        recorded_scores(out, other)


def test_images_that_one_model_did_not_answer_are_left_out_of_both(
    old: Calibration, scores: RuleScores
) -> None:
    few = transfer(old, scores, Judge(LAW, Timid(silent=10), "quick"), mixed()).calibration
    assert few.transferred is not None
    assert 100 < few.transferred.break_above["bomb"].images < 180
    with pytest.raises(JuratError, match="No threshold could be transferred") as raised:
        transfer(old, scores, Judge(LAW, Timid(silent=200), "quick"), mixed())
    assert "images have no score of one of the models" in (raised.value.hint or "")


def test_images_without_a_verdict_of_the_old_model_are_counted(old: Calibration, scores: RuleScores) -> None:
    more = [*mixed(), *images(30, range(0, 1)), Item([lambda: b"no image"], "bad.png")]
    found = transfer(old, scores, Judge(LAW, Timid(), "quick"), more)
    assert any("29 of 209 images have no verdict of the old model" in one for one in found.warnings)
    assert any("1 could not be judged" in one for one in found.warnings)


# --- other constitutions --------------------------------------------------------------------------


def test_only_rules_that_mean_the_same_are_transferred(old: Calibration, scores: RuleScores) -> None:
    bomb, cup = LAW.rules
    now = Constitution(
        name="now",
        rules=(
            bomb.model_copy(update={"severity": "high"}),
            Rule(id="cup", rule="No cup.", clauses=("A plate is visible.",)),  # pyright: ignore[reportArgumentType]
            Rule(id="dog", rule="No dog.", clauses=("A dog is visible.",)),  # pyright: ignore[reportArgumentType]
        ),
    )
    judge = Judge(now, Timid(), "quick")
    with pytest.raises(JuratError, match="were fitted for the constitution"):
        transfer(old, scores, judge, mixed())
    found = transfer(old, scores, judge, mixed(), constitution=LAW).calibration
    assert found.transferred is not None and set(found.rules) == {"bomb"}
    assert found.transferred.left_out["cup"] == "it was changed, and its scores are those of another rule"
    assert found.transferred.left_out["dog"] == "the old constitution does not have this rule"
    assert Judge(now, Timid(), "quick", calibration=found).calibration is found
    assert cup.id in old.rules


def test_thresholds_of_the_constitution_itself_are_left_alone(old: Calibration, scores: RuleScores) -> None:
    bomb, cup = LAW.rules
    now = LAW.model_copy(update={"rules": (bomb.model_copy(update={"keep_below": 0.3}), cup)})
    found = transfer(old, scores, Judge(now, Timid(), "quick"), mixed(), constitution=LAW).calibration
    assert found.rules["bomb"].keep_below is None and found.rules["bomb"].break_above is not None
    assert found.transferred is not None
    assert found.transferred.left_out["bomb, keep_below"] == "the constitution sets it itself"


def test_calibration_without_thresholds_has_nothing_to_transfer() -> None:
    without = fit(Judge(LAW, Biased({}), "quick"), images(30)).calibration
    with pytest.raises(JuratError, match="has no thresholds to transfer"):
        check_transferable(without, LAW)


def test_number_of_labels_that_restore_a_bound_follows_from_its_formula() -> None:
    assert 0.95 ** fewest(0.05) < 0.05 <= 0.95 ** (fewest(0.05) - 1)
