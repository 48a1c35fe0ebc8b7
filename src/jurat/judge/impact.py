"""What a changed constitution does to a run: which verdicts flip, before anyone ships it.

Verdicts are decided again from their records (`jurat.judge.redecide`); only what those do not hold is asked
of the model. Where nothing but thresholds changed, and scores alone decide, a row is decided from its
rules' scores, without being read as a whole.
"""

from __future__ import annotations

import random
import re
from collections import Counter
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any

from jurat.constitution import Constitution
from jurat.errors import JuratError
from jurat.judge.calibration import Calibration
from jurat.judge.case import Thresholds
from jurat.judge.plan import plan
from jurat.judge.presets import Preset, find_preset
from jurat.judge.record import row_to_verdict, verdict_to_row
from jurat.judge.redecide import Redecider
from jurat.judge.verdict import Verdict
from jurat.metrics import Interval, wilson

Row = Mapping[str, Any]


@dataclass(frozen=True)
class Flip:
    """An item whose outcome changes, or some rule's."""

    id: str
    uri: str
    before: str
    """Outcome of the item."""
    after: str
    rules: tuple[tuple[str, str, str], ...]
    """Rules whose outcomes differ: id, outcome before and after; "absent" where one constitution has none."""
    row: Row
    """The verdict under the changed constitution."""

    @property
    def of_item(self) -> bool:
        return self.before != self.after


@dataclass
class Impact:
    """What was found out about a run."""

    items: int = 0
    recorded: int = 0
    """Decided again from their records, with no call of a model."""
    asked: int = 0
    """Judged anew, since their records do not hold what the change takes."""
    open: int = 0
    """Those that would have to be judged anew, and were not."""
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
        """Items among those decided that are left to people: `unsure`."""
        return sum(count for pair, count in self.changes.items() if pair[after] == "unsure")

    @property
    def open_share(self) -> Interval | None:
        """Of a sample that was judged anew: the share that flips among all that would have to be, as a 95%
        Wilson interval. None where nothing was left open, or nothing was asked."""
        return wilson(self.asked_flips, self.asked) if self.open and self.asked else None


@dataclass(frozen=True)
class Change:
    """From one constitution to another, for verdicts of one preset."""

    old: Constitution
    new: Constitution
    preset: Preset
    calibration: Calibration | None = None

    @property
    def only_thresholds(self) -> bool:
        """Whether a rule's score and its thresholds alone give its outcome under both."""
        staged = self.preset.regions or self.preset.reason or self.preset.placebos or self.preset.coherent
        plain = self.preset.decides == "log-odds" and not (staged or self.preset.costs)
        return plain and self.old.digest == self.new.digest


def measure(
    rows: Iterable[Row],
    change: Change,
    judge: Callable[[Verdict], Verdict] | None = None,
    *,
    sample: int | None = None,
    seed: int = 0,
) -> Impact:
    """Decides every row of a run again.

    Args:
        judge: judges an item anew under the changed constitution; None leaves such items open.
        sample: how many of those to judge, drawn with `seed`; None for all.

    Raises:
        JuratError: a row is no verdict, or one under another constitution than the old one.
    """
    impact, decider = Impact(), _Decider.of(change)
    waiting: list[Verdict] = []
    rng, seen = random.Random(seed), 0
    for row in rows:
        _check(row, change.old)
        impact.items += 1
        again = decider(row)
        if again is not None:
            impact.recorded += 1
            _count(impact, row, again)
            continue
        seen += 1
        # Reservoir sampling: each of those seen so far is kept with the same chance.
        if sample is None or len(waiting) < sample:
            waiting.append(row_to_verdict(row))
        elif (place := rng.randrange(seen)) < sample:
            waiting[place] = row_to_verdict(row)
    impact.open = seen
    if judge is not None:
        for verdict in waiting:
            impact.asked += 1
            impact.open -= 1
            impact.asked_flips += _count(impact, verdict_to_row(verdict), verdict_to_row(judge(verdict)))
    return impact


