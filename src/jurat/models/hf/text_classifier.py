"""A transformers classifier of texts with several labels at once, from a folder with safetensors."""

from __future__ import annotations

import math
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from jurat.models.hf.load_model import check_complete, choose_device, unloadable, without_bars
from jurat.models.hf.locate import locate
from jurat.models.hf.weights import check_folder, read_json, weights_digest
from jurat.models.protocol import ModelError
from jurat.text import shown

__all__ = ["TextClassifier"]

_PROBLEM = "multi_label_classification"
_LONGEST = 512
"""Tokens of a window where neither the tokenizer nor the configuration names a limit."""
_BATCH_TOKENS = 8192


class TextClassifier:
    """Gives each label of a text a probability of its own (sigmoid of its logit).

    A text longer than the network's window is read in windows; a label's probability is the largest of them.
    """

    def __init__(self, folder: str | Path, *, device: str | None = None) -> None:
        """
        Args:
            folder: as `save_pretrained` writes it: config.json, tokenizer, model.safetensors. Nothing is
                downloaded and no code of the folder is run.

        Raises:
            ModelError: it is no such folder, its weights are incomplete, or its configuration does not say
                that each label has a probability of its own.
        """
        where = Path(folder).expanduser()
        if not where.is_dir():  # `locate` would ask the hub for it
            raise ModelError(f"There is no folder {shown(str(folder))} with a classifier.")
        place = locate(where)
        check_folder(where)
        if read_json(where / "config.json").get("problem_type") != _PROBLEM:
            # The same network may have labels that exclude each other; their sigmoids are no probabilities.
            raise ModelError(
                f"The labels of {shown(str(folder))} may exclude each other; each needs its own probability.",
                hint=f'Where each has one, set "problem_type": "{_PROBLEM}" in its config.json.',
            )
        import transformers

        common: dict[str, Any] = {"trust_remote_code": False, "local_files_only": True}
        try:
            with without_bars(True):
                self._tokenizer: Any = transformers.AutoTokenizer.from_pretrained(str(where), **common)
                network, report = transformers.AutoModelForSequenceClassification.from_pretrained(
                    str(where), use_safetensors=True, output_loading_info=True, **common
                )
            check_complete(str(folder), network, report)
            self._network: Any = network.to(choose_device(device)).eval()
        except ModelError:
            raise
        except Exception as error:  # a damaged configuration makes transformers raise anything at all
            raise unloadable(place, error) from error
        if not self._tokenizer.is_fast:
            raise ModelError(f"The tokenizer of {str(folder)!r} has no tokenizer.json, which windows need.")
        self.name = where.name
        self.revision = weights_digest(where)
        names: dict[int, str] = self._network.config.id2label
        self.labels = tuple(str(names[at]) for at in sorted(names))
        config = self._network.config
        limits = (self._tokenizer.model_max_length, getattr(config, "max_position_embeddings", 0))
        self._window = int(min([limit for limit in limits if 1 < limit < 1 << 20], default=_LONGEST))
        if config.model_type in ("roberta", "xlm-roberta", "camembert"):
            # Their positions begin behind the one of padding.
            self._window = min(self._window, limits[1] - config.pad_token_id - 1)

    def close(self) -> None:
        """Frees the weights; classifying afterwards is an error."""
        self._network = None

    def scores(self, texts: Sequence[str]) -> list[tuple[dict[str, float], int]]:
        """For each text the probability of each label, in [0, 1], and the number of windows. A probability
        that is no number is nan."""
        import torch

        if self._network is None:
            raise ModelError(f"The classifier {self.name!r} is closed.")
        windows = [(at, ids) for at, text in enumerate(texts) for ids in self._windows(text)]
        found: list[dict[str, float]] = [dict.fromkeys(self.labels, -1.0) for _ in texts]
        size = max(1, _BATCH_TOKENS // self._window)
        windows.sort(key=lambda one: len(one[1]))
        for start in range(0, len(windows), size):
            batch = windows[start : start + size]
            inputs = self._tokenizer.pad({"input_ids": [ids for _, ids in batch]}, return_tensors="pt")
            with torch.inference_mode():
                logits = self._network(**inputs.to(self._network.device)).logits.float().sigmoid().tolist()
            for (at, _), row in zip(batch, logits, strict=True):
                for label, value in zip(self.labels, row, strict=True):
                    found[at][label] = value if math.isnan(value) else max(found[at][label], value)
        counts = [0] * len(texts)
        for at, _ in windows:
            counts[at] += 1
        return list(zip(found, counts, strict=True))

    def _windows(self, text: str) -> list[list[int]]:
        """The tokens of a text, as many windows as it needs, each with the tokenizer's special ones."""
        encoded = self._tokenizer(
            text, truncation=True, max_length=self._window, return_overflowing_tokens=True
        )
        return encoded["input_ids"]
