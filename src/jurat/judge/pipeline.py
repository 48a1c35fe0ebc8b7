"""Runs the stages of a preset on a batch of images.

Each later stage is only asked about what is still undecided and could still change a rule's outcome. A failed
stage leaves the affected statements undecided; it never counts as No.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

from PIL import Image

from jurat.content import Usage
from jurat.judge.asking import PriorAnswers
from jurat.judge.calibrate.calibration import Calibration
from jurat.judge.decide import ImageState, Selected, run_stages, store
from jurat.judge.evidence import Evidence, Priors
from jurat.judge.item_texts import NO_TEXTS, ItemTexts
from jurat.judge.presets import Preset
from jurat.judge.questions import PlannedRule, questions
from jurat.judge.stages.base import Models, Request, Stage

__all__ = ["Pipeline"]


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
        self.models.priors = self._priors

    def run(self, images: Sequence[Image.Image], texts: Sequence[ItemTexts] = ()) -> list[ImageState]:
        """One state an image, in order; `texts` are those of the images' items, none if left out. Nothing
        that a model does makes it raise."""
        states = [
            ImageState.of(self.rules, self.preset, Evidence(texts=each), self.calibration, image)
            for image, each in zip(images, texts or [NO_TEXTS] * len(images), strict=True)
        ]
        run_stages(self.preset.stages, states, self._ask)
        return states

    def bill_priors(self) -> Usage:
        """What was spent on answers without an image since this was last called; it is no image's cost."""
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
            store(stage, request, results)

    def _priors(self) -> Priors:
        """The model's answers to every question without an image, where they are wanted."""
        fitted = self.calibration is not None and self.calibration.debias > 0
        wanted = (self.preset.decision.needs_prior or fitted) and self.models.measured
        return self._prior_answers.of(questions(self.rules)) if wanted else {}
