"""Estimates the calls, tokens and cost of a run of a served model, before anything is sent.

A `Rehearsal` stands in for the model: whatever asks it asks as it would ask the model, and the calls are
counted for each form in which the server may take them, since whether a server gives logprobs is not known
before it is asked. Tokens are counted by two rules of thumb: an image makes one for each 28 x 28 pixels, as
Qwen2-VL's do, and a text one for each four characters.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Protocol, runtime_checkable

from PIL import Image

from jurat.content import Chat, Reply, Usage
from jurat.errors import JuratError
from jurat.models.capabilities import TotalUsage
from jurat.models.model_spec import Serving
from jurat.models.openai.closed_answers import numbered_questions
from jurat.models.openai.messages import scaled_size
from jurat.models.openai.server import Server, price_of
from jurat.models.openai.sight_check import INSTRUCTION, RED, SQUARE
from jurat.models.protocol import SETTINGS, Answer, Inquiry, Model, YesNo

PIXELS_A_TOKEN = 28 * 28
CHARACTERS_A_TOKEN = 4
_STATED_ANSWER = 7
"""Tokens of `"12": "Yes", ` in a reply."""


@dataclass(frozen=True)
class CallForm:
    """One form in which closed questions are put to a server."""

    questions: int | None = 1
    """Most questions in one call; None takes `Serving.questions_per_call`."""
    stated: bool = False
    """Whether they are answered in text."""


@runtime_checkable
class Rehearsable(Protocol):
    """A model whose calls can be estimated."""

    @property
    def server(self) -> Server: ...

    @property
    def call_forms(self) -> Mapping[str, CallForm]:
        """By the server's behaviour, for example "gives logprobs"."""
        ...


@dataclass
class Count:
    """Calls and tokens, for the items and for what is asked once a run."""

    each: list[Usage] = field(default_factory=list[Usage])
    """One entry a call about an item."""
    once: list[Usage] = field(default_factory=list[Usage])
    """One entry a call without an image; the language prior is asked once a run."""

    def spent(self, serving: Serving, times: float) -> TotalUsage:
        """The estimate for `times` as many items as were rehearsed."""
        item, prior = sum(self.each, Usage()), sum(self.once, Usage())
        usage = Usage(
            round(item.input_tokens * times) + prior.input_tokens,
            round(item.output_tokens * times) + prior.output_tokens,
        )
        usage = replace(usage, money=price_of(usage, serving))
        return TotalUsage(round(len(self.each) * times) + len(self.once), usage)


class Rehearsal(Model):
    """See the module's docstring. It answers No to every question and sends nothing."""

    revision = "rehearsal"
    dtype = "none"
    supported_settings = frozenset(SETTINGS)

    def __init__(
        self, name: str, serving: Serving, forms: Mapping[str, CallForm], *, can_chat: bool = True
    ) -> None:
        self.name = name
        self.can_chat = can_chat
        self.serving = serving
        self._forms = forms
        self._counts = {form: Count() for form in forms}
        self._bare: set[tuple[tuple[str, ...], str]] = set()
        """Questions that were asked without images, each with the text before it."""
        self._looked = False

    def estimates(self, times: float = 1.0) -> dict[str, TotalUsage]:
        """Estimates for `times` as many items as were rehearsed, by the server's behaviour."""
        return {form: count.spent(self.serving, times) for form, count in self._counts.items()}

    def ask(self, inquiries: Sequence[Inquiry]) -> list[Answer]:
        return [self._ask(inquiry) for inquiry in inquiries]

    def chat(self, chats: Sequence[Chat]) -> list[Reply]:
        for chat in chats:
            usage = Usage(self._tokens(chat), chat.generation.max_tokens)
            for count in self._counts.values():
                (count.each if chat.images else count.once).append(usage)
        return [Reply("No.") for _ in chats]

    def _ask(self, inquiry: Inquiry) -> Answer:
        shared = self._tokens(inquiry.prefix)
        text = tuple(turn.text for turn in inquiry.prefix.turns)
        if inquiry.prefix.images:
            self._count(shared, inquiry.questions, each=True)
            self._look()
        # Without images each is asked once a run: for its prior, and to tell whether they are looked at.
        new = [question for question in inquiry.questions if (text, question) not in self._bare]
        self._bare.update((text, question) for question in new)
        self._count(sum(map(_text, text)), new, each=False)
        return Answer(tuple(YesNo(0.0, 1.0) for _ in inquiry.questions))

    def _count(self, shared: int, questions: Sequence[str], *, each: bool) -> None:
        for name, form in self._forms.items():
            size = form.questions or self.serving.questions_per_call
            for at in range(0, len(questions), size):
                group = questions[at : at + size]
                asked = _text(numbered_questions(group)) if form.stated else sum(map(_text, group))
                usage = Usage(shared + asked, len(group) * (_STATED_ANSWER if form.stated else 1))
                count = self._counts[name]
                (count.each if each else count.once).append(usage)

    def _look(self) -> None:
        """Counts the calls about pictures of known colours and about none, once a run."""
        if self._looked:
            return
        self._looked = True
        shown = math.ceil(SQUARE[0] * SQUARE[1] / PIXELS_A_TOKEN)
        for images in (1, 1, 0, 0):
            for count in self._counts.values():
                count.once.append(Usage(images * shown + _text(INSTRUCTION) + _text(RED), 1))

    def _tokens(self, chat: Chat) -> int:
        images = sum(self._image(image) for image in chat.images)
        return images + sum(_text(turn.text) for turn in chat.turns)

    def _image(self, image: Image.Image) -> int:
        width, height = scaled_size(image.width, image.height, self.serving.max_pixels)
        return math.ceil(width * height / PIXELS_A_TOKEN)


def rehearse(model: Model) -> Rehearsal:
    """A stand-in for a model behind a server.

    Raises:
        JuratError: the model runs here, so that its calls cost nothing.
    """
    rehearsable = model.capability(Rehearsable)
    if rehearsable is None:
        raise JuratError(
            f"The model {model.name!r} runs here: there are no calls to estimate.",
            hint="--dry-run is for models behind a server: openai/NAME, decisions/NAME.",
        )
    return Rehearsal(model.name, rehearsable.server.serving, rehearsable.call_forms, can_chat=model.can_chat)


def _text(text: str) -> int:
    return math.ceil(len(text) / CHARACTERS_A_TOKEN)
