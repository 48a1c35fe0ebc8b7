"""From conversations to tensors, for models of transformers.

The model's own processor does the work: its chat template, its tokenizer, its image processor. What
is added here is the split into a prefix that the questions of an inquiry share and the segments that
are each question's own. The split is made on token ids, never on text, so that prefix + segment is
exactly what the processor would make of the question alone.
"""

from __future__ import annotations

import logging
from collections import OrderedDict
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, Any, TypeAlias

from jurat.content import Chat, Turn
from jurat.content.chat import ask_in
from jurat.models.answer_spellings import ANSWERS, WORD_STARTS
from jurat.models.hf.batch_sizes import by
from jurat.models.hf.chat_templates import Template, conversation
from jurat.models.hf.interleaving import adapted_processor
from jurat.models.hf.prompt import Prompt
from jurat.models.protocol import Inquiry, ModelError

if TYPE_CHECKING:
    from PIL import Image
    from torch import Tensor

_TEMPLATES_KEPT = 64
_OTHER_TOKENS = "qformer_"
"""Begins the names of inputs with a value a token of another tokenizer."""
_PIXELS_A_CALL = 2**24
"""Most pixels of the images that a processor is given together: it may hold several copies of each."""

Processed: TypeAlias = "tuple[list[int], dict[str, Tensor], dict[str, Tensor]]"
"""What a processor makes of a text with images: token ids, inputs with a value a token, image inputs."""

log = logging.getLogger("jurat.models")


class TooManyImages(Exception):
    """A conversation has more images than the model takes; the text is a sentence for a person."""


class NoCommonPrefix(Exception):
    """The questions of an inquiry cannot be given one prefix; the text says why."""


