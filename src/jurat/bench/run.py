"""A run of the bench: every method on every split with every model, kept as it goes, then the table."""

from __future__ import annotations

import hashlib
import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

from jurat import __version__
from jurat.bench.cost import Sizes, flops, sizes_of
from jurat.bench.keeping import Kept, Note, read_rulings, write_rulings
from jurat.bench.labelled import SPLIT as LABELLED
from jurat.bench.memory import Clock, Remembering, RememberingDetector, RememberingMatcher
from jurat.bench.methods.base import Ground, Ruling, Tuning
from jurat.bench.methods.registry import Method
from jurat.bench.pictogram.items import BenchItem
from jurat.bench.pictogram.protocol import CLAIMED_SPLITS, OPEN_SPLITS, PER_RULE, law_of
from jurat.bench.pictogram.splits import FORMAT, keep_split
from jurat.bench.provenance import commit, provenance
from jurat.bench.side import side_by_side
from jurat.bench.slice import slice_of
from jurat.bench.table import LESS, LEVELS, Judged, flip_row, paired, row
from jurat.errors import JuratError
from jurat.judge.prompts import digest as prompts_digest

if TYPE_CHECKING:
    from jurat.constitution import Constitution
    from jurat.models import Model
    from jurat.models.vision import Detector, Matcher

E = TypeVar("E")

LEADS = ("jurat", "clue", "quick")
"""Presets that every other row is compared with."""
PAIRED = ("f1", "aurc", "risk", "accuracy", "brier")
TUNING = 40
"""Pairs a rule of dev that methods are fitted on, at `PER_RULE`; never more than are judged."""


@dataclass(frozen=True)
class Subject:
    """A model under the bench."""

    label: str
    """Its name in the results; "naive#2" is a further training seed of "naive"."""
    spec: str
    """As `open_model` takes it, or a folder with weights of the bundled model's kind."""
    trust_remote_code: bool = False
    """Whether Python code that comes with its weights may be run."""

    @classmethod
    def parse(cls, text: str) -> Subject:
        """Reads NAME or LABEL=NAME."""
        label, _, spec = text.partition("=")
        return cls(label, spec or label)

    @property
    def group(self) -> str:
        return self.label.partition("#")[0]

    @property
    def further(self) -> bool:
        """Whether it is a further training seed of another one."""
        return "#" in self.label

    def open(self) -> Model:
        """Raises JuratError where it cannot be had."""
        folder = Path(self.spec)
        if folder.is_dir() and (folder / "domain.json").is_file():
            from jurat.models.bundled import BundledModel

            return BundledModel(folder, name=self.label)
        from jurat.models import open_model

        return open_model(self.spec, trust_remote_code=self.trust_remote_code)


@dataclass(frozen=True)
class Plan:
    """What is to be run."""

    out: Path
    methods: Sequence[Method]
    subjects: Sequence[Subject]
    splits: Sequence[str] = OPEN_SPLITS
    seed: int = 0
    per_rule: int = PER_RULE
    detector: str | None = "bundled"
    matcher: str | None = "bundled"
    command: str = ""
    labelled: Labelled | None = None
    """Someone's own images, judged in the place of the splits."""
    remember: bool = True
    """Whether models are asked anything only once (`jurat.bench.memory`): rows stay the same, but for
    rounding, and a run takes less."""
    claims_of_seeds: bool = False
    """Whether further training seeds are only put to what claims rest on: methods that are `claimed`, on
    `CLAIMED_SPLITS`."""
    workers: int = 1
    """Models that are judged side by side, each by a process of its own."""

    def methods_of(self, subject: Subject) -> list[Method]:
        claims = self.claims_of_seeds and subject.further
        return [method for method in self.methods if method.claimed or not claims]

    def splits_of(self, subject: Subject) -> list[str]:
        if self.labelled is not None:
            return [LABELLED]
        claims = self.claims_of_seeds and subject.further
        return [split for split in self.splits if split in CLAIMED_SPLITS or not claims]


