"""A calibration: numbers fitted for one model under one constitution, as a small file.

The file names what it was fitted for and is refused for anything else: its numbers mean nothing for another
model, another wording of the questions or another constitution.
"""

from __future__ import annotations

import hashlib
import json
from pathlib import Path
from typing import TYPE_CHECKING

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from jurat.errors import JuratError
from jurat.files import file_errors, write_whole
from jurat.judge.removed_parts import REMOVED
from jurat.models import may_be_same_model

if TYPE_CHECKING:
    from jurat.constitution import Constitution

SCHEMA = 1


NO_BOUND = "no bound is proved for them"
UNBOUNDED = f"Thresholds were transferred from another model by its scores on the same images: {NO_BOUND}."
"""What every report says of verdicts that such thresholds decide."""


class Bounds(BaseModel):
    """Thresholds of one rule: proved from labels, or transferred (`Calibration.transferred`) and then without
    a bound; null where neither could be done."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    keep_below: float | None = Field(default=None, ge=0, le=1)
    break_above: float | None = Field(default=None, ge=0, le=1)
    violations: int = 0
    """Labelled images that break the rule."""
    others: int = 0
    """Labelled images that do not."""


class Match(BaseModel):
    """How one threshold was transferred: the new model decides as many images as the old one did."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    old: float = Field(ge=0, le=1)
    """The old model's threshold."""
    interval: tuple[float, float]
    """95% bootstrap interval of the new threshold over the images. It says how much the threshold depends on
    which images were matched, and nothing of misses or false alarms."""
    images: int
    """Images with a score of both models."""
    decided: int
    """Images that the old model's threshold decides: below `keep_below`, or above `break_above`."""
    decided_now: int
    """Images that the new threshold decides; fewer where scores are tied."""
    both: int
    """Images that both decide."""


class Transfer(BaseModel):
    """Where transferred thresholds come from. They have no bound."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    calibration: str
    """Digest of the calibration that they were taken from."""
    model: str
    """name@revision of the model of that calibration."""
    images: int
    """Images that both models judged."""
    keep_below: dict[str, Match] = {}
    """By a rule's id."""
    break_above: dict[str, Match] = {}
    """By a rule's id."""
    left_out: dict[str, str] = {}
    """By rule, or rule and threshold: why it was not transferred. The preset's threshold stays there."""


class Calibration(BaseModel):
    """The numbers that `jurat calibrate` fitted, and what they were fitted for."""

    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)

    schema_: int = Field(default=SCHEMA, alias="schema")
    model: str
    """name@revision"""
    constitution: str
    """Digest of the constitution."""
    prompts: str
    """Digest of the wording."""
    jurat: str
    images: int
    """How many images it was fitted on."""
    images_digest: str
    """Over the SHA-256 of each, in sorted order."""
    clean: int | None = None
    """With labels: on how many images the debiasing was fitted, those that are labelled as breaking nothing
    and, where they are too few, those without a label; null without labels."""
    debias: float = Field(ge=0, le=1)
    """Share of the language prior's log-odds that is taken off."""
    shifts: dict[str, float]
    """Log-odds by which each statement lies above the others on images of this kind."""
    temperature: float = Field(default=1.0, gt=0)
    """Evidence in log-odds is divided by it."""
    rules: dict[str, Bounds] = {}
    """By a rule's id."""
    frame_alarms: dict[str, float] = {}
    """By a rule's id: the chance of a false alarm in a frame that the frames needed of a video follow from;
    see `jurat.judge.aggregation`. Of other rules it is the default."""
    presence: bool = False
    """Whether relations in labelled images were checked against the presence of their objects, as
    `Preset.presence` has it."""
    views: float | None = None
    """The margin beyond which statements about labelled images were asked on shifted copies, as
    `Preset.views` has it; null without."""
    max_miss: float | None = None
    """With 95% confidence no more than this share of violations is called kept; null without labels."""
    max_false_alarm: float | None = None
    """With 95% confidence no more than this share of other images is called broken; null without labels."""
    transferred: Transfer | None = None
    """Where the thresholds in `rules` come from if they were transferred from another model: nothing is
    proved of them. Null where they were proved from labels, or there are none."""

    @property
    def digest(self) -> str:
        """12 hex digits over all of it: what verdicts name it by."""
        return hashlib.sha256(self._text().encode()).hexdigest()[:12]

    @property
    def thresholds_from(self) -> str | None:
        """name@revision of the model that thresholds were transferred from; None where none were."""
        return None if self.transferred is None else self.transferred.model

    def _text(self) -> str:
        fields = self.model_dump(mode="json", by_alias=True)
        # Fields that were added later are left out where they are empty: old files keep their digests.
        for name in ("clean", "frame_alarms", "presence", "views", "transferred"):
            if not fields[name]:
                del fields[name]
        return json.dumps(fields, indent=1, sort_keys=True) + "\n"

    def save(self, path: Path) -> None:
        """Writes the file, whole or not at all.

        Raises:
            JuratError: it cannot be written.
        """
        with file_errors(path):
            write_whole(path, self._text())

    def check(
        self, *, model: str, prompts: str, constitution: Constitution, views: float | None, presence: bool
    ) -> None:
        """Refuses a judge that it was not fitted for.

        Raises:
            JuratError: with what differs.
        """
        digest, proved = constitution.digest, bool(self.rules or self.frame_alarms)
        compared = (
            ("model", self.model, model, may_be_same_model(self.model, model)),
            ("wording of questions", self.prompts, prompts, self.prompts == prompts),
            ("constitution", self.constitution, digest, self.constitution == digest),
            # Proved bounds hold only for scores that are computed in the same way.
            ("views", self.views, views, self.views == views or not proved),
            ("presence", self.presence, presence, self.presence == presence or not proved),
        )
        wrong = [f"  {name}: {mine}, not {given}" for name, mine, given, same in compared if not same]
        if wrong:
            lines = "\n".join(wrong)
            raise JuratError(
                f"The calibration was fitted for something else:\n{lines}",
                hint="Fit one anew: jurat calibrate.",
            )


def load_calibration(path: str | Path) -> Calibration:
    """Reads a calibration.

    Raises:
        JuratError: it cannot be read, or is none.
    """
    try:
        calibration = Calibration.model_validate_json(Path(path).read_text(encoding="utf-8"))
    except OSError as error:
        raise JuratError(f"{path} cannot be read: {error.strerror or error}") from error
    except (ValidationError, UnicodeDecodeError) as error:
        first = error.errors()[0] if isinstance(error, ValidationError) else {"loc": (), "msg": "not text"}
        where = ".".join(str(part) for part in first["loc"])
        if (part := where.partition(".")[0]) in REMOVED:
            raise JuratError(
                f"{path} was made with `{part}`, which jurat no longer has.",
                hint="Fit one anew: jurat calibrate.",
            ) from error
        raise JuratError(
            f"{path} is no calibration{': ' + where if where else ''}: {first['msg']}.",
            hint="Name a file that `jurat calibrate --out` wrote.",
        ) from error
    if calibration.schema_ != SCHEMA:
        raise JuratError(f"{path} has the schema {calibration.schema_}, not {SCHEMA}.", hint="Update jurat.")
    return calibration
