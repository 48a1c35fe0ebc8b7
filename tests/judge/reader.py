"""A model that answers by statement, and remembers what it was shown."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from PIL import Image

from jurat.content import Chat, Failure, Reply, Usage
from jurat.models import Answer, Inquiry, Model, YesNo

PICTURE = Image.new("RGB", (8, 8), "white")


@dataclass
class Reader(Model):
    """Scores by statement, 0.5 where there is none; failures by a word of what it is told."""

    scores: Mapping[str, float] = field(default_factory=dict)
    failing: Mapping[str, Failure] = field(default_factory=dict)
    replies: Mapping[str, str] = field(default_factory=dict)
    name: str = "reader"
    revision: str = "1"
    dtype: str = "none"
    supported_settings: frozenset[str] = frozenset({"max_tokens"})
    asked: list[tuple[int, str, tuple[str, ...]]] = field(default_factory=list)
    """(pictures, text before the questions, questions)."""
    chatted: list[Chat] = field(default_factory=list)

    def ask(self, inquiries: Sequence[Inquiry]) -> list[Answer]:
        return [self._answer(inquiry) for inquiry in inquiries]

    def _answer(self, inquiry: Inquiry) -> Answer:
        text, pictures = inquiry.prefix.turns[0].text, len(inquiry.prefix.images)
        self.asked.append((pictures, text, inquiry.questions))
        for word, failure in self.failing.items():
            if word in text:
                return Answer(failure=failure)
        quotes = any(text.startswith(f'{label}: "') for label in ("Caption", "Prompt", "Response"))
        prior = not pictures and not quotes
        said = [0.5 if prior else self.scores.get(q.split(": ", 1)[1], 0.5) for q in inquiry.questions]
        return Answer(tuple(YesNo(p, 1 - p) for p in said), usage=Usage(10 * len(said)))

    def chat(self, chats: Sequence[Chat]) -> list[Reply]:
        self.chatted += chats
        return [self._reply(chat) for chat in chats]

    def _reply(self, chat: Chat) -> Reply:
        return Reply(next((r for text, r in self.replies.items() if text in chat.turns[0].text), "Hm."))
