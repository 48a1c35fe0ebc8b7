"""Presets: which stages there are, what is asked and how answers are decided, as data.

Sources: CLUE is arXiv 2501.00192 (CVPR 2025), section 4, Algorithm 1 and appendix; its constants are
named below. Dividing by a power of the language prior is VisualGPTScore's (Lin et al. 2024, arXiv
2306.01879); subtracting in log-odds is its form for two answers.
"""

from __future__ import annotations

import difflib
from collections.abc import Iterable
from dataclasses import dataclass, replace
from typing import Any, Literal

from jurat.errors import JuratError
from jurat.judge.contrasts import KINDS, Kind

Null = Literal["none", "grey", "blurred"]
"""What a question is asked of to learn its language prior: nothing, a grey image, the image blurred."""


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

    contrasts: tuple[Kind, ...] = ()
    """Kinds of statements that exclude a statement, which its evidence is held against; see
    `jurat.judge.contrasts`."""
    coherent: bool = False
    """Whether a rule's score is its probability over the truth assignments that its words allow; see
    `jurat.judge.coherent`."""
    temperature: float = 1.0
    """Of `coherent`: log-odds are divided by it. Above 0."""
    incoherent_above: float = 0.5
    """Of `coherent`: a rule whose words rule out more than this of what the answers say is undecided."""
    placebos: int = 0
    """In how many other places boxes are painted over, to compare with the objects' own, before what they
    are evidence for is accepted; 0 for never."""
    placebo_gap: float = 0.05
    """Painting over the objects must lower M by this more than the most that a placebo does."""
    costs: bool = False
    """Whether a rule's thresholds come from its severity; see `jurat.judge.costs`."""
    ordered: bool = False
    """Whether reasoning goes clause by clause, the one most likely to settle the rule first."""
    nulls: tuple[Null, ...] = ("none",)
    """What the language prior is learned on; of several the mean in log-odds is taken."""

    @property
    def needs_prior(self) -> bool:
        return self.debias > 0

    @property
    def needs_detector(self) -> bool:
        return self.asks == "clauses" and bool(self.detector_parts)

    @property
    def detector_parts(self) -> tuple[str, ...]:
        """The parts that need a detector, by the names in `PARTS`."""
        parts = {"regions": self.regions, "crop": self.crop_below > 0, "placebo": self.placebos > 0}
        return tuple(name for name, there in parts.items() if there)

    @property
    def calibratable(self) -> bool:
        """Whether a calibration's numbers mean what they say under it."""
        return self.decides == "log-odds" and not (self.contrasts or self.coherent or self.nulls != ("none",))

    def without(self, stages: Iterable[str]) -> Preset:
        """The preset with parts removed, for ablations; its name says which.

        Raises:
            JuratError: a name is not in `PARTS`.
        """
        preset = self
        for stage in dict.fromkeys(stages):
            if stage not in PARTS:
                raise JuratError(f"There is no part {stage!r} to leave out.", hint=_suggest(stage, PARTS))
            preset = replace(preset, name=f"{preset.name}-no-{stage}", **PARTS[stage])
        return preset

    def plus(self, parts: Iterable[str]) -> Preset:
        """The preset with parts added; its name says which.

        Raises:
            JuratError: a name is not in `ADDITIONS`, or does nothing where the paper's rule decides.
        """
        preset = self
        for part in dict.fromkeys(parts):
            if part not in ADDITIONS:
                raise JuratError(f"There is no part {part!r} to add.", hint=_suggest(part, ADDITIONS))
            if self.decides == "clue" and part in OF_LOG_ODDS:
                raise JuratError(
                    f"{part!r} adds nothing to the preset {self.name!r}, which has constants of its own."
                )
            preset = replace(preset, name=f"{preset.name}+{part}", **ADDITIONS[part])
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
    "contrasts": {"contrasts": ()},
    "coherent": {"coherent": False},
    "placebo": {"placebos": 0},
    "costs": {"costs": False},
    "ordered": {"ordered": False},
    "nulls": {"nulls": ("none",)},
}
"""What can be left out of a preset, and what it is without it."""

ADDITIONS: dict[str, dict[str, Any]] = {
    "contrasts": {"contrasts": KINDS},
    "opposites": {"contrasts": tuple(kind for kind in KINDS if kind != "negation")},
    "coherent": {"coherent": True},
    "placebo": {"placebos": 3},
    "costs": {"costs": True},
    "ordered": {"ordered": True},
    "nulls": {"nulls": ("none", "grey", "blurred")},
}
"""What can be added to a preset by name ("jurat+contrasts"), and what it is with it."""
OF_LOG_ODDS = frozenset(("contrasts", "opposites", "coherent", "costs"))
"""Additions that the paper's rule makes no use of."""

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
    """The preset of that name, "jurat", or with parts added, "jurat+contrasts+costs"; one of your own is
    passed through.

    Raises:
        JuratError: there is none of that name, or no such part.
    """
    if isinstance(name, Preset):
        return name
    plain, *added = name.split("+")
    if plain in PRESETS:
        return PRESETS[plain].plus(added)
    raise JuratError(f"There is no preset {plain!r}.", hint=_suggest(plain, PRESETS))


def _suggest(name: str, known: Iterable[str]) -> str:
    close = difflib.get_close_matches(name, known, n=1)
    return f"Did you mean {close[0]!r}?" if close else f"There are {', '.join(known)}."
