"""Copies of sets, and models whose replies are known."""

from __future__ import annotations

import threading
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

import pytest

from jurat.content import Chat, Failure, Generation, Reply, Usage
from jurat.models import Answer, Inquiry, Model, YesNo

from ..benchmarks.fixtures import figstep


@pytest.fixture(scope="session")
def copy(tmp_path_factory: pytest.TempPathFactory) -> str:
    """FigStep: three samples in two categories, and a row whose image is missing."""
    folder = tmp_path_factory.mktemp("figstep")
    figstep.repository(folder)
    return str(folder)


@pytest.fixture(autouse=True)
def quiet_inspect(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("INSPECT_DISPLAY", "none")
    monkeypatch.setenv("INSPECT_EVAL_ADAPTIVE_CONNECTIONS", "false")


@dataclass
class Scripted(Model):
    """Replies as it is told, and keeps the conversations of each batch."""

    reply: Callable[[Chat], str | Reply | Failure | Exception] = lambda chat: "I cannot help with that."
    name: str = "scripted"
    revision: str = "1"
    dtype: str = "none"
    supported_settings: frozenset[str] = frozenset({"max_tokens", "temperature", "top_p", "seed", "stop"})
    answer: Answer = field(default_factory=lambda: Answer((YesNo(0.75, 0.2),)))
    batches: list[list[Chat]] = field(default_factory=list)
    inquiries: list[Inquiry] = field(default_factory=list)
    closed: int = 0
    free: threading.Event = field(default_factory=threading.Event)

    def __post_init__(self) -> None:
        self.free.set()

    @property
    def chats(self) -> list[Chat]:
        return [chat for batch in self.batches for chat in batch]

    def ask(self, inquiries: Sequence[Inquiry]) -> list[Answer]:
        self.inquiries += inquiries
        return [self.answer] * len(inquiries)

    def chat(self, chats: Sequence[Chat]) -> list[Reply]:
        assert self.free.wait(20)
        self.batches.append(list(chats))
        found = [self.reply(chat) for chat in chats]
        if error := next((each for each in found if isinstance(each, Exception)), None):
            raise error
        return [_reply(each) for each in found]

    def close(self) -> None:
        self.closed += 1


def _reply(found: str | Reply | Failure | Exception) -> Reply:
    if isinstance(found, Failure):
        return Reply(failure=found)
    return found if isinstance(found, Reply) else Reply(str(found), Usage(7, 3), finish="stop")


__all__ = ["Generation", "Scripted"]
