"""The text encoder of a latent diffusion model, alone: token ids and texts to embeddings.

A row of ids is a begin mark, the tokens, an end mark and padding up to the window, as Stable Diffusion's
pipeline encodes prompts.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from jurat.errors import JuratError
from jurat.models.diffusion.checkpoint import load_text_encoder, text_encoder_digest

if TYPE_CHECKING:
    from torch import Tensor

__all__ = ["TextEncoder"]

_BATCH = 256
"""Rows that are encoded at once."""


class TextEncoder:
    """A tokenizer and a `CLIPTextModel`."""

    def __init__(self, folder: str | Path, *, device: str | None = None) -> None:
        """
        Args:
            folder: of a checkpoint; its folders `tokenizer` and `text_encoder` are read, and nothing else.

        Raises:
            ModelError: there are none, or they could not be loaded.
        """
        self.name = str(folder)
        place = Path(folder).expanduser()
        self._tokenizer, self._network = load_text_encoder(place, device)
        self.revision = text_encoder_digest(place)
        """Digest of the weights and the tokenizer."""
        self.window = int(self._tokenizer.model_max_length)
        """Tokens of a row."""
        special = set(self._tokenizer.all_special_ids)
        self.free = tuple(i for i in range(len(self._tokenizer)) if i not in special)
        """Ids of all tokens that a prompt can hold."""

    @property
    def most(self) -> int:
        """Tokens of a prompt at most: those of the window without its two marks."""
        return self.window - 2

    def ids_of(self, texts: Sequence[str]) -> Tensor:
        """Rows of ids of texts, cut to the window: (texts, window)."""
        rows: Any = self._tokenizer(
            list(texts), padding="max_length", max_length=self.window, truncation=True, return_tensors="pt"
        )
        return rows["input_ids"]

    def cut(self, texts: Sequence[str]) -> list[str]:
        """Those of the texts that do not fit into the window, of which the end is not read."""
        ids: Any = self._tokenizer(list(texts), verbose=False)["input_ids"]
        return [text for text, row in zip(texts, ids, strict=True) if len(row) > self.window]

    def unknown(self, texts: Sequence[str]) -> list[str]:
        """Those of the texts with a word that the tokenizer does not know, which no tokenizer of Stable
        Diffusion has."""
        mark = self._tokenizer.unk_token_id
        if mark is None or mark in (self._tokenizer.pad_token_id, self._tokenizer.eos_token_id):
            return []
        ids: Any = self._tokenizer(list(texts), truncation=True)["input_ids"]
        return [text for text, row in zip(texts, ids, strict=True) if mark in row]

    def rows_of(self, tokens: Tensor) -> Tensor:
        """Rows of ids around tokens (n, k): (n, window).

        Raises:
            JuratError: the window is too small for so many tokens and two marks.
        """
        import torch

        count, length = tokens.shape
        if length > self.most:
            raise JuratError(f"{length} tokens do not fit; {self.name} takes {self.most} at most.")
        known = self._tokenizer
        rows = torch.full((count, self.window), known.pad_token_id, dtype=torch.long)
        rows[:, 0], rows[:, 1 : 1 + length], rows[:, 1 + length] = (
            known.bos_token_id,
            tokens,
            known.eos_token_id,
        )
        return rows

    def text_of(self, tokens: Sequence[int]) -> str:
        """The text of tokens; reading it may give others."""
        return str(self._tokenizer.decode(list(tokens))).strip()

    def encode(self, rows: Tensor) -> Tensor:
        """Embeddings of rows of ids: (rows, window, width)."""
        import torch

        with torch.no_grad():
            parts = [self._network(part.to(self._network.device))[0] for part in rows.split(_BATCH)]
        return torch.cat(parts)
