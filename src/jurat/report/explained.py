"""What the gallery says of one item."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from jurat.judge.verdict import Region, RuleFinding, RuleOutcome, Verdict
from jurat.report.tally import SEVERITY_RANK
from jurat.report.text import printable
from jurat.report.thumbnails import Thumbnail, thumbnail

_ORDER: tuple[RuleOutcome, ...] = ("broken", "undecided", "kept")


@dataclass(frozen=True)
class Card:
    """One item of the gallery, ready to be laid out."""

    verdict: Verdict
    thumbnail: Thumbnail
    name: str
    """The last part of the item's id."""
    folder: str
    """What comes before it, with its slash; may be empty."""
    explanation: str
    rules: tuple[RuleFinding, ...]
    """Broken ones first, then undecided and kept ones; the gravest first among the broken."""

    @property
    def touched(self) -> list[str]:
        """Ids of the rules that are broken or undecided: what the gallery is filtered by."""
        return [rule.id for rule in self.rules if rule.outcome != "kept"]

    @property
    def regions(self) -> list[Region]:
        """Where the central objects of broken and undecided rules were seen, in the frame that is shown."""
        return list(
            dict.fromkeys(
                region
                for rule in self.rules
                if rule.outcome != "kept" and rule.frame == self.verdict.frame
                for clause in rule.clauses
                for alternative in clause.alternatives
                for region in alternative.regions
            )
        )

    @property
    def alt(self) -> str:
        """What the picture's alternative text says."""
        told = f"{self.name}, judged {self.verdict.outcome}"
        return (
            f"{told}: breaks {', '.join(map(printable, self.verdict.broken))}"
            if self.verdict.broken
            else told
        )


def card(verdict: Verdict, images_root: Path | None = None) -> Card:
    """Lays out one verdict; reads its image for the thumbnail."""
    folder, slash, name = printable(verdict.id).rpartition("/")
    return Card(
        verdict,
        thumbnail(verdict, images_root),
        name or printable(verdict.id),
        folder + slash,
        printable(verdict.explain()),
        tuple(sorted(verdict.rules, key=_gravity)),
    )


def _gravity(rule: RuleFinding) -> tuple[int, int]:
    return _ORDER.index(rule.outcome), SEVERITY_RANK.get(rule.severity or "", len(SEVERITY_RANK))
