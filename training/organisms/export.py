"""Converts a finished stage of conversations to the transformers layout."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import torch

from training.lineage import load_parts, read_lineage
from training.mllm.export import write
from training.organisms.fusions import FUSIONS, Fusion


def load_stage(stage: Path) -> tuple[Any, Fusion]:
    """The model of a finished stage, in evaluation mode, and its fusion."""
    fusion = FUSIONS[read_lineage(stage)[-1]["settings"].get("fusion", "mlp")]()
    torch.manual_seed(0)  # for words after the vocabulary that the stage was trained with
    model = fusion.build()
    fusion.restore(model, load_parts(stage)["model"])
    model.tie_weights()
    return model.eval(), fusion


def export(stage: Path, folder: Path) -> None:
    """Writes the organism of a finished stage."""
    model, fusion = load_stage(stage)
    write(model, fusion.processor(), folder)
