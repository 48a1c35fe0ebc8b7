"""Checks passes against separate calls before their answers are used.

The first pass of every form is compared, and again where a sequence is longer than the next power of two
or crosses a length that the configuration names (`pass_shapes`): its last, its longest and its shortest item
are also asked alone. Where the two differ by more than the dtype's noise, passes are restricted from then
on, with a warning: to one size of image, one length of sequence, one item. Where an item alone in a pass is
wrong too, the path is given up.
"""

from __future__ import annotations

import logging
import math
from collections.abc import Callable, Sequence
from dataclasses import replace
from threading import Lock
from typing import TYPE_CHECKING, Any

from jurat.models.hf.architecture import Structure
from jurat.models.hf.failures import FAULTS, line_of, ran_out_of_memory
from jurat.models.hf.masks import UnsupportedPath
from jurat.models.hf.pass_shapes import (
    NOISE_FLOOR,
    CheckedShapes,
    PassCheck,
    PassShape,
    Path,
    form_of,
    in_words,
    picked,
    reach_of,
    twin,
)

if TYPE_CHECKING:
    from torch import Tensor

    from jurat.models.hf.prompt import Prompt
    from jurat.models.protocol import YesNo

log = logging.getLogger("jurat.models")

_LIKELY = 16
"""Tokens whose probabilities are compared: those that are likeliest."""
_MOST_TRIES = 8
"""Prompts that are joined with others before a model that answers alike about all images is taken to be
right."""


