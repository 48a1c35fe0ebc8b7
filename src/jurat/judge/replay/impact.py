"""The impact of a changed constitution on a run: which verdicts would flip.

Verdicts are decided again from their records (`jurat.judge.replay.redecide`); the model is asked only for
evidence that those lack. If only thresholds changed and scores alone decide, rows are decided column by
column (`jurat.judge.replay.sweep`), without reading them whole.
"""

from __future__ import annotations

import math
import random
from collections import Counter
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from jurat.constitution import Constitution
from jurat.errors import JuratError
from jurat.judge.calibrate.calibration import Calibration
from jurat.judge.plan import plan
from jurat.judge.presets import Preset
from jurat.judge.record import row_to_verdict, verdict_to_row
from jurat.judge.replay.redecide import Redecider, renewed
from jurat.judge.replay.sweep import Flip, Sweep, Swept
from jurat.judge.verdict import Verdict
from jurat.metrics import Interval, wilson
from jurat.models.bundled.model import language_of
from jurat.runs.row_reader import Block, blocks_of

if TYPE_CHECKING:
    from jurat.runs.arrow import ArrowTable

__all__ = ["Change", "Flip", "Impact", "measure", "measure_blocks"]

Row = Mapping[str, Any]
Judging = Callable[[list[Verdict]], Iterable[Verdict]]
"""Judges the items of verdicts again under the changed constitution: one verdict each, in order."""

ALIKE = ("constitution", "model", "preset", "prompts", "calibration")
"""Fields that are the same in all rows of a run."""


@dataclass
class Impact:
    """The impact of a change on a run."""

    items: int = 0
    recorded: int = 0
    """Items decided again from their records, without a model call."""
    asked: int = 0
    """Items judged again, since their records lack evidence that the change needs."""
    open: int = 0
    """Items that need to be judged again, and were not."""
    failed: int = 0
    """Items among `open` whose judging failed: the image is gone or has changed."""
    why: str = ""
    """The reason of the first failed item."""
    changes: Counter[tuple[str, str]] = field(default_factory=Counter[tuple[str, str]])
    """Items by outcome before and after."""
    asked_flips: int = 0
    """Items among `asked` whose outcome changed."""
    rules: dict[str, Counter[tuple[str, str]]] = field(default_factory=dict[str, Counter[tuple[str, str]]])
    """Items whose outcome under a rule changed, by rule, by outcome before and after."""
    flips: list[Flip] = field(default_factory=list[Flip])

    @property
    def decided(self) -> int:
        return self.recorded + self.asked

    @property
    def flipped(self) -> int:
        """Items whose outcome changed."""
        return sum(count for (before, after), count in self.changes.items() if before != after)

    def review(self, *, after: bool) -> int:
        """Decided items that need human review: `unsure`."""
        return sum(count for pair, count in self.changes.items() if pair[after] == "unsure")

    @property
    def open_share(self) -> Interval | None:
        """The share of open items that flip, as a 95% Wilson interval from the sample that was judged again.
        None if no item is open, or none was judged again."""
        return wilson(self.asked_flips, self.asked) if self.open and self.asked else None

    @property
    def errors(self) -> int:
        """Decided items that were errors, and stay errors."""
        return sum(count for pair, count in self.changes.items() if pair[0] == "error")

    def objection(self, limit: int) -> str | None:
        """Why it is not shown that at most `limit` items flip; None if it is.

        Open items may flip; a sample must bound how many, with 95% confidence.
        """
        if self.flipped > limit:
            return f"{self.flipped:,} flip, more than {limit:,}"
        share = self.open_share
        if self.open and (share is None or self.failed):
            return f"{self.open:,} of {self.items:,} were not decided, and may flip"
        if self.errors == self.decided:
            return "not one item was judged, so nothing is known of flips"
        most = self.flipped + math.ceil(self.open * share.high) if share is not None else self.flipped
        return f"up to {most:,} flip with 95% confidence, more than {limit:,}" if most > limit else None


