"""Every method on every split with one model; what is on disk is not judged again."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any, TypeVar

from jurat import __version__
from jurat.bench.answer_cache import Clock, Remembering, RememberingDetector, RememberingMatcher
from jurat.bench.cost import Sizes, flops, sizes_of
from jurat.bench.methods.base import Ground, Ruling, Tuning
from jurat.bench.methods.registry import Method
from jurat.bench.pictogram.items import BenchItem
from jurat.bench.pictogram.protocol import PER_RULE, law_of
from jurat.bench.pictogram.splits import FORMAT, keep_split
from jurat.bench.plan import Outcome, Plan, Subject
from jurat.bench.provenance import commit
from jurat.bench.rulings import Kept, Note, read_rulings, write_rulings
from jurat.bench.table import Judged
from jurat.errors import JuratError
from jurat.judge.prompts import digest as prompts_digest
from jurat.judge.stages.reason import form_of
from jurat.metrics import UNSURE
from jurat.models import full_name

if TYPE_CHECKING:
    from jurat.constitution import Constitution
    from jurat.models import Model
    from jurat.models.vision import Detector, Matcher

E = TypeVar("E")

TUNING = 40
"""Pairs a rule of dev that methods are fitted on, at `PER_RULE`; never more than are judged."""


def judge_model(plan: Plan, subject: Subject, outcome: Outcome, say: Callable[[str], None]) -> None:
    """Every method on every split with one model; rulings go to disk, and all that was found to `outcome`."""
    model, clock = subject.open(), Clock()
    tried = outcome.tried.setdefault(subject.label, {})
    eyes = _Eyes(plan, clock)
    outcome.eyes = eyes.names
    asked = Remembering(model, clock) if plan.remember else model
    named = full_name(model)  # as it is before a served one has answered, whichever run this is
    one = _Pass(plan, subject, asked, named, eyes, sizes_of(model), tried, outcome, say, clock)
    for split in plan.splits_of(subject):
        one.judge(split)
    outcome.models[subject.label] = full_name(model)  # a served one tells its revision when it answers


@dataclass
class _Pass:
    """One model over all splits."""

    plan: Plan
    subject: Subject
    model: Model
    named: str
    eyes: _Eyes
    sizes: Sizes | None
    tried: dict[str, int]
    outcome: Outcome
    say: Callable[[str], None]
    clock: Clock
    fitted: dict[str, Any] = field(default_factory=dict[str, Any])

    def judge(self, split: str) -> None:
        """Every method on one split; what is on disk is not judged again."""
        law, items = _stage(self.plan, split)
        self.outcome.digests[split] = law.digest
        spent: dict[str, float] = {}
        ground = self._ground(law, items, spent)
        for method in self.plan.methods_of(self.subject, split):
            rulings = self._rulings(method, ground, items, split)
            if rulings is None:
                continue
            known = [r.spending.flops for r in rulings if r.spending.flops is not None]
            spent[method.key] = sum(known) / len(known) if len(known) == len(rulings) else math.nan
            self.outcome.judged.append(
                Judged(method.name, method.ablate, self.subject.label, split, tuple(items), tuple(rulings))
            )

    def _ground(self, law: Constitution, items: Sequence[BenchItem], spent: dict[str, float]) -> Ground:
        plan = self.plan
        return Ground(
            law,
            self.model,
            self.subject.label,
            _opener(self.eyes.detector),
            _opener(self.eyes.matcher),
            tuning=None if plan.labelled else lambda: _tuning(plan),
            backgrounds=(lambda: items) if plan.labelled else (lambda: _tuning(plan).items),
            reference=lambda name: spent.get(name, math.nan),
            tried=self.tried,
            fitted=self.fitted,
            clock=self.clock,
            calibration=plan.calibration,
        )

    def _rulings(
        self, method: Method, ground: Ground, items: Sequence[BenchItem], split: str
    ) -> list[Ruling] | None:
        """From disk, or judged and kept; None where the method is left out."""
        label = self.subject.label.replace("/", "-")
        path = self.plan.out / "rulings" / label / method.key / f"{split}.jsonl"
        stamp = self._stamp(method, ground.law, split)
        kept = read_rulings(path, stamp)
        if kept is not None and kept.note.tried is not None:
            self.tried.setdefault(method.name, kept.note.tried)
        there = [None] * len(items) if kept is None else kept.rulings
        # What failed before may do so no more.
        left = [i for i, ruling in enumerate(there) if ruling is None or ruling.failed]
        left = [i for i in left if items[i].unreadable is None or there[i] is None]
        if kept is None or left:
            self.say(f"{self.subject.label}  {split}  {method.key}: {len(left):,} items")
            try:
                made = self._judged(method, ground, [items[i] for i in left])
            except Exception as problem:  # one method's failure is its own row's
                told = _left_out(method, self.subject, split, problem)
                if kept is None:
                    self.outcome.left_out.append(told)
                self.say(f"  {'left out' if kept is None else 'not judged again'}: {told['reason']}")
                return None if kept is None else self._noted(kept)
            found = dict(enumerate(there)) | dict(zip(left, made, strict=True))
            now = datetime.now(UTC).isoformat(timespec="seconds")
            note = Note(self.plan.command, commit(), now, self.tried.get(method.name))
            kept = Kept([ruling for ruling in found.values() if ruling is not None], note)
            write_rulings(path, stamp, kept)
        return self._noted(kept)

    def _noted(self, kept: Kept) -> list[Ruling]:
        self.outcome.notes.append(kept.note)
        return kept.rulings

    def _judged(self, method: Method, ground: Ground, items: Sequence[BenchItem]) -> list[Ruling]:
        """A ruling an item; one that cannot be read is put to no method, and is an error of each."""
        readable = [item for item in items if item.unreadable is None]
        made = iter(method(ground, readable) if readable else ())
        failed = Ruling(UNSURE, math.nan, reason="error")
        return [
            failed if item.unreadable is not None else _priced(next(made), self.sizes, self.eyes)
            for item in items
        ]

    def _stamp(self, method: Method, law: Constitution, split: str) -> dict[str, Any]:
        """What a file of rulings depends on: with any other it is made anew."""
        plan = self.plan
        stamp: dict[str, Any] = {
            "method": method.key,
            "options": method.settings,
            "model": self.named,
            **self.eyes.names,
            "constitution": law.digest,
            "prompts": prompts_digest(reasoning=form_of(self.model)),
            "split": split,
            "jurat": __version__,
            **self.subject.changed,
        }
        if plan.calibration is not None:
            stamp["calibration"] = plan.calibration.digest
        if plan.labelled is None:
            return stamp | {"seed": plan.seed, "per_rule": plan.per_rule, "format": FORMAT}
        return stamp | {"items": plan.labelled.images, "thresholds": law.thresholds_digest}


def _opener(eye: E | None) -> Callable[[], E] | None:
    return None if eye is None else lambda: eye


def _stage(plan: Plan, split: str) -> tuple[Constitution, Sequence[BenchItem]]:
    if plan.labelled is not None:
        return plan.labelled.law, plan.labelled.items
    return law_of(split), keep_split(plan.out / "scenes", split, plan.seed, plan.per_rule)


def _tuning(plan: Plan) -> Tuning:
    pairs = max(1, min(plan.per_rule, round(TUNING * max(1.0, plan.per_rule / PER_RULE))))
    return Tuning(law_of("dev"), keep_split(plan.out / "scenes", "dev", plan.seed, pairs))


def _left_out(method: Method, subject: Subject, split: str, problem: Exception) -> dict[str, Any]:
    expected = isinstance(problem, JuratError)
    reason = problem.message if expected else f"{type(problem).__name__}: {problem}"
    return {
        "preset": method.name,
        "ablate": list(method.ablate),
        "model": subject.label,
        "split": split,
        "reason": reason.splitlines()[0] if reason else type(problem).__name__,
        "failed": not expected,
    }


class _Eyes:
    """The detector and the matcher of a plan, and what they are made of."""

    def __init__(self, plan: Plan, clock: Clock) -> None:
        from jurat.models.vision import open_detector, open_matcher

        detector = open_detector(plan.detector) if plan.detector else None
        matcher = open_matcher(plan.matcher) if plan.matcher else None
        self.sizes = (sizes_of(detector), sizes_of(matcher))
        """For the estimate of FLOPs."""
        self.names = {"detector": full_name(detector), "matcher": full_name(matcher)}
        self.detector: Detector | None = detector
        self.matcher: Matcher | None = matcher
        if plan.remember:
            self.detector = None if detector is None else RememberingDetector(detector, clock)
            self.matcher = None if matcher is None else RememberingMatcher(matcher, clock)


def _priced(ruling: Ruling, sizes: Sizes | None, eyes: _Eyes) -> Ruling:
    spending = ruling.spending
    if spending.flops is not None:
        return ruling
    return replace(ruling, spending=replace(spending, flops=flops(spending, sizes, *eyes.sizes)))
