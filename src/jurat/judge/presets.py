"""Presets: what is asked and how answers are decided, as data.

Sources: CLUE is arXiv 2501.00192 (CVPR 2025), section 4 for the score and its two thresholds.
Dividing by a power of the language prior is VisualGPTScore's (Lin et al. 2024, arXiv 2306.01879);
subtracting in log-odds is its form for two answers.
"""

from __future__ import annotations

import difflib
from dataclasses import dataclass
from typing import Literal

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
    """Share of the language prior's log-odds that is taken off, in [0, 1]; 0 asks for no prior."""
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

    @property
    def needs_prior(self) -> bool:
        return self.decides == "clue" or self.debias > 0


PRESETS: dict[str, Preset] = {
    preset.name: preset
    for preset in (
        Preset("quick", "each statement, debiased log-odds against two thresholds", debias=0.25),
        Preset("clue-quick", "each statement, decided as the CLUE paper prints it", decides="clue"),
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
    close = difflib.get_close_matches(name, PRESETS, n=1)
    hint = f"Did you mean {close[0]!r}?" if close else f"There are {', '.join(PRESETS)}."
    raise JuratError(f"There is no preset {name!r}.", hint=hint)
