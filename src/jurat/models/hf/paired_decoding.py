"""Decodes one reply from two conversations: the capability `PairedDecoding` of a local model.

Both conversations are rows of one batch of `generate`, each with its own part of the cache; a logits
processor combines the rows' logits and has both rows continued by the token that is drawn. Where a checked
batch may not hold the two (`generation`), both are read anew for every token.
"""

from __future__ import annotations

import logging
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, cast

from jurat.content import Failure, Generation, Reply, Usage
from jurat.models.hf.batch_sizes import by
from jurat.models.hf.failures import FAULTS, failed, ran_out_of_memory
from jurat.models.hf.generation import Decoder
from jurat.models.hf.model_parts import ModelParts, attempt
from jurat.models.hf.prompt import Prompt
from jurat.models.hf.row_settings import RowSettings, reach, settings_of, trimmed
from jurat.models.protocol import Model, check_settings, invalid_setting
from jurat.models.white_box import ChatPair, PairReply

if TYPE_CHECKING:
    from torch import Tensor

    from jurat.models.hf.scoring import Scorer

log = logging.getLogger("jurat.models")


@dataclass(frozen=True)
class _Encoded:
    """A pair as tokens."""

    pair: ChatPair
    first: Prompt
    second: Prompt

    @property
    def settings(self) -> Generation:
        return settings_of(self.pair.first)

    def combined(self, first: Tensor, second: Tensor) -> Tensor:
        """The logits (1, vocabulary) that the next token is drawn from."""
        made = self.pair.combine(first.float(), second.float())
        if made.shape != first.shape:
            raise ValueError(f"Logits {list(made.shape)} were combined from logits {list(first.shape)}.")
        return made


class PairDecoder:
    """`PairedDecoding` for a local model."""

    def __init__(self, model: ModelParts) -> None:
        self._model = model

    def chat_pairs(self, pairs: Sequence[ChatPair]) -> list[PairReply]:
        """See `PairedDecoding`."""
        model = self._model
        check_settings(cast("Model", model), [pair.first for pair in pairs])
        model.refuse("conversations")
        with model.preparing:
            model.recognise(sum(bool(chat.images) for pair in pairs for chat in (pair.first, pair.second)))
            found = [self._encoded(pair) for pair in pairs]
        made = {i: PairReply(Reply(failure=e)) for i, e in enumerate(found) if isinstance(e, Failure)}
        encoded = {i: entry for i, entry in enumerate(found) if isinstance(entry, _Encoded)}
        for alike in by(encoded, lambda i: (encoded[i].first.kind, encoded[i].second.kind)):
            for batch in model.scorer.bounds.batches(alike, lambda i: _reaches(encoded[i])):
                replies = self._decoded([encoded[i] for i in batch])
                made.update({i: _counted(encoded[i], r) for i, r in zip(batch, replies, strict=True)})
        return [made[i] for i in range(len(pairs))]

    def _encoded(self, pair: ChatPair) -> _Encoded | Failure:
        if (wrong := invalid_setting(pair.first.generation)) is not None:
            return wrong
        # Thinking is a setting of the template: the second conversation is put like the first.
        second = replace(pair.second, generation=pair.first.generation)
        encode = self._model.encoder.encode_chat
        return attempt(lambda _: _Encoded(pair, encode(pair.first), encode(second)), pair)

    def _decoded(self, pairs: Sequence[_Encoded]) -> list[Reply]:
        """The replies; where memory runs out, or the network fails at one of the pairs, they are continued in
        two halves."""
        import torch

        model = self._model
        tokenizer, thoughts = model.encoder.tokenizer, model.encoder.template.thoughts
        try:
            with model.computing, torch.inference_mode():
                decoder = Decoder(model.network, tokenizer, model.scorer, thoughts)
                return _decoded(decoder, model.scorer, pairs)
        except (*FAULTS, MemoryError) as error:
            log.debug("%d pairs could not be continued", len(pairs), exc_info=True)
            if len(pairs) == 1:
                return [Reply(failure=failed(error))]
            if ran_out_of_memory(error):
                log.info("memory ran out; %d pairs are continued in two halves", len(pairs))
        half = len(pairs) // 2
        return [*self._decoded(pairs[:half]), *self._decoded(pairs[half:])]


