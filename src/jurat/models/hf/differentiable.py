"""Gradients of a local model's log-probabilities with respect to the pixels that are submitted.

The words of a conversation are encoded once for each size of image, by the model's own processor; a call
then runs the image processor on float tensors (`float_pixels`) and one forward pass over as many items as
fit. Continuations are encoded as for `PromptScores`, and scored by teacher forcing.
"""

from __future__ import annotations

import copy
from collections import OrderedDict
from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass, replace
from inspect import signature
from itertools import count
from typing import TYPE_CHECKING, Any, TypeVar

from jurat.content import Chat, Failure
from jurat.models.hf.batch_sizes import by, joined
from jurat.models.hf.chat_templates import conversation
from jurat.models.hf.float_pixels import PIXELS, FloatProcessor, as_image, check_pixels
from jurat.models.hf.model_parts import ModelParts, attempt
from jurat.models.hf.prompt import Prompt
from jurat.models.hf.prompt_scores import ContinuedPrompt, PromptScorer
from jurat.models.protocol import Inquiry, ModelError
from jurat.models.white_box import ContinuationLogits, Deviation

if TYPE_CHECKING:
    from torch import Tensor

R = TypeVar("R")

_KEPT = 4096
"""Encoded conversations, and as many inquiries, that are remembered."""


def _bare(_batch: Sequence[int], _ids: Tensor) -> AbstractContextManager[object]:
    return nullcontext()


class PixelEncoder:
    """Conversations with pixels in the places of images, as prompts. Hold the model's lock `preparing`."""

    def __init__(self, model: ModelParts) -> None:
        """Raises:
        ModelError: the model's image processor takes no float tensors.
        """
        self._name = model.name
        self._images = FloatProcessor(getattr(model.encoder.processor, "image_processor", None), model.name)
        self.encoder = copy.copy(model.encoder)
        self.encoder.processor = copy.copy(model.encoder.processor)
        self.encoder.processor.image_processor = self._images.twin
        self._tried = False

    def words(self, encode: Callable[[Chat], R], chat: Chat, pixels: Sequence[Tensor]) -> R:
        """What the encoder makes of the chat with noise of the pixels' sizes.

        Raises:
            ModelError: the processor does not take the conversation, or pixels do not reach the network as
                `pixel_values` of its image processor.
        """
        import torch

        if pixels and not self._tried:
            with torch.enable_grad():
                self._try(*(self._noisy(self.encoder.encode_chat, chat, pixels, seed) for seed in (0, 1)))
        with torch.no_grad():
            return self._noisy(encode, chat, pixels, seed=0)

    def with_pixels(
        self, prompts: Sequence[Prompt], pixels: Sequence[Sequence[Tensor]], *, rounded: bool
    ) -> list[Prompt]:
        """Prompts that `words` made, with the pixels in them."""
        shown = [i for i, some in enumerate(pixels) if some]
        made = self._images.inputs([pixels[i] for i in shown], rounded=rounded)
        found = list(prompts)
        for i, inputs in zip(shown, made, strict=True):
            found[i] = replace(prompts[i], images={**prompts[i].images, PIXELS: inputs[PIXELS]})
        return found

    def about_each(self, chat: Chat, pixels: Sequence[Tensor], *, rounded: bool) -> list[Prompt]:
        """Prompts of one conversation about each of the pictures."""
        sizes = {one.shape: one for one in pixels}
        words = {shape: self.words(self.encoder.encode_chat, chat, [one]) for shape, one in sizes.items()}
        prompts = [words[one.shape] for one in pixels]
        return self.with_pixels(prompts, [[one] for one in pixels], rounded=rounded)

    def deviation(self, pixels: Sequence[Sequence[Tensor]], *, rounded: bool) -> Deviation:
        return self._images.deviation([some for some in pixels if some], rounded=rounded)

    def _noisy(self, encode: Callable[[Chat], R], chat: Chat, pixels: Sequence[Tensor], seed: int) -> R:
        import torch

        generator = torch.Generator().manual_seed(seed)
        noise = [torch.randint(0, 256, one.shape, generator=generator).float() for one in pixels]
        shown = with_images(chat, [one.requires_grad_() for one in noise])
        made = attempt(encode, shown)
        if isinstance(made, Failure):
            raise ModelError(made.reason)
        return made

    def _try(self, one: Prompt, other: Prompt) -> None:
        """Compares two prompts that differ in their noise, the last call's being `other`."""
        self._images.learn()
        alone = self._images.repeated().get(PIXELS)
        shown = other.images.get(PIXELS)
        changed = [n for n, v in one.images.items() if n != PIXELS and not v.equal(other.images[n])]
        reason = None
        if changed:
            reason = f"{' and '.join(changed)} depend on the pixels, too"
        elif shown is None or alone is None or not shown.equal(alone):
            reason = "its processor changes images after its image processor"
        elif not shown.requires_grad:
            reason = "its image processor does not keep them"
        if reason is not None:
            raise ModelError(f"{self._name!r} gives no gradients: {reason}.")
        self._tried = True


