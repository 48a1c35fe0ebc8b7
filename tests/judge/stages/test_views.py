"""The stage `views`: statements re-asked on shifted copies of the image."""

from __future__ import annotations

import math

import numpy as np
import pytest
from PIL import Image

from jurat.constitution import Constitution, Rule
from jurat.content import Failure
from jurat.judge import Judge, Preset
from jurat.judge.stages.quick import Quick
from jurat.judge.stages.views import DIAGONALS, Views, averaged, shifted
from jurat.judge.verdict import Verdict
from jurat.models import YesNo

from ..scripted import NONE, PAINTED, WHOLE, Scripted, white

PRESET = Preset("looks", "second looks", (Quick(), Views(0.02)))
COPY = PAINTED
"""What the scripted model calls any picture that is not the whole one."""


def judged(model: Scripted, *clauses: str, preset: Preset = PRESET) -> Verdict:
    rule = Rule(id="r", rule="No things.", clauses=clauses)  # pyright: ignore[reportArgumentType]
    return Judge(Constitution(name="one", rules=(rule,)), model, preset)(white())


@pytest.mark.parametrize("size", [(100, 100), (64, 200), (7, 5)])
def test_views_are_the_image_shifted_along_the_diagonals(size: tuple[int, int]) -> None:
    rng = np.random.default_rng(0)
    image = Image.fromarray(rng.integers(0, 256, (size[1], size[0], 3), dtype=np.uint8))
    original = np.asarray(image)
    wide, high = max(1, round(0.04 * size[0])), max(1, round(0.04 * size[1]))
    copies = shifted(image)
    assert [copy.size for copy in copies] == [size] * len(DIAGONALS)
    for copy, (x, y) in zip(copies, DIAGONALS, strict=True):
        rows = np.clip(np.arange(size[1]) + y * high, 0, size[1] - 1)
        columns = np.clip(np.arange(size[0]) + x * wide, 0, size[0] - 1)
        np.testing.assert_array_equal(np.asarray(copy), original[rows][:, columns])


def test_answers_are_averaged_in_log_odds() -> None:
    assert averaged([YesNo(0.9, 0.1), YesNo(0.1, 0.9)]) == pytest.approx(0.0)
    assert averaged([YesNo(0.8, 0.2), YesNo(0.5, 0.5)]) == pytest.approx(math.log(4) / 2)


@pytest.mark.parametrize(
    ("first", "copies", "outcome", "stage"),
    [
        (0.99, 0.01, "broken", "quick"),
        (0.01, 0.99, "kept", "quick"),
        (0.97, 0.01, "kept", "views"),
        (0.6, 0.97, "broken", "views"),
        (0.5, 0.5, "undecided", None),
    ],
)
def test_only_uncertain_statements_are_asked_on_views(
    first: float, copies: float, outcome: str, stage: str | None
) -> None:
    model = Scripted({("A.", WHOLE): first, ("A.", NONE): 0.5, ("A.", COPY): copies})
    (rule,) = judged(model, "A.").rules
    assert (rule.outcome, rule.decided_by) == (outcome, stage)
    assert [kind for _, kind in model.asked].count(COPY) == (0 if stage == "quick" else 4)
    shown = rule.clauses[0].alternatives[0]
    assert (shown.score_over_views is None) == (stage == "quick")
    assert shown.score == pytest.approx(first)


def test_views_skip_statements_that_cannot_change_the_rule() -> None:
    model = Scripted({("A.", WHOLE): 0.6, ("B.", WHOLE): 0.001})
    assert judged(model, "A.", "B.").outcome == "safe"
    assert not any(kind == COPY for _, kind in model.asked)


@pytest.mark.parametrize(
    "wrong",
    [Failure("refused", "No."), RuntimeError("boom"), YesNo(0, 0, Failure("error", "No.")), YesNo(0.1, 0)],
)
def test_unanswered_views_are_no_evidence(wrong: Failure | Exception | YesNo) -> None:
    model = Scripted({("A.", WHOLE): 0.6, ("A.", COPY): wrong})
    verdict = judged(model, "A.")
    assert (verdict.outcome, verdict.reason) == ("unsure", "margin")
    assert verdict.rules[0].clauses[0].alternatives[0].score_over_views is None


def test_views_skip_statements_of_low_mass() -> None:
    model = Scripted({("A.", WHOLE): YesNo(0.1, 0.05), ("A.", COPY): 0.9})
    verdict = judged(model, "A.")
    assert (verdict.outcome, verdict.reason) == ("unsure", "low_mass")
    assert not any(kind == COPY for _, kind in model.asked)


def test_rule_does_not_use_views_that_another_rule_asked_for() -> None:
    scores = {("A.", WHOLE): 0.9, ("A.", COPY): 0.2, ("B.", WHOLE): 0.001}
    rules = (
        Rule(id="sure", rule="No a b.", clauses=("A.", "B.")),  # pyright: ignore[reportArgumentType]
        Rule(id="open", rule="No a.", clauses=("A.",)),  # pyright: ignore[reportArgumentType]
    )
    together = Judge(Constitution(name="two", rules=rules), Scripted(scores), PRESET)(white())
    alone = Judge(Constitution(name="one", rules=rules[:1]), Scripted(scores), PRESET)(white())
    assert together.rules[0] == alone.rules[0]
    assert together.rules[1].decided_by != "quick"
