"""The models: their stages, where they lie, how they are written and measured. Most ship with jurat."""

from __future__ import annotations

import shutil
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import jurat.models.bundled
from training.clip import card as clip_card
from training.clip import train as clip
from training.diffusion import card as diffusion_card
from training.diffusion import export as diffusion
from training.lineage import LINEAGE, read_lineage
from training.mllm import card as mllm_card
from training.mllm import export as mllm
from training.mllm import gate
from training.mllm.statement_forms import write_forms
from training.organisms import card as organism_card
from training.organisms import export as organism
from training.owl import card as owl_card
from training.owl import train as owl
from training.stages import data, stages
from training.writer import evaluation as writer_card
from training.writer import train as writer

HOME = Path(jurat.models.bundled.__file__).parent
"""Folder of the models in jurat; each has a folder in it."""
Records = Sequence[Mapping[str, Any]]


@dataclass(frozen=True)
class Shipped:
    """A model that is written and measured."""

    name: str
    """Name of its folder."""
    kind: str
    """A key of `KINDS`."""
    stage: str
    """Name of its last stage."""
    gate: str | None = None
    """Name of the stage of its domain gate, which begins from the stage whose tower the model has."""
    ships: bool = True
    """Whether its folder is in `HOME`."""

    def home(self, out: Path) -> Path:
        """Its folder, unless another is named: in jurat, or in the working folder `out`."""
        return (HOME if self.ships else out / "models") / self.name


@dataclass(frozen=True)
class Kind:
    """How models of a kind are written and measured."""

    export: Callable[[Path, Path], None]
    """Writes the model of a finished stage to a folder."""
    card: Callable[[Path, Records], None]
    """Measures the model in a folder and writes its card; the second argument is its lineage."""


KINDS: dict[str, Kind] = {
    "mllm": Kind(mllm.export, lambda to, made: mllm_card.write_card(to, made, mllm_card.evaluate(to, 1000))),
    "organism": Kind(organism.export, organism_card.write_card),
    "detector": Kind(
        owl.export, lambda to, made: owl_card.write_owl_card(to, made, owl_card.evaluate_owl(to, 600))
    ),
    "matcher": Kind(
        clip.export, lambda to, made: clip_card.write_clip_card(to, made, clip_card.evaluate_clip(to, 100, 4))
    ),
    "text-to-image": Kind(diffusion.export, diffusion_card.write_card),
    "writer": Kind(
        writer.export_writer,
        lambda to, made: writer_card.write_writer_card(to, made, writer_card.evaluate_writer(to, 1000)),
    ),
}
"""Kinds of models by name."""
KIND_OF: dict[str, str] = {"joint": "mllm", "conversation": "organism", "balanced": "organism"}
"""Lesson -> kind of the model of each of its stages; other lessons make models only where `stages.toml` names
one."""


def shipped() -> dict[str, Shipped]:
    """Models by name, in the order in which they are made."""
    return {name: Shipped(name, **values) for name, values in data()["models"].items()}


def export(
    model: Shipped, home: Callable[[str], Path], folder: Path, *, scenes: int = 4000, forms: bool = True
) -> None:
    """Writes a model to `folder` in the layout that ships, with its lineage and its gate; a judge also with
    the forms of statements that it may be asked.

    Args:
        home: the folder of a finished stage, by its name.
        scenes: what the gate's threshold is set on (`gate.export_gate`).
        forms: whether forms are measured; otherwise none may be asked.
    """
    folder.mkdir(parents=True, exist_ok=True)
    KINDS[model.kind].export(home(model.stage), folder)
    shutil.copyfile(home(model.stage) / LINEAGE, folder / LINEAGE)
    if model.gate is not None:
        tower = stages()[model.gate].parent
        assert tower is not None
        gate.export_gate(home(model.gate), home(tower), folder, scenes=scenes)
    if model.kind == "mllm":
        write_forms(folder, measure=forms)


def write_card(model: Shipped, folder: Path) -> None:
    """Measures the model in `folder`, which takes minutes, and writes its card there."""
    KINDS[model.kind].card(folder, read_lineage(folder))
