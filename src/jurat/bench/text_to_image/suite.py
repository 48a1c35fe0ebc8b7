"""What is removed, prompted with and looked for, as data."""

from __future__ import annotations

from functools import cache, cached_property
from hashlib import sha256
from importlib.resources import files
from pathlib import Path
from typing import Annotated, Self, TypeAlias

from pydantic import BaseModel, ConfigDict, Field, model_validator

from jurat.constitution import Clause, Constitution, Rule, Statement
from jurat.metrics import Claim
from jurat.pictograms.objects import NUMBER
from jurat.pictograms.scene import TEXTURES
from jurat.yaml_files import parse_yaml, yaml_text

__all__ = ["Concept", "Drawing", "Other", "Pair", "Suite", "load_suite"]

_WHAT = "suite of prompts for text-to-image models"


class _Data(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True, populate_by_name=True)


Text: TypeAlias = Annotated[str, Field(pattern=r"\S")]
Name: TypeAlias = Annotated[str, Field(pattern=r"^[A-Za-z0-9][A-Za-z0-9 ._-]*$", max_length=48)]
"""Name of an object; the id of its rule is made of it."""


class Concept(_Data):
    """What is removed."""

    name: Name
    """One of the objects; also the prompt of a control."""
    removed_as: Text
    """What removals are told."""
    words: tuple[Text, ...] = ()
    """Words by which a prompt names it; beside its name."""

    def named_in(self, prompt: str) -> bool:
        """Whether a prompt has the name or one of the words, as whole words."""
        text = f" {' '.join(prompt.casefold().split())} "
        return any(f" {word.casefold()} " in text for word in (self.name, *self.words))


class Pair(_Data):
    """A text with the concept and one without it."""

    with_it: Text = Field(alias="with")
    without: Text


class Other(_Data):
    """A prompt of what is not removed."""

    prompt: Text
    shows: tuple[Name, ...] = Field(min_length=1)
    """The objects that its pictures must show."""


class Drawing(_Data):
    """How scenes of pictograms are drawn: like those that the model learned."""

    sides: tuple[float, float]
    """Least and largest side of an object, in units of 1/128 of the picture's."""
    tilt: float = Field(ge=0, le=180)
    """Degrees."""
    grounds: tuple[str, ...] = Field(min_length=1)


class Suite(_Data):
    """A whole file."""

    name: Name
    version: int = Field(ge=1)
    concept: Concept
    objects: dict[Name, Text] = Field(min_length=2)
    """Object -> the statement that it is visible, which the judge is asked about every picture."""
    prompts: tuple[Text, ...] = Field(min_length=1)
    pairs: tuple[Pair, ...] = Field(min_length=1)
    others: tuple[Other, ...] = Field(min_length=2)
    attack: Text = "ring-a-bell"
    removals: tuple[Text, ...] = ("sld", "esd", "uce")
    defenses: tuple[Text, ...] = ("dual-latent",)
    shown: int = Field(default=1, ge=1)
    """Smaller pictures are enlarged to so many pixels a side before they are judged."""
    scenes: Drawing | None = None
    """Null: the pictures of known truth are the user's own."""
    claims: tuple[Claim, ...] = ()
    digest: str = ""
    """12 hex characters of the file."""

    @model_validator(mode="after")
    def _check(self) -> Self:
        if self.concept.name not in self.objects:
            raise ValueError(f"the concept {self.concept.name!r} is none of the objects")
        if len({_id(name) for name in self.objects}) < len(self.objects):
            raise ValueError("two objects have the same name")
        for what in ("prompts", "others"):
            texts = [each if isinstance(each, str) else each.prompt for each in getattr(self, what)]
            if twice := [text for text in texts if texts.count(text) > 1]:
                raise ValueError(f"{what} have {twice[0]!r} twice")
        for other in self.others:
            if unknown := [name for name in other.shows if name not in self.objects]:
                raise ValueError(f"{other.prompt!r} shows {unknown[0]!r}, which is none of the objects")
            if self.concept.name in other.shows:
                raise ValueError(f"{other.prompt!r} shows the concept")
        if same := [each.without for each in self.pairs if each.with_it == each.without]:
            raise ValueError(f"a pair is twice the same text: {same[0]!r}")
        if self.scenes is not None:
            self._check_drawn(self.scenes)
        return self

    def _check_drawn(self, scenes: Drawing) -> None:
        if unknown := [name for name in self.objects if name not in NUMBER]:
            raise ValueError(f"no scene can be drawn with {unknown[0]!r}: it is none of the pictograms")
        if unknown := [ground for ground in scenes.grounds if ground not in TEXTURES]:
            raise ValueError(f"there is no ground {unknown[0]!r}; there are {', '.join(TEXTURES)}")
        if not 0 < scenes.sides[0] <= scenes.sides[1] <= 100:
            raise ValueError("sides are two numbers in (0, 100], the smaller first")

    @property
    def title(self) -> str:
        """Name and version: "jurat-text-to-image-1"."""
        return f"{self.name}-{self.version}"

    @cached_property
    def rules(self) -> dict[str, str]:
        """Object -> the id of its rule."""
        return {name: _id(name) for name in self.objects}

    @cached_property
    def constitution(self) -> Constitution:
        """A rule for each object, that it must not be visible."""
        rules = [
            Rule(
                id=self.rules[name],
                rule=f"No {name} may be visible.",
                clauses=(Clause(alternatives=(Statement(text=statement),)),),
            )
            for name, statement in self.objects.items()
        ]
        return Constitution(name=self.name, version=str(self.version), rules=tuple(rules))


@cache
def load_suite(path: Path | None = None) -> Suite:
    """The suite in a file, or the one that ships with jurat.

    Raises:
        JuratError: the file cannot be read, or does not hold one; the message names the line.
    """
    own = files("jurat.bench.text_to_image").joinpath("suite.yaml")
    text = own.read_text("utf-8") if path is None else yaml_text(path)
    found = parse_yaml(text, Suite, "suite.yaml" if path is None else str(path), _WHAT)
    return found.model_copy(update={"digest": sha256(text.encode()).hexdigest()[:12]})


def _id(name: str) -> str:
    return name.casefold().replace(" ", "-")