def preset_of(name: str) -> Preset:
    """The preset that a record names, parts left out and added.

    Raises:
        JuratError: there is none of that name any more.
    """
    base = re.split(r"-no-|\+", name, maxsplit=1)[0]
    preset = find_preset(base)
    for sign, part in re.findall(r"(-no-|\+)([a-z]+)", name[len(base) :]):
        preset = preset.without([part]) if sign == "-no-" else preset.plus([part])
    return preset


@dataclass(frozen=True)
class _Decider:
    """Decides a row again; None where the record does not hold what that takes."""

    redecide: Redecider
    thresholds: Mapping[str, Thresholds] | None
    """Of each rule under the new constitution, where nothing but they differ."""

    @classmethod
    def of(cls, change: Change) -> _Decider:
        old, new = plan(change.old, change.preset), plan(change.new, change.preset)
        redecide = Redecider(old, new, change.preset, change.calibration)
        if not change.only_thresholds:
            return cls(redecide, None)
        given = (change.preset, change.calibration)
        return cls(redecide, {rule.id: Thresholds.of(rule, *given) for rule in change.new.rules})

    def __call__(self, row: Row) -> Row | None:
        if self.thresholds is not None and _scored(row):
            return self._by_scores(row, self.thresholds)
        verdict = self.redecide(row_to_verdict(row))
        return None if verdict is None else verdict_to_row(verdict)

    def _by_scores(self, row: Row, thresholds: Mapping[str, Thresholds]) -> Row:
        found = {rule["id"]: rule for rule in row["rules"]}
        outcomes = {id: _SAID[bounds.decide(found[id]["score"])] for id, bounds in thresholds.items()}
        if all(outcome == found[id]["outcome"] for id, outcome in outcomes.items()):
            return row
        # Few rows come here; what the page shows of them is decided in full.
        verdict = self.redecide(row_to_verdict(row))
        return row if verdict is None else verdict_to_row(verdict)


_SAID = {"holds": "broken", "fails": "kept", "undecided": "undecided"}


def _scored(row: Row) -> bool:
    """Whether every clause of every rule has a score: then the smallest one tells all. An item of several
    frames is judged by its worst one, which thresholds may change."""
    return (
        row["outcome"] != "error"
        and row.get("basis", "model") == "model"
        and row["frames"] == 1
        and all(
            rule["score"] is not None and all(clause["score"] is not None for clause in rule["clauses"])
            for rule in row["rules"]
        )
    )


def _check(row: Row, old: Constitution) -> None:
    digest = str(row.get("constitution", "")).rpartition("@")[2]
    if digest != old.digest:
        raise JuratError(
            f"{row.get('id')!r} was judged under {row.get('constitution')!r}, and the constitution given as"
            f" the old one is {old.name}@{old.digest}.",
            hint="Give the file as it was when the run was made, then the changed one.",
        )


def _count(impact: Impact, before: Row, after: Row) -> bool:
    """Whether the item's outcome changed."""
    impact.changes[before["outcome"], after["outcome"]] += 1
    if before is after:
        return False
    was, is_ = ({rule["id"]: rule["outcome"] for rule in row["rules"]} for row in (before, after))
    changed = tuple(
        (id, was.get(id, "absent"), is_.get(id, "absent"))
        for id in dict.fromkeys((*was, *is_))
        if was.get(id) != is_.get(id)
    )
    for id, one, other in changed:
        impact.rules.setdefault(id, Counter())[one, other] += 1
    if changed or before["outcome"] != after["outcome"]:
        impact.flips.append(
            Flip(before["id"], before["uri"], before["outcome"], after["outcome"], changed, after)
        )
    return before["outcome"] != after["outcome"]


__all__ = ["Change", "Flip", "Impact", "measure", "preset_of"]
