"""Continues many conversations in one batch, each with its own decoding settings.

Conversations about the same images share what they begin with: it is read once, images included, and
each goes on from a copy of what the model's layers kept of it (`expanding`).

`transformers.generate` has one setting for a whole batch. Here a logits processor applies each row's
own: it draws a row's token by adding Gumbel noise from the row's own generator to its scaled logits
and letting the greedy search take the largest, which is a draw from the softmax (the Gumbel-max
trick; Gumbel 1954, Maddison et al. 2014). So a row's text depends on its settings and not on its
company.

The first batch of every form is checked before it is continued: the first steps of its last, its
longest and its shortest conversation are also computed alone (`checking`).
"""

from __future__ import annotations

import hashlib
import logging
import math
from bisect import bisect_left
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import count
from typing import TYPE_CHECKING, Any

from jurat.content import Failure, Generation, Reply, Usage
from jurat.models.hf.batch_sizes import by, joined, ran_out_of_memory
from jurat.models.hf.encoding import common_length
from jurat.models.hf.kv_cache import continued, keep
from jurat.models.hf.pass_checks import FAULTS, likely_difference, names_of
from jurat.models.hf.pass_shapes import Check, Way, form_of, picked, reach_of

if TYPE_CHECKING:
    from torch import Tensor

    from jurat.models.hf.chat_templates import Thoughts
    from jurat.models.hf.prompt import Prompt
    from jurat.models.hf.scoring import Scorer


_STEPS = 3
"""Tokens of a conversation that are compared: one from the whole of it, two from what was kept of it."""

log = logging.getLogger("jurat.models")


def decode(
    network: Any,
    tokenizer: Any,
    prompts: Sequence[Prompt],
    settings: Sequence[Generation],
    scorer: Scorer | None = None,
    thoughts: Thoughts | None = None,
) -> list[Reply]:
    """One reply a prompt, in order, as its tokens spell it; all prompts are of one kind.

    `scorer`, of the same network, knows what a batch may hold and whether prefixes can be shared; without
    one all conversations are continued together, and no prefix is shared. `thoughts` is how the model writes
    what it thinks, which the replies of conversations with `thinking` do not contain.

    Raises what the model raises, for instance when memory runs out.
    """
    import torch

    replies: dict[int, Reply] = {}
    with torch.inference_mode():
        for group in _batches(prompts, settings, scorer):
            chosen, own = [prompts[i] for i in group], [settings[i] for i in group]
            made = _decode(network, tokenizer, chosen, own, scorer, thoughts)
            replies.update(zip(group, made, strict=True))
    return [replies[i] for i in range(len(prompts))]


def _decode(
    network: Any,
    tokenizer: Any,
    prompts: Sequence[Prompt],
    settings: Sequence[Generation],
    scorer: Scorer | None,
    thoughts: Thoughts | None,
) -> list[Reply]:
    """The replies of conversations that may be continued together."""
    longest = max(one.max_tokens for one in settings)
    common = None
    if scorer is not None and len(prompts) > 1:
        common = shared(network, prompts, scorer, longest)
        if common is not None and not _verified(network, tokenizer, prompts, longest, scorer, common):
            common = None
        if common is None and not _verified(network, tokenizer, prompts, longest, scorer, None):
            # What a batch may hold has been learned just now.
            return decode(network, tokenizer, prompts, settings, scorer, thoughts)
    if scorer is not None:
        scorer.fresh()
    inputs = _inputs(network, tokenizer, prompts, common)
    width, ends = inputs["input_ids"].shape[1], _ends(network, tokenizer)
    reader = _Reader(tokenizer, thoughts)
    rows = _EachRow(settings, width, ends, reader)
    made = network.generate(
        **inputs, **_greedy(tokenizer, ends), logits_processor=[rows], max_new_tokens=longest
    )
    return [
        _reply(reader, ids[width:].tolist(), len(prompt.prefix) + 1, one, ends, rows.over.get(i))
        for i, (ids, prompt, one) in enumerate(zip(made, prompts, settings, strict=True))
    ]


def _greedy(tokenizer: Any, ends: Sequence[int]) -> dict[str, Any]:
    """Settings that override the model's own generation config: every record names the decoding it was made
    by."""
    return {
        "pad_token_id": _pad(tokenizer),
        "eos_token_id": list(ends) or None,
        "do_sample": False,
        "num_beams": 1,
        "repetition_penalty": 1.0,
        "temperature": None,
        "top_p": None,
        "top_k": None,
    }


def _batches(
    prompts: Sequence[Prompt], settings: Sequence[Generation], scorer: Scorer | None
) -> list[list[int]]:
    """Conversations, by their numbers, that may be continued together."""
    if scorer is None:
        return [list(range(len(prompts)))]
    structure, single = scorer.structure, count()

    def sharing(i: int) -> tuple[Any, ...]:
        now = len(prompts[i].prefix) + 1
        then = now + settings[i].max_tokens
        # Where one of them goes beyond a length, the positions of all are scaled in another way.
        alone = structure.alone(then) or structure.regime(now) != structure.regime(then)
        if alone or names_of(prompts[i]) in scorer.apart or names_of(prompts[i]) in scorer.unjoined:
            return (next(single),)
        return (structure.regime(now), now if scorer.even else 0, -1)

    groups: list[list[int]] = []
    for group in by(range(len(prompts)), sharing):
        together = scorer.joins([prompts[i] for i in group])
        groups.extend([group] if together else [[i] for i in group])
    return groups


