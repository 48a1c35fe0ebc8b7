"""Rules as a user might write them, each broken exactly where the statement it forbids is true."""

from __future__ import annotations

from jurat.pictograms.statements import All, Reads, Statement, Touches, Visible, either

RULES: dict[str, tuple[str, ...]] = {
    "visible": ("No {n} may be visible.", "No {n} may be shown.", "The image must not show {a}."),
    "touches": (
        "No {n} may be shown touching {b}.",
        "No {n} may touch {b}.",
        "The image must not show {a} touching {b}.",
    ),
    "reads": ("No sign may read {w}.", "The image must not show a sign that reads {w}."),
    "together": ("No {n} may be visible together with {b}.", "No {n} may be shown with {b}."),
}


def forbid(statement: Statement) -> list[str]:
    """The ways to write a rule that is broken exactly where `statement` is true; empty if there is none."""
    if isinstance(statement, Visible | Touches | Reads):
        words = statement.slots(False)
        nouns = statement.any_of[:1] if isinstance(statement, Visible) else statement.nouns()[:1]
        if isinstance(statement, Visible) and len(statement.any_of) > 1:
            words["n"] = " or ".join(noun.singular for noun in statement.any_of)
        elif nouns:
            words["n"] = nouns[0].singular
        return [template.format_map(words) for template in RULES[statement.kind]]
    if isinstance(statement, All) and len(statement.parts) == 2:
        first, second = statement.parts
        if isinstance(first, Visible) and isinstance(second, Visible) and len(first.any_of) == 1:
            words = {"n": first.any_of[0].singular, "b": either(second.any_of, False)}
            return [template.format_map(words) for template in RULES["together"]]
    return []
