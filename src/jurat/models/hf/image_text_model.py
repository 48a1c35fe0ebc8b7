"""What detectors and matchers share: a network for images and texts, and the domain of the bundled ones.

`BundledDomain` holds the words that the bundled detector and matcher were trained on, and recognises foreign
images with the gate of the bundled MLLM, whose vision tower they share.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Sequence
from contextlib import nullcontext
from pathlib import Path
from typing import TYPE_CHECKING, Any

from jurat.content import Failure
from jurat.models.bundled.domain_gate import load_gate
from jurat.models.bundled.patch_gate import patches_of
from jurat.models.bundled.word_vocabulary import question_vocabulary
from jurat.models.hf.load_model import LoadedModel, load
from jurat.models.hf.torch_threads import one_thread
from jurat.models.protocol import ModelError

if TYPE_CHECKING:
    from torch import Tensor

_TEXTS = 64
"""Texts in one forward pass, at most."""
_KEPT = 4096
"""Texts whose embeddings are remembered."""


class BundledDomain:
    """Words and images that the bundled detector and matcher were trained on."""

    def __init__(self, folder: Path, tokenizer: Any) -> None:
        """`folder` holds their weights and a domain gate.

        Raises:
            ModelError: there is no gate.
        """
        self._gate = load_gate(folder)
        self._words = question_vocabulary(tokenizer)

    def unknown_words(self, text: str) -> list[str]:
        return self._words.unknown_words(text)

    def strange_words(self, texts: Sequence[str]) -> Failure | None:
        """An `out_of_domain` failure that names unknown words; None if all are known."""
        unknown = list(dict.fromkeys(word for text in texts for word in self.unknown_words(text)))
        if not unknown:
            return None
        named = ", ".join(repr(word) for word in unknown)
        return Failure("out_of_domain", f"The bundled model never learned {named}.")

    def excess(self, tower: Any, pixels: Tensor) -> Tensor:
        """By how much each of the images is stranger than the gate lets pass, (n,), differentiable."""
        hidden = tower(pixels.to(tower.dtype), output_hidden_states=True).hidden_states
        return self._gate.strangeness_of(hidden, patches_of(tower)) - self._gate.threshold

    def foreign(self, tower: Any, pixels: Tensor) -> list[Failure | None]:
        """An `out_of_domain` failure for each of the images that is unlike any scene of pictograms."""
        inside = self._gate.strangeness(tower, pixels) <= self._gate.threshold  # False of what is no number
        reason = "The image is unlike the scenes of pictograms that the bundled model knows."
        return [None if known else Failure("out_of_domain", reason) for known in inside.tolist()]


def load_bundled(folder: Path, device: str | None, *, what: str, family: str) -> LoadedModel:
    """Raises:
    ModelError: the weights of a bundled model are not there, or cannot be loaded.
    """
    if not folder.is_dir():
        raise ModelError(
            f"The weights of the bundled {what} are not there: {folder}",
            hint="This installation of jurat is incomplete: install it again, or name another.",
        )
    return load(folder, device=device, image_backend="pil", family=family)


class ImageTextModel:
    """A detector or a matcher; `_of_texts` embeds texts."""

    def __init__(self, loaded: LoadedModel, *, name: str, world: BundledDomain | None) -> None:
        """`world` is given for a bundled model."""
        self.name = name
        self.revision = loaded.revision if world else loaded.full_revision
        self.network = loaded.network
        self._processor = loaded.processor
        self._world = world
        self._threads = one_thread if world else nullcontext
        self._limit = int(loaded.network.config.text_config.max_position_embeddings)
        self._embedded: OrderedDict[str, Tensor] = OrderedDict()

    def unknown_words(self, text: str) -> list[str]:
        """The words of `text` that a bundled model never learned; always empty for other models."""
        return self._world.unknown_words(text) if self._world else []

    def _of_texts(self, texts: Sequence[str]) -> Tensor:
        """Embeddings (texts, width), as the network makes them."""
        raise NotImplementedError

    def _read(self, texts: Sequence[str]) -> Tensor:
        """Embeddings of length 1, (texts, width)."""
        import torch

        new = [text for text in dict.fromkeys(texts) if text not in self._embedded]
        for first in range(0, len(new), _TEXTS):
            part = new[first : first + _TEXTS]
            self._embedded.update(zip(part, unit(self._of_texts(part)), strict=True))
        embedded = torch.stack([self._embedded[text] for text in texts])
        for text in list(self._embedded)[: max(0, len(self._embedded) - _KEPT)]:
            del self._embedded[text]
        return embedded


def unit(vectors: Tensor) -> Tensor:
    """The vectors with length 1."""
    return vectors / vectors.norm(dim=-1, keepdim=True)
