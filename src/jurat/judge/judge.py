"""The judge: loads items, runs the stages of a preset on them, and builds verdicts."""

from __future__ import annotations

import os
import time
import uuid
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field, replace
from itertools import chain
from pathlib import Path
from typing import TYPE_CHECKING, Any, cast

from pydantic import ValidationError

from jurat import __version__
from jurat.constitution import Constitution, load_constitution
from jurat.content import Item, Picture
from jurat.errors import JuratError
from jurat.judge import prompts
from jurat.judge.aggregation import FRAME_ALARM, badness, frames_needed, in_pixels_of_the_file, of_item
from jurat.judge.calibrate.calibration import Calibration
from jurat.judge.concurrency import in_lanes
from jurat.judge.evidence import Evidence
from jurat.judge.loading import Loaded, Place, item_of, load_item
from jurat.judge.logic import gravest, item_outcome
from jurat.judge.opening import check_vision, check_words, open_calibration, open_vision, unread_rules
from jurat.judge.pipeline import ImageState, Pipeline, undecided_rule
from jurat.judge.plan import plan
from jurat.judge.presets import DEFAULT, Preset, find_preset
from jurat.judge.prompts import Kind, ReasoningForm
from jurat.judge.questions import questions
from jurat.judge.rule_state import finding_of
from jurat.judge.stages.base import Models
from jurat.judge.stages.reason import form_of
from jurat.judge.statement_scoring import Scoring
from jurat.judge.verdict import Cost, Reason, RuleFinding, Verdict, now_text
from jurat.media import Decoded, Sampling
from jurat.models import (
    ConcurrencySupport,
    Disclaimer,
    Model,
    ModelSpec,
    StatementReader,
    UsageMeter,
    full_name,
    open_model,
)

if TYPE_CHECKING:
    from jurat.models.vision import Detector, Matcher

_MOST_TOKENS = 2**63 - 1
BATCH_BYTES = 64 * 2**20
"""A batch is closed when its pixels reach this size, however few images it has."""


