"""Continues many conversations in one batch, each with its own decoding settings.

Conversations about the same images share what they begin with: it is read once, images included, and
each goes on from a copy of what the model's layers kept of it (`expanding`).

`transformers.generate` has one setting for a whole batch. Here a logits processor applies each row's
own: it draws a row's token by adding Gumbel noise from the row's own generator to its scaled logits
and letting the greedy search take the largest, which is a draw from the softmax (the Gumbel-max
trick; Gumbel 1954, Maddison et al. 2014). So a row's text depends on its settings and not on its
company.
"""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

from jurat.models.base import Generation, Reply, Usage
from jurat.models.batching import by, joined
from jurat.models.encoding import common_length
from jurat.models.expanding import continued, keep

if TYPE_CHECKING:
    from torch import Tensor

    from jurat.models.encoding import Prompt
    from jurat.models.scoring import Scorer


def decode(
    network: Any,
    tokenizer: Any,
    prompts: Sequence[Prompt],
    settings: Sequence[Generation],
    scorer: Scorer | None = None,
) -> list[Reply]:
    """One reply a prompt, in order; all prompts are of one kind.

    `scorer`, of the same network, knows whether prefixes can be shared; without one none are.

    Raises what the model raises, for instance when memory runs out.
    """
    import torch

    with torch.inference_mode():
        longest = max(one.max_tokens for one in settings)
        common = None if scorer is None else shared(network, prompts, scorer, longest)
        inputs = _alone(network, tokenizer, prompts) if common is None else _continued(network, common)
        width = inputs["input_ids"].shape[1]
        ends = _ends(network, tokenizer)
        made = network.generate(
            **inputs,
            logits_processor=[_EachRow(settings, width, ends)],
            max_new_tokens=longest,
            pad_token_id=_pad(tokenizer),
            eos_token_id=ends or None,
            # Whatever the model's own generation config says: every record names the decoding it was made by.
            do_sample=False,
            num_beams=1,
            repetition_penalty=1.0,
            temperature=None,
            top_p=None,
            top_k=None,
        )
    return [
        _reply(tokenizer, row[width:].tolist(), len(prompt.prefix) + 1, one, ends)
        for row, prompt, one in zip(made, prompts, settings, strict=True)
    ]


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
    digest = hashlib.blake2b()
    for name, value in sorted(prompt.images.items()):
        digest.update(f"{name}{tuple(value.shape)}".encode())
        digest.update(value.contiguous().numpy().tobytes())
    return digest.hexdigest()


def _placeholders(network: Any) -> set[int]:
    """The tokens that stand for images and videos, by the configuration's names for them."""
    named = network.config.to_dict()
    return {
        value
        for name, value in named.items()
        if name in ("image_token_id", "image_token_index", "video_token_id", "video_token_index")
    }


class _EachRow:
    """A logits processor that treats every row as its own conversation wants it."""

    def __init__(self, settings: Sequence[Generation], width: int, ends: Sequence[int]) -> None:
        import torch

        self._settings = settings
        self._width = width
        self._ends = list(ends)
        # Drawn on the CPU, so that a seed means the same on every device.
        self._generators = [torch.Generator().manual_seed(one.seed or 0) for one in settings]

    def __call__(self, ids: Tensor, scores: Tensor) -> Tensor:
        rows = [self._row(ids[i : i + 1], scores[i : i + 1], i) for i in range(len(scores))]
        import torch

        return torch.cat(rows)

    def _row(self, ids: Tensor, scores: Tensor, i: int) -> Tensor:
        import torch

        one = self._settings[i]
        for processor in one.logits_processors:
            scores = processor(ids, scores)
        if ids.shape[1] - self._width >= one.max_tokens and self._ends:
            # It has had its tokens: it ends, while others go on.
            ended = torch.full_like(scores, float("-inf"))
            ended[:, self._ends[0]] = 0.0
            return ended
        if one.temperature > 0:
            uniform = torch.rand(scores.shape, generator=self._generators[i], dtype=torch.float64)
            noise = -torch.log(-torch.log(uniform.clamp_(1e-300, 1 - 1e-16)))
            return scores.float() / one.temperature + noise.to(scores.device, torch.float32)
        return scores


def _reply(tokenizer: Any, ids: list[int], read: int, settings: Generation, ends: Sequence[int]) -> Reply:
    ids = ids[: settings.max_tokens]
    stop = next((i for i, token in enumerate(ids) if token in ends), len(ids))
    text = tokenizer.decode(ids[:stop], skip_special_tokens=True).strip()
    return Reply(text, Usage(input_tokens=read, output_tokens=min(stop + 1, len(ids))))


def _ends(network: Any, tokenizer: Any) -> list[int]:
    """The tokens that end an answer: the model's own, or the tokenizer's."""
    ids = network.generation_config.eos_token_id
    ids = tokenizer.eos_token_id if ids is None else ids
    return [] if ids is None else list(ids) if isinstance(ids, (list, tuple)) else [int(ids)]


def _pad(tokenizer: Any) -> int:
    pad = tokenizer.pad_token_id
    return int(pad if pad is not None else tokenizer.eos_token_id or 0)