@dataclass(frozen=True)
class Change:
    """From one constitution to another, for verdicts of one preset."""

    old: Constitution
    new: Constitution
    preset: Preset
    calibration: Calibration | None = None

    @property
    def only_thresholds(self) -> bool:
        """Whether only thresholds differ, and scores and thresholds alone decide."""
        return self.preset.thresholds_decide and self.old.digest == self.new.digest


def measure(
    rows: Iterable[Row],
    change: Change,
    judge: Judging | None = None,
    *,
    sample: int | None = None,
    seed: int = 0,
) -> Impact:
    """Decides every row of a run again.

    Args:
        judge: judges items again under the changed constitution; None leaves them open.
        sample: how many of the open items to judge, drawn with `seed`; None for all.

    Raises:
        JuratError: a row is no verdict, one under another constitution than the old one, or one of another
            model, preset or wording than the first one.
    """
    blocks = blocks_of(dict(row) for row in rows)
    return measure_blocks(blocks, change, judge, sample=sample, seed=seed, whole_flips=True)


def measure_blocks(
    blocks: Iterable[Block],
    change: Change,
    judge: Judging | None = None,
    *,
    sample: int | None = None,
    seed: int = 0,
    whole_flips: bool = False,
) -> Impact:
    """As `measure`, of what `jurat.runs.read_blocks` reads with `jurat.judge.replay.sweep.LEAVES`.

    `whole_flips`: whether flips include their rows, which takes longer.
    """
    run = _Run(change, judge, sample, random.Random(seed))
    for block in blocks:
        run.add(block, whole_flips)
    return run.result()


