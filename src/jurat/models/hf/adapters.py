"""Networks that do not take a conversation as decoders do, called in the same manner.

*An encoder and a decoder* (Florence-2, BLIP-2 on T5): the conversation goes into the encoder, and the answer
is what the decoder begins with, behind the tokens that it always begins with. *An image before a language
model that stands on its own* (BLIP-2, InstructBLIP): the forward pass and `generate` need an image; without
one the language model is called alone. *Images in every pass* (IDEFICS): without one, the network is given
an image that no token attends to.
"""

from __future__ import annotations

from collections.abc import Sequence
from inspect import Parameter, signature
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from torch import Tensor

PIXELS = "pixel_values"
_SEEN, _SEEN_BY = "image_encoder_embeddings", "image_attention_mask"
"""IDEFICS' inputs of what the tower made of images, (rows, images, tokens, width), and of which images each
token attends to, (rows, tokens, images)."""


def adapted(network: Any) -> Any:
    """The network, wrapped in an adapter if it needs one."""
    if sees_in_every_pass(network):
        return BlankImages(network)
    return NetworkAdapter(network) if _decodes_apart(network) or _needs_image(network) else network


def sees_in_every_pass(network: Any) -> bool:
    """Whether each forward pass has to be given images, those that continue from a cache included."""
    return _SEEN in signature(network.forward).parameters


def _decodes_apart(network: Any) -> bool:
    inner = getattr(network, "language_model", network)
    return bool(network.config.is_encoder_decoder or inner.config.is_encoder_decoder)


def _needs_image(network: Any) -> bool:
    parameter = signature(network.forward).parameters.get(PIXELS)
    return parameter is not None and parameter.default is Parameter.empty


class NetworkAdapter:
    """Wraps a network (see the module's docstring); other attributes are the network's own."""

    def __init__(self, network: Any) -> None:
        self._network = network
        alone = _needs_image(network) and hasattr(network, "language_model")
        self._without_images = network.language_model if alone else network
        self.begins = _decoder_begins(network) if _decodes_apart(network) else []
        """The tokens that its decoder always begins with; empty where there is no encoder."""

    def __getattr__(self, name: str) -> Any:
        return getattr(self._network, name)

    def __call__(
        self,
        *,
        input_ids: Tensor,
        attention_mask: Tensor,
        use_cache: bool = False,
        decoded: Tensor | None = None,
        **inputs: Any,
    ) -> Any:
        """Logits at every token that was given; of an encoder and a decoder, at those that the decoder always
        begins with, and at those of `decoded` (rows, tokens) behind them."""
        import torch

        given = {"input_ids": input_ids, "attention_mask": attention_mask, **inputs}
        if self.begins:
            begun = input_ids.new_tensor([self.begins] * len(input_ids))
            given["decoder_input_ids"] = begun if decoded is None else torch.cat([begun, decoded], 1)
        return SimpleNamespace(logits=self._of(inputs)(**given).logits)

    def generate(self, *, input_ids: Tensor, logits_processor: Sequence[Any], **settings: Any) -> Any:
        """The tokens that were given and those that follow them, in what `generate` returns."""
        import torch

        def whole(made: Tensor) -> Tensor:
            return torch.cat([input_ids.to(made.device), made[:, 1:]], 1) if self.begins else made

        processors = [_WithPromptTokens(one, whole) for one in logits_processor]
        made = self._of(settings).generate(input_ids=input_ids, logits_processor=processors, **settings)
        if isinstance(made, torch.Tensor):
            return whole(made)
        made.sequences = whole(made.sequences)
        return made

    def _of(self, inputs: dict[str, Any]) -> Any:
        return self._network if PIXELS in inputs else self._without_images


class BlankImages:
    """Wraps a network that `sees_in_every_pass`; other attributes are the network's own."""

    def __init__(self, network: Any) -> None:
        self._network = network

    def __getattr__(self, name: str) -> Any:
        return getattr(self._network, name)

    def __call__(self, **inputs: Any) -> Any:
        return self._network(**self._with_images(inputs))

    def generate(self, **settings: Any) -> Any:
        """What the network's own `generate` returns."""
        return self._network.generate(**self._with_images(settings))

    def _with_images(self, inputs: dict[str, Any]) -> dict[str, Any]:
        if PIXELS in inputs:
            return inputs
        rows, tokens = inputs["input_ids"].shape
        width = self._network.config.vision_config.embed_dim
        blank = self._network.get_input_embeddings().weight.new_zeros(rows, 1, 1, width)
        return {**inputs, _SEEN: blank, _SEEN_BY: inputs["input_ids"].new_zeros(rows, tokens, 1)}


def _decoder_begins(network: Any) -> list[int]:
    """Tokens that start the decoder: its start token and, if the configuration forces one, the next."""
    text = network.config.get_text_config(decoder=True)
    places = (network.generation_config, text, network.config)

    def named(*names: str) -> int | None:
        found = (getattr(place, name, None) for name in names for place in places)
        return next((int(token) for token in found if token is not None), None)

    start, forced = (
        named("decoder_start_token_id", "bos_token_id", "pad_token_id"),
        named("forced_bos_token_id"),
    )
    return [token for token in (start, forced) if token is not None]


class _WithPromptTokens:
    """A logits processor that also sees the prompt's tokens."""

    def __init__(self, processor: Any, whole: Any) -> None:
        self._processor, self._whole = processor, whole

    def __call__(self, ids: Tensor, scores: Tensor) -> Tensor:
        return self._processor(self._whole(ids), scores)
