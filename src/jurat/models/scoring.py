"""Probabilities of Yes and No to many questions about one conversation, in one forward pass.

*Packed*: the prefix of an inquiry is followed by all its questions in one sequence. Each question
sees the prefix and itself, and its positions go on from the prefix's end, so that it reads as if it
alone had been asked. Logits are computed at the questions' last tokens only. Masked attention is a
sum over the keys that are seen, and rotary positions enter only by their values, so the result equals
separate calls up to rounding.

*Plain*: one row a question, rows of equal length together, no padding. It is right for every family
and is what packing is measured against.

Which of the two is taken follows from what the model is (`obstacle`), and is checked on the first
real pack: its last question is also asked alone. Where the two differ by more than the dtype's noise,
the model falls back to plain calls, with a warning.
"""

from __future__ import annotations

import logging
import math
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from inspect import signature
from itertools import accumulate
from typing import TYPE_CHECKING, Any, Literal, TypeVar

from jurat.models.base import YesNo

if TYPE_CHECKING:
    from torch import Tensor

    from jurat.models.encoding import Prompt

T = TypeVar("T")
log = logging.getLogger("jurat.models")

TOKENS_A_PASS = 16_384
"""Tokens of one forward pass, padding included."""
MASK_ENTRIES = 2**26
"""Entries of one attention mask: a pack of 8,192 tokens at most."""
NOISE_FLOOR = {"float32": 1e-3, "float16": 0.05, "bfloat16": 0.25}
"""Log-odds by which a packed and a separate call may always differ, by dtype."""
_PAD = -1
_PREFIX = 0


@dataclass(frozen=True)
class Scored:
    """The answers to one prompt, and what they cost."""

    answers: tuple[YesNo, ...]
    tokens: int
    shared: int
    """Of `tokens`, those that were computed once for all questions."""


def obstacle(network: Any) -> str | None:
    """Why a transformers model cannot take packed questions; None where its structure allows it."""
    from transformers import DynamicCache
    from transformers.cache_utils import DynamicLayer

    config = network.config
    text = config.get_text_config(decoder=True)
    parameters = signature(network.forward).parameters
    if config.is_encoder_decoder:
        return "it has an encoder that would see all questions at once"
    if not {"position_ids", "logits_to_keep", "attention_mask"} <= set(parameters):
        return "its forward pass takes no positions, or cannot keep the logits of chosen tokens only"
    if getattr(text, "cross_attention_layers", None):
        return "it attends to images by cross-attention, with a mask of its own"
    if "token_type_ids" in parameters or getattr(text, "use_bidirectional_attention", None):
        return "its prefix is attended to in both directions"
    if not getattr(text, "is_causal", True):
        return "its attention is not causal"
    kinds = {type(layer) for layer in DynamicCache(config=text).layers}
    if kinds - {DynamicLayer}:
        return (
            f"some of its layers keep {', '.join(sorted(kind.__name__ for kind in kinds - {DynamicLayer}))}"
        )
    if text._attn_implementation not in ("sdpa", "eager"):
        return f"its attention ({text._attn_implementation}) takes no mask of ours"
    return None


