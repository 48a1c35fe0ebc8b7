"""Continues many conversations in one batch, each with its own decoding settings (`row_settings`).

Conversations about the same images share a prefix, which is read once (`shared_prefixes`); each is continued
from a copy of the cache (`kv_cache`).

The first batch of every form is checked before it is continued: the first steps of its last, its longest and
its shortest conversation are also computed alone (`pass_checks`).
"""

from __future__ import annotations

import logging
import math
from collections.abc import Mapping, Sequence
from itertools import count
from typing import TYPE_CHECKING, Any

from jurat.content import Generation, Reply
from jurat.models.hf.batch_sizes import by, joined
from jurat.models.hf.failures import FAULTS, ran_out_of_memory
from jurat.models.hf.kv_cache import continued, keep, left_padded
from jurat.models.hf.pass_checks import likely_difference, names_of
from jurat.models.hf.pass_shapes import PassCheck, Way, form_of, picked, reach_of
from jurat.models.hf.row_settings import ReplyReader, RowSettings, reply_of
from jurat.models.hf.shared_prefixes import SharedPrefixes, shared

if TYPE_CHECKING:
    from torch import Tensor

    from jurat.models.hf.chat_templates import ThinkingTags
    from jurat.models.hf.prompt import Prompt
    from jurat.models.hf.scoring import Scorer


_STEPS = 3
"""Tokens that are compared: the first is predicted from the whole conversation, two more from the cache."""

log = logging.getLogger("jurat.models")


def decode(
    network: Any,
    tokenizer: Any,
    prompts: Sequence[Prompt],
    settings: Sequence[Generation],
    scorer: Scorer | None = None,
    thoughts: ThinkingTags | None = None,
) -> list[Reply]:
    """One reply a prompt, in order; all prompts are of one kind.

    `scorer`, of the same network, knows what a batch may hold and whether prefixes can be shared; without
    one all conversations are continued together, and no prefix is shared. `thoughts` is how the model writes
    what it thinks, which the replies of conversations with `thinking` do not contain.

    Raises what the model raises, for instance when memory runs out.
    """
    import torch

    with torch.inference_mode():
        return Decoder(network, tokenizer, scorer, thoughts).decode(prompts, settings)


