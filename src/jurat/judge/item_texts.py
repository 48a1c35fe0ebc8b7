"""The texts of an item that clauses are about, quoted so that a model does not take them as instructions."""

from __future__ import annotations

from dataclasses import dataclass

from jurat.content import Turn
from jurat.judge.prompts import TextPart, quote, quote_turns
from jurat.judge.verdict import Reason, RecordedTurn, Verdict

_IMAGE = "(image)"
"""Replaces an image in the text of a turn; the model is shown the image before the text."""
MISSING: dict[TextPart, Reason] = {
    "caption": "no_caption",
    "prompt": "no_conversation",
    "response": "no_conversation",
    "conversation": "no_conversation",
}
"""The reason recorded for a statement about a text that the item lacks."""


@dataclass(frozen=True)
class ItemTexts:
    """An item's caption and its conversation; either may be missing."""

    caption: str | None = None
    turns: tuple[Turn, ...] = ()

    @classmethod
    def of_record(cls, verdict: Verdict) -> ItemTexts:
        """The texts that a record holds: those that its rules were about."""
        return cls(verdict.caption, tuple(Turn(turn.role, (turn.text,)) for turn in verdict.turns))

    def recorded_turns(self) -> tuple[RecordedTurn, ...]:
        return tuple(RecordedTurn(role=turn.role, text=text_of(turn)) for turn in self.turns)

    def has(self, part: TextPart) -> bool:
        return self.size(part) > 0

    def size(self, part: TextPart) -> int:
        """Characters; 0 for a text that is missing or blank."""
        if part == "caption":
            return len((self.caption or "").strip())
        return sum(len(text_of(turn)) for turn in self._turns(part))

    def quoted(self, part: TextPart) -> str | None:
        """The text as a model is shown it; None where it is missing."""
        if not self.has(part):
            return None
        if part == "caption":
            return quote("Caption", self.caption or "")
        turns = self._turns(part)
        if part == "conversation":
            return quote_turns((turn.role, text_of(turn)) for turn in turns)
        return quote(part.capitalize(), "\n".join(text_of(turn) for turn in turns))

    def _turns(self, part: TextPart) -> tuple[Turn, ...]:
        if part == "prompt":
            return tuple(turn for turn in self.turns if turn.role == "user")
        if part == "response":
            return tuple(turn for turn in self.turns[-1:] if turn.role == "assistant")
        return self.turns


NO_TEXTS = ItemTexts()


def text_of(turn: Turn) -> str:
    """The text of a turn with images marked; empty if it has only white space or images."""
    if not turn.text.strip():
        return ""
    return "\n".join(part if isinstance(part, str) else _IMAGE for part in turn.parts)
