"""Gradients of a local model's log-probabilities with respect to the embeddings of a span of its prompt.

A hook on the layer of token embeddings adds the shifts, so that it works for every family. Which tokens a
span's text is read as follows from the whole conversation as the chat template writes it; where images take
several tokens, the span is found by its distance from the beginning or the end of the prompt.
"""

from __future__ import annotations

from collections.abc import Callable, Generator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from functools import cached_property
from threading import get_ident
from typing import TYPE_CHECKING, Any, TypeVar

from jurat.content import SPAN, Chat, with_span
from jurat.models.hf.chat_templates import conversation
from jurat.models.hf.differentiable import PixelGradients, ReadSequence, check_items
from jurat.models.hf.model_parts import ModelParts
from jurat.models.protocol import ModelError
from jurat.models.white_box import ContinuationLogits

if TYPE_CHECKING:
    from torch import Tensor

    from jurat.models.hf.prompt import Prompt

R = TypeVar("R")
_OTHER_READER = "qformer_"
"""Begins the names of inputs by which a Q-Former reads the text, too."""


@dataclass(frozen=True)
class _Placed:
    """A text in the place of the span, in the conversation without its images."""

    before: tuple[int, ...]
    span: tuple[int, ...]
    after: tuple[int, ...]


@dataclass(frozen=True)
class _Marked:
    """A sequence with the place of its span."""

    words: ReadSequence
    span: tuple[int, ...]
    start: int

    def reading(self, span: tuple[int, ...]) -> ReadSequence:
        """The sequence with another span of as many tokens.

        Raises:
            ModelError: its Q-Former would still read the old one.
        """
        if span == self.span:
            return self.words
        if any(name.startswith(_OTHER_READER) for name in self.words.row.prompt.images):
            raise ModelError(
                "The Q-Former of this model reads the text, too, so that tokens cannot be replaced."
            )
        read = self.words.read.clone()
        read[self.start : self.start + len(span)] = read.new_tensor(span)
        return replace(self.words, read=read)


