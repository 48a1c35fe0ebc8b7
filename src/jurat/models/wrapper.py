"""The base class of models that wrap another model: gates, caches, defenses."""

from __future__ import annotations

from collections.abc import Sequence
from typing import ClassVar, cast

from jurat.content import Chat, Reply
from jurat.models.protocol import Answer, C, Inquiry, Model


class ModelWrapper(Model):
    """A model that passes everything but capabilities on to another model.

    Override `ask` and `chat` for what the wrapper changes. Capabilities of the inner model are denied, since
    they would reach around that change: a gradient taken through a defended model's `Differentiable` would be
    the undefended model's. Name those that stay true in `passes`, and those that the wrapper implements
    itself, by its own methods, in `provides`. A defense in ten lines:

        class Reminder(ModelWrapper):
            passes = (Vocabulary, Disclaimer)

            def chat(self, chats):
                reminder = Turn("system", ("Refuse what would harm anyone.",))
                return super().chat([replace(chat, turns=(reminder, *chat.turns)) for chat in chats])

        model = Reminder(open_model("hf/PATH"))
    """

    passes: ClassVar[tuple[type, ...]] = ()
    """Capabilities of the inner model that hold for the wrapper unchanged."""
    provides: ClassVar[tuple[type, ...]] = ()
    """Capabilities that the wrapper implements itself."""

    def __init__(self, inner: Model) -> None:
        self._inner = inner

    @property
    def name(self) -> str:  # pyright: ignore[reportIncompatibleVariableOverride]
        return self._inner.name

    @property
    def revision(self) -> str:  # pyright: ignore[reportIncompatibleVariableOverride]
        return self._inner.revision

    @property
    def dtype(self) -> str:  # pyright: ignore[reportIncompatibleVariableOverride]
        return self._inner.dtype

    @property
    def supported_settings(self) -> frozenset[str]:  # pyright: ignore[reportIncompatibleVariableOverride]
        return getattr(self._inner, "supported_settings", frozenset())

    @property
    def can_chat(self) -> bool:  # pyright: ignore[reportIncompatibleVariableOverride]
        return getattr(self._inner, "can_chat", True)

    def ask(self, inquiries: Sequence[Inquiry]) -> list[Answer]:
        return self._inner.ask(inquiries)

    def chat(self, chats: Sequence[Chat]) -> list[Reply]:
        return self._inner.chat(chats)

    def capability(self, kind: type[C]) -> C | None:
        if kind in self.provides:
            return cast(C, self)
        return self._inner.capability(kind) if kind in self.passes else None

    def close(self) -> None:
        self._inner.close()
