"""Decides a verdict again, under an edited constitution, from what its record holds.

The evidence of every statement is in the record, so most edits cost no call of a model: thresholds, logic,
exceptions, rules that are gone, rules made of statements that were asked. What the record does not hold is
never guessed: then there is no answer here, and the image has to be judged anew.
"""

from __future__ import annotations

import uuid
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any, cast

from jurat import __version__
from jurat.content import Failure, FailureKind
from jurat.judge.calibrate.calibration import Calibration
from jurat.judge.decide import (
    decide_rule,
    gravest,
    is_relevant,
    item_outcome,
    open_alternatives,
    uncertain_alternatives,
)
from jurat.judge.evidence import Ledger, Located, Look, Priors, Reasoned
from jurat.judge.item_texts import ItemTexts
from jurat.judge.plan import PlannedAlternative, PlannedRule, Question, questions
from jurat.judge.presets import Preset, check_made_without
from jurat.judge.prompts import TextPart
from jurat.judge.verdict import AlternativeScore, Finding, PresenceScore, RuleFinding, Verdict
from jurat.models import YesNo

if TYPE_CHECKING:
    from jurat.constitution import Constitution, Rule

_KINDS: frozenset[str] = frozenset(("refused", "filtered", "unparsed", "out_of_domain", "error"))


@dataclass(frozen=True)
class Redecider:
    """Two constitutions under one preset: the one that items were judged under, and the edited one."""

    old: Sequence[PlannedRule]
    new: Sequence[PlannedRule]
    preset: Preset
    calibration: Calibration | None = None

    def __call__(self, verdict: Verdict) -> Verdict | None:
        """The verdict under the edited constitution; None where its record does not hold what that takes.

        An item that could not be judged, or was decided by its known content, stays as it is.

        Raises:
            JuratError: the verdict was made with a part that jurat no longer has.
        """
        check_made_without(verdict.preset)
        if verdict.outcome == "error" or verdict.basis == "known_match":
            return verdict
        if verdict.frames != 1:  # of several frames the record holds each rule's worst one
            return None
        old, new = self._plans(verdict)
        evidence = _Evidence.of(verdict, old, new, self.preset, self.calibration)
        if any(evidence.lacks(rule, self.preset, self.calibration) for rule in new):
            return None
        findings = tuple(
            decide_rule(
                rule,
                evidence.ledger,
                evidence.priors,
                self.preset,
                frame=verdict.frame,
                calibration=self.calibration,
            )
            for rule in new
        )
        return _with(verdict, findings)

    def _plans(self, verdict: Verdict) -> tuple[Sequence[PlannedRule], Sequence[PlannedRule]]:
        """What was asked, and what would be: with what relations were held against as it is on record.

        Older records hold no presence, and verdicts that were reached without are decided again without.
        """
        found = {finding.id: finding for finding in verdict.rules}
        held = {
            Located.of(alternative): _groups(shown)
            for planned in self.old
            for alternative, shown in _alternatives(planned, found[planned.rule.id])
        }

        def as_judged(alternative: PlannedAlternative) -> PlannedAlternative:
            own = alternative.presence if verdict.presence else ()
            return replace(alternative, presence=held.get(Located.of(alternative), own))

        each = (a for rule in (*self.old, *self.new) for clause in rule.clauses for a in clause.alternatives)
        if all(as_judged(one).presence == one.presence for one in each):
            return self.old, self.new
        plans = [
            [
                replace(
                    rule,
                    clauses=tuple(
                        replace(clause, alternatives=tuple(map(as_judged, clause.alternatives)))
                        for clause in rule.clauses
                    ),
                )
                for rule in rules
            ]
            for rules in (self.old, self.new)
        ]
        return plans[0], plans[1]


