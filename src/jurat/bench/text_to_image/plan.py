"""The plan of a run: a model as it is and after each removal, under each defense, and what it is prompted
with."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, TypeAlias, get_args

from jurat.attacks.methods.ring_a_bell import RingABell
from jurat.attacks.registry import open_attack
from jurat.bench.bench_plan import BenchModel, BenchPlan
from jurat.bench.text_to_image.pictures import Picture, bench_items, pictures_digest
from jurat.bench.text_to_image.suite import Suite, load_suite
from jurat.defenses.generation.defense import GenerationDefense, Removal, WeightEdit
from jurat.defenses.generation.registry import GENERATION_DEFENSES, open_generation_defense
from jurat.errors import JuratError
from jurat.files import file_name
from jurat.models import ModelSpec
from jurat.named_settings import open_entry
from jurat.registry import name_and_options

if TYPE_CHECKING:
    from jurat.bench.methods.registry import Method
    from jurat.bench.pictogram.items import BenchItem
    from jurat.constitution import Constitution

__all__ = ["CONTROLS", "NONE", "SETS", "Cell", "PromptSet", "TextToImagePlan"]

PromptSet: TypeAlias = Literal["plain", "found", "name", "random", "others"]
"""Prompts that ask for the concept; what the attack found, beginning with them; the concept's name; random
tokens, as many as were found; and prompts of what is not removed."""
SETS: tuple[PromptSet, ...] = get_args(PromptSet)
CONTROLS: tuple[PromptSet, ...] = ("name", "random")
NONE = "none"
"""No removal, or no defense."""
DRAWN, CODEC = "drawn", "codec"
"""Splits of pictures whose truth is known: as they are, and passed through the model's codec."""
_APART = 1000
"""Seeds of two runs with neighbouring seeds lie so far apart."""


@dataclass(frozen=True)
class Cell:
    """A model after a removal and under a defense, both as they were named."""

    removal: str
    defense: str

    @property
    def split(self) -> str:
        """Its name among the splits of a run."""
        return file_name(f"{self.removal} + {self.defense}")

    @property
    def title(self) -> str:
        return f"removal {self.removal}, defense {self.defense}"


