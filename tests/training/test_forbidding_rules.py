"""Rules written for statements."""

from __future__ import annotations

from jurat.pictograms.reading import parse
from jurat.pictograms.statements import All
from training.forbidding_rules import forbid


def test_forbid_writes_rules_for_statements() -> None:
    assert (
        forbid(parse("A child touches a kitchen knife or an axe."))[0]
        == "No child may be shown touching a kitchen knife or an axe."
    )
    assert forbid(parse("A sign reads FREE."))[0] == "No sign may read FREE."
    assert (
        forbid(All((parse("A child is visible."), parse("A beer is visible."))))[0]
        == "No child may be visible together with a beer."
    )
    assert forbid(parse("There are exactly two dogs."))[1] == "Exactly two dogs must not be visible."
    assert forbid(parse("A ball is larger than a horse."))[0] == "No ball may be larger than a horse."
    assert forbid(parse("Nothing but an animal is visible."))[0] == "The image must not show only an animal."
    assert forbid(parse("No child is visible.")) == [
        "The image must show a child.",
        "A child must be visible.",
    ]
    assert forbid(parse("A man with a guitar is visible.")) == []
