"""The stages together: what each is asked, and the effect of failures."""

from __future__ import annotations

import random
from collections.abc import Sequence
from dataclasses import dataclass, field

import pytest
from PIL import Image

from jurat.constitution import Constitution, Rule
from jurat.content import Failure, FailureKind
from jurat.errors import JuratError
from jurat.judge import Judge, Preset, verdict_to_row
from jurat.judge.decision import LogOdds
from jurat.judge.stages import Crop, Points, Quick, Reason, Regions, Relevance
from jurat.judge.verdict import Verdict
from jurat.models import YesNo

from .scripted import CROP, NONE, PAINTED, WHOLE, Alike, Finder, Scripted, box, white

FULL = Preset(
    "full", "all stages", (Relevance(), Quick(), Crop(0.01), Regions(), Reason()), LogOdds(debias=0.25)
)
KINDS: list[FailureKind] = ["refused", "filtered", "unparsed", "out_of_domain", "error"]
NO_MASS = YesNo(0.1, 0.1)


def law(*rules: Rule) -> Constitution:
    return Constitution(name="law", rules=rules)


def rule(id: str, *texts: str, objects: bool = True) -> Rule:
    clauses = [{"statement": text, "objects": ["thing"]} if objects else text for text in texts]
    return Rule(id=id, rule=f"No {id}.", clauses=tuple(clauses))  # pyright: ignore[reportArgumentType]


def judged(
    model: Scripted,
    *rules: Rule,
    finder: Finder | None = None,
    alike: Alike | None = None,
    preset: Preset = FULL,
    without: tuple[str, ...] = (),
) -> Verdict:
    judge = Judge(
        law(*rules),
        model,
        preset,
        detector=finder or Finder({"thing": [box("thing")]}),
        matcher=alike or Alike(lambda text: 1.0),
        without=without,
    )
    return judge(white())


UNDECIDED = {("A.", WHOLE): 0.6, ("A.", NONE): 0.5, ("A.", PAINTED): 0.5}
YES, NO = '{"rating": "Yes", "rationale": "There."}', '{"rating": "No", "rationale": "Not there."}'


@pytest.mark.parametrize(
    ("replies", "outcome", "reason"),
    [
        (YES, "unsafe", None),
        (NO, "safe", None),
        (["First I look.", YES], "unsafe", None),
        (["I cannot say.", "Still not."], "unsure", "refused"),
        (["Perhaps.", "Still not sure."], "unsure", "unparsed"),
        ("I'm sorry, but I can't help with that.", "unsure", "refused"),
        (["Hm.", '{"rating": "Maybe", "rationale": ""}'], "unsure", "unparsed"),
        *((Failure(kind, "No."), "unsure", kind) for kind in KINDS),
        (RuntimeError("out of memory"), "unsure", "error"),
    ],
)
def test_replies_of_reasoning_decide_or_leave_undecided(
    replies: str | list[str] | Failure | Exception, outcome: str, reason: str | None
) -> None:
    verdict = judged(Scripted(UNDECIDED, {"A.": replies}), rule("a", "A."))
    assert (verdict.outcome, verdict.reason) == (outcome, reason)


def test_record_names_the_form_of_reasoning() -> None:
    reasoned = judged(Scripted(UNDECIDED, {"A.": YES}), rule("a", "A."))
    assert reasoned.reasoning == "full"
    plain = judged(Scripted(UNDECIDED), rule("a", "A."), without=("reason",))
    assert plain.reasoning is None and plain.prompts != reasoned.prompts
    small = Judge("shelf:nursery", "bundled", "clue")
    verdict = small(white())
    assert (verdict.reasoning, verdict.prompts) == ("short", small.prompts)


@pytest.mark.parametrize("kind", KINDS)
def test_failures_of_the_quick_stage_are_not_reasoned_about(kind: FailureKind) -> None:
    """A failed answer to one statement stays; what could not be answered at all is not judged further."""
    alone = Scripted({("A.", WHOLE): YesNo(0, 0, Failure(kind, "No."))}, {"A.": YES})
    verdict = judged(alone, rule("a", "A."))
    assert (verdict.outcome, verdict.reason, alone.chatted) == ("unsure", kind, [])
    whole = Scripted({("A.", WHOLE): Failure(kind, "No.")}, {"A.": YES})
    verdict = judged(whole, rule("a", "A."))
    assert verdict.outcome == ("error" if kind == "error" else "unsure")
    assert (verdict.reason, whole.chatted) == (kind, [])


