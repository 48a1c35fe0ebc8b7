"""Rules as a user might write them, each broken exactly where the statement it forbids is true."""

from __future__ import annotations

from jurat.pictograms.statements import All, Statement, Visible, either

RULES: dict[str, tuple[str, ...]] = {
    "visible": ("No {n} may be visible.", "No {n} may be shown.", "The image must not show {a}."),
    "touches": (
        "No {n} may be shown touching {b}.",
        "No {n} may touch {b}.",
        "The image must not show {a} touching {b}.",
    ),
    "reads": ("No sign may read {w}.", "The image must not show a sign that reads {w}."),
    "left of": ("No {n} may be left of {b}.", "No {n} may be shown left of {b}."),
    "right of": ("No {n} may be right of {b}.", "No {n} may be shown right of {b}."),
    "above": ("No {n} may be above {b}.", "No {n} may be shown above {b}."),
    "below": ("No {n} may be below {b}.", "No {n} may be shown below {b}."),
    "larger": (
        "No {n} may be larger than {b}.",
        "No {n} may be shown larger than {b}.",
        "The image must not show {a} larger than {b}.",
    ),
    "only": ("The image must not show only {a}.", "The image must not show nothing but {a}."),
    "count": ("The image must not show {n}.", "{n} must not be visible."),
    "one": ("The image must not show {n}.", "{n} must not be visible."),
    "not visible": ("The image must show {a}.", "{a} must be visible."),
    "together": ("No {n} may be visible together with {b}.", "No {n} may be shown with {b}."),
}
"""Kind of statement -> rules that forbid it; {n} is a name without its article, or the counted noun."""


def forbid(statement: Statement) -> list[str]:
    """The ways to write a rule that is broken exactly where `statement` is true; empty if there is none."""
    if isinstance(statement, All) and len(statement.parts) == 2:
        first, second = statement.parts
        if isinstance(first, Visible) and isinstance(second, Visible) and len(first.any_of) == 1:
            words = {"n": first.any_of[0].singular, "b": either(second.any_of, False)}
            return [template.format_map(words) for template in RULES["together"]]
    if statement.kind not in RULES:
        return []
    words = statement.slots(False)
    if nouns := statement.any_of if isinstance(statement, Visible) else statement.nouns()[:1]:
        words.setdefault("n", " or ".join(noun.singular for noun in nouns))
    said = (template.format_map(words) for template in RULES[statement.kind])
    return [text[0].upper() + text[1:] for text in said]
