"""A run of the bench: every method on every split with every model, kept as it goes, then the table."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from jurat import __version__
from jurat.bench.cost import Sizes, flops, sizes_of
from jurat.bench.keeping import read_rulings, write_rulings
from jurat.bench.methods.base import Ground, Ruling, Tuning
from jurat.bench.methods.registry import Method
from jurat.bench.pictogram.items import BenchItem
from jurat.bench.pictogram.protocol import OPEN_SPLITS, PER_RULE, law_of
from jurat.bench.pictogram.splits import FORMAT, keep_split
from jurat.bench.provenance import provenance
from jurat.bench.table import LEVELS, Judged, flip_row, paired, row
from jurat.errors import JuratError

if TYPE_CHECKING:
    from jurat.constitution import Constitution
    from jurat.models import Model
    from jurat.models.vision import Detector, Matcher

LEADS = ("jurat", "clue", "quick")
"""Presets that every other row is compared with."""
PAIRED = ("f1", "aurc", "accuracy", "brier")
TUNING = 40
"""Pairs a rule of dev that methods are fitted on, at `PER_RULE`; never more than are judged."""


@dataclass(frozen=True)
class Subject:
    """A model under the bench."""

    label: str
    """Its name in the results; "naive#2" is a further training seed of "naive"."""
    spec: str
    """As `open_model` takes it, or a folder with weights of the bundled model's kind."""

    @classmethod
    def parse(cls, text: str) -> Subject:
        """Reads NAME or LABEL=NAME."""
        label, _, spec = text.partition("=")
        return cls(label, spec or label)

    @property
    def group(self) -> str:
        return self.label.partition("#")[0]

    def open(self) -> Model:
        """Raises JuratError where it cannot be had."""
        folder = Path(self.spec)
        if folder.is_dir() and (folder / "domain.json").is_file():
            from jurat.models.bundled import BundledModel

            return BundledModel(folder, name=self.label)
        from jurat.models import open_model

        return open_model(self.spec)


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


@dataclass(frozen=True)
class Labelled:
    """Labelled images with their constitution; the split's name is "labelled"."""

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


def run_bench(plan: Plan, say: Callable[[str], None] = lambda line: None) -> dict[str, Any]:
    """Runs what is not there yet and gives the whole as `results.json` holds it.

    `say` is told what is being done, one line each. Raises JuratError where a model cannot be opened;
    what one method cannot do is told in `left_out`, and the others go on.
    """
    outcome = Outcome()
    for subject in plan.subjects:
        _judge_all(plan, subject, outcome, say)
    judged = [*outcome.judged, *_pooled(outcome.judged)]
    say("working out intervals")
    return {
        "provenance": provenance(plan, outcome),
        "rows": list(_rows(judged)),
        "paired": list(_paired(judged)),
    }


# --- judging -------------------------------------------------------------------------------------


def _judge_all(plan: Plan, subject: Subject, outcome: Outcome, say: Callable[[str], None]) -> None:
    model = subject.open()
    tried = outcome.tried.setdefault(subject.label, {})
    outcome.models[subject.label] = f"{model.name}@{model.revision}"
    eyes = _Eyes(plan.detector, plan.matcher)
    one = _Pass(plan, subject, model, eyes, sizes_of(model), tried, outcome, say)
    for split in ("labelled",) if plan.labelled else plan.splits:
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
    fitted: dict[str, Any] = field(default_factory=dict[str, Any])

    def judge(self, split: str) -> None:
        """Every method on one split; what is on disk is not judged again."""
        law, items = _stage(self.plan, split)
        self.outcome.digests[split] = law.digest
        spent: dict[str, float] = {}
        ground = self._ground(law, items, spent)
        for method in self.plan.methods:
            rulings = self._rulings(method, ground, items, split)
            if rulings is None:
                continue
            known = [r.spending.flops for r in rulings if r.spending.flops is not None]
            spent[method.key] = sum(known) / len(known) if known else math.nan
            self.outcome.judged.append(
                Judged(method.name, method.ablate, self.subject.label, split, tuple(items), tuple(rulings))
            )

    def _ground(self, law: Constitution, items: Sequence[BenchItem], spent: dict[str, float]) -> Ground:
        plan = self.plan
        return Ground(
            law,
            self.model,
            self.subject.label,
            self.eyes.detector if plan.detector else None,
            self.eyes.matcher if plan.matcher else None,
            tuning=None if plan.labelled else lambda: _tuning(plan),
            backgrounds=(lambda: items) if plan.labelled else (lambda: _tuning(plan).items),
            reference=lambda name: spent.get(name, math.nan),
            tried=self.tried,
            fitted=self.fitted,
        )

    def _rulings(
        self, method: Method, ground: Ground, items: Sequence[BenchItem], split: str
    ) -> list[Ruling] | None:
        """From disk, or judged and kept; None where the method is left out."""
        label = self.subject.label.replace("/", "-")
        path = self.plan.out / "rulings" / label / method.key / f"{split}.jsonl"
        stamp, note = _stamp(self.plan, method, self.model, ground.law, split), path.with_suffix(".tried")
        kept = read_rulings(path, stamp)
        if kept is not None:
            if note.exists():
                self.tried.setdefault(method.name, int(note.read_text()))
            return kept
        self.say(f"{self.subject.label}  {split}  {method.key}: {len(items):,} items")
        try:
            made = [_priced(ruling, self.sizes, self.eyes) for ruling in method(ground, items)]
        except Exception as problem:  # one method's failure is its own row's
            self.outcome.left_out.append(_left_out(method, self.subject, split, problem))
            self.say(f"  left out: {self.outcome.left_out[-1]['reason']}")
            return None
        write_rulings(path, stamp, made)
        if method.name in self.tried:
            note.write_text(str(self.tried[method.name]))
        return made


