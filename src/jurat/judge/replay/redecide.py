"""Decides a verdict again, under an edited constitution, from what its record holds.

The record holds the evidence of every statement, so most edits need no model call: thresholds, logic,
exceptions, removed rules, rules made of statements that were asked. If an edit needs evidence that the record
lacks, there is no result, and the image must be judged again.
"""

from __future__ import annotations

import uuid
from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import partial
from typing import TYPE_CHECKING, Any

from jurat import __version__
from jurat.errors import JuratError
from jurat.judge.calibrate.calibration import Calibration
from jurat.judge.evidence import Evidence
from jurat.judge.findings import AlternativeScore, RuleFinding, with_alternatives
from jurat.judge.item_texts import ItemTexts
from jurat.judge.logic import gravest, item_outcome
from jurat.judge.pipeline import ImageState, Selected, run_stages
from jurat.judge.presets import Preset
from jurat.judge.prompts import TextPart
from jurat.judge.questions import PlannedAlternative, PlannedRule, Question, questions
from jurat.judge.removed_parts import check_made_without
from jurat.judge.rule_state import finding_of
from jurat.judge.stages.base import Stage, recorded_statements
from jurat.judge.verdict import Verdict, now_text

if TYPE_CHECKING:
    from jurat.constitution import Constitution

__all__ = ["Redecider", "renewed"]


@dataclass(frozen=True)
class Redecider:
    """Two constitutions under one preset: the one that items were judged under, and the edited one."""

    old: Sequence[PlannedRule]
    new: Sequence[PlannedRule]
    preset: Preset
    calibration: Calibration | None = None

    def __call__(self, verdict: Verdict) -> Verdict | None:
        """The verdict under the edited constitution; None if its record lacks evidence that this needs.

        An item that could not be judged, or was decided by its known content, stays as it is.

        Raises:
            JuratError: the verdict was made under a preset with other settings, or with a part that jurat no
                longer has.
        """
        check_made_without(verdict.preset)
        if verdict.preset_digest not in (None, self.preset.digest):
            raise JuratError(
                f"{verdict.id!r} was judged under a preset {verdict.preset!r} with the digest "
                f"{verdict.preset_digest}; it cannot be decided again under {self.preset.name!r}, which has "
                f"{self.preset.digest}."
            )
        if verdict.outcome == "error" or verdict.basis == "known_match":
            return verdict
        if verdict.frames != 1:  # of several frames the record holds each rule's worst one
            return None
        old, new = self._plans(verdict)
        evidence = self._evidence(verdict, old)
        state = ImageState.of(new, self.preset, evidence, self.calibration)
        try:
            run_stages(self.preset.stages, [state], _check_recorded)
        except _NotRecorded:
            return None
        return _with(verdict, tuple(finding_of(rule, verdict.frame) for rule in state.rules))

    def _evidence(self, verdict: Verdict, old: Sequence[PlannedRule]) -> Evidence:
        """The evidence that the verdict was decided from."""
        evidence = Evidence(
            texts=ItemTexts.of_record(verdict),
            unknown_texts=_unknown_texts(old),
            relevant_above=verdict.relevant_above or 0.0,
        )
        found = {finding.id: finding for finding in verdict.rules}
        for stage in self.preset.stages:
            for planned in old:
                stage.read(planned, found[planned.rule.id], evidence)
        # Keys that the stages asked about and that have no result on record got none.
        state = ImageState.of(old, self.preset, evidence, self.calibration)
        run_stages(self.preset.stages, [state], _asked_in_vain)
        return evidence

    def _plans(self, verdict: Verdict) -> tuple[Sequence[PlannedRule], Sequence[PlannedRule]]:
        """The old and the new rules with the presence questions that are on record.

        Verdicts that were decided without presence, as in older records, are decided again without.
        """
        found = {finding.id: finding for finding in verdict.rules}
        recorded = {
            statement.key: _groups(shown)
            for planned in self.old
            for statement, shown in recorded_statements(planned, found[planned.rule.id])
        }

        def presence(one: PlannedAlternative) -> tuple[tuple[Question, ...], ...]:
            return recorded.get(one.key, one.presence if verdict.presence else ())

        def as_recorded(one: PlannedAlternative) -> PlannedAlternative:
            return replace(one, presence=presence(one))

        planned = [one for rule in (*self.old, *self.new) for one in rule.alternatives]
        if all(presence(one) == one.presence for one in planned):
            return self.old, self.new
        return [rule.changed(as_recorded) for rule in self.old], [
            rule.changed(as_recorded) for rule in self.new
        ]


