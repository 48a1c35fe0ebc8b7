"""Models, detectors and matchers of third parties: what they raise is reported as theirs and ends no run.

What was opened is wrapped: where a verb raises, or gives something else than one answer an item, each item of
the batch is tried alone, and those that fail again have a `Failure` that names the plug-in.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, cast

from PIL import Image

from jurat.content import Chat, Failure, Reply
from jurat.errors import JuratError
from jurat.models.model_spec import ModelSpec
from jurat.models.protocol import (
    Answer,
    C,
    Inquiry,
    Model,
    ModelError,
    ModelUnavailable,
    UnsupportedSetting,
    check_settings,
)
from jurat.models.wrapper import ModelWrapper
from jurat.registry import Entry


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
        return _each(self._entry, self._inner.ask, inquiries, (Answer,), lambda each: Answer(failure=each))

    def chat(self, chats: Sequence[Chat]) -> list[Reply]:
        check_settings(self, chats)
        return _each(self._entry, self._inner.chat, chats, (Reply,), lambda each: Reply(failure=each))

    def capability(self, kind: type[C]) -> C | None:
        return self._inner.capability(kind)


class PlugInDetector:
    """Wraps a third party's detector; only `detect` is changed."""

    def __init__(self, entry: Entry, detector: Any) -> None:
        self._entry, self._inner = entry, detector

    def __getattr__(self, name: str) -> Any:
        if name in ("_entry", "_inner"):  # not there yet while it is unpickled
            raise AttributeError(name)
        return getattr(self._inner, name)

    def detect(self, images: Sequence[Image.Image], words: Sequence[Sequence[str]]) -> list[Any]:
        def detect(pairs: Sequence[Any]) -> Any:
            return self._inner.detect([image for image, _ in pairs], [own for _, own in pairs])

        return _each(self._entry, detect, list(zip(images, words, strict=True)), (list, Failure), _itself)


class PlugInMatcher(PlugInDetector):
    """Wraps a third party's matcher; only `match` is changed."""

    def match(self, images: Sequence[Image.Image], texts: Sequence[str]) -> list[Any]:
        return _each(
            self._entry, lambda some: self._inner.match(some, texts), images, (list, Failure), _itself
        )


def _each(
    entry: Entry,
    verb: Callable[[Any], Any],
    items: Sequence[Any],
    kinds: tuple[type, ...],
    failed: Callable[[Failure], Any],
) -> list[Any]:
    """What `verb` gives for a batch, one of `kinds` an item; where it does not, what it gives for each item
    alone, or `failed`."""
    try:
        given = verb(items)
        if isinstance(given, Sequence) and len(cast("Sequence[Any]", given)) == len(items):
            answers = [one for one in cast("Sequence[Any]", given) if isinstance(one, kinds)]
            if len(answers) == len(items):
                return answers
        problem = f"{entry}: it gave no list of one {kinds[0].__name__} an item"
    except JuratError as error:
        if isinstance(error, ModelUnavailable | UnsupportedSetting) or not isinstance(error, ModelError):
            raise
        problem = entry.reason(error)
    except Exception as error:
        problem = entry.reason(error)
    if len(items) == 1:
        return [failed(Failure("error", problem))]
    return [answer for item in items for answer in _each(entry, verb, [item], kinds, failed)]


def _itself(failure: Failure) -> Failure:
    return failure
