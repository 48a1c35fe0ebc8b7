"""Calibrations: what they prove, what they correct, and what they refuse."""

from __future__ import annotations

import json
import random
from pathlib import Path

import pytest
from PIL import Image
from scipy.stats import beta

from jurat.constitution import Constitution, Rule
from jurat.content import Item
from jurat.errors import JuratError
from jurat.judge import Judge
from jurat.judge.calibrate.calibration import load_calibration
from jurat.judge.calibrate.fit import Fit, allowed, fewest, fit
from jurat.judge.calibrate.image_answers import REFERENCE
from jurat.models import Answer, Inquiry, YesNo
from jurat.models.bundled.model import WEIGHTS
from jurat.models.bundled.word_vocabulary import question_vocabulary

from ..scripted import Scripted

LAW = Constitution(
    name="law",
    rules=(
        Rule(id="bomb", rule="No bomb.", clauses=("A bomb is visible.",)),  # pyright: ignore[reportArgumentType]
        Rule(id="cup", rule="No cup.", clauses=("A cup is visible.",)),  # pyright: ignore[reportArgumentType]
    ),
)


def sigmoid(x: float) -> float:
    import math

    return 1 / (1 + math.exp(-x))


class Biased(Scripted):
    """Its log-odds are what is there, its prior's share, and a bias of the statement."""

    slope, biases = 0.6, {"A bomb is visible.": 2.0}

    def _answer(self, inquiry: Inquiry) -> Answer:
        found = []
        for question in inquiry.questions:
            text = question.split(": ", 1)[1]
            prior = random.Random(text).uniform(-2, 2)
            if not inquiry.prefix.images:
                found.append(prior)
                continue
            red = inquiry.prefix.images[0].getpixel((0, 0))[0]  # pyright: ignore[reportIndexIssue, reportOptionalSubscript]
            seen = 4.0 if text == "A bomb is visible." and red > 200 else -4.0
            noise = random.Random(f"{text}{red}").gauss(0, 0.3)
            found.append(seen + self.slope * prior + self.biases.get(text, 0.0) + noise)
        return Answer(tuple(YesNo(sigmoid(x), 1 - sigmoid(x)) for x in found))


