"""Models that are asked for texts: whether one chats, and replies of which one failure takes no other."""

from __future__ import annotations

from collections.abc import Sequence

from jurat.content import Chat, Failure, Reply
from jurat.errors import JuratError
from jurat.models.protocol import Model, ModelUnavailable, UnsupportedSetting
from jurat.text import reason


def check_can_chat(model: Model, why: str) -> None:
    """Raises JuratError where a model answers closed questions only; `why` says what is wanted of it."""
    if not getattr(model, "can_chat", True):
        raise JuratError(
            f"The model {model.name!r} answers closed questions only; {why}.",
            hint="Name a model that chats: openai/NAME or hf/NAME_OR_PATH.",
        )


def chat_each(model: Model, chats: Sequence[Chat]) -> list[Reply]:
    """The replies to conversations; where the model raises, each is tried alone, and one that raises again
    has a failure.

    Raises:
        ModelUnavailable: the model's server is unreachable.
        UnsupportedSetting: the model cannot honour the settings of the conversations.
    """
    if not chats:
        return []
    try:
        replies = model.chat(chats)
        if len(replies) == len(chats):
            return replies
        problem = f"{model.name} gave {len(replies)} replies for {len(chats)} conversations."
    except (ModelUnavailable, UnsupportedSetting):
        raise
    except Exception as error:  # a third party's model may raise anything
        problem = f"{model.name} failed: {type(error).__name__}: {reason(error)}"
    if len(chats) == 1:
        return [Reply(failure=Failure("error", problem))]
    return [reply for chat in chats for reply in chat_each(model, [chat])]
