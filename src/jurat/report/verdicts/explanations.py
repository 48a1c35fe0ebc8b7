"""A verdict in words, for three readers, made from its findings and never from a model's own reasoning.

`reviewer`: what was decided, with scores. `user`: for the person whose image it is, without scores or names
of models. `statement`: a draft of a statement of reasons, with the facts, ground, means and redress that
article 17(3) of the EU's Digital Services Act lists; square brackets mark what a record cannot know.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Literal, get_args

from jurat.judge.verdict import Finding, RuleFinding, Verdict
from jurat.text import printable

Reader = Literal["reviewer", "user", "statement"]
"""Whom an explanation is for."""
READERS: tuple[Reader, ...] = get_args(Reader)
_FALLIBLE = (
    " It was checked by a computer program, which can be wrong: you can ask for a person to look at it."
)


@dataclass(frozen=True)
class Paragraph:
    """A paragraph of an explanation."""

    text: str
    heading: str = ""
    """Empty where the paragraph is the whole explanation."""


def explain(
    verdict: Verdict,
    reader: Reader = "reviewer",
    *,
    basis: str | None = None,
    rules: Mapping[str, str] | None = None,
) -> tuple[Paragraph, ...]:
    """The verdict in words.

    Args:
        verdict: what to explain.
        reader: whom the explanation is for.
        basis: the record's `basis`: `known_match` for an item of a hash list.
        rules: the rules' sentences by their ids, if they are known; else rules are named by their ids.
    """
    texts = rules or {}
    match reader:
        case "reviewer":
            paragraphs = (Paragraph(verdict.explain()),)
        case "user":
            paragraphs = (Paragraph(_to_user(verdict, texts)),)
        case "statement":
            paragraphs = _statement(verdict, basis, texts)
    return tuple(Paragraph(printable(one.text), one.heading) for one in paragraphs)


def _to_user(verdict: Verdict, texts: Mapping[str, str]) -> str:
    match verdict.outcome:
        case "error":
            return "This image could not be checked, so nothing has been decided about it."
        case "safe":
            return "No rule was found to be broken by this image."
        case "unsure":
            return "It could not be told whether this image breaks a rule. A person has to decide."
        case "unsafe":
            broken = _broken(verdict)
            if not broken:
                return "This image matches content that is already known to be against the rules." + _FALLIBLE
            against = _list([_rule(rule.id, texts) for rule in broken])
            seen = _list([_quoted(text) for text in _seen(broken)])
            found = f" This was found in it: {seen}." if seen else ""
            return f"This image was found to be against {against}.{found}{_FALLIBLE}"


def _statement(verdict: Verdict, basis: str | None, texts: Mapping[str, str]) -> tuple[Paragraph, ...]:
    broken = _broken(verdict)
    if verdict.outcome != "unsafe":
        return (Paragraph(f"{_to_user(verdict, texts)} There is no restriction to give reasons for."),)
    return (
        Paragraph(_restriction(broken), "Restriction"),
        Paragraph(_facts(verdict, broken), "Facts"),
        Paragraph(_ground(verdict, broken, texts), "Ground"),
        Paragraph(_means(verdict, basis), "Means"),
        Paragraph(
            "[Name here where and until when a complaint can be lodged, the out-of-court dispute settlement "
            "that is open, and judicial redress.]",
            "Redress",
        ),
    )


def _restriction(broken: Sequence[RuleFinding]) -> str:
    actions = list(dict.fromkeys(rule.action for rule in broken if rule.action))
    named = (
        f"The policy names for this: {_list([_quoted(action) for action in actions])}. " if actions else ""
    )
    return f"{named}[State here what was done, where it has effect, and for how long.]"


def _facts(verdict: Verdict, broken: Sequence[RuleFinding]) -> str:
    seen = _list([_quoted(text) for text in _seen(broken)])
    regions = list(
        dict.fromkeys(
            region.word
            for rule in broken
            for clause in rule.clauses
            for alternative in clause.alternatives
            for region in alternative.regions
        )
    )
    where = f" Objects were located in it: {_list(regions)}." if regions else ""
    which = f"The image {_quoted(verdict.id)} was examined on {verdict.time[:10]}."
    established = f" It was established that in it: {seen}." if seen else ""
    notice = " [Say here whether a notice or own initiative led to the examination.]"
    return f"{which}{established}{where}{notice}"


def _ground(verdict: Verdict, broken: Sequence[RuleFinding], texts: Mapping[str, str]) -> str:
    name = verdict.constitution.partition("@")[0]
    if not broken:
        return f"The content is known, and was found incompatible with the policy {_quoted(name)} before."
    against = _list([_rule(rule.id, texts) for rule in broken])
    excuses = [f.text for rule in broken for f in rule.clauses if f.role == "unless" and f.outcome == "fails"]
    unless = (
        f" What would excuse it was not established: {_list([_quoted(t) for t in excuses])}."
        if excuses
        else ""
    )
    return (
        f"The content is incompatible with the policy {_quoted(name)}, {against}: all that the rule names as "
        f"its conditions was established.{unless}"
    )


def _means(verdict: Verdict, basis: str | None) -> str:
    if basis == "known_match":
        return (
            "The image was detected by automated means: it matched a list of known content. No model "
            "judged it, and the record names no person who looked at it."
        )
    return (
        f"The image was judged by automated means, with the model {_quoted(verdict.model)} under the preset "
        f"{_quoted(verdict.preset)}; decision {verdict.decision}. The record names no person who looked at "
        "it. [Say here if one did.]"
    )


def _broken(verdict: Verdict) -> list[RuleFinding]:
    return [rule for rule in verdict.rules if rule.outcome == "broken"]


def _seen(broken: Sequence[RuleFinding]) -> list[str]:
    """Statements that hold, once each."""
    held = (_held(clause) for rule in broken for clause in rule.clauses if clause.role == "clause")
    return list(dict.fromkeys(text for texts in held for text in texts))


def _held(clause: Finding) -> list[str]:
    if clause.outcome != "holds":
        return []  # possible in records made with `coherent`, which jurat no longer has
    holding = [a for a in clause.alternatives if a.outcome == "holds"]
    return [f"not: {a.text}" if a.negated else a.text for a in holding] or [clause.text]


def _rule(id: str, texts: Mapping[str, str]) -> str:
    return f"the rule {_quoted(texts[id])} ({id})" if id in texts else f"the rule {id}"


def _quoted(text: str) -> str:
    return f"“{' '.join(text.split()).rstrip('.').replace('. ', '; ')}”"


def _list(parts: Sequence[str]) -> str:
    if not parts:
        return ""
    return parts[0] if len(parts) == 1 else f"{', '.join(parts[:-1])} and {parts[-1]}"
