"""What was established about one item: the record that everything downstream reads.

A `Verdict` holds one `RuleFinding` a rule, which holds one `Finding` a clause, which holds one
`AlternativeScore` a statement that was put to the model. The fields are the record's fields
(`docs/record.md`). A later version of jurat adds to them, and drops only what a part wrote that it no longer
has.
"""

from __future__ import annotations

from datetime import datetime
from typing import Annotated, Literal

from pydantic import BaseModel, BeforeValidator, ConfigDict

from jurat.runs.arrow import moment_text

SCHEMA = 3
"""Version of the record's layout. 3: `time` is a timestamp in Parquet, no longer text."""

TIMESTAMP = "timestamp"
"""Marks text of ISO 8601 that is a timestamp in Parquet."""

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
Stage = Literal["relevance", "quick", "views", "regions", "reason"]
Kind = Literal["image", "animation", "video", "images"]


def _time_text(value: object) -> object:
    return moment_text(value) if isinstance(value, datetime) else value


class _Record(BaseModel):
    model_config = ConfigDict(frozen=True, extra="ignore", use_attribute_docstrings=True, allow_inf_nan=False)

    def __repr__(self) -> str:
        """Short: what it came to, and about what. `model_dump` has everything."""
        told = {name: getattr(self, name) for name in _SHOWN if name in type(self).model_fields}
        told = {name: value for name, value in told.items() if value not in (None, ())}
        pairs = (f"{name}={_shortened(value)!r}" for name, value in told.items())
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


class Region(_Record):
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


class Cost(_Record):
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


class PresenceScore(_Record):
    """What a relation takes for granted, and was asked beside it: that a thing it names is visible."""

    group: int = 0
    """Of those with the same number, one has to be true."""
    text: str
    """The statement."""
    score: float | None
    """M; null where it was not answered."""
    baseline: float | None
    """M0."""
    mass: float | None
    """P(Yes) + P(No); null where the model failed to answer."""
    stated: bool | None = None
    """As of an alternative."""
    score_over_views: float | None = None
    """M over the image and its moved copies, where the statement was asked there."""
    reason: Reason | None = None
    """Why it says nothing; null where it does."""


class AlternativeScore(_Record):
    """One statement as it was put to the model: what the model said, before anything was made of it."""

    text: str
    """The statement, or the rule's own text where that was put as a question."""
    negated: bool = False
    """True where the clause wants the statement to be false; the numbers are those of the statement as
    put."""
    score: float | None
    """M = P(Yes) / (P(Yes) + P(No)), in [0, 1]; null where it was not answered."""
    baseline: float | None
    """M0: the same without the image, the model's language prior; null where the preset asks for none, or
    it was not answered."""
    mass: float | None
    """P(Yes) + P(No), in [0, 1]; null where the model failed to answer."""
    stated: bool | None = None
    """True where a server that measures nothing said Yes or No in text: the score is 1 or 0, and no
    probability. Null in older records, which do not tell."""
    outcome: ClauseOutcome = "undecided"
    """Of the statement after its negation, if it has one."""
    reason: Reason | None = None
    """Why it is undecided; null where it is not."""
    decided_by: Stage | None = None
    """The stage that decided it; null where it is undecided."""
    score_over_views: float | None = None
    """M over the image and moved copies of it, averaged in log-odds; null where it was not asked there."""
    regions: tuple[Region, ...] = ()
    """Where the central objects were seen, if a detector looked for them."""
    score_on_crop: float | None = None
    """M on a crop of small objects, which then stands for M; null where there was no such crop."""
    score_without: float | None = None
    """M with the regions painted over; null where that was not asked."""
    rating: Literal["Yes", "No"] | None = None
    """What reasoning in words came to; null where there was none, or it could not be read."""
    rationale: str | None = None
    """The reason that it gave."""
    presence: tuple[PresenceScore, ...] = ()
    """What else must hold for a relation to: its evidence is the least of its own and of each group's
    largest. Empty where it is no relation, or the preset asks for none."""


