"""The stages in their order, on a batch of images: relevance, quick, views, regions, reason.

Each later stage is only asked about what is still undecided and could still change a rule's outcome.
What goes wrong with one image in one stage is evidence about that image, and never a No.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field, replace
from threading import Lock
from typing import TYPE_CHECKING, TypeAlias

from PIL import Image

from jurat.content import Failure, Usage
from jurat.judge.calibrate.calibration import Calibration
from jurat.judge.decide import (
    decide_rule,
    is_relevant,
    open_alternatives,
    uncertain_alternatives,
)
from jurat.judge.evidence import Ledger, Located, Look, Priors
from jurat.judge.item_texts import NO_TEXTS, ItemTexts
from jurat.judge.plan import PlannedAlternative, PlannedRule, Question
from jurat.judge.presets import Preset
from jurat.judge.prompts import ReasoningForm
from jurat.judge.stages import regions
from jurat.judge.stages.quick import Asked, Want, ask, attempt
from jurat.judge.stages.quick import Priors as PriorsOf
from jurat.judge.stages.reason import Doubt, reason
from jurat.judge.stages.relevance import scan
from jurat.judge.stages.views import moved
from jurat.models import DomainGate, Model, YesNo

if TYPE_CHECKING:
    from collections.abc import Callable

    from jurat.models.vision import Box, Detector, Matcher

_Doubts: TypeAlias = list[tuple[Ledger, Image.Image, list[Located]]]


@dataclass
class Cascade:
    """The stages of one preset over one constitution's rules, with the models that they need."""

    model: Model
    preset: Preset
    rules: tuple[PlannedRule, ...]
    detector: Detector | None = None
    matcher: Matcher | None = None
    calibration: Calibration | None = None
    reasoning: ReasoningForm = "full"
    _asked_before: PriorsOf = field(init=False)
    _measured: bool = field(init=False, default=False)
    """Whether any answer yet was a probability; answers stated in text have no prior to take off."""

    def __post_init__(self) -> None:
        self._asked_before = PriorsOf(self.model)
        self._looking = Lock()
        """For the detector and the matcher."""

    def investigate(self, images: Sequence[Image.Image], texts: Sequence[ItemTexts] = ()) -> list[Ledger]:
        """One ledger an image, in order; `texts` are those of the images' items, none if left out. Nothing
        that a model does makes it raise."""
        ledgers = [Ledger(texts=each) for each in texts or [NO_TEXTS] * len(images)]
        self._scan(images, ledgers)
        self._quick(images, ledgers)
        answered = [(i, image) for i, image in zip(ledgers, images, strict=True) if i.failure is None]
        if self.preset.crop_below > 0 and self.detector is not None:
            self._crop(answered)
        if self.preset.views is not None:
            self._move(answered)
        if self.preset.regions:
            self._paint_over(self._gathered(answered, open_alternatives))
        if self.preset.reason:
            self._reason(self._gathered(answered, open_alternatives))
        if self.preset.points and self.detector is not None:
            self._find(self._settle(answered))
        return ledgers

    def priors(self) -> Priors:
        """The model's answers to every question without an image, where they are wanted."""
        fitted = self.calibration is not None and self.calibration.debias > 0
        wanted = (self.preset.needs_prior or fitted) and self._measured
        return self._asked_before.of(self._questions()) if wanted else {}

    def bill_priors(self) -> Usage:
        """What was spent on priors since this was last called: no image's, so that it is no ledger's."""
        return self._asked_before.bill()

    def _scan(self, images: Sequence[Image.Image], ledgers: Sequence[Ledger]) -> None:
        if not self.preset.relevance or self.matcher is None:
            return
        with self._looking:
            found = scan(self.matcher, images, [planned.rule for planned in self.rules if planned.plain])
        for ledger, scanned in zip(ledgers, found, strict=True):
            ledger.spent.scans += scanned.looked
            ledger.relevance, ledger.unscanned = scanned.cosines, scanned.unscanned
            ledger.relevant_above = self.matcher.relevant_above

    def _quick(self, images: Sequence[Image.Image], ledgers: Sequence[Ledger]) -> None:
        wants = [
            Want(image, self._questions(ledger), ledger.texts)
            for image, ledger in zip(images, ledgers, strict=True)
        ]
        self._refuse_foreign(
            [(ledger, want) for ledger, want in zip(ledgers, wants, strict=True) if not want.questions]
        )
        asked = [(ledger, want) for ledger, want in zip(ledgers, wants, strict=True) if want.questions]
        found = attempt(lambda some: ask(self.model, some), [want for _, want in asked])
        for (ledger, want), entry in zip(asked, found, strict=True):
            _count(ledger, entry, any(question.sees_image for question in want.questions))
            if isinstance(entry, Failure):
                ledger.failure = entry
                continue
            ledger.answers.update(entry.answers)
            if any(not answer.stated for answer in entry.answers.values()):
                self._measured = True

    def _questions(self, ledger: Ledger | None = None) -> tuple[Question, ...]:
        """Every distinct question once: of the rules that are relevant to an image, or of all. Nothing is
        asked about a text that the item lacks."""
        return tuple(
            dict.fromkeys(
                question
                for rule in self.rules
                if ledger is None or is_relevant(rule, ledger)
                for clause in rule.clauses
                for alternative in clause.alternatives
                for question in (alternative.question, *alternative.asked_beside)
                if ledger is None or question.reads is None or ledger.texts.has(question.reads)
            )
        )

    def _refuse_foreign(self, unasked: Sequence[tuple[Ledger, Want]]) -> None:
        """An image of which no rule is relevant is put before the model's gate all the same."""
        gate = self.model.capability(DomainGate)
        if gate is None:
            return
        images = [want.image for _, want in unasked if want.image is not None]
        found = attempt(gate.foreign, images)
        for (ledger, _), entry in zip(unasked, found, strict=True):
            ledger.failure = entry

    def _move(self, answered: Sequence[tuple[Ledger, Image.Image]]) -> None:
        """Asks what is not certain on moved copies of the image."""
        priors = self.priors()
        wants: list[tuple[Ledger, list[Want]]] = []
        for ledger, image in answered:
            questions = tuple(
                dict.fromkeys(
                    question
                    for rule in self.rules
                    if is_relevant(rule, ledger)
                    for alternative in uncertain_alternatives(
                        rule, ledger, priors, self.preset, self.calibration
                    )
                    for question in (alternative.question, *alternative.asked_beside)
                )
            )
            if questions:
                wants.append((ledger, [Want(copy, questions, ledger.texts) for copy in moved(image)]))
        found = iter(
            attempt(lambda some: ask(self.model, some), [want for _, some in wants for want in some])
        )
        for ledger, some in wants:
            entries = [next(found) for _ in some]
            for entry in entries:
                _count(ledger, entry)
            asked = [entry for entry in entries if not isinstance(entry, Failure)]
            if len(asked) == len(entries):
                ledger.views = {
                    question: tuple(entry.answers[question] for entry in asked)
                    for question in some[0].questions
                }

    # --- regions ---------------------------------------------------------------------------------

    def _crop(self, answered: Sequence[tuple[Ledger, Image.Image]]) -> None:
        """Asks about small objects on crops that stand for the image."""
        places = [(ledger, image, self._located(ledger)) for ledger, image in answered]
        self._find(places)
        wants: dict[tuple[int, tuple[str, ...]], list[tuple[Ledger, Located, Look]]] = defaultdict(list)
        for ledger, image, located in places:
            for one in located:
                look = ledger.looks[one]
                crop = regions.crop(image, look.boxes, self.preset.crop_below)
                if crop is not None:
                    ledger.looks[one] = replace(look, crop=crop)
                    wants[id(ledger), one.objects].append((ledger, one, ledger.looks[one]))
        groups = [[(ledger, one, look.crop) for ledger, one, look in group] for group in wants.values()]
        for ledger, one, answer in self._ask_about(groups):
            ledger.looks[one] = replace(ledger.looks[one], on_crop=answer)

    def _paint_over(self, doubts: _Doubts) -> None:
        """Asks what is undecided once more with its objects painted over."""
        self._find(doubts)
        groups = [
            [(ledger, one, regions.without(image, boxes)) for one in alike]
            for ledger, image, alike, boxes in self._by_boxes(doubts)
        ]
        for ledger, one, answer in self._ask_about(groups):
            ledger.looks[one] = replace(ledger.looks[one], without=answer)

    def _by_boxes(
        self, doubts: _Doubts
    ) -> Iterator[tuple[Ledger, Image.Image, list[Located], tuple[Box, ...]]]:
        """What hangs on the same boxes, together; what was not asked with them painted over yet."""
        for ledger, image, located in doubts:
            due = [
                one
                for one in located
                if (look := ledger.looks.get(one)) and look.boxes and look.without is None
            ]
            for objects in dict.fromkeys(one.objects for one in due):
                alike = [one for one in due if one.objects == objects]
                yield ledger, image, alike, ledger.looks[alike[0]].boxes

    def _located(self, ledger: Ledger) -> list[Located]:
        """Every question of a relevant rule that has central objects."""
        return list(
            dict.fromkeys(
                Located.of(alternative)
                for rule in self.rules
                if is_relevant(rule, ledger)
                for clause in rule.clauses
                for alternative in clause.alternatives
                if alternative.objects
            )
        )

    def _find(self, places: _Doubts) -> None:
        """Looks for the objects of what was not looked for yet, once an image."""
        if self.detector is None:
            return
        missing = [
            (ledger, image, [one for one in located if one.objects and one not in ledger.looks])
            for ledger, image, located in places
        ]
        missing = [(ledger, image, located) for ledger, image, located in missing if located]
        searches = [
            regions.Search(image, tuple(dict.fromkeys(word for one in located for word in one.objects)))
            for _, image, located in missing
        ]
        with self._looking:
            found = regions.find(self.detector, searches, self.preset.confidence)
        for (ledger, _, located), entry in zip(missing, found, strict=True):
            ledger.spent.detections += 1
            for one in located:
                ledger.looks[one] = _look([entry[word] for word in dict.fromkeys(one.objects)])

    def _ask_about(
        self, groups: Sequence[Sequence[tuple[Ledger, Located, Image.Image | None]]]
    ) -> Iterator[tuple[Ledger, Located, YesNo]]:
        """Puts each group's questions about its first picture, and pairs them with the answers."""
        wants = [
            Want(group[0][2], tuple(one.question for _, one, _ in group), group[0][0].texts)
            for group in groups
        ]
        found: list[Asked | Failure] = attempt(lambda some: ask(self.model, some), wants)
        for group, entry in zip(groups, found, strict=True):
            _count(group[0][0], entry)
            for ledger, one, _ in group:
                answer = YesNo(0.0, 0.0, entry) if isinstance(entry, Failure) else entry.answers[one.question]
                yield ledger, one, answer

    # --- reason ----------------------------------------------------------------------------------

    def _reason(self, doubts: _Doubts) -> None:
        """Thinks in words about what is undecided: all of the batch at once, and the same question about the
        same picture once."""
        alike: dict[tuple[int, int, Question], list[tuple[Ledger, Located]]] = defaultdict(list)
        looks: list[Doubt] = []
        for ledger, image, located in doubts:
            for one in located:
                picture = (look.crop if (look := ledger.looks.get(one)) else None) or image
                key = (id(ledger), id(picture), one.question)
                if key not in alike:
                    looks.append(Doubt(picture, one.question, ledger.texts))
                alike[key].append((ledger, one))
        for same, (thought, usage) in zip(
            alike.values(), reason(self.model, looks, self.reasoning), strict=True
        ):
            same[0][0].spent.add(1, usage)
            for ledger, one in same:
                ledger.reasons[one] = thought

    def _settle(self, answered: Sequence[tuple[Ledger, Image.Image]]) -> _Doubts:
        """Settles the rules that are not broken; for each image every question of those that are."""
        priors = self.priors()
        broken: _Doubts = []
        for ledger, image in answered:
            for rule in self.rules:
                finding = decide_rule(rule, ledger, priors, self.preset, calibration=self.calibration)
                if finding.outcome != "broken":
                    ledger.settled[rule.rule.id] = finding
            due = [rule for rule in self.rules if rule.rule.id not in ledger.settled]
            located = [Located.of(a) for rule in due for clause in rule.clauses for a in clause.alternatives]
            broken.append((ledger, image, located))
        return broken

    def _gathered(
        self,
        answered: Sequence[tuple[Ledger, Image.Image]],
        wanted: Callable[..., Iterator[PlannedAlternative]],
    ) -> _Doubts:
        """For each image what a function of `jurat.judge.decide` wants of its relevant rules."""
        priors = self.priors()
        found: _Doubts = []
        for ledger, image in answered:
            located = dict.fromkeys(
                Located.of(alternative)
                for rule in self.rules
                if is_relevant(rule, ledger)
                for alternative in wanted(rule, ledger, priors, self.preset, self.calibration)
            )
            if located:
                found.append((ledger, image, list(located)))
        return found


def _count(ledger: Ledger, entry: Asked | Failure, images: int = 1) -> None:
    """Adds what an answer took, or a failure that a server wants to be paid for."""
    if not isinstance(entry, Failure) or entry.usage.input_tokens:
        ledger.spent.add(images, entry.usage)


def _look(found: Sequence[tuple[Box, ...] | Failure]) -> Look:
    """Where the objects of one question are: nowhere, if nothing is known of one of them."""
    failure = next((entry for entry in found if isinstance(entry, Failure)), None)
    if failure is not None:
        return Look(failure=failure)
    return Look(tuple(box for entry in found if not isinstance(entry, Failure) for box in entry))
