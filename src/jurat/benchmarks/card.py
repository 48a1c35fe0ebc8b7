"""The card of an evaluation set: a YAML file beside its reader."""

from __future__ import annotations

import re
from collections.abc import Mapping
from fnmatch import fnmatchcase
from functools import cache
from importlib.resources import files
from pathlib import Path
from typing import Literal

from pydantic import BaseModel, ConfigDict, Field

from jurat.registry import Evidence
from jurat.yaml_files import parse_yaml, read_yaml

UNMAPPED = "unmapped"
"""Stands in a card for a category that has no hazard of its own: it spans several, or none."""

_WHAT = "card of an evaluation set"
_NAME = re.compile(r"\{(\w+)\}")
"""A field in a prompt; other braces stand for themselves."""


class _Plain(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class Published(_Plain):
    """The counts that the authors publish."""

    samples: int | None = None
    """Those of the default groups, as are the categories."""
    categories: dict[str, int] = Field(default_factory=dict)
    categories_of: list[str] = Field(default_factory=list)
    """The groups whose samples `categories` counts; the default ones where empty."""
    groups: dict[str, int] = Field(default_factory=dict)
    any_group: bool = False
    """Whether a copy may lack groups, as those of sets do that come in parts."""
    evidence: Evidence = "recalled"


class Reference(_Plain):
    """A published result."""

    model: str
    metric: str
    value: float
    """In `unit`, where `jurat metrics` gives shares in [0, 1]."""
    unit: Literal["percent"] = "percent"
    group: str | None = None
    evidence: Evidence = "recalled"


class ProtocolCard(_Plain):
    """How a sample becomes a conversation."""

    prompt: str | dict[str, str] = "{question}"
    """The user's text, with the names of the sample's `fields` in braces; for groups that are asked in
    different ways one each."""
    system: str | None = None
    images: Literal["before", "after", "none"] = "before"
    """Where the images stand, before or after the text; or that they are not shown."""
    max_tokens: int = 512
    temperature: float = 0.0
    samples: int = 1
    """Replies a sample."""
    evidence: Evidence = "ours"
    note: str = ""
    """What differs from other protocols of the set, and why."""

    def render(self, fields: Mapping[str, str], group: str | None = None) -> str:
        """The user's text for a sample.

        Raises:
            KeyError: the text needs a field that the sample lacks, or there is none for its group.
        """
        template = self.prompt if isinstance(self.prompt, str) else self.prompt[group or ""]
        return _NAME.sub(lambda found: fields[found[1]], template)


class Drawing(_Plain):
    """How many samples of a set of pictograms are drawn, and from which seed."""

    n: int = Field(ge=1, le=100_000)
    seed: int = Field(default=0, ge=0)


class Card(_Plain):
    """What is known of an evaluation set without a copy of it."""

    name: str
    title: str
    summary: str
    """One line."""
    paper: str | None = None
    """"arXiv:2311.05608", or a DOI."""
    licence: str
    where: str
    """Where to ask for it: a repository, a hub id, a form."""
    revision: str | None = None
    """The revision that the facts were read from, if any."""
    reader: str
    """"module:class"."""
    layouts: dict[str, str | list[str]] = Field(default_factory=dict)
    """Name to a pattern of a file by which the layout is recognised (`SetFiles.find`), or several that must
    all be there; the first that fits is taken."""
    drawing: Drawing | None = None
    """For a set that is drawn instead of read: what is drawn unless its name says otherwise
    ("pictogram-memes?n=200&seed=3"). It has no layouts, and its reader is a `DrawnReader`."""
    expects: list[str] = Field(default_factory=list)
    """The files that a copy has, for people."""
    borrows_images: bool = False
    """Whether its images are some of another set's, so that a copy may hold more of them."""
    image_folders: list[str] = Field(default_factory=list)
    """Patterns of its images (`SetFiles.find`), where a copy holds those of other sets too; unused images are
    looked for among these. All images where empty, or where they find none."""
    default_groups: list[str] = Field(default_factory=list)
    """The groups that a run takes unless it is given others; all where empty. Training parts, and variants
    that the authors report apart, are not among them."""
    published: Published = Published()
    published_of: dict[str, Published] = Field(default_factory=dict)
    """Layout to its own counts, where it holds another part of the set than the others: a mini version."""
    protocols: dict[str, ProtocolCard] = Field(min_length=1)
    """The first is the default."""
    scorers: list[str] = Field(default_factory=list)
    metrics: list[str] = Field(default_factory=list)
    results: list[Reference] = Field(default_factory=list)
    taxonomy: dict[str, str] = Field(default_factory=dict)
    """The set's categories, or patterns of them ("*"), to hazards of `taxonomy.yaml` or `UNMAPPED`."""
    irregular: list[str] = Field(default_factory=list)
    """Known irregularities of the release, a sentence each."""

    @property
    def default_protocol(self) -> ProtocolCard:
        return next(iter(self.protocols.values()))

    def hazard(self, category: str | None) -> str | None:
        """The hazard of `taxonomy.yaml` to which a category is mapped, without regard to case; None where it
        is mapped to none."""
        name = (category or "").casefold()
        folded = {key.casefold(): value for key, value in self.taxonomy.items()}
        patterns = (value for key, value in folded.items() if fnmatchcase(name, key))
        found = folded.get(name) or next(patterns, UNMAPPED)
        return None if found == UNMAPPED else found

    def is_default(self, group: str | None) -> bool:
        """Whether a run takes the samples of this group, or those of none, without being told so."""
        return not self.default_groups or group is None or group in self.default_groups

    def published_in(self, layout: str) -> Published:
        """The counts of a complete copy in a layout."""
        return self.published_of.get(layout, self.published)

    def patterns(self, layout: str) -> list[str]:
        """The patterns that must all be found in a copy of a layout."""
        found = self.layouts[layout]
        return [found] if isinstance(found, str) else found


def read_card(path: Path | str) -> Card:
    """The card in a YAML file. Raises JuratError where there is none."""
    return read_yaml(path, Card, _WHAT)


@cache
def our_cards() -> tuple[Card, ...]:
    """The cards of the sets that jurat reads, by name."""
    folder = files("jurat.benchmarks") / "sets"
    found = [file for file in folder.iterdir() if file.name.endswith(".yaml")]
    cards = [parse_yaml(file.read_text("utf-8"), Card, file.name, _WHAT) for file in found]
    return tuple(sorted(cards, key=lambda card: card.name))