# --- the check -----------------------------------------------------------------------------------


def _verified(
    network: Any,
    tokenizer: Any,
    prompts: Sequence[Prompt],
    longest: int,
    scorer: Scorer,
    common: Shared | None,
) -> bool:
    """Whether a batch's first steps are those of each conversation alone; if not, `scorer` has taken note."""
    way: Way = "chat" if common is None else "continued"
    form, reach = form_of(way, prompts, scorer.structure, longest), reach_of(prompts, longest)
    if scorer.verified.covers(form, reach):
        return True
    token = _ordinary(prompts, _ends(network, tokenizer))
    scorer.fresh()
    try:
        together = _steps(network, tokenizer, _inputs(network, tokenizer, prompts, common), token)
    except FAULTS as error:
        if ran_out_of_memory(error):
            raise
        scorer.narrow_chat(form, f"a call about several of them failed ({type(error).__name__})")
        return False
    worst, limit = -1.0, 0.0
    for i, _ in picked(prompts, longest_only=scorer.verified.knows(form)):
        scorer.fresh()
        alone = _steps(network, tokenizer, _inputs(network, tokenizer, prompts[i : i + 1], None), token)[0]
        if not bool(alone.isnan().any()):
            worst = max(worst, likely_difference(together[i], alone))
            limit = max(limit, scorer.limit(prompts[i], worst))
    if worst < 0:  # none of them gave numbers, so nothing could be told
        return True
    scorer.checks.append(Check(way, form.text, worst, limit))
    if worst <= limit:
        scorer.verified.add(form, reach)
        return True
    reason = f"a token's log-probability differed by {worst:.3g} from that of a conversation alone"
    scorer.narrow_chat(form, f"{reason} (at most {limit:.3g} would be rounding)")
    return False


def _steps(network: Any, tokenizer: Any, inputs: Mapping[str, Any], token: int) -> Tensor:
    """Log-probabilities (rows, `_STEPS`, vocabulary) where conversations go on with a token, whatever they
    would go on with."""
    import torch

    seen: list[Tensor] = []

    def forced(_: Tensor, scores: Tensor) -> Tensor:
        seen.append(scores.float().log_softmax(-1))
        only = torch.full_like(scores, -math.inf)
        only[:, token] = 0.0
        return only

    network.generate(
        **inputs,
        **_greedy(tokenizer, _ends(network, tokenizer)),
        logits_processor=[forced],
        max_new_tokens=_STEPS,
    )
    return torch.stack(seen, dim=1)


def _ordinary(prompts: Sequence[Prompt], ends: Sequence[int]) -> int:
    """A token of a prompt that ends no answer."""
    last = [*prompts[-1].prefix.tolist(), *prompts[-1].segments[0]]
    return next((token for token in reversed(last) if token not in ends), last[-1])


@dataclass(frozen=True)
class Shared:
    """Conversations taken apart into what some of them begin with and what each goes on with."""

    prefixes: list[Prompt]
    """Each with the images; its segments are what follows it."""
    owners: list[int]
    """The prefix of each conversation, by its number."""
    rests: list[tuple[int, ...]]


def shared(network: Any, prompts: Sequence[Prompt], scorer: Scorer, longest: int) -> Shared | None:
    """The conversations taken apart; None where none share images, or where the model does not allow it.

    `longest` is how many tokens may be added to a conversation.
    """
    whole = [(*prompt.prefix.tolist(), *prompt.segments[0]) for prompt in prompts]
    images = _placeholders(network)
    prefixes: list[Prompt] = []
    owners, rests = [0] * len(prompts), list(whole)
    for group in by(range(len(prompts)), lambda i: _digest(prompts[i]) or i):
        rows = [whole[i] for i in group]
        cut = min(common_length([list(row) for row in rows]), min(map(len, rows)) - 1)
        together = cut > 0 and not any(images & set(row[cut:]) for row in rows)
        for members in [group] if together else [[i] for i in group]:
            length = cut if together else len(whole[members[0]]) - 1
            for i in members:
                owners[i], rests[i] = len(prefixes), whole[i][length:]
            first = prompts[members[0]]
            along = {k: v[: length + 1] for k, v in first.along.items()}
            follow = tuple(dict.fromkeys(rests[i] for i in members))
            prefixes.append(replace(first, prefix=first.prefix[:length], segments=follow, along=along))
    if len(prefixes) == len(prompts):
        return None
    width = max(len(p.prefix) for p in prefixes) + max(map(len, rests)) + longest
    return Shared(prefixes, owners, rests) if scorer.may_continue(prefixes, width) else None


