"""Every method on a few scenes: its predictions, its cost, and when it is left out."""

from __future__ import annotations

import math
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from jurat.bench.bench_plan import BenchModel, BenchPlan
from jurat.bench.cost import ParameterCounts, Spending, flops, sizes_of
from jurat.bench.labelled.labelled_images import LabelledImages
from jurat.bench.methods.caption import objects_of
from jurat.bench.methods.fitting import ScoreScale, fit_scale
from jurat.bench.methods.geometry import facts_of_boxes
from jurat.bench.methods.interface import NotApplicable, Prediction, Setup, Tuning, all_of, any_of
from jurat.bench.methods.judge_presets import open_judge
from jurat.bench.methods.registry import find_method, methods, rows_for
from jurat.bench.pictogram import constitution_of
from jurat.bench.pictogram.definition import OPEN_SPLITS
from jurat.content import Reply, Usage
from jurat.errors import JuratError
from jurat.judge.presets import PARTS, PRESETS
from jurat.metrics import UNSURE, accuracy
from jurat.models import Answer, Vocabulary, YesNo
from jurat.models.vision import Box
from jurat.pictograms.objects import NUMBER, OBJECTS, WORDS


@pytest.fixture(scope="module")
def bundled():
    return BenchModel("bundled", "bundled").open()


class SeeingDetector:
    """A detector that returns the ground truth boxes."""

    name, revision = "seeing", "1"

    def __init__(self, items):
        self._known = {item.image.tobytes(): item for item in items}

    def detect(self, images, words):
        return [
            self._boxes(self._known[image.tobytes()], image, said)
            for image, said in zip(images, words, strict=True)
        ]

    def _boxes(self, item, image, words):
        names = [noun.singular for noun in OBJECTS] + [f"sign that reads {word}" for word in WORDS]
        unit = image.width / 128
        boxes = []
        for kind, (x, y), area in zip(item.facts.kinds, item.facts.centres, item.facts.areas, strict=True):
            half = math.sqrt(area) / 2
            if names[kind] in words:
                sides = (x - half) * unit, (y - half) * unit, (x + half) * unit, (y + half) * unit
                boxes.append(Box(*sides, 0.97, names[kind]))
        return boxes


class SeeingMatcher:
    """A matcher that scores a text by its ground truth."""

    name, revision, relevant_above = "seeing", "1", 0.3

    def __init__(self, items):
        self._known = {item.image.tobytes(): item for item in items}

    def match(self, images, texts):
        from jurat.pictograms.reading import parse

        return [
            [0.4 if parse(text).truth(self._known[image.tobytes()].facts) else 0.2 for text in texts]
            for image in images
        ]


@pytest.fixture(scope="module")
def setup(splits, bundled):
    dev = splits["dev"][:8]
    known = [*splits["test"], *splits["dev"]]
    return Setup(
        constitution_of("test"),
        bundled,
        "bundled",
        detector=SeeingDetector(known),
        matcher=SeeingMatcher(known),
        tuning=lambda: Tuning(constitution_of("dev"), dev),
        backgrounds=lambda: dev,
        reference=lambda name: {"jurat": 1.1e9, "direct": 1e9}[name],
    )


RUNS = (
    "direct",
    "clue-quick",
    "whole",
    "direct-fitted",
    "vqascore",
    "clause-product",
    "caption-logic",
    "vote",
)


@pytest.mark.parametrize("name", RUNS)
def test_method_predicts_every_item_and_counts_its_cost(setup, splits, name):
    items = splits["test"][:4]
    predictions = list(find_method(name)(setup, items))
    assert len(predictions) == len(items)
    for prediction in predictions:
        assert prediction.outcome in (0, 1, UNSURE) and (prediction.outcome != UNSURE or prediction.reason)
        assert math.isnan(prediction.score) or 0 <= prediction.score <= 1
        assert not prediction.rules or set(prediction.rules) == {
            rule.id for rule in constitution_of("test").rules
        }
        assert prediction.spending.images == (2 if name == "vote" else prediction.spending.images) >= 1
        assert prediction.spending.question_tokens > 0 and prediction.spending.seconds > 0
    if name == "caption-logic":
        assert all(prediction.spending.generated_tokens for prediction in predictions)
    if name.endswith("fitted") or name == "vqascore":
        assert setup.tried[name] > 10