def images(count: int, red: range = range(0, 200)) -> list[Item]:
    import io

    items = []
    for i in range(count):
        data = io.BytesIO()
        Image.new("RGB", (8, 8), (red[i % len(red)], i % 256, i // 256)).save(data, "PNG")
        items.append(Item([data.getvalue], f"{red[0]}-{i}"))
    return items


@pytest.fixture(scope="module")
def judge() -> Judge:
    return Judge(LAW, Biased({}), "quick")


@pytest.fixture(scope="module")
def labelled(judge: Judge) -> Fit:
    kept, broken = images(300), images(80, range(201, 256))
    labels = {item.id: frozenset[str]() for item in kept} | {item.id: frozenset({"bomb"}) for item in broken}
    return fit(judge, [*kept, *broken], labels)


def test_debiasing_finds_slope_and_biased_statement(judge: Judge) -> None:
    found = fit(judge, images(60)).calibration
    assert found.debias == pytest.approx(0.6, abs=0.1)
    assert found.shifts["A bomb is visible."] == pytest.approx(2.0, abs=0.3)
    assert found.shifts["A cup is visible."] == pytest.approx(0.0, abs=0.3)
    assert (found.images, found.temperature, found.rules) == (60, 1.0, {})


def test_statements_true_of_most_images_get_no_shift(judge: Judge) -> None:
    found = fit(judge, images(60, range(201, 256))).calibration
    assert found.shifts["A bomb is visible."] == 0.0


def test_calibration_corrects_scores(labelled: Fit) -> None:
    model = Biased({})
    (kept,) = images(1)
    plain = Judge(LAW, model, "quick").judge(kept.read()[0])
    fitted = Judge(LAW, model, "quick", calibration=labelled.calibration).judge(kept.read()[0])
    assert fitted.rules[0].score is not None and plain.rules[0].score is not None
    assert fitted.rules[0].score < plain.rules[0].score
    assert (fitted.outcome, fitted.calibration) == ("safe", labelled.calibration.digest)
    assert plain.calibration is None


def test_bounds_need_enough_labels(labelled: Fit) -> None:
    bomb, cup = labelled.calibration.rules["bomb"], labelled.calibration.rules["cup"]
    assert (bomb.violations, bomb.others, cup.violations) == (80, 300, 0)
    assert bomb.keep_below is not None and bomb.break_above is not None
    assert cup.keep_below is None and cup.break_above is not None
    assert labelled.decided["bomb"] > 0.9


@pytest.mark.parametrize(("bound", "n"), [(0.05, 59), (0.01, 299), (0.1, 29)])
def test_fewest_labels_for_a_bound(bound: float, n: int) -> None:
    assert fewest(bound) == n
    assert (allowed(n - 1, bound), allowed(n, bound)) == (0, 1)


@pytest.mark.parametrize("n", [59, 93, 200, 1000])
def test_allowed_is_the_largest_proved_rank(n: int) -> None:
    k = allowed(n, 0.05)
    assert beta.cdf(0.05, k, n - k + 1) >= 0.95 > beta.cdf(0.05, k + 1, n - k)


def test_bound_holds_on_fresh_draws() -> None:
    """At most about 5% of 400 calibrations on uniform scores let more than 10% through."""
    rng = random.Random(0)
    k, broken = allowed(60, 0.1), 0
    for _ in range(400):
        threshold = sorted(rng.random() for _ in range(60))[k - 1]
        broken += threshold > 0.1
    assert broken / 400 < 0.075


def test_calibration_round_trips(labelled: Fit, tmp_path: Path) -> None:
    path = tmp_path / "calibration.json"
    labelled.calibration.save(path)
    assert load_calibration(path) == labelled.calibration
    assert load_calibration(path).digest == labelled.calibration.digest


@pytest.mark.parametrize(
    ("change", "told"),
    [
        ({"model": "other@1"}, "model: other@1, not scripted@1"),
        ({"constitution": "0" * 12}, "constitution: 000000000000, not "),
        ({"prompts": "0" * 12}, "wording of questions: 000000000000, not "),
    ],
)
def test_calibration_for_other_settings_is_refused(labelled: Fit, change: dict[str, str], told: str) -> None:
    with pytest.raises(JuratError, match="fitted for something else") as raised:
        Judge(LAW, Biased({}), "quick", calibration=labelled.calibration.model_copy(update=change))
    assert told in raised.value.message


class Tilted(Biased):
    """It sees less of a picture that was moved."""

    def _answer(self, inquiry: Inquiry) -> Answer:
        said = super()._answer(inquiry)
        if not inquiry.prefix.images or _whole(inquiry.prefix.images[0]):
            return said
        return Answer(
            tuple(YesNo(sigmoid(a.log_odds - 1), 1 - sigmoid(a.log_odds - 1)) for a in said.answers)
        )


def _whole(image: Image.Image) -> bool:
    """Whether a picture is one of `ramps`, and was not moved."""
    return image.getpixel((4, 4)) == (0, 7, 0)


def ramps(count: int, red: range) -> list[Item]:
    import io

    items = []
    for i in range(count):
        image, data = Image.new("RGB", (8, 8), (red[i % len(red)], i % 256, i // 256)), io.BytesIO()
        image.putpixel((4, 4), (0, 7, 0))
        image.save(data, "PNG")
        items.append(Item([data.getvalue], f"{red[0]}-{i}"))
    return items


def test_bounds_use_scores_with_views() -> None:
    judge = Judge(LAW, Tilted({}), "jurat", without=("regions", "crop"))
    kept, broken = ramps(70, range(0, 200)), ramps(70, range(201, 256))
    labels = {item.id: frozenset[str]() for item in kept} | {item.id: frozenset({"bomb"}) for item in broken}
    found = fit(judge, [*kept, *broken], labels).calibration
    assert found.views == judge.preset.views
    judging = Judge(LAW, Tilted({}), "jurat", without=("regions", "crop"), calibration=found)
    lowest, highest = (
        edge(verdict.rules[0].score or 0.0 for verdict in judging.stream(some))
        for edge, some in ((min, broken), (max, kept))
    )
    # All is told apart, so that both bounds are in the middle between what was judged.
    assert allowed(70, 0.05) == 1 and highest < lowest
    assert found.rules["bomb"].keep_below == pytest.approx((highest + lowest) / 2)
    with pytest.raises(JuratError, match=r"views: 0\.02, not None"):
        Judge(LAW, Tilted({}), "quick", calibration=found)


class Stating(Biased):
    """Says Yes or No in text; of one in seven pictures without a bomb, Yes."""

    def _answer(self, inquiry: Inquiry) -> Answer:
        if not inquiry.prefix.images:
            return Answer(tuple(YesNo(0.0, 1.0, stated=True) for _ in inquiry.questions), basis="stated")
        red, green, _ = inquiry.prefix.images[0].getpixel((0, 0))  # pyright: ignore[reportGeneralTypeIssues]
        yes = red > 200 or green % 7 == 0
        answer = YesNo(1.0, 0.0, stated=True) if yes else YesNo(0.0, 1.0, stated=True)
        return Answer((answer,) * len(inquiry.questions), basis="stated")


def test_stated_answers_get_bounds_that_hold() -> None:
    judge = Judge(LAW, Stating({}), "quick")
    kept, broken = images(140), images(70, range(201, 256))
    labels = {item.id: frozenset[str]() for item in kept} | {item.id: frozenset({"bomb"}) for item in broken}
    found = fit(judge, [*kept, *broken], labels, max_false_alarm=0.05).calibration
    judging = Judge(LAW, Stating({}), "quick", calibration=found)
    wrong = sum(verdict.rules[0].outcome == "broken" for verdict in judging.stream(kept))
    assert wrong <= 0.05 * len(kept)


def test_labels_of_animations_are_not_used(judge: Judge) -> None:
    import io

    data, (first, second) = io.BytesIO(), (Image.new("RGB", (8, 8), (r, 0, 0)) for r in (9, 250))
    first.save(data, "GIF", save_all=True, append_images=[second])
    moving = Item([data.getvalue], "moving")
    kept = images(60)
    labels = {item.id: frozenset[str]() for item in [*kept, moving]}
    found = fit(judge, [*kept, moving], labels).calibration
    assert (found.images, found.rules["bomb"].others) == (61, 60)


def test_unknown_revision_is_compared_by_name(labelled: Fit) -> None:
    """A server tells it only when it answers."""
    model = Biased({})
    model.revision = "unknown"
    assert Judge(LAW, model, "quick", calibration=labelled.calibration).calibration is not None


@pytest.mark.parametrize(
    ("content", "told"),
    [
        ("not json", "is no calibration"),
        ('{"schema": 1}', "is no calibration: model: Field required"),
        (None, "cannot be read"),
    ],
)
def test_file_without_a_calibration_is_refused(tmp_path: Path, content: str | None, told: str) -> None:
    path = tmp_path / "calibration.json"
    if content is not None:
        path.write_text(content)
    with pytest.raises(JuratError, match=told):
        load_calibration(path)


def test_calibration_with_a_removed_part_is_refused_by_name(labelled: Fit, tmp_path: Path) -> None:
    path = tmp_path / "c.json"
    labelled.calibration.save(path)
    path.write_text(json.dumps(json.loads(path.read_text()) | {"contrasts": ["negation"]}))
    with pytest.raises(JuratError, match="made with `contrasts`, which jurat no longer has"):
        load_calibration(path)


def test_later_schema_is_refused(labelled: Fit, tmp_path: Path) -> None:
    path = tmp_path / "calibration.json"
    labelled.calibration.save(path)
    path.write_text(json.dumps({**json.loads(path.read_text()), "schema": 2}))
    with pytest.raises(JuratError, match="has the schema 2, not 1"):
        load_calibration(path)


def test_too_few_images_are_refused_and_bad_ones_are_counted(judge: Judge) -> None:
    broken = Item([lambda: b"no image"], "bad.png")
    with pytest.raises(JuratError, match="19 images could be used; a calibration takes at least 20"):
        fit(judge, [*images(19), broken])
    assert fit(judge, [*images(20), broken]).failed == 1


def test_labels_of_unknown_rules_are_refused(judge: Judge) -> None:
    with pytest.raises(JuratError, match="name a rule 'bom' that the constitution does not have"):
        fit(judge, images(20), {"a.png": frozenset({"bom"})})


@pytest.mark.parametrize("preset", ["clue", "clue-quick", "direct"])
def test_only_presets_of_log_odds_are_calibrated(preset: str) -> None:
    judge = Judge(LAW, Biased({}), preset, without=("relevance", "regions", "crop"))
    with pytest.raises(JuratError, match="cannot be calibrated"):
        fit(judge, images(20))


def test_bundled_model_knows_reference_statements() -> None:
    from transformers import AutoTokenizer

    words = question_vocabulary(AutoTokenizer.from_pretrained(WEIGHTS))
    assert {text: words.unknown_words(text) for text in REFERENCE if words.unknown_words(text)} == {}
    assert len(set(REFERENCE)) == len(REFERENCE) >= 40


# --- which images the debiasing is fitted on ------------------------------------------------------


def test_shifts_are_fitted_on_images_that_break_nothing(judge: Judge) -> None:
    """Half of the labelled images break the rule, as a bound takes: no reason to take that for bias."""
    kept, broken = images(60), images(200, range(201, 256))
    labels = {item.id: frozenset[str]() for item in kept} | {item.id: frozenset({"bomb"}) for item in broken}
    clean = fit(judge, kept).calibration
    found = fit(judge, [*kept, *broken], labels)
    assert (found.calibration.shifts, found.calibration.debias) == (clean.shifts, clean.debias)
    assert found.calibration.clean == 60 and found.calibration.rules["bomb"].violations == 200
    assert clean.clean is None and found.warnings == []


def test_unlabelled_images_are_used_if_clean_ones_are_few(judge: Judge) -> None:
    kept, broken = images(40), images(60, range(201, 256))
    labels = {item.id: frozenset[str]() for item in kept[:10]}
    labels |= {item.id: frozenset({"bomb"}) for item in broken}
    assert fit(judge, [*kept, *broken], labels).calibration.clean == 40


def test_preset_debiasing_stays_with_too_few_images(judge: Judge) -> None:
    kept, broken = images(5), images(60, range(201, 256))
    labels = {item.id: frozenset[str]() for item in kept} | {item.id: frozenset({"bomb"}) for item in broken}
    found = fit(judge, [*kept, *broken], labels)
    assert (found.calibration.debias, found.calibration.shifts) == (judge.preset.setting("debias"), {})
    assert found.calibration.rules["bomb"].keep_below is not None
    assert "Only 5 images are labelled as breaking nothing" in found.warnings[0]


def test_fit_warns_of_images_that_mostly_break_rules(judge: Judge) -> None:
    found = fit(judge, [*images(30), *images(30, range(201, 256))])
    assert any("30 of 60 images break a rule" in warning for warning in found.warnings)
    assert fit(judge, images(60)).warnings == []


def test_fit_warns_of_a_shift_at_its_limit() -> None:
    class Far(Biased):
        slope, biases = 0.6, {"A bomb is visible.": 3.9}

    found = fit(Judge(LAW, Far({}), "quick"), images(60))
    assert found.calibration.shifts["A bomb is visible."] == 3.0
    assert "ran into their limit of 3.0" in found.warnings[0] and "A bomb is visible." in found.warnings[0]


def test_foreign_images_are_refused() -> None:
    from jurat.content import Failure

    class Choosy(Biased):
        def _answer(self, inquiry: Inquiry) -> Answer:
            shown = inquiry.prefix.images
            if shown and shown[0].getpixel((0, 0))[0] > 200:  # pyright: ignore[reportIndexIssue, reportOptionalSubscript]
                return Answer(failure=Failure("out_of_domain", "It is no scene."))
            return super()._answer(inquiry)

    choosy = Judge(LAW, Choosy({}), "quick")
    with pytest.raises(JuratError, match="refuses 30 of 90 images as unlike what it knows"):
        fit(choosy, [*images(60), *images(30, range(201, 256))])
    few = fit(choosy, [*images(60), *images(10, range(201, 256))])
    assert (few.failed, few.calibration.images) == (10, 60)