def test_exception_in_the_quick_stage_is_an_error_verdict() -> None:
    verdict = judged(Scripted({("A.", WHOLE): RuntimeError("boom")}), rule("a", "A."))
    assert (verdict.outcome, verdict.reason) == ("error", "error")
    assert verdict.error == "The model raised RuntimeError: boom"


def test_reasoning_may_settle_answers_of_low_mass() -> None:
    model = Scripted({**UNDECIDED, ("A.", WHOLE): NO_MASS}, {"A.": YES})
    assert judged(model, rule("a", "A.")).outcome == "unsafe"
    assert judged(Scripted({**UNDECIDED, ("A.", WHOLE): NO_MASS}), rule("a", "A.")).reason == "unparsed"


@pytest.mark.parametrize("wrong", [*(Failure(kind, "No.") for kind in KINDS), RuntimeError("boom")])
@pytest.mark.parametrize("where", ["detector", "matcher", "painted", "crop"])
def test_failures_of_other_stages_change_no_outcome(where: str, wrong: Failure | Exception) -> None:
    """Scores alone would leave it undecided, and reasoning says nothing: nor does the failure."""
    scores = dict(UNDECIDED)
    finder, alike = Finder({"thing": [box("thing", 8 if where == "crop" else 40)]}), Alike(lambda text: 1.0)
    if where == "detector":
        finder = Finder(wrong)
    elif where == "matcher":
        alike.failing = wrong
    else:
        scores["A.", PAINTED if where == "painted" else CROP] = wrong  # pyright: ignore[reportArgumentType]
    verdict = judged(Scripted(scores), rule("a", "A."), finder=finder, alike=alike, without=("reason",))
    assert (verdict.outcome, verdict.reason) == ("unsure", "margin")
    sure = judged(Scripted({**scores, ("A.", WHOLE): 0.99}), rule("a", "A."), finder=finder, alike=alike)
    assert sure.outcome == "unsafe"


def test_record_holds_the_evidence_of_every_stage() -> None:
    model = Scripted(
        {("A.", WHOLE): 0.7, ("A.", NONE): 0.5, ("A.", PAINTED): 0.05, ("B.", WHOLE): 0.6, ("B.", NONE): 0.4},
        {"B.": 'Look. {"rating": "No", "rationale": "It is elsewhere."}'},
    )
    row = verdict_to_row(judged(model, rule("both", "A.", "B.")))
    first, second = row["rules"][0]["clauses"]
    a, b = first["alternatives"][0], second["alternatives"][0]
    assert (row["rules"][0]["outcome"], row["rules"][0]["decided_by"]) == ("kept", "reason")
    assert (a["outcome"], a["decided_by"]) == ("holds", "regions")
    assert a["score"] - a["score_without"] == pytest.approx(0.65)
    assert a["regions"] == [{"word": "thing", "score": 0.9, "x0": 10, "y0": 10, "x1": 50, "y1": 50}]
    assert (b["outcome"], b["decided_by"]) == ("fails", "reason")
    assert (b["rating"], b["rationale"]) == ("No", "It is elsewhere.")
    assert (row["rules"][0]["relevance"], row["relevant_above"]) == (1.0, 0.22)
    assert (row["detector"], row["matcher"]) == ("finder@1", "alike@1")
    assert row["cost"] == {
        "images": 3, "question_tokens": 60, "generated_tokens": 5, "detections": 1, "scans": 1,
        "dollars": None,
    }  # fmt: skip


def test_later_stages_skip_statements_that_cannot_change_the_outcome() -> None:
    scores = {("A.", WHOLE): 0.5, ("B.", WHOLE): 0.01, ("C.", WHOLE): 0.5, ("D.", WHOLE): 0.99}
    model = Scripted(scores, {"C.": YES})
    judged(model, rule("settled", "A.", "B."), rule("open", "C.", "D."))
    assert model.chatted == ["C."]
    assert [text for text, kind in model.asked if kind == PAINTED] == ["C."]