def test_clue_without_clauses_still_applies_exceptions(setup, splits):
    items = [item for item in splits["test"] if item.rule == "woman-with-alcohol"]
    less = find_method("clue").without(["clauses"])
    assert items and len(list(less(setup, items))) == len(items)


def test_rule_dropped_by_relevance_scores_0(setup, splits):
    nowhere = replace(setup, matcher=Unlike())
    (prediction,) = find_method("clue")(nowhere, splits["test"][:1])
    assert (prediction.outcome, prediction.score, set(prediction.scores.values())) == (0, 0.0, {0.0})
    assert prediction.spending.question_tokens == 0 and prediction.spending.scans == 1


class Unlike:
    name, revision, relevant_above = "unlike", "1", 0.3

    def match(self, images, texts):
        return [[0.0] * len(texts) for _ in images]


@pytest.mark.parametrize("name", PRESETS)
def test_bench_judges_by_the_presets_that_ship(setup, name):
    assert open_judge(setup, setup.constitution, name).preset == PRESETS[name]


def test_detections_are_charged_for_any_model(setup, splits):
    items = splits["test"][:4]
    predictions = list(find_method("jurat")(replace(setup, model=Named(setup.model)), items))
    assert [prediction.spending.detections for prediction in predictions] == [
        int(1 in prediction.rules.values()) for prediction in predictions
    ]


class Named:
    """The bundled model by another name."""

    def __init__(self, inner):
        self.name, self.revision, self.dtype = "naive", inner.revision, inner.dtype
        self.ask, self.chat, self.capability = inner.ask, inner.chat, inner.capability


def test_oracle_is_always_right(setup, splits):
    items = [*splits["test"], *splits["habits"], *splits["rare"]]
    said = [prediction.outcome for prediction in find_method("oracle")(setup, items)]
    assert accuracy(np.array([int(bool(item.broken)) for item in items]), np.array(said)) == 1
    soft = list(find_method("oracle")(setup, splits["borderline"]))
    assert all(r.scores[i.rule] == i.soft for r, i in zip(soft, splits["borderline"], strict=True))


def test_detector_geometry_is_right_on_visible_objects(setup, splits):
    predictions = list(find_method("detector-geometry")(replace(setup, fitted={}), splits["test"]))
    visible = [
        i
        for i, item in enumerate(splits["test"])
        if item.rule
        in (
            "cigarette",
            "device",
            "two-bombs",
            "three-coins",
            "free-pills",
            "fire",
            "horse",
            "elephant-left-of-car",
            "woman-with-alcohol",
        )
    ]
    assert len(visible) == 18
    for i in visible:
        item, prediction = splits["test"][i], predictions[i]
        assert prediction.rules[item.rule] == int(item.rule in item.broken), item.id
    assert all(
        prediction.spending.detections == 1 and not prediction.spending.images for prediction in predictions
    )


def test_clip_threshold_is_fitted_on_dev(setup, splits):
    predictions = list(find_method("clip")(replace(setup, fitted={}), splits["test"][:4]))
    # Rules without exceptions: what the description says is then what breaks them.
    assert [prediction.rules["cigarette"] for prediction in predictions[:2]] == [1, 0]
    assert all(prediction.spending.scans == 1 for prediction in predictions)


def test_refit_takes_the_best_constants_tried(setup, splits, monkeypatch):
    from jurat.bench.methods import clue_refit

    monkeypatch.setattr(clue_refit, "GRID", {"accept": (0.2, 0.8)})
    monkeypatch.setattr(clue_refit, "ROUNDS", 1)
    fresh = replace(
        setup, fitted={}, tried={}, tuning=lambda: Tuning(constitution_of("dev"), splits["dev"][:4])
    )
    assert len(list(find_method("clue-quick-refit")(fresh, splits["test"][:2]))) == 2
    assert fresh.tried == {"clue-quick-refit": 2}


@pytest.mark.parametrize(
    ("name", "lacking", "reason"),
    [
        ("prior", {}, "never learned"),
        ("prior-cot", {}, "never learned"),
        ("direct-fitted", {"tuning": None}, "no labelled images"),
        ("clip", {"matcher": None}, "no matcher was named"),
        ("detector-geometry", {"detector": None}, "no detector was named"),
        ("vote", {"reference": None}, "cost is known"),
        ("vote", {"reference": lambda name: math.nan}, "not known"),
    ],
)
def test_inapplicable_method_gives_the_reason(setup, splits, name, lacking, reason):
    with pytest.raises(NotApplicable, match=reason):
        list(find_method(name)(replace(setup, fitted={}, **lacking), splits["test"][:1]))