class Finding(_Record):
    """What was established about one clause in one item."""

    text: str
    """The clause on one line; its alternatives are joined by "or"."""
    role: Literal["clause", "unless"]
    """`clause`: one of those that make the rule broken. `unless`: one of its exceptions."""
    about: Literal["image", "caption", "pair", "text_in_image", "prompt", "response", "conversation"] = (
        "image"
    )
    """What it speaks of: the image, the item's caption, both together, the text in the image; of the item's
    conversation the user's turns (`prompt`), the last answer (`response`), or all turns with the image."""
    outcome: ClauseOutcome
    """After all alternatives: one that holds is enough."""
    score: float | None
    """Evidence that the clause holds, in [0, 1]: the largest among its alternatives, after debiasing; null
    where an
    alternative that was not answered might have had more."""
    baseline: float | None
    """Of the alternative with most evidence, turned round if it is negated: what the clause scored without
    the image."""
    mass: float | None
    """P(Yes) + P(No) of that alternative."""
    decided_by: Stage | None
    """The stage that decided it; null where it is undecided."""
    reason: Reason | None
    """Why it is undecided; null where it is not."""
    alternatives: tuple[AlternativeScore, ...]
    """In the constitution's order."""


class Part(_Record):
    """What one part of an item says of a rule: a frame, or an image of several."""

    index: int
    """Of an item of several images: which image, from 0. Else: which frame of the file, of a video which of
    those that were looked at."""
    frame: int | None = None
    """Which frame of that image, where an image among several has several itself."""
    time: float | None = None
    """Of a frame of a video: seconds from its beginning."""
    rendering: str | None = None
    """Of a frame that viewers show in several ways, each of which is judged: in which one. `over white` or
    `over black` of a translucent frame, `as stored` or `with gamma` of a PNG with a gamma, `cut to the
    screen` or `beyond the screen` of a GIF. Null where there is only one way."""
    outcome: RuleOutcome
    """Of the rule in this part alone."""
    score: float | None
    """Likewise."""


class RuleFinding(_Record):
    """What was established about one rule in one item."""

    id: str
    """The rule's id in the constitution."""
    outcome: RuleOutcome
    """Broken if all clauses hold and not all exceptions do."""
    score: float | None
    """Evidence that the rule is broken, in [0, 1]: the smallest among its clauses', its exceptions counted
    in as 1
    minus the smallest among theirs; null where a clause without a score might have had less. It is what
    `keep_below`
    and `break_above` are compared with."""
    severity: str | None
    """As the constitution has it."""
    action: str | None = None
    """As the constitution has it."""
    decided_by: Stage | None
    """The stage that decided it; null where it is undecided."""
    reason: Reason | None
    """Why it is undecided; null where it is not."""
    frame: int = 0
    """`index` of the part that the finding is about: the worst one for this rule, of a video the `needed`-th
    worst."""
    relevance: float | None = None
    """Cosine of the image with the rule's description, in [-1, 1]; null where nothing was scanned."""
    unscanned: Reason | None = None
    """Why the rule was not scanned though the preset scans: such a rule counts as relevant. Null
    elsewhere."""
    parts: tuple[Part, ...] = ()
    """What each frame or image says of the rule, in their order; empty where there is only one."""
    agreeing: int = 1
    """In how many parts the rule's outcome is this one."""
    needed: int = 1
    """In how many frames of one video the rule has to be broken to be broken in it."""
    clauses: tuple[Finding, ...]
    """Clauses, then exceptions, each in the constitution's order; empty where the rule was not relevant."""


class RecordedTurn(_Record):
    """One turn of an item's conversation."""

    role: Literal["system", "user", "assistant"]
    """Who speaks."""
    text: str
    """What was said, with "(image)" in the place of images."""


class ItemImage(_Record):
    """One image of an item of several."""

    uri: str
    """Where it came from; empty for an image that came from memory."""
    sha256: str
    """Hex digest of the file's bytes, or of the pixels for an image that came from memory."""
    width: int | None
    """In pixels, upright; of the first frame. Null for known content, which is not decoded."""
    height: int | None
    """In pixels, upright; of the first frame. Null for known content, which is not decoded."""


