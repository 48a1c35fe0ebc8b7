"""What was found for one rule: the inner parts of the record.

A `RuleFinding` holds one `Finding` a clause, which holds one `AlternativeScore` a statement that the model
was asked about. The fields are the record's fields (`docs/record.md`).
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Literal

from pydantic import BaseModel, ConfigDict

__all__ = [
    "AlternativeScore",
    "ClauseOutcome",
    "Cost",
    "Finding",
    "ItemKind",
    "ItemOutcome",
    "Part",
    "PresenceScore",
    "Reason",
    "Record",
    "Region",
    "RuleFinding",
    "RuleOutcome",
    "StageEvidence",
    "with_alternatives",
]

ItemOutcome = Literal["safe", "unsafe", "unsure", "error"]
RuleOutcome = Literal["broken", "kept", "undecided"]
ClauseOutcome = Literal["holds", "fails", "undecided"]
Reason = Literal[
    "margin",
    "low_mass",
    "refused",
    "filtered",
    "unparsed",
    "no_caption",
    "no_conversation",
    "out_of_domain",
    "error",
]
ItemKind = Literal["image", "animation", "video", "images"]


class Record(BaseModel):
    """What all parts of the record share."""

    model_config = ConfigDict(frozen=True, extra="ignore", use_attribute_docstrings=True, allow_inf_nan=False)

    def __repr__(self) -> str:
        """Short: outcome and subject. `model_dump` has everything."""
        fields = {name: getattr(self, name) for name in _SHOWN if name in type(self).model_fields}
        fields = {name: value for name, value in fields.items() if value not in (None, ())}
        pairs = (f"{name}={_shortened(value)!r}" for name, value in fields.items())
        return f"{type(self).__name__}({', '.join(pairs)})"

    __str__ = __repr__

    def __dir__(self) -> list[str]:
        """Its fields and its own methods, without what pydantic adds."""
        own = [name for name in vars(type(self)) if not name.startswith(("_", "model_"))]
        return sorted({*type(self).model_fields, *own, *(n for n in dir(object) if n.startswith("__"))})


_SHOWN = (
    "id",
    "word",
    "text",
    "kind",
    "role",
    "outcome",
    "score",
    "broken",
    "reason",
    "error",
)
"""Fields that `repr` shows, of the models that have them."""


def _shortened(value: object) -> object:
    if isinstance(value, str) and len(value) > 80:
        return value[:79] + "…"
    return round(value, 4) if isinstance(value, float) else value


class Region(Record):
    """Where a detector saw a central object."""

    word: str
    """The object."""
    score: float
    """The detector's confidence, in [0, 1]."""
    x0: float
    """Left, in pixels of the frame as its file has it, also where it was scaled down to be judged."""
    y0: float
    """Top."""
    x1: float
    """Right."""
    y1: float
    """Bottom."""


class Cost(Record):
    """What judging one item took."""

    images: int = 0
    """Images that the model encoded, crops and painted-over ones among them."""
    question_tokens: int = 0
    """Tokens that the model read, a prefix that questions share counted once."""
    generated_tokens: int = 0
    """Tokens that the model wrote."""
    detections: int = 0
    """Images that the detector looked at."""
    scans: int = 0
    """Images that were compared with the rules' descriptions."""
    dollars: float | None = None
    """What the item's calls of a served model cost at the prices given, in their currency; the language
    prior's are shared out over the batch in which they were asked. Null where no prices were given."""


class PresenceScore(Record):
    """A question asked beside a relation: whether a thing that it names is visible."""

    group: int = 0
    """Number of its group: one statement of each group has to be true."""
    text: str
    """The statement."""
    score: float | None
    """M; null where it was not answered."""
    baseline: float | None
    """M0."""
    mass: float | None
    """P(Yes) + P(No); null where the model failed to answer."""
    stated: bool | None = None
    """As in an alternative."""
    score_over_views: float | None = None
    """M over the image and shifted copies of it, where the statement was asked there."""
    reason: Reason | None = None
    """Why it was not answered; null where it was."""


class StageEvidence(Record):
    """What a stage of another package found about one statement."""

    stage: str
    """The stage's name."""
    found: str
    """Its result as JSON; the stage says what it means."""


