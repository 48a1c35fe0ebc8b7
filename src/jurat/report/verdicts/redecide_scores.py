"""Decides recorded scores again under other thresholds, without asking the model.

With log-odds a rule is broken exactly if its score is above `break_above`, and kept exactly if it is
below `keep_below` (`jurat.judge.statement_scoring`). Some findings do not follow from their score alone: they
stay as they are. `OUTCOMES` is that rule as data, which the page's script reads.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from enum import IntEnum
from typing import Any

from jurat.errors import JuratError
from jurat.judge.decision import LogOdds, Thresholds
from jurat.judge.preset_settings import preset_of_record
from jurat.judge.presets import Preset
from jurat.judge.removed_parts import removed_part
from jurat.judge.verdict import RuleFinding, RuleOutcome, Verdict
from jurat.report.verdicts.read_run import table

__all__ = ["OUTCOMES", "Bounds", "Freedom", "bounds", "freedom", "recorded_preset", "retry", "why_not"]


class Freedom(IntEnum):
    """What thresholds can do to a finding."""

    FIXED = 0
    """Nothing: it was not decided by its score, or not answered."""
    FREE = 1
    """The score decides."""
    NEVER_BROKEN = 2
    """The score decides, but a clause was not answered: it cannot become broken, only undecided."""


OUTCOMES: dict[Freedom, tuple[RuleOutcome, RuleOutcome, RuleOutcome]] = {
    Freedom.FREE: ("broken", "undecided", "kept"),
    Freedom.NEVER_BROKEN: ("undecided", "undecided", "kept"),
}
"""The outcome of a score above both thresholds, between them and below both."""


@dataclass(frozen=True)
class Bounds:
    """The thresholds that a rule was judged by."""

    keep_below: float
    break_above: float
    source: str
    """Where they come from: `run` (its `_run.json`) or `preset`."""


def recorded_preset(verdict: Verdict, facts: Mapping[str, Any]) -> Preset | None:
    """The preset of a record, from its run's settings or by its name; None if it is not known."""
    settings = table(table(facts, "settings"), "preset_settings") or None
    for known in (settings, None):
        try:
            return preset_of_record(verdict.preset, verdict.preset_digest, settings=known)
        except JuratError:
            continue
    return None


def why_not(name: str, preset: Preset | None) -> str | None:
    """Why no thresholds can be tried under a preset of that name; None where they can."""
    if part := removed_part(name):
        return f"These verdicts were made with `{part}`, which jurat no longer has."
    if preset is None:
        return f"The preset {name} is not known here, so how its scores decide is not known."
    if not isinstance(preset.decision, LogOdds):
        return f"The preset {preset.name} decides by the paper's constants, not by thresholds of rules."
    if not preset.thresholds_decide:
        return f"The preset {preset.name} looks again where scores leave it open, so more would be asked."
    return None


def freedom(finding: RuleFinding, preset: Preset) -> Freedom:
    """What thresholds can do to a finding of a preset under which they can be tried."""
    if finding.score is None or not finding.clauses or finding.reason not in (None, "margin"):
        return Freedom.FIXED
    by_score = {stage.name for stage in preset.stages if not stage.depends_on_thresholds}
    alternatives = [one for clause in finding.clauses for one in clause.alternatives]
    if not {one.decided_by for one in alternatives} <= {None, *by_score}:
        return Freedom.FIXED
    open_ = [c for c in finding.clauses if any(a.reason not in (None, "margin") for a in c.alternatives)]
    if not open_:
        return Freedom.FREE
    # An unanswered clause might be anything: only the other clauses can keep such a rule. A clause with
    # another alternative that was answered may hold by that one.
    unknown = all(
        clause.role == "clause" and not any(a.reason in (None, "margin") for a in clause.alternatives)
        for clause in open_
    )
    return Freedom.NEVER_BROKEN if unknown and finding.outcome == "kept" else Freedom.FIXED


def retry(finding: RuleFinding, free: Freedom, keep_below: float, break_above: float) -> RuleOutcome:
    """The outcome under these thresholds; `keep_below` counts as at most `break_above`."""
    if free is Freedom.FIXED or finding.score is None:
        return finding.outcome
    thresholds = Thresholds(min(keep_below, break_above), break_above)
    place = ("holds", "undecided", "fails").index(thresholds.decide(finding.score))
    return OUTCOMES[free][place]


def bounds(finding: RuleFinding, preset: Preset | None, facts: Mapping[str, Any]) -> Bounds | None:
    """The thresholds that a finding was decided by; None if the record and its run do not say."""
    if preset is None or not isinstance(preset.decision, LogOdds):
        return None
    # As the judge does: the rule's own, else the calibration's, else the preset's.
    own = [
        table(table(facts, "thresholds"), finding.id),
        table(table(table(facts, "calibration"), "rules"), finding.id),
    ]
    keep = _first(*(one.get("keep_below") for one in own), preset.decision.keep_below)
    break_ = _first(*(one.get("break_above") for one in own), preset.decision.break_above)
    # A file may hold anything in these places.
    if not all(isinstance(one, int | float) and 0 <= one <= 1 for one in (keep, break_)):
        return None
    return Bounds(min(float(keep), float(break_)), float(break_), "run" if any(own) else "preset")


def _first(*values: Any) -> Any:
    return next(value for value in values if value is not None)
