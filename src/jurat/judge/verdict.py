"""The verdict on one item: the record that everything downstream reads.

A `Verdict` holds one `RuleFinding` a rule (`jurat.judge.findings`). The fields are the record's fields
(`docs/record.md`). A later version of jurat adds to them, and drops only what a part wrote that it no longer
has.
"""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Annotated, Literal

from pydantic import BeforeValidator, Field

from jurat.judge.explain import explain
from jurat.judge.findings import (
    AlternativeScore,
    ClauseOutcome,
    Cost,
    Finding,
    ItemKind,
    ItemOutcome,
    Part,
    PresenceScore,
    Reason,
    Record,
    Region,
    RuleFinding,
    RuleOutcome,
    StageEvidence,
)
from jurat.runs.arrow import moment_text

__all__ = [
    "SCHEMA",
    "TIMESTAMP",
    "AlternativeScore",
    "ClauseOutcome",
    "Cost",
    "Finding",
    "ItemImage",
    "ItemKind",
    "ItemOutcome",
    "Part",
    "PresenceScore",
    "Reason",
    "RecordedTurn",
    "Region",
    "RuleFinding",
    "RuleOutcome",
    "StageEvidence",
    "Verdict",
    "now_text",
]

SCHEMA = 4
"""Version of the record's layout. 3: `time` is a timestamp in Parquet, no longer text. 4: the digest of the
preset, and what stages of other packages found."""

TIMESTAMP = "timestamp"
"""Marks text of ISO 8601 that is a timestamp in Parquet."""


def now_text() -> str:
    """The current time as records hold it."""
    return moment_text(datetime.now(UTC))


def _time_text(value: object) -> object:
    return moment_text(value) if isinstance(value, datetime) else value


class RecordedTurn(Record):
    """One turn of an item's conversation."""

    role: Literal["system", "user", "assistant"]
    """Who speaks."""
    text: str
    """The text, with "(image)" in the place of images."""


class ItemImage(Record):
    """One image of an item of several."""

    uri: str
    """Where it came from; empty for an image that came from memory."""
    sha256: str
    """Hex digest of the file's bytes, or of the pixels for an image that came from memory."""
    width: int | None
    """In pixels, upright; of the first frame. Null for known content, which is not decoded."""
    height: int | None
    """In pixels, upright; of the first frame. Null for known content, which is not decoded."""


class Verdict(Record):
    """The verdict on one item."""

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
    kind: ItemKind = "image"
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
    """Name of the preset: which stages ran, and how scores were decided."""
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
    columns: dict[str, str] = Field(default_factory=dict)
    """The other columns of the item's row in its source: text as it was, anything else as JSON."""
    occurrence: int = 0
    """How many items with the same id came before it in its source; with the id it is the item's identity."""
    basis: Literal["model", "known_match"] = "model"
    """`known_match`: its content was known beforehand (`--known`), and no model looked at it."""
    label: str | None = None
    """Label of the known content that it matches; null where it matches none."""
    distance: int | None = None
    """Bits in which its perceptual hash differs from the known one, 0 for the very same file; null where it
    matches none."""
    handling: Literal["sealed"] | None = None
    """`sealed`: never to be shown, sent anywhere or copied. Null where nothing forbids it."""
    reused: str | None = None
    """`decision` of the verdict of a near duplicate that was taken over; null for a verdict of its own."""
    images: tuple[ItemImage, ...] = ()
    """The images of an item of several, in their order; empty for an item of one."""
    duration: float | None = None
    """Length of a video in seconds; null for anything else."""
    fps: float | None = None
    """Frames per second of a video that were to be looked at, as far as the limit on their number allowed;
    null for anything else."""
    caption: str | None = None
    """The item's caption, where rules have clauses about captions; null where they have none, or it has
    none."""
    reasoning: Literal["full", "short"] | None = None
    """The form in which the model was asked to reason in words: `full` is the paper's, `short` is for a model
    that does not know the words of `full`; null where the preset does not reason."""
    presence: bool | None = None
    """Whether relations were checked against the presence of the things that they name; null in older
    records, in which they were not."""
    frames_in_file: int | None = None
    """How many frames or pages its files have together, also those that were not judged; null for a video,
    where nothing could be decoded, and in older records."""
    turns: tuple[RecordedTurn, ...] = ()
    """The item's conversation, where rules have clauses about it or a part of it; else empty."""
    preset_digest: str | None = None
    """Digest of the preset's stages, their settings and its decision rule; null in records of schema 3 and
    below."""
    thresholds_from: str | None = None
    """name@revision of the model from which the calibration's thresholds were transferred: no bound is proved
    for them. Null where they were not."""

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
        return explain(self)