class Checker:
    """Limits on a network's passes, found by checks. `Scorer` makes the passes."""

    def __init__(self, network: Any) -> None:
        self.network = network
        self.structure = Structure.of(network)
        self.checks: list[PassCheck] = []
        self.verified = CheckedShapes()
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
        self._tries = 0
        self._joinable: set[tuple[str, ...]] = set()
        """Names of inputs that were seen to be joined right."""
        self._learning = Lock()

    def packed(self, prompts: Sequence[Prompt]) -> list[list[YesNo]]:
        """Prompts of one form and one number of questions in one forward pass, whatever its size."""
        raise NotImplementedError

    def cached(self, prompts: Sequence[Prompt]) -> list[list[YesNo]]:
        """Prompts of one form and one length of prefix: the prefixes in one pass, then their questions."""
        raise NotImplementedError

    def plain(self, rows: Sequence[tuple[Prompt, Sequence[int]]]) -> list[YesNo]:
        """(Prompt, one of its segments) a row, all of one kind and one length, in one forward pass."""
        raise NotImplementedError

    # --- what passes may hold --------------------------------------------------------------------

    def joins(self, prompts: Sequence[Prompt]) -> bool:
        """Whether items like these may share a pass. The first time, a prompt is put into a pass with others
        of equal sizes and different images: a family that mixes them up answers differently."""
        names = names_of(prompts[0])
        if len(prompts) < 2 or not prompts[0].images or names in self._joinable:
            return names not in self.apart
        if names not in self.apart:
            try:
                if self._joined(prompts[-1]):
                    self._joinable.add(names)
            except _NotJoinable as reason:
                self.part(names, str(reason))
        return names not in self.apart

    def _joined(self, prompt: Prompt) -> bool:
        """Whether the trial was conclusive.

        Raises:
            _NotJoinable: the answer about the last of several items in a pass is not that of a separate call.
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
            first, *_, last = self.plain([(twin(lone), lone.segments[0])] * 3 + [row])
        except FAULTS as error:
            if ran_out_of_memory(error):
                return False
            raise _NotJoinable(f"a call about several items failed ({line_of(error)})") from error
        difference = math.inf if last.failure else abs(last.log_odds - alone.log_odds)
        # What runs on from item to item grows with their number; in float32 a little of it stands out.
        share = 0.1 if "float32" in str(self.network.dtype) else 1.0
        if difference > (limit := self.limit(lone, difference, share)):
            raise _NotJoinable(
                f"the answer about the last of several items in a pass differed from a separate one by "
                f"{difference:.3g} in log-odds (at most {limit:.3g} would be rounding)"
            )
        # Where both images get the same answer, a mix-up would not show.
        self._tries += 1
        return abs(first.log_odds - alone.log_odds) > limit or self._tries >= _MOST_TRIES

    def part(self, names: tuple[str, ...], reason: str) -> None:
        """From now on items with inputs of these names are read one a pass; logs a warning."""
        with self._learning:
            if names not in self.apart:
                self.apart[names] = reason
                log.warning("Items are read one a pass, which is slower: %s.", reason)

    def narrow_chat(self, form: PassShape, reason: str) -> None:
        """Restricts batches of conversations from now on, in this order: no shared prefixes, one length, one
        conversation; logs a warning."""
        with self._learning:
            if form.way == "continued":
                self.unshared = reason
                log.warning("Conversations about one image are read one by one, which is slower: %s.", reason)
            elif form.uneven and not self.even:
                self.even = True
                log.warning("Sequences of different lengths are read apart, which is slower: %s.", reason)
            else:
                self.unjoined[form.inputs] = reason
                log.warning("Conversations are continued one by one, which is slower: %s.", reason)

    def limit(self, prompt: Prompt, difference: float, share: float = 1.0) -> float:
        """The log-odds up to which a difference is rounding: a share of the dtype's, or, where `difference`
        is larger, four times that between as many tokens without an image, alone and in a pass of three."""
        floor = share * NOISE_FLOOR.get(str(self.network.dtype).removeprefix("torch."), 2e-4)
        if not floor < difference < math.inf:
            return floor
        words = in_words(prompt)
        row = (words, words.segments[-1])
        try:
            one, three = self.plain([row])[0], self.plain([row] * 3)[-1]
        except FAULTS:  # a family that is not asked without an image, or memory for no three rows
            return floor
        return max(floor, 4 * abs(three.log_odds - one.log_odds))

    # --- the check -------------------------------------------------------------------------------

    def checked(self, path: Path, prompts: Sequence[Prompt]) -> list[list[YesNo]]:
        """The answers on a path, of which the first of every form are checked against separate calls.

        Raises:
            UnsupportedPath: they differ, or the model does not take what the path gives it.
        """
        work = self._work(path)
        form, reach = form_of(path, prompts, self.structure), reach_of(prompts)
        if (path == "plain" and not form.several) or self.verified.covers(form, reach):
            return work(prompts)
        try:
            found = work(prompts)
        except UnsupportedPath:
            raise
        except FAULTS as error:
            if ran_out_of_memory(error):
                raise
            passable = all([self._passable(path, prompt) for prompt in prompts])
            reason = f"a {path} call failed ({line_of(error)})"
            raise ResultsDiffer(reason, form, joined=passable and form.several) from error
        self._compare(form, prompts, found)
        return found

    def _passable(self, path: Path, prompt: Prompt) -> bool:
        """Whether a path takes an item alone.

        Raises what the model raises where it does not take one of its questions by itself either: the fault
        is the item's.
        """
        try:
            self._work(path)([prompt])
        except (UnsupportedPath, *FAULTS):
            for segment in prompt.segments:
                self.plain([(prompt, segment)])
            return False
        return True

    def _work(self, path: Path) -> Callable[[Sequence[Prompt]], list[list[YesNo]]]:
        if path == "plain":
            return lambda prompts: [[one] for one in self.plain([(p, p.segments[0]) for p in prompts])]
        return self.packed if path == "packed" else self.cached

    def _compare(self, form: PassShape, prompts: Sequence[Prompt], found: Sequence[Sequence[YesNo]]) -> None:
        """Compares a pass's answers to its last, its longest and its shortest item with separate ones.

        Where the form was compared before, and sequences are longer now, the longest and the shortest.

        Raises:
            ResultsDiffer: one of them is not what it is alone.
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

    def _judge(self, form: PassShape, prompt: Prompt, question: int, difference: float) -> None:
        """Notes a difference.

        Raises:
            ResultsDiffer: it is more than rounding.
        """
        limit = self.limit(replace(prompt, segments=(prompt.segments[question],)), difference)
        self.checks.append(PassCheck(form.way, form.text, difference, limit))
        if difference > limit:
            raise ResultsDiffer(
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
        except (UnsupportedPath, *FAULTS):
            return False
        difference = math.inf if own.failure else abs(own.log_odds - alone.log_odds)
        return difference <= self.limit(prompt, difference)

    def narrow(self, unfit: ResultsDiffer) -> bool:
        """Restricts passes to one size of image, one length of sequence or one item; False where that would
        not help."""
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


class ResultsDiffer(UnsupportedPath):
    """A pass gave other answers than separate calls."""

    def __init__(self, reason: str, form: PassShape, *, joined: bool) -> None:
        super().__init__(reason)
        self.form = form
        self.joined = joined
        """Whether only passes of several items are wrong."""


class _NotJoinable(UnsupportedPath):
    """Items of this family may not be joined in a pass."""


def likely_difference(together: Tensor, alone: Tensor) -> float:
    """The largest one in the log-probabilities (..., vocabulary) of the tokens that are likeliest alone."""
    likely = alone.topk(min(_LIKELY, alone.shape[-1]), dim=-1).indices
    found = (together.gather(-1, likely) - alone.gather(-1, likely)).abs().max()
    return math.inf if bool(found.isnan()) else float(found)


def names_of(prompt: Prompt) -> tuple[str, ...]:
    """Names of the inputs besides the token ids."""
    return tuple(sorted({*prompt.images, *prompt.along}))
