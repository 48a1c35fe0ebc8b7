"""Safety vectors of InferAligner (Wang et al. 2024, arXiv 2401.11206), and the thresholds of its gates.

With a_l(P) the output of layer l at the last token of the templated prompt P, the vector of a model is

    v_l = m_l / |m_l|,    m_l = mean over harmful P of a_l(P) - mean over harmless P of a_l(P)

s_l is that of the model that is defended, theta_l that of an aligned model of equal depth and width. The gate
of a layer is open where <a_l(P), s_l> + b_l > 0. The rule for b_l is ours: the midpoint between the means of
both classes along s_l.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING

from jurat.defenses.fitting.examples import Examples, LabelledChat, check_classes
from jurat.defenses.fitting.fitted_file import FittedFile
from jurat.defenses.last_tokens import decoder_layers, last_tokens
from jurat.errors import JuratError
from jurat.models import Model, full_name

if TYPE_CHECKING:
    from torch import Tensor

    from jurat.defenses.last_tokens import LastTokens

__all__ = ["FittedVectors", "SafetyVectors", "fit_vectors"]

KIND = "inferaligner"


@dataclass(frozen=True)
class SafetyVectors:
    """See the module's docstring. Rows are layers of the decoder, in order."""

    model: str
    """Full name of the model that is defended."""
    aligned: str
    """Full name of the model that `steering` comes from."""
    layers: tuple[str, ...]
    safety: Tensor
    """s_l, (layers, width) float32, of length 1."""
    steering: Tensor
    """theta_l, (layers, width) float32, of length 1."""
    bias: Tensor
    """b_l, (layers,) float32."""

    def __getitem__(self, chosen: slice) -> SafetyVectors:
        """Those of some layers."""
        rows = {"safety": self.safety, "steering": self.steering, "bias": self.bias}
        some = {name: tensor[chosen] for name, tensor in rows.items()}
        return replace(self, layers=self.layers[chosen], **some)

    def gates(self, states: Tensor) -> Tensor:
        """Which layers' gates are open for states (layers, width) at the last token: (layers,) bool."""
        return (states * self.safety).sum(-1) + self.bias > 0

    def save(self, path: Path, **facts: object) -> None:
        """Raises JuratError: the file cannot be written."""
        tensors = {"safety": self.safety, "steering": self.steering, "bias": self.bias}
        told = {"model": self.model, "aligned": self.aligned, "layers": list(self.layers), **facts}
        FittedFile(KIND, tensors, told).save(path)

    @classmethod
    def load(cls, path: Path) -> SafetyVectors:
        """Raises JuratError: the file cannot be read, or holds something else."""
        file = FittedFile.load(path, KIND)
        try:
            tensors = [file.tensors[name] for name in ("safety", "steering", "bias")]
            model, aligned, layers = (file.facts[name] for name in ("model", "aligned", "layers"))
        except KeyError as error:
            raise JuratError(f"{path} has no {error}.", hint="Fit it again.") from error
        rows = [
            len(layers) if isinstance(layers, list) else -1,
            *(len(each) for each in tensors if each.ndim),
        ]
        shapes = [each.ndim for each in tensors], tensors[0].shape == tensors[1].shape
        if shapes != ([2, 2, 1], True) or len(set(rows)) > 1:
            raise JuratError(f"{path} does not hold a vector for each layer.", hint="Fit it again.")
        return cls(model, aligned, tuple(layers), *tensors)


@dataclass(frozen=True)
class FittedVectors:
    """Vectors, and how well their gates decide."""

    vectors: SafetyVectors
    accuracy: tuple[float, ...]
    """For each layer the mean of the shares of harmful and of harmless prompts that its gate decides rightly,
    each with vectors that were fitted without that prompt."""
    harmful: int
    """Prompts of that class that were used."""
    harmless: int
    left_out: tuple[str, ...]
    """Prompts that a model could not read, and why."""

    def facts(self, examples: Examples) -> dict[str, object]:
        """Where the vectors come from, for their file."""
        return {
            "prompts": examples.digest,
            "harmful": self.harmful,
            "harmless": self.harmless,
            "left_out": len(examples.left_out) + len(self.left_out),
            "accuracy": list(self.accuracy),
        }


def fit_vectors(model: Model, aligned: Model, examples: Examples) -> FittedVectors:
    """Vectors from labelled prompts; `aligned` may be the model itself.

    Raises:
        JuratError: the two models differ in depth or width, or too few prompts can be read.
    """
    import torch

    layers, others = (decoder_layers(each, examples.found[0].chat) for each in (model, aligned))
    used: list[LabelledChat] = []
    rows: list[tuple[Tensor, Tensor]] = []
    left_out: list[str] = []
    for example in examples.found:
        own = last_tokens(model, example.chat, layers)
        other = own if aligned is model else last_tokens(aligned, example.chat, others)
        failure = own.failure or other.failure
        if failure is not None:
            left_out.append(f"{example.place}: {failure.reason}")
            continue
        used.append(example)
        rows.append((_stacked(own, layers), _stacked(other, others)))
    check_classes(used, "The models can read", left_out)
    if rows[0][0].shape != rows[0][1].shape:
        sizes = (f"{len(each)} layers of width {each.shape[1]}" for each in rows[0])
        raise JuratError(
            f"{model.name} and {aligned.name} differ: {' and '.join(sizes)}.",
            hint="The aligned model must have the depth and the width of the one that is defended.",
        )
    states, targets = (torch.stack([pair[i] for pair in rows]) for i in (0, 1))
    harmful = torch.tensor([example.harmful for example in used])
    safety, steering = directions(states, harmful), directions(targets, harmful)
    if not bool(((safety.norm(dim=-1) > 0.5) & (steering.norm(dim=-1) > 0.5)).all()):
        raise JuratError(
            "At some layer the harmful prompts have the same mean state as the harmless ones.",
            hint="The model may read the words of both as the same: use prompts that it can tell apart.",
        )
    bias = midpoints(states, harmful, safety)
    vectors = SafetyVectors(full_name(model), full_name(aligned), layers, safety, steering, bias)
    n = int(harmful.sum())
    return FittedVectors(vectors, left_one_out(states, harmful), n, len(used) - n, tuple(left_out))


def directions(states: Tensor, harmful: Tensor) -> Tensor:
    """v_l from states (prompts, layers, width): (layers, width)."""
    from torch.nn.functional import normalize

    return normalize(states[harmful].mean(0) - states[~harmful].mean(0), dim=-1)


def midpoints(states: Tensor, harmful: Tensor, safety: Tensor) -> Tensor:
    """b_l, (layers,)."""
    along = (states * safety).sum(-1)
    return -(along[harmful].mean(0) + along[~harmful].mean(0)) / 2


def left_one_out(states: Tensor, harmful: Tensor) -> tuple[float, ...]:
    """See `FittedVectors.accuracy`."""
    import torch

    right: list[Tensor] = []
    for i in range(len(states)):
        others = torch.arange(len(states)) != i
        safety = directions(states[others], harmful[others])
        bias = midpoints(states[others], harmful[others], safety)
        right.append(((states[i] * safety).sum(-1) + bias > 0) == harmful[i])
    made = torch.stack(right).float()
    return tuple(((made[harmful].mean(0) + made[~harmful].mean(0)) / 2).tolist())


def _stacked(read: LastTokens, layers: Sequence[str]) -> Tensor:
    import torch

    return torch.stack([read.states[name] for name in layers])
