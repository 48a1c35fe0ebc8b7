"""Log-probabilities of given continuations of conversations, by teacher forcing.

Each conversation with its continuation is one row of a forward pass; rows of equal length share one, without
padding, and the first pass of every form is compared with separate ones, as passes of questions are
(`pass_checks`). An encoder reads the conversation and its decoder the continuation.
"""

from __future__ import annotations

import logging
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from jurat.content import Chat, Failure, Usage
from jurat.models.capabilities import PromptScore
from jurat.models.hf.batch_sizes import by
from jurat.models.hf.failures import FAULTS, failed
from jurat.models.hf.model_parts import ModelParts, attempt
from jurat.models.hf.pass_checks import ResultsDiffer, likely_difference, names_of
from jurat.models.hf.pass_shapes import form_of, reach_of
from jurat.models.hf.steering import without_hooks

if TYPE_CHECKING:
    from torch import Tensor

    from jurat.models.hf.encoding import Encoder
    from jurat.models.hf.prompt import Prompt

log = logging.getLogger("jurat.models")

_SEES_AHEAD = Failure(
    "error", "The model's conversation attends to what follows it, so a continuation would be seen ahead."
)


@dataclass(frozen=True)
class ContinuedPrompt:
    """A conversation with its continuation."""

    prompt: Prompt
    """The conversation: its prefix, or prefix and segment where an encoder reads it."""
    tokens: tuple[int, ...]
    """Token ids of the continuation."""
    checked: Prompt
    """What the pass reads of it, as a prompt, for the comparison with a separate pass."""

    @classmethod
    def of(cls, prompt: Prompt) -> ContinuedPrompt:
        """Made from a prompt whose only segment is the continuation."""
        (tokens,) = prompt.segments
        return cls(prompt, tokens, prompt.ending(tokens[:-1]))

    @property
    def shape(self) -> tuple[object, ...]:
        """Rows of equal shape may share a pass."""
        return self.prompt.kind, len(self.prompt.prefix), len(self.tokens)


