"""Rows as columns: what the page filters, sorts and decides anew, as arrays that a browser reads as they are.

An array travels as base64 of its little-endian bytes. Categories are bytes; 255 stands for "none".
"""

from __future__ import annotations

import base64
import math
import os
import re
import sys
from array import array
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from jurat.judge.logic import last_of
from jurat.judge.presets import Preset
from jurat.judge.verdict import RuleFinding, RuleOutcome, Verdict
from jurat.report.read_run import Entry, Run
from jurat.report.redecide_scores import (
    OUTCOMES as OUTCOMES_OF_SCORES,
)
from jurat.report.redecide_scores import (
    Bounds,
    Freedom,
    bounds,
    freedom,
    recorded_preset,
    retry,
    why_not,
)
from jurat.report.tally import MEANINGS, OUTCOMES, SEVERITY_RANK
from jurat.text import printable

NONE = 255
RULE_OUTCOMES: tuple[RuleOutcome, ...] = ("broken", "undecided", "kept")
REASONS = tuple(MEANINGS)
STAGES = ("relevance", "quick", "views", "regions", "reason")
"""Stages that decide; those of other packages come behind them on a page."""
MOST_VALUES = 200
"""Different values of a carried column that can be filtered by; one with more is only shown."""
MOST_CARRIED = 40
"""Carried columns that are kept for filtering, while the rows are read."""


def packed(values: array[Any]) -> str:
    """Base64 of the bytes, little-endian."""
    if sys.byteorder == "big" and values.itemsize > 1:
        values = array(values.typecode, values)
        values.byteswap()
    return base64.b64encode(values.tobytes()).decode("ascii")


@dataclass
class RuleColumn:
    """One rule in every row; rows that do not know it hold `NONE`."""

    id: str
    severity: str | None
    action: str | None
    outcomes: array[int] = field(default_factory=lambda: array("B"))
    scores: array[float] = field(default_factory=lambda: array("f"))
    freedoms: array[int] = field(default_factory=lambda: array("B"))
    before: array[int] = field(default_factory=lambda: array("B"))
    bounds: Bounds | None = None
    contradicted: int = 0
    """Rows whose recorded outcome is not what their score and the thresholds come to."""
    free: int = 0

    def fill(self, rows: int) -> None:
        """Makes up for rows that did not know the rule."""
        for column, nothing in ((self.outcomes, NONE), (self.freedoms, 0), (self.before, NONE)):
            column.extend([nothing] * (rows - len(column)))
        self.scores.extend([math.nan] * (rows - len(self.scores)))

    def add(self, finding: RuleFinding, free: Freedom, own: Bounds | None) -> None:
        if self.bounds is None:
            self.bounds = own
        if free is not Freedom.FIXED:
            at = self.bounds
            if at is None or retry(finding, free, at.keep_below, at.break_above) != finding.outcome:
                free, self.contradicted = Freedom.FIXED, self.contradicted + 1
            else:
                self.free += 1
        self.outcomes.append(RULE_OUTCOMES.index(finding.outcome))
        self.scores.append(math.nan if finding.score is None else finding.score)
        self.freedoms.append(int(free))

    @property
    def movable(self) -> bool:
        """Whether trying thresholds says anything: rows follow from those that are taken for its own."""
        if self.bounds is None or self.free == 0:
            return False
        # A preset's thresholds are a guess where no _run.json tells the rule's own: one row refutes it.
        return self.contradicted == 0 if self.bounds.source == "preset" else self.free > self.contradicted


@dataclass
class Carried:
    """A column of the source, as categories while it has few values."""

    codes: array[int] = field(default_factory=lambda: array("B"))
    values: dict[str, int] = field(default_factory=dict[str, int])
    dropped: bool = False

    def add(self, value: str | None, row: int) -> None:
        if self.dropped:
            return
        self.codes.extend([NONE] * (row - len(self.codes)))
        if value is None:
            self.codes.append(NONE)
            return
        if value not in self.values and len(self.values) >= MOST_VALUES:
            self.dropped, self.codes, self.values = True, array("B"), {}
            return
        self.codes.append(self.values.setdefault(value, len(self.values)))


