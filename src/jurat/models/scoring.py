"""Probabilities of Yes and No to many questions about one conversation.

*Packed*: the prefix of an inquiry and all its questions in one sequence, in one forward pass
(`packing`). Masked attention is a sum over the keys that are seen, and rotary positions enter only by
their values, so the result equals separate calls up to rounding.

*Cached*: the prefix is read once, and copies of what the layers kept of it are continued by the
questions, a row each (`expanding`).

*Plain*: one row a question, rows of equal length together, no padding. It is right for every family
and is what the others are measured against.

The first of the three is taken that the model's structure allows (`structure`, `masks`). The first
pass of every form is checked: a last question is also asked alone. Where the two differ by more than
the dtype's noise, the model falls back to the next path, with a warning.
"""

from __future__ import annotations

import logging
import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from inspect import signature
from threading import Lock
from typing import TYPE_CHECKING, Any, Literal

from jurat.models.attention import use_blocks
from jurat.models.base import Failure, YesNo
from jurat.models.batching import Bounds, by, joined, length, ran_out_of_memory, slots
from jurat.models.expanding import check_prefix, keep, last_logits
from jurat.models.masks import Unfit, UnfitPrefix
from jurat.models.packing import packed_inputs
from jurat.models.structure import Structure

if TYPE_CHECKING:
    from torch import Tensor

    from jurat.models.encoding import Prompt

Path = Literal["packed", "cached", "plain"]
PATHS: tuple[Path, ...] = ("packed", "cached", "plain")

log = logging.getLogger("jurat.models")

NOISE_FLOOR = {"float32": 2e-4, "float16": 0.05, "bfloat16": 0.25}
"""Log-odds by which a shared and a separate call may always differ, by dtype."""
_SLOWER = {
    "cached": "Questions are asked from a kept prefix, which is slower than packing them",
    "plain": "Questions are asked one by one, which is slower",
}
_FAULTS = (
    TypeError,
    ValueError,
    RuntimeError,
    AttributeError,
    LookupError,
    ArithmeticError,
    AssertionError,
)
"""What a model raises where it does not take the inputs of a path."""
_INFINITE = YesNo(0.0, 0.0, Failure("error", "The model's logits are not finite."))


@dataclass(frozen=True)
class Scored:
    """The answers to one prompt, and what they cost."""

    answers: tuple[YesNo, ...]
    tokens: int
    shared: int
    """Of `tokens`, those that were computed once for all questions."""


@dataclass(frozen=True)
class Check:
    """A question's answer from a shared prefix against the same question asked alone."""

    path: Path
    form: str
    """What was new about the pass that was checked, for a person."""
    difference: float
    """In log-odds."""
    limit: float
    """Up to which a difference is taken for rounding."""


