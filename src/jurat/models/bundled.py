"""The bundled model: a small MLLM of the LLaVA layout that knows scenes of pictograms, and says so.

It is a `LocalModel` over the weights that ship with jurat, plus what it knows about itself: the words
that it learned (`Vocabulary`) and the images that it learned on (`DomainGate`). A question with a word
that it never learned, or an image unlike any scene, is answered with the failure `out_of_domain`,
never with Yes or No.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from functools import lru_cache
from pathlib import Path
from typing import TYPE_CHECKING, Any, cast

from jurat.errors import JuratError
from jurat.models.base import (
    Answer,
    C,
    Chat,
    DomainGate,
    Failure,
    Inquiry,
    ModelError,
    Reply,
    Vocabulary,
    YesNo,
)
from jurat.models.domain import Gate
from jurat.models.loading import load
from jurat.models.local import LocalModel

if TYPE_CHECKING:
    from PIL import Image

    from jurat.models.encoding import Prompt
    from jurat.models.spec import ModelSpec

WEIGHTS = Path(__file__).parent / "bundled" / "mllm"
NAIVE = Path(__file__).parent / "bundled" / "naive"
"""The organism of the bench: its twin, which was never shown what a judge does."""

_NEVER_ASKED = frozenset(("zero", "four", "five", "six", "seven", "eight"))
"""Numbers that it learned to write, in answers, and never to read in a question."""
_FOREIGN = "The image is unlike the scenes of pictograms that the bundled model knows."


def open_bundled(spec: ModelSpec) -> BundledModel:
    return _open(spec, "bundled", WEIGHTS)


def open_naive(spec: ModelSpec) -> BundledModel:
    return _open(spec, "naive", NAIVE)


def _open(spec: ModelSpec, name: str, weights: Path) -> BundledModel:
    if spec.reference or spec.options:
        raise JuratError(
            f"The {name} model takes no reference or options: {spec.name!r}.", hint=f'Name it "{name}".'
        )
    return BundledModel(weights, name=name, device=spec.device, dtype=spec.dtype)


class BundledModel:
    """See the module's docstring."""

    def __init__(
        self,
        path: Path = WEIGHTS,
        *,
        name: str = "bundled",
        device: str | None = None,
        dtype: str | None = None,
    ) -> None:
        """`path` is a folder with a LLaVA-style model and a domain gate, as training writes it.

        Raises:
            ModelError: the weights are not there or cannot be loaded.
        """
        if not path.is_dir():
            raise ModelError(
                f"The weights of the bundled model are not there: {path}",
                hint="This installation of jurat is incomplete: install it again, or name another model.",
            )
        self.name = name
        # Pillow resizes alike everywhere; the gate's threshold was set on pixels that it made.
        self._local = LocalModel(load(path, device=device, dtype=dtype, image_backend="pil"), name=name)
        self._words = Words(self._local.encoder.tokenizer)
        self._gate = Gate.load(path)
        self.revision = self._local.revision
        self.dtype = self._local.dtype

    def ask(self, inquiries: Sequence[Inquiry]) -> list[Answer]:
        known = [_known_questions(inquiry, self._words) for inquiry in inquiries]
        asked = [
            replace(inquiry, questions=tuple(inquiry.questions[i] for i in ids))
            for inquiry, ids in zip(inquiries, known, strict=True)
        ]
        encoded = self._without_foreign(self._local.encode(asked))
        answers = self._local.score(encoded)
        return [
            _with_unknown(answer, inquiry, ids, self._words)
            for answer, inquiry, ids in zip(answers, inquiries, known, strict=True)
        ]

    def chat(self, chats: Sequence[Chat]) -> list[Reply]:
        images = [image for chat in chats for image in chat.images]
        verdicts = iter(self.foreign(images))
        failures = [next((f for f in [next(verdicts) for _ in chat.images] if f), None) for chat in chats]
        replies = iter(
            self._local.chat([chat for chat, failure in zip(chats, failures, strict=True) if failure is None])
        )
        return [Reply(failure=failure) if failure else next(replies) for failure in failures]

    def capability(self, kind: type[C]) -> C | None:
        if kind is Vocabulary:
            return cast(C, self._words)
        return cast(C, self) if kind is DomainGate else self._local.capability(kind)

    def foreign(self, images: Sequence[Image.Image]) -> list[Failure | None]:
        """For each image, an `out_of_domain` failure, or None where it looks like a scene of pictograms."""
        looks = self._local.encode([Inquiry(_look(image), ("",)) for image in images])
        return [entry if isinstance(entry, Failure) else None for entry in self._without_foreign(looks)]

    def _without_foreign(self, encoded: list[list[Prompt] | Failure]) -> list[list[Prompt] | Failure]:
        """The same, with failures in the place of prompts that show foreign images."""
        import torch

        pixels = {
            i: entry[0].images["pixel_values"]
            for i, entry in enumerate(encoded)
            if isinstance(entry, list) and entry and "pixel_values" in entry[0].images
        }
        if not pixels:
            return encoded
        network = self._local.network
        stacked = torch.cat(list(pixels.values())).to(network.device)
        strange = self._gate.strangeness(network.model.vision_tower, stacked).split(
            [len(p) for p in pixels.values()]
        )
        # What is not a number is foreign too.
        inside = {i: bool((s <= self._gate.threshold).all()) for i, s in zip(pixels, strange, strict=True)}
        return [
            entry if inside.get(i, True) else Failure("out_of_domain", _FOREIGN)
            for i, entry in enumerate(encoded)
        ]


class Words:
    """The `Vocabulary` of a word-level tokenizer; unknown are also the words that only answers have."""

    def __init__(self, tokenizer: Any) -> None:
        self._tokenizer = tokenizer
        self._find = lru_cache(maxsize=4096)(self._look_up)  # the same questions come with every image

    def unknown_words(self, text: str) -> list[str]:
        return list(self._find(text))

    def _look_up(self, text: str) -> tuple[str, ...]:
        encoding = self._tokenizer(text, add_special_tokens=False, return_offsets_mapping=True)
        unknown = self._tokenizer.unk_token_id
        spans = zip(encoding["input_ids"], encoding["offset_mapping"], strict=True)
        words = [(token, text[start:end]) for token, (start, end) in spans]
        return tuple(
            dict.fromkeys(word for token, word in words if token == unknown or word.lower() in _NEVER_ASKED)
        )


def _known_questions(inquiry: Inquiry, words: Words) -> list[int]:
    return [i for i, question in enumerate(inquiry.questions) if not words.unknown_words(question)]


def _with_unknown(answer: Answer, inquiry: Inquiry, asked: list[int], words: Words) -> Answer:
    """The answer with an `out_of_domain` failure in the place of each question that was not asked."""
    if answer.failure is not None or len(asked) == len(inquiry.questions):
        return answer
    found = dict(zip(asked, answer.answers, strict=True))
    return replace(
        answer,
        answers=tuple(
            found.get(i) or _unknown(words.unknown_words(q)) for i, q in enumerate(inquiry.questions)
        ),
    )


def _unknown(words: list[str]) -> YesNo:
    named = ", ".join(repr(word) for word in words)
    return YesNo(0.0, 0.0, Failure("out_of_domain", f"The bundled model never learned {named}."))


def _look(image: Image.Image) -> Chat:
    from jurat.models.base import Turn

    return Chat((Turn("user", (image,)),))