class Talker:
    """Knows all words, answers from a script."""

    name, revision, dtype = "talker", "1", "none"

    def __init__(self, *texts):
        self.texts, self.heard, self.limits = list(texts), [], set()

    def ask(self, inquiries):
        self.heard += [inquiry.prefix.turns[0].text for inquiry in inquiries]
        usage = Usage(input_tokens=9)
        return [Answer(tuple(YesNo(0.8, 0.1) for _ in i.questions), usage=usage) for i in inquiries]

    def chat(self, chats):
        self.heard += [chat.turns[0].text for chat in chats]
        self.limits |= {chat.generation.max_tokens for chat in chats}
        return [Reply(self.texts.pop(0), Usage(5, 7)) for _ in chats]

    def capability(self, kind):
        return None


def test_chain_of_thought_without_a_rating_is_unsure(splits):
    model = Talker(
        'I see it. {"rating": "Yes", "rationale": "it is there"}', "I had rather not say.", '{"rating": "No"}'
    )
    setup = Setup(constitution_of("test"), model, "talker")
    first, second, third = find_method("whole-cot")(setup, splits["test"][:3])
    assert (first.outcome, second.outcome, third.outcome) == (1, UNSURE, 0)
    assert second.reason == "unparsed" and math.isnan(second.score)
    assert first.spending.generated_tokens == 7
    assert (
        "Unless: There is a police officer in the picture." in model.heard[0]
        and '"rationale"' in model.heard[0]
    )


class OfFewWords(Talker):
    """A talker with a vocabulary that knows every word."""

    def capability(self, kind):
        return self if kind is Vocabulary else None

    def unknown_words(self, text):
        return []


@pytest.mark.parametrize(("kind", "tokens"), [(Talker, 512), (OfFewWords, 96)])
def test_model_with_a_vocabulary_gets_a_shorter_token_limit(splits, kind, tokens):
    model = kind('{"rating": "Yes", "rationale": "so"}')
    assert list(find_method("whole-cot")(Setup(constitution_of("test"), model, "talker"), splits["test"][:1]))
    assert model.limits == {tokens}


def test_prior_method_has_no_rules(splits):
    model = Talker()
    (prediction,) = find_method("prior")(Setup(constitution_of("test"), model, "talker"), splits["test"][:1])
    assert prediction.outcome == 1 and prediction.score == pytest.approx(8 / 9) and not prediction.rules
    assert not any(rule.rule in model.heard[0] for rule in constitution_of("test").rules)


def test_objects_of_a_caption_are_counted():
    found = objects_of("the image shows a dog, a sign that reads FREE, a glass of milk and two wine glasses.")
    assert found == [
        NUMBER["dog"],
        len(OBJECTS) + WORDS.index("FREE"),
        NUMBER["glass of milk"],
        *[NUMBER["wine glass"]] * 2,
    ]


def test_boxes_touch_only_if_they_overlap_after_shrinking():
    boxes = np.array([[0, 0, 40, 40], [38, 0, 78, 40]], float)
    assert facts_of_boxes(np.array([0, 1]), boxes, 0.0).gaps[0, 1] == 0
    assert facts_of_boxes(np.array([0, 1]), boxes, 0.2).gaps[0, 1] >= 6


def test_scale_is_fitted_to_the_best_threshold(splits):
    tuning = Tuning(constitution_of("dev"), splits["dev"])
    rows = [
        {rule.id: 3.0 if rule.id in item.broken else 1.0 for rule in tuning.constitution.rules}
        for item in tuning.items
    ]
    scale, reached, tried = fit_scale(tuning, rows)
    assert reached == 1 and 1 < scale.cut < 3 and tried > 0
    assert scale.score(3.0) > 0.9 and scale.score(1.0) < 0.1 and math.isnan(ScoreScale().score(math.nan))


