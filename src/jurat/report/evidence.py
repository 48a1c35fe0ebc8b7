"""What the page shows when an item is opened: its findings, as plain JSON, with texts named by number.

Texts repeat on every item (clauses, above all), so an item holds their numbers in one list of the page's.
What is empty is left out.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from jurat.judge.verdict import AlternativeScore, Finding, ItemKind, Part, Region, RuleFinding, Verdict
from jurat.report.explanations import Said, Voice
from jurat.report.read_run import Entry
from jurat.report.thumbnails import part_shown
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
"""What a clause speaks of that is not about the image alone."""


@dataclass
class Texts:
    """Numbers texts in the order in which they come."""

    known: dict[str, int] = field(default_factory=dict[str, int])

    def number(self, text: str) -> int:
        return self.known.setdefault(text, len(self.known))

    @property
    def listed(self) -> list[str]:
        return [printable(text) for text in self.known]


def evidence(
    entry: Entry, said: Sequence[Said], texts: Texts, *, voice: Voice = "reviewer"
) -> dict[str, Any]:
    """One item's findings. Rationales are other people's words as much as file names: they go in as text.
    What a model remarked and why it failed may name it: a user is not shown these."""
    verdict = entry.verdict
    if voice == "user":
        verdict = verdict.model_copy(update={"note": None, "error": None})
    width, height = _size(verdict)
    told = _given(
        decision=printable(verdict.decision),
        time=printable(verdict.time),
        sha256=verdict.sha256 and printable(verdict.sha256[:12]),
        width=width,
        height=height,
        kind=verdict.kind if verdict.kind != "image" else None,
        frames=verdict.frames if verdict.frames > 1 else None,
        frames_in_file=verdict.frames_in_file if (verdict.frames_in_file or 0) > verdict.frames else None,
        shows=_shows(verdict) if verdict.frames > 1 else None,
        error=verdict.error and printable(verdict.error),
        note=verdict.note and printable(verdict.note),
        basis=printable(entry.basis) if entry.basis not in (None, "model") else None,
        label=printable(entry.label) if entry.label else None,
        carried={printable(name): printable(value) for name, value in _carried(entry).items()} or None,
        relevant_above=_number(verdict.relevant_above),
    )
    told["said"] = [_given(heading=one.heading or None, text=one.text) for one in said]
    told["rules"] = [_rule(rule, verdict, texts) for rule in verdict.rules]
    return told


def _carried(entry: Entry) -> Mapping[str, str]:
    """The columns of its source, and the caption that was asked about, if it is not among them."""
    caption = entry.verdict.caption
    return (
        entry.carried if caption in (None, *entry.carried.values()) else {"caption": caption, **entry.carried}
    )


def _size(verdict: Verdict) -> tuple[int | None, int | None]:
    """Of the image that is shown: of several the one that decided."""
    if verdict.images:
        image = verdict.images[min(verdict.frame, len(verdict.images) - 1)]
        return image.width, image.height
    return verdict.width, verdict.height


def _shows(verdict: Verdict) -> str:
    """Which part of an item of several is shown: the one that decided."""
    part = part_shown(verdict)
    return f"frame {verdict.frame}" if part is None else _named(part, verdict.kind)


def _named(part: Part, kind: ItemKind) -> str:
    """Where to look: "1.5 s" of a video, "image 2" of several, "frame 7" of an animation, "over black" of
    a translucent picture."""
    way = f", {part.rendering}" if part.rendering else ""
    if kind == "images":
        return f"image {part.index + 1}" + ("" if part.frame is None else f", frame {part.frame}") + way
    if kind == "image" and part.rendering:
        return part.rendering
    return (f"frame {part.index}" if part.time is None else f"{part.time:.1f} s") + way


def _rule(rule: RuleFinding, verdict: Verdict, texts: Texts) -> dict[str, Any]:
    elsewhere = rule.frame != verdict.frame
    return _given(
        id=texts.number(rule.id),
        outcome=rule.outcome,
        score=_number(rule.score),
        stage=rule.decided_by,
        reason=rule.reason,
        relevance=_number(rule.relevance),
        frame=_shows(verdict.model_copy(update={"frame": rule.frame})) if elsewhere else None,
        needed=rule.needed if rule.needed != 1 else None,
        parts=[[_named(part, verdict.kind), part.outcome, _number(part.score)] for part in rule.parts]
        or None,
        clauses=[_clause(finding, texts) for finding in rule.clauses] or None,
    )


def _clause(finding: Finding, texts: Texts) -> dict[str, Any]:
    alone = len(finding.alternatives) == 1
    told = _given(
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
    if alone:
        told |= _again(finding.alternatives[0], texts)
    elif finding.alternatives:
        told["alternatives"] = [_alternative(one, texts) for one in finding.alternatives]
    return told


def _alternative(one: AlternativeScore, texts: Texts) -> dict[str, Any]:
    return _given(
        text=texts.number(one.text),
        negated=one.negated or None,
        outcome=one.outcome,
        score=_number(one.score),
        baseline=_number(one.baseline),
        stage=one.decided_by,
        reason=one.reason,
    ) | _again(one, texts)


def _again(one: AlternativeScore, texts: Texts) -> dict[str, Any]:
    """What was found on looking again."""
    return _given(
        views=_number(one.score_over_views),
        crop=_number(one.score_on_crop),
        without=_number(one.score_without),
        rating=one.rating,
        rationale=one.rationale and printable(one.rationale),
        presence=[
            _given(text=texts.number(p.text), score=_number(p.score), reason=p.reason) for p in one.presence
        ]
        or None,
        regions=[_region(region, texts) for region in one.regions] or None,
    )


def _region(region: Region, texts: Texts) -> list[float | int | None]:
    corners = (region.x0, region.y0, region.x1, region.y1)
    return [texts.number(region.word), _number(region.score), *(round(x, 1) for x in corners)]


def _number(value: float | None) -> float | None:
    return None if value is None else round(value, _DIGITS)


def _given(**values: Any) -> dict[str, Any]:
    return {name: value for name, value in values.items() if value is not None}