class Scorer:
    """Scores prompts with one transformers model."""

    def __init__(self, network: Any, yes: Sequence[int], no: Sequence[int]) -> None:
        self.network = network
        self._yes, self._no = list(yes), list(no)
        self._keeps = "logits_to_keep" in signature(network.forward).parameters
        self.obstacle = obstacle(network)
        """Why questions are not packed; None while they are."""
        self._checked = False

    @property
    def path(self) -> Literal["packed", "plain"]:
        return "plain" if self.obstacle else "packed"

    def score(self, prompts: Sequence[Prompt]) -> list[Scored]:
        """One result a prompt, in order.

        Raises what the model raises, for instance when memory runs out.
        """
        import torch

        results: list[Scored | None] = [None] * len(prompts)
        with torch.inference_mode():
            if self.path == "packed" and not self._checked:
                self._check(prompts)
            for chosen in _alike(prompts):
                group = [prompts[i] for i in chosen]
                # There is nothing to pack in a single question, and the plain call needs no check.
                pack = self.path == "packed" and len(group[0].segments) > 1
                for i, result in zip(
                    chosen, self._packed_all(group) if pack else self._plain_all(group), strict=True
                ):
                    results[i] = result
        return [result for result in results if result is not None]

    def _packed_all(self, prompts: Sequence[Prompt]) -> Iterator[Scored]:
        """Prompts of one kind, as many a pass as fit; one that is too long for a pass is split."""
        answers: list[list[YesNo]] = [[] for _ in prompts]
        split = [(i, list(_split(prompt))) for i, prompt in enumerate(prompts)]
        for n in range(max(len(parts) for _, parts in split)):
            nth = [(i, parts[n]) for i, parts in split if n < len(parts)]
            for alike in by(nth, lambda entry: len(entry[1].segments)):
                for batch in _batches(alike, lambda entry: _length(entry[1])):
                    for (i, _), found in zip(batch, self.packed([part for _, part in batch]), strict=True):
                        answers[i].extend(found)
        for prompt, found in zip(prompts, answers, strict=True):
            yield Scored(tuple(found), _length(prompt), len(prompt.prefix))

    def _plain_all(self, prompts: Sequence[Prompt]) -> Iterator[Scored]:
        rows = [
            (i, j, len(s) + len(p.prefix)) for i, p in enumerate(prompts) for j, s in enumerate(p.segments)
        ]
        answers: dict[tuple[int, int], YesNo] = {}
        for alike in by(rows, lambda row: row[2]):
            for batch in _batches(alike, lambda row: row[2]):
                found = self.plain([(prompts[i], prompts[i].segments[j]) for i, j, _ in batch])
                answers.update(((i, j), answer) for (i, j, _), answer in zip(batch, found, strict=True))
        for i, prompt in enumerate(prompts):
            tokens = sum(len(prompt.prefix) + len(segment) for segment in prompt.segments)
            yield Scored(tuple(answers[i, j] for j in range(len(prompt.segments))), tokens, 0)

    def packed(self, prompts: Sequence[Prompt]) -> list[list[YesNo]]:
        """Prompts of one kind and one number of questions in one forward pass, whatever its size.

        A row is its prefix, padding, and then one slot a question: as wide as the longest question
        that any row has there, the question at its right end. So the answers of all rows are read at
        the same positions.
        """
        import torch

        device = self.network.device
        layout = _lay_out(prompts)
        images = {k: v.to(device) for k, v in joined(prompts).items()}
        along = {k: v.to(device) for k, v in _along(prompts, layout.ids.shape, layout.width).items()}
        ids, owner, steps = layout.ids.to(device), layout.owner.to(device), layout.steps.to(device)
        before = {**images, **{k: v[:, : layout.width] for k, v in along.items()}}
        logits = self.network(
            input_ids=ids,
            attention_mask=self._mask(owner),
            position_ids=self._positions(ids, owner, steps, layout.width, before),
            logits_to_keep=torch.tensor(layout.ends, device=device) - 1,
            use_cache=False,
            **images,
            **along,
        ).logits
        return [self._read(row) for row in logits]

    def plain(self, rows: Sequence[tuple[Prompt, Sequence[int]]]) -> list[YesNo]:
        """(Prompt, one of its segments) a row, all of one kind and one length, in one forward pass."""
        import torch

        device = self.network.device
        ids = torch.stack([torch.cat([p.prefix, torch.tensor(segment)]) for p, segment in rows]).to(device)
        prompts = [prompt for prompt, _ in rows]
        along = {
            k: torch.stack(
                [torch.cat([p.along[k][:-1], p.along[k][-1:].expand(len(s), *v.shape[1:])]) for p, s in rows]
            )
            for k, v in prompts[0].along.items()
        }
        inputs = {k: v.to(device) for k, v in {**joined(prompts), **along}.items()}
        keep = {"logits_to_keep": 1} if self._keeps else {}
        output = self.network(
            input_ids=ids, attention_mask=torch.ones_like(ids), use_cache=False, **keep, **inputs
        )
        return self._read(output.logits[:, -1])

    def _mask(self, owner: Tensor) -> Tensor:
        """Additive attention mask (rows or 1, 1, T, T): each question sees the prefix and itself, causally.

        Padding sees padding only, so that no row of the softmax is empty, and is seen by nothing else.
        """
        import torch

        if bool((owner == owner[:1]).all()):
            owner = owner[:1]
        queries, keys = owner[:, :, None], owner[:, None, :]
        seen = ((queries == keys) | (keys == _PREFIX)).tril()
        dtype = self.network.dtype
        mask = torch.zeros(seen.shape, dtype=dtype, device=owner.device).masked_fill_(
            ~seen, torch.finfo(dtype).min
        )
        return mask[:, None]

    def _positions(
        self, ids: Tensor, owner: Tensor, steps: Tensor, width: int, inputs: dict[str, Tensor]
    ) -> Tensor:
        """Position ids as the family counts them: (rows, T), or with a leading axis for rotary
        positions of several axes.

        The prefixes', of which `inputs` are the other inputs, come from the family's own function. A
        question's tokens go on from the prefix's last token, which is text, so that every axis goes
        on by one a token.
        """
        import torch

        attended = (owner[:, :width] == _PREFIX).long()
        prefix = self.network._prepare_position_ids_for_generation(
            ids[:, :width], {**inputs, "attention_mask": attended}
        )
        prefix = prefix.expand(*prefix.shape[:-2], *attended.shape)
        last = (attended.sum(1) - 1)[:, None].expand(*prefix.shape[:-1], 1)
        return torch.cat([prefix, prefix.gather(-1, last) + steps[:, width:]], dim=-1)

    def _read(self, logits: Tensor) -> list[YesNo]:
        """Logits (n, vocabulary) to answers, by way of float64, so that small probabilities keep their
        ratio."""
        logits = logits.float()
        total = logits.logsumexp(-1).double()
        yes = (logits[:, self._yes].double().logsumexp(-1) - total).exp().tolist()
        no = (logits[:, self._no].double().logsumexp(-1) - total).exp().tolist()
        if not all(math.isfinite(value) for value in (*yes, *no)):
            raise ArithmeticError("the model's logits are not finite")
        return [YesNo(y, n) for y, n in zip(yes, no, strict=True)]

    def _check(self, prompts: Sequence[Prompt]) -> None:
        """Asks the last question of the first real pack alone, and gives up packing if the answers differ."""
        import torch

        prompt = next((prompt for prompt in prompts if len(prompt.segments) > 1), None)
        if prompt is None:
            return
        prompt = next(_split(prompt))
        last = (prompt, prompt.segments[-1])
        alone = self.plain([last])[0].log_odds
        twins = self.plain([last] * 3)[-1].log_odds
        limit = max(
            NOISE_FLOOR.get(str(self.network.dtype).removeprefix("torch."), 1e-3), 4 * abs(alone - twins)
        )
        try:
            packed = self.packed([prompt])[0][-1].log_odds
        except torch.OutOfMemoryError:
            raise  # says nothing of the model's structure
        except (TypeError, ValueError, RuntimeError, AttributeError, KeyError, IndexError) as error:
            self.obstacle = f"a packed call failed ({type(error).__name__}: {error})"
        else:
            if abs(packed - alone) > limit:
                self.obstacle = (
                    f"a packed answer differed from a separate one by {abs(packed - alone):.3g} in log-odds "
                    f"(at most {limit:.3g} would be rounding)"
                )
        self._checked = True
        if self.obstacle:
            log.warning("Questions are asked one by one, which is slower: %s.", self.obstacle)


