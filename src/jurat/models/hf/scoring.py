"""Probabilities of Yes and No to many questions about one conversation.

*Packed*: the prefix of an inquiry and all its questions in one sequence, in one forward pass
(`packing`). Masked attention is a sum over the keys that are seen, and rotary positions enter only by
their values, so the result equals separate calls up to rounding.

*Cached*: the prefix is read once, and copies of what the layers kept of it are continued by the
questions, a row each (`kv_cache`).

*Plain*: one row a question, rows of equal length together, no padding. It is right for every family
and is what the others are measured against.

The first of the three is taken that the model's structure allows (`architecture`, `masks`). The first
pass of every form is compared with separate calls, and again where sequences grow longer (`pass_checks`).
Where they differ, passes hold less from then on, or the model falls back to the next path, with a warning.
"""

from __future__ import annotations

import logging
import math
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from inspect import signature
from typing import TYPE_CHECKING, Any, TypeVar

from jurat.content import Failure
from jurat.models.hf.architecture import as_opened
from jurat.models.hf.attention import use_blocks
from jurat.models.hf.batch_sizes import PassLimits, by, joined
from jurat.models.hf.failures import ran_out_of_memory
from jurat.models.hf.kv_cache import check_prefix, keep, last_logits
from jurat.models.hf.masks import UnsharablePrefix, UnsupportedPath
from jurat.models.hf.packing import packed_inputs
from jurat.models.hf.pass_checks import Checker, ResultsDiffer
from jurat.models.hf.pass_shapes import Path, form_of
from jurat.models.hf.prompt import length, slots
from jurat.models.protocol import YesNo

if TYPE_CHECKING:
    from torch import Tensor

    from jurat.models.hf.prompt import Prompt

T = TypeVar("T")

PATHS: tuple[Path, ...] = ("packed", "cached", "plain")

log = logging.getLogger("jurat.models")

_SLOWER = {
    "cached": "Questions are asked from a kept prefix, which is slower than packing them",
    "plain": "Questions are asked one by one, which is slower",
}
_INFINITE = YesNo(0.0, 0.0, Failure("error", "The model's logits are not finite."))


@dataclass(frozen=True)
class ScoredPrompt:
    """The answers to one prompt, and the tokens they took."""

    answers: tuple[YesNo, ...]
    tokens: int
    shared: int
    """How many of `tokens` were computed once for all questions."""