@dataclass(frozen=True)
class ReadSequence:
    """A conversation and its continuation as tokens."""

    row: ContinuedPrompt
    """Its images are noise."""
    read: Tensor
    """Token ids (n,) of the conversation and, unless a separate decoder reads it, of the continuation without
    its last token."""
    before: int
    """Tokens before the continuation's first one, in the sequence that holds the continuation."""
    conversation: int
    """Tokens of `read` that are the conversation's."""


class PixelGradients:
    """`Differentiable` for a local model. Keep it between calls: it remembers what it encoded."""

    def __init__(self, model: ModelParts) -> None:
        """Raises:
        ModelError: the model cannot give gradients; the message says why.
        """
        self._model = model
        self._pixels = PixelEncoder(model)
        self._scores = PromptScorer(model)
        self._encoded: OrderedDict[Any, ReadSequence] = OrderedDict()
        self._asked: OrderedDict[Any, list[Prompt]] = OrderedDict()
        self._begins = len(getattr(model.network, "begins", ()))
        self._keeps = "logits_to_keep" in signature(model.network.forward).parameters
        for weight in model.network.parameters():
            weight.requires_grad_(False)

    def continuations(
        self,
        chats: Sequence[Chat],
        pixels: Sequence[Sequence[Tensor]],
        texts: Sequence[str],
        *,
        rounded: bool = False,
    ) -> list[ContinuationLogits]:
        """See `jurat.models.Differentiable`."""
        import torch

        check_items(chats, pixels, texts)
        with torch.enable_grad():
            with self._model.preparing:
                self._model.recognise(sum(map(bool, pixels)))
                words = [self.sequence(*item) for item in zip(chats, pixels, texts, strict=True)]
                prompts = self.with_pixels([one.row.prompt for one in words], pixels, rounded=rounded)
            return self.run(words, prompts, lambda made: made)

    def with_pixels(
        self, prompts: Sequence[Prompt], pixels: Sequence[Sequence[Tensor]], *, rounded: bool
    ) -> list[Prompt]:
        """Prompts of `sequence`, with the pixels in them. Hold the model's lock `preparing`."""
        return self._pixels.with_pixels(prompts, pixels, rounded=rounded)

    def run(
        self,
        words: Sequence[ReadSequence],
        prompts: Sequence[Prompt],
        finish: Callable[[ContinuationLogits], R],
        around: Callable[[Sequence[int], Tensor], AbstractContextManager[object]] = _bare,
    ) -> list[R]:
        """What `finish` makes of the logits of each sequence, as soon as its pass is made.

        Args:
            prompts: the sequences' own, with pixels.
            around: a context for a pass, by the numbers of its sequences and its token ids.
        """
        for row in {id(one.row): one.row for one in words}.values():
            if (refused := self._scores.refusal(row)) is not None:
                raise ModelError(refused.reason)
        found: dict[int, R] = {}
        with self._model.computing:
            for batch in self._batches(words, prompts):
                made = self._forward(batch, [words[i] for i in batch], [prompts[i] for i in batch], around)
                found.update(zip(batch, map(finish, made), strict=True))
        return [found[i] for i in range(len(words))]

    def answers(
        self,
        inquiries: Sequence[Inquiry],
        pixels: Sequence[Sequence[Tensor]],
        *,
        rounded: bool = False,
    ) -> list[Tensor]:
        """See `jurat.models.Differentiable`."""
        import torch

        check_items([inquiry.prefix for inquiry in inquiries], pixels)
        with torch.enable_grad():
            with self._model.preparing:
                self._model.recognise(sum(map(bool, pixels)))
                words = [self._inquiry(*item) for item in zip(inquiries, pixels, strict=True)]
                owners = [i for i, some in enumerate(words) for _ in some]
                flat = [prompt for some in words for prompt in some]
                prompts = self._pixels.with_pixels(flat, [pixels[i] for i in owners], rounded=rounded)
            with self._model.computing:
                made = self._model.scorer.log_probabilities(prompts)
        parts: list[list[Tensor]] = [[] for _ in inquiries]
        for i, rows in zip(owners, made, strict=True):
            parts[i].append(rows)
        return [torch.cat(some) if some else torch.zeros(0, 2) for some in parts]

    def submitted(self, chats: Sequence[Chat], pixels: Sequence[Sequence[Tensor]]) -> list[Chat]:
        """See `jurat.models.Differentiable`."""
        check_items(chats, pixels)
        return [
            with_images(chat, [as_image(one) for one in some])
            for chat, some in zip(chats, pixels, strict=True)
        ]

    def deviation(
        self, chats: Sequence[Chat], pixels: Sequence[Sequence[Tensor]], *, rounded: bool = False
    ) -> Deviation:
        """See `jurat.models.Differentiable`."""
        check_items(chats, pixels)
        first = next((i for i, some in enumerate(pixels) if some), None)
        if first is None:
            return Deviation(0.0, 0.0)
        with self._model.preparing:
            self._pixels.words(self._pixels.encoder.encode_chat, chats[first], pixels[first])
            return self._pixels.deviation(pixels, rounded=rounded)

    def sequence(self, chat: Chat, pixels: Sequence[Tensor], text: str) -> ReadSequence:
        """The chat with its continuation, for pixels of these sizes; what was encoded is remembered. Hold the
        model's lock `preparing`."""
        shapes = tuple(one.shape for one in pixels)
        key = (conversation(chat), chat.generation.thinking, shapes, text)
        if key in self._encoded:
            self._encoded.move_to_end(key)
            return self._encoded[key]
        if not text:
            raise ValueError("A continuation is empty.")
        self._encoded[key] = made = self._encode(chat, pixels, text)
        if len(self._encoded) > _KEPT:
            self._encoded.popitem(last=False)
        return made

    def _inquiry(self, inquiry: Inquiry, pixels: Sequence[Tensor]) -> list[Prompt]:
        """Its prompts with noise as images; when they are made, `Scorer.score` checks the path they take."""
        shapes = tuple(one.shape for one in pixels)
        key = (conversation(inquiry.prefix), inquiry.questions, shapes)
        if key in self._asked:
            self._asked.move_to_end(key)
            return self._asked[key]
        encoder = self._pixels.encoder
        self._asked[key] = made = self._pixels.words(
            lambda shown: encoder.encode(replace(inquiry, prefix=shown)), inquiry.prefix, pixels
        )
        with self._model.computing:
            self._model.scorer.score(made)
        if len(self._asked) > _KEPT:
            self._asked.popitem(last=False)
        return made

    def _encode(self, chat: Chat, pixels: Sequence[Tensor], text: str) -> ReadSequence:
        import torch

        row = self._pixels.words(
            lambda shown: self._scores.encode(shown, text, self._pixels.encoder), chat, pixels
        )
        begun = row.prompt.prefix
        own = row.prompt.segments[0] if self._begins else row.tokens[:-1]
        read = torch.cat([begun, begun.new_tensor(own)])
        return ReadSequence(row, read, self._begins or len(begun), len(read) if self._begins else len(begun))

    def _batches(self, words: Sequence[ReadSequence], prompts: Sequence[Prompt]) -> list[list[int]]:
        """Sequences, by their numbers, that share a pass: alike ones, padded at their ends where every layer
        sees tokens through a mask only."""
        import torch

        scorer, single = self._model.scorer, count()
        even = scorer.even or not scorer.structure.pads

        def sharing(i: int) -> tuple[Any, ...]:
            length = len(words[i].read)
            alone = next(single) if scorer.structure.alone(length) else -1
            return prompts[i].kind, scorer.structure.regime(length), length if even else 0, alone

        batches: list[list[int]] = []
        for alike in by(range(len(words)), sharing):
            with torch.no_grad():
                together = scorer.joins([words[i].row.checked for i in alike])
            fitting = scorer.bounds.batches(
                alike, lambda i: (len(words[i].read),), lambda i: len(words[i].row.tokens)
            )
            batches.extend(fitting if together else ([i] for i in alike))
        return batches

    def _forward(
        self,
        batch: Sequence[int],
        words: Sequence[ReadSequence],
        prompts: Sequence[Prompt],
        around: Callable[[Sequence[int], Tensor], AbstractContextManager[object]],
    ) -> list[ContinuationLogits]:
        import torch

        network = self._model.network
        self._model.scorer.fresh()
        ids = _padded([one.read for one in words])
        width = ids.shape[1]
        more: dict[str, Any] = {}
        if self._begins:
            more["decoded"] = _padded([ids.new_tensor(one.row.tokens[:-1]) for one in words]).to(
                network.device
            )
        elif self._keeps:
            more["logits_to_keep"] = width - min(one.before for one in words) + 1
        attended = _padded([one.read.new_ones(len(one.read)) for one in words])
        along = [prompt.along_with(width - len(prompt.prefix)) for prompt in prompts]
        rows = {"input_ids": ids, "attention_mask": attended}
        rows |= {name: torch.stack([values[name] for values in along]) for name in along[0]}
        with around(batch, ids):
            logits = network(
                **{name: value.to(network.device) for name, value in rows.items()},
                **joined(prompts, network),
                **more,
                use_cache=False,
            ).logits
        logits = logits.to(torch.promote_types(logits.dtype, torch.float32))
        left_out = width - logits.shape[1] if not self._begins else 0
        return [
            ContinuationLogits(one.row.tokens, row[one.before - 1 - left_out :][: len(one.row.tokens)])
            for one, row in zip(words, logits, strict=True)
        ]