def _inputs(network: Any, tokenizer: Any, prompts: Sequence[Prompt], common: Shared | None) -> dict[str, Any]:
    return _alone(network, tokenizer, prompts) if common is None else _continued(network, common)


def _alone(network: Any, tokenizer: Any, prompts: Sequence[Prompt]) -> dict[str, Any]:
    """Inputs of whole conversations, padded on the left."""
    import torch

    lengths = [len(prompt.prefix) + 1 for prompt in prompts]  # the only segment is the last token
    width = max(lengths)
    ids = torch.full((len(prompts), width), _pad(tokenizer))
    attended = torch.zeros_like(ids)
    along = {k: v.new_zeros((len(prompts), width, *v.shape[1:])) for k, v in prompts[0].along.items()}
    for row, (prompt, length) in enumerate(zip(prompts, lengths, strict=True)):
        ids[row, -length:] = torch.cat([prompt.prefix, torch.tensor(prompt.segments[0])])
        attended[row, -length:] = 1
        for name, value in prompt.along.items():
            along[name][row, -length:] = value
    rows = {"input_ids": ids, "attention_mask": attended, **along}
    return {**{k: v.to(network.device) for k, v in rows.items()}, **joined(prompts, network)}


def _continued(network: Any, common: Shared) -> dict[str, Any]:
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


def _digest(prompt: Prompt) -> str | None:
    """Equal for prompts that show the same images; None for one without any."""
    if not prompt.images:
        return None
    import torch

    digest = hashlib.blake2b()
    for name, value in sorted(prompt.images.items()):
        digest.update(f"{name}{value.dtype}{tuple(value.shape)}".encode())
        # As bytes: numpy has no bfloat16, which some processors make.
        digest.update(value.contiguous().flatten().view(torch.uint8).numpy().tobytes())
    return digest.hexdigest()


def _placeholders(network: Any) -> set[int]:
    """The tokens that stand for images and videos, by the configuration's names for them."""
    named = network.config.to_dict()
    return {
        value
        for name, value in named.items()
        if name in ("image_token_id", "image_token_index", "video_token_id", "video_token_index")
    }


class _Reader:
    """Reads the text of a reply from its tokens."""

    def __init__(self, tokenizer: Any, thoughts: Thoughts | None) -> None:
        self._tokenizer = tokenizer
        self._thoughts = thoughts

    def text(self, ids: Sequence[int], settings: Generation) -> str:
        """What is said, without thoughts; empty while the model still thinks."""
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


class _EachRow:
    """A logits processor that treats every row as its own conversation wants it."""

    def __init__(
        self, settings: Sequence[Generation], width: int, ends: Sequence[int], reader: _Reader
    ) -> None:
        import torch
        from transformers import TopPLogitsWarper

        self.over: dict[int, int | Failure] = {}
        """By row, before others are: after how many tokens a stop text was written, or what went wrong."""
        self._settings = settings
        self._width = width
        self._ends = list(ends)
        self._reader = reader
        self._nuclei = [TopPLogitsWarper(one.top_p) if one.top_p < 1 else None for one in settings]
        # Drawn on the CPU, so that a seed means the same on every device.
        self._generators = [torch.Generator().manual_seed(one.seed or 0) for one in settings]

    def __call__(self, ids: Tensor, scores: Tensor) -> Tensor:
        import torch

        for i in scores.isnan().any(-1).nonzero().flatten().tolist():
            self.over.setdefault(i, Failure("error", "The model's logits are not finite."))
        return torch.cat([self._row(ids[i : i + 1], scores[i : i + 1], i) for i in range(len(scores))])

    def _row(self, ids: Tensor, scores: Tensor, i: int) -> Tensor:
        import torch

        one, made = self._settings[i], ids.shape[1] - self._width
        if one.stop and i not in self.over:
            written = ids[0, self._width :].tolist()
            by_itself = any(token in self._ends for token in written)
            if not by_itself and self._reader.stopped(written, one) is not None:
                self.over[i] = made
        if i not in self.over and one.logits_processors:
            try:
                scores = self._processed(ids, scores, one)
            except Exception as error:  # code of a user's own
                line = " ".join(str(error).split())[:200]
                reason = f"A logits processor failed: {type(error).__name__}: {line}".rstrip(": ")
                self.over[i] = Failure("error", reason)
        if i in self.over or made >= one.max_tokens:
            # It has had its tokens, or failed: it ends, while others go on.
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


def _reply(
    reader: _Reader,
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


def _ends(network: Any, tokenizer: Any) -> list[int]:
    """The tokens that end an answer: the model's own, or the tokenizer's."""
    ids = network.generation_config.eos_token_id
    ids = tokenizer.eos_token_id if ids is None else ids
    return [] if ids is None else list(ids) if isinstance(ids, (list, tuple)) else [int(ids)]


def _pad(tokenizer: Any) -> int:
    pad = tokenizer.pad_token_id
    return int(pad if pad is not None else tokenizer.eos_token_id or 0)
