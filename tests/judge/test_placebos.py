"""The veto of regions: what is taken for true has to hang on its objects more than on places elsewhere."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image

from jurat.constitution import Constitution, Rule
from jurat.judge import Judge, Preset
from jurat.judge.regions import elsewhere
from jurat.judge.verdict import Verdict
from jurat.models import Answer, Failure, Inquiry, YesNo
from jurat.models.vision import Box

from .scripted import WHOLE, Finder, Scripted, box, white

PRESET = Preset("veto", "placebos", placebos=3)
YES, NO = '{"rating": "Yes", "rationale": "There."}', '{"rating": "No", "rationale": "Not there."}'
OBJECTS, ELSEWHERE = "objects", "elsewhere"


class Looking(Scripted):
    """It sees whether its object is painted over, or something else is."""

    def _answer(self, inquiry: Inquiry) -> Answer:
        images = inquiry.prefix.images
        if not images or images[0].tobytes() == white().tobytes():
            return super()._answer(inquiry)
        kind = ELSEWHERE if images[0].getpixel((30, 30)) == (255, 0, 0) else OBJECTS
        found = []
        for question in inquiry.questions:
            text = question.split(": ", 1)[1]
            self.asked.append((text, kind))
            said = self.scores.get((text, kind), 0.5)
            if isinstance(said, Failure):
                return Answer(failure=said)
            assert isinstance(said, float)
            found.append(YesNo(said, 1 - said))
        return Answer(tuple(found))


def rule(id: str, *texts: str, **others: object) -> Rule:
    clauses = [{"statement": text, "objects": ["thing"]} for text in texts]
    return Rule(id=id, rule=f"No {id}.", clauses=tuple(clauses), **others)  # pyright: ignore[reportArgumentType]


def judged(model: Scripted, *rules: Rule, preset: Preset = PRESET, finder: Finder | None = None) -> Verdict:
    found = finder or Finder({"thing": [box("thing")]})
    return Judge(Constitution(name="law", rules=rules), model, preset, detector=found)(white())


@pytest.mark.parametrize(
    ("objects", "elsewhere", "outcome"),
    [
        (0.1, 0.94, "unsafe"),
        (0.94, 0.94, "unsure"),
        (0.1, 0.1, "unsure"),
        (0.85, 0.95, "unsafe"),
        (0.91, 0.95, "unsure"),
        (0.99, 0.95, "unsure"),
    ],
)
def test_an_accepted_statement_has_to_hang_on_its_objects(
    objects: float, elsewhere: float, outcome: str
) -> None:
    model = Looking({("A.", WHOLE): 0.95, ("A.", OBJECTS): objects, ("A.", ELSEWHERE): elsewhere})
    verdict = judged(model, rule("a", "A."))
    (shown,) = verdict.rules[0].clauses[0].alternatives
    assert verdict.outcome == outcome
    assert verdict.reason == (None if outcome == "unsafe" else "margin")
    assert (shown.score_without, shown.scores_on_placebos) == (
        pytest.approx(objects),
        (pytest.approx(elsewhere),) * 3,
    )
    assert shown.vetoed is (outcome == "unsure")
    most = max(shown.score - each for each in shown.scores_on_placebos)  # pyright: ignore[reportOptionalOperand]
    assert shown.vetoed is (shown.score - shown.score_without <= most + PRESET.placebo_gap)  # pyright: ignore[reportOptionalOperand]


@pytest.mark.parametrize(("reply", "outcome"), [(YES, "unsafe"), (NO, "safe"), ("Hm.", "unsure")])
def test_what_is_vetoed_is_reasoned_about_where_the_preset_reasons(reply: str, outcome: str) -> None:
    preset = Preset("veto", "", placebos=3, reason=True, regions=True)
    model = Looking({("A.", WHOLE): 0.95, ("A.", OBJECTS): 0.1, ("A.", ELSEWHERE): 0.1}, {"A.": reply})
    verdict = judged(model, rule("a", "A."), preset=preset)
    assert (verdict.outcome, model.chatted[:1]) == (outcome, ["A."])
    (shown,) = verdict.rules[0].clauses[0].alternatives
    assert shown.decided_by == (None if reply == "Hm." else "reason"), "regions do not settle it"


@pytest.mark.parametrize(
    "finder",
    [
        Finder({}),
        Finder(Failure("error", "No.")),
        Finder(RuntimeError("boom")),
        Finder({"thing": [Box(0, 0, 100, 80, 0.9, "thing")]}),
    ],
)
def test_without_boxes_or_room_for_placebos_there_is_no_veto(finder: Finder) -> None:
    model = Looking({("A.", WHOLE): 0.95, ("A.", OBJECTS): 0.95, ("A.", ELSEWHERE): 0.95})
    verdict = judged(model, rule("a", "A."), finder=finder)
    assert verdict.outcome == "unsafe"
    assert verdict.rules[0].clauses[0].alternatives[0].scores_on_placebos == ()


@pytest.mark.parametrize("where", [OBJECTS, ELSEWHERE])
def test_a_failure_on_the_way_is_no_evidence(where: str) -> None:
    scores: dict[tuple[str, str], float | Failure] = {
        ("A.", WHOLE): 0.95, ("A.", OBJECTS): 0.95, ("A.", ELSEWHERE): 0.95,
    }  # fmt: skip
    model = Looking({**scores, ("A.", where): Failure("refused", "No.")})
    assert judged(model, rule("a", "A.")).outcome == "unsafe"


def test_only_what_would_break_a_rule_is_compared() -> None:
    scores = {("A.", WHOLE): 0.95, ("B.", WHOLE): 0.01, ("C.", WHOLE): 0.5, ("D.", WHOLE): 0.95}
    model = Looking(scores)
    judged(
        model,
        rule("kept", "A.", "B."),
        rule("open", "C."),
        Rule(id="bare", rule="No bare.", clauses=("D.",)),  # pyright: ignore[reportArgumentType]
    )
    assert {kind for _, kind in model.asked} == {WHOLE}


def test_negations_and_exceptions_are_not_compared() -> None:
    model = Looking({("A.", WHOLE): 0.01, ("B.", WHOLE): 0.01})
    negated = Rule(id="n", rule="No n.", clauses=({"not": "A.", "objects": ["thing"]},), unless=("B.",))  # pyright: ignore[reportArgumentType]
    assert judged(model, negated).outcome == "unsafe"
    assert not {kind for _, kind in model.asked} & {OBJECTS, ELSEWHERE}


def test_what_it_takes_is_counted() -> None:
    model = Looking({("A.", WHOLE): 0.95, ("A.", OBJECTS): 0.1, ("A.", ELSEWHERE): 0.95})
    cost = judged(model, rule("a", "A."), rule("b", "A.")).cost
    assert (cost.images, cost.detections) == (1 + 1 + 3, 1), "rules that share a statement share its placebos"


boxes = st.lists(
    st.builds(
        lambda x, y, w, h: Box(x, y, min(x + w, 100.0), min(y + h, 100.0), 0.5, "a"),
        st.floats(0, 80), st.floats(0, 80), st.floats(2, 60), st.floats(2, 60),
    ),
    min_size=1, max_size=4,
)  # fmt: skip


@given(boxes)
def test_placebos_are_equal_boxes_elsewhere(some: list[Box]) -> None:
    found = elsewhere(white(), some, 3)
    assert found == elsewhere(white(), some, 3), "the same image has the same places"
    assert len(found) <= 3
    for places in found:
        sizes = sorted((round(b.x1 - b.x0, 6), round(b.y1 - b.y0, 6)) for b in places)
        assert sizes == sorted((round(b.x1 - b.x0, 6), round(b.y1 - b.y0, 6)) for b in some)
        for i, one in enumerate(places):
            assert one.x0 >= 0 and one.x1 <= 100.0001 and one.y0 >= 0 and one.y1 <= 100.0001
            for other in (*some, *places[:i]):
                apart = one.x1 <= other.x0 or other.x1 <= one.x0 or one.y1 <= other.y0 or other.y1 <= one.y0
                assert apart


def test_places_hang_on_the_image() -> None:
    grey = Image.new("RGB", (100, 100), "grey")
    assert elsewhere(white(), [box("a", 20)], 2) != elsewhere(grey, [box("a", 20)], 2)
    assert len(set(elsewhere(white(), [box("a", 20)], 3))) == 3
