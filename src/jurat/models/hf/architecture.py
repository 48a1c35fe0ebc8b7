"""What a transformers model is, as far as it decides how its questions may share a prefix.

Nothing here depends on a family's name: layers are recognised by their caches, masks by what they let a token
see, positions by their axes.
"""

from __future__ import annotations

import re
from bisect import bisect_left
from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from inspect import signature
from typing import Any

from jurat.models.hf import attention
from jurat.models.hf.adapters import sees_in_every_pass

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
_LENGTH = re.compile(
    r"(window|max_position_embeddings|top_?k|chunk_size|block_size|span|kpool|floor_scale)(?!_\w)", re.I
)
"""Names in a configuration of lengths at which attention or positions may change."""


@dataclass(frozen=True)
class Structure:
    """What a network's layers are, and why it cannot take a path; a reason is None where it can."""

    layers: tuple[str, ...]
    """Kinds of layers with their numbers: "4 with full attention"."""
    window: int | None
    """Tokens of the narrowest attention window; None where every layer sees everything."""
    pads: bool
    """Whether padding between a prefix and what continues it is harmless, within the window: every layer
    sees tokens through a mask, and nothing but tokens."""
    even: bool
    """Whether only sequences of equal length may share a pass: what padding does to a layer is not known."""
    packing: str | None
    """Why questions cannot be packed."""
    keeping: str | None
    """Why a prefix cannot be kept and continued."""
    thresholds: tuple[int, ...] = ()
    """Lengths in tokens that the configuration names: windows, numbers of tokens that sparse attention
    chooses, lengths above which positions are scaled. Ascending."""
    scaled: tuple[int, ...] = ()
    """Lengths above which positions are scaled in another way, for all sequences of a pass if for one.
    Ascending."""
    growing: int | None = None
    """A length above which the scale follows the longest sequence of a pass; None for most families."""
    axes: bool = False
    """Whether positions have axes, so that a sequence's length in tokens does not tell its last position."""

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
            even=any(kind not in _WORDS for kind in counts),
            packing=_packing(network, counts),
            keeping=_keeping(network, found),
            thresholds=tuple(sorted({n for n in _lengths(_text(network).to_dict()) if n > 1})),
            **_scaling(network),
        )

    def regime(self, length: int) -> int:
        """How positions are scaled in a sequence of `length` tokens. Sequences of equal regimes may share a
        pass, unless one of them is to be read `alone`."""
        return bisect_left(self.scaled, length)

    def alone(self, length: int) -> bool:
        """Whether a sequence of `length` tokens needs a pass of its own."""
        if self.growing is not None and length >= self.growing:
            return True
        return self.axes and self.regime(length) > 0


def _lengths(config: Mapping[str, Any]) -> Iterator[int]:
    for name, value in config.items():
        if isinstance(value, Mapping):
            yield from _lengths(value)
        elif isinstance(value, int) and not isinstance(value, bool) and _LENGTH.search(name):
            yield value


def _scaling(network: Any) -> dict[str, Any]:
    """`scaled`, `growing` and `axes`, from the parameters of rotary positions."""
    text = _text(network)
    rope = getattr(text, "rope_parameters", None) or {}
    kinds = [one for one in rope.values() if isinstance(one, Mapping)] or [rope]  # one a kind of layer
    most = int(getattr(text, "max_position_embeddings", 0) or 0)
    scaled = {
        int(one.get("original_max_position_embeddings") or most)
        for one in kinds
        if one.get("rope_type") == "longrope"
    }
    growing = most if any("dynamic" in str(one.get("rope_type")) for one in kinds) else None
    return {
        "scaled": tuple(sorted(scaled)),
        "growing": growing or None,
        "axes": any("mrope_section" in one for one in kinds),
    }


def as_opened(network: Any) -> None:
    """Resets position scaling that a network keeps from an earlier, longer sequence (`Structure.growing`)."""
    for module in network.modules():
        for name, original in list(module.named_buffers(recurse=False)):
            kind, found, _ = name.partition("original_inv_freq")  # a kind of layer, where there are several
            if found:
                module.register_buffer(f"{kind}inv_freq", original.clone(), persistent=False)
                setattr(module, f"{kind}max_seq_len_cached", module.original_max_seq_len)


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
    if sees_in_every_pass(network):
        return "its forward pass takes the images again with what continues them"
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
