"""Tokens that spell the answers Yes and No, for local models and for those behind servers."""

from __future__ import annotations

ANSWERS = {"yes": ("Yes", "yes", "YES"), "no": ("No", "no", "NO")}
"""Spellings of the two answers."""
WORD_STARTS = ("", " ", "▁", "Ġ")
"""What a vocabulary writes before a token that begins a word: nothing, a space, SentencePiece's and
byte-level BPE's mark."""
