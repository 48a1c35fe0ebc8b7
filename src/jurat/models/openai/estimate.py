"""What a run of a served model would take, told before anything is sent.

A `Rehearsal` stands in for the model: whatever asks it asks as it would ask the model, and the calls are
counted both ways, since whether the server gives logprobs is not known before it is asked. Tokens are counted
by two rules of thumb: an image makes one for each 28 x 28 pixels, as Qwen2-VL's do, and a text one for each
four characters.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, field, replace

from PIL import Image

from jurat.content import Chat, Reply, Usage
from jurat.errors import JuratError
from jurat.models.openai.closed_answers import numbered_questions
from jurat.models.openai.messages import scaled_size
from jurat.models.openai.model import ServedModel
from jurat.models.openai.server import price_of
from jurat.models.openai.sight_check import INSTRUCTION, RED, SQUARE
from jurat.models.protocol import SETTINGS, Answer, Inquiry, Model, Spent, YesNo
from jurat.models.spec import Serving

PIXELS_A_TOKEN = 28 * 28
CHARACTERS_A_TOKEN = 4
_STATED_ANSWER = 7
"""Tokens of `"12": "Yes", ` in a reply."""


@dataclass
class Count:
    """Calls and tokens, of the items and of what is asked once a run."""

    each: list[Usage] = field(default_factory=list[Usage])
    """A call about an item each."""
    once: list[Usage] = field(default_factory=list[Usage])
    """A call without an image each: the language prior is asked once a run."""

    def spent(self, serving: Serving, times: float) -> Spent:
        """With as many items as were rehearsed, `times` over."""
        item, prior = sum(self.each, Usage()), sum(self.once, Usage())
        usage = Usage(
            round(item.input_tokens * times) + prior.input_tokens,
            round(item.output_tokens * times) + prior.output_tokens,
        )
        usage = replace(usage, money=price_of(usage, serving))
        return Spent(round(len(self.each) * times) + len(self.once), usage)


class Rehearsal(Model):
    """See the module's docstring. It answers No to every question, which settles it; nothing is sent."""

    revision = "rehearsal"
    dtype = "none"
    supported_settings = frozenset(SETTINGS)

    def __init__(self, name: str, serving: Serving) -> None:
        self.name = name
        self.serving = serving
        self._measured, self._stated = Count(), Count()
        self._bare: set[tuple[tuple[str, ...], str]] = set()
        """What was asked without images: the text before a question, and the question."""
        self._looked = False

    def measured(self, times: float = 1.0) -> Spent:
        """If the server gives logprobs."""
        return self._measured.spent(self.serving, times)

    def stated(self, times: float = 1.0) -> Spent:
        """If it gives none."""
        return self._stated.spent(self.serving, times)

    def ask(self, inquiries: Sequence[Inquiry]) -> list[Answer]:
        return [self._ask(inquiry) for inquiry in inquiries]

    def chat(self, chats: Sequence[Chat]) -> list[Reply]:
        for chat in chats:
            usage = Usage(self._tokens(chat), chat.generation.max_tokens)
            for count in (self._measured, self._stated):
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
        size = self.serving.questions_per_call
        groups = [questions[at : at + size] for at in range(0, len(questions), size)]
        one = [Usage(shared + _text(question), 1) for question in questions]
        several = [Usage(shared + _text(numbered_questions(g)), _STATED_ANSWER * len(g)) for g in groups]
        for count, usages in ((self._measured, one), (self._stated, several)):
            (count.each if each else count.once).extend(usages)

    def _look(self) -> None:
        """Counts the calls about pictures of known colours and about none, once a run."""
        if self._looked:
            return
        self._looked = True
        shown = math.ceil(SQUARE[0] * SQUARE[1] / PIXELS_A_TOKEN)
        for images in (1, 1, 0, 0):
            for count in (self._measured, self._stated):
                count.once.append(Usage(images * shown + _text(INSTRUCTION) + _text(RED), 1))

    def _tokens(self, chat: Chat) -> int:
        images = sum(self._image(image) for image in chat.images)
        return images + sum(_text(turn.text) for turn in chat.turns)

    def _image(self, image: Image.Image) -> int:
        width, height = scaled_size(image.width, image.height, self.serving.max_pixels)
        return math.ceil(width * height / PIXELS_A_TOKEN)


def rehearse(model: Model) -> Rehearsal:
    """A stand-in for a served model.

    Raises:
        JuratError: the model is not served, so that its calls cost nothing.
    """
    if not isinstance(model, ServedModel):
        raise JuratError(
            f"The model {model.name!r} runs here: there are no calls to estimate.",
            hint="--dry-run is for served models: openai/NAME.",
        )
    return Rehearsal(model.name, model.server.serving)


def _text(text: str) -> int:
    return math.ceil(len(text) / CHARACTERS_A_TOKEN)
