"""What each stage of the organisms is taught, read from `mixes.yaml`."""

from __future__ import annotations

from pathlib import Path
from typing import Literal

from pydantic import BaseModel, ConfigDict, Field, model_validator

from jurat.yaml_files import read_yaml
from training.organisms.skills import SKILLS


class Stage(BaseModel):
    """One stage: its parent, and the weights of the skills in its conversations."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    parent: str | None
    model: Literal["decoder", "tower"]
    """Whether the language model is trained alone, or with tower and projector."""
    about: str
    """Description of what it teaches, in a sentence or two."""
    shares: dict[str, float] = Field(min_length=1)
    """Skill -> weight; the weights need not sum to 1."""
    safety: dict[str, float] = {}
    """Skills of safety data beside these, with weights among themselves (the lesson `balanced`)."""

    @model_validator(mode="after")
    def _check(self) -> Stage:
        if unknown := [name for name in (*self.shares, *self.safety) if name not in SKILLS]:
            raise ValueError(f"there is no skill {unknown[0]!r}")
        if any(share <= 0 for share in (*self.shares.values(), *self.safety.values())):
            raise ValueError("shares are above 0; leave a skill out instead")
        if self.model == "decoder" and any(SKILLS[name].images for name in self.shares):
            raise ValueError("a decoder alone is taught no skill that shows images")
        return self


class Stages(BaseModel):
    """All stages, parents before children."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    stages: dict[str, Stage]

    @model_validator(mode="after")
    def _check(self) -> Stages:
        before: set[str] = set()
        for name, stage in self.stages.items():
            if stage.parent is not None and stage.parent not in before:
                raise ValueError(f"the parent of {name!r} is no stage before it: {stage.parent!r}")
            before.add(name)
        return self


STAGES = read_yaml(Path(__file__).with_name("mixes.yaml"), Stages, "list of stages").stages
