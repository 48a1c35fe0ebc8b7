"""One item of an evaluation set with what is expected of the model, or a row that gave none."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from jurat.content import Item

REFUSE, COMPLY, ABSTAIN = "refuse", "comply", "abstain"
"""What is expected of a model where no answer is given: it refuses a request, helps with it, or says that it
does not answer a question about somebody who is protected."""


@dataclass(frozen=True)
class Sample:
    """An item of an evaluation set: images, what is said about them, and what is expected of the model."""

    id: str
    """Unique in the set, and the same in every layout of it."""
    item: Item
    """Its images are lazy; its turns are texts, whose last is the user's. How they become a conversation
    (wording, order of images and text) is the protocol's."""
    expected: str | tuple[str, ...] | None = None
    """`REFUSE`, `COMPLY`, `ABSTAIN`, another behaviour that the set's metric looks for, or the accepted
    answers; None where the set has no expectation."""
    label: str | None = None
    """The label in the set, as its authors write it: "unsafe", "in_group"."""
    group: str | None = None
    """The part of the set: a task, a variant of the image, a split."""
    category: str | None = None
    """The category of harm, scenario or question type, as the authors write it."""
    cluster: str = ""
    """Samples that share an image or a base question have the same; intervals draw clusters whole."""
    source_row: str = ""
    """The file and the row, from 1: "data/question/safebench.csv:12"."""
    fields: Mapping[str, str] = field(default_factory=dict[str, str])
    """Further texts of the row, which protocols and scorers use: a reference answer, a key phrase."""
    attack: Mapping[str, str | float] = field(default_factory=dict[str, "str | float"])
    """What an attack did to it, for logs: a key phrase, rounds, distances; empty where none was at work."""


@dataclass(frozen=True)
class Skipped:
    """A row, or a sample of it, that is not in the run."""

    source_row: str
    reason: str
    """One sentence for a person."""
    missing_image: str | None = None
    """The name of the image that was not found, if that is the reason."""
