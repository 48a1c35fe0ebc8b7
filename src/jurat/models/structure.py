"""What a transformers model is, as far as it decides how its questions may share a prefix.

Nothing here knows a family by its name: layers are told by what they keep, masks by what they let a
token see, positions by their axes.
"""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass
from inspect import signature
from typing import Any

from jurat.models import attention

_WORDS = {
    "DynamicLayer": "full attention",
    "DynamicSlidingWindowLayer": "attention in a window",
    "DummyLayer": "no memory of their own",
    "LinearAttentionLayer": "a recurrent or convolutional state",
    "LinearAttentionAndFullAttentionLayer": "full attention and a recurrent state",
    "LinearAttentionAndSlidingWindowAttentionLayer": "attention in a window and a recurrent state",
}
"""What a layer with such a cache has."""
_MASKED = {"DynamicLayer", "DynamicSlidingWindowLayer", "DummyLayer"}
"""Caches of layers that see other tokens through a mask only."""
_RECURRENT = "LinearAttention"


@dataclass(frozen=True)
class Structure:
    """What was found of a network, and why it cannot take a path; a reason is None where it may."""

    layers: tuple[str, ...]
    """Kinds of layers with their numbers: "4 with full attention"."""
    window: int | None
    """Tokens of the narrowest attention window; None where every layer sees everything."""
    pads: bool
    """Whether padding between a prefix and what goes on from it is harmless, within the window: every layer
    sees tokens through a mask, and nothing but tokens."""
    packing: str | None
    """Why questions cannot be packed."""
    keeping: str | None
    """Why a prefix cannot be kept and continued."""

    @classmethod
    def of(cls, network: Any) -> Structure:
        found = _caches(network)
        counts = Counter(type(layer).__name__ for layer in found)
        layers = [f"{n} with {_WORDS.get(kind, f'a cache of kind {kind}')}" for kind, n in counts.items()]
        crossing = getattr(_text(network), "cross_attention_layers", None)
        if crossing:
            layers.append(f"{len(crossing)} of them with cross-attention to images")
        windows = [layer.sliding_window for layer in found if getattr(layer, "sliding_window", None)]
        return cls(
            layers=tuple(layers),
            window=min(windows, default=None),
            pads=not set(counts) - _MASKED and not crossing,
            packing=_packing(network, counts),
            keeping=_keeping(network, found),
        )


def _packing(network: Any, counts: Counter[str]) -> str | None:
    text, parameters = _text(network), set(signature(network.forward).parameters)
    if network.config.is_encoder_decoder:
        return "it has an encoder that would see all questions at once"
    if missing := {"position_ids", "logits_to_keep", "attention_mask"} - parameters:
        return f"its forward pass takes no {' and no '.join(sorted(missing))}"
    if not getattr(text, "is_causal", True):
        return "its attention is not causal"
    if running := sum(n for kind, n in counts.items() if kind.startswith(_RECURRENT)):
        return (
            f"{running} of its {sum(counts.values())} layers keep a recurrent or convolutional state, "
            "which would run on from one question into the next"
        )
    if strange := sorted(set(counts) - _MASKED):
        return f"some of its layers keep a cache of a kind that is not known here ({', '.join(strange)})"
    if not counts:
        return "what its layers keep is not known"
    if text._attn_implementation not in ("sdpa", "eager", attention.NAME):
        return f"its attention ({text._attn_implementation}) takes no mask of ours"
    return None


def _keeping(network: Any, found: list[Any]) -> str | None:
    if network.config.is_encoder_decoder:
        return "it has an encoder that would see all questions at once"
    if "past_key_values" not in signature(network.forward).parameters:
        return "its forward pass takes no cache"
    if not getattr(_text(network), "is_causal", True):
        return "its attention is not causal"
    if not found or not all(hasattr(layer, "reorder_cache") for layer in found):
        return "what its layers keep cannot be copied for several questions"
    return None


def _caches(network: Any) -> list[Any]:
    """An empty cache of every layer, as transformers makes them from the configuration."""
    from transformers import DynamicCache

    try:
        return list(DynamicCache(config=network.config).layers)
    except (AttributeError, KeyError, TypeError, ValueError):
        return []


def _text(network: Any) -> Any:
    return network.config.get_text_config(decoder=True)