class Judge:
    """Judges images under one constitution with one model.

    Every item is judged on its own: neither its batch nor other rules change its findings.
    """

    def __init__(
        self,
        constitution: Constitution | str | Path,
        model: Model | ModelSpec | str = "bundled",
        preset: str | Preset = DEFAULT,
        *,
        detector: Detector | str | None = None,
        matcher: Matcher | str | None = None,
        without: Iterable[str] = (),
        calibration: Calibration | str | Path | None = None,
        batch_size: int = 16,
        allow_unknown: bool = False,
        sampling: Sampling | None = None,
        frames_needed: int | None = None,
    ) -> None:
        """
        Args:
            constitution: one that was loaded, a path, or "shelf:NAME".
            model: one that was opened, or a name or spec as `jurat.models.open_model` takes it.
            preset: a name of `jurat.judge.presets.PRESETS`, or a preset of your own.
            detector: finds the central objects of clauses, where the preset has regions; a name as
                `jurat.models.open_detector` takes it. Left out, it is the bundled one for the bundled model;
                "none" is none for any.
            matcher: scans relevance, where the preset has that; likewise.
            without: parts of the preset to leave out: its stages, or those in `jurat.judge.presets.PARTS`.
            calibration: what `jurat calibrate` found for this model and constitution, or its file.
            batch_size: images that the model is given together; all images and frames of an item stay in one
                batch.
            allow_unknown: accepts words of the constitution that the model does not know; findings that
                depend on them are undecided, `out_of_domain`.
            sampling: which frames of videos are looked at.
            frames_needed: in how many frames of a video a rule must be broken; if left out, it follows from
                the number of frames and the calibration (`jurat.judge.aggregation`).

        Raises:
            JuratError: the constitution, the model or the preset cannot be opened, the preset needs a
                detector or a matcher that was not named, or a question has a word that the model does not
                know.
        """
        if not isinstance(cast(object, constitution), Constitution | str | os.PathLike):
            raise TypeError(f'constitution is a Constitution, a path or "shelf:NAME", not {constitution!r}.')
        if not isinstance(model, str | ModelSpec) and not callable(getattr(model, "ask", None)):
            raise TypeError(f"model is a name, a ModelSpec or a Model with the verb ask, not {model!r}.")
        if batch_size < 1:
            raise JuratError(f"batch_size must be at least 1, not {batch_size}.")
        if frames_needed is not None and frames_needed < 1:
            raise JuratError(f"frames_needed must be at least 1, not {frames_needed}.")
        self.preset = find_preset(preset).without(without)
        self.constitution = (
            constitution if isinstance(constitution, Constitution) else load_constitution(constitution)
        )
        self.batch_size = batch_size
        self.sampling = sampling or Sampling()
        self.frames_needed = frames_needed
        self._opened = open_model(model) if isinstance(model, str | ModelSpec) else None
        self.model: Model = self._opened or cast(Model, model)
        try:
            self._prepare(detector, matcher, calibration, allow_unknown=allow_unknown)
        except BaseException:
            self.close()
            raise

    def _prepare(
        self,
        detector: Detector | str | None,
        matcher: Matcher | str | None,
        calibration: Calibration | str | Path | None,
        *,
        allow_unknown: bool,
    ) -> None:
        """All that depends on the model."""
        if self.preset.uses("chat") and not getattr(self.model, "can_chat", True):
            raise JuratError(
                f"The preset {self.preset.name!r} reasons in words, and the model {self.model.name!r} "
                "answers closed questions only.",
                hint="Leave the reasoning out: --without reason",
            )
        self.rules = plan(self.constitution, self.preset, self.model.capability(StatementReader))
        self.questions = questions(self.rules)
        kinds: set[Kind] = {question.kind for question in self.questions}
        self.reasoning: ReasoningForm | None = (
            form_of(self.model, kinds) if self.preset.uses("chat") else None
        )
        """The form in which the model is asked to reason in words; None where the preset does not reason."""
        self.prompts = prompts.digest(kinds, self.reasoning)
        """Digest of the wording of the questions."""
        self.reads = frozenset(question.reads for question in self.questions if question.reads is not None)
        """The texts of items that are asked about: captions, prompts, responses, conversations."""
        check_vision(self.preset, self.model, detector, matcher)
        self.detector = open_vision(self.preset, self.model, detector, "detector")
        self.matcher = open_vision(self.preset, self.model, matcher, "matcher")
        self.calibration = open_calibration(
            calibration, self.preset, self.model, self.prompts, self.constitution
        )
        models = Models(self.model, self.detector, self.matcher, self.reasoning or "full")
        self._pipeline = Pipeline(models, self.preset, self.rules, self.calibration)
        disclaimer = self.model.capability(Disclaimer)
        remarks = (
            None if disclaimer is None else disclaimer.disclaimer,
            unread_rules(self.model, self.rules),
        )
        self._disclaimer = " ".join(remark for remark in remarks if remark) or None
        if not allow_unknown:
            check_words(self.model, self.rules)

    def scorings(self) -> list[Scoring]:
        """How the statements of each rule are scored: by its thresholds, the calibration, and the language
        prior, which the model is asked for where the preset needs it."""
        evidence = Evidence()
        evidence.priors = self._pipeline.priors()
        state = ImageState.of(self.rules, self.preset, evidence, self.calibration)
        return [rule.scoring for rule in state.rules]

    def close(self) -> None:
        """Closes the model if the judge opened it; one that it was given opened stays open. Closing twice is
        no error."""
        if self._opened is not None:
            self._opened.close()

    def __enter__(self) -> Judge:
        return self

    def __exit__(self, *error: object) -> None:
        self.close()

    def __repr__(self) -> str:
        law = self.constitution
        rules = "1 rule" if len(law.rules) == 1 else f"{len(law.rules)} rules"
        return f"Judge({law.name!r}, {rules}, model={self.model.name!r}, preset={self.preset.name!r})"

    def __call__(self, item: Item | Picture, *, id: str | None = None, caption: str | None = None) -> Verdict:
        """Judges one item. See `judge`."""
        return self.judge(item, id=id, caption=caption)

    def judge(self, item: Item | Picture, *, id: str | None = None, caption: str | None = None) -> Verdict:
        """Judges one image, or an `Item` of several, with a caption or a conversation. An image that cannot
        be read or decoded gets a verdict with the outcome `error`.

        Args:
            id: names it in the verdict; left out, it is the item's, the path, or "image" for one from
                memory, "images" for several.
            caption: what clauses about captions are asked about; left out, it is the item's.

        Raises:
            TypeError: `item` is neither an Item nor a picture of `jurat.content.Picture`: None, a number, a
                URL; a list, which might be many items or one.
        """
        given = {name: value for name, value in (("id", id), ("caption", caption)) if value is not None}
        return self._judge_batch([load_item(replace(item_of(item), **given), self.sampling)])[0]

    def many(self, items: Iterable[Item | Picture]) -> list[Verdict]:
        """Judges items, pictures or both: a verdict each, in their order. As `stream`, at once."""
        return list(self.stream(items))

    def stream(self, items: Iterable[Item | Picture]) -> Iterator[Verdict]:
        """Judges items lazily, in their order; holds no more of them in memory than one batch, or one for
        each lane of the model and the next (`jurat.models.ConcurrencySupport`).

        Items are taken in the caller's thread. No item ends the stream: its error becomes its verdict.
        Pictures from memory are named "image 1", "image 2" ... by their places.

        Raises:
            TypeError: as `judge`.
        """
        loaded = (
            load_item(item_of(item), self.sampling, f"image {number}") for number, item in enumerate(items, 1)
        )
        yield from chain.from_iterable(self.stream_batches(loaded))

    def stream_batches(self, items: Iterable[Loaded]) -> Iterator[list[Verdict]]:
        """As `stream`, for items that are already decoded; yields the verdicts of each batch together."""
        laned = self.model.capability(ConcurrencySupport)
        lanes = 1 if laned is None else laned.lanes
        if laned is None or lanes == 1:
            yield from map(self._judge_batch, self._batches(items))
            return

        # Lanes hold `at_work`, not this generator: the caller's thread settings stay while it is paused.
        def judge_in_lane(batch: list[Loaded]) -> list[Verdict]:
            with laned.at_work():
                return self._judge_batch(batch)

        yield from in_lanes(judge_in_lane, self._batches(items), lanes)

    def _batches(self, items: Iterable[Loaded]) -> Iterator[list[Loaded]]:
        batch: list[Loaded] = []
        frames = size = 0
        for loaded in items:
            batch.append(loaded)
            frames += max(1, len(loaded.frames))
            size += loaded.bytes
            if frames >= self.batch_size or size >= BATCH_BYTES:
                yield batch
                batch, frames, size = [], 0, 0
        if batch:
            yield batch

    def _judge_batch(self, batch: Sequence[Loaded]) -> list[Verdict]:
        start = time.perf_counter()
        images = [frame for loaded in batch for frame in loaded.frames]
        texts = [loaded.texts for loaded in batch for _ in loaded.frames]
        states = iter(self._pipeline.run(images, texts))
        judged = [self._found(loaded, [next(states) for _ in loaded.frames]) for loaded in batch]
        judged = _with_priors(judged, self._pipeline.bill_priors().money, self._has_prices())
        seconds = sum(loaded.seconds for loaded in batch) + time.perf_counter() - start
        return [
            self._verdict(loaded, found, seconds / len(batch))
            for loaded, found in zip(batch, judged, strict=True)
        ]

    def _has_prices(self) -> bool:
        """Whether the model has prices, so that an item without calls costs 0."""
        metered = self.model.capability(UsageMeter)
        return metered is not None and metered.spent.usage.money is not None

    def _found(self, loaded: Loaded, states: Sequence[ImageState]) -> _Found:
        """The findings; an error if a model gave values that no record can hold."""
        try:
            found = self._findings(loaded, states)
        except ValidationError as error:
            first = error.errors()[0]
            where = ".".join(str(part) for part in first["loc"])
            return _Found((), f"What was found cannot be recorded: {where}: {first['msg']}.")
        if max(found.cost.question_tokens, found.cost.generated_tokens) > _MOST_TOKENS:
            return _Found((), "The model counts more tokens than can be recorded.")
        return found

    def _findings(self, loaded: Loaded, states: Sequence[ImageState]) -> _Found:
        if loaded.error is not None:
            return _Found((), loaded.error)
        cost = _total(states)
        failures = [state.evidence.failure for state in states if state.evidence.failure is not None]
        if failures and len(failures) == len(states) and all(failure.kind == "error" for failure in failures):
            return _Found((), failures[0].reason, cost=cost)
        each = iter(states)
        images = [[(place, self._of_frame(next(each), place)) for place in p] for p in loaded.places()]
        rules = tuple(
            of_item(
                [[(place, found[at]) for place, found in image] for image in images],
                [self._needed(image, rule.rule.id) for image in loaded.images],
            )
            for at, rule in enumerate(self.rules)
        )
        return _Found(rules, None, failures[0].reason if failures else None, cost)

    def _of_frame(self, state: ImageState, place: Place) -> list[RuleFinding]:
        """The finding on each rule in one frame."""
        if (failure := state.evidence.failure) is not None:
            return [undecided_rule(rule, failure, self.preset, frame=place.index) for rule in self.rules]
        found = [finding_of(rule, place.index) for rule in state.rules]
        return [in_pixels_of_the_file(each, place.scale) for each in found]

    def _needed(self, image: Decoded, rule: str) -> int:
        """In how many frames of an image a rule must be broken."""
        if image.kind != "video":
            return 1
        alarms = {} if self.calibration is None else self.calibration.frame_alarms
        return self.frames_needed or frames_needed(len(image.frames), alarms.get(rule, FRAME_ALARM))

    def _verdict(self, loaded: Loaded, found: _Found, seconds: float) -> Verdict:
        first, calibration = loaded.images[0] if loaded.images else None, self.calibration
        outcome = "error" if found.error is not None else item_outcome(found.rules)
        worst = max(found.rules, key=badness, default=None)
        reason: Reason | None = "error" if outcome == "error" else None
        if outcome == "unsure":
            reason = gravest(rule.reason for rule in found.rules)
        return Verdict(
            decision=str(uuid.uuid4()),
            time=now_text(),
            id=loaded.id,
            uri=loaded.uri,
            kind=loaded.kind,
            sha256=loaded.sha256,
            width=first.width if first is not None else None,
            height=first.height if first is not None else None,
            frames=len(loaded.frames),
            frames_in_file=loaded.frames_in_file if loaded.images else None,
            frame=worst.frame if worst is not None else 0,
            outcome=outcome,
            broken=tuple(rule.id for rule in found.rules if rule.outcome == "broken"),
            reason=reason,
            rules=found.rules,
            **self.provenance(),
            reasoning=self.reasoning,
            seconds=seconds,
            error=found.error,
            cost=found.cost,
            presence=self.preset.presence,
            relevant_above=None if self.matcher is None else self.matcher.relevant_above,
            detector=full_name(self.detector),
            matcher=full_name(self.matcher),
            calibration=None if calibration is None else calibration.digest,
            thresholds_from=None if calibration is None else calibration.thresholds_from,
            note=" ".join(note for note in (self._disclaimer, found.note) if note) or None,
            columns=dict(loaded.columns),
            occurrence=loaded.occurrence,
            images=loaded.members(),
            duration=first.duration if first is not None and loaded.kind == "video" else None,
            fps=self.sampling.fps if any(image.kind == "video" for image in loaded.images) else None,
            caption=loaded.texts.caption if "caption" in self.reads else None,
            turns=loaded.texts.recorded_turns() if self.reads - {"caption"} else (),
        )

    def provenance(self) -> dict[str, Any]:
        """The fields of a verdict that name what reached it."""
        return {
            "model": full_name(self.model),
            "constitution": f"{self.constitution.name}@{self.constitution.digest}",
            "thresholds": self.constitution.thresholds_digest,
            "preset": self.preset.name,
            "preset_digest": self.preset.digest,
            "prompts": self.prompts,
            "dtype": self.model.dtype,
            "jurat": __version__,
        }


