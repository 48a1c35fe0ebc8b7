"""What the page shows when an item is opened: its findings as plain JSON.

Texts such as clauses repeat on every item, so an item refers to them by their numbers in one list of the
page. Empty values are left out.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from jurat.judge.verdict import AlternativeScore, Finding, Region, RuleFinding, Verdict
from jurat.report.verdicts.explanations import Paragraph, Reader
from jurat.report.verdicts.pictures import frame_name, part_name, size_of
from jurat.report.verdicts.read_run import Entry
from jurat.text import printable

_DIGITS = 4
ABOUT = {
    "caption": "in the caption",
    "pair": "image and caption",
    "text_in_image": "text in the image",
    "prompt": "in the prompt",
    "response": "in the response",
    "conversation": "image and conversation",
}
"""What a clause is about, if not the image alone."""


@dataclass
class Texts:
    """Numbers texts in the order of their first use."""

    known: dict[str, int] = field(default_factory=dict[str, int])

    def number(self, text: str) -> int:
        return self.known.setdefault(text, len(self.known))

    @property
    def listed(self) -> list[str]:
        return [printable(text) for text in self.known]


def evidence(
    entry: Entry, explained: Sequence[Paragraph], texts: Texts, *, reader: Reader = "reviewer"
) -> dict[str, Any]:
    """One item's findings. For a `user` notes and errors are left out: they may name the model."""
    verdict = entry.verdict
    if reader == "user":
        verdict = verdict.model_copy(update={"note": None, "error": None})
    width, height = size_of(verdict)
    item = _given(
        decision=printable(verdict.decision),
        time=printable(verdict.time),
        sha256=verdict.sha256 and printable(verdict.sha256[:12]),
        width=width,
        height=height,
        kind=verdict.kind if verdict.kind != "image" else None,
        frames=verdict.frames if verdict.frames > 1 else None,
        frames_in_file=verdict.frames_in_file if (verdict.frames_in_file or 0) > verdict.frames else None,
        shows=frame_name(verdict) if verdict.frames > 1 else None,
        error=verdict.error and printable(verdict.error),
        note=verdict.note and printable(verdict.note),
        basis=printable(entry.basis) if entry.basis not in (None, "model") else None,
        label=printable(entry.label) if entry.label else None,
        carried={printable(name): printable(value) for name, value in _carried(entry).items()} or None,
        relevant_above=_number(verdict.relevant_above),
    )
    item["said"] = [_given(heading=one.heading or None, text=one.text) for one in explained]
    item["rules"] = [_rule(rule, verdict, texts) for rule in verdict.rules]
    return item


def _carried(entry: Entry) -> Mapping[str, str]:
    """Columns of the source, and the caption that was asked about if it is not among them."""
    caption, carried = entry.verdict.caption, entry.carried
    return carried if caption in (None, *carried.values()) else {"caption": caption, **carried}


def _rule(rule: RuleFinding, verdict: Verdict, texts: Texts) -> dict[str, Any]:
    elsewhere = rule.frame != verdict.frame
    return _given(
        id=texts.number(rule.id),
        outcome=rule.outcome,
        score=_number(rule.score),
        stage=rule.decided_by,
        reason=rule.reason,
        relevance=_number(rule.relevance),
        frame=frame_name(verdict.model_copy(update={"frame": rule.frame})) if elsewhere else None,
        needed=rule.needed if rule.needed != 1 else None,
        parts=[[part_name(part, verdict.kind), part.outcome, _number(part.score)] for part in rule.parts]
        or None,
        clauses=[_clause(finding, texts) for finding in rule.clauses] or None,
    )


def _clause(finding: Finding, texts: Texts) -> dict[str, Any]:
    clause = _given(
        text=texts.number(finding.text),
        unless=finding.role == "unless" or None,
        about=ABOUT.get(finding.about),
        outcome=finding.outcome,
        score=_number(finding.score),
        baseline=_number(finding.baseline),
        mass=_number(finding.mass),
        stage=finding.decided_by,
        reason=finding.reason,
    )
    if len(finding.alternatives) == 1:
        clause |= _later_stages(finding.alternatives[0], texts)
    elif finding.alternatives:
        clause["alternatives"] = [_alternative(one, texts) for one in finding.alternatives]
    return clause


def _alternative(one: AlternativeScore, texts: Texts) -> dict[str, Any]:
    return _given(
        text=texts.number(one.text),
        negated=one.negated or None,
        outcome=one.outcome,
        score=_number(one.score),
        baseline=_number(one.baseline),
        stage=one.decided_by,
        reason=one.reason,
    ) | _later_stages(one, texts)


def _later_stages(one: AlternativeScore, texts: Texts) -> dict[str, Any]:
    """Evidence of the stages after the first question."""
    presence = [
        _given(text=texts.number(p.text), score=_number(p.score), reason=p.reason) for p in one.presence
    ]
    return _given(
        views=_number(one.score_over_views),
        crop=_number(one.score_on_crop),
        without=_number(one.score_without),
        rating=one.rating,
        rationale=one.rationale and printable(one.rationale),
        presence=presence or None,
        regions=[_region(region, texts) for region in one.regions] or None,
    )


def _region(region: Region, texts: Texts) -> list[float | int | None]:
    corners = (region.x0, region.y0, region.x1, region.y1)
    return [texts.number(region.word), _number(region.score), *(round(x, 1) for x in corners)]


def _number(value: float | None) -> float | None:
    return None if value is None else round(value, _DIGITS)


def _given(**values: Any) -> dict[str, Any]:
    return {name: value for name, value in values.items() if value is not None}
