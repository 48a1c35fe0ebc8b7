"""Initial weights of the parts that CLIP and OWL-ViT add to the frozen vision tower."""

from __future__ import annotations

from torch import nn

Named = list[tuple[str, nn.Parameter]]


def initialise(trained: Named) -> None:
    """Scales fresh weights so that activations keep their size; the last weights of a branch start small."""
    for name, weight in trained:
        if weight.ndim == 2 and "embedding" not in name:
            nn.init.normal_(weight, std=weight.shape[1] ** -0.5)
            if name.endswith(("out_proj.weight", "fc2.weight")):
                weight.data.mul_(0.3)
        elif weight.ndim == 2:
            nn.init.normal_(weight, std=0.1)