def renewed(before: Verdict, after: Verdict, law: Constitution) -> Verdict:
    """The verdict that takes the place of `before` in its run: `after`, which is the same decided again under
    `law`. One that says something else is a decision of its own, with its own time."""
    update: dict[str, Any] = {
        "constitution": f"{law.name}@{law.digest}",
        "thresholds": law.thresholds_digest,
    }
    if _said(before) != _said(after):
        # Made from the old one and what it was decided under: of what was taken over from a near duplicate
        # the original gets the very name that the copy gives it.
        update["decision"] = _successor(before.decision, law)
        update["reused"] = None if before.reused is None else _successor(before.reused, law)
        update["time"] = datetime.now(UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")
        update["jurat"] = __version__
    return after.model_copy(update=update)


def _said(verdict: Verdict) -> object:
    return verdict.outcome, [(rule.id, rule.outcome, rule.severity, rule.action) for rule in verdict.rules]


def _successor(decision: str, law: Constitution) -> str:
    return str(uuid.uuid5(uuid.NAMESPACE_OID, f"{decision} {law.digest} {law.thresholds_digest}"))


def _with(verdict: Verdict, findings: tuple[RuleFinding, ...]) -> Verdict:
    outcome = item_outcome(findings)
    return verdict.model_copy(
        update={
            "rules": _still_pointed(verdict, findings),
            "outcome": outcome,
            "broken": tuple(finding.id for finding in findings if finding.outcome == "broken"),
            "reason": gravest(finding.reason for finding in findings) if outcome == "unsure" else None,
        }
    )


def _still_pointed(verdict: Verdict, findings: tuple[RuleFinding, ...]) -> tuple[RuleFinding, ...]:
    """The findings with the boxes that the record has, also of rules that nobody would have pointed at now:
    deciding otherwise and back loses none."""
    boxes = {
        (rule.id, each.text): each.regions
        for rule in verdict.rules
        for clause in rule.clauses
        for each in clause.alternatives
        if each.regions
    }
    if not boxes:
        return findings

    def pointed(id: str, each: AlternativeScore) -> AlternativeScore:
        known = boxes.get((id, each.text), ())
        return each.model_copy(update={"regions": known}) if known and not each.regions else each

    def shown(id: str, clause: Finding) -> Finding:
        return clause.model_copy(
            update={"alternatives": tuple(pointed(id, each) for each in clause.alternatives)}
        )

    return tuple(
        rule.model_copy(update={"clauses": tuple(shown(rule.id, clause) for clause in rule.clauses)})
        for rule in findings
    )


@dataclass
class _Evidence:
    """A ledger as it must have been, made from a record."""

    ledger: Ledger = field(default_factory=Ledger)
    priors: dict[Question, YesNo] = field(default_factory=dict[Question, YesNo])
    missing: frozenset[TextPart] = frozenset()
    """Texts that the record shows the item to lack; a record holds those only that rules were about."""

    @classmethod
    def of(
        cls,
        verdict: Verdict,
        old: Sequence[PlannedRule],
        new: Sequence[PlannedRule],
        preset: Preset,
        calibration: Calibration | None,
    ) -> _Evidence:
        evidence = cls(Ledger(texts=ItemTexts.of_record(verdict)))
        evidence.missing = _missing(evidence.ledger.texts, old)
        found = {finding.id: finding for finding in verdict.rules}
        for planned in old:
            for alternative, shown in _alternatives(planned, found[planned.rule.id]):
                evidence._note(alternative, shown, preset)
        evidence._note_relevance(verdict, old, new)
        evidence._note_unanswered_views(old, preset, calibration)
        return evidence

    def lacks(self, planned: PlannedRule, preset: Preset, calibration: Calibration | None) -> bool:
        """Whether judging the rule would have asked for something that is not here."""
        if preset.relevance and planned.plain and planned.rule.id not in self.ledger.relevance:
            return True
        if not is_relevant(planned, self.ledger):
            return False
        asked = set(questions([planned]))
        asked = {question for question in asked if question.reads not in self.missing}
        if not asked <= self.ledger.answers.keys():
            return True
        given = (planned, self.ledger, self.priors, preset, calibration)
        if any(
            question not in self.ledger.views
            for one in uncertain_alternatives(*given)
            for question in (one.question, *one.asked_beside)
        ):
            return True
        return self._lacks_regions(*given) or self._lacks_reasons(*given)

    def _lacks_regions(self, planned: PlannedRule, ledger: Ledger, priors: Priors, *how: Any) -> bool:
        """Whether something was open when regions were looked at that was not looked at there."""
        preset: Preset = how[0]
        if not preset.regions:
            return False
        bare = {located: replace(look, without=None) for located, look in ledger.looks.items()}
        before = replace(ledger, looks=bare, reasons={})
        looks = [
            ledger.looks.get(Located.of(one))
            for one in open_alternatives(planned, before, priors, *how)
            if one.objects
        ]
        return any(look is None or (look.boxes and look.without is None) for look in looks)

    def _lacks_reasons(self, planned: PlannedRule, ledger: Ledger, priors: Priors, *how: Any) -> bool:
        """Whether something was open that was not reasoned about."""
        preset: Preset = how[0]
        if not preset.reason:
            return False
        before = replace(ledger, reasons={})
        return any(
            Located.of(one) not in ledger.reasons for one in open_alternatives(planned, before, priors, *how)
        )

    def _note(self, alternative: PlannedAlternative, shown: AlternativeScore, preset: Preset) -> None:
        located = Located.of(alternative)
        if shown.reason in ("no_caption", "no_conversation"):
            return
        self._note_answer(alternative.question, shown)
        for each in shown.presence:
            self._note_answer(Question("statement", each.text), each)
        if located not in self.ledger.looks or shown.score_without is not None:
            look = _look(alternative, shown, preset)
            if look is not None:
                self.ledger.looks[located] = look
        if shown.rating is not None or shown.rationale is not None:
            self.ledger.reasons[located] = _reasoned(shown)

    def _note_answer(self, question: Question, shown: AlternativeScore | PresenceScore) -> None:
        answer = _answer(shown)
        self.ledger.answers[question] = answer
        if shown.baseline is not None:
            self.priors[question] = _share(shown.baseline)
        elif shown.reason != "error":
            # What was not usable as a prior stands here as one without mass, which is not usable either.
            self.priors[question] = YesNo(0.0, 0.0)
        if shown.score_over_views is not None:
            self.ledger.views[question] = (_rest(answer, _share(shown.score_over_views)),)

    def _note_unanswered_views(
        self, old: Sequence[PlannedRule], preset: Preset, calibration: Calibration | None
    ) -> None:
        """What was asked on moved copies, and has no score over them, was not answered there."""
        for planned in old:
            given = (planned, self.ledger, self.priors, preset, calibration)
            if is_relevant(planned, self.ledger):
                for one in list(uncertain_alternatives(*given)):
                    for question in (one.question, *one.asked_beside):
                        self.ledger.views.setdefault(question, (YesNo(0.0, 0.0),))

    def _note_relevance(
        self, verdict: Verdict, old: Sequence[PlannedRule], new: Sequence[PlannedRule]
    ) -> None:
        """A rule's cosine is that of its description, whatever the rule is called."""
        cosines = {finding.id: finding.relevance for finding in verdict.rules}
        known = {_description(planned.rule): cosines[planned.rule.id] for planned in old}
        self.ledger.relevant_above = verdict.relevant_above or 0.0
        for planned in new:
            cosine = known.get(_description(planned.rule))
            if cosine is not None:
                self.ledger.relevance[planned.rule.id] = cosine


def _missing(texts: ItemTexts, old: Sequence[PlannedRule]) -> frozenset[TextPart]:
    """Texts that an item lacks, as far as its record tells."""
    asked = {question.reads for question in questions(old)} - {None}
    conversation: set[TextPart] = {"prompt", "response", "conversation"}
    told: set[TextPart] = {"caption"} if "caption" in asked else set()
    told |= conversation if asked & conversation else set()
    return frozenset(part for part in told if not texts.has(part))


def _alternatives(
    planned: PlannedRule, finding: RuleFinding
) -> Iterator[tuple[PlannedAlternative, AlternativeScore]]:
    if finding.clauses:
        for clause, found in zip(planned.clauses, finding.clauses, strict=True):
            yield from zip(clause.alternatives, found.alternatives, strict=True)


def _description(rule: Rule) -> str:
    return rule.description or rule.rule


def _groups(shown: AlternativeScore) -> tuple[tuple[Question, ...], ...]:
    """What the record says that a relation was held against."""
    numbers = dict.fromkeys(each.group for each in shown.presence)
    return tuple(
        tuple(Question("statement", each.text) for each in shown.presence if each.group == number)
        for number in numbers
    )


def _answer(shown: AlternativeScore | PresenceScore) -> YesNo:
    if shown.mass is None:
        kind = shown.reason if shown.reason in _KINDS else "error"
        return YesNo(0.0, 0.0, Failure(cast("FailureKind", kind), "As recorded."))
    score = 0.5 if shown.score is None else shown.score
    return YesNo(shown.mass * score, shown.mass * (1 - score), stated=bool(shown.stated))


def _share(score: float, *, stated: bool = False) -> YesNo:
    return YesNo(score, 1 - score, stated=stated)


def _rest(answer: YesNo, over_views: YesNo) -> YesNo:
    """One view that, with the answer, has the recorded mean in log-odds."""
    from jurat.judge.odds import sigmoid

    return _share(sigmoid(2 * over_views.log_odds - answer.log_odds))


def _look(alternative: PlannedAlternative, shown: AlternativeScore, preset: Preset) -> Look | None:
    """None where nobody can have looked."""
    from jurat.models.vision import Box

    looked = shown.regions or shown.score_without is not None or shown.rationale is not None
    if not alternative.objects or not (looked or preset.crop_below > 0):
        return None
    boxes = tuple(Box(r.x0, r.y0, r.x1, r.y1, r.score, r.word) for r in shown.regions)
    on_crop, without = (
        None if score is None else _share(score, stated=bool(shown.stated))
        for score in (shown.score_on_crop, shown.score_without)
    )
    return Look(boxes, on_crop=on_crop, without=without)


def _reasoned(shown: AlternativeScore) -> Reasoned:
    if shown.rating is not None:
        return Reasoned(shown.rating == "Yes", shown.rationale or "")
    kind = shown.reason if shown.reason in _KINDS else "unparsed"
    return Reasoned(None, shown.rationale or "", Failure(cast("FailureKind", kind), "As recorded."))