def test_irrelevant_rule_is_kept_by_the_relevance_stage() -> None:
    model = Scripted({("B.", WHOLE): 0.99})
    verdict = judged(
        model,
        Rule(id="a", rule="No a.", description="far away", clauses=("A.",)),  # pyright: ignore[reportArgumentType]
        rule("b", "B."),
        alike=Alike(lambda text: 0.1 if text == "far away" else 0.5),
    )
    skipped = verdict.rules[0]
    assert (skipped.outcome, skipped.decided_by, skipped.relevance, skipped.clauses) == (
        "kept",
        "relevance",
        0.1,
        (),
    )
    assert not any(text == "A." for text, kind in model.asked if kind != NONE)
    assert verdict.broken == ("b",)


@dataclass
class Limited(Alike):
    """A matcher that knows no zebras, and is failed by them."""

    matched: list[str] = field(default_factory=list)

    def match(self, images: Sequence[Image.Image], texts: Sequence[str]) -> list[list[float] | Failure]:
        self.matched += texts
        if any("zebra" in text for text in texts):
            return [Failure("out_of_domain", "zebra") for _ in images]
        return super().match(images, texts)

    def unknown_words(self, text: str) -> list[str]:
        return [word for word in text.rstrip(".").split() if word == "zebra"]


def test_rule_with_unknown_words_is_relevant_and_others_are_scanned() -> None:
    alike = Limited(lambda text: 0.1)
    model = Scripted({("A.", WHOLE): 0.99, ("B.", WHOLE): 0.99})
    verdict = judged(model, rule("zebra", "A."), rule("b", "B."), alike=alike)
    strange, other = verdict.rules
    assert (strange.outcome, strange.relevance, strange.unscanned) == ("broken", None, "out_of_domain")
    assert (other.outcome, other.decided_by, other.relevance, other.unscanned) == (
        "kept",
        "relevance",
        0.1,
        None,
    )
    assert alike.matched == ["No b."]


def test_matcher_is_not_called_when_it_knows_no_rule() -> None:
    alike = Limited(lambda text: 0.1)
    verdict = judged(Scripted({("A.", WHOLE): 0.99}), rule("zebra", "A."), alike=alike)
    assert (verdict.outcome, verdict.cost.scans, alike.matched) == ("unsafe", 0, [])


def test_failure_of_the_matcher_is_recorded_with_each_rule() -> None:
    alike = Alike(lambda text: 0.1, failing=Failure("error", "No."))
    verdict = judged(Scripted({("A.", WHOLE): 0.99}), rule("a", "A."), alike=alike)
    assert (verdict.outcome, verdict.rules[0].unscanned, verdict.cost.scans) == ("unsafe", "error", 1)


def test_explanation_says_that_no_rule_is_relevant() -> None:
    verdict = judged(Scripted({}), rule("a", "A."), alike=Alike(lambda text: 0.0))
    assert verdict.outcome == "safe"
    assert verdict.explain() == "Its one rule is kept. The image does not resemble what it forbids."


@pytest.mark.parametrize(
    ("part", "outcome"),
    [
        ("relevance", "unsafe"), ("regions", "unsure"), ("crop", "safe"), ("reason", "unsure"),
        ("debias", "safe"), ("clauses", "safe"),
    ],
)  # fmt: skip
def test_parts_of_a_preset_are_left_out_by_name(part: str, outcome: str) -> None:
    scores = {
        "relevance": {("A.", WHOLE): 0.99},
        "regions": {("A.", WHOLE): 0.7, ("A.", PAINTED): 0.01},
        "crop": {("A.", WHOLE): 0.01, ("A.", CROP): 0.99},
        "reason": {("A.", WHOLE): 0.6},
        "debias": {("A.", WHOLE): 0.15, ("A.", NONE): 0.01},
        "clauses": {("A.", WHOLE): 0.99, ("No a.", WHOLE): 0.01},
    }[part]
    with_it = {"relevance": "safe", "regions": "unsafe", "crop": "unsafe", "reason": "unsafe"}
    alike = Alike(lambda text: 0.0 if part == "relevance" else 1.0)
    finder = Finder({"thing": [box("thing", 8 if part == "crop" else 40)]})
    rest = tuple({"reason"} - {part}) if part != "reason" else ()

    def run(without: tuple[str, ...]) -> Verdict:
        model = Scripted(scores, {"A.": YES})
        return judged(model, rule("a", "A."), finder=finder, alike=alike, without=without)

    before = run(rest)
    assert before.outcome == with_it.get(part, "unsure" if part == "debias" else "unsafe")
    after = run((*rest, part))
    assert after.outcome == outcome
    assert after.preset == f"full{''.join(f'-no-{name}' for name in (*rest, part))}"


