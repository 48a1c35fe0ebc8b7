"""What a recorded finding would be under other thresholds, without asking the model again.

With log-odds a rule is broken exactly if its score is above `break_above`, and kept exactly if it is
below `keep_below` (`jurat.judge.statement_scoring`). Some findings do not hang on their score alone, and
are told apart. The page's script does the same on columns; `templates/script/thresholds.js` and this file
are tested against each other and against `jurat.judge.decide`.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from enum import IntEnum
from typing import Any, cast

from jurat.errors import JuratError
from jurat.judge.presets import REMOVED, Preset, find_preset, removed_part
from jurat.judge.verdict import RuleFinding, RuleOutcome, Verdict


class Freedom(IntEnum):
    """What thresholds can do to a finding."""

    FIXED = 0
    """Nothing: it was decided otherwise, or was not answered."""
    FREE = 1
    """The score decides."""
    NEVER_BROKEN = 2
    """The score decides, but a clause was not answered: it cannot become broken, only undecided."""


@dataclass(frozen=True)
class Bounds:
    """A rule's thresholds as they were when it was judged."""

    keep_below: float
    break_above: float
    source: str
    """Where they were read: `run` (its `_run.json`), or taken from the `preset`."""


def why_not(preset: str) -> str | None:
    """Why no thresholds can be tried under a preset; None where they can."""
    if part := removed_part(preset):
        return f"These verdicts were made with `{part}`, which jurat no longer has."
    found = _preset(preset)
    if found is None:
        return f"The preset {preset} is not known here, so how its scores decide is not known."
    if found.decides != "log-odds":
        return f"The preset {found.name} decides by the paper's constants, not by thresholds of rules."
    if found.regions or found.reason:
        return f"The preset {found.name} looks again where scores leave it open, so more would be asked."
    return None


def freedom(finding: RuleFinding, preset: str) -> Freedom:
    """What thresholds can do to a finding of a preset that `why_not` has nothing against."""
    found = _preset(preset)
    if found is None or finding.score is None or finding.decided_by == "relevance" or not finding.clauses:
        return Freedom.FIXED
    if finding.reason not in (None, "margin"):
        return Freedom.FIXED
    if any(a.decided_by in ("regions", "reason") for c in finding.clauses for a in c.alternatives):
        return Freedom.FIXED
    open_ = [c for c in finding.clauses if any(a.reason not in (None, "margin") for a in c.alternatives)]
    if not open_:
        return Freedom.FREE
    # What was not answered might be anything: such a rule can only be kept by its other clauses.
    unknown = all(clause.score is None and clause.role == "clause" for clause in open_)
    return Freedom.NEVER_BROKEN if unknown and finding.outcome == "kept" else Freedom.FIXED


def retry(finding: RuleFinding, free: Freedom, keep_below: float, break_above: float) -> RuleOutcome:
    """The outcome under these thresholds; `keep_below` counts as at most `break_above`."""
    if free is Freedom.FIXED or finding.score is None:
        return finding.outcome
    if finding.score > break_above:
        return "broken" if free is Freedom.FREE else "undecided"
    return "kept" if finding.score < min(keep_below, break_above) else "undecided"


def bounds(finding: RuleFinding, verdict: Verdict, facts: Mapping[str, Any]) -> Bounds | None:
    """The thresholds that a finding was decided by, as far as the record and its run tell."""
    preset = _preset(verdict.preset)
    if preset is None:
        return None
    # As the judge does: the rule's own, else the calibration's, else the preset's.
    told = [_told(facts, finding.id), _calibrated(facts, finding.id)]
    keep = _first(*(one.get("keep_below") for one in told), preset.keep_below)
    break_ = _first(*(one.get("break_above") for one in told), preset.break_above)
    return _ordered(keep, break_, "run" if any(told) else "preset")


def _first(*values: Any) -> Any:
    return next(value for value in values if value is not None)


def _ordered(keep: Any, break_: Any, source: str) -> Bounds | None:
    # What a file says need not be a threshold at all.
    if not all(isinstance(one, int | float) and 0 <= one <= 1 for one in (keep, break_)):
        return None
    return Bounds(min(float(keep), float(break_)), float(break_), source)


def _told(facts: Mapping[str, Any], rule: str) -> Mapping[str, Any]:
    """A rule's own thresholds in `_run.json`."""
    return _table(_table(facts, "thresholds"), rule)


def _calibrated(facts: Mapping[str, Any], rule: str) -> Mapping[str, Any]:
    """Those that a calibration has for it."""
    return _table(_table(_table(facts, "calibration"), "rules"), rule)


def _table(facts: Mapping[str, Any], name: str) -> Mapping[str, Any]:
    value = facts.get(name)
    return cast("Mapping[str, Any]", value) if isinstance(value, Mapping) else {}


def _preset(name: str) -> Preset | None:
    """By the name in a record, which says what was left out: "jurat-no-views"."""
    plain, *without = name.split("-no-")
    try:
        return find_preset(plain).without(part for part in without if part not in REMOVED)
    except JuratError:
        return None
