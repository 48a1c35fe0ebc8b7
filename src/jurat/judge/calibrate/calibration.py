"""A calibration: debiasing and thresholds fitted for one model under one constitution, as a small file.

The file names the model, the prompts and the constitution it was fitted for, and is refused for any others:
its numbers would mean nothing there.
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
"""Note in every report on verdicts that transferred thresholds decide."""


class Bounds(BaseModel):
    """Thresholds of one rule: proved from labels, or transferred without a bound (`Calibration.transferred`);
    null where neither was possible."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    keep_below: float | None = Field(default=None, ge=0, le=1)
    break_above: float | None = Field(default=None, ge=0, le=1)
    violations: int = 0
    """Labelled images that break the rule."""
    others: int = 0
    """Labelled images that do not break it."""


class Match(BaseModel):
    """How one threshold was transferred: the new model decides as many images as the old one did."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    old: float = Field(ge=0, le=1)
    """The old model's threshold."""
    interval: tuple[float, float]
    """95% bootstrap interval of the new threshold over the images. It shows how much the threshold depends on
    the choice of images, and says nothing about misses or false alarms."""
    images: int
    """Images that both models scored."""
    decided: int
    """Images that the old model's threshold decides: below `keep_below`, or above `break_above`."""
    decided_now: int
    """Images that the new threshold decides; fewer where scores are tied."""
    both: int
    """Images that both thresholds decide."""


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
    """Rule id -> how its `keep_below` was transferred."""
    break_above: dict[str, Match] = {}
    """Rule id -> how its `break_above` was transferred."""
    left_out: dict[str, str] = {}
    """Rule, or rule and threshold -> why it was not transferred. The preset's threshold applies there."""


class Calibration(BaseModel):
    """The debiasing and thresholds that `jurat calibrate` fitted, and what they were fitted for."""

    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)

    schema_: int = Field(default=SCHEMA, alias="schema")
    model: str
    """name@revision"""
    constitution: str
    """Digest of the constitution."""
    prompts: str
    """Digest of the prompts' wording."""
    jurat: str
    images: int
    """Number of images it was fitted on."""
    images_digest: str
    """Digest over the SHA-256 of each image, in sorted order."""
    clean: int | None = None
    """Number of images the debiasing was fitted on where there are labels: those labelled as breaking nothing
    and, where these are too few, those without a label. Null without labels."""
    debias: float = Field(ge=0, le=1)
    """Share of the language prior's log-odds that is subtracted."""
    shifts: dict[str, float]
    """Statement -> log-odds to subtract, by which it lies above the others on images of this kind."""
    temperature: float = Field(default=1.0, gt=0)
    """Divisor of the evidence in log-odds."""
    rules: dict[str, Bounds] = {}
    """Rule id -> its thresholds."""
    frame_alarms: dict[str, float] = {}
    """Rule id -> probability of a false alarm in one frame, which determines how many frames of a video must
    break the rule (`jurat.judge.aggregation`). Rules not listed have the default."""
    presence: bool = False
    """Whether relations in labelled images were checked against the presence of their objects, as
    `Preset.presence` has it."""
    views: float | None = None
    """The margin beyond which statements about labelled images were asked on shifted copies, as
    `Preset.views` has it; null without."""
    max_miss: float | None = None
    """Bound at 95% confidence on the share of violations called kept; null without labels."""
    max_false_alarm: float | None = None
    """Bound at 95% confidence on the share of other images called broken; null without labels."""
    transferred: Transfer | None = None
    """Source of the thresholds in `rules` if they were transferred from another model, without a bound. Null
    where they were proved from labels, or there are none."""

    @property
    def digest(self) -> str:
        """Identifier of the calibration in verdicts: 12 hex digits over its whole content."""
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
        """Checks that the calibration was fitted for a judge.

        Raises:
            JuratError: it was not; the message names what differs.
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
        JuratError: the file cannot be read, or is not a calibration.
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
