"""Networks that do not take a conversation as others do, given the same manner as theirs.

BLIP-2, InstructBLIP and their kind put an image before a language model that stands on its own. Their forward
pass needs an image, and their `generate` needs one too and hands the rest to the language model; where that
is an encoder and a decoder (T5), the answer is what the decoder begins with. A `Captioner` is called as
decoders are: without an image it is the language model alone, and what is generated follows the tokens that
were given.
"""

from __future__ import annotations

from collections.abc import Sequence
from inspect import Parameter, signature
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from torch import Tensor

PIXELS = "pixel_values"


def adapted(network: Any) -> Any:
    """The network, or a `Captioner` around it."""
    parameter = signature(network.forward).parameters.get(PIXELS)
    needs_image = parameter is not None and parameter.default is Parameter.empty
    return Captioner(network) if needs_image and hasattr(network, "language_model") else network


class Captioner:
    """See the module's docstring. Everything else is the network's own."""

    def __init__(self, network: Any) -> None:
        self._network = network

    def __getattr__(self, name: str) -> Any:
        return getattr(self._network, name)

    def __call__(
        self, *, input_ids: Tensor, attention_mask: Tensor, use_cache: bool = False, **images: Any
    ) -> Any:
        """Logits at every token that was given; of an encoder and a decoder, at the decoder's first."""
        inputs: dict[str, Any] = {"input_ids": input_ids, "attention_mask": attention_mask, **images}
        if self._decodes_apart:
            inputs["decoder_input_ids"] = input_ids.new_full((len(input_ids), 1), self._start)
        return SimpleNamespace(logits=self._of(images)(**inputs).logits)

    def generate(self, *, input_ids: Tensor, logits_processor: Sequence[Any], **settings: Any) -> Any:
        """The tokens that were given and those that follow them, in what `generate` returns."""
        import torch

        def whole(made: Tensor) -> Tensor:
            return torch.cat([input_ids.to(made.device), made[:, 1:]], 1) if self._decodes_apart else made

        processors = [_OnWhole(one, whole) for one in logits_processor]
        made = self._of(settings).generate(input_ids=input_ids, logits_processor=processors, **settings)
        if isinstance(made, torch.Tensor):
            return whole(made)
        made.sequences = whole(made.sequences)
        return made

    def _of(self, inputs: dict[str, Any]) -> Any:
        return self._network if PIXELS in inputs else self._network.language_model

    @property
    def _decodes_apart(self) -> bool:
        return bool(self._network.language_model.config.is_encoder_decoder)

    @property
    def _start(self) -> int:
        """The token that the decoder begins with."""
        text = self._network.language_model.config
        start = text.decoder_start_token_id
        return int(text.pad_token_id if start is None else start)


class _OnWhole:
    """A logits processor that is shown the tokens that were given, too."""

    def __init__(self, processor: Any, whole: Any) -> None:
        self._processor, self._whole = processor, whole

    def __call__(self, ids: Tensor, scores: Tensor) -> Tensor:
        return self._processor(self._whole(ids), scores)