@dataclass(frozen=True)
class _Found:
    """The findings about one item, or its error."""

    rules: tuple[RuleFinding, ...]
    error: str | None
    note: str | None = None
    cost: Cost = field(default_factory=Cost)


def _total(states: Iterable[ImageState]) -> Cost:
    costs = [state.evidence.cost for state in states]
    counts = ("images", "question_tokens", "generated_tokens", "detections", "scans")
    money = [one.money for one in costs if one.money is not None]
    return Cost(
        **{name: sum(getattr(one, name) for one in costs) for name in counts},
        dollars=sum(money) if money else None,
    )


def _with_priors(judged: Sequence[_Found], money: float | None, priced: bool) -> list[_Found]:
    """Adds the cost of priors, shared by tokens. With prices, an item without calls costs 0."""
    tokens = [found.cost.question_tokens + found.cost.generated_tokens for found in judged]
    shares = [each / sum(tokens) if any(tokens) else 1 / len(tokens) for each in tokens]
    priced = priced or money is not None
    costs = [
        found.cost.model_copy(update={"dollars": (found.cost.dollars or 0.0) + (money or 0.0) * share})
        if priced or found.cost.dollars is not None
        else found.cost
        for found, share in zip(judged, shares, strict=True)
    ]
    return [replace(found, cost=cost) for found, cost in zip(judged, costs, strict=True)]
