"""Recognises images outside a model's domain, by a linear test of its vision tower's features.

The features f(x) of an image are, for some hidden layers of the tower, the mean and the standard deviation
over its patch tokens, concatenated. Its strangeness is s(x) = w . f(x) + b, with w and b from a logistic
regression of scenes against made-up pictures (outlier exposure, Hendrycks et al. 2019, arXiv 1812.04606).
An image is foreign if s(x) is above a threshold set on held-out scenes. Distances from the scenes alone
(Mahalanobis, pooled or by patch) were tried first; smooth photographs passed.

A gate lies beside the weights: `domain.safetensors` holds `weight` (D), and `domain.json` is {"version":
1, "layers": [1, 2, 3], "bias": -0.7, "threshold": 1.2}.
"""

from __future__ import annotations

import json
import math
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from jurat.models.bundled import data_files
from jurat.models.bundled.patch_gate import VERSION as PATCH_VERSION
from jurat.models.bundled.patch_gate import PatchGate, patches_of

if TYPE_CHECKING:
    from torch import Tensor

VERSION = 1
WEIGHTS, SETTINGS = "domain.safetensors", "domain.json"


@dataclass(frozen=True)
class Gate:
    """See the module's docstring."""

    weight: Tensor
    """(D,) float32."""
    bias: float
    layers: tuple[int, ...]
    """Indices into the tower's hidden states; 0 is what goes into its first layer."""
    threshold: float
    """Images of greater strangeness are foreign."""

    def strangeness(self, tower: Any, pixels: Tensor) -> Tensor:
        """Strangeness of each image of `pixels` (n, 3, height, width), as the processor makes them: (n,)
        float32.
        """
        return features(tower, pixels, self.layers) @ self.weight.to(pixels.device) + self.bias

    def strangeness_of(self, hidden: Sequence[Tensor], patches: int) -> Tensor:
        """The same from the tower's hidden states."""
        seen = pooled(hidden, self.layers, patches)
        return seen @ self.weight.to(seen.device) + self.bias

    def save(self, folder: Path) -> None:
        from safetensors.torch import save_file

        save_file({"weight": self.weight.contiguous()}, folder / WEIGHTS)
        settings = {"layers": list(self.layers), "bias": self.bias, "threshold": self.threshold}
        data_files.write(folder / SETTINGS, VERSION, settings)

    @classmethod
    def load(cls, folder: Path) -> Gate:
        """Raises ModelError: there is none, it is damaged, or it is of another version."""
        with data_files.reading(folder / SETTINGS, VERSION) as settings:
            weights = data_files.read_tensors(folder / WEIGHTS, ("weight",))
            return cls(
                weights["weight"],
                float(settings["bias"]),
                tuple(settings["layers"]),
                float(settings["threshold"]),
            )


@dataclass(frozen=True)
class OpenGate:
    """No gate: every image is in the domain. Never of a model that ships."""

    threshold: float = math.inf

    def strangeness_of(self, hidden: Sequence[Tensor], patches: int) -> Tensor:
        """0 for each image, (n,)."""
        return hidden[0].new_zeros(len(hidden[0]))


def has_gate(folder: Path) -> bool:
    """Whether a gate lies beside the weights of a model."""
    return (folder / SETTINGS).is_file()


def load_gate(folder: Path) -> Gate | PatchGate:
    """The gate beside the weights of a model: a linear one, or one that looks at patches.

    Raises:
        ModelError: there is none, or it is of another version.
    """
    try:
        version = json.loads((folder / SETTINGS).read_text(encoding="utf-8"))["version"]
    except (OSError, ValueError, KeyError, TypeError):
        version = VERSION  # whose reader says what is wrong
    return PatchGate.load(folder) if version == PATCH_VERSION else Gate.load(folder)


def features(tower: Any, pixels: Tensor, layers: tuple[int, ...]) -> Tensor:
    """`pooled` of images as the processor makes them, `pixels` (n, 3, height, width)."""
    import torch

    with torch.inference_mode():
        hidden = tower(pixels.to(tower.dtype), output_hidden_states=True).hidden_states
    return pooled(hidden, layers, patches_of(tower))


def pooled(hidden: Sequence[Tensor], layers: tuple[int, ...], patches: int) -> Tensor:
    """Means and deviations over the patches of some hidden layers: (n, layers x 2 x width) float32."""
    import torch

    # A class token, where there is one, comes first.
    tokens = [hidden[layer][:, -patches:].float() for layer in layers]
    return torch.cat([part for each in tokens for part in _mean_and_deviation(each)], dim=1)


def _mean_and_deviation(tokens: Tensor) -> tuple[Tensor, Tensor]:
    """Mean and deviation over dimension 1; `Tensor.std` is several times slower on any but the last
    dimension.
    """
    mean = tokens.mean(1, keepdim=True)
    variance = (tokens - mean).square().sum(1) / (tokens.shape[1] - 1)
    return mean.squeeze(1), variance.sqrt()
