"""The words that a model with a word-level tokenizer knows."""

from __future__ import annotations

import json
from collections.abc import Container, Set
from functools import lru_cache
from pathlib import Path
from threading import Lock
from typing import Any

_WRITTEN = frozenset(("zero", "four", "five", "six", "seven", "eight"))
"""Numbers that a bundled model learned to write in answers; it need not have read them in questions."""


def has_word_tokenizer(folder: Path) -> bool:
    """Whether a folder holds a model whose tokens are words, as those of the bundled models are."""
    try:
        tokenizer = json.loads((folder / "tokenizer.json").read_text(encoding="utf-8"))
        return tokenizer["model"]["type"] == "WordLevel"
    except (OSError, ValueError, KeyError, TypeError):
        return False


class WordVocabulary:
    """A `jurat.models.Vocabulary`."""

    def __init__(
        self,
        tokenizer: Any,
        unread: Container[int],
        unread_words: Container[str] = (),
        lock: Lock | None = None,
    ) -> None:
        """
        Args:
            tokenizer: its tokens are words.
            unread: ids of tokens that the model never read.
            unread_words: likewise, as words in lower case.
            lock: held while the tokenizer is used; its own if left out.
        """
        self._tokenizer, self._lock = tokenizer, lock or Lock()
        self._unread, self._unread_words = unread, unread_words
        self._find = lru_cache(maxsize=4096)(self._look_up)  # the same questions come with every image

    def unknown_words(self, text: str) -> list[str]:
        return list(self._find(text))

    def _look_up(self, text: str) -> tuple[str, ...]:
        with self._lock:
            encoding = self._tokenizer(text, add_special_tokens=False, return_offsets_mapping=True)
        spans = zip(encoding["input_ids"], encoding["offset_mapping"], strict=True)
        words = [(token, text[start:end]) for token, (start, end) in spans]
        return tuple(
            dict.fromkeys(
                word for token, word in words if token in self._unread or word.lower() in self._unread_words
            )
        )


def question_vocabulary(
    tokenizer: Any, lock: Lock | None = None, numbers: Set[str] = frozenset()
) -> WordVocabulary:
    """The words that a bundled model knows in questions; see `WordVocabulary` for the lock. `numbers` are
    those above three that its questions had in training."""
    return WordVocabulary(tokenizer, {tokenizer.unk_token_id}, _WRITTEN - numbers, lock)
