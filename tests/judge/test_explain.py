from __future__ import annotations

import re
from io import BytesIO

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image

from jurat.constitution import Constitution
from jurat.content import Failure, FailureKind, Item
from jurat.judge import Judge
from jurat.judge.evidence import Evidence
from jurat.judge.logic import item_outcome
from jurat.judge.pipeline import decide_rule
from jurat.judge.plan import plan
from jurat.judge.presets import Preset
from jurat.judge.questions import questions
from jurat.judge.verdict import ItemOutcome, RuleOutcome
from jurat.models import YesNo

from ..models import tiny
from ..videos import video
from .tinted import Tinted, red
from .tinted import law as red_law

PLAIN = Preset("plain")
LAW = Constitution.model_validate(
    {
        "name": "k",
        "rules": [
            {
                "id": "blade",
                "rule": "B",
                "severity": "high",
                "clauses": ["A child is visible.", "A dagger is visible."],
                "unless": ["A police officer is visible."],
            },
            {
                "id": "dog",
                "rule": "D",
                "clauses": [{"any of": ["A dog is visible.", {"not": "A cat is visible."}]}],
            },
        ],
    }
)
PLAN = plan(LAW, PLAIN)
ASKED = questions(PLAN)
YES, NO, HALF = YesNo(0.99, 0.01), YesNo(0.01, 0.99), YesNo(0.5, 0.5)


def failed(kind: FailureKind) -> YesNo:
    return YesNo(0, 0, Failure(kind, "No."))


def explained(*answers: YesNo) -> str:
    """For child, dagger, police officer, dog, cat."""
    template = Judge(LAW, "null")(b"")
    given_ = dict(zip(ASKED, answers, strict=True))
    evidence = Evidence()
    evidence.answers.update(given_)
    rules = tuple(decide_rule(rule, evidence, PLAIN) for rule in PLAN)
    outcome = item_outcome(rules)
    return template.model_copy(update={"rules": rules, "outcome": outcome}).explain()


CHILD, DAGGER = "“A child is visible” (0.99)", "“A dagger is visible” (0.99)"
POLICE, ANIMAL = "“A police officer is visible”", "“A dog is visible or not: A cat is visible”"
KEPT = "All 2 rules are kept. Closest to being broken is"
ESTABLISHED = f"{CHILD} and {DAGGER} are established, and {POLICE}, which would excuse it, is not."
UNDECIDED = "blade (high) and dog could not be decided."
MARGIN = "the model is not sure enough either way."


@pytest.mark.parametrize(
    ("answers", "text"),
    [
        ((YES, YES, NO, NO, YES), f"It breaks blade (high). The grounds: {ESTABLISHED}"),
        ((YES, YES, NO, YES, YES), f"It breaks blade (high) and dog. The grounds of blade: {ESTABLISHED}"),
        ((NO, YES, NO, NO, NO), "It breaks dog. The grounds: “not: A cat is visible” (0.99) is established."),
        ((NO, YES, NO, YES, HALF), "It breaks dog. The grounds: “A dog is visible” (0.99) is established."),
        ((NO, YES, NO, NO, YES), f"{KEPT} blade, but “A child is visible” (0.01) is not established."),
        ((YES, YES, YES, NO, YES), f"{KEPT} blade, but {POLICE} (0.99) excuses it."),
        (
            (HALF, YES, NO, NO, YES),
            "blade (high) could not be decided; the other rule is kept. "
            f"On “A child is visible” (0.50), {MARGIN}",
        ),
        ((YES, failed("refused"), NO, NO, HALF), f"{UNDECIDED} On {ANIMAL} (0.50) of dog, {MARGIN}"),
        (
            (failed("out_of_domain"),) * 5,
            f"{UNDECIDED} The reason is that the image or the words lie outside what the model knows.",
        ),
    ],
)
def test_verdict_is_explained_by_its_findings(answers: tuple[YesNo, ...], text: str) -> None:
    assert explained(*answers) == text


