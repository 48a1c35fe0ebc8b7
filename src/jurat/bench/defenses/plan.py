"""The plan of a run: models, each as it is and under each defense, and what they are put to."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING, Literal, TypeAlias, get_args

from jurat.bench.bench_plan import BenchModel
from jurat.models import ModelSpec
from jurat.models.model_spec import defended_name

if TYPE_CHECKING:
    from jurat.bench.methods.registry import Method
    from jurat.models import Model

__all__ = ["ALWAYS", "CONTROLS", "DEFENSES", "GATE", "NONE", "PARTS", "DefensesPlan", "Part", "Subject"]

Part: TypeAlias = Literal["pictures", "texts", "chat"]
"""`pictures`: the judge on pictures with noise and attacks. `texts`: the judge on pictures with orders in
them. `chat`: chat models on evaluation sets under attacks."""
PARTS: tuple[Part, ...] = get_args(Part)
DEFENSES = (
    "jpeg",
    "resize",
    "smoothing",
    "random-views",
    "ocr-first",
    "system-prompt?variant=short",
    "adashield",
    "ecso",
)
"""The defenses that are compared where none is named."""
NONE = ""
"""No defense."""
ALWAYS, GATE = "always unsafe, or refused", "random gate, 1/2"
CONTROLS = {ALWAYS: 1.0, GATE: 0.5}
"""Controls: the share of what comes in that they call unsafe, or refuse, whatever it is. They are computed
from what the model without a defense said, in expectation, and not run."""


@dataclass(frozen=True)
class Subject(BenchModel):
    """A model under a defense, or as it is."""

    base: str = ""
    """The label of the model without the defense."""
    defense: str = NONE
    opened: list[Model] = field(default_factory=list["Model"], compare=False, repr=False)
    """The model each time that it was opened, for what its defenses added."""

    @classmethod
    def of(cls, model: BenchModel, defense: str) -> Subject:
        """A model under a defense, or several joined by " + "; `NONE` for none."""
        spec = ModelSpec(model.spec) if isinstance(model.spec, str) else model.spec
        label = defended_name(model.label, defense)
        return cls(label, replace(spec, name=defended_name(spec.name, defense)), model.label, defense)

    def open(self) -> Model:
        model = super().open()
        self.opened.append(model)
        return model


@dataclass(frozen=True)
class DefensesPlan:
    """Everything that defines a run.

    DefensesPlan(Path("out"), [BenchModel("null", "null")], ["jpeg"], parts=["pictures"])
    """

    out: Path
    models: Sequence[BenchModel]
    defenses: Sequence[str] = DEFENSES
    """Their names with settings; several that stand together are joined by " + "."""
    parts: Sequence[Part] = PARTS
    methods: Sequence[Method] = ()
    """How the judge decides: presets."""
    attacked: Sequence[str] = ()
    """Presets that gradients go through."""
    radii: Sequence[int] = (8,)
    """Largest changes of a value, in levels of 255."""
    steps: int = 40
    draws: int = 2
    """Views of a picture that an attack through a random defense averages over at each step."""
    per_rule: int = 2
    scenes: int = 14
    """Scenes of the suite of injections, half of them violating."""
    channels: Sequence[str] = ("sign", "corner", "faint", "banner")
    """Channels of the suite."""
    battery: Path | None = None
    """The sets and attacks of `chat`; None for those that ship."""
    limit: int | None = None
    """Samples of each set."""
    attacker: str | None = None
    """The model that writes for attacks that need one; None leaves these out."""
    seed: int = 0
    detector: str | None = None
    matcher: str | None = None
    command: str = ""

    def subjects(self, model: BenchModel) -> list[Subject]:
        """A model as it is, and under each defense."""
        return [Subject.of(model, defense) for defense in (NONE, *self.defenses)]
