"""What judging costs: tokens and images are counted, FLOPs estimated.

FLOPs are an estimate from parameter counts and tokens: a forward pass takes about 2 per parameter and
token (Kaplan et al. 2020, arXiv 2001.08361, table 1), for the language model over the tokens read and
written, for the image tower over its patches. The attention's own share, which grows with the length
of the context, is left out, as is the embedding table, which is looked up. The same formula is used for
all rows, so ratios mean more than the numbers do. For unknown sizes (a served model) the estimate is None.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass, fields, replace
from typing import Any

from jurat.content import Failure, Usage
from jurat.models import Inquiry, Model, Vocabulary


@dataclass(frozen=True)
class Spending:
    """Cost of one item."""

    images: int = 0
    """Images that the MLLM encoded, crops and changed ones among them."""
    question_tokens: int = 0
    """Tokens that it read; a prefix that questions share counts once."""
    generated_tokens: int = 0
    """Tokens that it wrote."""
    detections: int = 0
    """Images that a detector looked at."""
    scans: int = 0
    """Images that a matcher compared with texts."""
    flops: float | None = None
    """By the formula above; None where a size is unknown."""
    seconds: float = 0.0
    """Wall time: of its batch, divided by the batch's items."""

    def __add__(self, other: Spending) -> Spending:
        whole = {
            each.name: getattr(self, each.name) + getattr(other, each.name)
            for each in fields(self)
            if each.name != "flops"
        }
        known = self.flops is not None and other.flops is not None
        return Spending(**whole, flops=(self.flops or 0) + (other.flops or 0) if known else None)


def counter_of(model: Model) -> Callable[[Inquiry], Usage | None] | None:
    """A function that counts the tokens that `ask` would read of an inquiry; None where only asking tells."""
    local: Any = model if hasattr(model, "scorer") else getattr(model, "_local", None)
    if local is None:
        return None
    vocabulary = model.capability(Vocabulary)

    def count(inquiry: Inquiry) -> Usage | None:
        from jurat.models.hf.prompt import length

        known = tuple(q for q in inquiry.questions if vocabulary is None or not vocabulary.unknown_words(q))
        entry = local.encode([replace(inquiry, questions=known)])[0]
        if isinstance(entry, Failure):
            return None
        apart = local.scorer.path == "plain"
        return Usage(
            sum(length(p) + (len(p.segments) - 1) * len(p.prefix) * apart for p in entry),
            0,
            sum(len(p.prefix) for p in entry if not apart and len(p.segments) > 1),
        )

    return count


@dataclass(frozen=True)
class ParameterCounts:
    """Parameters of the parts of a model, for the estimate."""

    tower: int
    """Parameters of the image tower and the projector."""
    patches: int
    """Tokens of the tower for one image."""
    language: int
    """Parameters of the language model without its embedding table, with its output layer."""


def sizes_of(model: object) -> ParameterCounts | None:
    """Counts the parameters of a model that runs on transformers; None for any other.

    A detector's and a matcher's text side is worked out once a word, so only its image side counts.
    """
    network = getattr(model, "network", None) or getattr(getattr(model, "_local", None), "network", None)
    if network is None:
        return None
    tower = table = whole = 0
    for name, values in network.named_parameters():
        whole += values.numel()
        if "vision" in name or "visual" in name or "projector" in name:
            tower += values.numel()
        elif "embed_tokens" in name or "token_embedding" in name:
            table += values.numel()
    tied = bool(getattr(network.config, "tie_word_embeddings", False))
    language = whole - tower - (0 if tied else table)
    return ParameterCounts(tower, _patches(network.config), language)


def _patches(config: Any) -> int:
    vision = getattr(config, "vision_config", None)
    image, patch = getattr(vision, "image_size", None), getattr(vision, "patch_size", None)
    if not isinstance(image, int) or not isinstance(patch, int):
        return 0
    return math.ceil(image / patch) ** 2 + 1


def flops(
    spending: Spending,
    model: ParameterCounts | None,
    detector: ParameterCounts | None = None,
    matcher: ParameterCounts | None = None,
) -> float | None:
    """The estimate for one item; None where something was used whose size is unknown."""
    read = spending.question_tokens + spending.generated_tokens
    parts = (
        (spending.images, model, _seeing(model)),
        (read, model, 2.0 * model.language if model else 0.0),
        (spending.detections, detector, _seeing(detector)),
        (spending.scans, matcher, _seeing(matcher)),
    )
    if any(number and sizes is None for number, sizes, _ in parts):
        return None
    return sum(number * each for number, _, each in parts)


def _seeing(sizes: ParameterCounts | None) -> float:
    """FLOPs of one image in the vision tower."""
    return 2.0 * sizes.tower * sizes.patches if sizes else 0.0
