"""Three-valued logic (Kleene's strong one), and which of several reasons and stages is recorded."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from jurat.judge.findings import ClauseOutcome, ItemOutcome, Reason, RuleFinding, RuleOutcome

__all__ = [
    "GRAVITY",
    "SWAPPED",
    "all_of",
    "any_of",
    "first_of",
    "gravest",
    "item_outcome",
    "last_of",
    "rule_outcome",
]

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
"""The first of these among several reasons is recorded: failures to answer come before uncertain answers."""


def first_of(stages: Iterable[str | None], order: Sequence[str]) -> str | None:
    """The earliest of some stages; it decided if one part was enough."""
    given = set(stages)
    return next((stage for stage in order if stage in given), None)


def last_of(stages: Iterable[str | None], order: Sequence[str]) -> str | None:
    """The latest of some stages; it decided if every part was needed."""
    return first_of(stages, order[::-1])


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