def test_threshold_fit_counts_unanswered_as_unsure(splits):
    """Half of the near misses have one rule unanswered: they are errors at every cut."""
    tuning = Tuning(constitution_of("dev"), splits["dev"])
    rows = [
        {rule.id: 3.0 if rule.id in item.broken else 1.0 for rule in tuning.constitution.rules}
        for item in tuning.items
    ]
    kept = [row for row, item in zip(rows, tuning.items, strict=True) if not item.broken]
    for row in kept[::2]:
        row[tuning.constitution.rules[0].id] = math.nan
    _, reached, _ = fit_scale(tuning, rows)
    broken, alarms = len(rows) - len(kept), len(kept[::2])
    assert reached == pytest.approx(2 * broken / (2 * broken + alarms))


UNKNOWN = math.nan


@pytest.mark.parametrize(
    ("scores", "least", "largest"),
    [
        ([0.9, 0.7], 0.7, 0.9),
        ([0.2, UNKNOWN], 0.2, UNKNOWN),
        ([UNKNOWN, 0.2], 0.2, UNKNOWN),
        ([0.9, UNKNOWN], UNKNOWN, 0.9),
        ([UNKNOWN, 0.9], UNKNOWN, 0.9),
        ([UNKNOWN], UNKNOWN, UNKNOWN),
    ],
)
def test_unknown_scores_propagate_through_all_of_and_any_of(scores, least, largest):
    assert all_of(scores) == pytest.approx(least, nan_ok=True)
    assert any_of(scores) == pytest.approx(largest, nan_ok=True)


class Silent(Named):
    """The bundled model, which does not answer about some words."""

    little = YesNo(0.01, 0.01)  # so little mass that nothing was said

    def __init__(self, inner, *words, said=little):
        super().__init__(inner)
        self.words, self.said, self.whole = words, said, inner.ask
        self.ask = self._ask

    def _ask(self, inquiries):
        return [
            replace(
                answer,
                answers=tuple(
                    self.said if any(word in question for word in self.words) else one
                    for question, one in zip(inquiry.questions, answer.answers, strict=True)
                ),
            )
            for inquiry, answer in zip(inquiries, self.whole(inquiries), strict=True)
        ]


@pytest.mark.parametrize("name", ["clause-product", "direct", "quick"])
def test_probabilities_that_are_nan_leave_a_rule_unsure(setup, splits, name):
    (item,) = [i for i in splits["test"] if i.id == "test/hat-on-child/000/broken"]
    broken = Silent(setup.model, "child", "cigarette", said=YesNo(math.nan, math.nan))
    (prediction,) = find_method(name)(replace(setup, model=broken, fitted={}), [item])
    assert prediction.rules["hat-on-child"] == prediction.rules["cigarette"] == UNSURE
    assert prediction.reason == "error"


@pytest.mark.parametrize("name", ["clause-product", "direct", "quick"])
def test_unanswered_question_leaves_its_rule_unsure_unless_others_keep_it(setup, splits, name):
    """The model does not answer questions about children or cigarettes."""
    (item,) = [i for i in splits["test"] if i.id == "test/hat-on-child/000/broken"]
    silent = replace(setup, model=Silent(setup.model, "child", "cigarette"), fitted={})
    (prediction,) = find_method(name)(silent, [item])
    assert prediction.rules["hat-on-child"] == prediction.rules["cigarette"] == UNSURE
    assert math.isnan(prediction.scores["cigarette"])
    if name != "direct":  # which asks about the whole rule
        other = next(i for i in splits["test"] if i.rule == "two-bombs" and i.broken)
        (prediction,) = find_method(name)(silent, [other])
        assert prediction.rules["hat-on-child"] == 0 and prediction.scores["hat-on-child"] < 0.5, (
            "there is no hat"
        )


@pytest.mark.parametrize("name", ["direct-fitted", "vote"])
def test_unanswered_exception_leaves_its_rule_unsure(setup, splits, name):
    items = [item for item in splits["test"] if item.rule == "horse" and item.broken]
    exception = (
        next(rule for rule in constitution_of("test").rules if rule.id == "horse")
        .unless[0]
        .alternatives[0]
        .text
    )
    silent = replace(setup, model=Silent(setup.model, exception), fitted={})
    for prediction in find_method(name)(silent, items[:2]):
        assert prediction.rules["horse"] == UNSURE and math.isnan(prediction.scores["horse"])


