"""What the evidence says of one statement: the numbers behind every decision.

Let M be the score of a statement, P(Yes) / (P(Yes) + P(No)), on the image; on a crop of it, where the object
is small; over the image and moved copies, where it is not certain and the preset has views. Let M0 be the
same without the image, and M- with the central objects painted over.

`log-odds`: the evidence for a statement is p = sigmoid(logit M - a clip(logit M0, -b, b)), with a the
preset's `debias` and b its `prior_limit`; for a negated one it is 1 - p. A clause's evidence is the
largest among its alternatives. It holds above `break_above` and fails below `keep_below`. The score of
a rule is the smallest among its clauses' evidence and, where it has exceptions, 1 minus the smallest
among theirs; an exception is decided by the same thresholds on that 1 minus. So a rule is broken exactly
if its score is above `break_above`, and kept exactly if it is below `keep_below`.

With presence a relation is as true as the least true of itself and of what it takes for granted
(`jurat.judge.presence`): p is the least of its own and of the largest of each group, each debiased alike, and
`clue` decides the conjunction. What was not answered of these leaves the relation undecided.

With a calibration it is p = sigmoid((logit M - a logit M0 - b) / T), with a, b and T as fitted.

`clue`: a statement fails if M - M0 < -0.3 M0, holds if M - M0 > 0.8 (1 - M0), and is undecided
otherwise; the evidence shown is M. Thresholds of rules are not used.

Later stages only decide what is undecided by then: a statement holds if M - M- > `drop`, else it is what
reasoning says. With `log-odds` its evidence then moves to the side of the thresholds that it was decided to.

What was not answered is undecided, whatever its numbers: it is never a No.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from jurat.judge.calibrate.calibration import Calibration
from jurat.judge.item_texts import MISSING
from jurat.judge.logic import SWAPPED, all_of, any_of, gravest
from jurat.judge.odds import sigmoid
from jurat.judge.plan import PlannedAlternative, Question
from jurat.judge.presets import Preset
from jurat.judge.rule_context import Case
from jurat.judge.verdict import (
    AlternativeScore,
    ClauseOutcome,
    PresenceScore,
    Reason,
    Region,
    Stage,
)
from jurat.models import YesNo

OPEN: frozenset[Reason] = frozenset({"margin", "low_mass"})
"""Reasons that looking again may settle; the others are failures, and stay."""


@dataclass(frozen=True)
class Weighed:
    """An alternative as it is shown, and what it adds to its clause."""

    shown: AlternativeScore
    evidence: float | None
    """That the alternative holds, its negation counted in; None if it was not answered."""
    prior: float | None
    """The same without the image, before any debiasing."""


def weigh(alternative: PlannedAlternative, role: str, case: Case) -> Weighed:
    read = alternative.question.reads
    if read is not None and alternative.question not in case.ledger.answers:
        return _without_text(alternative, MISSING[read])
    answer = case.ledger.answers[alternative.question]
    look = case.look(alternative)
    cropped = look.on_crop if look is not None and case.answered(look.on_crop) else None
    viewed = case.over_views(alternative) if cropped is None else None
    seen = cropped or viewed or answer
    # What was stated in text is no probability, and has no prior to take off.
    prior = None if seen.stated else case.priors.get(alternative.question)
    usable = prior if case.answered(prior) else None
    presence = [
        [_presence(number, question, alternative, case) for question in group]
        for number, group in enumerate(alternative.presence)
    ]
    beside = [shown for group in presence for shown, _ in group]
    reason = gravest([_unanswered(seen, prior, usable, case), *(each.reason for each in beside)])
    evidence, outcome = None, "undecided"
    if reason is None:
        own = _judge_statement(alternative.question.label, seen, usable, case)
        present = [[found for _, found in group if found is not None] for group in presence]
        evidence, outcome = _quick(alternative, role, _together(own, present), case)
        reason = "margin" if outcome == "undecided" else None
    stage: Stage | None = None if outcome == "undecided" else "quick" if viewed is None else "views"
    if reason in OPEN:
        stage, outcome, reason = _look_again(alternative, answer, case, reason)
        evidence = _moved(evidence, outcome, role, case)
    shown = AlternativeScore(
        text=alternative.question.text,
        negated=alternative.negated,
        score=answer.score if answer.failure is None and answer.mass > 0 else None,
        baseline=usable.score if usable is not None else None,
        mass=answer.mass if answer.failure is None else None,
        stated=answer.stated,
        outcome=outcome,
        reason=reason,
        decided_by=stage,
        score_over_views=None if viewed is None else viewed.score,
        presence=tuple(beside),
        **_shown_evidence(alternative, case),
    )
    before = None if usable is None else 1 - usable.score if alternative.negated else usable.score
    return Weighed(shown, evidence, before)


def _without_text(alternative: PlannedAlternative, reason: Reason) -> Weighed:
    """Of a statement about a text that the item lacks: nothing was asked, and nothing is known."""
    shown = AlternativeScore(
        text=alternative.question.text,
        negated=alternative.negated,
        score=None,
        baseline=None,
        mass=None,
        reason=reason,
    )
    return Weighed(shown, None, None)


def _presence(
    group: int, question: Question, alternative: PlannedAlternative, case: Case
) -> tuple[PresenceScore, tuple[float, ClauseOutcome] | None]:
    """What a relation takes for granted, as it is shown, and how true it is; None where that is not known."""
    answer = case.ledger.answers[question]
    viewed = case.over_views(alternative, question)
    seen = viewed or answer
    prior = None if seen.stated else case.priors.get(question)
    usable = prior if case.answered(prior) else None
    reason = _unanswered(seen, prior, usable, case)
    shown = PresenceScore(
        group=group,
        text=question.text,
        score=answer.score if answer.failure is None and answer.mass > 0 else None,
        baseline=usable.score if usable is not None else None,
        mass=answer.mass if answer.failure is None else None,
        stated=answer.stated,
        score_over_views=None if viewed is None else viewed.score,
        reason=reason,
    )
    return shown, _judge_statement(question.label, seen, usable, case) if reason is None else None


def _together(
    own: tuple[float, ClauseOutcome], present: Sequence[Sequence[tuple[float, ClauseOutcome]]]
) -> tuple[float, ClauseOutcome]:
    """How true a statement is, with what it takes for granted: one of each group."""
    groups: list[tuple[float, ClauseOutcome]] = [
        (max(score for score, _ in group), any_of(outcome for _, outcome in group)) for group in present
    ]
    each = [own, *groups]
    return min(score for score, _ in each), all_of(outcome for _, outcome in each)


def _quick(
    alternative: PlannedAlternative, role: str, statement: tuple[float, ClauseOutcome], case: Case
) -> tuple[float, ClauseOutcome]:
    """The evidence that an alternative holds, and what the quick stage makes of it."""
    holds, outcome = statement
    evidence = 1 - holds if alternative.negated else holds
    if case.preset.decides == "clue":
        return evidence, SWAPPED[outcome] if alternative.negated else outcome
    # An exception that holds speaks for keeping the rule, so it is its negation that is put to the
    # thresholds.
    if role == "unless":
        return evidence, SWAPPED[case.thresholds.decide(1 - evidence)]
    return evidence, case.thresholds.decide(evidence)


def _look_again(
    alternative: PlannedAlternative, answer: YesNo, case: Case, reason: Reason | None
) -> tuple[Stage | None, ClauseOutcome, Reason | None]:
    """What regions and then reasoning make of an undecided alternative; `answer` is on the whole image."""
    look = case.look(alternative)
    true, false = ("fails", "holds") if alternative.negated else ("holds", "fails")
    painted = look.without if look is not None and case.answered(look.without) else None
    if painted is not None and case.answered(answer) and answer.score - painted.score > case.preset.drop:
        return "regions", true, None
    thought = case.thought(alternative)
    if thought is None:
        return None, "undecided", reason
    if thought.rating is None:
        return None, "undecided", thought.failure.kind if thought.failure is not None else "unparsed"
    return "reason", true if thought.rating else false, None


def _moved(evidence: float | None, outcome: ClauseOutcome, role: str, case: Case) -> float | None:
    """The evidence on the side of the thresholds that a later stage decided to, in the old order there."""
    if outcome == "undecided" or case.preset.decides == "clue":
        return evidence
    keep, break_ = case.thresholds.keep, case.thresholds.break_
    if role == "unless":
        keep, break_ = 1 - break_, 1 - keep
    share = 0.5 if evidence is None else evidence
    return break_ + (1 - break_) * (0.5 + share / 2) if outcome == "holds" else keep * share / 2


def _shown_evidence(alternative: PlannedAlternative, case: Case) -> dict[str, Any]:
    """What later stages saw, as fields of `AlternativeScore`."""
    look = case.look(alternative)
    thought = case.thought(alternative)
    shown: dict[str, Any] = {}
    if look is not None:
        shown["regions"] = tuple(
            Region(word=b.word, score=b.score, x0=b.x0, y0=b.y0, x1=b.x1, y1=b.y1) for b in look.boxes
        )
        for name, answer in (("score_on_crop", look.on_crop), ("score_without", look.without)):
            if answer is not None and case.answered(answer):
                shown[name] = answer.score
    if thought is not None:
        shown["rating"] = None if thought.rating is None else "Yes" if thought.rating else "No"
        shown["rationale"] = thought.rationale or (thought.failure.reason if thought.failure else None)
    return shown


def _unanswered(answer: YesNo, prior: YesNo | None, usable: YesNo | None, case: Case) -> Reason | None:
    """Why a statement cannot be decided whatever its score; None where it can."""
    if answer.failure is not None:
        return answer.failure.kind
    if answer.mass < case.preset.min_mass:
        return "low_mass"
    if not case.preset.needs_prior or usable is not None or answer.stated:
        return None
    # A prior that could not be had today may be had tomorrow: scores with and without it must not mix in
    # one run.
    if prior is None or (prior.failure is not None and prior.failure.kind == "error"):
        return "error"
    # A model that never answers without an image has no prior to take off. The paper's rule is not defined
    # then.
    return "low_mass" if case.preset.decides == "clue" else None


def _judge_statement(
    text: str, answer: YesNo, prior: YesNo | None, case: Case
) -> tuple[float, ClauseOutcome]:
    """The evidence that a statement as put is true, and, for `clue`, its outcome."""
    preset, prior_log_odds = case.preset, prior.log_odds if prior is not None else None
    if preset.decides == "log-odds":
        if case.calibration is not None and not answer.stated:
            return sigmoid(calibrated(answer.log_odds, prior_log_odds, text, case.calibration)), "undecided"
        return sigmoid(debiased(answer.log_odds, prior_log_odds, preset)), "undecided"
    if preset.debias == 0 or prior is None:
        return answer.score, "holds" if answer.score > 0.5 else "fails"
    return answer.score, _clue(answer.score, prior.score, preset)


def calibrated(log_odds: float, prior_log_odds: float | None, text: str, fitted: Calibration) -> float:
    """The log-odds of a statement after all that was fitted: prior, shift and temperature."""
    prior = fitted.debias * (prior_log_odds or 0.0)
    return (log_odds - prior - fitted.shifts.get(text, 0.0)) / fitted.temperature


def _clue(m: float, m0: float, preset: Preset) -> ClauseOutcome:
    if m - m0 > preset.accept * (1 - m0):
        return "holds"
    return "fails" if m - m0 < -preset.reject * m0 else "undecided"


def debiased(log_odds: float, prior_log_odds: float | None, preset: Preset) -> float:
    """The log-odds of a statement with a share of its bounded language prior taken off; no prior takes off
    nothing."""
    if prior_log_odds is None:
        return log_odds
    bounded = max(-preset.prior_limit, min(preset.prior_limit, prior_log_odds))
    return log_odds - preset.debias * bounded