@dataclass(frozen=True)
class Labelled:
    """Labelled images with their constitution; the split's name is `jurat.bench.labelled.SPLIT`."""

    law: Constitution
    items: Sequence[BenchItem]


@dataclass
class Outcome:
    """What a run came to."""

    judged: list[Judged] = field(default_factory=list[Judged])
    left_out: list[dict[str, Any]] = field(default_factory=list[dict[str, Any]])
    tried: dict[str, dict[str, int]] = field(default_factory=dict[str, dict[str, int]])
    """By model and method: configurations tried on dev."""
    models: dict[str, str] = field(default_factory=dict[str, str])
    """Label -> name@revision."""
    digests: dict[str, str] = field(default_factory=dict[str, str])
    """Split -> digest of its constitution."""
    eyes: dict[str, str | None] = field(default_factory=dict[str, "str | None"])
    """name@revision of the detector and of the matcher."""
    notes: list[Note] = field(default_factory=list[Note])
    """Of all files of rulings that were made or read."""


def run_bench(plan: Plan, say: Callable[[str], None] = lambda line: None) -> dict[str, Any]:
    """Runs what is not there yet and gives the whole as `results.json` holds it.

    `say` is told what is being done, one line each. Raises JuratError where a model cannot be opened;
    what one method cannot do is told in `left_out`, and the others go on.
    """
    if plan.workers > 1 and len(plan.subjects) > 1:
        side_by_side(judge_model, plan, say)
    outcome = Outcome()
    for subject in plan.subjects:
        judge_model(plan, subject, outcome, say)
    judged = [*outcome.judged, *_pooled(outcome.judged)]
    say("working out intervals")
    return {
        "provenance": provenance(plan, outcome),
        "rows": list(_rows(judged)),
        "paired": list(_paired(judged)),
        "slice": slice_of(outcome.judged),
    }


# --- judging -------------------------------------------------------------------------------------


def judge_model(plan: Plan, subject: Subject, outcome: Outcome, say: Callable[[str], None]) -> None:
    """Every method on every split with one model; rulings go to disk, and all that was found to `outcome`."""
    model, clock = subject.open(), Clock()
    tried = outcome.tried.setdefault(subject.label, {})
    outcome.models[subject.label] = f"{model.name}@{model.revision}"
    eyes = _Eyes(plan, clock)
    outcome.eyes = eyes.names
    asked = Remembering(model, clock) if plan.remember else model
    one = _Pass(plan, subject, asked, eyes, sizes_of(model), tried, outcome, say, clock)
    for split in plan.splits_of(subject):
        one.judge(split)


@dataclass
class _Pass:
    """One model over all splits."""

    plan: Plan
    subject: Subject
    model: Model
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
        for method in self.plan.methods_of(self.subject):
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
        )

    def _rulings(
        self, method: Method, ground: Ground, items: Sequence[BenchItem], split: str
    ) -> list[Ruling] | None:
        """From disk, or judged and kept; None where the method is left out."""
        label = self.subject.label.replace("/", "-")
        path = self.plan.out / "rulings" / label / method.key / f"{split}.jsonl"
        stamp = self._stamp(method, ground.law, split)
        kept = read_rulings(path, stamp)
        if kept is None:
            self.say(f"{self.subject.label}  {split}  {method.key}: {len(items):,} items")
            try:
                made = [_priced(ruling, self.sizes, self.eyes) for ruling in method(ground, items)]
            except Exception as problem:  # one method's failure is its own row's
                self.outcome.left_out.append(_left_out(method, self.subject, split, problem))
                self.say(f"  left out: {self.outcome.left_out[-1]['reason']}")
                return None
            now = datetime.now(UTC).isoformat(timespec="seconds")
            kept = Kept(made, Note(self.plan.command, commit(), now, self.tried.get(method.name)))
            write_rulings(path, stamp, kept)
        elif kept.note.tried is not None:
            self.tried.setdefault(method.name, kept.note.tried)
        self.outcome.notes.append(kept.note)
        return kept.rulings

    def _stamp(self, method: Method, law: Constitution, split: str) -> dict[str, Any]:
        """What a file of rulings depends on: with any other it is made anew."""
        plan = self.plan
        stamp: dict[str, Any] = {
            "method": method.key,
            "options": method.settings,
            "model": f"{self.model.name}@{self.model.revision}",
            **self.eyes.names,
            "constitution": law.digest,
            "prompts": prompts_digest(),
            "split": split,
            "jurat": __version__,
        }
        if plan.labelled is None:
            return stamp | {"seed": plan.seed, "per_rule": plan.per_rule, "format": FORMAT}
        names = "\n".join(item.id for item in plan.labelled.items)
        return stamp | {"items": hashlib.sha256(names.encode()).hexdigest()}


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
        self.names = {
            "detector": None if detector is None else f"{detector.name}@{detector.revision}",
            "matcher": None if matcher is None else f"{matcher.name}@{matcher.revision}",
        }
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