@dataclass
class Labelled:
    """Which rows a person can label for `jurat calibrate` and `jurat bench labelled`: files of one folder.

    Lengths are in UTF-16 units, in which a browser counts.
    """

    begins: array[int] = field(default_factory=lambda: array("I"))
    """Where in its absolute path a row's id begins, without steps like `../`."""
    ends: array[int] = field(default_factory=lambda: array("I"))
    """How long that path is; 0 for a row that cannot be labelled."""
    folder: str | None = None
    """The folder that all of them are in; None before the first."""

    def add(self, verdict: Verdict) -> None:
        id, uri = verdict.id, verdict.uri
        named = re.sub(rf"^(\.{{1,2}}{re.escape(os.sep)})+", "", id)
        # Members of tables and archives, URIs and repeated files cannot be named in a file of labels.
        fits = verdict.occurrence == 0 and id == id.strip() == printable(id) and _ends(uri, named)
        self.begins.append(_units(uri) - _units(named) if fits else 0)
        self.ends.append(_units(uri) if fits else 0)
        if fits:
            folder = os.path.dirname(uri)
            self.folder = folder if self.folder is None else os.path.commonpath([self.folder, folder])

    def payload(self) -> dict[str, Any] | None:
        """Of each row how much of the end of its name is its path from the folder; 0 where it has none."""
        if self.folder is None:
            return None
        cut = _units(os.path.join(self.folder, ""))
        pairs = zip(self.begins, self.ends, strict=True)
        tails = array("I", (end - cut if end and begin <= cut else 0 for begin, end in pairs))
        return {"tails": packed(tails), "folder": printable(self.folder)}


def _ends(uri: str, named: str) -> bool:
    """Whether an absolute path ends in another path, which has no steps up or aside."""
    if os.path.isabs(named):
        return named == uri
    parts, wanted = uri.split(os.sep), named.split(os.sep)
    return os.path.isabs(uri) and not {"", ".", ".."} & set(wanted) and parts[-len(wanted) :] == wanted


def _units(text: str) -> int:
    return len(text.encode("utf-16-le", "surrogatepass")) // 2