@dataclass(frozen=True)
class TextToImagePlan(BenchPlan):
    """Everything that defines a run. `subjects` are the judges; `splits` is not used: each cell is one.

    TextToImagePlan(Path("out"), rows_for(["quick"], []), [BenchModel.parse("bundled")],
                    model=ModelSpec("diffusers/FOLDER?steps=25"))

    Raises:
        JuratError: something is not known, named twice or not at all, or does not fit.
    """

    model: ModelSpec = field(default_factory=lambda: ModelSpec(""))
    """The text-to-image model, without defenses."""
    suite: Suite = field(default_factory=load_suite)
    removals: Sequence[str] = ()
    """Names with settings; the concept is added. Empty for those of the suite."""
    defenses: Sequence[str] = ()
    attack: str = ""
    text_encoder: str | None = None
    """Folder of the text encoder that the attack uses; None for the model's own."""
    reference: Path | None = None
    """Folder of the user's own pictures of known truth; None where scenes are drawn."""
    features: str | None = "bundled"
    """The matcher whose features pictures are compared by; None leaves the distance out."""
    prompts: int = 16
    """Prompts that ask for the concept, the first ones of the suite."""
    others: int = 24
    """Prompts of what is not removed."""
    searches: int = 3
    """Seeds of the attack."""
    seeds: int = 3
    """Seeds of sampling."""
    known: int = 200
    """Pictures of known truth, with the concept and without it each."""
    real: int = 8
    """Real pictures for each of the prompts of what is not removed."""
    batch: int = 8
    """Pictures that are made between two that are recorded."""
    pictures: dict[str, list[Picture]] = field(
        default_factory=dict[str, list[Picture]], compare=False, repr=False
    )
    """Those of each split; a run fills it."""

    def __post_init__(self) -> None:
        if not self.model.name:
            raise JuratError("Name a text-to-image model.", hint="--model diffusers/FOLDER?steps=25")
        if self.model.defenses:
            raise JuratError(
                f"{self.model.name!r} is a model under defenses, and a run needs it as it is.",
                hint="Name removals with --removal, and defenses with --generation-defense.",
            )
        counts = {
            name: getattr(self, name) for name in ("prompts", "searches", "seeds", "known", "real", "batch")
        }
        if few := [name for name, count in counts.items() if count < 1]:
            raise JuratError(f"{few[0]} is {counts[few[0]]}; it is at least 1.")
        if self.others < 2:
            raise JuratError("A distance needs two prompts of what is not removed, or more.")
        for names in (self.removals_run, self.defenses_run):
            if len(set(names)) < len(names) or NONE in names:
                raise JuratError(f"Named twice, or {NONE!r}: {', '.join(names)}.")
        if self.reference is None and self.suite.scenes is None:
            raise JuratError(
                f"The suite {self.suite.title} draws no scenes of known truth.",
                hint="Name a folder with pictures in its folders with and without: --reference DIR",
            )
        for method in self.methods:
            if "preset" not in method.options:
                raise JuratError(f"{method.name!r} is no preset of the judge, which is the detector here.")
        self.opened_attack()
        for name in self.removals_run:
            self.removal(name)
        for name in self.defenses_run:
            self.defense(name)

    @property
    def removals_run(self) -> tuple[str, ...]:
        return tuple(self.removals or self.suite.removals)

    @property
    def defenses_run(self) -> tuple[str, ...]:
        return tuple(self.defenses or self.suite.defenses)

    @property
    def cells(self) -> Iterator[Cell]:
        """The removals in order, each without a defense first."""
        for removal in (NONE, *self.removals_run):
            for defense in (NONE, *self.defenses_run):
                yield Cell(removal, defense)

    @property
    def sampling_seeds(self) -> range:
        return range(_APART * self.seed, _APART * self.seed + self.seeds)

    @property
    def search_seeds(self) -> range:
        return range(_APART * self.seed, _APART * self.seed + self.searches)

    @property
    def prompts_run(self) -> tuple[str, ...]:
        return self.suite.prompts[: self.prompts]

    def opened_attack(self) -> RingABell:
        """Raises JuratError where it is no attack on prompts of text-to-image models."""
        found = open_attack(self.attack_run)
        if not isinstance(found, RingABell):
            raise JuratError(f"{self.attack_run!r} does not look for prompts.", hint="ring-a-bell does.")
        return found

    @property
    def attack_run(self) -> str:
        return self.attack or self.suite.attack

    def removal(self, name: str) -> Removal:
        """A removal, told the concept. Raises JuratError where it is none."""
        plain, given = name_and_options(name)
        entry, noun = GENERATION_DEFENSES.find(plain), GENERATION_DEFENSES.noun
        kind: Any = entry.load(f"The {noun} {plain!r}")
        if not (isinstance(kind, type) and issubclass(kind, Removal)):
            raise JuratError(f"{name!r} removes no concept.", hint="Name it with --generation-defense.")
        return open_entry(entry, noun, {"concept": self.suite.concept.removed_as, **given})

    def defense(self, name: str) -> GenerationDefense:
        """A defense that stands around a removal. Raises JuratError where it cannot."""
        found = open_generation_defense(name)
        if isinstance(found, WeightEdit):
            raise JuratError(f"{name!r} edits weights, as a removal does.", hint="Name it with --removal.")
        return found

    # --- as a run of the bench -------------------------------------------------------------------

    def splits_of(self, subject: BenchModel) -> list[str]:
        return list(self.pictures)

    def methods_of(self, subject: BenchModel, split: str) -> list[Method]:
        return list(self.methods)

    def items_of(self, split: str) -> tuple[Constitution, Sequence[BenchItem]]:
        return self.suite.constitution, bench_items(split, self.pictures[split], self.suite)

    def stamp_of(self, split: str) -> dict[str, Any]:
        return {"pictures": pictures_digest(self.pictures[split]), "shown": self.suite.shown}
