"""Writes a finished diffusion model in the layout of Stable Diffusion."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import torch

from training.diffusion.architecture import (
    build_scheduler,
    build_text_encoder,
    build_unet,
    build_vae,
    diffusers,
    tokenizer_of,
)
from training.lineage import load_parts


def pipeline_of(stage: Path) -> Any:
    """The `StableDiffusionPipeline` of a finished stage, in float32."""
    tokenizer, parts = tokenizer_of(), load_parts(stage)
    networks: dict[str, Any] = {
        "vae": build_vae(),
        "text_encoder": build_text_encoder(len(tokenizer)),
        "unet": build_unet(),
    }
    for name, network in networks.items():
        network.load_state_dict(parts[name])
    networks["vae"].register_to_config(scaling_factor=float(parts["scale"]["factor"]))
    return diffusers().StableDiffusionPipeline(
        **networks,
        tokenizer=tokenizer,
        scheduler=build_scheduler(),
        safety_checker=None,
        feature_extractor=None,
        requires_safety_checker=False,
    )


def export(stage: Path, folder: Path) -> None:
    """Writes the model of a finished stage to `folder`, in bfloat16 safetensors."""
    pipeline_of(stage).to(torch.bfloat16).save_pretrained(folder, safe_serialization=True)