class PromptScorer:
    """The capability `PromptScores` of a local model."""

    def __init__(self, parts: ModelParts) -> None:
        self._parts = parts
        self._decodes_apart = bool(getattr(parts.network, "begins", None))

    def prompt_scores(
        self, chats: Sequence[Chat], continuations: Sequence[str]
    ) -> list[PromptScore | Failure]:
        """See `PromptScores`."""
        if len(chats) != len(continuations):
            raise ValueError(f"There are {len(chats)} conversations and {len(continuations)} continuations.")
        if not all(chat.images for chat in chats):
            self._parts.refuse("questions without an image")
        with self._parts.preparing:
            self._parts.recognise(sum(bool(chat.images) for chat in chats))
            found: list[ContinuedPrompt | Failure] = [
                attempt(lambda pair: self.encode(*pair), pair)
                for pair in zip(chats, continuations, strict=True)
            ]
        scores = iter(self.score([row for row in found if isinstance(row, ContinuedPrompt)]))
        return [next(scores) if isinstance(entry, ContinuedPrompt) else entry for entry in found]

    def score(self, rows: Sequence[ContinuedPrompt]) -> list[PromptScore | Failure]:
        """One result a row, in order."""
        scores: dict[int, PromptScore | Failure] = {}
        for alike in by(range(len(rows)), lambda i: rows[i].shape):
            if (refused := self.refusal(rows[alike[0]])) is not None:
                scores.update(dict.fromkeys(alike, refused))
                continue
            for batch in self._parts.scorer.bounds.batches(
                alike,
                lambda i: (len(rows[i].prompt.prefix), len(rows[i].tokens)),
                lambda i: len(rows[i].tokens),
            ):
                scores.update(zip(batch, self._scored([rows[i] for i in batch]), strict=True))
        return [scores[i] for i in range(len(rows))]

    def refusal(self, row: ContinuedPrompt) -> Failure | None:
        """Why continuations of conversations like this one cannot be scored; None where they can.

        The first token's probability must not depend on whether that token is read.
        """
        names, known = names_of(row.prompt), self._parts.continuation_refusals
        if self._decodes_apart or len(row.tokens) == 1:
            return None
        if names in known:
            return known[names]
        import torch

        scorer = self._parts.scorer
        try:
            with self._parts.computing, without_hooks(), torch.inference_mode():
                reads = (row.tokens[:1], ())
                seen, unseen = (
                    scorer.logits([(row.prompt, t)], len(t) + 1)[:, 0].log_softmax(-1) for t in reads
                )
        except (*FAULTS, MemoryError):  # a fault of the item's, as its own score will say
            return None
        if bool(seen.isnan().any() or unseen.isnan().any()):  # likewise
            return None
        difference = likely_difference(seen, unseen)
        sees_ahead = difference > scorer.limit(row.checked, difference)
        known[names] = _SEES_AHEAD if sees_ahead else None
        return known[names]

    def encode(self, chat: Chat, continuation: str, encoder: Encoder | None = None) -> ContinuedPrompt:
        """Raises whatever the processor raises for input that it cannot take. `encoder` replaces the
        model's.
        """
        encoder = encoder or self._parts.encoder
        if self._decodes_apart:
            prompt = encoder.encode_chat(chat)
            tokens = encoder.tokenizer(continuation, add_special_tokens=False)["input_ids"]
            if not tokens:
                raise ValueError("the continuation has no tokens")
            return ContinuedPrompt(prompt, tuple(tokens), prompt)
        return ContinuedPrompt.of(encoder.encode_continuation(chat, continuation))

    def _scored(self, rows: Sequence[ContinuedPrompt]) -> list[PromptScore | Failure]:
        """Scores of rows of one shape; where the network fails at several, each half is tried alone."""
        try:
            with self._parts.computing:
                together = len(rows) == 1 or self._share_a_pass(rows)
                batches = [rows] if together else [[row] for row in rows]
                return [score for batch in batches for score in self._pass(batch)]
        except (*FAULTS, MemoryError) as error:
            log.debug("%d continuations could not be scored", len(rows), exc_info=True)
            if len(rows) == 1:
                return [failed(error)]
        half = len(rows) // 2
        return [*self._scored(rows[:half]), *self._scored(rows[half:])]

    def _share_a_pass(self, rows: Sequence[ContinuedPrompt]) -> bool:
        """Whether rows of one shape may; a form of pass that is new is compared with separate passes."""
        import torch

        scorer = self._parts.scorer
        prompts = [row.checked for row in rows]
        if scorer.structure.alone(len(prompts[0].prefix) + 1):
            return False
        with torch.inference_mode():
            if not scorer.joins(prompts):
                return False
            if scorer.verified.covers(form_of("plain", prompts, scorer.structure), reach_of(prompts)):
                return True
            try:
                scorer.checked("plain", prompts)
            except ResultsDiffer as differs:
                if not scorer.narrow(differs):
                    raise
                return False
        return True

    def _pass(self, rows: Sequence[ContinuedPrompt]) -> list[PromptScore | Failure]:
        import torch

        count = len(rows[0].tokens)
        tokens = torch.tensor([row.tokens for row in rows])
        with torch.inference_mode():
            logits = self._logits(rows, tokens, count)
            chances = logits.float().log_softmax(-1)
            found = chances.gather(-1, tokens.to(chances.device)[..., None])[..., 0].double().cpu()
        scores: list[PromptScore | Failure] = []
        for row, chance in zip(rows, found, strict=True):
            usage = Usage(input_tokens=len(row.prompt.prefix) + count)
            if bool(chance.isnan().any()):
                scores.append(Failure("error", "The model's logits are not finite.", usage))
            else:
                scores.append(PromptScore(tuple(chance.tolist()), usage))
        return scores

    def _logits(self, rows: Sequence[ContinuedPrompt], tokens: Tensor, count: int) -> Tensor:
        """Logits (rows, tokens of a continuation, vocabulary) from which each token is predicted."""
        scorer = self._parts.scorer
        if self._decodes_apart:
            read = [(row.prompt, row.prompt.segments[0]) for row in rows]
            return scorer.logits(read, count, decoded=tokens[:, :-1])
        return scorer.logits([(row.prompt, row.tokens[:-1]) for row in rows], count)
