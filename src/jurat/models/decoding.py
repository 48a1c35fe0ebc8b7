"""Continues many conversations in one batch, each with its own decoding settings.

`transformers.generate` has one setting for a whole batch. Here a logits processor applies each row's
own: it draws a row's token by adding Gumbel noise from the row's own generator to its scaled logits
and letting the greedy search take the largest, which is a draw from the softmax (the Gumbel-max
trick; Gumbel 1954, Maddison et al. 2014). So a row's text depends on its settings and not on its
company.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from jurat.models.base import Generation, Reply, Usage

if TYPE_CHECKING:
    from torch import Tensor

    from jurat.models.encoding import Prompt


def decode(
    network: Any, tokenizer: Any, prompts: Sequence[Prompt], settings: Sequence[Generation]
) -> list[Reply]:
    """One reply a prompt, in order; all prompts are of one kind.

    Raises what the model raises, for instance when memory runs out.
    """
    import torch

    from jurat.models.scoring import joined

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
    inputs = {k: v.to(network.device) for k, v in {**joined(prompts), **along}.items()}
    ends = _ends(network, tokenizer)
    with torch.inference_mode():
        made = network.generate(
            input_ids=ids.to(network.device),
            attention_mask=attended.to(network.device),
            **inputs,
            logits_processor=[_EachRow(settings, width, ends)],
            max_new_tokens=max(one.max_tokens for one in settings),
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
        _reply(tokenizer, row[width:].tolist(), length, one, ends)
        for row, length, one in zip(made, lengths, settings, strict=True)
    ]


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
