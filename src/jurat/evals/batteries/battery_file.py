"""The file of a battery: which sets, which models, which scorers.

    name: tour
    sets:
      - pictogram-memes
      - {set: figstep, data: copies/figstep, protocols: [paper, text_only], limit: 100, seed: 1}
    models:
      - bundled
      - {model: openai/NAME, base_url: "http://localhost:8000/v1"}
    scorers: [refusal-phrases-first-sentence]     # default: those of each set's card
    judge: openai/JUDGE                           # for scorers that need a model
    attacks:                                      # each set is evaluated without one, too
      - gong
      - {attack: "carlini?steps=50", target: "Sure"}
    defenses:                                     # each model is evaluated without one, too
      - jpeg?quality=50
      - jpeg + ecso                               # the first sees a conversation first

Every set meets every model. Where they should not, `parts` holds a list of such blocks, each with its own
sets and models. Relative paths start at the folder that the command is run in.
"""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any, cast

from pydantic import BaseModel, ConfigDict, Field, field_validator, model_validator

from jurat.defenses import DEFENSES
from jurat.errors import JuratError
from jurat.models.model_spec import DEFENDED_BY, defended_name
from jurat.yaml_files import read_yaml

CONTROLS = ("scripted/refuse", "scripted/comply")
"""Models that refuse everything, or nothing: what a metric gives them says what a number of it is worth."""


class _Plain(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class SetEntry(_Plain):
    """A set of a battery; the options are those of `jurat eval`."""

    set: str
    data: Path | None = None
    protocols: tuple[str, ...] = ()
    """The card's first where empty."""
    groups: tuple[str, ...] | None = None
    limit: int | None = Field(default=None, ge=1)
    seed: int | None = Field(default=None, ge=0)
    epochs: int | None = Field(default=None, ge=1)
    scorers: tuple[str, ...] = ()
    """Instead of the battery's."""

    @model_validator(mode="before")
    @classmethod
    def _short(cls, given: object) -> object:
        return {"set": given} if isinstance(given, str) else given

    @field_validator("data")
    @classmethod
    def _at_home(cls, path: Path | None) -> Path | None:
        return path and path.expanduser()


class ModelEntry(_Plain):
    """A model of a battery, with how it is opened: `base_url`, `device`, `dtype` and the other model
    arguments of the provider `jurat`."""

    model_config = ConfigDict(extra="allow", frozen=True)

    model: str

    @model_validator(mode="before")
    @classmethod
    def _short(cls, given: object) -> object:
        return {"model": given} if isinstance(given, str) else given

    @property
    def options(self) -> dict[str, Any]:
        """How it is opened."""
        return dict(self.model_extra or {})

    def under(self, defenses: str) -> ModelEntry:
        """The same model under defenses, which stand before those in its name; itself for an empty text."""
        return self.model_copy(update={"model": defended_name(self.model, defenses)})


class AttackEntry(_Plain):
    """An attack of a battery; the options are those of `jurat eval`."""

    attack: str
    target: str | None = None
    attacker: str | None = None

    @model_validator(mode="before")
    @classmethod
    def _short(cls, given: object) -> object:
        return {"attack": given} if isinstance(given, str) else given


class Part(_Plain):
    """A block of a battery: each of its sets meets each of its models."""

    sets: tuple[SetEntry, ...] = Field(min_length=1)
    models: tuple[ModelEntry, ...] = ()
    controls: tuple[str, ...] = CONTROLS
    """Models with known replies that are evaluated beside the others."""
    scorers: tuple[str, ...] = ()
    """Those of each set's card where empty."""
    judge: str | None = None
    """The model of scorers that need one."""
    attacks: tuple[AttackEntry, ...] = ()
    """A further factor: each set meets each model without an attack, and under each of these."""
    defenses: tuple[str, ...] = ()
    """A further factor: each model is evaluated as it is, and under each of these; controls are not defended.
    Several that stand together are joined by `DEFENDED_BY`."""

    @field_validator("defenses")
    @classmethod
    def _are_there(cls, given: tuple[str, ...]) -> tuple[str, ...]:
        for name in (each for names in given for each in names.split(DEFENDED_BY)):
            try:
                DEFENSES.find(name.partition("?")[0])
            except JuratError as error:
                raise ValueError(" ".join(filter(None, (error.message, error.hint)))) from error
        return given

    @property
    def all_models(self) -> tuple[ModelEntry, ...]:
        """The models, each as it is and under each defense, and the controls that are not among them."""
        named = {entry.model for entry in self.models}
        defended = tuple(entry.under(name) for entry in self.models for name in ("", *self.defenses))
        return defended + tuple(ModelEntry(model=name) for name in self.controls if name not in named)


class Battery(_Plain):
    """A battery as its file has it."""

    name: str
    """Names its folder: letters, digits, "-", "_" and "."."""
    parts: tuple[Part, ...] = Field(min_length=1)

    @model_validator(mode="before")
    @classmethod
    def _one_part(cls, given: object) -> object:
        if not isinstance(given, dict) or "parts" in given:
            return cast(object, given)
        block = dict(cast("dict[str, Any]", given))
        named = {"name": block.pop("name")} if "name" in block else {}
        return {**named, "parts": [block]}

    @field_validator("name")
    @classmethod
    def _names_a_folder(cls, name: str) -> str:
        if not re.fullmatch(r"\w[\w.-]*", name):
            raise ValueError(f"{name!r} names no folder: letters, digits, '-', '_' and '.' do")
        return name


def read_battery(path: Path) -> Battery:
    """The battery in a YAML file.

    Raises:
        JuratError: the file cannot be read, or holds none.
    """
    return read_yaml(path, Battery, "battery")
