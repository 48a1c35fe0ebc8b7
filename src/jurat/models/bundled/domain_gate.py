"""Tells images of a model's own world from all others, by a linear test of what its tower makes of them.

The features f(x) of an image are, for some hidden layers of the vision tower, the mean and the standard
deviation over its patch tokens, joined. Its strangeness is s(x) = w . f(x) + b, with w and b from a
logistic regression of scenes against made-up pictures that are no scenes (outlier exposure, Hendrycks
et al. 2019, arXiv 1812.04606). An image is foreign if s(x) is above a threshold set on held-out scenes.
Distances from the scenes alone (Mahalanobis, pooled or by patch) were tried first: smooth photographs passed.

A tower sees an image at one small size, so that a scene in a corner of a large image is scaled away, and what
is left looks like an empty scene. Such images are told by their pixels before (`scaled_away`).

A gate lies beside the weights: `domain.safetensors` holds `weight` (D), and `domain.json` is
{"version": 1, "layers": [1, 2, 3], "bias": -0.7, "threshold": 1.2}.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from jurat.models.protocol import ModelError

if TYPE_CHECKING:
    from PIL import Image
    from torch import Tensor

DRAWN = 384
"""Pixels of the longer side of the largest scenes that the models learned on."""
LARGEST = 1024
"""Pixels of the longer side of an image, at most: a scene of `DRAWN` pixels is 48 of 128 in it."""
FILLED = 0.6
"""Of an image larger than `DRAWN` what is not background has to have such a share of the longer side."""
_OUTLIERS = 2.0
"""Percent of the pixels that are not background which may lie anywhere: a dot in a corner is no scene."""
_UNLIKE = 24
"""Steps of 255 from which on a pixel is not of the background's colour."""

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
    """What is stranger than this is foreign."""

    def strangeness(self, tower: Any, pixels: Tensor) -> Tensor:
        """Of each image of `pixels` (n, 3, height, width), as the processor makes them: (n,) float32."""
        return self.strangeness_of(features(tower, pixels, self.layers))

    def strangeness_of(self, features: Tensor) -> Tensor:
        """Of images with `features` (n, D): (n,) float32."""
        return features @ self.weight.to(features.device) + self.bias

    def save(self, folder: Path) -> None:
        from safetensors.torch import save_file

        save_file({"weight": self.weight.contiguous()}, folder / WEIGHTS)
        settings = {
            "version": VERSION,
            "layers": list(self.layers),
            "bias": self.bias,
            "threshold": self.threshold,
        }
        (folder / SETTINGS).write_text(json.dumps(settings) + "\n", encoding="utf-8")

    @classmethod
    def load(cls, folder: Path) -> Gate:
        """Reads a gate.

        Raises:
            ModelError: there is none, or it is not of this version.
        """
        from safetensors.torch import load_file

        try:
            settings = json.loads((folder / SETTINGS).read_text(encoding="utf-8"))
            if settings["version"] != VERSION:
                raise ModelError(
                    f"{folder / SETTINGS} is of version {settings['version']}; this jurat reads {VERSION}."
                )
            weight = load_file(folder / WEIGHTS)["weight"].float()
            return cls(
                weight, float(settings["bias"]), tuple(settings["layers"]), float(settings["threshold"])
            )
        except (OSError, ValueError, KeyError) as error:
            raise ModelError(f"The domain gate in {folder} cannot be read: {error}") from error


def scaled_away(image: Image.Image) -> bool:
    """Whether an image is so large, and what is in it so small, that a model which sees it at the size of its
    scenes sees too little of it."""
    import numpy as np

    longest = max(image.size)
    if longest <= DRAWN:
        return False
    if longest > LARGEST:
        return True
    pixels = np.asarray(image.convert("RGB")).astype(np.int16)
    border = np.concatenate([pixels[0], pixels[-1], pixels[:, 0], pixels[:, -1]])
    unlike = (np.abs(pixels - np.median(border, axis=0)) > _UNLIKE).any(axis=2)
    if not unlike.any():
        return False
    places = np.nonzero(unlike)
    first, last = np.percentile(places, [_OUTLIERS, 100 - _OUTLIERS], axis=1)
    return bool((last - first).max() < FILLED * longest)


def features(tower: Any, pixels: Tensor, layers: tuple[int, ...]) -> Tensor:
    """`pooled` of images as the processor makes them, `pixels` (n, 3, height, width)."""
    import torch

    with torch.inference_mode():
        hidden = tower(pixels.to(tower.dtype), output_hidden_states=True).hidden_states
    return pooled(hidden, layers, patches_of(tower))


def patches_of(tower: Any) -> int:
    """How many patches a tower cuts an image into."""
    return (tower.config.image_size // tower.config.patch_size) ** 2


def pooled(hidden: Sequence[Tensor], layers: tuple[int, ...], patches: int) -> Tensor:
    """Means and deviations over the patches of some hidden layers: (n, layers x 2 x width) float32."""
    import torch

    # A class token, where there is one, comes first.
    tokens = [hidden[layer][:, -patches:].float() for layer in layers]
    return torch.cat([part for each in tokens for part in _mean_and_deviation(each)], dim=1)


def _mean_and_deviation(tokens: Tensor) -> tuple[Tensor, Tensor]:
    """Over dimension 1; `Tensor.std` takes several times as long over any but the last dimension."""
    mean = tokens.mean(1, keepdim=True)
    variance = (tokens - mean).square().sum(1) / (tokens.shape[1] - 1)
    return mean.squeeze(1), variance.sqrt()