def with_images(chat: Chat, images: Sequence[Any]) -> Chat:
    """The chat with other images in the places of its own."""
    rest = iter(images)
    turns = (
        replace(turn, parts=tuple(part if isinstance(part, str) else next(rest) for part in turn.parts))
        for turn in chat.turns
    )
    return replace(chat, turns=tuple(turns))


def check_items(
    chats: Sequence[Chat], pixels: Sequence[Sequence[Tensor]], texts: Sequence[str] | None = None
) -> None:
    """Raises:
    ValueError: they have different lengths, or pixels do not stand for a chat's images.
    """
    if len(chats) != len(pixels):
        raise ValueError(f"There are {len(chats)} chats and pixels for {len(pixels)}.")
    for chat, some in zip(chats, pixels, strict=True):
        if len(chat.images) != len(some):
            raise ValueError(f"A chat has {len(chat.images)} images, and there are pixels for {len(some)}.")
    check_pixels(list({id(one): one for some in pixels for one in some}.values()))
    if texts is not None and len(texts) != len(chats):
        raise ValueError(f"There are {len(chats)} chats and {len(texts)} continuations.")


def _padded(rows: Sequence[Tensor]) -> Tensor:
    from torch.nn.utils.rnn import pad_sequence

    return pad_sequence(list(rows), batch_first=True)