class Scorer(Checker):
    """Scores prompts with one transformers model."""

    def __init__(
        self, network: Any, yes: Sequence[int], no: Sequence[int], *, path: Path | None = None
    ) -> None:
        """`yes` and `no` are the tokens of the answers. `path` fixes one, for measuring; None chooses."""
        use_blocks(network)
        super().__init__(network)
        self.bounds = PassLimits.of(network)
        self.reasons: dict[Path, str] = {}
        """Why paths before the one that is taken are not."""
        self._yes, self._no = list(yes), list(no)
        self._keeps = "logits_to_keep" in signature(network.forward).parameters
        if self.structure.packing:
            self.reasons["packed"] = self.structure.packing
        if self.structure.keeping:
            self.reasons["cached"] = self.structure.keeping
        for one in PATHS[: PATHS.index(path)] if path else ():
            self.reasons[one] = f"the {path} path was asked for"

    @property
    def path(self) -> Path:
        for path in PATHS:
            if path not in self.reasons:
                return path
        return "plain"

    @property
    def obstacle(self) -> str | None:
        """Why questions are not packed; None if they are."""
        return self.reasons.get("packed")

    def score(self, prompts: Sequence[Prompt]) -> list[ScoredPrompt]:
        """One result a prompt, in order.

        Raises what the model raises, for instance when memory runs out for a single question.
        """
        import torch

        bounds = self.bounds
        with torch.inference_mode():
            while True:
                path = self.path
                try:
                    return self._score(prompts)
                except UnsupportedPath as unfit:
                    with self._learning:
                        self._give_up(path, unfit)
                except Exception as error:
                    if not ran_out_of_memory(error):
                        raise
                    if self.bounds.tokens < 1:
                        self.bounds = bounds  # that one question is too large makes others no larger
                        raise
                    self.bounds = self.bounds.halved()
                    log.info("memory ran out; passes are halved to %d tokens", self.bounds.tokens)

    def _score(self, prompts: Sequence[Prompt]) -> list[ScoredPrompt]:
        answers: list[dict[int, YesNo]] = [{} for _ in prompts]
        costs = [(0, 0) for _ in prompts]
        for alike in by(self._parts(prompts), lambda part: (_form(part.prompt, self.pads), part.sharing)):
            group = [part.prompt for part in alike]
            ways = {"packed": self._packed_all, "cached": self._cached_all, "plain": self._plain_all}
            for part, scored in zip(alike, ways[self._path_of(alike)](group), strict=True):
                answers[part.item].update(zip(part.places, scored.answers, strict=True))
                tokens, shared = costs[part.item]
                costs[part.item] = tokens + scored.tokens, shared + scored.shared
        return [
            ScoredPrompt(tuple(found[j] for j in range(len(found))), *cost)
            for found, cost in zip(answers, costs, strict=True)
        ]

    def _parts(self, prompts: Sequence[Prompt]) -> Iterator[_QuestionGroup]:
        """The prompts, split where questions may not share a pass."""
        structure = self.structure
        for item, prompt in enumerate(prompts):
            before = len(prompt.prefix)
            lengths = [before + len(segment) for segment in prompt.segments]
            scaling = [(structure.regime(n), structure.alone(n)) for n in lengths]
            for places in by(range(len(lengths)), scaling.__getitem__):
                regime, alone = scaling[places[0]]
                own = tuple(prompt.segments[j] for j in places)
                part = prompt if len(places) == len(lengths) else replace(prompt, segments=own)
                # A prefix that is read without its question is scaled by its own length.
                kept = structure.regime(before) == regime
                yield _QuestionGroup(item, places, part, (len(places), regime, alone, kept))

    def _path_of(self, alike: Sequence[_QuestionGroup]) -> Path:
        questions, _, alone, kept = alike[0].sharing
        # One question has nothing to share.
        if questions == 1 or alone or (self.path == "cached" and not kept):
            return "plain"
        return self.path

    def _packed_all(self, prompts: Sequence[Prompt]) -> Iterator[ScoredPrompt]:
        """Prompts of one form, as many a pass as fit; one that is too long for a pass is split."""
        answers: list[list[YesNo]] = [[] for _ in prompts]
        split = [(i, list(self.bounds.split(prompt))) for i, prompt in enumerate(prompts)]
        for n in range(max(len(parts) for _, parts in split)):
            nth = [(i, parts[n]) for i, parts in split if n < len(parts)]
            for alike in by(nth, lambda entry: len(entry[1].segments)):
                for batch in self._passes(
                    alike, lambda e: e[1], lambda e: slots(e[1]), lambda e: len(e[1].segments)
                ):
                    found = self.checked("packed", [part for _, part in batch])
                    for (i, _), more in zip(batch, found, strict=True):
                        answers[i].extend(more)
        for prompt, found in zip(prompts, answers, strict=True):
            yield ScoredPrompt(tuple(found), length(prompt), len(prompt.prefix))

    def _cached_all(self, prompts: Sequence[Prompt]) -> Iterator[ScoredPrompt]:
        """Prompts of one form; those with prefixes of equal length are read together."""
        answers: dict[int, list[YesNo]] = {}
        for alike in by(range(len(prompts)), lambda i: len(prompts[i].prefix)):
            for batch in self._passes(
                alike, lambda i: prompts[i], lambda i: (len(prompts[i].prefix),), equal=False
            ):
                found = self.checked("cached", [prompts[i] for i in batch])
                answers.update(zip(batch, found, strict=True))
        for i, prompt in enumerate(prompts):
            yield ScoredPrompt(tuple(answers[i]), length(prompt), len(prompt.prefix))

    def _plain_all(self, prompts: Sequence[Prompt]) -> Iterator[ScoredPrompt]:
        """A row a question; rows of equal length share a pass."""
        rows = [
            (i, j, replace(prompt, segments=(segment,)))
            for i, prompt in enumerate(prompts)
            for j, segment in enumerate(prompt.segments)
        ]
        answers: dict[tuple[int, int], YesNo] = {}
        for alike in by(rows, lambda row: (row[2].kind, length(row[2]))):
            for batch in self._passes(alike, lambda row: row[2], lambda row: (length(row[2]),)):
                found = self.checked("plain", [row for _, _, row in batch])
                answers.update(((i, j), one) for (i, j, _), (one,) in zip(batch, found, strict=True))
        for i, prompt in enumerate(prompts):
            tokens = sum(len(prompt.prefix) + len(segment) for segment in prompt.segments)
            yield ScoredPrompt(tuple(answers[i, j] for j in range(len(prompt.segments))), tokens, 0)

    def _passes(
        self,
        entries: Sequence[T],
        prompt: Callable[[T], Prompt],
        parts: Callable[[T], Sequence[int]],
        questions: Callable[[T], int] = lambda _: 1,
        *,
        equal: bool = True,
    ) -> Iterator[list[T]]:
        """Entries of one form that fit a pass; one a pass where they are not to be joined. `equal` separates
        lengths where only equal ones share a pass."""
        if not self.joins([prompt(entry) for entry in entries]):
            yield from ([entry] for entry in entries)
            return
        for alike in by(entries, parts) if self.even and equal else [entries]:
            yield from self.bounds.batches(alike, parts, questions)

    # --- the three paths -------------------------------------------------------------------------

    def packed(self, prompts: Sequence[Prompt]) -> list[list[YesNo]]:
        """Prompts of one form and one number of questions in one forward pass, whatever its size."""
        self.fresh()
        logits = self.network(**packed_inputs(self.network, prompts)).logits
        return [self._read(row) for row in logits]

    def cached(self, prompts: Sequence[Prompt]) -> list[list[YesNo]]:
        """Prompts of one form and one length of prefix: the prefixes in one pass, then their questions."""
        self.fresh()
        check_prefix(self.network, prompts)
        kept = keep(self.network, prompts)
        rows = [(i, j) for i, prompt in enumerate(prompts) for j in range(len(prompt.segments))]
        answers: dict[tuple[int, int], YesNo] = {}
        width = kept.rows.ids.shape[1]

        def size(row: tuple[int, int]) -> int:
            return len(prompts[row[0]].segments[row[1]])

        for alike in by(rows, size) if self.even else [rows]:
            # Where the forward pass takes no `logits_to_keep`, it makes logits of every token.
            for batch in self.bounds.batches(
                alike, lambda row: (width, size(row)), lambda row: 1 if self._keeps else size(row)
            ):
                owners, segments = [i for i, _ in batch], [prompts[i].segments[j] for i, j in batch]
                found = self._read(last_logits(self.network, kept, owners, segments))
                answers.update(zip(batch, found, strict=True))
        return [[answers[i, j] for j in range(len(p.segments))] for i, p in enumerate(prompts)]

    def plain(self, rows: Sequence[tuple[Prompt, Sequence[int]]]) -> list[YesNo]:
        """(Prompt, one of its segments) a row, all of one kind and one length, in one forward pass."""
        return self._read(self.logits(rows)[:, 0])

    def logits(
        self, rows: Sequence[tuple[Prompt, Sequence[int]]], last: int = 1, *, decoded: Tensor | None = None
    ) -> Tensor:
        """Logits at the `last` tokens of each row, (rows, last, vocabulary). `decoded` (rows, tokens) is what
        the decoder of an encoder and a decoder is given to read."""
        import torch

        self.fresh()
        device = self.network.device
        prompts = [prompt for prompt, _ in rows]
        made = [prompt.row(segment) for prompt, segment in rows]
        ids = torch.stack([ids for ids, _ in made]).to(device)
        along = {k: torch.stack([values[k] for _, values in made]) for k in prompts[0].along}
        inputs = {**joined(prompts, self.network), **{k: v.to(device) for k, v in along.items()}}
        if self._keeps:
            inputs["logits_to_keep"] = last
        if decoded is not None:
            inputs["decoded"] = decoded.to(device)
        output = self.network(input_ids=ids, attention_mask=torch.ones_like(ids), use_cache=False, **inputs)
        return output.logits[:, -last:]

    def fresh(self) -> None:
        """Call before a pass: some networks keep the position scaling of their longest pass so far."""
        if self.structure.growing is not None:
            as_opened(self.network)

    def _read(self, logits: Tensor) -> list[YesNo]:
        """Logits (n, vocabulary) to answers, by way of float64, so that small probabilities keep their
        ratio. A row that holds what is no number is a failure of its own."""
        logits = logits.float()
        total = logits.logsumexp(-1).double()
        yes = (logits[:, self._yes].double().logsumexp(-1) - total).exp().tolist()
        no = (logits[:, self._no].double().logsumexp(-1) - total).exp().tolist()
        sound = [math.isfinite(y) and math.isfinite(n) for y, n in zip(yes, no, strict=True)]
        return [YesNo(y, n) if s else _INFINITE for y, n, s in zip(yes, no, sound, strict=True)]

    def log_probabilities(self, prompts: Sequence[Prompt]) -> list[Tensor]:
        """Log-probabilities of Yes and No to each question of each prompt, (questions, 2) float32, with the
        gradients that the prompts' images ask for.

        Call `score` on prompts of the same words and sizes first: it chooses and checks the path.
        """
        import torch

        found: dict[tuple[int, int], Tensor] = {}
        for alike in by(self._parts(prompts), lambda part: (_form(part.prompt, self.pads), part.sharing)):
            read = self._packed_logits if self._path_of(alike) == "packed" else self._plain_logits
            for part, logits in zip(alike, read([part.prompt for part in alike]), strict=True):
                found.update(((part.item, j), row) for j, row in zip(part.places, logits, strict=True))
        return [
            self._of_answers(torch.stack([found[i, j] for j in range(len(prompt.segments))]))
            for i, prompt in enumerate(prompts)
        ]

    def _packed_logits(self, prompts: Sequence[Prompt]) -> Iterator[Tensor]:
        """(questions, vocabulary) for each prompt; prompts have one form and one number of questions."""
        for batch in self._passes(prompts, lambda one: one, slots, lambda one: len(one.segments)):
            self.fresh()
            yield from self.network(**packed_inputs(self.network, batch)).logits

    def _plain_logits(self, prompts: Sequence[Prompt]) -> Iterator[Tensor]:
        """The same with a row a question; rows of equal length share a pass."""
        import torch

        rows = [(i, j) for i, prompt in enumerate(prompts) for j in range(len(prompt.segments))]
        made: dict[tuple[int, int], Tensor] = {}

        def own(row: tuple[int, int]) -> Prompt:
            return replace(prompts[row[0]], segments=(prompts[row[0]].segments[row[1]],))

        for alike in by(rows, lambda row: (own(row).kind, length(own(row)))):
            for batch in self._passes(alike, own, lambda row: (length(own(row)),)):
                made.update(
                    zip(batch, self.logits([(own(r), own(r).segments[0]) for r in batch])[:, 0], strict=True)
                )
        for i, prompt in enumerate(prompts):
            yield torch.stack([made[i, j] for j in range(len(prompt.segments))])

    def _of_answers(self, logits: Tensor) -> Tensor:
        """Log-probabilities of Yes and No (n, 2) from logits (n, vocabulary)."""
        import torch

        logits = logits.float()
        spelt = [logits[:, tokens].logsumexp(-1) for tokens in (self._yes, self._no)]
        return torch.stack(spelt, -1) - logits.logsumexp(-1, keepdim=True)

    def _give_up(self, path: Path, unfit: UnsupportedPath) -> None:
        """Restricts passes, or takes the next path; logs a warning where a check failed. Of several threads
        that found the same, only the first acts."""
        if isinstance(unfit, ResultsDiffer) and self.narrow(unfit):
            return
        if path == "plain":  # nothing is left to fall back to
            raise unfit
        if path != self.path:
            return
        self.reasons[path] = str(unfit)
        self.even = self.structure.even  # it was not the lengths
        if isinstance(unfit, UnsharablePrefix):
            self.reasons["cached"] = str(unfit)
        (log.warning if isinstance(unfit, ResultsDiffer) else log.info)("%s: %s.", _SLOWER[self.path], unfit)

    # --- conversations from shared prefixes -------------------------------------------------------

    def may_continue(self, prefixes: Sequence[Prompt], width: int) -> bool:
        """Whether conversations may be continued from cached prefixes, with padding between prefix and rest.

        Raises what the model raises on a plain call.
        """
        import torch

        structure, window = self.structure, self.structure.window
        if (
            "cached" in self.reasons
            or self.unshared
            or not structure.pads
            or (window is not None and width > window)
            or structure.alone(width)
            or structure.regime(min(len(one.prefix) for one in prefixes)) != structure.regime(width)
        ):
            return False
        chosen = max(prefixes, key=lambda prompt: len(prompt.segments))
        if self.verified.knows(form_of("cached", [chosen], structure)):
            return True
        try:
            with torch.inference_mode():
                self.checked("cached", [chosen])
        except UnsupportedPath as unfit:
            self.reasons["cached"] = str(unfit)
            level = logging.WARNING if isinstance(unfit, ResultsDiffer) else logging.INFO
            log.log(level, "Conversations about one image are read one by one, which is slower: %s.", unfit)
            return False
        return True


@dataclass(frozen=True)
class _QuestionGroup:
    """Some questions of a prompt that may share a pass."""

    item: int
    places: Sequence[int]
    """Places of the questions in the prompt."""
    prompt: Prompt
    sharing: tuple[int, int, bool, bool]
    """Parts with equal values may share a pass: the number of questions; how their positions are scaled,
    whether each is to be read alone, and whether the prefix alone is scaled alike."""


def _form(prompt: Prompt, pads: bool) -> tuple[Any, ...]:
    """Prompts of equal form can share a pass: their image inputs can be joined."""
    if not pads:
        return prompt.kind
    return tuple(sorted((name, str(t.dtype), t.ndim) for name, t in prompt.images.items()))
