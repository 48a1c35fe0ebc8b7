"""Tries a model once, when it is opened, so that what it cannot do is reported then and not for every item.

A model is shown two pictures that differ, and asked. One whose processor or forward pass cannot take a
picture with a question is refused, and so is one whose answer is the same for both: it does not look. How
its processor wants lists of images, whether what it makes of an image belongs to one question only, and how
many images a conversation may have follow from trials too.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import TYPE_CHECKING, TypeVar

from PIL import Image

from jurat.content import Chat, Generation, Turn
from jurat.models.hf.failures import ran_out_of_memory
from jurat.models.hf.generation import decode
from jurat.models.hf.joinable_inputs import pictures
from jurat.models.protocol import Inquiry, ModelError

if TYPE_CHECKING:
    from torch import Tensor

    from jurat.models.hf.encoding import Encoder
    from jurat.models.hf.model_parts import ModelParts
    from jurat.models.hf.prompt import Prompt

R = TypeVar("R")

_SIDE = 112
_INSTRUCTION = "Is the following statement true of this image? Answer with Yes or No."
_SHORT = "Statement: A dog is visible."
_LONG = "Statement: Nothing but a small tree and a car is visible."


def probe(model: ModelParts) -> None:
    """Determines how the model is asked, and what it cannot do.

    Raises:
        ModelError: it cannot judge images, and why.
    """
    import torch

    encoder = model.encoder
    one, other = pictures(_SIDE)
    with torch.inference_mode():
        if encoder.template.form.placed and _places_images(encoder, one):
            encoder.template.leave_images()
            encoder.most_images = None
        _settle_lists(model.name, encoder, one)
        seen = encoder.encode(_about(one))[0]
        if not seen.images:
            raise _unable(model.name, "its forward pass takes nothing that its processor makes of an image")
        encoder.question_bound = _bound(encoder, one)
        encoder.writes_more = _writes_more(encoder)
        first, second = (
            _tried(
                model.name, "its forward pass on an image and a question fails", lambda p=p: _logits(model, p)
            )
            for p in (seen, encoder.encode(_about(other))[0])
        )
        if first.equal(second):
            raise _unable(model.name, "its answer does not depend on the image")
        if encoder.most_images is None and not _sees_both(model, one, other):
            encoder.most_images = 1
        for what, trial in (
            ("questions without an image", lambda: _logits(model, encoder.encode(_about())[0])),
            ("conversations", lambda: _continued(model, one)),
        ):
            try:
                trial()
            except Exception as error:
                _raise_if_full(error)
                model.unable[what] = one_line(error)
        model.can_chat = "conversations" not in model.unable


def one_line(error: BaseException) -> str:
    """An error in one line."""
    text = re.sub(r"\s+", " ", str(error)).strip()[:200]
    return f"{type(error).__name__}: {text}".rstrip(": ")


def _about(*images: Image.Image, question: str = _SHORT) -> Inquiry:
    return Inquiry(Chat((Turn("user", (*images, _INSTRUCTION)),)), (question,))


def _settle_lists(name: str, encoder: Encoder, image: Image.Image) -> None:
    """Determines whether the processor takes nested lists of images (most do) or one flat list."""
    try:
        encoder.encode(_about(image))
        return
    except Exception as error:
        _raise_if_full(error)
        nested = error
    encoder.nested = False
    try:
        encoder.encode(_about(image))
    except Exception:
        where = (
            "" if encoder.template.form.placed else ", and its chat template writes no placeholder for one"
        )
        raise _unable(
            name, f"its processor does not take an image with a question{where} ({one_line(nested)})"
        ) from nested


def _places_images(encoder: Encoder, image: Image.Image) -> bool:
    """Whether the processor writes an image's tokens where the text has no placeholder for it, and other ones
    than these where it has."""
    token = encoder.template.placeholder
    if token is None:
        return False
    placed = encoder.tokenizer.convert_tokens_to_ids(token)

    def count(text: str) -> int:
        try:
            return encoder.through_processor(text, image).count(placed)
        except Exception:  # processors count placeholders and raise what they like
            return 0

    alone = count("a")
    return alone > 0 and count(encoder.render(_about(image).prefix, _SHORT)) != alone


def _bound(encoder: Encoder, image: Image.Image) -> str | None:
    short, long = (encoder.encode_alone(_about(image, question=text)) for text in (_SHORT, _LONG))
    names = [name for name, value in short.images.items() if not _same(value, long.images.get(name))]
    return f"its {' and '.join(names)} hold the question" if names else None


def _same(one: Tensor, other: Tensor | None) -> bool:
    return other is not None and one.shape == other.shape and bool(one.equal(other))


def _writes_more(encoder: Encoder) -> bool:
    text = encoder.render(_about().prefix, _SHORT)
    try:
        return encoder.through_processor(text) != encoder.tokenize(text)
    except Exception:  # most processors take texts alone; the tokenizer always does
        return False


def _sees_both(model: ModelParts, one: Image.Image, other: Image.Image) -> bool:
    """Whether a second image in a conversation is accepted and affects the answer."""
    try:
        both = [model.encoder.encode(_about(one, second))[0] for second in (one, other)]
        made = [_logits(model, prompt) for prompt in both]
    except Exception as error:
        _raise_if_full(error)
        return False
    return not made[0].equal(made[1])


def _logits(model: ModelParts, prompt: Prompt) -> Tensor:
    return model.scorer.logits([(prompt, prompt.segments[-1])])[:, 0]


def _continued(model: ModelParts, image: Image.Image) -> None:
    prompt = model.encoder.encode_chat(_about(image).prefix)
    decode(model.network, model.encoder.tokenizer, [prompt], [Generation(max_tokens=1)], model.scorer)


def _tried(name: str, what: str, trial: Callable[[], R]) -> R:
    try:
        return trial()
    except Exception as error:
        _raise_if_full(error)
        raise _unable(name, f"{what} ({one_line(error)})") from error


def _raise_if_full(error: Exception) -> None:
    if ran_out_of_memory(error):
        raise ModelError(
            f"There is not enough memory for one image and a question: {one_line(error)}.",
            hint="Try --dtype bfloat16, a smaller model, or another device.",
        ) from error


def _unable(name: str, reason: str) -> ModelError:
    return ModelError(
        f"{name!r} cannot judge images: {reason}.",
        hint="Models that answer questions about images in a chat can; see docs/models.md.",
    )