def test_flops_are_two_per_parameter_and_token(bundled):
    sizes = sizes_of(bundled)
    assert sizes is not None and sizes.patches == 65 and 4e6 < sizes.tower + sizes.language < 6e6
    spending = Spending(images=2, question_tokens=30, generated_tokens=10, detections=1)
    expected = 2 * (2 * sizes.tower * 65 + 40 * sizes.language) + 2 * 10 * 7
    assert flops(spending, sizes, ParameterCounts(10, 7, 0)) == expected
    assert flops(spending, sizes) is None and flops(Spending(), None) == 0
    assert sizes_of(Talker()) is None


def test_spending_adds_up():
    whole = Spending(images=1, flops=2.0, seconds=1.0) + Spending(images=2, flops=3.0, seconds=0.5)
    assert (whole.images, whole.flops, whole.seconds) == (3, 5.0, 1.5)
    assert (Spending(flops=1.0) + Spending()).flops is None


def test_rows_of_all_methods_ablate_clue():
    keys = [method.key for method in rows_for([], [])]
    assert {*methods(), "clue-no-debias", "clue-no-clauses", "clue-no-regions", "clue-no-reason"} <= set(keys)
    assert {"clue-no-relevance", "clue-no-crop"} <= set(keys)


def test_required_methods_come_first_and_named_parts_are_ablated():
    keys = [method.key for method in rows_for(["vote", "clue"], ["reason", "regions+crop"])]
    assert keys == ["jurat", "direct", "vote", "clue", "clue-no-reason", "clue-no-regions-no-crop"]


def test_ablations_run_on_their_splits_unless_named():
    naive = BenchModel("naive", "naive")
    everything = BenchPlan(Path("out"), rows_for([], []), [naive])
    told = BenchPlan(Path("out"), rows_for(["jurat"], ["views"]), [naive])
    less = {split: [m.key for m in everything.methods_of(naive, split) if m.ablate] for split in OPEN_SPLITS}
    assert less["test"] == less["habits"] and {"clue-no-reason", "jurat-no-views"} < set(less["test"])
    assert not any(keys for split, keys in less.items() if split not in ("test", "habits"))
    assert [method.key for method in told.methods_of(naive, "flip")] == ["jurat", "jurat-no-views"]
    labelled = replace(everything, labelled=LabelledImages({"mine": constitution_of("test")}, []))
    assert labelled.methods_of(naive, "mine") == everything.methods
    assert labelled.splits_of(naive) == ["mine"]


def test_every_optional_part_can_be_ablated():
    keys = {method.key for method in rows_for(["jurat", "clue"], PARTS)}
    assert {f"clue-no-{part}" for part in ("relevance", "regions", "crop", "reason")} <= keys
    assert {f"jurat-no-{part}" for part in ("clauses", "debias", "views", "presence")} <= keys
    assert not {"jurat-no-regions", "clue-no-presence"} & keys  # they have none
    with pytest.raises(JuratError, match="No preset that is run has 'presence' to leave out"):
        rows_for(["clue"], ["presence"])


def test_removed_parts_are_refused_by_name():
    with pytest.raises(JuratError, match=r"no method 'jurat\+costs': 'costs' was removed from jurat"):
        find_method("jurat+costs")
    with pytest.raises(JuratError, match="no part 'contrasts' to leave out: it was removed from jurat"):
        rows_for(["jurat"], ["contrasts"])


@pytest.mark.parametrize(
    ("names", "ablate", "message"),
    [
        (["quik"], [], "There is no method 'quik'.\n  Did you mean 'quick'?"),
        (["clip"], ["reason"], "--ablate needs a preset"),
        (["clue"], ["reasons"], "There is no part 'reasons' to leave out."),
        (["quick", "direct"], ["reason"], "No preset that is run has 'reason' to leave out."),
    ],
)
def test_unknown_names_suggest_alternatives(names, ablate, message):
    with pytest.raises(JuratError) as raised:
        rows_for(names, ablate)
    assert message in str(raised.value)


def test_item_outcome_follows_from_its_rules():
    spent = Spending()
    assert Prediction.of_rules({"a": 1, "b": UNSURE}, {"a": 0.9, "b": math.nan}, spending=spent).outcome == 1
    open_ = Prediction.of_rules({"a": 0, "b": UNSURE}, {"a": 0.1, "b": math.nan}, spending=spent)
    assert open_.outcome == UNSURE and math.isnan(open_.score)
    assert Prediction.of_rules({"a": 0, "b": 0}, {"a": 0.1, "b": 0.3}, spending=spent).score == 0.3
