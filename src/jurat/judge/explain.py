"""Explains a verdict in two sentences, from its findings: the outcome and the reason."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol

from jurat.judge.findings import AlternativeScore, Finding, ItemKind, ItemOutcome, Reason, RuleFinding

__all__ = ["Explainable", "explain"]

_NAMED = 3
"""How many rules are named; the rest is counted."""

_WHY: dict[Reason, str] = {
    "margin": "the model is not sure enough either way",
    "low_mass": "the model answered neither Yes nor No",
    "refused": "the model refused to answer",
    "filtered": "the answer was filtered out on its way",
    "unparsed": "the model's answer could not be read",
    "no_caption": "the item has no caption",
    "no_conversation": "the item has no conversation, or not the part of it that the rule is about",
    "out_of_domain": "the image or the words lie outside what the model knows",
    "error": "asking the model failed",
}


class Explainable(Protocol):
    """The fields of `jurat.judge.verdict.Verdict` that an explanation reads."""

    @property
    def basis(self) -> str: ...
    @property
    def label(self) -> str | None: ...
    @property
    def outcome(self) -> ItemOutcome: ...
    @property
    def error(self) -> str | None: ...
    @property
    def kind(self) -> ItemKind: ...
    @property
    def rules(self) -> tuple[RuleFinding, ...]: ...
    @property
    def images(self) -> Sequence[object]: ...


def explain(verdict: Explainable) -> str:
    """Two sentences, each with one full stop, at its end."""
    if verdict.basis == "known_match":
        what = "blocks" if verdict.outcome == "unsafe" else "allows"
        label = _quoted(verdict.label or "")
        return f"It is known content that a list {what}, labelled {label}. No model looked at it."
    match verdict.outcome:
        case "error":
            why = _inline(verdict.error or "no reason was given")
            return f"It could not be judged: {why}. Nothing is known about it."
        case "unsafe":
            return _unsafe(verdict, [rule for rule in verdict.rules if rule.outcome == "broken"])
        case "unsure":
            return _unsure(
                [rule for rule in verdict.rules if rule.outcome == "undecided"], len(verdict.rules)
            )
        case "safe":
            return _safe(verdict.rules)


def _unsafe(verdict: Explainable, broken: Sequence[RuleFinding]) -> str:
    worst = max(broken, key=_score)
    first = f"It breaks {_rules(broken)}."
    grounds = [_ground(finding) for finding in worst.clauses if finding.role == "clause"]
    lifted = [finding for finding in worst.clauses if finding.role == "unless" and finding.outcome == "fails"]
    unless = f", and {_quoted(lifted[0].text)}, which would excuse it, is not" if lifted else ""
    of = f" of {worst.id}" if len(broken) > 1 else ""
    are = "is" if len(grounds) == 1 else "are"
    return f"{first} The grounds{of}: {_list(grounds)} {are} established{_where(verdict, worst)}{unless}."


def _where(verdict: Explainable, rule: RuleFinding) -> str:
    """The parts of an item in which a rule is broken."""
    broken = [part for part in rule.parts if part.outcome == "broken"]
    if not broken:
        return ""
    if verdict.kind == "image":
        return f", {_list([part.rendering or '' for part in broken])}"
    if verdict.kind != "images":
        broken = list({part.index: part for part in reversed(broken)}.values())[::-1]
        first = "" if broken[0].time is None else f", first at {broken[0].time:.1f} seconds"
        return f" in {len(broken)} of {len({part.index for part in rule.parts})} frames{first}"
    # A few broken frames do not break a video, unless it is the image that decided.
    places = sorted({part.index for part in broken if part.time is None or part.index == rule.frame})
    named = _list(
        [str(place + 1) for place in places[:_NAMED]]
        + ([f"{len(places) - _NAMED} more"] if len(places) > _NAMED else [])
    )
    return f" in image{'s' if len(places) > 1 else ''} {named} of {len(verdict.images)}"


def _unsure(undecided: Sequence[RuleFinding], rules: int) -> str:
    worst = max(undecided, key=_score)
    comma = "," if len(undecided) > _NAMED else ""
    first = f"{_rules(undecided)}{comma} could not be decided{_rest(rules - len(undecided))}."
    why = _WHY[worst.reason or "error"]
    # In records made with `coherent`, which jurat no longer has, all clauses of the rule may be decided.
    open_ = [finding for finding in worst.clauses if finding.outcome == "undecided"] or list(worst.clauses)
    if worst.reason == "out_of_domain" and len(open_) == len(worst.clauses):
        return f"{first} The reason is that {why}."
    of = f" of {worst.id}" if len(undecided) > 1 else ""
    return f"{first} On {_list([_scored(finding) for finding in open_])}{of}, {why}."


def _rest(kept: int) -> str:
    return (
        "" if kept == 0 else "; the other rule is kept" if kept == 1 else f"; the other {kept} rules are kept"
    )


def _safe(rules: Sequence[RuleFinding]) -> str:
    first = f"All {len(rules)} rules are kept." if len(rules) != 1 else "Its one rule is kept."
    closest = max(rules, key=_score)
    if closest.decided_by == "relevance":
        what = "they forbid" if len(rules) != 1 else "it forbids"
        return f"{first} The image does not resemble what {what}."
    failing = [
        finding for finding in closest.clauses if finding.role == "clause" and finding.outcome == "fails"
    ]
    excuses = [
        finding for finding in closest.clauses if finding.role == "unless" and finding.outcome == "holds"
    ]
    if failing:
        least = min(failing, key=lambda finding: finding.score if finding.score is not None else 1.0)
        why = f"{_scored(least)} is not established"
    elif excuses:
        why = f"{_list([_scored(finding) for finding in excuses])} excuses it"
    else:  # in records made with `coherent` a kept rule may have no clause that fails
        together = " together" if len(closest.clauses) > 1 else ""
        why = f"{_list([_scored(finding) for finding in closest.clauses])}{together} make it unlikely"
    return f"{first} Closest to being broken is {closest.id}, but {why}."


def _score(rule: RuleFinding) -> float:
    return (
        round(rule.score, 6) if rule.score is not None else 0.0
    )  # of equal ones the first, whatever rounding did


def _rules(rules: Sequence[RuleFinding]) -> str:
    if len(rules) > _NAMED:
        return f"{len(rules)} rules, among them {_list([rule.id for rule in rules[:_NAMED]])}"
    return _list([f"{rule.id}{f' ({rule.severity})' if rule.severity else ''}" for rule in rules])


def _scored(finding: Finding) -> str:
    return f"{_quoted(finding.text)}{'' if finding.score is None else f' ({finding.score:.2f})'}"


def _ground(finding: Finding) -> str:
    """The alternative that established a clause: of those that hold, the one with most evidence."""
    holding = [one for one in finding.alternatives if one.outcome == "holds"]
    if len(finding.alternatives) == 1 or finding.about != "image" or not holding:
        return _scored(finding)
    surest = max(holding, key=_surety)
    text = f"not: {surest.text}" if surest.negated else surest.text
    return _scored(finding.model_copy(update={"text": text}))


def _surety(one: AlternativeScore) -> float:
    score = 0.5 if one.score is None else one.score
    return 1 - score if one.negated else score


def _quoted(text: str) -> str:
    return f"“{_inline(text)}”"


def _inline(text: str) -> str:
    """The text without full stops, to stand inside a sentence."""
    return " ".join(text.split()).rstrip(".").replace(". ", "; ")


def _list(parts: Sequence[str]) -> str:
    return parts[0] if len(parts) == 1 else f"{', '.join(parts[:-1])} and {parts[-1]}"
