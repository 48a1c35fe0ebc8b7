"""The decoding settings of each row of a batch, and the reply that its tokens spell.

`transformers.generate` has one setting for a whole batch. Here a logits processor applies each row's own: it
draws a row's token by adding Gumbel noise from the row's own generator to its scaled logits and letting the
greedy search take the largest, which is a draw from the softmax (the Gumbel-max trick; Gumbel 1954, Maddison
et al. 2014). So a row's text depends on its own settings only.
"""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from jurat.content import Chat, Failure, Generation, Reply, Usage

if TYPE_CHECKING:
    from torch import Tensor

    from jurat.models.hf.chat_templates import ThinkingTags
    from jurat.models.hf.prompt import Prompt


class ReplyReader:
    """Reads the text of a reply from its tokens."""

    def __init__(self, tokenizer: Any, thoughts: ThinkingTags | None) -> None:
        self._tokenizer = tokenizer
        self._thoughts = thoughts

    def text(self, ids: Sequence[int], settings: Generation) -> str:
        """The reply without thoughts; empty while the model is still thinking."""
        thoughts = self._thoughts if settings.thinking else None
        if thoughts is None:
            return self._tokenizer.decode(ids, skip_special_tokens=True)
        marks = self._tokenizer.decode(ids, skip_special_tokens=False)
        opening, closing = f"<{thoughts.tag}>", f"</{thoughts.tag}>"
        if closing not in marks:
            thinks = thoughts.opened or marks.lstrip().startswith(opening)
            return "" if thinks else self._tokenizer.decode(ids, skip_special_tokens=True)
        # The fewest tokens that hold the closing mark: of more, all do.
        first = 1 + bisect_left(
            range(1, len(ids)), True, key=lambda n: closing in self._tokenizer.decode(ids[:n])
        )
        rest = self._tokenizer.decode(ids[:first]).partition(closing)[2]
        return (rest + self._tokenizer.decode(ids[first:], skip_special_tokens=True)).lstrip()

    def stopped(self, ids: Sequence[int], settings: Generation) -> str | None:
        """The text up to the first of the stop texts that was written; None where none was."""
        if not settings.stop:
            return None
        text = self.text(ids, settings)
        ends = [at for stop in settings.stop if (at := text.find(stop)) >= 0]
        return text[: min(ends)] if ends else None


class RowSettings:
    """A logits processor that applies to every row the settings of its own conversation."""

    def __init__(
        self, settings: Sequence[Generation], width: int, ends: Sequence[int], reader: ReplyReader
    ) -> None:
        import torch
        from transformers import TopPLogitsWarper

        self.over: dict[int, int | Failure] = {}
        """Rows that end early: the number of tokens up to a stop text, or what went wrong."""
        self._ended: set[int] = set()
        """Rows that ended with a token of `ends`."""
        self.settings = settings
        self._width = width
        self._ends = list(ends)
        self._reader = reader
        self._nuclei = [TopPLogitsWarper(one.top_p) if one.top_p < 1 else None for one in settings]
        # Drawn on the CPU, so that a seed means the same on every device.
        self._generators = [torch.Generator().manual_seed(one.seed or 0) for one in settings]

    def __call__(self, ids: Tensor, scores: Tensor) -> Tensor:
        import torch

        made = ids.shape[1] - self._width
        if made:
            self._ended |= {i for i, token in enumerate(ids[:, -1].tolist()) if token in self._ends}
        for i in scores.isnan().any(-1).nonzero().flatten().tolist():
            if not self._is_over(i, made):
                self.over[i] = Failure("error", "The model's logits are not finite.")
        return torch.cat([self._row(ids[i : i + 1], scores[i : i + 1], i) for i in range(len(scores))])

    def _is_over(self, i: int, made: int) -> bool:
        """Whether a row's reply is complete, while others are continued: nothing that follows counts."""
        return i in self.over or i in self._ended or made >= self.settings[i].max_tokens

    def _row(self, ids: Tensor, scores: Tensor, i: int) -> Tensor:
        import torch

        one, made = self.settings[i], ids.shape[1] - self._width
        if one.stop and not self._is_over(i, made):
            written = ids[0, self._width :].tolist()
            if self._reader.stopped(written, one) is not None:
                self.over[i] = made
        if one.logits_processors and not self._is_over(i, made):
            try:
                scores = self._processed(ids, scores, one)
            except Exception as error:  # code of a user's own
                line = " ".join(str(error).split())[:200]
                reason = f"A logits processor failed: {type(error).__name__}: {line}".rstrip(": ")
                self.over[i] = Failure("error", reason)
        if self._is_over(i, made):
            ended = torch.full_like(scores, float("-inf"))
            ended[:, self._ends[0] if self._ends else 0] = 0.0
            return ended
        if one.temperature == 0:
            return scores
        scores = scores.float() / one.temperature
        if (nucleus := self._nuclei[i]) is not None:
            scores = nucleus(ids, scores)  # pyright: ignore[reportArgumentType]
        uniform = torch.rand(scores.shape, generator=self._generators[i], dtype=torch.float64)
        noise = -torch.log(-torch.log(uniform.clamp_(1e-300, 1 - 1e-16)))
        return scores + noise.to(scores.device, torch.float32)

    def _processed(self, ids: Tensor, scores: Tensor, one: Generation) -> Tensor:
        shape = scores.shape
        for processor in one.logits_processors:
            scores = processor(ids.clone(), scores.clone())
            if getattr(scores, "shape", None) != shape:
                raise ValueError(
                    f"it gave back {type(scores).__name__} in the place of scores {tuple(shape)}"
                )
        if bool(scores.isnan().any()) or not bool((scores > float("-inf")).any()):
            raise ValueError("it left no token that could follow")
        return scores


def reply_of(
    reader: ReplyReader,
    ids: list[int],
    read: int,
    settings: Generation,
    ends: Sequence[int],
    over: int | Failure | None,
) -> Reply:
    ids = ids[: min(over, settings.max_tokens) if isinstance(over, int) else settings.max_tokens]
    end = next((i for i, token in enumerate(ids) if token in ends), len(ids))
    usage = Usage(input_tokens=read, output_tokens=min(end + 1, len(ids)))
    if isinstance(over, Failure):
        return Reply(usage=usage, failure=over)
    before_stop = reader.stopped(ids[:end], settings)
    text = reader.text(ids[:end], settings) if before_stop is None else before_stop
    ended = end < len(ids) or before_stop is not None
    return Reply(text, usage, finish="stop" if ended else "length")


def settings_of(chat: Chat) -> Generation:
    """The conversation's own; a prefilled reply is continued without thinking."""
    begun = chat.prefilled_text is not None
    return replace(chat.generation, thinking=False) if begun else chat.generation


def reach(prompt: Prompt, chat: Chat) -> int:
    """The most tokens that a conversation may have when its reply ends."""
    return len(prompt.prefix) + 1 + chat.generation.max_tokens


def trimmed(reply: Reply, chat: Chat) -> Reply:
    """A reply without the spaces around it; those between a prefilled text and what follows it are a part of
    the reply."""
    return reply if chat.prefilled_text is not None else replace(reply, text=reply.text.strip())
