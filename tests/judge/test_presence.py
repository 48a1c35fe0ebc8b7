"""Relations need the presence of their objects: asked, decided, recorded and re-decided."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
import pytest

from jurat.constitution import Constitution, Rule
from jurat.content import Failure
from jurat.errors import JuratError
from jurat.judge import PRESETS, Judge, row_to_verdict, verdict_to_row
from jurat.judge.calibrate.calibration import Bounds, Calibration
from jurat.judge.plan import plan
from jurat.judge.presence import presence_of
from jurat.judge.preset_settings import preset_of_record
from jurat.judge.replay.impact import Change, measure
from jurat.judge.replay.redecide import Redecider
from jurat.judge.verdict import Verdict
from jurat.models import full_name
from jurat.pictograms import compose, parse

from .scripted import NONE, WHOLE, Scripted, white

QUICK = PRESETS["quick"]
BARE = QUICK.replace(presence=False)
TOUCH = "A child touches a cup or a glass."
CHILD, CUPS = "The image shows a child.", "The image shows a cup or a glass."


def law(*clauses: Any, unless: tuple[Any, ...] = (), **more: Any) -> Constitution:
    return Constitution(name="law", rules=(Rule(id="r", rule="R.", clauses=clauses, unless=unless, **more),))


TOUCHING = law({"statement": TOUCH, "objects": ["child", "cup", "glass"]})


def judged(scores: Mapping[str, Any], constitution: Constitution = TOUCHING, preset: Any = QUICK) -> Verdict:
    said = {(text, shown): score for text, score in scores.items() for shown in (WHOLE,)}
    said |= {(text, NONE): 0.5 for text in scores}
    return Judge(constitution, Scripted(said), preset, detector="none").judge(white())


# --- what is asked --------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("statement", "objects", "held"),
    [
        (TOUCH, ["child", "cup", "glass"], ((CHILD,), (CUPS,))),
        (TOUCH, ["cup", "glass", "child"], ((CHILD,), (CUPS,))),
        ("A kitchen knife is held by the child.", ["knife", "kitchen knife", "child"],
         (("The image shows a kitchen knife.",), ("The image shows the child.",))),
        ("Two dogs chase a cat.", ["dog", "cat"],
         (("The image shows two dogs.",), ("The image shows a cat.",))),
        ("Blood covers a body.", ["blood", "body"],
         (("The image shows blood.",), ("The image shows a body.",))),
        ("A child is visible.", ["child"], ()),
        ("A cup or a glass is visible.", ["cup", "glass"], ()),
        (TOUCH, [], ()),
        (TOUCH, ["helmet", "dog"], ()),
        ("A child without a helmet is visible.", ["child", "helmet"], ()),
        ("A bottle shaped like a gun is visible.", ["bottle", "gun"], ()),
        ("A drawing of a gun is on a wall.", ["gun", "wall"], ()),
        ("A child does not touch a cup.", ["child", "cup"], ()),
        ("A man sits on a chair or stands at a table.", ["man", "chair", "table"], ()),
    ],
)  # fmt: skip
def test_presence_questions_follow_from_the_objects(
    statement: str, objects: list[str], held: tuple[tuple[str, ...], ...]
) -> None:
    assert presence_of(statement, objects, None) == held


@pytest.mark.parametrize(("name", "on"), [("jurat", True), ("quick", True), ("clue", False),
                                          ("clue-quick", False), ("direct", False)])  # fmt: skip
def test_jurat_and_quick_ask_for_presence(name: str, on: bool) -> None:
    assert PRESETS[name].presence is on
    asked = [q.text for rule in plan(TOUCHING, PRESETS[name]) for c in rule.clauses for a in c.alternatives
             for q in a.questions[1:]]  # fmt: skip
    assert asked == ([CHILD, CUPS] if on else [])


def test_presence_is_asked_in_the_same_pass() -> None:
    model = Scripted({})
    Judge(TOUCHING, model, QUICK).judge(white())
    assert [text for text, shown in model.asked if shown == WHOLE] == [TOUCH, CHILD, CUPS]


# --- what is decided ------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("touch", "child", "cups", "outcome"),
    [
        (0.95, 0.95, 0.95, "broken"),
        (0.95, 0.05, 0.95, "kept"),
        (0.95, 0.95, 0.05, "kept"),
        (0.95, 0.5, 0.95, "undecided"),
        (0.05, 0.95, 0.95, "kept"),
    ],
)
def test_relation_scores_the_least_of_itself_and_its_presence(
    touch: float, child: float, cups: float, outcome: str
) -> None:
    verdict = judged({TOUCH: touch, CHILD: child, CUPS: cups})
    (rule,) = verdict.rules
    assert rule.outcome == outcome and rule.score == pytest.approx(min(touch, child, cups))
    (shown,) = rule.clauses[0].alternatives
    assert [(each.group, each.text, each.score) for each in shown.presence] == [
        (0, CHILD, pytest.approx(child)),
        (1, CUPS, pytest.approx(cups)),
    ]
    assert shown.score == pytest.approx(touch) and verdict.presence is True
    bare = judged({TOUCH: touch, CHILD: child, CUPS: cups}, preset=BARE)
    assert bare.rules[0].score == pytest.approx(touch) and bare.presence is False
    assert bare.rules[0].clauses[0].alternatives[0].presence == ()


def test_negated_relation_holds_when_its_things_are_missing() -> None:
    absent = law({"not": TOUCH, "objects": ["child", "cup", "glass"]})
    assert judged({TOUCH: 0.95, CHILD: 0.05, CUPS: 0.95}, absent).rules[0].outcome == "broken"
    assert judged({TOUCH: 0.95, CHILD: 0.95, CUPS: 0.95}, absent).rules[0].outcome == "kept"


def test_exception_needs_the_things_it_names() -> None:
    constitution = law(
        "A dog is visible.", unless=({"statement": TOUCH, "objects": ["child", "cup", "glass"]},)
    )
    scores = {"A dog is visible.": 0.95, TOUCH: 0.95, CUPS: 0.95}
    assert judged(scores | {CHILD: 0.05}, constitution).rules[0].outcome == "broken"
    assert judged(scores | {CHILD: 0.95}, constitution).rules[0].outcome == "kept"


def test_unanswered_presence_leaves_the_relation_undecided() -> None:
    from jurat.models import YesNo

    silent = YesNo(0.01, 0.01)
    (rule,) = judged({TOUCH: 0.95, CHILD: silent, CUPS: 0.95}).rules
    assert (rule.outcome, rule.reason, rule.score) == ("undecided", "low_mass", None)
    refused = YesNo(0.0, 0.0, Failure("filtered", "No."))
    (rule,) = judged({TOUCH: 0.95, CHILD: 0.95, CUPS: refused}).rules
    assert (rule.outcome, rule.reason) == ("undecided", "filtered")


# --- the bundled model ----------------------------------------------------------------------------


def test_presence_is_asked_about_both_objects_of_a_relation() -> None:
    judge = Judge(law("A ball is larger than a horse."), "bundled", QUICK)
    for seed in range(12):
        wanted = [(parse("A ball is visible."), True), (parse("A horse is visible."), False)]
        image = compose(wanted, np.random.default_rng([18, seed]), size=128).image
        verdict = judge.judge(image)
        assert verdict.outcome == "safe"
        texts = [each.text for each in verdict.rules[0].clauses[0].alternatives[0].presence]
        assert texts == ["A ball is visible.", "A horse is visible."]


def test_presence_keeps_true_relations_broken() -> None:
    judge = Judge(law("A child touches a beer, a cocktail or a wine glass."), "bundled")
    for seed in range(4):
        statement = parse("A child touches a beer, a cocktail or a wine glass.")
        image = compose([(statement, True)], np.random.default_rng([19, seed]), size=128).image
        assert judge.judge(image).outcome == "unsafe"


def test_negation_inside_a_statement_is_refused_when_opened() -> None:
    with pytest.raises(JuratError, match="would answer 1 of the 2 statements") as raised:
        Judge(law("A dog is visible.", "No snake is visible."), "naive")
    assert "write `not: A snake is visible.`" in (raised.value.hint or "")
    with pytest.raises(JuratError) as raised:
        Judge(law({"not": "No snake is visible."}), "naive")
    assert "write `A snake is visible.` without `not:`" in (raised.value.hint or "")
    verdict = Judge(law("No snake is visible."), "naive", allow_unknown=True).judge(white_scene())
    assert (verdict.outcome, verdict.reason) == ("unsure", "out_of_domain")
    whole = Constitution(name="law", rules=(Rule(rule="No snake may be visible."),))
    Judge(whole, "naive", "direct")  # the text of a rule is checked for its words alone


def white_scene() -> Any:
    return compose([(parse("A dog is visible."), True)], np.random.default_rng(1), size=128).image


# --- records --------------------------------------------------------------------------------------


def test_redeciding_uses_the_recorded_presence() -> None:
    scores = {TOUCH: 0.95, CHILD: 0.6, CUPS: 0.95}
    verdict = row_to_verdict(verdict_to_row(judged(scores)))
    strict = law({"statement": TOUCH, "objects": ["child", "cup", "glass"]}, break_above=0.5)
    redecide = Redecider(plan(TOUCHING, QUICK), plan(strict, QUICK), QUICK)
    again = redecide(verdict)
    assert verdict.outcome == "unsure" and again is not None and again.outcome == "unsafe"
    assert again.rules == judged(scores, strict).rules


def test_older_records_are_redecided_without_presence() -> None:
    row = verdict_to_row(judged({TOUCH: 0.7, CHILD: 0.05, CUPS: 0.95}, preset=BARE))
    del row["presence"], row["preset_digest"]
    for rule in row["rules"]:
        for alternative in rule["clauses"][0]["alternatives"]:
            del alternative["presence"]
    verdict = row_to_verdict(row)
    assert verdict.presence is None
    strict = law({"statement": TOUCH, "objects": ["child", "cup", "glass"]}, break_above=0.6)
    again = Redecider(plan(TOUCHING, QUICK), plan(strict, QUICK), QUICK)(verdict)
    assert again is not None and again.outcome == "unsafe"
    assert preset_of_record("quick", None, presence=None) == BARE
    assert preset_of_record("quick", QUICK.digest, presence=True) == QUICK
    found = measure([row], Change(TOUCHING, strict, preset_of_record("quick", None, presence=None)))
    assert (found.items, found.recorded, found.flipped) == (1, 1, 1)


def test_redeciding_a_new_relation_needs_the_model() -> None:
    verdict = judged({"A dog is visible.": 0.9}, law("A dog is visible."))
    more = law("A dog is visible.", {"statement": TOUCH, "objects": ["child", "cup", "glass"]})
    assert Redecider(plan(law("A dog is visible."), QUICK), plan(more, QUICK), QUICK)(verdict) is None


def test_bounds_calibrated_without_presence_are_refused() -> None:
    model = Scripted({})
    judge = Judge(TOUCHING, model, QUICK)
    given: dict[str, Any] = {
        "model": full_name(model), "constitution": TOUCHING.digest, "prompts": judge.prompts, "jurat": "0",
        "images": 60, "images_digest": "0", "debias": 0.0, "shifts": {},
    }  # fmt: skip
    shifted = Calibration(**given)
    assert Judge(TOUCHING, model, QUICK, calibration=shifted).calibration == shifted
    proved = Calibration(**given, rules={"r": Bounds(keep_below=0.2)})
    with pytest.raises(JuratError, match="presence: False, not True"):
        Judge(TOUCHING, model, QUICK, calibration=proved)
    assert Judge(TOUCHING, model, BARE, calibration=proved).calibration == proved
