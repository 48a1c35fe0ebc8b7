"""Probabilities of Yes and No to many questions about one conversation.

*Packed*: the prefix of an inquiry and all its questions in one sequence, in one forward pass
(`packing`). Masked attention is a sum over the keys that are seen, and rotary positions enter only by
their values, so the result equals separate calls up to rounding.

*Cached*: the prefix is read once, and copies of what the layers kept of it are continued by the
questions, a row each (`expanding`).

*Plain*: one row a question, rows of equal length together, no padding. It is right for every family
and is what the others are measured against.

The first of the three is taken that the model's structure allows (`structure`, `masks`). The first
pass of every form is checked, and again where sequences grow longer (`checking`): its last, its longest
and its shortest item are also asked alone. Where the two differ by more than the dtype's noise, passes
hold less from then on, with a warning: one size of image, one length of sequence, one item; where an item
alone is read wrong, the model falls back to the next path.
"""

from __future__ import annotations

import logging
import math
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from inspect import signature
from threading import Lock
from typing import TYPE_CHECKING, Any, TypeVar

from jurat.models.attention import use_blocks
from jurat.models.base import Failure, YesNo
from jurat.models.batching import Bounds, by, joined, length, ran_out_of_memory, slots
from jurat.models.checking import (
    NOISE_FLOOR,
    Check,
    Form,
    Path,
    Verified,
    form_of,
    in_words,
    picked,
    reach_of,
    twin,
)
from jurat.models.expanding import check_prefix, keep, last_logits
from jurat.models.masks import Unfit, UnfitPrefix
from jurat.models.packing import packed_inputs
from jurat.models.structure import Structure, as_opened

if TYPE_CHECKING:
    from torch import Tensor

    from jurat.models.encoding import Prompt

T = TypeVar("T")

PATHS: tuple[Path, ...] = ("packed", "cached", "plain")

log = logging.getLogger("jurat.models")

_SLOWER = {
    "cached": "Questions are asked from a kept prefix, which is slower than packing them",
    "plain": "Questions are asked one by one, which is slower",
}
FAULTS = (
    TypeError,
    ValueError,
    RuntimeError,
    AttributeError,
    LookupError,
    ArithmeticError,
    AssertionError,
)
"""What a model raises where it does not take the inputs of a pass."""
_INFINITE = YesNo(0.0, 0.0, Failure("error", "The model's logits are not finite."))


