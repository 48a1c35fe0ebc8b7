"""Models of third parties: what they raise is reported as theirs and ends no run.

The opened model is wrapped: where `ask` or `chat` raises, or gives something else than one answer an item,
each item of the batch is tried alone, and those that fail again have a `Failure` that names the plug-in.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, TypeVar, cast

from jurat.content import Chat, Failure, Reply
from jurat.errors import JuratError
from jurat.models.protocol import (
    Answer,
    C,
    Inquiry,
    Model,
    ModelError,
    ModelGone,
    UnsupportedSetting,
    check_settings,
)
from jurat.models.spec import ModelSpec
from jurat.models.wrapper import ModelWrapper
from jurat.registry import Entry

R = TypeVar("R", Answer, Reply)


def open_plug_in(entry: Entry, spec: ModelSpec) -> Model:
    """Opens a third party's model.

    Raises:
        ModelError: the plug-in cannot be imported, raises, or opens something that is no `Model`.
        JuratError: what the plug-in has to say to the user, as it raised it.
    """
    opener = entry.load()
    model = entry.attempt(f"could not open {spec.name!r}", lambda: opener(spec))
    methods = ("ask", "chat", "capability", "close")
    entry.check(model, "model", strings=("name", "revision", "dtype"), methods=methods)
    return PlugInModel(entry, model)


class PlugInModel(ModelWrapper):
    """A third party's model; everything but the two verbs is its own. It changes no answer, so that all
    capabilities of the model stay true."""

    def __init__(self, entry: Entry, model: Model) -> None:
        super().__init__(model)
        self._entry = entry

    def __getattr__(self, name: str) -> Any:
        if name in ("_entry", "_inner"):  # not there yet while it is unpickled
            raise AttributeError(name)
        return getattr(self._inner, name)

    def ask(self, inquiries: Sequence[Inquiry]) -> list[Answer]:
        return self._each(self._inner.ask, inquiries, Answer)

    def chat(self, chats: Sequence[Chat]) -> list[Reply]:
        check_settings(self, chats)
        return self._each(self._inner.chat, chats, Reply)

    def capability(self, kind: type[C]) -> C | None:
        return self._inner.capability(kind)

    def _each(self, verb: Callable[[Any], Any], items: Sequence[Any], kind: type[R]) -> list[R]:
        try:
            given = verb(items)
            if isinstance(given, Sequence) and len(cast("Sequence[Any]", given)) == len(items):
                answers = [one for one in cast("Sequence[Any]", given) if _fits(one, kind)]
                if len(answers) == len(items):
                    return answers
            problem = f"{self._entry}: it gave no list of one {kind.__name__} an item"
        except JuratError as error:
            if isinstance(error, ModelGone | UnsupportedSetting) or not isinstance(error, ModelError):
                raise
            problem = self._entry.reason(error)
        except Exception as error:
            problem = self._entry.reason(error)
        if len(items) == 1:
            return [kind(failure=Failure("error", problem))]
        return [answer for item in items for answer in self._each(verb, [item], kind)]


def _fits(given: Any, kind: type[R]) -> bool:
    return isinstance(given, kind)
