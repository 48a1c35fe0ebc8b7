"""What joint training shows, as data: for the bundled model, and for the naive organism's decoder.

The mixes of the bundled model hold all that the judge does: its wordings, questions without an image,
rectangles painted over, whole rules. The mix `naive` asks the same things in other words, always about a
whole image, and seldom about rules. It trains a new decoder only: the organism's vision tower is that of the
stage `signs`, which was trained under the mix `bundled`.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Literal

from jurat.judge.prompts import RULE, STATEMENT, Wording


@dataclass(frozen=True)
class Mix:
    """Shares and wordings of joint training."""

    modes: dict[str, float]
    """Modes of a batch (`batches`), with their shares."""
    statements: tuple[Wording, ...]
    """How statements are put, each as likely as the others."""
    rules: tuple[Wording, ...]
    """How whole rules are put."""
    blanked: float
    """Share of scenes with a rectangle painted over."""
    kinds: Mapping[str, float] = field(default_factory=dict[str, float])
    """Factors on the weights of kinds of statements (`questions.KINDS`); 1 where there is none."""
    organism: Literal["bundled", "naive"] = "bundled"
    """Which model learns it."""


MIXES: dict[str, Mix] = {
    "bundled": Mix(
        {"statement": 0.74, "rule": 0.12, "free": 0.09, "no image": 0.05}, (STATEMENT,), (RULE,), 0.06
    ),
    "touches": Mix(
        {"statement": 0.74, "rule": 0.12, "free": 0.09, "no image": 0.05},
        (STATEMENT,),
        (RULE,),
        0.06,
        {"touch": 2.0, "group touch": 1.3},
    ),
    "naive": Mix(
        {"statement": 0.87, "rule": 0.03, "free": 0.10},
        (
            Wording("Answer with Yes or No.", "Is it true? {text}"),
            Wording("Is this true of the image? Answer Yes or No.", "{text}"),
            Wording("Think, then answer Yes or No.", "Can this be seen in the picture? {text}"),
            Wording("", "{text} Is it true, Yes or No?"),
            Wording("Answer with one word.", "Is this sentence true? {text}"),
        ),
        (
            Wording("Answer with Yes or No.", "Does the picture break this? {text}"),
            Wording("Does the image break it? Answer Yes or No.", "{text}"),
        ),
        0.0,
        {"whole rule": 0.25},
        "naive",
    ),
}
"""By name."""
