"""A linear head on a model's hidden states: the probability that what was read is harmful.

The features are the output of one decoder layer at the last token of the templated conversation. The head is
a logistic regression on standardised features, which are folded into its weights.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from jurat.defenses.fitting.examples import Examples, LabelledChat, check_classes
from jurat.defenses.fitting.fitted_file import FittedFile
from jurat.defenses.last_tokens import decoder_layers, last_tokens
from jurat.errors import JuratError, require
from jurat.models import Model, full_name

if TYPE_CHECKING:
    from torch import Tensor

__all__ = ["FittedHead", "LinearHead", "fit_head"]

FOLDS = 5


@dataclass(frozen=True)
class LinearHead:
    """See the module's docstring."""

    model: str
    """Full name of the model whose hidden states it takes."""
    layer: str
    weight: Tensor
    """(width,) float32."""
    bias: float

    def probability(self, state: Tensor) -> float:
        """That what was read is harmful, in [0, 1], from the layer's output (width,) at the last token; nan
        where the state holds what is no number."""
        return (1 + math.tanh(float(state @ self.weight + self.bias) / 2)) / 2

    def save(self, path: Path, kind: str, **facts: object) -> None:
        """Writes the file of the defense `kind`. Raises JuratError: it cannot be written."""
        import torch

        tensors = {"weight": self.weight, "bias": torch.tensor([self.bias])}
        FittedFile(kind, tensors, {"model": self.model, "layer": self.layer, **facts}).save(path)

    @classmethod
    def load(cls, path: Path, kind: str) -> LinearHead:
        """Raises JuratError: the file cannot be read, or is for another defense."""
        file = FittedFile.load(path, kind)
        try:
            weight, bias = file.tensors["weight"], file.tensors["bias"]
            model, layer = file.facts["model"], file.facts["layer"]
        except KeyError as error:
            raise JuratError(f"{path} has no {error}.", hint="Fit it again.") from error
        if weight.ndim != 1 or bias.numel() != 1 or not isinstance(model, str) or not isinstance(layer, str):
            raise JuratError(f"{path} does not hold one head of one layer.", hint="Fit it again.")
        return cls(model, layer, weight, float(bias))


@dataclass(frozen=True)
class FittedHead:
    """A head, and how well it decides examples that it was not fitted to."""

    head: LinearHead
    auroc: float
    """Over the examples, each with the head of a fold that it is not in."""
    accuracy: float
    """The mean of the shares of harmful and of harmless examples that are decided rightly, likewise."""
    harmful: int
    harmless: int
    left_out: tuple[str, ...]
    """Examples that the model could not read, and why."""

    def facts(self, examples: Examples) -> dict[str, object]:
        """Where the head comes from, for its file."""
        return {
            "examples": examples.digest,
            "harmful": self.harmful,
            "harmless": self.harmless,
            "left_out": len(examples.left_out) + len(self.left_out),
            "auroc": self.auroc,
            "accuracy": self.accuracy,
        }


def fit_head(model: Model, examples: Examples, layer: int | None = None) -> FittedHead:
    """A head from labelled conversations.

    Args:
        layer: number of the decoder layer, from 0; None for the one at two thirds of the depth.

    Raises:
        JuratError: there is no such layer, or too few examples can be read.
        MissingExtra: scikit-learn is not installed.
    """
    require("Fitting a head", "eval", "sklearn")
    layers = decoder_layers(model, examples.found[0].chat)
    number = 2 * len(layers) // 3 if layer is None else layer
    if not 0 <= number < len(layers):
        raise JuratError(f"There is no layer {number}; the decoder has {len(layers)}, from 0.")
    name = layers[number]
    used: list[LabelledChat] = []
    states: list[Tensor] = []
    left_out: list[str] = []
    for example in examples.found:
        read = last_tokens(model, example.chat, (name,))
        if read.failure is not None:
            left_out.append(f"{example.place}: {read.failure.reason}")
            continue
        used.append(example)
        states.append(read.states[name])
    check_classes(used, f"{model.name} can read", left_out)
    harmful = [example.harmful for example in used]
    weight, bias, scores = _regression(states, harmful)
    auroc, accuracy = _quality(scores, harmful)
    n = sum(harmful)
    head = LinearHead(full_name(model), name, weight, bias)
    return FittedHead(head, auroc, accuracy, n, len(harmful) - n, tuple(left_out))


def _regression(states: Sequence[Tensor], harmful: Sequence[bool]) -> tuple[Tensor, float, Any]:
    """Weights and bias on features as they are, and the probability of each example from the folds that it
    is not in."""
    import torch
    from sklearn.linear_model import LogisticRegression
    from sklearn.model_selection import StratifiedKFold, cross_val_predict
    from sklearn.pipeline import make_pipeline
    from sklearn.preprocessing import StandardScaler

    features: Any = torch.stack(list(states)).double().numpy()
    made: Any = make_pipeline(StandardScaler(), LogisticRegression(max_iter=1000, class_weight="balanced"))
    folds = StratifiedKFold(
        min(FOLDS, sum(harmful), len(harmful) - sum(harmful)), shuffle=True, random_state=0
    )
    scores: Any = cross_val_predict(made, features, harmful, cv=folds, method="predict_proba")
    made.fit(features, harmful)
    scaler, regression = made[0], made[1]
    weight = regression.coef_[0] / scaler.scale_
    bias = float(regression.intercept_[0] - weight @ scaler.mean_)
    return torch.from_numpy(weight).float(), bias, scores[:, 1]


def _quality(scores: Any, harmful: Sequence[bool]) -> tuple[float, float]:
    """AUROC and balanced accuracy."""
    from sklearn.metrics import balanced_accuracy_score, roc_auc_score

    return float(roc_auc_score(harmful, scores)), float(balanced_accuracy_score(harmful, scores > 0.5))