class Encoder:
    """Makes prompts with a transformers processor."""

    def __init__(self, processor: Any, accepted: frozenset[str], model_type: str = "") -> None:
        """`accepted` names the inputs that the model's forward takes; the processor's others are dropped.
        `model_type` is the configuration's, for families that have no chat template.

        Raises:
            ModelError: there is no chat template, or it does not show what it is given.
        """
        self.processor = adapted_processor(processor)
        self.tokenizer = getattr(processor, "tokenizer", processor)
        self.template = Template(self.processor, model_type)
        self.nested = True
        """Whether the processor takes a list of images for each text, or one list for all texts."""
        self.most_images = 1 if self.template.one_image else None
        """How many images a conversation may have; None for any number."""
        self.question_bound: str | None = None
        """Why what the processor makes of an image belongs to one question only; None where it does not."""
        self.writes_more = False
        """Whether the processor adds tokens of its own to a text without images."""
        self.unshared: str | None = None
        """Why the questions of the last inquiry that was encoded one by one could not share a prefix."""
        self.shares = True
        """Whether what a processor makes of several items is, item by item, what it makes of each."""
        self._compared = False
        self._accepted = accepted
        self._shared: OrderedDict[Any, tuple[str, list[int], tuple[tuple[int, ...], ...]]] = OrderedDict()

    def encode(self, inquiry: Inquiry) -> list[Prompt]:
        """One prompt with all questions if they can share a prefix, else one a question.

        Raises whatever the processor raises of images or text that it cannot take.
        """
        if not inquiry.questions:
            return []
        try:
            return [self._encode_shared(inquiry)]
        except NoCommonPrefix as reason:
            self.unshared = str(reason)
            alone = (replace(inquiry, questions=(question,)) for question in inquiry.questions)
            return [self._encode_alone(one.prefix, one.questions[0]) for one in alone]

    def encode_together(self, inquiries: Sequence[Inquiry]) -> dict[int, list[Prompt]]:
        """`encode` of those inquiries that have the same words and images of the same sizes as another, by
        their place: a processor's call checks and loads much that is the same for all of its images.

        Where a call fails, as it does for one bad image, those that were in it are left out. The last inquiry
        of the first call is also encoded alone; where that gives another prompt, none are encoded together.
        """
        found: dict[int, list[Prompt]] = {}
        for group in _groups(inquiries):
            if not self.shares:
                break
            try:
                made = self._encode_alike([inquiries[i] for i in group])
                if not self._compared:
                    self.shares = _equal(made[-1][0], self._encode_shared(inquiries[group[-1]]))
                    self._compared = True
                if self.shares:
                    found |= zip(group, made, strict=True)
            except Exception:  # processors raise anything at all of images they cannot take
                log.debug("inquiries could not be encoded together", exc_info=True)
        return found

    def encode_chat(self, chat: Chat) -> Prompt:
        """A conversation to continue: the prefix is all of it but its last token."""
        return self._whole(self.render(chat), chat.images)

    def encode_continuation(self, chat: Chat, text: str) -> Prompt:
        """A conversation that is continued by a text, whose tokens are the only segment: those from the first
        that differs from the tokens of the conversation alone.

        Raises:
            ValueError: the text has no tokens, or the processor changes it.
        """
        import torch

        before = self.render(chat)
        said = Turn("assistant", ((chat.prefilled_text or "") + text,))
        turns = chat.turns[:-1] if chat.turns and chat.turns[-1].role == "assistant" else chat.turns
        whole = self.render(replace(chat, turns=(*turns, said)))
        if not whole.startswith(before):  # what an answer begins with is left out of earlier answers
            whole = before + text
        rows = [self.tokenize(before), self.tokenize(whole)]
        common = common_length(rows)
        own = rows[1][common:]
        if not own:
            raise ValueError("the continuation has no tokens")
        # What is made of an image may depend on the conversation, and never on the continuation.
        ids, along, inputs = self._process(before, chat.images)
        if common == len(rows[0]):
            along = {name: torch.cat([value, value[-1:]]) for name, value in along.items()}
            return _prompt(ids, len(ids), (tuple(own),), along, inputs)
        # The first token of the continuation holds the end of the conversation, too.
        ids, along, _ = self._process(whole, chat.images)
        if ids[-len(own) :] != own:
            raise ValueError("the processor changes the continuation")
        return _prompt(ids, len(ids) - len(own), (tuple(own),), along, inputs)

    def render(self, chat: Chat, question: str | None = None) -> str:
        """The conversation as the model's chat template writes it, up to where the answer begins: in a turn
        of its own, or behind the text of a last assistant turn.

        Raises:
            ValueError: the template leaves out or changes the text of that last turn.
        """
        turns = chat.turns if question is None else ask_in(chat.turns, question)
        continues = question is None and chat.prefilled_text is not None
        if turns and turns[-1].role == "assistant" and not continues:
            turns = turns[:-1]  # it is empty
        thinking = question is None and chat.generation.thinking
        return self.template.render(turns, thinking=thinking, continues=continues)

    def encode_alone(self, inquiry: Inquiry) -> Prompt:
        """The prompt of an inquiry's only question, with all of it as its own."""
        return self._encode_alone(inquiry.prefix, inquiry.questions[0])

    def tokenize(self, text: str) -> list[int]:
        """Token ids of a text without images."""
        return list(self.tokenizer(text, add_special_tokens=self._adds_special(text))["input_ids"])

    def tokenize_with_offsets(self, text: str) -> tuple[list[int], list[tuple[int, int]]]:
        """As `tokenize`, and where in the text each token stands, in characters; for fast tokenizers only."""
        made = self.tokenizer(text, add_special_tokens=self._adds_special(text), return_offsets_mapping=True)
        return list(made["input_ids"]), list(made["offset_mapping"])

    def through_processor(self, text: str, *images: Image.Image) -> list[int]:
        """Token ids that the processor makes of a text with images."""
        return self.process(text, [images])["input_ids"][0].tolist()

    def _encode_shared(self, inquiry: Inquiry) -> Prompt:
        text, tail, segments = self._split(inquiry)
        return _shared(self._process(text, inquiry.prefix.images), tail, segments)

    def _encode_alike(self, inquiries: Sequence[Inquiry]) -> list[list[Prompt]]:
        """Prompts of inquiries of one `_shape`, whose shares of every input are equal."""
        text, tail, segments = self._split(inquiries[0])
        made = self.process(text, [inquiry.prefix.images for inquiry in inquiries])
        rows = [value.chunk(len(inquiries)) for value in made.values()]
        if any(len(row) != len(inquiries) or len({len(part) for part in row}) > 1 for row in rows):
            raise ValueError("the processor's inputs are not in equal shares")
        shares = (dict(zip(made, parts, strict=True)) for parts in zip(*rows, strict=True))
        return [[_shared(self._inputs(share), tail, segments)] for share in shares]

    def _split(self, inquiry: Inquiry) -> tuple[str, list[int], tuple[tuple[int, ...], ...]]:
        """The first question's text, the end of its ids that is its own, and every question's own ids.

        It depends on the words only, so it is computed once for all items of a run.
        """
        key = (conversation(inquiry.prefix), inquiry.questions)
        if (known := self._shared.get(key)) is not None:
            self._shared.move_to_end(key)
            return known
        texts = [self.render(inquiry.prefix, question) for question in inquiry.questions]
        rows = [self.tokenize(text) for text in texts]
        # Every segment keeps at least its last token: that is where the answer is read.
        common = min(common_length(rows), min(len(row) for row in rows) - 1)
        segments = tuple(tuple(row[common:]) for row in rows)
        made = (texts[0], rows[0][common:], segments)
        if inquiry.prefix.images and not self._images_precede(segments):
            raise NoCommonPrefix("an image comes after the question")
        if inquiry.prefix.images and self.question_bound:
            raise NoCommonPrefix(self.question_bound)
        self._shared[key] = made
        if len(self._shared) > _TEMPLATES_KEPT:
            self._shared.popitem(last=False)
        return made

    def _images_precede(self, segments: Sequence[Sequence[int]]) -> bool:
        ids = getattr(self.processor, "image_token_ids", None) or [
            getattr(self.processor, "image_token_id", None)
        ]
        placeholders = {int(i) for i in ids if i is not None}
        return not any(placeholders & set(segment) for segment in segments)

    def _encode_alone(self, prefix: Chat, question: str) -> Prompt:
        return self._whole(self.render(prefix, question), prefix.images)

    def _whole(self, text: str, images: Sequence[Image.Image]) -> Prompt:
        ids, along, inputs = self._process(text, images)
        return _prompt(ids, len(ids) - 1, ((ids[-1],),), along, inputs)

    def _adds_special(self, text: str) -> bool:
        """False where the template has already written the token that begins a text."""
        bos = self.tokenizer.bos_token
        return not (bos is not None and text.startswith(bos))

    def _process(self, text: str, images: Sequence[Image.Image]) -> Processed:
        """Token ids, inputs with a value a token, and image inputs."""
        if self.most_images is not None and len(images) > self.most_images:
            raise TooManyImages(
                f"The model takes {self.most_images} image in a conversation, and there are {len(images)}."
            )
        if not images and not self.writes_more:
            return self.tokenize(text), {}, {}
        return self._inputs(self.process(text, [images]))

    def process(self, text: str, images: Sequence[Sequence[Image.Image]]) -> Mapping[str, Tensor]:
        """What the processor makes of a text with each of several lists of images."""
        given = (
            [list(some) for some in images] if self.nested else [image for some in images for image in some]
        )
        return self.processor(
            text=[text] * len(images),
            images=given if any(images) else None,
            return_tensors="pt",
            add_special_tokens=self._adds_special(text),
        )

    def _inputs(self, made: Mapping[str, Tensor]) -> Processed:
        """As `_process` gives them, of one text."""
        ids = made["input_ids"][0]
        along: dict[str, Tensor] = {}
        inputs: dict[str, Tensor] = {}
        for name, value in made.items():
            if name not in self._accepted or name in ("input_ids", "attention_mask", "labels"):
                continue
            per_token = (
                value.ndim >= 2 and value.shape[:2] == (1, len(ids)) and not name.startswith(_OTHER_TOKENS)
            )
            (along if per_token else inputs)[name] = value[0] if per_token else value
        return ids.tolist(), along, inputs


