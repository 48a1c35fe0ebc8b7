"""What shows nothing of an image: several of them, and their mean."""

from __future__ import annotations

import numpy as np
import pytest
from PIL import Image

from jurat.constitution import Constitution, Rule
from jurat.errors import JuratError
from jurat.images import Item
from jurat.judge import Judge, Preset, verdict_to_row
from jurat.judge.nulls import blurred, grey
from jurat.judge.odds import logit, sigmoid
from jurat.judge.verdict import Verdict
from jurat.models import Failure, YesNo

from .scripted import CROP, NONE, PAINTED, WHOLE, Scripted, white

GREY, BLURRED = CROP, PAINTED
"""What the scripted model calls a picture of another size, and one of the image's size."""
PRESET = Preset("nulls", "several", debias=1.0, prior_limit=9.0, nulls=("none", "grey", "blurred"))
LAW = Constitution(name="law", rules=(Rule(id="r", rule="No.", clauses=("A.",)),))  # pyright: ignore[reportArgumentType]
SCORES = {("A.", WHOLE): 0.7, ("A.", NONE): 0.2, ("A.", GREY): 0.6, ("A.", BLURRED): 0.5}


def judged(scores: dict[tuple[str, str], float | YesNo | Failure], preset: Preset = PRESET) -> Verdict:
    return Judge(LAW, Scripted(scores), preset)(white())


def test_the_prior_is_the_mean_in_log_odds_and_the_record_has_its_parts() -> None:
    verdict = judged(SCORES)
    (shown,) = verdict_to_row(verdict)["rules"][0]["clauses"][0]["alternatives"]
    assert {null["kind"]: null["score"] for null in shown["nulls"]} == pytest.approx(
        {"none": 0.2, "grey": 0.6, "blurred": 0.5}
    )
    mean = (logit(0.2) + logit(0.6) + logit(0.5)) / 3
    assert shown["baseline"] == pytest.approx(sigmoid(mean))
    assert verdict.rules[0].score == pytest.approx(sigmoid(logit(0.7) - mean))
    assert verdict.cost.images == 2, "the image and its blurred copy; grey is asked once a run"


@pytest.mark.parametrize(
    "wrong", [YesNo(0.1, 0.1), Failure("out_of_domain", "No."), Failure("refused", "No.")]
)
@pytest.mark.parametrize("where", [NONE, GREY, BLURRED])
def test_one_that_is_not_answered_is_left_out_of_the_mean(where: str, wrong: YesNo | Failure) -> None:
    verdict = judged({**SCORES, ("A.", where): wrong})
    rest = [score for (_, kind), score in SCORES.items() if kind not in (where, WHOLE)]
    mean = sum(map(logit, rest)) / 2
    (shown,) = verdict.rules[0].clauses[0].alternatives
    assert shown.baseline == pytest.approx(sigmoid(mean))
    assert [null.score is None for null in shown.nulls].count(True) == 1


@pytest.mark.parametrize("where", [NONE, GREY, BLURRED])
def test_an_error_on_the_way_is_never_a_verdict(where: str) -> None:
    """With and without that part the scores of one run would not be alike."""
    verdict = judged({**SCORES, ("A.", WHOLE): 0.999, ("A.", where): Failure("error", "No.")})
    assert (verdict.outcome, verdict.reason) == ("unsure", "error")


def test_a_model_that_answers_about_nothing_has_no_prior() -> None:
    nothing = {("A.", kind): YesNo(0.1, 0.1) for kind in (NONE, GREY, BLURRED)}
    verdict = judged({("A.", WHOLE): 0.9, **nothing})
    assert verdict.outcome == "unsafe"
    assert verdict.rules[0].clauses[0].alternatives[0].baseline is None


def test_the_grey_image_is_asked_about_once_a_run() -> None:
    model = Scripted(SCORES)
    list(Judge(LAW, model, PRESET, batch_size=1).stream(Item(str(n), "", _png) for n in range(3)))
    kinds = [kind for _, kind in model.asked]
    assert (kinds.count(GREY), kinds.count(NONE), kinds.count(BLURRED)) == (1, 1, 3)


def test_what_is_not_wanted_is_not_asked() -> None:
    for preset in (Preset("p", "", debias=0.5), Preset("p", "", nulls=("none", "grey", "blurred"))):
        model = Scripted(SCORES)
        verdict = Judge(LAW, model, preset)(white())
        assert not {kind for _, kind in model.asked} & {GREY, BLURRED}
        assert verdict.rules[0].clauses[0].alternatives[0].nulls == ()
    model = Scripted(SCORES)
    Judge(LAW, model, Preset("p", "", debias=0.5, nulls=("grey",)))(white())
    assert {kind for _, kind in model.asked} == {WHOLE, GREY}


@pytest.mark.parametrize("size", [(100, 100), (300, 40), (3, 500)])
def test_a_blurred_image_shows_broad_colours_and_nothing_else(size: tuple[int, int]) -> None:
    rng = np.random.default_rng(0)
    noise = Image.fromarray(rng.integers(0, 256, (size[1], size[0], 3), dtype=np.uint8))
    found = blurred(noise)
    assert found.size == size and found.mode == "RGB"
    assert np.asarray(found).astype(float).std(axis=(0, 1)).max() < 25
    assert np.asarray(found).mean() == pytest.approx(np.asarray(noise).mean(), abs=12)
    assert len(np.unique(np.asarray(grey()))) == 1


@pytest.mark.parametrize("part", ["contrasts", "coherent", "nulls"])
def test_calibrations_are_not_for_presets_that_weigh_otherwise(part: str) -> None:
    from jurat.judge.calibration import Calibration

    fitted = Calibration(
        model="scripted@1", constitution=LAW.digest, prompts="p", jurat="0", images=1, images_digest="",
        debias=0.0, shifts={},
    )  # fmt: skip
    with pytest.raises(JuratError, match="weighs answers in a way that calibrations are not fitted for"):
        Judge(LAW, Scripted({}), Preset("mine", "").plus([part]), calibration=fitted)


def _png() -> bytes:
    from io import BytesIO

    stream = BytesIO()
    white().save(stream, "PNG")
    return stream.getvalue()
