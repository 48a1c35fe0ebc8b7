"""Three-valued logic (Kleene's strong one), and which reason and stage are told of several."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import get_args

from jurat.judge.verdict import ClauseOutcome, ItemOutcome, Reason, RuleFinding, RuleOutcome, Stage

SWAPPED: dict[ClauseOutcome, ClauseOutcome] = {"holds": "fails", "fails": "holds", "undecided": "undecided"}
"""The negation."""

GRAVITY: tuple[Reason, ...] = (
    "error",
    "out_of_domain",
    "refused",
    "filtered",
    "unparsed",
    "no_caption",
    "no_conversation",
    "low_mass",
    "margin",
)
"""Of several reasons the first of these is given: what kept the model from answering before what it
answered."""

STAGES: tuple[Stage, ...] = get_args(Stage)
"""In their order."""


def first_stage(stages: Iterable[Stage | None]) -> Stage | None:
    """The earliest: where one part was enough."""
    given = set(stages)
    return next((stage for stage in STAGES if stage in given), None)


def last_stage(stages: Iterable[Stage | None]) -> Stage | None:
    """The latest: where every part was needed."""
    given = set(stages)
    return next((stage for stage in reversed(STAGES) if stage in given), None)


def any_of(outcomes: Iterable[ClauseOutcome]) -> ClauseOutcome:
    """Three-valued OR: Kleene's strong logic, with `undecided` as its third value."""
    found = set(outcomes)
    return "holds" if "holds" in found else "undecided" if "undecided" in found else "fails"


def all_of(outcomes: Iterable[ClauseOutcome]) -> ClauseOutcome:
    """Three-valued AND."""
    return SWAPPED[any_of(SWAPPED[outcome] for outcome in outcomes)]


def rule_outcome(clauses: Iterable[ClauseOutcome], unless: Sequence[ClauseOutcome]) -> RuleOutcome:
    """Broken if all clauses hold and not all exceptions do; a rule without exceptions has none that hold."""
    excepted: ClauseOutcome = all_of(unless) if unless else "fails"
    names: dict[ClauseOutcome, RuleOutcome] = {"holds": "broken", "fails": "kept", "undecided": "undecided"}
    return names[all_of([*clauses, SWAPPED[excepted]])]


def item_outcome(rules: Iterable[RuleFinding]) -> ItemOutcome:
    """Unsafe if a rule is broken, safe if all are kept, else unsure."""
    outcomes = {rule.outcome for rule in rules}
    return "unsafe" if "broken" in outcomes else "safe" if outcomes == {"kept"} else "unsure"


def gravest(reasons: Iterable[Reason | None]) -> Reason | None:
    """The first of `GRAVITY` among the reasons; None if there is none."""
    given = set(reasons)
    return next((reason for reason in GRAVITY if reason in given), None)