def _shared(processed: Processed, tail: list[int], segments: tuple[tuple[int, ...], ...]) -> Prompt:
    """The prompt of a text that ends with `tail`, the part that belongs to the first question."""
    ids, along, images = processed
    if ids[-len(tail) :] != tail:
        raise NoCommonPrefix("the processor changes the text after the images")
    return _prompt(ids, len(ids) - len(tail), segments, along, images)


def _prompt(
    ids: list[int],
    length: int,
    segments: tuple[tuple[int, ...], ...],
    along: dict[str, Tensor],
    images: dict[str, Tensor],
) -> Prompt:
    import torch

    for name, value in along.items():
        if not bool((value[length:] == value[-1]).all()):
            raise NoCommonPrefix(f"{name} differs among the tokens of a question")
    return Prompt(
        torch.tensor(ids[:length]), segments, {k: v[: length + 1] for k, v in along.items()}, images
    )


def answer_ids(tokenizer: Any) -> dict[str, list[int]]:
    """The single tokens that spell "yes" and "no", with and without the mark of a word's beginning.

    Raises:
        ModelError: the vocabulary has no such token for one of them.
    """
    vocabulary = tokenizer.get_vocab()
    found = {
        answer: sorted(
            {vocabulary[m + word] for word in words for m in WORD_STARTS if m + word in vocabulary}
        )
        for answer, words in ANSWERS.items()
    }
    absent = [answer for answer, ids in found.items() if not ids]
    if absent:
        raise ModelError(f"The model's vocabulary has no single token for {' and '.join(absent)}.")
    return found


