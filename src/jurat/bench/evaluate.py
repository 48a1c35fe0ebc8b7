"""One model under every method on every split; predictions that are on disk are not made again."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from functools import partial
from typing import TYPE_CHECKING, Any

from jurat import __version__
from jurat.bench.answer_cache import CachingDetector, CachingMatcher, CachingModel, Clock
from jurat.bench.bench_plan import BenchModel, BenchPlan
from jurat.bench.cost import flops, sizes_of
from jurat.bench.labelled.folds import cross_fitted
from jurat.bench.methods.interface import Prediction, Setup, Tuning
from jurat.bench.methods.registry import Method
from jurat.bench.pictogram.definition import PER_RULE, constitution_of
from jurat.bench.pictogram.items import BenchItem
from jurat.bench.pictogram.splits import keep_split
from jurat.bench.predictions import (
    Origin,
    PredictionFile,
    completed,
    predictions_of,
    read_predictions,
    unfinished,
    write_predictions,
)
from jurat.bench.table import EvaluatedMethod
from jurat.errors import JuratError
from jurat.judge.prompts import digest as prompts_digest
from jurat.judge.stages.reason import form_of
from jurat.models import full_name
from jurat.models.vision import open_detector, open_matcher
from jurat.provenance import commit, now
from jurat.registry import PlugInError

if TYPE_CHECKING:
    from jurat.constitution import Constitution
    from jurat.models import Model

TUNING = 40
"""Pairs a rule of dev that methods are fitted on, at `PER_RULE`; never more than are judged."""


@dataclass
class Progress:
    """Progress and results of a run so far."""

    evaluated: list[EvaluatedMethod] = field(default_factory=list[EvaluatedMethod])
    left_out: list[dict[str, Any]] = field(default_factory=list[dict[str, Any]])
    tried: dict[str, dict[str, int]] = field(default_factory=dict[str, dict[str, int]])
    """By model and method: configurations tried on dev."""
    models: dict[str, str] = field(default_factory=dict[str, str])
    """Label -> name@revision."""
    digests: dict[str, str] = field(default_factory=dict[str, str])
    """Split -> digest of its constitution."""
    vision: dict[str, str | None] = field(default_factory=dict[str, "str | None"])
    """name@revision of the detector and of the matcher."""
    origins: list[Origin] = field(default_factory=list[Origin])
    """Origins of all files of predictions that were made or read."""


def evaluate_model(
    plan: BenchPlan, subject: BenchModel, progress: Progress, say: Callable[[str], None]
) -> None:
    """Runs every method on every split with one model. Predictions go to disk, and results into `progress`.
    Raises JuratError where the model cannot be opened."""
    opened = subject.open()
    try:
        evaluation = _Evaluation(plan, subject, opened, progress, say)
        for split in plan.splits_of(subject):
            evaluation.evaluate(split)
        progress.models[subject.label] = full_name(opened)  # a served one tells its revision by now
    finally:
        opened.close()


class _Evaluation:
    """Evaluates one opened model on all splits."""

    def __init__(
        self,
        plan: BenchPlan,
        subject: BenchModel,
        model: Model,
        progress: Progress,
        say: Callable[[str], None],
    ) -> None:
        self.plan, self.subject, self.progress, self.say = plan, subject, progress, say
        self.model_name = full_name(model)  # before a served one has answered, whichever run this is
        clock = Clock()
        detector = open_detector(plan.detector) if plan.detector else None
        matcher = open_matcher(plan.matcher) if plan.matcher else None
        self.sizes = sizes_of(model), sizes_of(detector), sizes_of(matcher)
        progress.vision = {"detector": full_name(detector), "matcher": full_name(matcher)}
        if plan.cache_answers:
            model = CachingModel(model, clock)
            detector = None if detector is None else CachingDetector(detector, clock)
            matcher = None if matcher is None else CachingMatcher(matcher, clock)
        self.tried = progress.tried.setdefault(subject.label, {})
        self.setup = Setup(
            constitution_of("test"),
            model,
            subject.label,
            detector,
            matcher,
            tuning=None if plan.labelled else self._tuning,
            backgrounds=lambda: self._tuning().items,
            tried=self.tried,
            clock=clock,
            calibration=plan.calibration,
        )

    def evaluate(self, split: str) -> None:
        """Every method on one split."""
        constitution, items = self.plan.items_of(split)
        self.progress.digests[split] = constitution.digest
        flops_of: dict[str, float] = {}

        def reference(method: str) -> float:
            return flops_of.get(method, math.nan)

        setup = replace(self.setup, constitution=constitution, reference=reference)
        if self.plan.labelled is not None:
            setup = replace(setup, backgrounds=lambda: items)
        for method in self.plan.methods_of(self.subject, split):
            found = self._predictions(method, setup, items, split)
            if found is None:
                continue
            self.progress.origins.append(found.origin)
            spent = [each.spending.flops for each in found.predictions]
            known = [each for each in spent if each is not None]
            flops_of[method.key] = sum(known) / len(known) if len(known) == len(spent) else math.nan
            row = (method.name, method.ablate, self.subject.label, split)
            self.progress.evaluated.append(EvaluatedMethod(*row, tuple(items), tuple(found.predictions)))

    def _tuning(self) -> Tuning:
        plan = self.plan
        pairs = max(1, min(plan.per_rule, round(TUNING * max(1.0, plan.per_rule / PER_RULE))))
        return Tuning(constitution_of("dev"), keep_split(plan.out / "scenes", "dev", plan.seed, pairs))

    def _predictions(
        self, method: Method, setup: Setup, items: Sequence[BenchItem], split: str
    ) -> PredictionFile | None:
        """Predictions from disk, or computed and saved; None if the method is left out."""
        label = self.subject.label.replace("/", "-")
        path = self.plan.out / "predictions" / label / method.key / f"{split.replace('/', '-')}.jsonl"
        stamp = self._stamp(method, setup.constitution, split)
        file = read_predictions(path, stamp)
        if file is not None and file.origin.tried is not None:
            self.tried.setdefault(method.name, file.origin.tried)
        missing = unfinished(file, items)
        if file is not None and not missing:
            return file
        self.say(f"{self.subject.label}  {split}  {method.key}: {len(missing):,} items")
        try:
            made = predictions_of([items[i] for i in missing], partial(self._predict, method, setup))
        except Exception as problem:  # one method's failure leaves out its own row only
            entry = _left_out(method, self.subject, split, problem)
            if file is None:
                self.progress.left_out.append(entry)
            self.say(f"  {'left out' if file is None else 'not judged again'}: {entry['reason']}")
            return file
        origin = Origin(self.plan.command, commit(), now(), self.tried.get(method.name))
        file = completed(file, missing, made, origin)
        write_predictions(path, stamp, file)
        return file

    def _predict(self, method: Method, setup: Setup, items: Sequence[BenchItem]) -> list[Prediction]:
        labelled, folds = self.plan.labelled, self.plan.folds
        if method.fits and labelled is not None and folds:
            made = cross_fitted(method, setup, labelled, items, folds)
        elif self.plan.rule_by_rule:
            made = _rule_by_rule(method, setup, items)
        else:
            made = method(setup, items)
        return [self._with_flops(each) for each in made]

    def _with_flops(self, prediction: Prediction) -> Prediction:
        spending = prediction.spending
        if spending.flops is not None:
            return prediction
        return replace(prediction, spending=replace(spending, flops=flops(spending, *self.sizes)))

    def _stamp(self, method: Method, constitution: Constitution, split: str) -> dict[str, Any]:
        """Everything that predictions depend on; a change means that they are recomputed."""
        plan = self.plan
        stamp: dict[str, Any] = {
            "method": method.key,
            "options": method.settings,
            "model": self.model_name,
            **self.progress.vision,
            "constitution": constitution.digest,
            "prompts": prompts_digest(reasoning=form_of(self.setup.model)),
            "split": split,
            "jurat": __version__,
            **self.subject.settings,
        }
        if plan.calibration is not None:
            stamp["calibration"] = plan.calibration.digest
        if plan.labelled is not None and method.fits:
            stamp |= {"labels": plan.labelled.labels_digest, "folds": plan.folds}
        return stamp | plan.stamp_of(split)


def _rule_by_rule(method: Method, setup: Setup, items: Sequence[BenchItem]) -> list[Prediction]:
    """Each item judged under its own rule alone."""
    found: dict[str, Prediction] = {}
    for rule in setup.constitution.rules:
        own = [item for item in items if item.rule == rule.id]
        if own:
            alone = replace(setup, constitution=setup.constitution.model_copy(update={"rules": (rule,)}))
            found.update(zip((item.id for item in own), method(alone, own), strict=True))
    return [found[item.id] for item in items]


def _left_out(method: Method, subject: BenchModel, split: str, problem: Exception) -> dict[str, Any]:
    reason = problem.message if isinstance(problem, JuratError) else f"{type(problem).__name__}: {problem}"
    return {
        "preset": method.name,
        "ablate": list(method.ablate),
        "model": subject.label,
        "split": split,
        "reason": reason.splitlines()[0] if reason else type(problem).__name__,
        "failed": not isinstance(problem, JuratError) or isinstance(problem, PlugInError),
    }
