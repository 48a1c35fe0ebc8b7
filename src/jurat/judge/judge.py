"""The judge: items in, verdicts out. It composes the stages and decides nothing itself."""

from __future__ import annotations

import time
import uuid
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, field, fields, replace
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeAlias

from PIL import Image

from jurat import __version__
from jurat.constitution import Constitution, load_constitution
from jurat.errors import JuratError
from jurat.images import Decoded, ImageError, Item, decode, from_array, from_pil, read_file
from jurat.judge import prompts
from jurat.judge.calibration import Calibration, load_calibration
from jurat.judge.cascade import Cascade
from jurat.judge.decide import decide_rule, gravest, item_outcome, undecided_rule
from jurat.judge.ledger import Ledger, Priors, Spent
from jurat.judge.plan import askers, plan, questions
from jurat.judge.presets import DEFAULT, Preset, find_preset
from jurat.judge.quick import WORDINGS
from jurat.judge.verdict import Cost, Reason, RuleFinding, RuleOutcome, Verdict
from jurat.models import Disclaimer, Metered, Model, Vocabulary, open_model

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from jurat.models.vision import Detector, Matcher

Picture: TypeAlias = "str | Path | bytes | Image.Image | NDArray[Any]"
"""A path, a file's bytes, a Pillow image, or an array as `jurat.images.from_array` takes it."""

_EYES = {"detector": "hf/google/owlv2-base-patch16-ensemble", "matcher": "hf/openai/clip-vit-base-patch16"}

_WORST: dict[RuleOutcome, int] = {"kept": 0, "undecided": 1, "broken": 2}