def common_length(rows: Sequence[list[int]]) -> int:
    """How many leading elements all rows share."""
    first, last = min(rows), max(rows)  # rows in between share what these two share
    for length, (a, b) in enumerate(zip(first, last, strict=False)):
        if a != b:
            return length
    return min(len(first), len(last))


def _groups(inquiries: Sequence[Inquiry]) -> Iterator[list[int]]:
    """The places of those that can be given to a processor together: two at least, and no more than
    `_PIXELS_A_CALL` allows."""
    shown = [i for i, inquiry in enumerate(inquiries) if inquiry.questions and inquiry.prefix.images]
    for alike in by(shown, lambda i: _shape(inquiries[i])):
        pixels = sum(image.width * image.height for image in inquiries[alike[0]].prefix.images)
        most = max(1, _PIXELS_A_CALL // max(1, pixels))
        for first in range(0, len(alike), most):
            if len(group := alike[first : first + most]) > 1:
                yield group


def _shape(inquiry: Inquiry) -> tuple[Any, ...]:
    """All that the number of an inquiry's tokens and the sizes of its inputs depend on."""
    sizes = tuple((image.size, image.mode) for image in inquiry.prefix.images)
    return conversation(inquiry.prefix), inquiry.questions, sizes


def _equal(one: Prompt, other: Prompt) -> bool:
    """Whether two prompts are equal up to the rounding of a resized image."""
    import torch

    if one.segments != other.segments or one.kind != other.kind or one.along.keys() != other.along.keys():
        return False
    pairs = [(one.prefix, other.prefix), *((one.along[k], other.along[k]) for k in one.along)]
    pairs += [(one.images[k], other.images[k]) for k in one.images]
    return all(a.shape == b.shape and torch.allclose(a.double(), b.double(), atol=1e-3) for a, b in pairs)