def _stage(plan: Plan, split: str) -> tuple[Constitution, Sequence[BenchItem]]:
    if plan.labelled is not None:
        return plan.labelled.law, plan.labelled.items
    folder = plan.out / "scenes" / f"{split}-{plan.seed}-{plan.per_rule}"
    return law_of(split), keep_split(folder, split, plan.seed, plan.per_rule)


def _tuning(plan: Plan) -> Tuning:
    pairs = max(1, min(plan.per_rule, round(TUNING * max(1.0, plan.per_rule / PER_RULE))))
    folder = plan.out / "scenes" / f"dev-{plan.seed}-{pairs}"
    return Tuning(law_of("dev"), keep_split(folder, "dev", plan.seed, pairs))


def _stamp(plan: Plan, method: Method, model: Model, law: Constitution, split: str) -> dict[str, Any]:
    """What a file of rulings depends on: with any other it is made anew."""
    options = {name: list(v) if isinstance(v, tuple) else v for name, v in method.options.items()}
    stamp: dict[str, Any] = {
        "method": method.key,
        "options": options,
        "model": f"{model.name}@{model.revision}",
        "constitution": law.digest,
        "split": split,
        "detector": plan.detector,
        "matcher": plan.matcher,
        "jurat": __version__,
    }
    if plan.labelled is None:
        return stamp | {"seed": plan.seed, "per_rule": plan.per_rule, "format": FORMAT}
    return stamp | {"items": [item.id for item in plan.labelled.items]}


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
    """Opens detector and matcher when they are first needed."""

    def __init__(self, detector: str | None, matcher: str | None) -> None:
        self._names = detector, matcher
        self._detector: Detector | None = None
        self._matcher: Matcher | None = None
        self._sizes: dict[int, Sizes | None] = {}

    def detector(self) -> Detector:
        from jurat.models.vision import open_detector

        self._detector = self._detector or open_detector(self._names[0] or "")
        return self._detector

    def matcher(self) -> Matcher:
        from jurat.models.vision import open_matcher

        self._matcher = self._matcher or open_matcher(self._names[1] or "")
        return self._matcher

    def sizes(self) -> tuple[Sizes | None, Sizes | None]:
        """Of the detector and of the matcher; None for one that was not opened."""
        return self._size(self._detector), self._size(self._matcher)

    def _size(self, eye: object | None) -> Sizes | None:
        if eye is not None and id(eye) not in self._sizes:
            self._sizes[id(eye)] = sizes_of(eye)
        return None if eye is None else self._sizes[id(eye)]


def _priced(ruling: Ruling, sizes: Sizes | None, eyes: _Eyes) -> Ruling:
    spending = ruling.spending
    if spending.flops is not None:
        return ruling
    return replace(ruling, spending=replace(spending, flops=flops(spending, sizes, *eyes.sizes())))


# --- the table -----------------------------------------------------------------------------------


def _pooled(judged: Sequence[Judged]) -> list[Judged]:
    """The training seeds of one model together: those whose labels differ after a "#"."""
    groups: dict[tuple[str, str, str], list[Judged]] = {}
    for each in judged:
        groups.setdefault((each.model.partition("#")[0], each.key, each.split), []).append(each)
    pooled: list[Judged] = []
    for (group, _, split), members in groups.items():
        if len(members) > 1:
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
            on_test = math.nan if test is None else test.arrays("item").statistic("recall")(None)
            values = row(each, level, recall_on_test=on_test)
            if each.split == "flip" and level == "rule" and test is not None and not each.seeds:
                score = flip_row(test, each)
                values["flip_score"] = None if math.isnan(score) else score
            rows.append(values)
    return rows


def _tells_rules(judged: Judged) -> bool:
    told = any(ruling.rules for ruling in judged.rulings)
    return told and (judged.split == "labelled" or any(item.rule for item in judged.items))


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
        less = entry["metric"] in ("aurc", "brier")
        better = sum(each["ci"][1] < 0 if less else each["ci"][0] > 0 for each in single)
        entry["seeds"] = {"better": better, "of": len(single)}
    return found
