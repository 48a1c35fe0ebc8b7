"""The wording of the judge's questions, as data.

What all questions share, the instruction, stands before them, right after the image, so that a model
reads it once an item. The bundled model was trained on exactly these words (its card says so).
"""

from __future__ import annotations

import hashlib
from dataclasses import dataclass


@dataclass(frozen=True)
class Wording:
    """How one kind of closed question is put."""

    instruction: str
    """Shared by all questions of an inquiry; follows the image."""
    question: str
    """One question; `{text}` is the statement or the rule."""

    def ask(self, text: str) -> str:
        return self.question.format(text=text)


STATEMENT = Wording(
    instruction="Is the following statement true of this image? Answer with Yes or No.",
    question="Statement: {text}",
)
"""A clause's statement; Yes means that it holds."""

RULE = Wording(
    instruction="Does this image break the following rule? Answer with Yes or No.",
    question="Rule: {text}",
)
"""A whole rule; Yes means that it is broken."""

REASON = "Think step by step, then answer in JSON."
"""Follows a question where the model is to reason about it in words."""

SUMMARY = (
    'Sum up as JSON and nothing else: {"rating": "Yes" or "No", "rationale": "one sentence"}. '
    "Judge by what can be seen in the image alone."
)
"""Asked in a second turn where the first reply held no such JSON."""


def digest() -> str:
    """12 hex digits over the wordings of closed questions: scores are comparable only under equal wording."""
    lines = [line for wording in (STATEMENT, RULE) for line in (wording.instruction, wording.question)]
    return hashlib.sha256("\n".join(lines).encode()).hexdigest()[:12]