def _unknown_texts(old: Sequence[PlannedRule]) -> frozenset[TextPart]:
    """Texts that records of these rules lack, since no rule is about them."""
    asked = {question.reads for question in questions(old)}
    conversation: frozenset[TextPart] = frozenset(("prompt", "response", "conversation"))
    unknown: frozenset[TextPart] = frozenset() if "caption" in asked else frozenset(("caption",))
    return unknown if asked & conversation else unknown | conversation


class _NotRecorded(Exception):
    """A stage would ask something that the record does not hold."""


def _check_recorded(stage: Stage, selected: Sequence[Selected]) -> None:
    for each in selected:
        for rule, targets in zip(each.image.rules, each.by_rule, strict=True):
            if targets and stage.missing(rule, targets):
                raise _NotRecorded


def _asked_in_vain(stage: Stage, selected: Sequence[Selected]) -> None:
    for each in selected:
        found = each.image.evidence.found[stage.name]
        for key in each.keys(stage):
            found.setdefault(key, None)


def renewed(before: Verdict, after: Verdict, law: Constitution) -> Verdict:
    """The verdict that replaces `before` in its run: `after`, decided again under `law`. If its outcomes
    differ, it is a decision of its own, with its own time."""
    update: dict[str, Any] = {
        "constitution": f"{law.name}@{law.digest}",
        "thresholds": law.thresholds_digest,
    }
    if _outcomes(before) != _outcomes(after):
        # Derived from the old id and the constitution, so that copies of a near duplicate keep naming the
        # decision of their original.
        update["decision"] = _successor(before.decision, law)
        update["reused"] = None if before.reused is None else _successor(before.reused, law)
        update["time"] = now_text()
        update["jurat"] = __version__
    return after.model_copy(update=update)


def _outcomes(verdict: Verdict) -> object:
    return verdict.outcome, [(rule.id, rule.outcome, rule.severity, rule.action) for rule in verdict.rules]


def _successor(decision: str, law: Constitution) -> str:
    return str(uuid.uuid5(uuid.NAMESPACE_OID, f"{decision} {law.digest} {law.thresholds_digest}"))


def _with(verdict: Verdict, findings: tuple[RuleFinding, ...]) -> Verdict:
    outcome = item_outcome(findings)
    return verdict.model_copy(
        update={
            "rules": _with_boxes(verdict, findings),
            "outcome": outcome,
            "broken": tuple(finding.id for finding in findings if finding.outcome == "broken"),
            "reason": gravest(finding.reason for finding in findings) if outcome == "unsure" else None,
        }
    )


def _with_boxes(verdict: Verdict, findings: tuple[RuleFinding, ...]) -> tuple[RuleFinding, ...]:
    """The findings with all recorded boxes, also those that this outcome would not show, so that deciding
    back and forth loses none."""
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

    return tuple(with_alternatives(rule, partial(pointed, rule.id)) for rule in findings)


def _groups(shown: AlternativeScore) -> tuple[tuple[Question, ...], ...]:
    """The recorded presence questions of a statement."""
    numbers = dict.fromkeys(each.group for each in shown.presence)
    return tuple(
        tuple(Question("statement", each.text) for each in shown.presence if each.group == number)
        for number in numbers
    )