@dataclass
class Columns:
    """The rows of a page, gathered as they come. Some 10 bytes an item and 6 a rule, and its name."""

    run: Run
    names: list[str] = field(default_factory=list[str])
    outcomes: array[int] = field(default_factory=lambda: array("B"))
    before: array[int] = field(default_factory=lambda: array("B"))
    reasons: array[int] = field(default_factory=lambda: array("B"))
    stages: array[int] = field(default_factory=lambda: array("B"))
    scores: array[float] = field(default_factory=lambda: array("f"))
    rules: dict[str, RuleColumn] = field(default_factory=dict[str, RuleColumn])
    carried: dict[str, Carried] = field(default_factory=dict[str, Carried])
    labelled: Labelled = field(default_factory=Labelled)
    presets: dict[tuple[str, str | None], tuple[Preset | None, str | None]] = field(
        default_factory=dict[tuple[str, "str | None"], tuple["Preset | None", "str | None"]]
    )
    """By name and digest: the preset, if it is known, and why no thresholds can be tried under it."""
    stage_names: list[str] = field(default_factory=lambda: list(STAGES))

    def __len__(self) -> int:
        return len(self.names)

    def add(self, entry: Entry, before: Verdict | None = None) -> None:
        """Appends a row; `before` is what another run said of the same item."""
        verdict, row = entry.verdict, len(self)
        self.labelled.add(verdict)
        self.names.append(printable(verdict.id))
        self.outcomes.append(OUTCOMES.index(verdict.outcome))
        self.before.append(NONE if before is None else OUTCOMES.index(before.outcome))
        self.reasons.append(REASONS.index(verdict.reason) if verdict.reason else NONE)
        self.stages.append(self._stage(verdict))
        scores = [rule.score for rule in verdict.rules if rule.score is not None]
        self.scores.append(max(scores, default=math.nan))
        self._add_rules(verdict, row)
        if before is not None:
            self._add_before(before, row)
        for name in entry.carried:
            if name not in self.carried and len(self.carried) < MOST_CARRIED:
                self.carried[name] = Carried()
        for name, column in self.carried.items():
            column.add(entry.carried.get(name), row)

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
        if key not in self.presets:
            preset = recorded_preset(verdict, self.run.facts)
            self.presets[key] = preset, why_not(verdict.preset, preset)
        return self.presets[key]

    def _add_rules(self, verdict: Verdict, row: int) -> None:
        preset, stuck = self._preset(verdict)
        for finding in verdict.rules:
            column = self.rules.get(finding.id)
            if column is None:
                column = self.rules[finding.id] = RuleColumn(finding.id, finding.severity, finding.action)
            if len(column.outcomes) > row:
                continue  # a rule that a row names twice counts once
            column.fill(row)
            free = Freedom.FIXED if stuck or preset is None else freedom(finding, preset)
            column.add(finding, free, bounds(finding, preset, self.run.facts))

    def _add_before(self, before: Verdict, row: int) -> None:
        for finding in before.rules:
            if finding.id not in self.rules:
                self.rules[finding.id] = RuleColumn(finding.id, finding.severity, finding.action)
            column = self.rules[finding.id]
            column.before.extend([NONE] * (row - len(column.before)))
            if len(column.before) == row:
                column.before.append(RULE_OUTCOMES.index(finding.outcome))

    @property
    def stuck(self) -> str | None:
        """Why no thresholds can be tried on this page; None where they can."""
        reasons = [why for _, why in self.presets.values() if why]
        if reasons:
            return reasons[0]
        if self.rules and not any(rule.movable for rule in self.rules.values()):
            return "The thresholds that these verdicts were decided by are not in the record."
        return None

    def payload(self, sentences: Mapping[str, str]) -> dict[str, Any]:
        """What the page's script reads; `sentences` are the rules' own by their ids."""
        for rule in self.rules.values():
            rule.fill(len(self))
        compared = any(code != NONE for code in self.before)
        shown = {n: c for n, c in self.carried.items() if not c.dropped and 0 < len(c.values) <= MOST_VALUES}
        return {
            "n": len(self),
            "outcomes": OUTCOMES,
            "ruleOutcomes": RULE_OUTCOMES,
            "decides": {
                int(free): [RULE_OUTCOMES.index(outcome) for outcome in outcomes]
                for free, outcomes in OUTCOMES_OF_SCORES.items()
            },
            "reasons": REASONS,
            "stages": self.stage_names,
            "names": self.names,
            "outcome": packed(self.outcomes),
            "before": packed(self.before) if compared else None,
            "reason": packed(self.reasons),
            "stage": packed(self.stages),
            "score": packed(self.scores),
            "rules": [
                _rule_payload(rule, sentences.get(rule.id), compared=compared) for rule in self.rules.values()
            ],
            "carried": [_carried_payload(name, column, len(self)) for name, column in shown.items()],
            "stuck": self.stuck,
            "labels": self.labelled.payload(),
        }


def _rule_payload(rule: RuleColumn, sentence: str | None, *, compared: bool) -> dict[str, Any]:
    at = rule.bounds
    return {
        "id": printable(rule.id),
        "sentence": sentence and printable(sentence),
        "severity": rule.severity and printable(rule.severity),
        "rank": SEVERITY_RANK.get(rule.severity or "", len(SEVERITY_RANK)),
        "keep": at.keep_below if at else None,
        "break": at.break_above if at else None,
        "source": at.source if at else None,
        "movable": rule.movable,
        "outcome": packed(rule.outcomes),
        "score": packed(rule.scores),
        "free": packed(rule.freedoms),
        "before": packed(rule.before) if compared else None,
    }


def _carried_payload(name: str, column: Carried, rows: int) -> dict[str, Any]:
    column.codes.extend([NONE] * (rows - len(column.codes)))
    return {
        "name": printable(name),
        "values": [printable(value) for value in column.values],
        "codes": packed(column.codes),
    }