@dataclass(frozen=True)
class _Layout:
    """Where the tokens of a pack lie. All tensors are (rows, T) int64."""

    ids: Tensor
    owner: Tensor
    """0 for a token of the prefix, j + 1 for one of question j, -1 for padding."""
    steps: Tensor
    """How many tokens a question's token lies behind the prefix's end: 1 for its first; 0 elsewhere."""
    width: int
    """Of the prefixes, padding included."""
    ends: list[int]
    """One past the last token of each question; the same in all rows."""


def _lay_out(prompts: Sequence[Prompt]) -> _Layout:
    import torch

    width = max(len(prompt.prefix) for prompt in prompts)
    slots = [max(map(len, column)) for column in zip(*(prompt.segments for prompt in prompts), strict=True)]
    ends = [width + end for end in accumulate(slots)]
    shape = (len(prompts), ends[-1])
    ids = torch.zeros(shape, dtype=torch.long)
    owner = torch.full(shape, _PAD)
    steps = torch.zeros(shape, dtype=torch.long)
    tails: dict[int, Tensor] = {}  # the prompts of a run share their segments: each tuple is laid out once
    for row, prompt in enumerate(prompts):
        if id(prompt.segments) not in tails:
            tails[id(prompt.segments)] = torch.tensor(_tail(prompt.segments, slots)).T
        ids[row, : len(prompt.prefix)] = prompt.prefix
        owner[row, : len(prompt.prefix)] = _PREFIX
        ids[row, width:], owner[row, width:], steps[row, width:] = tails[id(prompt.segments)]
    return _Layout(ids, owner, steps, width, ends)


