"""How large a local model is, and an estimate of what reading a conversation costs.

Operations of a forward pass over T tokens and m images, a multiplication and an addition counted as two:

    2 T W + 4 T T L A + 2 V D + m (2 p W_t + 2 n W_p + 4 p s L_t A_t)

W        weights of the language model's layers that each token is multiplied by: all but embeddings; of
         experts, the share that is chosen
L, A     layers with attention, and heads x head width: products with keys and with values for all pairs of
         tokens, as dense kernels compute them under any mask
V D      the output layer, at the last token only
p, s     patches of an image, and how many of them attend to each other
W_t      weights of the vision tower, with attention of width A_t in each of its L_t layers
n, W_p   tokens made of an image, and the weights of the projector that makes them

Layers that attend to images across (Mllama, IDEFICS) multiply the p patches by their weights for keys and
values.
Linear attention counts by its weights only. An encoder reads the conversation, and its decoder one token.
"""

from __future__ import annotations

import re
from functools import cached_property
from typing import TYPE_CHECKING, Any

from PIL import Image

from jurat.content import Chat, Turn

if TYPE_CHECKING:
    from torch import Tensor

    from jurat.models.hf.model_parts import ModelParts

_PROJECTOR = re.compile(
    r"merger|projector|projection|connector|qformer|query_tokens|resampler|perceiver", re.I
)
"""In the names of modules behind the vision tower, which see its output and not its patches."""
_EXPERTS = re.compile(r"\bexperts\b")
_CROSSING = re.compile(r"\bcross_attn\.[kv]_proj\b")
_DECODER = re.compile(r"\bdecoder\b")
_VISION = re.compile(r"\b(vision_model|perceiver_resampler)\b")
"""In the names of modules that see images though they lie inside of the decoder; in IDEFICS."""