# --- the table -----------------------------------------------------------------------------------


def _pooled(judged: Sequence[Judged]) -> list[Judged]:
    """The training seeds of one model together (labels alike up to a "#"), where each of them has a row."""
    groups: dict[tuple[str, str, str], list[Judged]] = {}
    seeds: dict[tuple[str, str], set[str]] = {}
    for each in judged:
        group = each.model.partition("#")[0]
        groups.setdefault((group, each.key, each.split), []).append(each)
        seeds.setdefault((group, each.split), set()).add(each.model)
    pooled: list[Judged] = []
    for (group, _, split), members in groups.items():
        if len(members) == len(seeds[group, split]) > 1:
            first = members[0]
            pooled.append(
                Judged(
                    first.preset,
                    first.ablate,
                    f"{group}#all",
                    split,
                    tuple(item for each in members for item in each.items),
                    tuple(ruling for each in members for ruling in each.rulings),
                    tuple(each.model for each in members for _ in each.items),
                )
            )
    return pooled


def _rows(judged: Sequence[Judged]) -> list[dict[str, Any]]:
    known = {(each.model, each.key, each.split): each for each in judged}
    rows: list[dict[str, Any]] = []
    for each in judged:
        test = known.get((each.model, each.key, "test"))
        for level in LEVELS:
            if level == "rule" and not _tells_rules(each):
                continue
            on_test = math.nan if test is None else test.arrays("item").value("recall")
            values = row(each, level, recall_on_test=on_test)
            if each.split == "flip" and level == "rule" and test is not None:
                values |= flip_row(test, each)
            rows.append(values)
    return rows


def _tells_rules(judged: Judged) -> bool:
    told = any(ruling.rules for ruling in judged.rulings)
    return told and (judged.split == LABELLED or any(item.rule for item in judged.items))


def _paired(judged: Sequence[Judged]) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = []
    groups: dict[tuple[str, str], list[Judged]] = {}
    for each in judged:
        groups.setdefault((each.model, each.split), []).append(each)
    for members in groups.values():
        known = {each.key: each for each in members}
        for lead in LEADS:
            if lead not in known:
                continue
            for other in members:
                if other.key in LEADS[: LEADS.index(lead) + 1]:
                    continue
                entries = (paired(known[lead], other, metric) for metric in PAIRED)
                found += [entry for entry in entries if entry is not None]
    return _with_seeds(found)


def _with_seeds(found: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """To a pooled difference, in how many of its seeds the interval lies on the better side of 0."""
    for entry in found:
        group, _, seeds = entry["model"].partition("#")
        if seeds != "all":
            continue
        single = [
            each
            for each in found
            if each["model"] != entry["model"]
            and each["model"].partition("#")[0] == group
            and all(each[name] == entry[name] for name in ("a", "b", "split", "metric", "level"))
        ]
        less = entry["metric"] in LESS
        better = sum(each["ci"][1] < 0 if less else each["ci"][0] > 0 for each in single)
        entry["seeds"] = {"better": better, "of": len(single)}
    return found
