"""Verdicts as columns: what a page filters by, and the scores that it decides under other thresholds."""

from __future__ import annotations

import math
from array import array
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from jurat.judge.logic import last_of
from jurat.judge.presets import Preset
from jurat.judge.verdict import RuleFinding, RuleOutcome, Verdict
from jurat.report.gallery.columns import NONE, Columns, FilePaths, byte_codes, packed, pad
from jurat.report.verdicts import redecide_scores as redecide
from jurat.report.verdicts.read_run import Entry, Run
from jurat.report.verdicts.redecide_scores import Bounds, Freedom
from jurat.report.verdicts.tally import MEANINGS, OUTCOMES, SEVERITY_RANK
from jurat.text import printable

RULE_OUTCOMES: tuple[RuleOutcome, ...] = ("broken", "undecided", "kept")
REASONS = tuple(MEANINGS)
STAGES = ("relevance", "quick", "views", "regions", "reason")
"""Stages that decide; those of other packages are appended."""


@dataclass
class RuleColumn:
    """One rule in every row; rows without that rule hold `NONE`."""

    id: str
    severity: str | None
    outcomes: array[int] = field(default_factory=byte_codes)
    scores: array[float] = field(default_factory=lambda: array("f"))
    freedoms: array[int] = field(default_factory=byte_codes)
    before: array[int] = field(default_factory=byte_codes)
    bounds: Bounds | None = None
    contradicted: int = 0
    """Rows whose recorded outcome is not what their score and the thresholds give."""
    free: int = 0

    def fill(self, rows: int) -> None:
        """Pads the columns for rows without this rule."""
        for values, nothing in ((self.outcomes, NONE), (self.freedoms, 0), (self.before, NONE)):
            pad(values, rows, nothing)
        pad(self.scores, rows, math.nan)

    def add(self, finding: RuleFinding, free: Freedom, own: Bounds | None) -> None:
        if self.bounds is None:
            self.bounds = own
        if free is not Freedom.FIXED:
            at = self.bounds
            if at is None or redecide.retry(finding, free, at.keep_below, at.break_above) != finding.outcome:
                free, self.contradicted = Freedom.FIXED, self.contradicted + 1
            else:
                self.free += 1
        self.outcomes.append(RULE_OUTCOMES.index(finding.outcome))
        self.scores.append(math.nan if finding.score is None else finding.score)
        self.freedoms.append(int(free))

    @property
    def movable(self) -> bool:
        """Whether other thresholds can be tried on this rule: its rows follow from the known ones."""
        if self.bounds is None or self.free == 0:
            return False
        # A preset's thresholds are a guess where no _run.json tells the rule's own: one row refutes it.
        return self.contradicted == 0 if self.bounds.source == "preset" else self.free > self.contradicted

    def payload(self, sentence: str | None, *, compared: bool) -> dict[str, Any]:
        at = self.bounds
        return {
            "id": printable(self.id),
            "sentence": sentence and printable(sentence),
            "severity": self.severity and printable(self.severity),
            "rank": SEVERITY_RANK.get(self.severity or "", len(SEVERITY_RANK)),
            "keep": at.keep_below if at else None,
            "break": at.break_above if at else None,
            "source": at.source if at else None,
            "movable": self.movable,
            "outcome": packed(self.outcomes),
            "score": packed(self.scores),
            "free": packed(self.freedoms),
            "before": packed(self.before) if compared else None,
        }