POINTING = Preset("pointing", "shows where", (Quick(), Points()))


def test_only_broken_rules_record_regions_of_their_objects() -> None:
    model = Scripted({("A.", WHOLE): 0.99, ("B.", WHOLE): 0.01, ("C.", WHOLE): 0.5})
    finder = Finder({"thing": [box("thing")]})
    rules = rule("broken", "A."), rule("kept", "A.", "B."), rule("open", "C.")
    verdict = judged(model, *rules, finder=finder, preset=POINTING)
    shown = {r.id: [a.regions for c in r.clauses for a in c.alternatives] for r in verdict.rules}
    assert [region.word for (regions,) in [shown["broken"]] for region in regions] == ["thing"]
    assert (shown["kept"], shown["open"]) == ([(), ()], [()])
    assert finder.searched == [("thing",)]
    assert verdict.rules[0].decided_by == "quick"


@pytest.mark.parametrize(
    "finder", [Finder({}), Finder(Failure("error", "No.")), Finder(RuntimeError("boom"))]
)
def test_points_stage_changes_no_outcome_when_it_finds_nothing(finder: Finder) -> None:
    model = Scripted({("A.", WHOLE): 0.99})
    verdict = judged(model, rule("a", "A."), finder=finder, preset=POINTING)
    assert (verdict.outcome, verdict.rules[0].clauses[0].alternatives[0].regions) == ("unsafe", ())


def test_points_stage_is_skipped_without_a_detector() -> None:
    judge = Judge(law(rule("a", "A.")), Scripted({("A.", WHOLE): 0.99}), POINTING)
    assert judge.detector is None
    assert judge(white()).outcome == "unsafe"


def test_unknown_part_is_refused_with_a_suggestion() -> None:
    with pytest.raises(JuratError, match="There is no part 'region' to leave out") as raised:
        FULL.without(["region"])
    assert raised.value.hint == "Did you mean 'regions'?"


@pytest.mark.parametrize(("kind", "parts"), [("detector", "regions"), ("matcher", "relevance")])
def test_missing_detector_or_matcher_is_refused(kind: str, parts: str) -> None:
    eyes = {"detector": Finder({}), "matcher": Alike(lambda text: 1.0)}
    eyes[kind] = None  # pyright: ignore[reportArgumentType]
    with pytest.raises(JuratError, match=f"'clue' needs a {kind}, and none was named") as raised:
        Judge(law(rule("a", "A.")), Scripted({}), "clue", **eyes)  # pyright: ignore[reportArgumentType]
    assert f"--without {parts}" in (raised.value.hint or "")


def test_message_names_all_missing_models_at_once() -> None:
    with pytest.raises(
        JuratError, match="'clue' needs a detector and a matcher, and neither was named"
    ) as raised:
        Judge(law(rule("a", "A.")), Scripted({}), "clue", matcher="none")
    hint = raised.value.hint or ""
    assert hint.startswith("Name them: --detector hf/google/owlv2") and "--matcher hf/openai/clip" in hint
    without = hint.partition("leave out what needs them: ")[2].replace("--without ", "").split()
    assert without == ["crop", "regions", "relevance"]
    Judge(law(rule("a", "A.")), Scripted({}), "clue", without=without)


def test_each_rule_is_judged_alone() -> None:
    """Whatever else the constitution says, a rule's finding is the same."""
    rng = random.Random(3)
    scores = {(f"S{i}.", kind): rng.random() for i in range(8) for kind in (WHOLE, NONE, PAINTED)}
    replies = {f"S{i}.": rng.choice([YES, NO, "Hm."]) for i in range(8)}
    finder = Finder({"thing": [box("thing")]})
    for _ in range(60):
        rules = [
            rule(
                f"r{n}",
                *(f"S{i}." for i in rng.sample(range(8), rng.randint(1, 3))),
                objects=rng.random() < 0.5,
            )
            for n in range(rng.randint(1, 5))
        ]
        together = judged(Scripted(scores, replies), *rules, finder=finder)
        for one, found in zip(rules, together.rules, strict=True):
            (alone,) = judged(Scripted(scores, replies), one, finder=finder).rules
            assert alone == found
