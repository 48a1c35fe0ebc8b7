"""How verdicts came about: the whole provenance, from the rows and from `_run.json`."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, cast

from jurat.judge import Verdict
from jurat.report.explanations import Voice
from jurat.text import printable

FACTS = {
    "Model": "model",
    "Constitution": "constitution",
    "Thresholds": "thresholds",
    "Preset": "preset",
    "Calibration": "calibration",
    "Detector": "detector",
    "Matcher": "matcher",
    "Questions": "prompts",
    "Precision": "dtype",
    "jurat": "jurat",
}
"""What a page says of how its verdicts came about: heading -> field of the record."""

USER_FACTS = ("Constitution", "Thresholds", "jurat")
"""What is shown to a user: neither models nor how they were asked."""

MOST = 120
"""Characters of one value that are shown."""
DEEPEST = 8
"""Levels of nested names that are told apart."""
MOST_LINES = 200
"""Of what a run tells of itself."""


@dataclass
class Facts:
    """Gathered over the verdicts of a run."""

    values: dict[str, dict[str, None]] = field(default_factory=lambda: {name: {} for name in FACTS})
    """Heading -> the values met, in order; a file may hold several runs."""
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
                self.values[name][str(value)] = None
        self.first = min(self.first or verdict.time, verdict.time)
        self.last = max(self.last, verdict.time)
        self.seconds += verdict.seconds
        self.images += verdict.cost.images
        self.question_tokens += verdict.cost.question_tokens
        self.generated_tokens += verdict.cost.generated_tokens
        self.dollars += verdict.cost.dollars or 0.0

    def shown(self, voice: Voice) -> dict[str, list[str]]:
        """The values by their headings; for a user without the names of models and how they were asked."""
        names = USER_FACTS if voice == "user" else FACTS
        return {name: list(self.values[name]) for name in names if self.values[name]}

    @property
    def span(self) -> str:
        """When the first and the last verdict were reached, to the minute."""
        first, last = (time[:16].replace("T", " ") for time in (self.first, self.last))
        if first == last:
            return f"{first} UTC"
        return f"{first} to {last[11:] if first[:10] == last[:10] else last} UTC"

    @property
    def work(self) -> list[str]:
        """What the judging took, as far as it was counted."""
        told = [
            (self.images, "{:,} image encoded" if self.images == 1 else "{:,} images encoded"),
            (self.question_tokens, "{:,} token read" if self.question_tokens == 1 else "{:,} tokens read"),
            (self.generated_tokens, "{:,} written"),
            (self.dollars, "{:,.2f} paid"),
        ]
        return [form.format(value) for value, form in told if value]


def flattened(facts: Mapping[str, Any]) -> list[tuple[str, str]]:
    """`_run.json` as lines, nested names joined by dots; long values are cut, and so are too many lines."""
    lines = _lines("", facts, DEEPEST)[: MOST_LINES + 1] if facts else []
    if len(lines) > MOST_LINES:
        lines[-1] = ("…", "_run.json has more")
    return lines


def _lines(prefix: str, value: Any, deeper: int) -> list[tuple[str, str]]:
    if isinstance(value, Mapping) and value and deeper:
        table = cast("Mapping[str, Any]", value)
        return [
            line
            for k, v in table.items()
            for line in _lines(f"{prefix}.{k}" if prefix else str(k), v, deeper - 1)
        ]
    if (
        deeper
        and isinstance(value, list)
        and any(isinstance(one, dict | list) for one in cast("list[Any]", value))
    ):
        rows = cast("list[Any]", value)
        return [line for i, v in enumerate(rows, 1) for line in _lines(f"{prefix}.{i}", v, deeper - 1)]
    if isinstance(value, list):
        value = ", ".join(map(str, cast("list[Any]", value)))
    text = printable("–" if value is None else str(value))
    return [(printable(prefix), text if len(text) <= MOST else f"{text[:MOST]}…")]
