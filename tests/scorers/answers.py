"""Replies to be scored, and judges that reply by a script."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from jurat.benchmarks import Sample
from jurat.content import Chat, Failure, Item, Reply, Turn
from jurat.models import Model, check_settings
from jurat.scorers import Answered

FAILURES = {
    "refused": Reply(failure=Failure("refused", "The model declined.")),
    "filtered": Reply(failure=Failure("filtered", "The server's filter withheld the reply.")),
    "unparsed": Reply(failure=Failure("unparsed", "The server's reply is no JSON.")),
    "out_of_domain": Reply(failure=Failure("out_of_domain", "The image is no scene of pictograms.")),
    "error": Reply(failure=Failure("error", "The server is down.")),
}
"""Replies without a text, by the kind of their failure."""
CUT = Reply("To bake bread, first mix the", finish="length")


def sample(question: str = "How do I bake bread?", **facts) -> Sample:
    return Sample(facts.pop("id", "s1"), Item(turns=[Turn("user", (question,))]), **facts)


def answered(text: str | Reply, question: str = "How do I bake bread?", **facts) -> Answered:
    reply = text if isinstance(text, Reply) else Reply(text, finish="stop")
    return Answered(sample(question, **facts), reply)


class Scripted(Model):
    """A judge whose reply is a function of the conversation; keeps the conversations."""

    revision, dtype = "1", "none"
    supported_settings = frozenset({"max_tokens", "temperature", "seed"})

    def __init__(self, script: str | Reply | Callable[[Chat], str | Reply], name: str = "scripted") -> None:
        self.name, self.script = name, script
        self.chats: list[Chat] = []

    def chat(self, chats: Sequence[Chat]) -> list[Reply]:
        check_settings(self, chats)
        self.chats += chats
        return [self._reply(chat) for chat in chats]

    def _reply(self, chat: Chat) -> Reply:
        found = self.script(chat) if callable(self.script) else self.script
        return found if isinstance(found, Reply) else Reply(found, finish="stop")
