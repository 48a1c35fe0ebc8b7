"""A run of the suite as a run of the bench: each text is a split of the same scenes."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, ClassVar

from jurat.bench.bench_plan import BenchModel, BenchPlan
from jurat.bench.injection.scenes import keep_scenes
from jurat.bench.injection.suite import Suite, load_suite
from jurat.errors import JuratError
from jurat.judge.prompts import WORDINGS, digest

if TYPE_CHECKING:
    from jurat.bench.methods.registry import Method
    from jurat.bench.pictogram.items import BenchItem
    from jurat.constitution import Constitution

SCENES = 40
"""Scenes of a run, half of them violating."""
UNSHOWN = "it is no preset of the judge, and shows models the picture alone"


@dataclass(frozen=True)
class InjectionPlan(BenchPlan):
    """Everything that defines a run of the suite. `splits` is not used: the suite has its own.

    InjectionPlan(Path("out"), [find_method("direct")], [BenchModel("null", "null")], scenes=10)
    """

    rule_by_rule: ClassVar[bool] = True

    suite: Suite = field(default_factory=load_suite)
    scenes: int = SCENES

    def __post_init__(self) -> None:
        """Raises JuratError for a method that does not ask the model about one picture and one rule."""
        for method in self.methods:
            if method.fits or method.after or not method.asks:
                raise JuratError(
                    f"The suite cannot measure {method.name!r}.",
                    hint="It takes presets of the judge, and methods that ask the model and are not fitted.",
                )

    def splits_of(self, subject: BenchModel) -> list[str]:
        return list(self.suite.splits)

    def methods_of(self, subject: BenchModel, split: str) -> list[Method]:
        return [method for method in self.methods if shows(method, self.suite, split)]

    def items_of(self, split: str) -> tuple[Constitution, Sequence[BenchItem]]:
        folder = self.out / "scenes" / f"{self.suite.title}-{self.seed}-{self.scenes}"
        items = keep_scenes(folder, self.suite, split, self.seed, self.scenes)
        return self.suite.constitution_of(split), items

    def stamp_of(self, split: str) -> dict[str, Any]:
        return {
            "suite": self.suite.digest,
            "seed": self.seed,
            "scenes": self.scenes,
            "wordings": digest(WORDINGS),
        }


def shows(method: Method, suite: Suite, split: str) -> bool:
    """Whether a method shows a model what the rules of a split are about: only the judge shows more than the
    picture."""
    return suite.splits[split].channel.about == "image" or "preset" in method.options
