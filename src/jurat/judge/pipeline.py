"""The one loop over a preset's stages: judging, deciding, and deciding a record again.

Each stage in turn selects statements of every rule, asks about those that are still undecided and could still
change a rule's outcome, and the rules change by what it found. What happens between selecting and applying is
given to the loop: `Pipeline` asks the models, `jurat.judge.replay.redecide` checks that the record holds what
would be asked, and deciding from evidence does nothing.

A failed stage leaves the affected statements undecided; it never counts as No.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, TypeAlias

from PIL import Image

from jurat.content import Failure, Usage
from jurat.judge.asking import PriorAnswers
from jurat.judge.calibrate.calibration import Calibration
from jurat.judge.evidence import Evidence, Priors
from jurat.judge.findings import RuleFinding
from jurat.judge.item_texts import NO_TEXTS, ItemTexts
from jurat.judge.presets import Preset
from jurat.judge.questions import PlannedRule, questions
from jurat.judge.rule_state import RuleState, finding_of
from jurat.judge.stages.base import Models, Request, Stage
from jurat.judge.statement_scoring import Scoring
from jurat.models import YesNo

__all__ = ["ImageState", "Pipeline", "Selected", "decide_rule", "run_stages", "undecided_rule"]


@dataclass
class ImageState:
    """The rules on one image, and the evidence about it."""

    evidence: Evidence
    rules: list[RuleState]
    image: Image.Image | None = None
    """None where only evidence is decided."""

    @classmethod
    def of(
        cls,
        rules: Sequence[PlannedRule],
        preset: Preset,
        evidence: Evidence,
        calibration: Calibration | None = None,
        image: Image.Image | None = None,
    ) -> ImageState:
        """The state before the first stage."""
        decision, order = preset.decision, preset.stage_names
        states = [
            RuleState(
                rule,
                Scoring(decision, decision.thresholds(rule.rule, calibration), evidence, calibration),
                order=order,
            )
            for rule in rules
        ]
        return cls(evidence, states, image)


@dataclass(frozen=True)
class Selected:
    """The statements of one image that a stage selected."""

    image: ImageState
    by_rule: Sequence[Sequence[Any]]
    """For each rule the selected targets."""

    def keys(self, stage: Stage) -> tuple[Any, ...]:
        """The distinct keys to ask about."""
        return tuple(
            dict.fromkeys(key for some in self.by_rule for target in some for key in stage.keys(target))
        )


Between: TypeAlias = Callable[[Stage, Sequence[Selected]], None]


def run_stages(stages: Sequence[Stage], images: Sequence[ImageState], between: Between | None = None) -> None:
    """Runs the stages on images; `between` is called for each stage with what it selected, before the rules
    change by what the evidence then holds. An image with a failure takes no part in later stages."""
    for stage in stages:
        active = [image for image in images if image.evidence.failure is None]
        selected = [
            Selected(image, [() if rule.irrelevant else tuple(stage.select(rule)) for rule in image.rules])
            for image in active
        ]
        if between is not None:
            between(stage, selected)
        for each in selected:
            if each.image.evidence.failure is None:
                each.image.rules = [
                    rule if rule.irrelevant else stage.apply(rule, targets)
                    for rule, targets in zip(each.image.rules, each.by_rule, strict=True)
                ]


@dataclass
class Pipeline:
    """The stages of one preset for one constitution's rules, with the models that they need."""

    models: Models
    preset: Preset
    rules: tuple[PlannedRule, ...]
    calibration: Calibration | None = None
    _prior_answers: PriorAnswers = field(init=False)

    def __post_init__(self) -> None:
        self._prior_answers = PriorAnswers(self.models.model)
        self.models.priors = self._priors_if_measured

    def run(self, images: Sequence[Image.Image], texts: Sequence[ItemTexts] = ()) -> list[ImageState]:
        """One state an image, in order; `texts` are those of the images' items, none if left out. Failures of
        models are recorded in the evidence and not raised."""
        states = [
            ImageState.of(self.rules, self.preset, Evidence(texts=each), self.calibration, image)
            for image, each in zip(images, texts or [NO_TEXTS] * len(images), strict=True)
        ]
        run_stages(self.preset.stages, states, self._ask)
        return states

    def bill_priors(self) -> Usage:
        """The cost of answers without an image since the last call; it belongs to no single image."""
        return self._prior_answers.bill()

    def _ask(self, stage: Stage, selected: Sequence[Selected]) -> None:
        requests = [
            Request(each.image.image, each.image.evidence, each.keys(stage))
            for each in selected
            if each.image.image is not None
        ]
        if not stage.every_image:
            requests = [request for request in requests if request.keys]
        if not requests or not all(self.models.has(need) for need in stage.needs):
            return
        for request, results in zip(requests, stage.run(self.models, requests), strict=True):
            _store(stage, request, results)

    def priors(self) -> Priors:
        """The model's answers to every question without an image, if the decision needs them."""
        fitted = self.calibration is not None and self.calibration.debias > 0
        wanted = self.preset.decision.needs_prior or fitted
        return self._prior_answers.of(questions(self.rules)) if wanted else {}

    def _priors_if_measured(self) -> Priors:
        return self.priors() if self.models.measured else {}


def decide_rule(
    planned: PlannedRule,
    evidence: Evidence,
    preset: Preset,
    *,
    frame: int = 0,
    calibration: Calibration | None = None,
) -> RuleFinding:
    """The finding on one rule that follows from the evidence about one image."""
    state = ImageState.of([planned], preset, evidence, calibration)
    run_stages(preset.stages, [state])
    return finding_of(state.rules[0], frame)


def undecided_rule(planned: PlannedRule, failure: Failure, preset: Preset, *, frame: int = 0) -> RuleFinding:
    """The finding on a rule where the model could not answer about the image at all."""
    evidence = Evidence()
    evidence.answers.update(dict.fromkeys(questions([planned]), YesNo(0.0, 0.0, failure)))
    return decide_rule(planned, evidence, preset, frame=frame)


def _store(stage: Stage, request: Request, results: Mapping[Any, Any]) -> None:
    """Puts a stage's results into the evidence; None for keys without a result."""
    if request.evidence.failure is None:
        request.evidence.found[stage.name].update({key: results.get(key) for key in request.keys})
