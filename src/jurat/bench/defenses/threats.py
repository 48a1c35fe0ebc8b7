"""What the judge is put to: scenes with noise and attacks, and scenes with orders written into them.

Every attack is made twice: against the judge without a defense, which all defended ones then see (transfer),
and through each defense that gradients go through (adaptive).
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from hashlib import sha256
from typing import TYPE_CHECKING, Any

from jurat.bench.bench_plan import BenchModel
from jurat.bench.defenses.plan import NONE, Subject
from jurat.bench.injection.plan import InjectionPlan
from jurat.bench.injection.suite import NEUTRAL
from jurat.bench.pictogram.items import Purpose
from jurat.bench.robustness.conditions import CLEAN, Condition
from jurat.bench.robustness.run import RobustnessPlan

if TYPE_CHECKING:
    from jurat.attacks.verdicts import Aim

__all__ = ["Adaptive", "InjectedPlan", "PicturesPlan", "defense_of"]

_AIMS: Mapping[Purpose, Aim] = {"broken": "not unsafe", "near miss": "unsafe"}
"""The verdict that is wanted: a violation is not found, or a near miss is called one."""


@dataclass(frozen=True)
class Adaptive(Condition):
    """An attack that goes through a defense."""

    through: str = ""

    @property
    def title(self) -> str:
        return f"{super().title}, through {self.through}"

    @property
    def key(self) -> str:
        """Its name may hold what no file name can."""
        named = f"{self.change}-{self.want}-{self.level:g}-{self.against}-{self.through}"
        return f"adaptive-{self.want.replace(' ', '-')}-{sha256(named.encode()).hexdigest()[:12]}"


@dataclass(frozen=True)
class PicturesPlan(RobustnessPlan):
    """The scenes of `jurat bench robustness` with fewer changes, and with attacks through defenses; each
    defended judge is only shown those through its own."""

    through: Sequence[str] = ()
    """Defenses that gradients go through."""
    draws: int = 2
    """See `jurat.attacks.defended_access.DefendedAccess`."""

    @property
    def conditions(self) -> dict[str, Condition]:
        return {each.key: each for each in self._conditions()}

    def _conditions(self) -> Iterator[Condition]:
        for want, aim in _AIMS.items():
            yield CLEAN[want]
            for radius in self.radii:
                yield Condition("noise", want, radius)
                for preset in self.attacked:
                    yield Condition("attack", want, radius, preset, aim)
                    for defense in self.through:
                        yield Adaptive("attack", want, radius, preset, aim, defense)

    def splits_of(self, subject: BenchModel) -> list[str]:
        own = defense_of(subject)
        return [
            key
            for key, each in self.conditions.items()
            if not isinstance(each, Adaptive) or each.through == own
        ]

    def stamp_of(self, split: str) -> dict[str, Any]:
        adaptive = isinstance(self.conditions[split], Adaptive)
        return super().stamp_of(split) | ({"draws": self.draws} if adaptive else {})


@dataclass(frozen=True)
class InjectedPlan(InjectionPlan):
    """The suite of injections without its neutral words: a defense is compared with none."""

    def splits_of(self, subject: BenchModel) -> list[str]:
        return [split for split in self.suite.splits if not split.endswith(NEUTRAL)]


def defense_of(subject: BenchModel) -> str:
    """The defense of a subject; `NONE` for a model as it is."""
    return subject.defense if isinstance(subject, Subject) else NONE
