"""What a run of the bench is to do, and what it came to."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from hashlib import sha256
from pathlib import Path
from typing import TYPE_CHECKING, Any

from jurat.bench.labelled_images import SPLIT as LABELLED
from jurat.bench.methods.registry import Method
from jurat.bench.pictogram.items import BenchItem
from jurat.bench.pictogram.protocol import CLAIMED_SPLITS, OPEN_SPLITS, PER_RULE
from jurat.bench.rulings import Note
from jurat.bench.table import Judged

if TYPE_CHECKING:
    from jurat.constitution import Constitution
    from jurat.judge.calibrate.calibration import Calibration
    from jurat.models import Model, ModelSpec


@dataclass(frozen=True)
class Subject:
    """A model under the bench."""

    label: str
    """Its name in the results; "naive#2" is a further training seed of "naive"."""
    spec: str | ModelSpec
    """As `open_model` takes it, or a folder with weights of the bundled model's kind."""

    @classmethod
    def parse(cls, text: str, how: Callable[[str], str | ModelSpec] = str) -> Subject:
        """Reads NAME or LABEL=NAME; `how` makes of NAME what is opened."""
        label, _, name = text.partition("=")
        return cls(label, how(name or label))

    @property
    def changed(self) -> dict[str, Any]:
        """What was chosen of how the model is opened and may change its answers."""
        if isinstance(self.spec, str):
            return {}
        chosen = {"dtype": self.spec.dtype, "base_url": self.spec.base_url}
        if self.spec.serving is not None:
            chosen |= {
                name: getattr(self.spec.serving, name) for name in ("questions_per_call", "max_pixels")
            }
        return {name: value for name, value in chosen.items() if value is not None}

    @property
    def group(self) -> str:
        return self.label.partition("#")[0]

    @property
    def further(self) -> bool:
        """Whether it is a further training seed of another one."""
        return "#" in self.label

    def open(self) -> Model:
        """Raises JuratError where it cannot be had."""
        from jurat.models import open_model
        from jurat.models.bundled.model import BundledModel

        folder = Path(self.spec if isinstance(self.spec, str) else self.spec.name)
        if folder.is_dir() and (folder / "domain.json").is_file():
            return BundledModel(folder, name=self.label)
        model = open_model(self.spec)
        if isinstance(model, BundledModel):
            model.ask_anything()  # how wrongly an organism reads is for the tables to show
        return model


@dataclass(frozen=True)
class Plan:
    """What is to be run."""

    out: Path
    methods: Sequence[Method]
    subjects: Sequence[Subject]
    splits: Sequence[str] = OPEN_SPLITS
    seed: int = 0
    per_rule: int = PER_RULE
    detector: str | None = "bundled"
    matcher: str | None = "bundled"
    command: str = ""
    labelled: Labelled | None = None
    """Someone's own images, judged in the place of the splits."""
    remember: bool = True
    """Whether models are asked anything only once (`jurat.bench.answer_cache`): rows stay the same, but for
    rounding, and a run takes less."""
    claims_of_seeds: bool = False
    """Whether further training seeds are only put to what claims rest on: methods that are `claimed`, on
    `CLAIMED_SPLITS`."""
    workers: int = 1
    """Models that are judged side by side, each by a process of its own."""
    calibration: Calibration | None = None
    """That presets judge with; those that take none, or not this one, are left out."""

    def methods_of(self, subject: Subject, split: str) -> list[Method]:
        claims = self.claims_of_seeds and subject.further
        wanted = [method for method in self.methods if method.claimed or not claims]
        return [method for method in wanted if method.splits is None or split in method.splits]

    def splits_of(self, subject: Subject) -> list[str]:
        if self.labelled is not None:
            return [LABELLED]
        claims = self.claims_of_seeds and subject.further
        return [split for split in self.splits if split in CLAIMED_SPLITS or not claims]


@dataclass(frozen=True)
class Labelled:
    """Labelled images with their constitution; the split's name is `jurat.bench.labelled_images.SPLIT`."""

    law: Constitution
    items: Sequence[BenchItem]

    @cached_property
    def images(self) -> str:
        """Digest of the files, in their order. Labels are not in it: rulings do not hang on them."""
        found = sha256()
        for item in self.items:
            found.update(f"{item.id}\n{item.unreadable}\n".encode("utf-8", "surrogateescape"))
            if item.unreadable is None and isinstance(item.picture, Path):
                found.update(sha256(item.picture.read_bytes()).digest())
        return found.hexdigest()


@dataclass
class Outcome:
    """What a run came to."""

    judged: list[Judged] = field(default_factory=list[Judged])
    left_out: list[dict[str, Any]] = field(default_factory=list[dict[str, Any]])
    tried: dict[str, dict[str, int]] = field(default_factory=dict[str, dict[str, int]])
    """By model and method: configurations tried on dev."""
    models: dict[str, str] = field(default_factory=dict[str, str])
    """Label -> name@revision."""
    digests: dict[str, str] = field(default_factory=dict[str, str])
    """Split -> digest of its constitution."""
    eyes: dict[str, str | None] = field(default_factory=dict[str, "str | None"])
    """name@revision of the detector and of the matcher."""
    notes: list[Note] = field(default_factory=list[Note])
    """Of all files of rulings that were made or read."""