class Judge:
    """Judges images under one constitution with one model.

    Every image is judged on its own: neither the batch it is in nor other rules change what is said of it.
    """

    def __init__(
        self,
        constitution: Constitution | str | Path,
        model: Model | str = "bundled",
        preset: str | Preset = DEFAULT,
        *,
        detector: Detector | str | None = None,
        matcher: Matcher | str | None = None,
        without: Iterable[str] = (),
        calibration: Calibration | str | Path | None = None,
        batch_size: int = 16,
        allow_unknown: bool = False,
    ) -> None:
        """
        Args:
            constitution: one that was loaded, a path, or "shelf:NAME".
            model: one that was opened, or a name as `jurat.models.open_model` takes it.
            preset: a name of `jurat.judge.presets.PRESETS`, with parts added ("jurat+contrasts") or not, or
                a preset of your own.
            detector: finds the central objects of clauses, where the preset has regions; a name as
                `jurat.models.open_detector` takes it. Left out, it is the bundled one for the bundled model.
            matcher: scans relevance, where the preset has that; likewise.
            without: parts of the preset to leave out, by the names in `jurat.judge.presets.PARTS`.
            calibration: what `jurat calibrate` found for this model and constitution, or its file.
            batch_size: images that the model is given together; all frames of an animation stay in one batch.
            allow_unknown: goes on where the model does not know a word of the constitution; findings that
                hang on it are then undecided, `out_of_domain`.

        Raises:
            JuratError: the constitution, the model or the preset cannot be had, the preset needs a detector
                or a matcher that was not named, or the model does not know a word that it would be asked.
        """
        if batch_size < 1:
            raise JuratError(f"batch_size must be at least 1, not {batch_size}.")
        self.preset = find_preset(preset).without(without)
        self.constitution = (
            constitution if isinstance(constitution, Constitution) else load_constitution(constitution)
        )
        self.model: Model = open_model(model) if isinstance(model, str) else model
        self.batch_size = batch_size
        self.rules = plan(self.constitution, self.preset)
        self.questions = questions(self.rules)
        self.detector = self._eye(detector, "detector", self.preset.needs_detector)
        self.matcher = self._eye(matcher, "matcher", self.preset.relevance)
        self.calibration = self._fitted(calibration)
        self._cascade = Cascade(
            self.model, self.preset, self.rules, self.detector, self.matcher, self.calibration
        )
        disclaimer = self.model.capability(Disclaimer)
        self._disclaimer = None if disclaimer is None else disclaimer.disclaimer
        if not allow_unknown:
            self._check_words()

    def __call__(self, image: Picture, *, id: str | None = None) -> Verdict:
        """Judges one image. See `judge`."""
        return self.judge(image, id=id)

    def judge(self, image: Picture, *, id: str | None = None) -> Verdict:
        """Judges one image; one that cannot be read or decoded gets a verdict with the outcome `error`.

        `id` names it in the verdict; left out, it is the path, or "image" for one from memory.
        """
        return next(self._judge_batch([_load_picture(image, id)]))

    def stream(self, items: Iterable[Item]) -> Iterator[Verdict]:
        """Judges items lazily, in their order; holds no more than one batch of them in memory.

        No item ends the stream: what goes wrong with one is its verdict.
        """
        batch: list[_Loaded] = []
        frames = 0
        for item in items:
            loaded = _load_item(item)
            batch.append(loaded)
            frames += max(1, len(loaded.frames))
            if frames >= self.batch_size:
                yield from self._judge_batch(batch)
                batch, frames = [], 0
        if batch:
            yield from self._judge_batch(batch)

    def _judge_batch(self, batch: Sequence[_Loaded]) -> Iterator[Verdict]:
        start = time.perf_counter()
        money = self._money()
        images = [frame for loaded in batch for frame in loaded.frames]
        ledgers = iter(self._cascade.investigate(images))
        priors = self._cascade.priors() if images else {}
        judged = [self._findings(loaded, [next(ledgers) for _ in loaded.frames], priors) for loaded in batch]
        if money is not None:
            judged = _priced(judged, (self._money() or 0.0) - money)
        seconds = sum(loaded.seconds for loaded in batch) + time.perf_counter() - start
        yield from (
            self._verdict(loaded, found, seconds / len(batch))
            for loaded, found in zip(batch, judged, strict=True)
        )

    def _money(self) -> float | None:
        """What the model's calls came to since it was opened, where that is known."""
        metered = self.model.capability(Metered)
        return None if metered is None else metered.spent.money

    def _fitted(self, given: Calibration | str | Path | None) -> Calibration | None:
        if given is None:
            return None
        calibration = given if isinstance(given, Calibration) else load_calibration(given)
        if self.preset.decides != "log-odds":
            raise JuratError(
                f"The preset {self.preset.name!r} has constants of its own: it takes no calibration."
            )
        if not self.preset.calibratable:
            raise JuratError(
                f"The preset {self.preset.name!r} weighs answers in a way that calibrations are not fitted "
                "for.",
                hint="Leave out contrasts, coherent and nulls, or the calibration.",
            )
        calibration.check(
            model=f"{self.model.name}@{self.model.revision}",
            prompts=prompts.digest(),
            constitution=self.constitution,
        )
        return calibration

    def _eye(self, given: Any, kind: str, needed: bool) -> Any:
        """The detector or matcher that the preset needs, or would use; None where it uses none."""
        pointing = kind == "detector" and self.preset.points and self.preset.asks == "clauses"
        if not needed and not (pointing and (given is not None or self.model.name == "bundled")):
            return None
        parts = self.preset.detector_parts if kind == "detector" else ("relevance",)
        if given is None and self.model.name != "bundled":
            raise JuratError(
                f"The preset {self.preset.name!r} needs a {kind}, and none was named.",
                hint=f"Name one: --{kind} {_EYES[kind]}; or leave out what needs it: "
                f"--without {' --without '.join(parts)}",
            )
        if given is not None and not isinstance(given, str):
            return given
        from jurat.models.vision import open_detector, open_matcher

        return (open_detector if kind == "detector" else open_matcher)(given or "bundled")

    def _findings(self, loaded: _Loaded, ledgers: Sequence[Ledger], priors: Priors) -> _Found:
        if loaded.error is not None:
            return _Found((), loaded.error)
        cost = _total(ledgers)
        failures = [ledger.failure for ledger in ledgers if ledger.failure is not None]
        if (
            failures
            and all(failure.kind == "error" for failure in failures)
            and len(failures) == len(ledgers)
        ):
            return _Found((), failures[0].reason, cost=cost)
        frames = [
            [
                decide_rule(rule, ledger, priors, self.preset, frame=index, calibration=self.calibration)
                if ledger.failure is None
                else undecided_rule(rule, ledger.failure, self.preset, frame=index)
                for rule in self.rules
            ]
            for ledger, index in zip(ledgers, loaded.indices, strict=True)
        ]
        rules = tuple(max(found, key=_badness) for found in zip(*frames, strict=True))
        return _Found(rules, None, failures[0].reason if failures else None, cost)

    def _verdict(self, loaded: _Loaded, found: _Found, seconds: float) -> Verdict:
        decoded = loaded.decoded
        outcome = "error" if found.error is not None else item_outcome(found.rules)
        worst = max(found.rules, key=_badness, default=None)
        reason: Reason | None = "error" if outcome == "error" else None
        if outcome == "unsure":
            reason = gravest(rule.reason for rule in found.rules)
        return Verdict(
            decision=str(uuid.uuid4()),
            time=datetime.now(UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z"),
            id=loaded.id,
            uri=loaded.uri,
            kind="animation" if decoded is not None and decoded.animated else "image",
            sha256=decoded.sha256 if decoded is not None else None,
            width=decoded.width if decoded is not None else None,
            height=decoded.height if decoded is not None else None,
            frames=len(loaded.frames),
            frame=worst.frame if worst is not None else 0,
            outcome=outcome,
            broken=tuple(rule.id for rule in found.rules if rule.outcome == "broken"),
            reason=reason,
            rules=found.rules,
            model=f"{self.model.name}@{self.model.revision}",
            constitution=f"{self.constitution.name}@{self.constitution.digest}",
            thresholds=self.constitution.thresholds_digest,
            preset=self.preset.name,
            prompts=prompts.digest(),
            dtype=self.model.dtype,
            jurat=__version__,
            seconds=seconds,
            error=found.error,
            cost=found.cost,
            relevant_above=None if self.matcher is None else self.matcher.relevant_above,
            detector=_named(self.detector),
            matcher=_named(self.matcher),
            calibration=None if self.calibration is None else self.calibration.digest,
            note=" ".join(note for note in (self._disclaimer, found.note) if note) or None,
            columns=dict(loaded.columns),
            occurrence=loaded.occurrence,
        )

    def _check_words(self) -> None:
        """Refuses a constitution with words that the model never learned, before anything is judged."""
        vocabulary = self.model.capability(Vocabulary)
        if vocabulary is None:
            return
        lines: list[str] = []
        for question in self.questions:
            unknown = vocabulary.unknown_words(WORDINGS[question.kind].ask(question.text))
            if unknown:
                words = ", ".join(repr(word) for word in unknown)
                lines.append(f"  {words} in {question.text!r} of {', '.join(askers(self.rules, question))}")
        if lines:
            raise JuratError(
                f"The model {self.model.name!r} never learned some words of this constitution:\n"
                + "\n".join(lines),
                hint="Use words that it knows (docs/pictograms.md for the bundled model), name another "
                "model, or pass --allow-unknown to leave what hangs on them undecided.",
            )


@dataclass(frozen=True)
class _Loaded:
    """An item with its frames, or with the reason why it has none."""

    id: str
    uri: str
    decoded: Decoded | None
    error: str | None
    seconds: float
    """That reading and decoding it took."""
    columns: Mapping[str, str] = field(default_factory=dict[str, str])
    occurrence: int = 0

    @property
    def frames(self) -> tuple[Image.Image, ...]:
        return () if self.decoded is None else self.decoded.frames

    @property
    def indices(self) -> tuple[int, ...]:
        return () if self.decoded is None else self.decoded.indices


@dataclass(frozen=True)
class _Found:
    """What the stages established about one item."""

    rules: tuple[RuleFinding, ...]
    error: str | None
    note: str | None = None
    cost: Cost = field(default_factory=Cost)


def _total(ledgers: Iterable[Ledger]) -> Cost:
    spent = [asdict(ledger.spent) for ledger in ledgers]
    return Cost(**{each.name: sum(one[each.name] for one in spent) for each in fields(Spent)})


def _priced(judged: Sequence[_Found], money: float) -> list[_Found]:
    """The same with a batch's money shared out by tokens; the language prior's and further tries' too."""
    tokens = [found.cost.question_tokens + found.cost.generated_tokens for found in judged]
    shares = [each / sum(tokens) if any(tokens) else 1 / len(tokens) for each in tokens]
    return [
        replace(found, cost=found.cost.model_copy(update={"dollars": money * share}))
        for found, share in zip(judged, shares, strict=True)
    ]


def _named(eye: Detector | Matcher | None) -> str | None:
    return None if eye is None else f"{eye.name}@{eye.revision}"


def _badness(rule: RuleFinding) -> tuple[int, float]:
    """Orders findings about one rule from best to worst."""
    return _WORST[rule.outcome], rule.score if rule.score is not None else 1.0


def _load_item(item: Item) -> _Loaded:
    loaded = _load(item.id, item.uri, lambda: decode(item.open()))
    return replace(loaded, columns=item.columns, occurrence=item.occurrence)


def _load_picture(image: Picture, id: str | None) -> _Loaded:
    if isinstance(image, str | Path):
        path = Path(image)
        return _load(id or str(image), str(path.absolute()), lambda: decode(read_file(path)))
    name = id or "image"
    if isinstance(image, bytes):
        return _load(name, "", lambda: decode(image))
    if isinstance(image, Image.Image):
        return _load(name, "", lambda: from_pil(image))
    return _load(name, "", lambda: from_array(image))


def _load(id: str, uri: str, read: Any) -> _Loaded:
    start = time.perf_counter()
    decoded, error = None, None
    try:
        decoded = read()
    except ImageError as problem:
        error = problem.message
    except OSError as problem:
        error = f"It cannot be read: {problem.strerror or problem}"
    except Exception as problem:  # an item of someone else's may raise anything; it does not end the run
        error = f"It cannot be read: {type(problem).__name__}: {problem}"
    return _Loaded(id, uri, decoded, error, time.perf_counter() - start)