class Verdict(_Record):
    """What was established about one item."""

    schema_: int = SCHEMA
    """Version of this layout. Named `schema` in rows."""
    decision: str
    """A UUID, new for each decision."""
    time: Annotated[str, BeforeValidator(_time_text), TIMESTAMP]
    """When it was taken, in UTC: in Parquet a timestamp in milliseconds; in JSON and in Python text of
    ISO 8601, ending in Z."""
    id: str
    """The item's own id: its path as given, as a rule."""
    uri: str
    """Where the item came from; empty for an image that came from memory."""
    kind: Kind = "image"
    """`animation` for a file of several frames, `images` for an item of several images."""
    sha256: str | None
    """Hex digest of the file's bytes (of the pixels for an image that came from memory; of several images,
    that of the digests of each, a line each); null if it could not be read."""
    width: int | None
    """In pixels, upright; of the first frame."""
    height: int | None
    """In pixels, upright; of the first frame."""
    frames: int = 1
    """How many frames were judged, of all images together; one that viewers show in several ways counts in
    each. 0 if there was none to judge."""
    frame: int = 0
    """`index` of the part that decided the outcome."""
    outcome: ItemOutcome
    """`unsafe` if a rule is broken, `safe` if all are kept, `error` if it could not be judged, else
    `unsure`."""
    broken: tuple[str, ...]
    """Ids of the rules that are broken, in the constitution's order."""
    reason: Reason | None
    """Why it is `unsure` or `error`; null where it is neither."""
    rules: tuple[RuleFinding, ...]
    """In the constitution's order; empty where the outcome is `error`."""
    model: str
    """name@revision"""
    constitution: str
    """name@digest"""
    thresholds: str
    """Digest of the constitution's thresholds, severities and actions."""
    preset: str
    """Which questions were put, and how answers were decided."""
    prompts: str
    """Digest of the wording of the questions, and of that of reasoning in words where the preset reasons."""
    dtype: str
    """In which the model computed; "none" where that means nothing."""
    jurat: str
    """Version of jurat."""
    seconds: float
    """Wall time of the batch divided by its items."""
    error: str | None
    """Why it could not be judged, in one sentence; null where the outcome is not `error`."""
    cost: Cost = Cost()
    """Images and tokens; of all frames."""
    relevant_above: float | None = None
    """Rules with a relevance up to this were not judged further; null where nothing was scanned."""
    detector: str | None = None
    """name@revision of what found regions; null where nothing looked for any."""
    matcher: str | None = None
    """name@revision of what scanned relevance; null where nothing did."""
    calibration: str | None = None
    """Digest of the calibration; null where there was none."""
    note: str | None = None
    """A remark of the model: about itself (the `null` model's answers mean nothing), or on why it did not
    answer."""
    columns: dict[str, str] = {}
    """The other columns of the item's row in its source: text as it was, anything else as JSON."""
    occurrence: int = 0
    """How many items with the same id came before it in its source; with the id it is the item's identity."""
    basis: Literal["model", "known_match"] = "model"
    """`known_match`: its content was known beforehand (`--known`), and no model looked at it."""
    label: str | None = None
    """Of the known content that it matches; null where it matches none."""
    distance: int | None = None
    """Bits in which its perceptual hash differs from the known one, 0 for the very same file; null where it
    matches none."""
    handling: Literal["sealed"] | None = None
    """`sealed`: never to be shown, sent anywhere or copied. Null where nothing forbids it."""
    reused: str | None = None
    """`decision` of the verdict of a near duplicate that was taken over; null for a verdict of its own."""
    images: tuple[ItemImage, ...] = ()
    """Of an item of several, in their order; empty for an item of one."""
    duration: float | None = None
    """Of a video, in seconds; null for anything else."""
    fps: float | None = None
    """Frames of a second of a video that were to be looked at, as far as their number allowed; null for
    anything else."""
    caption: str | None = None
    """The item's caption, where rules have clauses about captions; null where they have none, or it has
    none."""
    reasoning: Literal["full", "short"] | None = None
    """The form in which the model was asked to reason in words: `full` is the paper's, `short` is for a model
    that does not know the words of `full`; null where the preset does not reason."""
    presence: bool | None = None
    """Whether relations were held against the presence of what they name; null in older records, in which
    they were not."""
    frames_in_file: int | None = None
    """How many frames or pages its files have together, also those that were not judged; null for a video,
    where nothing could be decoded, and in older records."""
    turns: tuple[RecordedTurn, ...] = ()
    """The item's conversation, where rules have clauses about it or a part of it; else empty."""

    @property
    def is_safe(self) -> bool:
        """Whether the outcome is `safe`: False for `unsafe`, and for `unsure` and `error` too."""
        return self.outcome == "safe"

    def __bool__(self) -> bool:
        """Raises TypeError: there are four outcomes, and none of them is what `if verdict` would test."""
        raise TypeError(
            f"A verdict is neither true nor false; the outcome of this one is {self.outcome!r}. "
            "Use verdict.is_safe, or compare verdict.outcome."
        )

    def explain(self) -> str:
        """Why, in two sentences, from the findings."""
        from jurat.judge.explain import explain

        return explain(self)