def _decoded(decoder: Decoder, scorer: Scorer, pairs: Sequence[_Encoded]) -> list[Reply]:
    """The replies to pairs, all together if a batch may hold them."""
    prompts = [*(pair.first for pair in pairs), *(pair.second for pair in pairs)]
    settings = [pair.settings for pair in pairs]
    longest = max(one.max_tokens for one in settings)
    if len({prompt.kind for prompt in prompts}) == 1 and len(decoder.batches(prompts, settings * 2)) == 1:
        joint, common = decoder.joint(prompts, longest)
        if joint:
            inputs = decoder.inputs(prompts, common)
            width = inputs["input_ids"].shape[1]
            rows = RowSettings(settings, width, decoder.ends, decoder.reader)
            made = decoder.generate(inputs, _PairedRows(rows, pairs), longest)
            return decoder.replies(made[: len(pairs)].tolist(), prompts[: len(pairs)], rows, width)
    if len(pairs) > 1:
        return [reply for pair in pairs for reply in _decoded(decoder, scorer, [pair])]
    return [_read_anew(decoder, scorer, pairs[0])]


class _PairedRows:
    """A logits processor: the first half of the rows are first conversations, the second half theirs."""

    def __init__(self, rows: RowSettings, pairs: Sequence[_Encoded]) -> None:
        self._rows, self._pairs = rows, pairs

    def __call__(self, ids: Tensor, scores: Tensor) -> Tensor:
        import torch

        first, second = scores.chunk(2)
        combined = [pair.combined(first[i : i + 1], second[i : i + 1]) for i, pair in enumerate(self._pairs)]
        drawn = self._rows(ids[: len(first)], torch.cat(combined))
        return torch.cat([drawn, drawn])


def _read_anew(decoder: Decoder, scorer: Scorer, pair: _Encoded) -> Reply:
    """The reply to one pair whose conversations cannot share a batch, without a cache."""
    import torch

    device = scorer.network.device
    ids = pair.first.row(pair.first.segments[0])[0][None].to(device)
    width = ids.shape[1]
    rows = RowSettings([pair.settings], width, decoder.ends, decoder.reader)
    for _ in range(pair.settings.max_tokens):
        written = ids[0, width:].tolist()
        first, second = (_next(scorer, prompt, written) for prompt in (pair.first, pair.second))
        token = rows(ids, pair.combined(first, second)).argmax(-1, keepdim=True)
        ids = torch.cat([ids, token.to(device)], dim=1)
        if int(token) in decoder.ends or 0 in rows.over:
            break
    return decoder.replies(ids.tolist(), [pair.first], rows, width)[0]


def _next(scorer: Scorer, prompt: Prompt, written: Sequence[int]) -> Tensor:
    """Logits (1, vocabulary) of the token behind a conversation and what was written."""
    import torch

    if getattr(scorer.network, "begins", None):  # a decoder of its own reads what was written
        decoded = torch.tensor([written], dtype=torch.long)
        return scorer.logits([(prompt, prompt.segments[0])], decoded=decoded)[:, -1]
    return scorer.logits([(prompt, (*prompt.segments[0], *written))])[:, -1]


def _reaches(pair: _Encoded) -> tuple[int, int]:
    return reach(pair.first, pair.pair.first), reach(pair.second, pair.pair.first)


def _counted(pair: _Encoded, reply: Reply) -> PairReply:
    """The reply with the tokens of both conversations in its usage."""
    if reply.failure is not None and reply.usage == Usage():  # nothing was read
        return PairReply(reply)
    added = Usage(input_tokens=len(pair.second.prefix) + 1)
    return PairReply(trimmed(replace(reply, usage=reply.usage + added), pair.pair.first), added)