def _tail(segments: Sequence[Sequence[int]], slots: Sequence[int]) -> list[tuple[int, int, int]]:
    """(id, owner, step) of every token behind the prefix: each question at the right end of its slot."""
    tail: list[tuple[int, int, int]] = []
    for owner, (segment, slot) in enumerate(zip(segments, slots, strict=True), start=1):
        tail.extend([(0, _PAD, 0)] * (slot - len(segment)))
        tail.extend((token, owner, step) for step, token in enumerate(segment, start=1))
    return tail


def _along(prompts: Sequence[Prompt], shape: tuple[int, ...], width: int) -> dict[str, Tensor]:
    """The inputs with a value a token, laid out; padding has zeros."""
    laid = {k: v.new_zeros((*shape, *v.shape[1:])) for k, v in prompts[0].along.items()}
    for row, prompt in enumerate(prompts):
        for name, value in prompt.along.items():
            laid[name][row, : len(prompt.prefix)] = value[:-1]
            laid[name][row, width:] = value[-1]
    return laid


def _alike(prompts: Sequence[Prompt]) -> list[list[int]]:
    """Indices of prompts that can share a pass: of one kind, with as many questions."""
    return by(range(len(prompts)), lambda i: (prompts[i].kind, len(prompts[i].segments)))


def by(entries: Iterable[T], key: Callable[[T], Any]) -> list[list[T]]:
    """The entries in groups of equal key, in order of first appearance."""
    groups: dict[Any, list[T]] = {}
    for entry in entries:
        groups.setdefault(key(entry), []).append(entry)
    return list(groups.values())


def joined(prompts: Sequence[Prompt]) -> dict[str, Tensor]:
    import torch

    return {name: torch.cat([prompt.images[name] for prompt in prompts]) for name in prompts[0].images}


def _length(prompt: Prompt) -> int:
    return len(prompt.prefix) + sum(len(segment) for segment in prompt.segments)


def _split(prompt: Prompt) -> Iterator[Prompt]:
    """The prompt, or several with some of its questions each, so that a pack's mask stays within bounds."""
    limit = min(TOKENS_A_PASS, math.isqrt(MASK_ENTRIES)) - len(prompt.prefix)
    part: list[tuple[int, ...]] = []
    for segment in prompt.segments:
        if part and sum(map(len, part)) + len(segment) > limit:
            yield replace(prompt, segments=tuple(part))
            part = []
        part.append(segment)
    yield replace(prompt, segments=tuple(part))


def _batches(entries: Sequence[T], length: Callable[[T], int]) -> Iterator[list[T]]:
    """Consecutive entries whose padded tokens and mask entries stay within bounds; at least one a batch."""
    batch: list[T] = []
    longest = 0
    for entry in entries:
        longest = max(longest, length(entry))
        rows = len(batch) + 1
        if batch and (rows * longest > TOKENS_A_PASS or rows * longest**2 > MASK_ENTRIES):
            yield batch
            batch, longest = [], length(entry)
        batch.append(entry)
    if batch:
        yield batch
