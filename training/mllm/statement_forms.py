"""The forms in which a statement can be put: templates, with ways to write names and numbers.

A form is a template of `jurat.pictograms.statements` and a variant: one name a slot, a list ("a beer or a
wine glass"), or a number ("exactly two"). Names stand with "a" or with "the". `perf/statement_forms.py`
measures which forms a model reads rightly.
"""

from __future__ import annotations

import random
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

from jurat.judge.prompts import STATEMENT
from jurat.models.bundled.statement_language import Language
from jurat.pictograms.objects import NOUNS, WORDS
from jurat.pictograms.statements import TEMPLATES, Count, Not, Reads, Statement, Touches, Visible

_SIDES = ("left of", "right of", "above", "below")
_FROM_TWO = ("two", "three", "four", "five")
VARIANTS: dict[str, tuple[str, ...]] = {
    "visible": ("one", "list"),
    "touches": ("one", "list"),
    **dict.fromkeys((*_SIDES, "larger", "only"), ("one",)),
    "count": (
        *(f"{how} {number}" for how in ("exactly", "at least", "fewer than") for number in _FROM_TWO),
        *(f"{number} or more" for number in _FROM_TWO),
        *(f"more than {number}" for number in _FROM_TWO[:-1]),
    ),
    "one": ("exactly one", "at least one", "only one", "more than one"),
    "reads": ("sign",),
    "with": ("one", "list"),
    "not touches": ("one", "list"),
    **dict.fromkeys(("not visible", "neither", "not larger", *(f"not {side}" for side in _SIDES)), ("one",)),
    "not reads": ("sign",),
}
"""Kind -> variants of names or numbers in its templates that training asks."""


def variant_of(statement: Statement) -> str:
    """Variant of the names or numbers in an atomic statement, one of `VARIANTS`."""
    if isinstance(statement, Not):
        return "one" if statement.kind == "neither" else variant_of(statement.part)
    if isinstance(statement, Reads):
        return "sign"
    if isinstance(statement, Count):
        return statement.phrase
    listed = statement.any_of if isinstance(statement, Visible) else ()
    listed = statement.others if isinstance(statement, Touches) else listed
    return "list" if len(listed) > 1 else "one"


def spellings(statement: Statement, rng: random.Random) -> Iterator[tuple[str, str]]:
    """(template, sentence) for every template of an atomic statement, "a" or "the" drawn for each slot."""
    for template in TEMPLATES[statement.kind]:
        both = statement.slots(False), statement.slots(True)
        text = template.format_map({slot: rng.choice(both)[slot] for slot in both[0]})
        yield template, text[0].upper() + text[1:]


# --- what a model is asked -------------------------------------------------------------------------

PRESENT = {
    **dict.fromkeys(("touches", "with", *_SIDES, "larger"), ("a", "b")),
}
"""Kind of a relation -> slots of its templates whose things are in the image if it is true."""


def language(accepted: Callable[[str, str, str], bool]) -> Language:
    """Statements that a model may be asked: those for which `accepted` (kind, template, variant) is true."""
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


_SCRIPT = Path(__file__).parents[2] / "perf" / "statement_forms.py"


def write_forms(folder: Path, *, measure: bool = True) -> None:
    """Writes the forms that the model in `folder` reads rightly, which takes minutes; without `measure`, and
    until it is measured, none, so that it is never asked the forms of an earlier model."""
    language(lambda kind, template, variant: False).save(folder)
    if measure:
        subprocess.run(
            [sys.executable, str(_SCRIPT), "--folder", str(folder)], check=True, stdout=subprocess.DEVNULL
        )