class Decoder:
    """Continues conversations with one network."""

    def __init__(
        self, network: Any, tokenizer: Any, scorer: Scorer | None, thoughts: ThinkingTags | None
    ) -> None:
        self._network = network
        self._tokenizer = tokenizer
        self._scorer = scorer
        self.reader = ReplyReader(tokenizer, thoughts)
        self.ends = _ends(network, tokenizer)

    def decode(self, prompts: Sequence[Prompt], settings: Sequence[Generation]) -> list[Reply]:
        replies: dict[int, Reply] = {}
        for group in self.batches(prompts, settings):
            made = self._batch([prompts[i] for i in group], [settings[i] for i in group])
            replies.update(zip(group, made, strict=True))
        return [replies[i] for i in range(len(prompts))]

    def batches(self, prompts: Sequence[Prompt], settings: Sequence[Generation]) -> list[list[int]]:
        """Conversations, by their numbers, that may be continued together."""
        if (scorer := self._scorer) is None:
            return [list(range(len(prompts)))]
        structure, single = scorer.structure, count()

        def sharing(i: int) -> tuple[Any, ...]:
            now = len(prompts[i].prefix) + 1
            then = now + settings[i].max_tokens
            # Where one of them grows beyond a length, the positions of all are scaled in another way.
            alone = structure.alone(then) or structure.regime(now) != structure.regime(then)
            if alone or names_of(prompts[i]) in scorer.apart or names_of(prompts[i]) in scorer.unjoined:
                return (next(single),)
            return (structure.regime(now), now if scorer.even else 0, -1)

        groups: list[list[int]] = []
        for group in by(range(len(prompts)), sharing):
            together = scorer.joins([prompts[i] for i in group])
            groups.extend([group] if together else [[i] for i in group])
        return groups

    def _batch(self, prompts: Sequence[Prompt], settings: Sequence[Generation]) -> list[Reply]:
        """The replies of conversations that may be continued together."""
        longest = max(one.max_tokens for one in settings)
        joint, common = self.joint(prompts, longest)
        if not joint:
            return self.decode(prompts, settings)  # the scorer has learned what a batch may hold
        inputs = self.inputs(prompts, common)
        width = inputs["input_ids"].shape[1]
        rows = RowSettings(settings, width, self.ends, self.reader)
        made = self.generate(inputs, rows, longest)
        return self.replies(made.tolist(), prompts, rows, width)

    def joint(self, prompts: Sequence[Prompt], longest: int) -> tuple[bool, SharedPrefixes | None]:
        """Whether these conversations may be continued together by `longest` tokens, as a check of the first
        steps finds, and the prefixes that they then share."""
        scorer = self._scorer
        if scorer is None or len(prompts) == 1:
            return True, None
        common = shared(self._network, prompts, scorer, longest)
        if common is not None and self._verified(scorer, prompts, longest, common):
            return True, common
        return self._verified(scorer, prompts, longest, None), None

    def replies(
        self, made: Sequence[list[int]], prompts: Sequence[Prompt], rows: RowSettings, width: int
    ) -> list[Reply]:
        """What the tokens of each row behind the first `width` say."""
        return [
            reply_of(self.reader, ids[width:], len(prompt.prefix) + 1, one, self.ends, rows.over.get(i))
            for i, (ids, prompt, one) in enumerate(zip(made, prompts, rows.settings, strict=True))
        ]

    def generate(self, inputs: Mapping[str, Any], processor: Any, tokens: int) -> Tensor:
        """Generates by greedy search, ignoring the model's own generation config."""
        return self._network.generate(
            **inputs,
            logits_processor=[processor],
            max_new_tokens=tokens,
            pad_token_id=_pad(self._tokenizer),
            eos_token_id=self.ends or None,
            do_sample=False,
            num_beams=1,
            repetition_penalty=1.0,
            temperature=None,
            top_p=None,
            top_k=None,
        )

    def inputs(self, prompts: Sequence[Prompt], common: SharedPrefixes | None) -> dict[str, Any]:
        """What `generate` takes of conversations; prefixes that they share are read for it."""
        if self._scorer is not None:
            self._scorer.fresh()
        if common is None:
            return _alone(self._network, self._tokenizer, prompts)
        return _continued(self._network, common)

    # --- the check -------------------------------------------------------------------------------

    def _verified(
        self, scorer: Scorer, prompts: Sequence[Prompt], longest: int, common: SharedPrefixes | None
    ) -> bool:
        """Whether a batch's first steps equal those of each conversation alone; if not, `scorer` restricts
        passes.
        """
        way: Way = "chat" if common is None else "continued"
        form, reach = form_of(way, prompts, scorer.structure, longest), reach_of(prompts, longest)
        if scorer.verified.covers(form, reach):
            return True
        token = self._ordinary(prompts)
        try:
            together = self._steps(self.inputs(prompts, common), token)
        except FAULTS as error:
            if ran_out_of_memory(error):
                raise
            scorer.narrow_chat(form, f"a call about several of them failed ({type(error).__name__})")
            return False
        worst, limit = -1.0, 0.0
        for i, _ in picked(prompts, longest_only=scorer.verified.knows(form)):
            alone = self._steps(self.inputs(prompts[i : i + 1], None), token)[0]
            if not bool(alone.isnan().any()):
                worst = max(worst, likely_difference(together[i], alone))
                limit = max(limit, scorer.limit(prompts[i], worst))
        if worst < 0:  # logits of none are finite: there is nothing to compare
            return True
        scorer.checks.append(PassCheck(way, form.text, worst, limit))
        if worst <= limit:
            scorer.verified.add(form, reach)
            return True
        reason = f"a token's log-probability differed by {worst:.3g} from that of a conversation alone"
        scorer.narrow_chat(form, f"{reason} (at most {limit:.3g} would be rounding)")
        return False

    def _steps(self, inputs: Mapping[str, Any], token: int) -> Tensor:
        """Log-probabilities (rows, `_STEPS`, vocabulary) of conversations that are continued by `token`,
        whatever the model would write."""
        import torch

        seen: list[Tensor] = []

        def forced(_: Tensor, scores: Tensor) -> Tensor:
            seen.append(scores.float().log_softmax(-1))
            only = torch.full_like(scores, -math.inf)
            only[:, token] = 0.0
            return only

        self.generate(inputs, forced, _STEPS)
        return torch.stack(seen, dim=1)

    def _ordinary(self, prompts: Sequence[Prompt]) -> int:
        """A token of a prompt that ends no answer."""
        last = [*prompts[-1].prefix.tolist(), *prompts[-1].segments[0]]
        return next((token for token in reversed(last) if token not in self.ends), last[-1])


def _alone(network: Any, tokenizer: Any, prompts: Sequence[Prompt]) -> dict[str, Any]:
    """Inputs of whole conversations, padded on the left."""
    rows = [prompt.row(prompt.segments[0]) for prompt in prompts]  # the only segment is the last token
    ids, attended, along = left_padded(rows, _pad(tokenizer), network.device)
    return {"input_ids": ids, "attention_mask": attended, **along, **joined(prompts, network)}


def _continued(network: Any, common: SharedPrefixes) -> dict[str, Any]:
    """Inputs of conversations whose prefixes have been read, in the cache."""
    kept = keep(network, common.prefixes)
    rows = continued(kept, common.owners, common.rests, left=True)
    return {
        "input_ids": rows.ids,
        "attention_mask": rows.attended,
        "position_ids": rows.positions,
        "past_key_values": kept.expanded(common.owners),
        **rows.along,
    }


def _ends(network: Any, tokenizer: Any) -> list[int]:
    """Tokens that end an answer, from the model or the tokenizer."""
    ids = network.generation_config.eos_token_id
    ids = tokenizer.eos_token_id if ids is None else ids
    return [] if ids is None else list(ids) if isinstance(ids, (list, tuple)) else [int(ids)]


def _pad(tokenizer: Any) -> int:
    pad = tokenizer.pad_token_id
    return int(pad if pad is not None else tokenizer.eos_token_id or 0)
