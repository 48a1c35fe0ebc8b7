"""How verdicts came about: provenance from the rows and from `_run.json`."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, cast

from jurat.judge import Verdict
from jurat.report.verdicts.explanations import Reader
from jurat.text import counted, printable

FACTS = {
    "Model": "model",
    "Constitution": "constitution",
    "Thresholds": "thresholds",
    "Preset": "preset",
    "Calibration": "calibration",
    "Thresholds from": "thresholds_from",
    "Detector": "detector",
    "Matcher": "matcher",
    "Questions": "prompts",
    "Precision": "dtype",
    "jurat": "jurat",
}
"""Facts on a page: heading -> field of the record."""

USER_FACTS = ("Constitution", "Thresholds", "jurat")
"""Facts that a user is shown: neither models nor how they were asked."""
MOST_PASSED_OVER = 8
"""Most kinds of files that are named as passed over."""
MOST = 120
"""Most characters of one value of `_run.json`."""
DEEPEST = 8
"""Most levels of nested names."""
MOST_LINES = 200
"""Most lines of `_run.json`."""


@dataclass
class Facts:
    """Provenance and work, gathered over the verdicts of a run."""

    passed_over: Sequence[str] = ()
    """What the run's sources held that is no item (`Run.passed_over`)."""
    values: dict[str, dict[str, None]] = field(default_factory=lambda: {name: {} for name in FACTS})
    """Heading -> the values in order, since a file may hold several runs."""
    first: str = ""
    last: str = ""
    seconds: float = 0.0
    images: int = 0
    question_tokens: int = 0
    generated_tokens: int = 0
    dollars: float = 0.0

    def add(self, verdict: Verdict) -> None:
        for name, attribute in FACTS.items():
            if (value := getattr(verdict, attribute)) is not None:
                digest = verdict.preset_digest if attribute == "preset" else None
                self.values[name][f"{value}@{digest}" if digest else str(value)] = None
        self.first = min(self.first or verdict.time, verdict.time)
        self.last = max(self.last, verdict.time)
        self.seconds += verdict.seconds
        self.images += verdict.cost.images
        self.question_tokens += verdict.cost.question_tokens
        self.generated_tokens += verdict.cost.generated_tokens
        self.dollars += verdict.cost.dollars or 0.0

    def shown(self, reader: Reader) -> dict[str, list[str]]:
        """The values by their headings; for a user without the names of models and how they were asked."""
        names = USER_FACTS if reader == "user" else FACTS
        facts = {name: list(self.values[name]) for name in names if self.values[name]}
        if self.passed_over:
            more = len(self.passed_over) - MOST_PASSED_OVER
            rest = [f"{counted(more, 'more kind')}"] if more > 0 else []
            facts["Passed over"] = [*self.passed_over[:MOST_PASSED_OVER], *rest]
        return facts

    @property
    def span(self) -> str:
        """Times of the first and the last verdict, to the minute."""
        first, last = (time[:16].replace("T", " ") for time in (self.first, self.last))
        if first == last:
            return f"{first} UTC"
        return f"{first} to {last[11:] if first[:10] == last[:10] else last} UTC"

    @property
    def work(self) -> list[str]:
        """Images, tokens and money that the judging took, as far as they were counted."""
        work = [
            (self.images, f"{counted(self.images, 'image')} encoded"),
            (self.question_tokens, f"{counted(self.question_tokens, 'token')} read"),
            (self.generated_tokens, f"{self.generated_tokens:,} written"),
            (self.dollars, f"{self.dollars:,.2f} paid"),
        ]
        return [text for amount, text in work if amount]


def flattened(facts: Mapping[str, Any]) -> list[tuple[str, str]]:
    """`_run.json` as (name, value) lines with nested names joined by dots, cut where they are too many."""
    lines = _lines("", facts, DEEPEST)[: MOST_LINES + 1] if facts else []
    if len(lines) > MOST_LINES:
        lines[-1] = ("…", "_run.json has more")
    return lines


def _lines(prefix: str, value: Any, deeper: int) -> list[tuple[str, str]]:
    parts: list[tuple[Any, Any]] = []
    if isinstance(value, Mapping):
        parts = list(cast("Mapping[Any, Any]", value).items())
    elif isinstance(value, list):
        values = cast("list[Any]", value)
        if deeper and any(isinstance(one, dict | list) for one in values):
            parts = list(enumerate(values, 1))
        else:
            value = ", ".join(map(str, values))
    if parts and deeper:
        names = [(f"{prefix}.{name}" if prefix else str(name), part) for name, part in parts]
        return [line for name, part in names for line in _lines(name, part, deeper - 1)]
    text = printable("–" if value is None else str(value))
    return [(printable(prefix), text if len(text) <= MOST else f"{text[:MOST]}…")]
