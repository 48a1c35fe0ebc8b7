"""Conversations in the rows of tables: a column of turns, or one of prompts and one of responses."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, cast

from jurat.content import ImageError, Role, Turn
from jurat.sources.passed_over import PassedOver
from jurat.sources.protocol import OmittedText, SourceOptions
from jurat.text import one_line

CONVERSATIONS = ("messages", "conversation", "conversations")
PROMPTS = ("prompt", "question")
RESPONSES = ("response", "answer")
"""Names that these columns have, in any case; of each the first that a table has is taken, and prompts and
responses only where there is no column of turns."""
MALFORMED = "conversations that cannot be read"
MOST_TURNS = 1000
_ROLES: dict[str, Role] = {
    "system": "system",
    "developer": "system",
    "user": "user",
    "human": "user",
    "assistant": "assistant",
    "gpt": "assistant",
}
"""Who speaks, as the OpenAI API (`role`) and the LLaVA data sets (`from`) write it."""


@dataclass(frozen=True)
class ConversationColumns:
    """The columns that hold the conversations of a table."""

    turns: str | None = None
    prompt: str | None = None
    response: str | None = None
    named: bool = False
    """Whether the user named any of them."""

    @classmethod
    def of(cls, names: Sequence[str], options: SourceOptions) -> ConversationColumns:
        """The columns that were named, else those with one of the usual names."""
        given = (options.conversation_column, options.prompt_column, options.response_column)
        if any(given):
            return cls(*given, named=True)
        lower = {name.lower(): name for name in reversed(names)}

        def first(usual: Sequence[str]) -> str | None:
            return next((lower[name] for name in usual if name in lower), None)

        turns = first(CONVERSATIONS)
        return cls(turns) if turns else cls(None, first(PROMPTS), first(RESPONSES))

    @property
    def all(self) -> tuple[str, ...]:
        return tuple(name for name in (self.turns, self.prompt, self.response) if name is not None)

    def read(self, row: Mapping[str, Any], passed_over: PassedOver) -> tuple[Turn, ...]:
        """The conversation of a row, without its images and without turns that are empty.

        One that cannot be read is none, and is counted, where the columns have their usual names.

        Raises:
            ImageError: it cannot be read, and the user named its column; the message follows "row 3 has".
        """
        try:
            return self._read(row)
        except ImageError:
            if self.named:
                raise
            passed_over.add(MALFORMED)
            return ()

    def _read(self, row: Mapping[str, Any]) -> tuple[Turn, ...]:
        turns = [] if self.turns is None else list(_turns(row.get(self.turns), self.turns))
        columns: tuple[tuple[Role, str | None], ...] = (("user", self.prompt), ("assistant", self.response))
        for role, name in columns:
            text = None if name is None else row.get(name)
            if isinstance(text, OmittedText) or not isinstance(text, str | None):
                raise ImageError(f"no text in {name!r}: {_named(text)}")
            if text:
                turns.append(Turn(role, (text,)))
        return tuple(turns)


def images_in(cell: object) -> list[object]:
    """The images that the turns of a cell hold, as the OpenAI API takes them: cells of their own."""
    contents = (turn.get("content") for turn in _messages(cell) or () if isinstance(turn, dict))
    parts = (part for content in contents if isinstance(content, list) for part in content)
    return [part for part in parts if isinstance(part, dict) and "image" in str(part.get("type"))]


def _turns(cell: object, column: str) -> Sequence[Turn]:
    messages = [] if cell is None or cell == "" else _messages(cell)
    if messages is None or isinstance(cell, OmittedText):
        raise ImageError(f"no list of turns in {column!r}: {_named(cell)}")
    if len(messages) > MOST_TURNS:
        raise ImageError(f"{len(messages):,} turns in {column!r}, more than the limit of {MOST_TURNS:,}")
    where = f"turn in {column!r} (number %d)"
    turns = [_turn(message, where % number) for number, message in enumerate(messages, 1)]
    return [turn for turn in turns if turn.parts]


def _messages(cell: object) -> list[Any] | None:
    """The list of turns that a cell holds, also as JSON; None where it holds none."""
    if isinstance(cell, str):
        try:
            cell = cast(object, json.loads(cell))
        except (ValueError, RecursionError):
            return None
    return cast("list[Any]", list(cell)) if isinstance(cell, list | tuple) else None


def _turn(message: object, where: str) -> Turn:
    if not isinstance(message, dict):
        raise ImageError(f"a {where} that is no object with a role and a content: {_named(message)}")
    fields = cast("dict[str, object]", message)
    role = fields.get("role", fields.get("from"))
    if not isinstance(role, str) or role not in _ROLES:
        raise ImageError(f"a {where} of {_named(role)}, not of one of {', '.join(_ROLES)}")
    content = fields.get("content", fields.get("value"))
    parts = cast("list[object]", content) if isinstance(content, list) else [content]
    texts = [_text(part, where) for part in parts]
    return Turn(_ROLES[role], tuple(text for text in texts if text))


def _text(part: object, where: str) -> str | None:
    """The text of a part of a turn; None for an image, or where there is nothing."""
    if part is None or (isinstance(part, str) and not isinstance(part, OmittedText)):
        return part
    fields = cast("dict[str, object]", part) if isinstance(part, dict) else {}
    kind, text = fields.get("type"), fields.get("text")
    if isinstance(kind, str) and "image" in kind:
        return None
    if not isinstance(text, str) or isinstance(text, OmittedText):
        raise ImageError(f"a {where} with a part that is neither text nor image: {_named(part)}")
    return text


def _named(value: object) -> str:
    if isinstance(value, OmittedText):
        return str(value)
    return repr(one_line(value, most=40)) if isinstance(value, str) else f"a {type(value).__name__}"