@dataclass(frozen=True)
class Scored:
    """The answers to one prompt, and what they cost."""

    answers: tuple[YesNo, ...]
    tokens: int
    shared: int
    """Of `tokens`, those that were computed once for all questions."""


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
        self.even = self.structure.even
        """Whether only sequences of equal length share a pass."""
        self.unshared: str | None = None
        """Why conversations are not continued from prefixes that were read before."""
        self.unjoined: dict[tuple[str, ...], str] = {}
        """Why conversations with inputs of these names are continued one by one."""
        self.apart: dict[tuple[str, ...], str] = {}
        """Why items with inputs of these names are read one a pass."""
        self._yes, self._no = list(yes), list(no)
        self._keeps = "logits_to_keep" in signature(network.forward).parameters
        self.verified = Verified()
        self._joinable: set[tuple[str, ...]] = set()
        """Names of inputs that were seen to be joined right."""
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
            Scored(tuple(found[j] for j in range(len(found))), *cost)
            for found, cost in zip(answers, costs, strict=True)
        ]

    def _parts(self, prompts: Sequence[Prompt]) -> Iterator[_Part]:
        """The prompts, each taken apart where its questions are not to share a pass."""
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
                yield _Part(item, places, part, (len(places), regime, alone, kept))

    def _path_of(self, alike: Sequence[_Part]) -> Path:
        questions, _, alone, kept = alike[0].sharing
        # There is nothing to share where there is but one question.
        if questions == 1 or alone or (self.path == "cached" and not kept):
            return "plain"
        return self.path

    def _packed_all(self, prompts: Sequence[Prompt]) -> Iterator[Scored]:
        """Prompts of one form, as many a pass as fit; one that is too long for a pass is split."""
        answers: list[list[YesNo]] = [[] for _ in prompts]
        split = [(i, list(self.bounds.split(prompt))) for i, prompt in enumerate(prompts)]
        for n in range(max(len(parts) for _, parts in split)):
            nth = [(i, parts[n]) for i, parts in split if n < len(parts)]
            for alike in by(nth, lambda entry: len(entry[1].segments)):
                for batch in self._passes(
                    alike, lambda e: e[1], lambda e: slots(e[1]), lambda e: len(e[1].segments)
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
            for batch in self._passes(
                alike, lambda i: prompts[i], lambda i: (len(prompts[i].prefix),), equal=False
            ):
                found = self._checked("cached", [prompts[i] for i in batch])
                answers.update(zip(batch, found, strict=True))
        for i, prompt in enumerate(prompts):
            yield Scored(tuple(answers[i]), length(prompt), len(prompt.prefix))

    def _plain_all(self, prompts: Sequence[Prompt]) -> Iterator[Scored]:
        """A row a question; rows of equal length share a pass."""
        rows = [
            (i, j, replace(prompt, segments=(segment,)))
            for i, prompt in enumerate(prompts)
            for j, segment in enumerate(prompt.segments)
        ]
        answers: dict[tuple[int, int], YesNo] = {}
        for alike in by(rows, lambda row: (row[2].kind, length(row[2]))):
            for batch in self._passes(alike, lambda row: row[2], lambda row: (length(row[2]),)):
                found = self._checked("plain", [row for _, _, row in batch])
                answers.update(((i, j), one) for (i, j, _), (one,) in zip(batch, found, strict=True))
        for i, prompt in enumerate(prompts):
            tokens = sum(len(prompt.prefix) + len(segment) for segment in prompt.segments)
            yield Scored(tuple(answers[i, j] for j in range(len(prompt.segments))), tokens, 0)

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
        import torch

        self.fresh()
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

    def fresh(self) -> None:
        """To be called before a pass: some networks keep how positions were scaled for the longest one so
        far."""
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

    # --- what passes may hold --------------------------------------------------------------------

    def joins(self, prompts: Sequence[Prompt]) -> bool:
        """Whether items like these may share a pass. The first time, a prompt is joined with others of equal
        sizes whose images differ; a family that takes the one for the other is told by its answer."""
        names = names_of(prompts[0])
        if len(prompts) < 2 or not prompts[0].images or names in self._joinable:
            return names not in self.apart
        if names not in self.apart:
            try:
                if self._joined(prompts[-1]):
                    self._joinable.add(names)
            except _Apart as reason:
                self.part(names, str(reason))
        return names not in self.apart

    def _joined(self, prompt: Prompt) -> bool:
        """False where nothing could be told.

        Raises:
            _Apart: the answer about the last of several items in a pass is not that of a separate call.
        """
        lone = replace(prompt, segments=prompt.segments[-1:])
        row = (lone, lone.segments[0])
        try:
            alone = self.plain([row])[0]
        except FAULTS:  # a fault of the item's, or memory: whoever asks it will see
            return False
        if alone.failure is not None:
            return False
        try:
            last = self.plain([(twin(lone), lone.segments[0])] * 3 + [row])[-1]
        except FAULTS as error:
            if ran_out_of_memory(error):
                return False
            raise _Apart(f"a call about several items failed ({_line(error)})") from error
        difference = math.inf if last.failure else abs(last.log_odds - alone.log_odds)
        if difference > (limit := self.limit(lone, difference)):
            raise _Apart(
                f"the answer about the last of several items in a pass differed from a separate one by "
                f"{difference:.3g} in log-odds (at most {limit:.3g} would be rounding)"
            )
        return True

    def part(self, names: tuple[str, ...], reason: str) -> None:
        """From now on items with inputs of these names are read one a pass; aloud."""
        with self._giving_up:
            if names not in self.apart:
                self.apart[names] = reason
                log.warning("Items are read one a pass, which is slower: %s.", reason)

    def narrow_chat(self, form: Form, reason: str) -> None:
        """Lets batches of conversations hold less from now on, one thing after the other: prefixes that were
        read before, conversations of several lengths, several conversations; aloud."""
        with self._giving_up:
            if form.way == "continued":
                self.unshared = reason
                log.warning("Conversations about one image are read one by one, which is slower: %s.", reason)
            elif form.uneven and not self.even:
                self.even = True
                log.warning("Sequences of different lengths are read apart, which is slower: %s.", reason)
            else:
                self.unjoined[form.inputs] = reason
                log.warning("Conversations are continued one by one, which is slower: %s.", reason)

    def limit(self, prompt: Prompt, difference: float) -> float:
        """The log-odds up to which a difference is rounding: the dtype's, or, where `difference` is larger,
        four times that between as many tokens without an image, asked alone and in a pass of three."""
        floor = NOISE_FLOOR.get(str(self.network.dtype).removeprefix("torch."), 2e-4)
        if not floor < difference < math.inf:
            return floor
        words = in_words(prompt)
        row = (words, words.segments[-1])
        try:
            one, three = self.plain([row])[0], self.plain([row] * 3)[-1]
        except FAULTS:  # a family that is not asked without an image, or memory for no three rows
            return floor
        return max(floor, 4 * abs(three.log_odds - one.log_odds))

    def may_continue(self, prefixes: Sequence[Prompt], width: int) -> bool:
        """Whether conversations may go on from kept prefixes, padded to a width between both.

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
                self._checked("cached", [chosen])
        except Unfit as unfit:
            self.reasons["cached"] = str(unfit)
            level = logging.WARNING if isinstance(unfit, _Differs) else logging.INFO
            log.log(level, "Conversations about one image are read one by one, which is slower: %s.", unfit)
            return False
        return True

    # --- the check -------------------------------------------------------------------------------

    def _checked(self, path: Path, prompts: Sequence[Prompt]) -> list[list[YesNo]]:
        """The answers on a path, of which the first of every form are checked against separate calls.

        Raises:
            Unfit: they differ, or the model does not take what the path gives it.
        """
        work = self._work(path)
        form, reach = form_of(path, prompts, self.structure), reach_of(prompts)
        if (path == "plain" and not form.several) or self.verified.covers(form, reach):
            return work(prompts)
        try:
            found = work(prompts)
        except Unfit:
            raise
        except FAULTS as error:
            if ran_out_of_memory(error):
                raise
            for prompt in prompts:  # if a separate call fails too, the fault is not the path's
                self.plain([(prompt, prompt.segments[-1])])
            last = len(prompts[-1].segments) - 1
            alone = form.several and self._holds(path, prompts[-1], last)
            raise _Differs(f"a {path} call failed ({_line(error)})", form, joined=alone) from error
        self._compare(form, prompts, found)
        return found

    def _work(self, path: Path) -> Callable[[Sequence[Prompt]], list[list[YesNo]]]:
        if path == "plain":
            return lambda prompts: [[one] for one in self.plain([(p, p.segments[0]) for p in prompts])]
        return self.packed if path == "packed" else self.cached

    def _compare(self, form: Form, prompts: Sequence[Prompt], found: Sequence[Sequence[YesNo]]) -> None:
        """Compares a pass's answers to its last, its longest and its shortest item with separate ones.

        Where the form was compared before, and sequences are longer now, the longest and the shortest.

        Raises:
            _Differs: one of them is not what it is alone.
        """
        missing = ((i, j) for i, row in enumerate(found) for j, one in enumerate(row) if one.failure)
        if (first := next(missing, None)) is not None:
            i, j = first  # is it the pass that has no answer, or the model?
            if self.plain([(prompts[i], prompts[i].segments[j])])[0].failure is None:
                self._judge(form, prompts[i], j, math.inf)
        sound = [i for i, row in enumerate(found) if all(one.failure is None for one in row)]
        if not sound:
            return
        again, worst = self.verified.knows(form), (-1.0, 0, 0)
        for k, j in picked([prompts[i] for i in sound], longest_only=again):
            i = sound[k]
            alone = self.plain([(prompts[i], prompts[i].segments[j])])[0]
            worst = max(worst, (abs(found[i][j].log_odds - alone.log_odds), i, j))
        difference, i, j = worst
        self._judge(form, prompts[i], j, difference)
        self.verified.add(form, reach_of(prompts))

    def _judge(self, form: Form, prompt: Prompt, question: int, difference: float) -> None:
        """Notes a difference.

        Raises:
            _Differs: it is more than rounding.
        """
        limit = self.limit(replace(prompt, segments=(prompt.segments[question],)), difference)
        self.checks.append(Check(form.way, form.text, difference, limit))
        if difference > limit:
            raise _Differs(
                f"a {form.way} answer differed from a separate one by {difference:.3g} in log-odds "
                f"(at most {limit:.3g} would be rounding)",
                form,
                joined=form.several and self._holds(form.way, prompt, question),
            )

    def _holds(self, way: Any, prompt: Prompt, question: int) -> bool:
        """Whether a path answers the question right in a pass of its item alone."""
        if way == "plain":
            return True
        alone = self.plain([(prompt, prompt.segments[question])])[0]
        try:
            own = self._work(way)([prompt])[0][question]
        except (Unfit, *FAULTS):
            return False
        difference = math.inf if own.failure else abs(own.log_odds - alone.log_odds)
        return difference <= self.limit(prompt, difference)

    def _give_up(self, path: Path, unfit: Unfit) -> None:
        """Lets passes hold less from now on, or takes the path after `path`; aloud, where it was not to be
        foreseen. Of several threads that found the same, the first one does."""
        if isinstance(unfit, _Differs) and self._narrow(unfit):
            return
        if path == "plain":  # nothing is left to fall back to
            raise unfit
        if path != self.path:
            return
        self.reasons[path] = str(unfit)
        self.even = self.structure.even  # it was not the lengths
        if isinstance(unfit, UnfitPrefix):
            self.reasons["cached"] = str(unfit)
        (log.warning if isinstance(unfit, _Differs) else log.info)("%s: %s.", _SLOWER[self.path], unfit)

    def _narrow(self, unfit: _Differs) -> bool:
        """Whether there was something that passes need not hold: images of several sizes, sequences of
        several lengths, several items."""
        form = unfit.form
        if unfit.joined and form.padded:
            if self.pads:
                self.pads = False
                log.warning("Images of different sizes are scored apart, which is slower: %s.", unfit)
            return True
        if form.uneven and (unfit.joined or form.way == "cached") and not self.even:
            self.even = True
            log.warning("Sequences of different lengths are scored apart, which is slower: %s.", unfit)
            return True
        if unfit.joined and form.inputs not in self.apart:
            self.apart[form.inputs] = str(unfit)
            self.even = self.structure.even  # it was not the lengths
            log.warning("Items are read one a pass, which is slower: %s.", unfit)
            return True
        return False


@dataclass(frozen=True)
class _Part:
    """Some questions of a prompt that may share a pass."""

    item: int
    places: Sequence[int]
    """Of the questions, in the prompt."""
    prompt: Prompt
    sharing: tuple[int, int, bool, bool]
    """Parts with equal values may share a pass: the number of questions; how their positions are scaled,
    whether each is to be read alone, and whether the prefix alone is scaled alike."""


class _Differs(Unfit):
    """What a path gave was not what separate calls give."""

    def __init__(self, reason: str, form: Form, *, joined: bool) -> None:
        super().__init__(reason)
        self.form = form
        self.joined = joined
        """Whether it is only so for several items in a pass."""


class _Apart(Unfit):
    """Items of a family are not to be joined."""


def names_of(prompt: Prompt) -> tuple[str, ...]:
    """Of the inputs besides the token ids."""
    return tuple(sorted({*prompt.images, *prompt.along}))


def _line(error: BaseException) -> str:
    line = str(error).strip().splitlines()[0][:200] if str(error).strip() else ""
    return f"{type(error).__name__}: {line}"


def _form(prompt: Prompt, pads: bool) -> tuple[Any, ...]:
    """Prompts of equal form can share a pass: their image inputs can be joined."""
    if not pads:
        return prompt.kind
    return tuple(sorted((name, str(t.dtype), t.ndim) for name, t in prompt.images.items()))
