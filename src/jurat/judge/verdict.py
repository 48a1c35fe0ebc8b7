"""What was established about one item: the record that everything downstream reads.

A `Verdict` holds one `RuleFinding` a rule, which holds one `Finding` a clause, which holds one
`AlternativeScore` a statement that was put to the model. The fields are the record's fields
(`docs/record.md`); a later version of jurat only adds to them.
"""

from __future__ import annotations

from typing import Literal

from pydantic import BaseModel, ConfigDict

SCHEMA = 1
"""Version of the record's layout."""

ItemOutcome = Literal["safe", "unsafe", "unsure", "error"]
RuleOutcome = Literal["broken", "kept", "undecided"]
ClauseOutcome = Literal["holds", "fails", "undecided"]
Reason = Literal["margin", "low_mass", "refused", "filtered", "unparsed", "out_of_domain", "error"]
Stage = Literal["quick"]


class _Record(BaseModel):
    model_config = ConfigDict(frozen=True, extra="ignore")


class AlternativeScore(_Record):
    """One statement as it was put to the model."""

    text: str
    negated: bool = False
    """True where the clause wants the statement to be false; the scores are those of the statement as put."""
    score: float | None
    """P(Yes) / (P(Yes) + P(No)) of the statement, in [0, 1]; None where it was not answered."""
    baseline: float | None
    """The same without the image: the model's language prior."""
    mass: float | None
    """P(Yes) + P(No), in [0, 1]."""
    outcome: ClauseOutcome = "undecided"
    """Of the statement after its negation, if it has one."""
    reason: Reason | None = None


class Finding(_Record):
    """What was established about one clause in one item."""

    text: str
    role: Literal["clause", "unless"]
    outcome: ClauseOutcome
    score: float | None
    """Evidence that the clause holds, in [0, 1]: the largest among its alternatives (negations counted as 1 - score)."""
    baseline: float | None
    mass: float | None
    decided_by: Stage | None
    reason: Reason | None
    """Why it is undecided; None where it is not."""
    alternatives: tuple[AlternativeScore, ...]


class RuleFinding(_Record):
    """What was established about one rule in one item."""

    id: str
    outcome: RuleOutcome
    score: float | None
    """Evidence that the rule is broken, in [0, 1]: the smallest among its clauses, exceptions counted in."""
    severity: str | None
    action: str | None = None
    decided_by: Stage | None
    reason: Reason | None
    clauses: tuple[Finding, ...]


class Verdict(_Record):
    """What was established about one item."""

    schema_: int = SCHEMA
    decision: str
    """A UUID, new for each decision."""
    time: str
    """UTC, ISO 8601, ending in Z."""
    id: str
    uri: str
    kind: Literal["image", "animation"] = "image"
    sha256: str | None
    """Of the file's bytes (of the raw pixels for an image that came as an array)."""
    width: int | None
    height: int | None
    frames: int = 1
    """How many frames were judged; the worst one is what is reported."""
    frame: int = 0
    """Index of the reported frame in the file."""
    outcome: ItemOutcome
    broken: tuple[str, ...]
    reason: Reason | None
    rules: tuple[RuleFinding, ...]
    model: str
    """name@revision"""
    constitution: str
    """name@digest"""
    thresholds: str
    preset: str
    prompts: str
    """Digest of the wording of the questions."""
    dtype: str
    jurat: str
    seconds: float
    """Wall time of the batch divided by its items."""
    error: str | None
    note: str | None = None
    """A remark of the model about itself: the `null` model says here that its answers mean nothing."""