class Scorer:
    """Scores prompts with one transformers model."""

    def __init__(
        self, network: Any, yes: Sequence[int], no: Sequence[int], *, path: Path | None = None
    ) -> None:
        """`yes` and `no` are the tokens of the answers. `path` fixes one, for measuring; None chooses."""
        use_blocks(network)
        self.network = network
        self.structure = Structure.of(network)
        self.bounds = Bounds.of(network)
        self.reasons: dict[Path, str] = {}
        """Why paths before the one that is taken are not."""
        self.checks: list[Check] = []
        self.pads = True
        """Whether images of several sizes share a pass, padded."""
        self._yes, self._no = list(yes), list(no)
        self._keeps = "logits_to_keep" in signature(network.forward).parameters
        self._known: set[tuple[Any, ...]] = set()
        self._giving_up = Lock()
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
        """Why questions are not packed; None while they are."""
        return self.reasons.get("packed")

    def score(self, prompts: Sequence[Prompt]) -> list[Scored]:
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
                except Unfit as unfit:
                    with self._giving_up:
                        self._give_up(path, unfit)
                except Exception as error:
                    if not ran_out_of_memory(error):
                        raise
                    if self.bounds.tokens < 1:
                        self.bounds = bounds  # that one question is too large makes others no larger
                        raise
                    self.bounds = self.bounds.halved()
                    log.info("memory ran out; passes are halved to %d tokens", self.bounds.tokens)

    def _score(self, prompts: Sequence[Prompt]) -> list[Scored]:
        results: list[Scored | None] = [None] * len(prompts)
        alike = by(range(len(prompts)), lambda i: (_form(prompts[i], self.pads), len(prompts[i].segments)))
        for chosen in alike:
            group = [prompts[i] for i in chosen]
            # There is nothing to share where there is but one question, and the plain call needs no check.
            path = self.path if len(group[0].segments) > 1 else "plain"
            ways = {"packed": self._packed_all, "cached": self._cached_all, "plain": self._plain_all}
            for i, result in zip(chosen, ways[path](group), strict=True):
                results[i] = result
        return [result for result in results if result is not None]

    def _packed_all(self, prompts: Sequence[Prompt]) -> Iterator[Scored]:
        """Prompts of one form, as many a pass as fit; one that is too long for a pass is split."""
        answers: list[list[YesNo]] = [[] for _ in prompts]
        split = [(i, list(self.bounds.split(prompt))) for i, prompt in enumerate(prompts)]
        for n in range(max(len(parts) for _, parts in split)):
            nth = [(i, parts[n]) for i, parts in split if n < len(parts)]
            for alike in by(nth, lambda entry: len(entry[1].segments)):
                for batch in self.bounds.batches(
                    alike, lambda entry: slots(entry[1]), lambda entry: len(entry[1].segments)
                ):
                    found = self._checked("packed", [part for _, part in batch])
                    for (i, _), more in zip(batch, found, strict=True):
                        answers[i].extend(more)
        for prompt, found in zip(prompts, answers, strict=True):
            yield Scored(tuple(found), length(prompt), len(prompt.prefix))

    def _cached_all(self, prompts: Sequence[Prompt]) -> Iterator[Scored]:
        """Prompts of one form; those with prefixes of equal length are read together."""
        answers: dict[int, list[YesNo]] = {}
        for alike in by(range(len(prompts)), lambda i: len(prompts[i].prefix)):
            for batch in self.bounds.batches(alike, lambda i: (len(prompts[i].prefix),)):
                found = self._checked("cached", [prompts[i] for i in batch])
                answers.update(zip(batch, found, strict=True))
        for i, prompt in enumerate(prompts):
            yield Scored(tuple(answers[i]), length(prompt), len(prompt.prefix))

    def _plain_all(self, prompts: Sequence[Prompt]) -> Iterator[Scored]:
        rows = [(i, j) for i, prompt in enumerate(prompts) for j in range(len(prompt.segments))]
        answers: dict[tuple[int, int], YesNo] = {}

        def size(row: tuple[int, int]) -> int:
            return len(prompts[row[0]].prefix) + len(prompts[row[0]].segments[row[1]])

        for alike in by(rows, lambda row: (prompts[row[0]].kind, size(row))):
            for batch in self.bounds.batches(alike, lambda row: (size(row),)):
                found = self.plain([(prompts[i], prompts[i].segments[j]) for i, j in batch])
                answers.update(zip(batch, found, strict=True))
        for i, prompt in enumerate(prompts):
            tokens = sum(len(prompt.prefix) + len(segment) for segment in prompt.segments)
            yield Scored(tuple(answers[i, j] for j in range(len(prompt.segments))), tokens, 0)

    # --- the three paths -------------------------------------------------------------------------

    def packed(self, prompts: Sequence[Prompt]) -> list[list[YesNo]]:
        """Prompts of one form and one number of questions in one forward pass, whatever its size."""
        logits = self.network(**packed_inputs(self.network, prompts)).logits
        return [self._read(row) for row in logits]

    def cached(self, prompts: Sequence[Prompt]) -> list[list[YesNo]]:
        """Prompts of one form and one length of prefix: the prefixes in one pass, then their questions."""
        check_prefix(self.network, prompts)
        kept = keep(self.network, prompts)
        rows = [(i, segment) for i, prompt in enumerate(prompts) for segment in prompt.segments]
        answers: list[list[YesNo]] = [[] for _ in prompts]
        width = kept.rows.ids.shape[1]
        for batch in self.bounds.batches(rows, lambda row: (width, len(row[1]))):
            owners, segments = [i for i, _ in batch], [segment for _, segment in batch]
            found = self._read(last_logits(self.network, kept, owners, segments))
            for i, answer in zip(owners, found, strict=True):
                answers[i].append(answer)
        return answers

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
        inputs = {**joined(prompts, self.network), **{k: v.to(device) for k, v in along.items()}}
        keeping = {"logits_to_keep": 1} if self._keeps else {}
        output = self.network(
            input_ids=ids, attention_mask=torch.ones_like(ids), use_cache=False, **keeping, **inputs
        )
        return self._read(output.logits[:, -1])

    def _read(self, logits: Tensor) -> list[YesNo]:
        """Logits (n, vocabulary) to answers, by way of float64, so that small probabilities keep their
        ratio. A row that holds what is no number is a failure of its own."""
        logits = logits.float()
        total = logits.logsumexp(-1).double()
        yes = (logits[:, self._yes].double().logsumexp(-1) - total).exp().tolist()
        no = (logits[:, self._no].double().logsumexp(-1) - total).exp().tolist()
        sound = [math.isfinite(y) and math.isfinite(n) for y, n in zip(yes, no, strict=True)]
        return [YesNo(y, n) if s else _INFINITE for y, n, s in zip(yes, no, sound, strict=True)]

    def may_continue(self, prefixes: Sequence[Prompt], width: int) -> bool:
        """Whether conversations may go on from kept prefixes, padded to a width between both.

        Raises what the model raises on a plain call.
        """
        import torch

        window = self.structure.window
        if "cached" in self.reasons or not self.structure.pads or (window is not None and width > window):
            return False
        chosen = max(prefixes, key=lambda prompt: len(prompt.segments))
        if self._form_of("cached", [chosen]) in self._known:
            return True
        try:
            with torch.inference_mode():
                self._checked("cached", [chosen])
        except Unfit as unfit:
            self.reasons["cached"] = str(unfit)
            level = logging.WARNING if isinstance(unfit, _Differs) else logging.INFO
            log.log(level, "Conversations about one image are read one by one, which is slower: %s.", unfit)
            return False
        return True

    # --- the check -------------------------------------------------------------------------------

    def _checked(self, path: Literal["packed", "cached"], prompts: Sequence[Prompt]) -> list[list[YesNo]]:
        """The answers on a path, of which the first of every form are checked against a separate call.

        Raises:
            Unfit: they differ, or the model does not take what the path gives it.
        """
        work = self.packed if path == "packed" else self.cached
        form = self._form_of(path, prompts)
        if form in self._known:
            return work(prompts)
        try:
            found = work(prompts)
        except Unfit:
            raise
        except _FAULTS as error:
            if ran_out_of_memory(error):
                raise
            # If this fails too, the fault is not the path's.
            self.plain([(prompts[0], prompts[0].segments[-1])])
            line = str(error).strip().splitlines()[0][:200] if str(error).strip() else ""
            raise _Differs(f"a {path} call failed ({type(error).__name__}: {line})", form) from error
        check = self._compare(path, form, prompts, found)
        if check is None:
            return found
        self.checks.append(check)
        if check.difference > check.limit:
            raise _Differs(
                f"a {path} answer differed from a separate one by {check.difference:.3g} in log-odds "
                f"(at most {check.limit:.3g} would be rounding)",
                form,
            )
        self._known.add(form)
        return found

    def _compare(
        self, path: Path, form: tuple[Any, ...], prompts: Sequence[Prompt], found: Sequence[Sequence[YesNo]]
    ) -> Check | None:
        """One of the answers against a plain one; None where there are none."""
        floor = NOISE_FLOOR.get(str(self.network.dtype).removeprefix("torch."), 2e-4)
        missing = ((i, j) for i, row in enumerate(found) for j, one in enumerate(row) if one.failure)
        if (first := next(missing, None)) is not None:
            i, j = first  # is it the path that has no answer, or the model?
            if self.plain([(prompts[i], prompts[i].segments[j])])[0].failure is None:
                return Check(path, _told(form), math.inf, floor)
        sound = [i for i, row in enumerate(found) if row[-1].failure is None]
        if not sound:
            return None
        # The shortest prefix is the one with padding.
        i = min(sound, key=lambda i: len(prompts[i].prefix))
        row = (prompts[i], prompts[i].segments[-1])
        alone = self.plain([row])[0].log_odds
        difference = abs(found[i][-1].log_odds - alone)
        return Check(path, _told(form), difference, max(floor, 4 * self._rounding(row, alone)))

    def _rounding(self, row: tuple[Prompt, Sequence[int]], alone: float) -> float:
        """By how much the log-odds of a row asked alone differ in a pass of three like it; 0 where memory
        does not hold three."""
        try:
            return abs(self.plain([row] * 3)[-1].log_odds - alone)
        except Exception as error:
            if not ran_out_of_memory(error):
                raise
        return 0.0

    def _form_of(self, path: Path, prompts: Sequence[Prompt]) -> tuple[Any, ...]:
        """What sets a pass apart from others, as far as it may be right while they are wrong, or wrong."""
        longest = max(len(p.prefix) + max(map(len, p.segments)) for p in prompts)
        window = self.structure.window
        return (
            path,
            tuple(sorted({*prompts[0].images, *prompts[0].along})),
            len(prompts) > 1,
            any(prompt.kind != prompts[0].kind for prompt in prompts),
            window is not None and longest > window,
        )

    def _give_up(self, path: Path, unfit: Unfit) -> None:
        """Takes the path after `path` from now on; aloud, where it was not to be foreseen. Of several threads
        that found the same, the first one does."""
        if isinstance(unfit, _Differs) and unfit.padded:
            if not self.pads:
                return
            self.pads = False
            log.warning("Images of different sizes are scored apart, which is slower: %s.", unfit)
            return
        if path == "plain":  # nothing is left to fall back to
            raise unfit
        if path != self.path:
            return
        self.reasons[path] = str(unfit)
        if isinstance(unfit, UnfitPrefix):
            self.reasons["cached"] = str(unfit)
        (log.warning if isinstance(unfit, _Differs) else log.info)("%s: %s.", _SLOWER[self.path], unfit)


class _Differs(Unfit):
    """What a path gave was not what separate calls give."""

    def __init__(self, reason: str, form: tuple[Any, ...]) -> None:
        super().__init__(reason)
        self.padded: bool = form[3]


def _told(form: tuple[Any, ...]) -> str:
    _, names, several, padded, windowed = form
    return ", ".join(
        (
            "with images" if any("pixel" in name or "image" in name for name in names) else "without images",
            "several items" if several else "one item",
            *(["images of several sizes, padded"] if padded else []),
            *(["longer than the attention window"] if windowed else []),
        )
    )


def _form(prompt: Prompt, pads: bool) -> tuple[Any, ...]:
    """Prompts of equal form can share a pass: their image inputs can be joined."""
    if not pads:
        return prompt.kind
    return tuple(sorted((name, str(t.dtype), t.ndim) for name, t in prompt.images.items()))
