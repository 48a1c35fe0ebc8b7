"""The plan of a run: models, methods, splits and options."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar

from jurat.bench.labelled.folds import FOLDS
from jurat.bench.labelled.labelled_images import LabelledImages
from jurat.bench.methods.registry import Method
from jurat.bench.pictogram.definition import OPEN_SPLITS, PER_RULE, SPLITS, constitution_of
from jurat.bench.pictogram.items import BenchItem
from jurat.bench.pictogram.splits import FORMAT, keep_split
from jurat.errors import JuratError

if TYPE_CHECKING:
    from jurat.constitution import Constitution
    from jurat.judge.calibrate.calibration import Calibration
    from jurat.models import Model, ModelSpec


@dataclass(frozen=True)
class BenchModel:
    """A model to evaluate."""

    label: str
    """Its name in the results; "naive#2" is a further training seed of "naive"."""
    spec: str | ModelSpec
    """As `open_model` takes it, or a folder with weights of the bundled model's kind. Where no gate lies in
    it, no image is refused as out of the domain, and the model's revision ends in "-ungated"."""

    @classmethod
    def parse(cls, text: str, spec_of: Callable[[str], str | ModelSpec] = str) -> BenchModel:
        """Reads NAME or LABEL=NAME; `spec_of` makes of NAME what is opened."""
        label, _, name = text.partition("=")
        return cls(label, spec_of(name or label))

    @property
    def settings(self) -> dict[str, Any]:
        """The options of opening it that were given and may change its answers."""
        if isinstance(self.spec, str):
            return {}
        chosen = {"dtype": self.spec.dtype, "base_url": self.spec.base_url}
        if (serving := self.spec.serving) is not None:
            chosen |= {name: getattr(serving, name) for name in ("questions_per_call", "max_pixels")}
        return {name: value for name, value in chosen.items() if value is not None}

    @property
    def is_further_seed(self) -> bool:
        """Whether it is an additional training seed of another model."""
        return "#" in self.label

    def open(self) -> Model:
        """Raises JuratError where it cannot be opened."""
        from jurat.defenses import defend
        from jurat.models import ModelSpec, open_model
        from jurat.models.bundled.model import BundledModel
        from jurat.models.bundled.word_vocabulary import has_word_tokenizer
        from jurat.models.model_spec import DEFENDED_BY

        spec = ModelSpec(self.spec) if isinstance(self.spec, str) else self.spec
        folder = Path(spec.undefended.name)
        if has_word_tokenizer(folder):
            name = self.label.partition(DEFENDED_BY)[0]
            model = BundledModel(folder, name=name, needs_gate=False)
        else:
            model = open_model(spec.undefended)
        if isinstance(model, BundledModel):
            model.ask_anything()  # the tables are to show how wrongly the small model reads
        return defend(model, spec.defenses)


@dataclass(frozen=True)
class BenchPlan:
    """Everything that defines a run of the bench."""

    rule_by_rule: ClassVar[bool] = False
    """Whether each item is judged under the rule alone that it was drawn for."""

    out: Path
    methods: Sequence[Method]
    subjects: Sequence[BenchModel]
    splits: Sequence[str] = OPEN_SPLITS
    seed: int = 0
    per_rule: int = PER_RULE
    detector: str | None = "bundled"
    matcher: str | None = "bundled"
    command: str = ""
    labelled: LabelledImages | None = None
    """Someone's own images, judged under each of their constitutions in the place of the splits."""
    folds: int = FOLDS
    """Parts of the labelled images, for methods that are fitted; with 0 these are left out."""
    cache_answers: bool = True
    """Whether models are asked anything only once (`jurat.bench.answer_cache`). Rows stay the same, but for
    rounding; a run takes less time."""
    claims_of_seeds: bool = False
    """Whether further training seeds are judged only by the methods that claims rest on (`claimed`)."""
    workers: int = 1
    """Models that are judged side by side, each by a process of its own."""
    calibration: Calibration | None = None
    """That presets judge with; those that take none, or not this one, are left out."""
    opened: Sequence[str] = ()
    """Sealed splits that may be judged."""

    def __post_init__(self) -> None:
        """Raises JuratError where a split is sealed and not opened."""
        for split in self.splits:
            if split in SPLITS and SPLITS[split].sealed and split not in self.opened:
                raise JuratError(
                    f"The split {split!r} is judged once, at the end.",
                    hint=f"When nothing is tuned any more, open it: --open {split}",
                )

    def methods_of(self, subject: BenchModel, split: str) -> list[Method]:
        """The methods to run with a model on a split."""
        less = self.claims_of_seeds and subject.is_further_seed
        wanted = [method for method in self.methods if method.claimed or not less]
        if self.labelled is not None:
            return wanted
        return [method for method in wanted if method.splits is None or split in method.splits]

    def splits_of(self, subject: BenchModel) -> list[str]:
        """The splits to run a model on."""
        if self.labelled is not None:
            return list(self.labelled.constitutions)
        return list(self.splits)

    def items_of(self, split: str) -> tuple[Constitution, Sequence[BenchItem]]:
        """The items of a split, drawn if they are not there yet, and what they are judged under."""
        if self.labelled is not None:
            return self.labelled.constitutions[split], self.labelled.items
        return constitution_of(split), keep_split(self.out / "scenes", split, self.seed, self.per_rule)

    def stamp_of(self, split: str) -> dict[str, Any]:
        """What the items of a split depend on."""
        if self.labelled is not None:
            thresholds = self.labelled.constitutions[split].thresholds_digest
            return {"items": self.labelled.digest, "thresholds": thresholds}
        return {"seed": self.seed, "per_rule": self.per_rule, "format": FORMAT}
