"""Recognises images outside a model's domain, patch by patch: one strange patch is enough.

Each patch is read with its neighbours from some hidden layers of the model's own vision tower, which was
trained to tell things and backgrounds that the world of pictograms does not know (outlier exposure, Hendrycks
et al. 2019, arXiv 1812.04606), and from what the heads of that training answer about the patch: how sure they
are which object of the world covers each of its cells. The strangeness of an image is the log of the sum of
exp of the strangeness of its patches, plus a linear function of means and maxima over all patches, which sees
the style of a picture. An image is foreign if its strangeness is above a threshold that 99.5% of held-out
scenes stay below.

A gate lies beside the weights: `domain.safetensors` holds the tensors that `patch_logits` names, and
`domain.json` is {"version": 2, "layers": [2, 4, 6], "threshold": 1.2}.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from jurat.models.bundled import data_files

if TYPE_CHECKING:
    from torch import Tensor

VERSION = 2
WEIGHTS, SETTINGS = "domain.safetensors", "domain.json"
READING = ("project.0", "project.2", "answers")
"""Layers that answer which object covers a patch: the model's projector, and its training's heads, M of them,
folded with the names of the A answers: (M, A, width) and (M, A)."""
TRAINED = ("narrow", "around", "further", "strange", "style")
"""Layers of the gate itself."""
NAMES = tuple(f"{layer}.{part}" for layer in (*READING, *TRAINED) for part in ("weight", "bias"))
UNKNOWN = 2
"""The last answers, which are no object of the world: an unknown thing, an unknown background. The first is
nothing."""
LIKELIEST = 3
"""Known answers whose probabilities the gate sees."""
SEEN = 1 + UNKNOWN + LIKELIEST + 2
"""Numbers that the gate sees of each head."""


@dataclass(frozen=True)
class PatchGate:
    """See the module's docstring."""

    weights: Mapping[str, Tensor]
    """Float32 tensors by `NAMES`."""
    layers: tuple[int, ...]
    """Indices into the tower's hidden states; 0 is what goes into its first layer."""
    threshold: float
    """Images of greater strangeness are foreign."""

    def strangeness(self, tower: Any, pixels: Tensor) -> Tensor:
        """Strangeness of each image of `pixels` (n, 3, height, width), as the processor makes them: (n,)
        float32."""
        import torch

        with torch.inference_mode():
            hidden = tower(pixels.to(tower.dtype), output_hidden_states=True).hidden_states
        return self.strangeness_of(hidden, patches_of(tower))

    def strangeness_of(self, hidden: Sequence[Tensor], patches: int) -> Tensor:
        """The same from the tower's hidden states."""
        weights = {name: weight.to(hidden[-1].device) for name, weight in self.weights.items()}
        return patch_logits(weights, patch_inputs(weights, hidden, self.layers, patches))[1]

    def save(self, folder: Path) -> None:
        from safetensors.torch import save_file

        save_file({name: self.weights[name].contiguous() for name in NAMES}, folder / WEIGHTS)
        data_files.write(
            folder / SETTINGS, VERSION, {"layers": list(self.layers), "threshold": self.threshold}
        )

    @classmethod
    def load(cls, folder: Path) -> PatchGate:
        """Raises ModelError: there is none, it is damaged, or it is of another version."""
        with data_files.reading(folder / SETTINGS, VERSION) as settings:
            weights = data_files.read_tensors(folder / WEIGHTS, NAMES)
            return cls(weights, tuple(settings["layers"]), float(settings["threshold"]))


def patch_logits(weights: Mapping[str, Tensor], tokens: Tensor) -> tuple[Tensor, Tensor]:
    """Strangeness of patches (n, patches) and of images (n,), from `patch_inputs` (n, patches, D).

    Of `weights`, `narrow` maps D to a smaller width, `around` and `further` are convolutions of 3 x 3 over
    the square of patches, `strange` gives a patch its logit from both, and `style` sees means and maxima over
    all patches.
    """
    import torch
    from torch.nn import functional as F

    def linear(name: str, values: Tensor) -> Tensor:
        return F.linear(values, weights[f"{name}.weight"], weights[f"{name}.bias"])

    def convolved(name: str, grid: Tensor) -> Tensor:
        return F.gelu(F.conv2d(grid, weights[f"{name}.weight"], weights[f"{name}.bias"], padding=1))

    seen = F.gelu(linear("narrow", tokens))
    side = round(seen.shape[1] ** 0.5)
    near = convolved("around", seen.transpose(1, 2).unflatten(2, (side, side)))
    both = torch.cat([near, convolved("further", near)], 1)
    patches = linear("strange", both.flatten(2).transpose(1, 2)).squeeze(-1)
    style = linear("style", torch.cat([seen.mean(1), seen.amax(1)], 1)).squeeze(-1)
    return patches, torch.logsumexp(patches, 1) + style


def patch_inputs(
    weights: Mapping[str, Tensor], hidden: Sequence[Tensor], layers: Sequence[int], patches: int
) -> Tensor:
    """What the gate sees of each patch: its tokens, and what the heads answer. (n, patches, D) float32."""
    import torch

    answers = answers_about(weights, hidden[-1][:, -patches:].float())
    return torch.cat([patch_tokens(hidden, layers, patches), answers], -1)


def answers_about(weights: Mapping[str, Tensor], tokens: Tensor) -> Tensor:
    """What the heads answer about patches (n, patches, width): for each head the probabilities of nothing, of
    the unknown answers and of the `LIKELIEST` known ones, the entropy as a share of its largest value, and
    the log of the sum of exp of the logits. (n, patches, heads x `SEEN`)."""
    import math

    import torch
    from torch.nn import functional as F

    made = F.gelu(F.linear(tokens, weights["project.0.weight"], weights["project.0.bias"]))
    made = F.linear(made, weights["project.2.weight"], weights["project.2.bias"])
    logits = torch.einsum("npw,maw->npma", made, weights["answers.weight"]) + weights["answers.bias"]
    energy = logits.logsumexp(-1, keepdim=True)
    likely = (logits - energy).exp()
    entropy = -(likely * (logits - energy)).sum(-1, keepdim=True) / math.log(logits.shape[-1])
    known = likely[..., 1:-UNKNOWN].topk(LIKELIEST, -1).values
    parts = [likely[..., :1], likely[..., -UNKNOWN:], known, entropy, energy / 10]
    return torch.cat(parts, -1).flatten(2)


def patch_tokens(hidden: Sequence[Tensor], layers: Sequence[int], patches: int) -> Tensor:
    """Tokens of some layers, each brought to mean 0 and deviation 1: (n, patches, layers x width) float32."""
    import torch
    from torch.nn import functional as F

    # A class token, where there is one, comes first.
    tokens = [hidden[layer][:, -patches:].float() for layer in layers]
    return torch.cat([F.layer_norm(each, each.shape[-1:]) for each in tokens], -1)


def patches_of(tower: Any) -> int:
    """Number of patches per image."""
    return (tower.config.image_size // tower.config.patch_size) ** 2
