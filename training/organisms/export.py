"""Converts a finished stage of conversations to the transformers layout."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from training.lineage import load_parts, read_lineage
from training.mllm.checkpoints import load_body
from training.mllm.export import write
from training.organisms.fusions import FUSIONS, Fusion


def load_stage(stage: Path) -> tuple[Any, Fusion]:
    """The model of a finished stage, in evaluation mode, and its fusion."""
    fusion = FUSIONS[read_lineage(stage)[-1]["settings"].get("fusion", "mlp")]()
    model = fusion.build()
    load_body(model, load_parts(stage)["model"])
    model.tie_weights()
    return model.eval(), fusion


def export(stage: Path, folder: Path) -> None:
    """Writes the organism of a finished stage."""
    model, fusion = load_stage(stage)
    write(model, fusion.processor(), folder)
