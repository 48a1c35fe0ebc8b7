"""Presets: which stages there are, what is asked and how answers are decided, as data.

Sources: CLUE is arXiv 2501.00192 (CVPR 2025), section 4, Algorithm 1 and appendix; its constants are
named below. Dividing by a power of the language prior is VisualGPTScore's (Lin et al. 2024, arXiv
2306.01879); subtracting in log-odds is its form for two answers.
"""

from __future__ import annotations

import difflib
import re
from collections.abc import Iterable
from dataclasses import dataclass, replace
from typing import Any, Literal

from jurat.errors import JuratError


@dataclass(frozen=True)
class Preset:
    """See `docs/judging.md` for what each number does."""

    name: str
    summary: str
    asks: Literal["clauses", "rules"] = "clauses"
    """`clauses`: every statement. `rules`: each rule's text, and the statements of its exceptions."""
    decides: Literal["log-odds", "clue"] = "log-odds"
    """`log-odds`: the debiased probability against two thresholds. `clue`: the paper's rule, as printed."""
    debias: float = 0.0
    """Share of the language prior's log-odds that is taken off, in [0, 1]; 0 asks for no prior. `clue`
    takes off what the paper does for any value above 0, and takes the likelier answer for 0."""
    prior_limit: float = 2.0
    """The prior's log-odds count as at most this, either way: a prior can move a score by `debias` x this."""
    keep_below: float = 0.2
    """A clause whose evidence is below it fails, unless its rule says otherwise. In [0, 1]."""
    break_above: float = 0.8
    """A clause whose evidence is above it holds, unless its rule says otherwise. In [0, 1]."""
    reject: float = 0.3
    """Of `clue`: a statement fails if M - M0 < -reject x M0."""
    accept: float = 0.8
    """Of `clue`: a statement holds if M - M0 > accept x (1 - M0)."""
    min_mass: float = 0.5
    """With less P(Yes) + P(No) than this a question counts as not answered. In [0, 1]."""
    views: float | None = None
    """A statement whose evidence is not within this of 0 or 1 is asked again on moved copies of the image,
    and the answers averaged. In [0, 0.5); None for never."""
    presence: bool = False
    """Whether a relation is held against the presence of what it is between; see `jurat.judge.presence`."""
    relevance: bool = False
    """Whether rules that an image does not resemble are left out; the matcher brings the threshold."""
    points: bool = False
    """Whether the central objects of broken rules are looked for, if there is a detector: to point at them.
    It changes no outcome."""
    regions: bool = False
    """Whether an undecided statement is asked again with its central objects painted over."""
    drop: float = 0.6
    """A statement holds if painting over lowers M by more than this (the paper's beta)."""
    confidence: float = 0.05
    """Boxes with a higher score than this count."""
    crop_below: float = 0.0
    """Objects whose boxes are below this share of the image are asked about on a crop; 0 for never."""
    reason: bool = False
    """Whether the model reasons in words about what is still undecided."""

    @property
    def needs_prior(self) -> bool:
        return self.debias > 0

    @property
    def needs_detector(self) -> bool:
        return self.asks == "clauses" and bool(self.detector_parts)

    @property
    def detector_parts(self) -> tuple[str, ...]:
        """The parts that need a detector, by the names in `PARTS`."""
        parts = {"regions": self.regions, "crop": self.crop_below > 0}
        return tuple(name for name, there in parts.items() if there)

    def without(self, stages: Iterable[str]) -> Preset:
        """The preset with parts removed, for ablations; its name says which.

        Raises:
            JuratError: a name is not in `PARTS`.
        """
        preset = self
        for stage in dict.fromkeys(stages):
            if stage in REMOVED:
                raise JuratError(f"There is no part {stage!r} to leave out: it was removed from jurat.")
            if stage not in PARTS:
                raise JuratError(f"There is no part {stage!r} to leave out.", hint=_suggest(stage, PARTS))
            preset = replace(preset, name=f"{preset.name}-no-{stage}", **PARTS[stage])
        return preset


PARTS: dict[str, dict[str, Any]] = {
    "relevance": {"relevance": False},
    "clauses": {"asks": "rules"},
    "debias": {"debias": 0.0},
    "views": {"views": None},
    "presence": {"presence": False},
    "points": {"points": False},
    "regions": {"regions": False},
    "crop": {"crop_below": 0.0},
    "reason": {"reason": False},
}
"""What can be left out of a preset, and what it is without it."""

REMOVED = ("contrasts", "opposites", "coherent", "placebo", "costs", "ordered", "nulls")
"""Parts that presets could have in earlier versions. Records name them in their preset: "jurat+contrasts"."""

DEFAULT = "jurat"

PRESETS: dict[str, Preset] = {
    preset.name: preset
    for preset in (
        Preset(
            "jurat",
            "each statement, debiased log-odds, and what is not certain again on moved copies of the image",
            debias=0.25,
            views=0.02,
            presence=True,
            points=True,
            keep_below=0.4,
            break_above=0.6,
        ),
        Preset(
            "quick", "each statement, debiased log-odds against two thresholds", debias=0.25, presence=True
        ),
        Preset(
            "clue",
            "the whole CLUE paper: relevance, each statement as printed, regions, reasoning",
            decides="clue",
            debias=1.0,
            relevance=True,
            regions=True,
            crop_below=0.01,
            reason=True,
        ),
        Preset(
            "clue-quick", "each statement, decided as the CLUE paper prints it", decides="clue", debias=1.0
        ),
        Preset(
            "direct",
            "one question a rule, the more likely answer",
            asks="rules",
            keep_below=0.5,
            break_above=0.5,
        ),
    )
}


def find_preset(name: str | Preset) -> Preset:
    """The preset of that name; one of your own is passed through.

    Raises:
        JuratError: there is none of that name.
    """
    if isinstance(name, Preset):
        return name
    if name in PRESETS:
        return PRESETS[name]
    if part := removed_part(name):
        raise JuratError(
            f"There is no preset {name!r}: {part!r} was removed from jurat.",
            hint=f"Name the preset without it: {name.partition('+')[0]!r}.",
        )
    raise JuratError(f"There is no preset {name!r}.", hint=_suggest(name, PRESETS))


def removed_part(preset: str) -> str | None:
    """The first part that a preset's name adds and jurat no longer has; None where it adds none."""
    return next((part for part in re.findall(r"\+([a-z]+)", preset) if part in REMOVED), None)


def check_made_without(preset: str) -> None:
    """Refuses a record, by its preset's name, that was made with a part that jurat no longer has.

    Raises:
        JuratError: it was.
    """
    if part := removed_part(preset):
        raise JuratError(
            f"This record was made with `{part}`, which jurat no longer has.",
            hint="It can still be shown: jurat report.",
        )


def _suggest(name: str, known: Iterable[str]) -> str:
    close = difflib.get_close_matches(name, known, n=1)
    return f"Did you mean {close[0]!r}?" if close else f"There are {', '.join(known)}."
