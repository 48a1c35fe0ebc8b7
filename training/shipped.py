"""The models that ship: their stages, where they lie in jurat, how they are written and measured."""

from __future__ import annotations

import shutil
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import jurat.models.bundled
from training.lineage import LINEAGE, read_lineage
from training.stages import data

HOME = Path(jurat.models.bundled.__file__).parent
"""Where the models lie in jurat, a folder each."""


@dataclass(frozen=True)
class Shipped:
    """A model that ships."""

    name: str
    """Its folder in `HOME`."""
    kind: str
    """A key of `KINDS`."""
    stage: str
    """Its last stage."""


@dataclass(frozen=True)
class Kind:
    """How models of a kind are written and measured."""

    export: Callable[[Path, Path], None]
    """Writes the model of a finished stage to a folder."""
    card: Callable[[Path, Sequence[Mapping[str, Any]]], None]
    """Measures the model in a folder and writes its card; the second argument is its lineage."""


def shipped() -> dict[str, Shipped]:
    """By name, in the order in which they are made."""
    return {name: Shipped(name, **values) for name, values in data()["models"].items()}


def export(model: Shipped, stage: Path, folder: Path) -> None:
    """Writes a finished stage to `folder` in the layout that ships, with its lineage."""
    folder.mkdir(parents=True, exist_ok=True)
    KINDS[model.kind].export(stage, folder)
    shutil.copyfile(stage / LINEAGE, folder / LINEAGE)


def write_card(model: Shipped, folder: Path) -> None:
    """Measures the model in `folder`, which takes minutes, and writes its card there."""
    KINDS[model.kind].card(folder, read_lineage(folder))


def _export_mllm(stage: Path, folder: Path) -> None:
    from training.mllm.export import export

    export(stage, folder)


def _card_mllm(folder: Path, records: Sequence[Mapping[str, Any]]) -> None:
    from training.mllm.card import evaluate, write_card

    write_card(folder, records, evaluate(folder, 1000))


def _export_organism(stage: Path, folder: Path) -> None:
    from training.mllm.export import export_organism

    export_organism(stage, folder)


def _card_organism(folder: Path, records: Sequence[Mapping[str, Any]]) -> None:
    from training.organisms.card import write_card

    write_card(folder, records)


def _export_owl(stage: Path, folder: Path) -> None:
    from training.owl.train import export

    export(stage, folder)


def _card_owl(folder: Path, records: Sequence[Mapping[str, Any]]) -> None:
    from training.owl.card import evaluate_owl, write_owl_card

    write_owl_card(folder, records, evaluate_owl(folder, 600))


def _export_clip(stage: Path, folder: Path) -> None:
    from training.clip.train import export

    export(stage, folder)


def _card_clip(folder: Path, records: Sequence[Mapping[str, Any]]) -> None:
    from training.clip.card import evaluate_clip, write_clip_card

    write_clip_card(folder, records, evaluate_clip(folder, 100, 4))


def _export_writer(stage: Path, folder: Path) -> None:
    from training.writer.train import export_writer

    export_writer(stage, folder)


def _card_writer(folder: Path, records: Sequence[Mapping[str, Any]]) -> None:
    from training.writer.evaluation import evaluate_writer, write_writer_card

    write_writer_card(folder, records, evaluate_writer(folder, 1000))


KINDS: dict[str, Kind] = {
    "mllm": Kind(_export_mllm, _card_mllm),
    "organism": Kind(_export_organism, _card_organism),
    "detector": Kind(_export_owl, _card_owl),
    "matcher": Kind(_export_clip, _card_clip),
    "writer": Kind(_export_writer, _card_writer),
}
"""By name."""