class VerdictColumns(Columns):
    """The gallery's columns with reasons, stages, labels, and six bytes a rule."""

    def __init__(self, run: Run) -> None:
        super().__init__(OUTCOMES)
        self.run = run
        self.reasons = byte_codes()
        self.stages = byte_codes()
        self.stage_names = list(STAGES)
        self.rules: dict[str, RuleColumn] = {}
        self.paths = FilePaths()
        self._presets: dict[tuple[str, str | None], tuple[Preset | None, str | None]] = {}
        """By name and digest: the preset, if it is known, and why no thresholds can be tried under it."""

    def add(self, entry: Entry, before: Verdict | None = None) -> int:
        """Appends a verdict, with the one of another run if that is compared; returns the row's number."""
        verdict = entry.verdict
        self.paths.add(verdict.id, verdict.uri, repeated=verdict.occurrence > 0)
        was = None if before is None else before.outcome
        row = self.append(verdict.id, verdict.outcome, verdict_score(verdict), entry.carried, was)
        self.reasons.append(REASONS.index(verdict.reason) if verdict.reason else NONE)
        self.stages.append(self._stage(verdict))
        self._add_rules(verdict, row)
        if before is not None:
            self._add_before(before, row)
        return row

    def _stage(self, verdict: Verdict) -> int:
        """The stage after which all rules were decided, as a number of `stage_names`."""
        decided = [rule.decided_by for rule in verdict.rules if rule.decided_by is not None]
        self.stage_names += [stage for stage in dict.fromkeys(decided) if stage not in self.stage_names]
        preset = self._preset(verdict)[0]
        order = self.stage_names if preset is None else [*preset.stage_names, *self.stage_names]
        stage = last_of(decided, tuple(dict.fromkeys(order)))
        return NONE if stage is None else self.stage_names.index(stage)

    def _preset(self, verdict: Verdict) -> tuple[Preset | None, str | None]:
        key = verdict.preset, verdict.preset_digest
        if key not in self._presets:
            preset = redecide.recorded_preset(verdict, self.run.facts)
            self._presets[key] = preset, redecide.why_not(verdict.preset, preset)
        return self._presets[key]

    def _rule(self, finding: RuleFinding) -> RuleColumn:
        if finding.id not in self.rules:
            self.rules[finding.id] = RuleColumn(finding.id, finding.severity)
        return self.rules[finding.id]

    def _add_rules(self, verdict: Verdict, row: int) -> None:
        preset, stuck = self._preset(verdict)
        for finding in verdict.rules:
            column = self._rule(finding)
            if len(column.outcomes) > row:
                continue  # a rule that a row names twice counts once
            column.fill(row)
            free = Freedom.FIXED if stuck or preset is None else redecide.freedom(finding, preset)
            column.add(finding, free, redecide.bounds(finding, preset, self.run.facts))

    def _add_before(self, before: Verdict, row: int) -> None:
        for finding in before.rules:
            column = self._rule(finding)
            pad(column.before, row)
            if len(column.before) == row:
                column.before.append(RULE_OUTCOMES.index(finding.outcome))

    @property
    def stuck(self) -> str | None:
        """Why no thresholds can be tried on this page; None where they can."""
        reasons = [why for _, why in self._presets.values() if why]
        if reasons:
            return reasons[0]
        if self.rules and not any(rule.movable for rule in self.rules.values()):
            return "The thresholds that these verdicts were decided by are not in the record."
        return None

    def payload(self, sentences: Mapping[str, str] | None = None) -> dict[str, Any]:
        """What the page's scripts read; `sentences` are the rules' texts by their ids."""
        for rule in self.rules.values():
            rule.fill(len(self))
        sentences, compared = sentences or {}, self.compared
        rules = [rule.payload(sentences.get(rule.id), compared=compared) for rule in self.rules.values()]
        return super().payload() | {
            "ruleOutcomes": RULE_OUTCOMES,
            "decides": {
                int(free): [RULE_OUTCOMES.index(outcome) for outcome in outcomes]
                for free, outcomes in redecide.OUTCOMES.items()
            },
            "reasons": REASONS,
            "stages": self.stage_names,
            "reason": packed(self.reasons),
            "stage": packed(self.stages),
            "rules": rules,
            "stuck": self.stuck,
            "labels": self.paths.payload(),
        }


def verdict_score(verdict: Verdict) -> float | None:
    """The highest score of a verdict's rules; None where no rule has one."""
    return max((rule.score for rule in verdict.rules if rule.score is not None), default=None)
