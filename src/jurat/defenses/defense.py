"""The base class of defenses: settings, four places to intervene, and what is needed of a model."""

from __future__ import annotations

from collections.abc import Generator, Sequence
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass, fields, replace
from typing import TYPE_CHECKING, Any, ClassVar, TypeAlias, TypeVar
from urllib.parse import urlencode

from PIL import Image

from jurat.content import Chat, Failure, Reply, Turn
from jurat.errors import JuratError
from jurat.models import Answer, Inquiry, Model, Vocabulary
from jurat.models.chat_each import check_can_chat
from jurat.named_settings import evidence

if TYPE_CHECKING:
    from jurat.defenses.defended_model import DefendedModel

__all__ = ["Defense", "Event", "Steps", "Turns", "conversation_with", "unchecked"]

T = TypeVar("T")
Turns: TypeAlias = tuple[Turn, ...]
Steps: TypeAlias = Generator[Any, Any, T]
"""The procedure for one item. It yields a `Chat` and receives a `Reply`, or an `Inquiry` and receives an
`Answer`, or a list of them and receives as many results; an `Event` is counted. It returns the item's result.
The requests of all items of a batch that wait at the same time are put to the model together."""


@dataclass(frozen=True)
class Event:
    """Something a defense did that is worth counting (`jurat.models.DefenseCost.events`)."""

    name: str


@dataclass(frozen=True)
class Defense:
    """A defense as settings. `over(model)` is the defended model.

    Four places to intervene, each a method to override:

    - input: `image` changes each picture;
    - prompt: `turns` changes the conversation;
    - inside: `within` is the context of each call, for hooks on activations (`jurat.models.Steerable`);
    - output: `chat` and `ask` are the whole procedure for one item, written as if it were alone; they yield
      requests to the model and return the result. An exception in them is a failure of that item.

        @dataclass(frozen=True)
        class Twice(Defense):
            name = "twice"
            needs = ("chat",)
            words: str = setting("Is that true?", "ours", "What is asked after the first reply.")

            def chat(self, chat):
                first = yield self.shown(chat)
                turns = (*conversation_with(chat, first.text), Turn("user", (self.words,)))
                return (yield replace(chat, turns=turns))
    """

    name: ClassVar[str]
    """As the registry has it."""
    needs: ClassVar[tuple[str | type, ...]] = ()
    """What a model must have: "chat", names of settings of `Generation`, types of capabilities."""

    def image(self, image: Image.Image) -> Image.Image:
        """What the model is shown in the place of a picture, which is not to be changed itself."""
        return image

    def turns(self, turns: Turns) -> Turns:
        """What the model is told in the place of a conversation."""
        return turns

    def within(self, model: Model) -> AbstractContextManager[Any]:
        """The context in which the model is called."""
        return nullcontext()

    def chat(self, chat: Chat) -> Steps[Reply]:
        """The procedure for a conversation."""
        return (yield self.shown(chat))

    def ask(self, inquiry: Inquiry) -> Steps[Answer]:
        """The procedure for closed questions."""
        return (yield replace(inquiry, prefix=self.shown(inquiry.prefix)))

    def views(self, image: Image.Image) -> list[Image.Image]:
        """All that is shown in the place of a picture; a domain gate looks at each."""
        return [self.image(image)]

    def shown(self, chat: Chat) -> Chat:
        """The conversation as the model is given it."""
        return replace(chat, turns=self.turns(with_images(chat.turns, self.image)))

    def wording(self) -> Sequence[str]:
        """The texts that the defense itself puts to the model."""
        return ()

    def check(self, model: Model) -> None:
        """Raises JuratError where a model lacks what the defense needs, or does not know its words."""
        what, given = f"The defense {self.name!r} needs", f"not {model.name!r}"
        supported: frozenset[str] = getattr(model, "supported_settings", frozenset())
        for need in self.needs:
            if need == "chat":
                check_can_chat(model, f"the defense {self.name!r} has it write")
            elif isinstance(need, str):
                if need not in supported:
                    raise JuratError(f"{what} a model with the setting {need}, {given}.")
            elif model.capability(need) is None:
                raise JuratError(f"{what} a model with {need.__name__}, {given}.")
        vocabulary = model.capability(Vocabulary)
        unknown = [] if vocabulary is None else vocabulary.unknown_words(" ".join(self.wording()))
        if unknown:
            raise JuratError(
                f"The defense {self.name!r} uses words that the model {model.name!r} never learned: "
                f"{', '.join(map(repr, unknown[:5]))}."
            )

    def over(self, model: Model) -> DefendedModel:
        """The model under this defense.

        Raises:
            JuratError: the model lacks what the defense needs.
        """
        from jurat.defenses.defended_model import DefendedModel

        self.check(model)
        return DefendedModel(model, self)

    def __str__(self) -> str:
        """Its name with the settings that differ from their defaults; `open_defense` opens it again."""
        given = {each.name: getattr(self, each.name) for each in fields(self)}
        changed = {each.name: given[each.name] for each in fields(self) if given[each.name] != each.default}
        return f"{self.name}?{urlencode({k: _text(v) for k, v in changed.items()})}" if changed else self.name

    @classmethod
    def evidence(cls) -> dict[str, str]:
        """Setting -> where its default comes from."""
        return evidence(cls)


def with_images(turns: Turns, change: Any) -> Turns:
    """The turns with each picture replaced by what `change` makes of it."""
    return tuple(
        replace(turn, parts=tuple(part if isinstance(part, str) else change(part) for part in turn.parts))
        for turn in turns
    )


def conversation_with(chat: Chat, reply: str) -> Turns:
    """The turns of a conversation with its reply, which continues a last turn of the assistant's."""
    *before, last = chat.turns or (Turn("user", ()),)
    if last.role == "assistant":
        return (*before, Turn("assistant", (last.text + reply,)))
    return (*before, last, Turn("assistant", (reply,)))


def unchecked(failure: Failure) -> Failure:
    """The failure of a reply that could not be checked: it is not given."""
    return Failure(failure.kind, f"The reply could not be checked: {failure.reason}")


def _text(value: object) -> str:
    if value is None:
        return "null"
    return str(value).lower() if isinstance(value, bool) else str(value)