class ModelSize:
    """The capability `Sized` of a local model."""

    def __init__(self, parts: ModelParts) -> None:
        self._network = getattr(parts.network, "_network", parts.network)
        self._encoder = parts.encoder
        self._preparing = parts.preparing
        self._text = self._network.config.get_text_config(decoder=True)

    @property
    def parameters(self) -> int:
        return sum(weight.numel() for weight in self._network.parameters())

    @property
    def language_parameters(self) -> int:
        return sum(weight.numel() for name, weight in self._network.named_parameters() if self._reads(name))

    @property
    def vision_parameters(self) -> int:
        return self.parameters - self.language_parameters

    def prefill_flops(self, tokens: int, images: int = 0, size: tuple[int, int] = (448, 448)) -> float:
        """See `Sized`. `size` is the width and height of each image, which decide how many patches it has for
        models that take images as they are."""
        text, patches = self._text, self._patches(size)[0] * images if images else 0
        apart = self._network.config.is_encoder_decoder

        def times(name: str) -> float:
            """How many tokens a weight multiplies."""
            if _CROSSING.search(name):
                return patches
            return 1 if apart and _DECODER.search(name) else tokens * self._used(name)

        weights = sum(times(name) * w.numel() for name, w in self._multiplied if self._reads(name))
        across = len(getattr(text, "cross_attention_layers", None) or ())
        every = getattr(text, "cross_layer_interval", None)
        besides = text.num_hidden_layers // every if every else 0
        pairs = tokens * (tokens * (self._attending - across) + patches * (across + besides))
        width = _first(text, "num_attention_heads", "num_heads", "encoder_attention_heads") * _head(text)
        output = self._network.get_output_embeddings()
        last = 0 if output is None else output.weight.numel()
        total = 2.0 * (weights + last) + 4.0 * pairs * width
        return total + (images * self._of_image(size) if images else 0.0)

    def _of_image(self, size: tuple[int, int]) -> float:
        """Operations of the tower and the projector on an image."""
        patches, sequence, made = self._patches(size)
        tower = sum(w.numel() for name, w in self._multiplied if self._sees(name) and not _projects(name))
        projector = sum(w.numel() for name, w in self._multiplied if self._sees(name) and _projects(name))
        vision = getattr(self._network.config, "vision_config", None)
        layers = _first(vision, "num_hidden_layers", "depth", "encoder_layers")
        layers += _first(vision, "num_global_layers")
        width = _first(vision, "embed_dim", "hidden_size")
        return 2.0 * (patches * tower + made * projector) + 4.0 * layers * width * patches * sequence

    def _patches(self, size: tuple[int, int]) -> tuple[int, int, int]:
        """For an image: its patches, how many attend to each other, and the resulting tokens."""
        picture = Image.linear_gradient("L").resize(size).convert("RGB")
        chats = [Chat((Turn("user", (*parts, "Look.")),)) for parts in ((picture,), ())]
        with self._preparing:
            seen, unseen = map(self._encoder.encode_chat, chats)
        pixels = seen.images["pixel_values"]
        vision = getattr(self._network.config, "vision_config", None)
        side = getattr(vision, "patch_size", 1)
        height, width = side if isinstance(side, list | tuple) else (side, side)
        frames = int(getattr(vision, "temporal_patch_size", None) or 1) if pixels.ndim == 2 else 1
        patches = pixels.numel() // (3 * frames * height * width)
        tiles = pixels.numel() // (3 * pixels.shape[-1] * pixels.shape[-2]) if pixels.ndim >= 4 else 1
        if getattr(self._text, "cross_attention_layers", None):
            # One token stands for an image, whose tiles attend to each other.
            return patches, patches, patches
        return patches, patches // tiles, len(seen.prefix) - len(unseen.prefix)

    @cached_property
    def _multiplied(self) -> list[tuple[str, Tensor]]:
        """The weights by which activations are multiplied, by their names."""
        import torch

        output = self._network.get_output_embeddings()
        looked_up = {
            id(module.weight) for module in self._network.modules() if isinstance(module, torch.nn.Embedding)
        }
        if output is not None:
            looked_up.add(id(output.weight))
        return [(n, w) for n, w in self._network.named_parameters() if w.ndim >= 2 and id(w) not in looked_up]

    @cached_property
    def _language(self) -> frozenset[int]:
        """The ids of the language model's parameters."""
        network = self._network
        inner = getattr(network, "model", network)
        places = (getattr(owner, "language_model", None) for owner in (network, inner))
        found = next((place for place in places if place is not None), None) or network.get_decoder()
        output = network.get_output_embeddings()
        modules = [found] if output is None else [found, output]
        named = (pair for module in modules for pair in module.named_parameters())
        return frozenset(id(weight) for name, weight in named if not _VISION.search(name))

    def _reads(self, name: str) -> bool:
        return id(self._network.get_parameter(name)) in self._language

    def _sees(self, name: str) -> bool:
        return not self._reads(name)

    def _used(self, name: str) -> float:
        """The share of a weight that multiplies a token: of experts, those that are chosen."""
        if not _EXPERTS.search(name):
            return 1.0
        chosen = _first(self._text, "num_experts_per_tok", "moe_topk", "moe_k")
        of = _first(self._text, "num_local_experts", "num_experts", "n_routed_experts", "moe_num_experts")
        return chosen / of if chosen and of else 1.0

    @property
    def _attending(self) -> int:
        """How many layers of the language model attend to all tokens."""
        layers = _first(self._text, "num_hidden_layers", "num_layers", "encoder_layers")
        kinds = getattr(self._text, "layer_types", None)
        return layers if kinds is None else sum("attention" in k and k != "linear_attention" for k in kinds)


def _projects(name: str) -> bool:
    return _PROJECTOR.search(name) is not None


def _first(config: Any, *names: str) -> int:
    """The first size of these names that a configuration has; 0 where it has none."""
    found = (getattr(config, name, None) for name in names)
    return next((int(size) for size in found if size and not isinstance(size, list | tuple)), 0)


def _head(text: Any) -> int:
    """The width of an attention head."""
    width = _first(text, "head_dim", "d_kv")
    return width or _first(text, "hidden_size", "d_model") // max(
        1, _first(text, "num_attention_heads", "encoder_attention_heads")
    )
