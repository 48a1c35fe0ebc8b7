"""Fresh weights of what CLIP and OWL-ViT put on the frozen vision tower."""

from __future__ import annotations

from torch import nn

Named = list[tuple[str, nn.Parameter]]


def initialise(trained: Named) -> None:
    """Scales fresh weights so that what goes through keeps its size; what closes a branch starts small."""
    for name, weight in trained:
        if weight.ndim == 2 and "embedding" not in name:
            nn.init.normal_(weight, std=weight.shape[1] ** -0.5)
            if name.endswith(("out_proj.weight", "fc2.weight")):
                weight.data.mul_(0.3)
        elif weight.ndim == 2:
            nn.init.normal_(weight, std=0.1)