class _Run:
    """Decides a run again, block by block."""

    def __init__(self, change: Change, judge: Judging | None, sample: int | None, rng: random.Random) -> None:
        self._impact, self._change, self._judge = Impact(), change, judge
        self._sample, self._rng = sample, rng
        self._redecider: Redecider | None = None
        decision = change.preset.decision
        bounds = {rule.id: decision.thresholds(rule, change.calibration) for rule in change.new.rules}
        self._sweep = Sweep(bounds) if change.only_thresholds else None
        self._first: Row | None = None
        self._flips: list[tuple[int, Flip]] = []
        """With the numbers of their rows."""
        self._waiting: list[tuple[int, Verdict]] = []
        """Items to judge again, of one block or of the sample."""
        self._unknown = 0
        """Rows that their records did not decide."""

    def add(self, block: Block, whole_flips: bool) -> None:
        first, left = self._impact.items, range(block.count)
        self._impact.items += block.count
        if self._sweep is not None:
            if block.columns is not None:
                self._check_columns(block.columns)
                swept = self._sweep(block.columns, whole_flips=whole_flips)
            else:
                rows = block.read(left)
                self._check(rows)
                swept = self._sweep.of_rows(rows, whole_flips=whole_flips)
            self._take(swept, first, block.count)
            left = swept.left
        rows = block.read(left) if left else []
        self._check(rows)
        for place, row in zip(left, rows, strict=True):
            before = row_to_verdict(row)
            again = self._redecide(before)
            if again is None:
                self._wait(first + place, before)
            else:
                self._impact.recorded += 1
                self._count(first + place, row, verdict_to_row(renewed(before, again, self._change.new)))
        if self._sample is None:
            self._ask()

    def _redecide(self, verdict: Verdict) -> Verdict | None:
        if self._redecider is None:
            change, reader = self._change, language_of(verdict.model)
            old, new = (plan(law, change.preset, reader) for law in (change.old, change.new))
            self._redecider = Redecider(old, new, change.preset, change.calibration)
        return self._redecider(verdict)

    def result(self) -> Impact:
        self._ask()
        self._impact.open = self._unknown - self._impact.asked
        self._impact.flips = [flip for _, flip in sorted(self._flips, key=lambda each: each[0])]
        return self._impact

    def _take(self, swept: Swept, first: int, count: int) -> None:
        self._impact.recorded += count - len(swept.left)
        self._impact.changes += swept.changes
        for id, changes in swept.rules.items():
            self._impact.rules.setdefault(id, Counter()).update(changes)
        self._flips += [(first + place, flip) for place, flip in swept.flips]

    def _ask(self) -> None:
        """Judges the waiting items again."""
        waiting, self._waiting = self._waiting, []
        if self._judge is None or not waiting:
            return
        judged = self._judge([before for _, before in waiting])
        for (number, before), again in zip(waiting, judged, strict=True):
            if why := _in_vain(before, again):
                self._impact.failed += 1
                self._impact.why = self._impact.why or f"{before.id}: {why}"
                continue
            self._impact.asked += 1
            self._impact.asked_flips += self._count(number, verdict_to_row(before), verdict_to_row(again))

    def _wait(self, number: int, verdict: Verdict) -> None:
        self._unknown += 1
        if self._judge is None:
            return
        # Reservoir sampling: each of those seen so far is kept with the same chance.
        if self._sample is None or len(self._waiting) < self._sample:
            self._waiting.append((number, verdict))
        elif (place := self._rng.randrange(self._unknown)) < self._sample:
            self._waiting[place] = (number, verdict)

    def _count(self, number: int, before: Row, after: Row) -> bool:
        """Whether the item's outcome changed."""
        self._impact.changes[before["outcome"], after["outcome"]] += 1
        was, is_ = ({rule["id"]: rule["outcome"] for rule in row["rules"]} for row in (before, after))
        changed = tuple(
            (id, was.get(id, "absent"), is_.get(id, "absent"))
            for id in dict.fromkeys((*was, *is_))
            if was.get(id) != is_.get(id)
        )
        for id, one, other in changed:
            self._impact.rules.setdefault(id, Counter())[one, other] += 1
        flips = before["outcome"] != after["outcome"]
        if changed or flips:
            flip = Flip(before["id"], before["uri"], before["outcome"], after["outcome"], changed, after)
            self._flips.append((number, flip))
        return flips

    def _check_columns(self, columns: ArrowTable) -> None:
        """Looks at all rows only where they are not all alike."""
        names = ("id", *ALIKE, *(name for name in columns.column_names if name == "preset_digest"))
        some = [columns.column(name) for name in names]
        if all(len(each.unique()) == 1 for each in some[1:]):
            some = [each[:1] for each in some]
        for values in zip(*(each.to_pylist() for each in some), strict=True):
            self._check([dict(zip(names, values, strict=True))])

    def _check(self, rows: Iterable[Row]) -> None:
        for row in rows:
            old = self._change.old
            self._first = first = self._first or row
            if str(row.get("constitution", "")).rpartition("@")[2] != old.digest:
                raise JuratError(
                    f"{row.get('id')!r} was judged under {row.get('constitution')!r}, and the constitution"
                    f" given as the old one is {old.name}@{old.digest}.",
                    hint="Give the file as it was when the run was made, then the changed one.",
                )
            if (digest := row.get("preset_digest")) not in (None, self._change.preset.digest):
                raise JuratError(
                    f"{row.get('id')!r} was judged under a preset {row.get('preset')!r} with other settings:"
                    f" its digest is {digest}, not {self._change.preset.digest}.",
                    hint="Name the run's folder, which holds its settings.",
                )
            for name in ALIKE[1:]:
                if row.get(name) != first.get(name):
                    raise JuratError(
                        f"{row.get('id')!r} was judged with another {name} than the first item:"
                        f" {row.get(name)!r}, not {first.get(name)!r}.",
                        hint="Give the verdicts of one run.",
                    )


def _in_vain(before: Verdict, again: Verdict) -> str:
    """Why a new verdict says nothing about the change: an error, or another image. Empty if it does."""
    if again.outcome == "error":
        return again.error or "no reason was given"
    if again.sha256 != before.sha256:
        return "it is not the image that was judged"
    # A file of verdicts does not hold the sampling of videos, as the folder of a run does.
    same = again.frames == before.frames
    return "" if same else f"{again.frames} frames of it would be judged, and {before.frames} were"
