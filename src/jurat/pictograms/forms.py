"""The forms in which a statement of this world can be put: templates, with how names and numbers are said.

A form is a template of `jurat.pictograms.statements` and a variant: "a X", "the X", "exactly two".
Which of them a model reads rightly is measured by `perf/statement_forms.py`, form by form.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator

from jurat.judge.prompts import STATEMENT
from jurat.models.statements import Language
from jurat.pictograms.objects import NOUNS, WORDS, Noun
from jurat.pictograms.statements import (
    NUMBERS,
    TEMPLATES,
    Count,
    Larger,
    Lies,
    Only,
    Reads,
    Statement,
    Touches,
    Visible,
)

ARTICLES = ("a", "the")
_ALONE = tuple(f"{article} X" for article in ARTICLES)
_LISTED = tuple(f"{article} X or {article} Y" for article in ARTICLES)
_PAIRS = tuple(f"{one}, {other}" for one in _ALONE for other in _ALONE)

VARIANTS: dict[str, tuple[str, ...]] = {
    "visible": _ALONE + _LISTED,
    "touches": (*_PAIRS, *(f"{one}, {other}" for one in _ALONE for other in _LISTED)),
    **dict.fromkeys(("left of", "right of", "above", "below", "larger"), _PAIRS),
    "count": ("exactly two", "exactly three", "at least two", "at least three"),
    "one": ("exactly one", "at least one"),
    "reads": ("sign",),
    "only": _ALONE,
}
"""Kind -> how names or numbers can be said in its templates. Larger numbers were never asked about in
training."""


def spellings(statement: Statement) -> Iterator[tuple[str, str, str]]:
    """(template, variant, sentence) for every form of an atomic statement."""
    for variant, slots in _slots(statement):
        for template in TEMPLATES[statement.kind]:
            text = template.format_map(slots)
            yield template, variant, text[0].upper() + text[1:]


def _slots(statement: Statement) -> Iterator[tuple[str, dict[str, str]]]:
    match statement:
        case Reads():
            yield "sign", {"w": statement.word}
        case Count():
            yield f"{statement.how} {NUMBERS[statement.number]}", statement.slots(False)
        case Visible():
            for article in ARTICLES:
                yield _variant(article, statement.any_of), {"a": _listed(article, statement.any_of)}
        case Only():
            for article in ARTICLES:
                yield _variant(article, (statement.noun,)), {"a": _listed(article, (statement.noun,))}
        case Touches() | Lies() | Larger():
            others = statement.others if isinstance(statement, Touches) else (statement.other,)
            for first in ARTICLES:
                for second in ARTICLES:
                    slots = {"a": _listed(first, (statement.first,)), "b": _listed(second, others)}
                    yield f"{_variant(first, (statement.first,))}, {_variant(second, others)}", slots
        case _:
            raise ValueError(f"no forms are known for {type(statement).__name__}")


def _variant(article: str, nouns: tuple[Noun, ...]) -> str:
    return f"{article} X" if len(nouns) == 1 else f"{article} X or {article} Y"


def _listed(article: str, nouns: tuple[Noun, ...]) -> str:
    names = [noun.indefinite if article == "a" else noun.definite for noun in nouns]
    return names[0] if len(names) == 1 else f"{', '.join(names[:-1])} or {names[-1]}"


# --- what a model is asked -------------------------------------------------------------------------

PRESENT = {
    "touches": ("a", "b"),
    **dict.fromkeys(("left of", "right of", "above", "below", "larger"), ("a", "b")),
}
"""Kind of a relation -> slots of its templates whose things are in the picture where it is true."""


def language(accepted: Callable[[str, str, str], bool]) -> Language:
    """The statements that a model is asked: those that `accepted` (kind, template, variant) takes."""
    return Language(
        asked=STATEMENT.question,
        nouns={noun.singular: (noun.indefinite, noun.definite, noun.plural) for noun in NOUNS.values()},
        words=WORDS,
        forms={
            kind: {
                template: tuple(variant for variant in VARIANTS[kind] if accepted(kind, template, variant))
                for template in templates
            }
            for kind, templates in TEMPLATES.items()
        },
        present=PRESENT,
    )