def test_error_is_explained_by_its_message() -> None:
    text = Judge(LAW, "null")(b"").explain()
    assert re.fullmatch(r"It could not be judged: [^.]+\. Nothing is known about it\.", text)


@settings(max_examples=40)
@given(
    st.lists(
        st.sampled_from([YES, NO, HALF, YesNo(0.1, 0.1), failed("refused"), failed("error")]),
        min_size=5,
        max_size=5,
    )
)
def test_explanation_is_two_sentences(answers: list[YesNo]) -> None:
    text = explained(*answers)
    without_numbers = re.sub(r"\d\.\d", "", text)
    assert without_numbers.count(".") == 2
    assert text.endswith(".")


@pytest.mark.parametrize(("outcome", "item"), [("kept", "safe"), ("undecided", "unsure")])
def test_coherent_rule_of_an_older_record_is_explained(outcome: RuleOutcome, item: ItemOutcome) -> None:
    """Each of its clauses holds by itself, and the rule was decided by their joint probability."""
    verdict = Judge(LAW, "null")(tiny.picture(1))
    (first, _) = verdict.rules
    clauses = (clause for clause in first.clauses if clause.role == "clause")
    holding = tuple(clause.model_copy(update={"outcome": "holds"}) for clause in clauses)
    rule = first.model_copy(update={"outcome": outcome, "reason": "margin", "clauses": holding})
    told = verdict.model_copy(update={"outcome": item, "rules": (rule,)}).explain()
    assert told.endswith(".") and told.count(". ") == 1


def test_explanation_counts_rules_after_three() -> None:
    law = Constitution.model_validate(
        {"name": "k", "rules": [{"id": f"r{i}", "rule": "R", "clauses": [f"C{i}"]} for i in range(6)]}
    )
    text = Judge(law, "null?mass=0.1")(_png()).explain()
    assert text.startswith("6 rules, among them r0, r1 and r2, could not be decided. ")


def _png() -> bytes:
    stream = BytesIO()
    tiny.picture(1).save(stream, "PNG")
    return stream.getvalue()


def test_explanation_names_the_parts_that_break_a_rule() -> None:
    judge = Judge(red_law(), Tinted(), "quick")
    assert judge(Item([red(0.1), red(0.9), red(0.1)])).explain().endswith("is established in image 2 of 3.")
    assert judge(Item([red(0.9)] * 2)).explain().endswith("is established in images 1 and 2 of 2.")
    assert judge(Item([red(0.9)] * 5)).explain().endswith("is established in images 1, 2, 3 and 2 more of 5.")
    clip = video([red(share, 32) for share in (0.1, 0.9, 0.9)], fps=2, each=2, crf="1")
    assert judge(clip).explain().endswith("is established in 2 of 3 frames, first at 1.0 seconds.")
    glimpse = video([red(share, 32) for share in [0.1] * 11 + [0.9]], fps=1, crf="1")
    assert judge(Item([glimpse, red(0.9)])).explain().endswith("is established in image 2 of 2.")
    assert judge(Item([glimpse, clip])).explain().endswith("is established in image 2 of 2.")


def test_explanation_counts_the_judged_frames_of_an_animation() -> None:
    frames = [red(0.9 if i > 90 else 0.1 + i / 1000) for i in range(100)]
    stream = BytesIO()
    frames[0].save(stream, "GIF", save_all=True, append_images=frames[1:], duration=50)
    told = Judge(red_law(), Tinted(), "quick")(stream.getvalue()).explain()
    assert told.endswith("is established in 1 of 24 frames.")


def test_explanation_names_the_background_of_a_translucent_picture() -> None:
    red_on_black = Image.new("RGBA", (8, 8), (255, 0, 0, 200))
    verdict = Judge(red_law(), Tinted(), "quick")(red_on_black)
    assert (verdict.kind, verdict.frames, verdict.frames_in_file) == ("image", 2, 1)
    assert verdict.explain().endswith("is established, over white and over black.")