class AlternativeScore(Record):
    """One statement that the model was asked about: its answers, before they were combined."""

    text: str
    """The statement, or the rule's own text where that was asked."""
    negated: bool = False
    """True where the clause wants the statement to be false; the numbers are those of the statement as
    asked."""
    score: float | None
    """M = P(Yes) / (P(Yes) + P(No)), in [0, 1]; null where it was not answered."""
    baseline: float | None
    """M0: the same without the image, the model's language prior; null where the preset asks for none, or
    it was not answered."""
    mass: float | None
    """P(Yes) + P(No), in [0, 1]; null where the model failed to answer."""
    stated: bool | None = None
    """True where a server that measures nothing answered Yes or No in text: the score is 1 or 0, and not a
    probability. Null in older records, which do not hold it."""
    outcome: ClauseOutcome = "undecided"
    """Outcome of the statement after its negation, if it has one."""
    reason: Reason | None = None
    """Why it is undecided; null where it is not."""
    decided_by: str | None = None
    """The stage that decided it; null where it is undecided."""
    score_over_views: float | None = None
    """M over the image and shifted copies of it, averaged in log-odds; null where it was not asked there."""
    regions: tuple[Region, ...] = ()
    """Where the central objects were seen, if a detector looked for them."""
    score_on_crop: float | None = None
    """M on a crop of small objects, which then stands for M; null where there was no such crop."""
    score_without: float | None = None
    """M with the regions painted over; null where that was not asked."""
    rating: Literal["Yes", "No"] | None = None
    """The result of reasoning in words; null where there was none, or it could not be read."""
    rationale: str | None = None
    """The reason given with the rating, or why there is none."""
    presence: tuple[PresenceScore, ...] = ()
    """Questions whether the things that a relation names are visible: its evidence is the smallest of its own
    and of each group's largest. Empty for other statements, or if the preset asks for none."""
    found: tuple[StageEvidence, ...] = ()
    """What stages of other packages found; empty where the preset has none."""


class Finding(Record):
    """The finding on one clause in one item."""

    text: str
    """The clause on one line; its alternatives are joined by "or"."""
    role: Literal["clause", "unless"]
    """`clause`: one of those that make the rule broken. `unless`: one of its exceptions."""
    about: Literal["image", "caption", "pair", "text_in_image", "prompt", "response", "conversation"] = (
        "image"
    )
    """What the clause is about: the image, the item's caption, both together, the text in the image; the
    user's turns of the item's conversation (`prompt`), its last answer (`response`), or all turns with the
    image."""
    outcome: ClauseOutcome
    """After all alternatives: one that holds is enough."""
    score: float | None
    """Evidence that the clause holds, in [0, 1]: the largest among its alternatives, after debiasing; null
    where an alternative that was not answered might have had more."""
    baseline: float | None
    """M0 of the alternative with most evidence, 1 - M0 if it is negated: what the clause scored without the
    image."""
    mass: float | None
    """P(Yes) + P(No) of the alternative with most evidence."""
    decided_by: str | None
    """The stage that decided it; null where it is undecided."""
    reason: Reason | None
    """Why it is undecided; null where it is not."""
    alternatives: tuple[AlternativeScore, ...]
    """In the constitution's order."""


class Part(Record):
    """The finding on a rule in one part of an item: a frame, or an image of several."""

    index: int
    """Number of the image in an item of several, from 0; otherwise of the frame in its file, for a video
    among the frames that were looked at."""
    frame: int | None = None
    """Number of the frame in that image, where an image among several has several frames itself."""
    time: float | None = None
    """Seconds from the beginning of the video; null for anything else."""
    rendering: str | None = None
    """The way in which viewers show the frame, where there are several and each is judged: `over white` or
    `over black` for a translucent frame, `as stored` or `with gamma` for a PNG with a gamma, `cut to the
    screen` or `beyond the screen` for a GIF. Null where there is only one way."""
    outcome: RuleOutcome
    """Outcome of the rule in this part alone."""
    score: float | None
    """Score of the rule in this part alone."""


class RuleFinding(Record):
    """The finding on one rule in one item."""

    id: str
    """The rule's id in the constitution."""
    outcome: RuleOutcome
    """Broken if all clauses hold and not all exceptions do."""
    score: float | None
    """Evidence that the rule is broken, in [0, 1]: the smallest among its clauses', its exceptions counted
    in as 1 minus the smallest among theirs; null where a clause without a score might have had less. It is
    what `keep_below` and `break_above` are compared with."""
    severity: str | None
    """As the constitution has it."""
    action: str | None = None
    """As the constitution has it."""
    decided_by: str | None
    """The stage that decided it; null where it is undecided."""
    reason: Reason | None
    """Why it is undecided; null where it is not."""
    frame: int = 0
    """`index` of the part that the finding is about: the worst one for this rule, of a video the `needed`-th
    worst."""
    relevance: float | None = None
    """Cosine of the image with the rule's description, in [-1, 1]; null where nothing was scanned."""
    unscanned: Reason | None = None
    """Why the rule was not compared with the image though the preset does so: such a rule counts as relevant.
    Null otherwise."""
    parts: tuple[Part, ...] = ()
    """The finding in each frame or image, in their order; empty where there is only one."""
    agreeing: int = 1
    """In how many parts the rule's outcome is this one."""
    needed: int = 1
    """In how many frames of one video the rule has to be broken to be broken in it."""
    clauses: tuple[Finding, ...]
    """Clauses, then exceptions, each in the constitution's order; empty where the rule was not relevant."""


def with_alternatives(
    rule: RuleFinding, change: Callable[[AlternativeScore], AlternativeScore]
) -> RuleFinding:
    """The finding with `change` applied to the scores of each statement."""
    clauses = tuple(
        clause.model_copy(update={"alternatives": tuple(map(change, clause.alternatives))})
        for clause in rule.clauses
    )
    return rule.model_copy(update={"clauses": clauses})