class TextGradients:
    """`DifferentiableText` for a local model. Keep it between calls: it remembers what it encoded."""

    def __init__(self, model: ModelParts) -> None:
        """Raises:
        ModelError: the model cannot give gradients; the message says why.
        """
        self._model = model
        if not getattr(model.encoder.tokenizer, "is_fast", False):
            raise ModelError(
                f"{model.name!r} gives no gradients with respect to text: its tokenizer does not tell where "
                "in a text its tokens are."
            )
        self._pixels = PixelGradients(model)
        self._layer = model.network.get_input_embeddings()
        self._around: dict[Any, tuple[str, str]] = {}
        self._beside: dict[tuple[str, str], tuple[tuple[int, ...], tuple[int, ...]]] = {}
        self._texts: dict[tuple[tuple[str, str], tuple[int, ...]], str] = {}
        """Texts that spans were asked for, which may not be those that their tokens spell."""
        self._marked: dict[Any, _Marked] = {}

    def vocabulary(self) -> tuple[str | None, ...]:
        """See `jurat.models.DifferentiableText`."""
        return self._vocabulary

    @cached_property
    def _vocabulary(self) -> tuple[str | None, ...]:
        words, rows = self._model.encoder.tokenizer, len(self._layer.weight)
        with self._model.preparing:
            ids = set(words.get_vocab().values()) - {*words.all_special_ids, *words.added_tokens_decoder}
            plain = sorted(i for i in ids if i < rows)
            texts = dict(zip(plain, words.batch_decode([[i] for i in plain]), strict=True))
        return tuple(texts.get(i) for i in range(rows))

    def embeddings(self) -> Tensor:
        """See `jurat.models.DifferentiableText`."""
        return self._embeddings

    @cached_property
    def _embeddings(self) -> Tensor:
        import torch

        weight = self._layer.weight
        with torch.no_grad():  # some layers scale what they hold
            return self._layer(torch.arange(len(weight), device=weight.device))

    def span(self, chat: Chat, text: str) -> tuple[int, ...]:
        """See `jurat.models.DifferentiableText`."""
        with self._model.preparing:
            sides = self._sides(chat)
            found = self._placed(sides, text).span
            self._texts[sides, found] = text
            return found

    def typed(self, chats: Sequence[Chat], span: Sequence[int]) -> str | None:
        """See `jurat.models.DifferentiableText`."""
        if any(self._vocabulary[token] is None for token in span):
            return None
        with self._model.preparing:
            text = self._spelled(span)
            for sides in dict.fromkeys(map(self._sides, chats)):
                try:
                    found = self._placed(sides, text)
                except ValueError:
                    return None
                # A span may also change how the text beside it is read.
                beside = self._beside.setdefault(sides, (found.before, found.after))
                if found.span != tuple(span) or (found.before, found.after) != beside:
                    return None
        return text

    def continuations(
        self,
        chats: Sequence[Chat],
        pixels: Sequence[Sequence[Tensor]],
        texts: Sequence[str],
        spans: Sequence[Sequence[int]],
        shifts: Sequence[Tensor] | None = None,
        *,
        rounded: bool = False,
    ) -> list[ContinuationLogits]:
        """See `jurat.models.DifferentiableText`."""
        import torch

        with torch.enable_grad():
            return self._run(chats, pixels, texts, spans, shifts, rounded, lambda made: made)

    def scores(
        self,
        chats: Sequence[Chat],
        pixels: Sequence[Sequence[Tensor]],
        texts: Sequence[str],
        spans: Sequence[Sequence[int]],
        *,
        rounded: bool = False,
    ) -> list[Tensor]:
        """See `jurat.models.DifferentiableText`."""
        import torch

        with torch.no_grad():
            return self._run(chats, pixels, texts, spans, None, rounded, lambda made: made.log_probabilities)

    def _run(
        self,
        chats: Sequence[Chat],
        pixels: Sequence[Sequence[Tensor]],
        texts: Sequence[str],
        spans: Sequence[Sequence[int]],
        shifts: Sequence[Tensor] | None,
        rounded: bool,
        finish: Callable[[ContinuationLogits], R],
    ) -> list[R]:
        check_items(chats, pixels, texts)
        self._check(chats, spans, shifts)
        with self._model.preparing:
            self._model.recognise(sum(map(bool, pixels)))
            marked = [self._sequence(*item) for item in zip(chats, pixels, texts, spans, strict=True)]
            rows = [one.words.row.prompt for one in marked]
            prompts: list[Prompt] = self._pixels.with_pixels(rows, pixels, rounded=rounded)
        words = [one.reading(tuple(span)) for one, span in zip(marked, spans, strict=True)]
        if shifts is None:
            return self._pixels.run(words, prompts, finish)

        @contextmanager
        def shifted(batch: Sequence[int], ids: Tensor) -> Generator[None]:
            with self._shifted([(marked[i].start, shifts[i]) for i in batch], ids):
                yield

        return self._pixels.run(words, prompts, finish, shifted)

    def _check(
        self, chats: Sequence[Chat], spans: Sequence[Sequence[int]], shifts: Sequence[Tensor] | None
    ) -> None:
        if len(spans) != len(chats):
            raise ValueError(f"There are {len(chats)} chats and {len(spans)} spans.")
        if shifts is None:
            return
        if len(shifts) != len(chats):
            raise ValueError(f"There are {len(chats)} chats and {len(shifts)} shifts.")
        width = self._layer.weight.shape[1]
        for span, shift in zip(spans, shifts, strict=True):
            if tuple(shift.shape) != (len(span), width):
                raise ValueError(f"A shift is [{len(span)}, {width}], not {list(shift.shape)}.")

    @contextmanager
    def _shifted(self, rows: Sequence[tuple[int, Tensor]], ids: Tensor) -> Generator[None]:
        """Adds shifts to the embeddings of a pass over `ids`, each from its start on."""
        import torch
        from torch.nn.functional import pad

        owner, seen, width = get_ident(), list[None](), ids.shape[1]

        def hook(_module: Any, given: Any, output: Tensor) -> Tensor | None:
            # A decoder may read its own tokens by the same layer, and other threads theirs.
            if get_ident() != owner or not given or given[0].shape != ids.shape:
                return None
            seen.append(None)
            added = [pad(shift, (0, 0, start, width - start - len(shift))) for start, shift in rows]
            return output + torch.stack(added).to(output)

        handle = self._layer.register_forward_hook(hook)
        try:
            yield
        finally:
            handle.remove()
        if len(seen) != 1:
            raise ModelError(
                f"{self._model.name!r} gives no gradients with respect to text: it reads the embeddings of "
                f"its tokens {len(seen)} times."
            )

    def _sequence(self, chat: Chat, pixels: Sequence[Tensor], text: str, span: Sequence[int]) -> _Marked:
        """The sequence of a chat, encoded with the first span of that length which is asked for."""
        shapes = tuple(one.shape for one in pixels)
        key = (conversation(chat), chat.generation.thinking, shapes, text, len(span))
        if key not in self._marked:
            self._marked[key] = self._encoded(chat, pixels, text, tuple(span))
        return self._marked[key]

    def _encoded(self, chat: Chat, pixels: Sequence[Tensor], text: str, span: tuple[int, ...]) -> _Marked:
        sides = self._sides(chat)
        spelled = self._texts.get((sides, span)) or self._spelled(span)
        placed = self._placed(sides, spelled)
        if placed.span != span:
            raise ValueError(f"No text is read as this span: {spelled!r} is {len(placed.span)} other tokens.")
        words = self._pixels.sequence(with_span(chat, spelled), pixels, text)
        start = _start(words.read[: words.conversation].tolist(), placed)
        if start is None:
            raise ModelError(f"The text {spelled!r} is not found in the prompt: it is between images.")
        return _Marked(words, span, start)

    def _spelled(self, span: Sequence[int]) -> str:
        made = self._model.encoder.tokenizer.decode(list(span), clean_up_tokenization_spaces=False)
        return str(made).strip()

    def _sides(self, chat: Chat) -> tuple[str, str]:
        """The conversation before and behind the span, as the template writes it."""
        key = (conversation(chat), chat.generation.thinking)
        if key not in self._around:
            parts = self._model.encoder.render(chat).split(SPAN)
            if len(parts) != 2:
                raise ValueError(f"A chat has one place of a span, {SPAN!r}; this has {len(parts) - 1}.")
            self._around[key] = (parts[0], parts[1])
        return self._around[key]

    def _placed(self, sides: tuple[str, str], text: str) -> _Placed:
        before, after = sides
        ids, offsets = self._model.encoder.tokenize_with_offsets(before + text + after)
        first, last = len(before), len(before) + len(text)
        inside = [i for i, (a, b) in enumerate(offsets) if b > first and a < last and a < b]
        if not inside:
            raise ValueError(f"The text {text!r} has no tokens.")
        row, end = tuple(ids), inside[-1] + 1
        return _Placed(row[: inside[0]], row[inside[0] : end], row[end:])


def _start(read: list[int], placed: _Placed) -> int | None:
    """Where the span begins in a prompt, whose images may take more tokens than the template wrote, and whose
    last tokens may be missing, since the continuation changed them; None where there are images on both
    sides."""
    ahead = [*placed.before, *placed.span]
    if read[: len(ahead)] == ahead:
        return len(placed.before)
    for left_out in range(len(placed.after) + 1):
        rest = [*placed.span, *placed.after[: len(placed.after) - left_out]]
        if read[-len(rest) :] == rest:
            return len(read) - len(rest)
    return None
