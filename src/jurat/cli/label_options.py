"""Options of commands that read labelled images."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

import typer

from jurat.errors import JuratError

if TYPE_CHECKING:
    from jurat.bench.labelled.ratings import LabelNames
    from jurat.constitution import Constitution

Rename = Annotated[
    list[str] | None,
    typer.Option(metavar="LABEL=RULE", help="A label under another name than its rule; repeat for more."),
]
IgnoreLabel = Annotated[
    list[str] | None, typer.Option(metavar="LABEL", help="A label that is no rule here; repeat for more.")
]


def names_of(constitution: Constitution, rename: list[str] | None, ignore: list[str] | None) -> LabelNames:
    """What labels mean under a constitution. Raises JuratError for a wrong `--rename`."""
    from jurat.bench.labelled.ratings import LabelNames

    rules = [rule.id for rule in constitution.rules]
    return LabelNames(rules, renamed(rename), frozenset(ignore or ()))


def renamed(given: list[str] | None) -> dict[str, str]:
    """Label -> rule. Raises JuratError for a text that is not LABEL=RULE."""
    pairs: dict[str, str] = {}
    for text in given or ():
        label, _, rule = text.rpartition("=")
        if not label or not rule:
            raise JuratError(f"--rename {text} is not LABEL=RULE.")
        pairs[label] = rule
    return pairs
