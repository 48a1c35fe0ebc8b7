"""Guards that write their verdict: one image in each prompt, greedy decoding, and the probability at the
deciding token."""

from __future__ import annotations

import logging
import math
import time
from abc import ABC, abstractmethod
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, ClassVar

from jurat.bench.cost import Spending, flops, sizes_of
from jurat.bench.guards.interface import GuardAnswer
from jurat.models.hf.load_model import LoadedModel

if TYPE_CHECKING:
    from PIL import Image
    from torch import Tensor


log = logging.getLogger("jurat.bench")


@dataclass(frozen=True)
class WrittenReply:
    """A guard's reply with its tokens, logits and cost."""

    text: str
    tokens: tuple[int, ...]
    logits: Tensor
    """Logits that each token was chosen from: (tokens, vocabulary), float32."""
    spending: Spending


class ChatGuard(ABC):
    """Base of the guards whose network has a chat template that takes an image.

    A subclass adds `kind`, `categories` and `notes` of `Guard`.
    """

    most: ClassVar[int]
    """Largest number of tokens in a reply."""

    def __init__(self, name: str, loaded: LoadedModel, policy: str | None = None) -> None:
        """`policy`: text after the image in each prompt."""
        self.name, self._policy = name, policy
        self.network = loaded.network
        self.processor = loaded.processor
        self.revision = loaded.full_revision
        self._sizes = sizes_of(self)

    @abstractmethod
    def read(self, reply: WrittenReply) -> GuardAnswer:
        """Parses a reply."""

    def look(self, images: Sequence[Image.Image]) -> list[GuardAnswer]:
        """See `Guard`."""
        return each(images, lambda image: self.read(self.reply(image)))

    def reply(self, image: Image.Image) -> WrittenReply:
        """The reply to a user turn of the image followed by the policy.

        Raises whatever the processor or the network raises for an image that they do not take.
        """
        import torch

        content: list[dict[str, Any]] = [{"type": "image", "image": image.convert("RGB")}]
        if self._policy is not None:
            content.append({"type": "text", "text": self._policy})
        start = time.perf_counter()
        inputs = self.processor.apply_chat_template(
            [{"role": "user", "content": content}],
            add_generation_prompt=True,
            tokenize=True,
            return_dict=True,
            return_tensors="pt",
        ).to(self.network.device, dtype=self.network.dtype)
        with torch.inference_mode():
            made = self.network.generate(
                **inputs,
                max_new_tokens=self.most,
                do_sample=False,
                return_dict_in_generate=True,
                output_logits=True,
            )
        read = inputs["input_ids"].shape[1]
        tokens = tuple(made.sequences[0, read:].tolist())
        logits = torch.stack([step[0] for step in made.logits]).float().cpu()
        spent = Spending(1, read, len(tokens), seconds=time.perf_counter() - start)
        spent = Spending(1, read, len(tokens), flops=flops(spent, self._sizes), seconds=spent.seconds)
        shown = self.processor.tokenizer.decode(tokens, skip_special_tokens=True)
        return WrittenReply(shown, tokens, logits, spent)

    def probability(self, reply: WrittenReply, before: str, words: tuple[str, str]) -> float:
        """P(second word) / (P(first) + P(second)) at the first token in which the two words differ, after the
        text `before` of the reply; nan where the reply was tokenized in another way."""
        first, second = (self._ids(before + word) for word in words)
        step = next(
            (i for i, (a, b) in enumerate(zip(first, second, strict=False)) if a != b),
            min(len(first), len(second)),
        )
        if step >= min(len(first), len(second), len(reply.logits)):
            return math.nan
        if reply.tokens[step] not in (first[step], second[step]) or reply.tokens[:step] != first[:step]:
            return math.nan
        one, other = (float(reply.logits[step, ids[step]]) for ids in (first, second))
        return 1 / (1 + math.exp(min(700.0, one - other)))

    def _ids(self, text: str) -> tuple[int, ...]:
        return tuple(self.processor.tokenizer(text, add_special_tokens=False)["input_ids"])


def each(images: Sequence[Image.Image], look: Callable[[Image.Image], GuardAnswer]) -> list[GuardAnswer]:
    """The answer on each image; where `look` raises, an undecided answer with the reason "error"."""
    found: list[GuardAnswer] = []
    for image in images:
        try:
            found.append(look(image))
        except Exception:  # processors and networks raise anything at all of what they cannot take
            log.debug("a guard could not look at an image", exc_info=True)
            found.append(GuardAnswer(None, reason="error"))
    return found
