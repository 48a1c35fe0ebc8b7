"""Fits a calibration to a user's own images: without labels the debiasing, with labels the thresholds.

Debiasing: s = l - a l0 - b, with l the log-odds of a statement and l0 its prior. The slope a is fitted
once for a model, on the statements of `jurat.judge.calibrate.reference_statements`: Theil and Sen's slope
of each one's median log-odds over the images on its prior. The shift b of a statement is how far its own
median residual lies above the reference's, where the model mostly says No to it; what the images mostly
show is no bias. Both are fitted on ordinary images: where some are labelled, on those that are labelled
as breaking nothing, since a statement that half of the images bear out is not biased for it.

Thresholds: a rule may be called kept below the k-th smallest score of n labelled violations. A violation
of the same kind then scores lower with a probability that is distributed as Beta(k, n - k + 1) (Wilks
1941), so the largest k is taken for which it stays within the bound with 95% confidence. For a bound of
5% the first such k, 1, takes 59 violations. `break_above` is found likewise from images that keep the rule.
That holds for the scores that are judged by, so labelled images are asked about as the preset asks, on moved
copies too where it has views.

Labels of videos tell nothing of single frames, but in how many of them a rule has to be broken: see
`jurat.judge.calibrate.videos`.
"""

from __future__ import annotations

import hashlib
import math
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, cast

import numpy as np

from jurat import __version__
from jurat.content import Failure, Item
from jurat.errors import JuratError, require
from jurat.judge.asking import Answers, ImageQuestions, PriorAnswers, ask, attempt
from jurat.judge.calibrate.calibration import Bounds, Calibration
from jurat.judge.calibrate.reference_statements import REFERENCE
from jurat.judge.calibrate.videos import FramesFit, fit_frames
from jurat.judge.decide import decide_rule
from jurat.judge.decision import LogOdds
from jurat.judge.evidence import Evidence
from jurat.judge.loading import Loaded, load_item
from jurat.judge.questions import Question
from jurat.judge.stages.views import DIAGONALS, shifted
from jurat.models import StatementReader, Vocabulary, YesNo, full_name

if TYPE_CHECKING:
    from PIL.Image import Image

    from jurat.judge.judge import Judge

CONFIDENCE = 0.95
FEWEST = 20
"""Images that the debiasing takes, at least."""
LARGEST = 3.0
"""A shift is at most this, either way, in log-odds."""
MOST_FOREIGN = 0.2
"""Share of the images that the model may refuse as none of its own."""
MOST_BROKEN = 0.2
"""Share of images without labels that may break a rule before that is said."""


@dataclass
class Fit:
    """A calibration with what to tell about it."""

    calibration: Calibration
    failed: int
    """Images that could not be read or answered about; they were left out."""
    alone: dict[str, float] = field(default_factory=dict)
    """Of each rule with labels: the share of labelled images that is decided under the calibration."""
    frames: dict[str, FramesFit] = field(default_factory=dict[str, FramesFit])
    """Of each rule, where videos are labelled."""
    warnings: list[str] = field(default_factory=list[str])
    """Why the calibration may do harm, in sentences."""


def fit(
    judge: Judge,
    items: Iterable[Item],
    labels: Mapping[str, frozenset[str]] | None = None,
    *,
    max_miss: float = 0.05,
    max_false_alarm: float = 0.05,
) -> Fit:
    """Fits to the images of `items`; labels are the ids of the rules that each breaks, by item id.

    Raises:
        JuratError: there are too few images, the model refuses many of them as none of its own, or labels
            name rules that the constitution has not.
        MissingExtra: scipy is not installed.
    """
    require("Calibrating", "local", "scipy")
    decision = judge.preset.decision
    if not isinstance(decision, LogOdds) or judge.preset.asks != "clauses":
        raise JuratError(
            f"The preset {judge.preset.name!r} cannot be calibrated.",
            hint="Take one that decides clauses by log-odds, as `quick` does.",
        )
    _check_labels(judge, labels)
    batches = _Gathered(judge, frozenset(labels or ()))
    batches.gather(items)
    if len(batches.digests) < FEWEST:
        raise JuratError(
            f"{len(batches.digests)} images could be used; a calibration takes at least {FEWEST}.",
            hint="Name more images. They need no labels.",
        )
    _check_kind(batches)
    ordinary = batches.ordinary(labels)
    rows = batches.rows if ordinary is None else ordinary
    debias, shifts = batches.debiasing(rows) if len(rows) >= FEWEST else (decision.debias, {})
    calibration = Calibration(
        model=full_name(judge.model),
        constitution=judge.constitution.digest,
        prompts=judge.prompts,
        jurat=__version__,
        images=len(batches.digests),
        images_digest=hashlib.sha256("\n".join(sorted(batches.digests)).encode()).hexdigest()[:12],
        clean=None if ordinary is None else len(ordinary),
        debias=debias,
        shifts=shifts,
    )
    found = Fit(calibration, batches.failed, warnings=list(_warnings(judge, batches, rows, shifts, labels)))
    if labels:
        _fit_labelled(found, judge, batches, labels, max_miss, max_false_alarm)
        _fit_videos(found, judge, batches, labels, max_false_alarm)
    return found


def _check_kind(batches: _Gathered) -> None:
    """Refuses images of which the model knows that they are none of its own."""
    tried = len(batches.digests) + batches.foreign
    if batches.foreign > MOST_FOREIGN * tried:
        raise JuratError(
            f"The model refuses {batches.foreign} of {tried} images as unlike what it knows: what is fitted "
            "to the others is not for images of this kind.",
            hint="Name images that the model can judge, or another model.",
        )


def _warnings(
    judge: Judge,
    batches: _Gathered,
    rows: Sequence[_Said],
    shifts: Mapping[str, float],
    labels: Mapping[str, frozenset[str]] | None,
) -> Iterator[str]:
    """What speaks against using a calibration."""
    if len(rows) < FEWEST:
        yield (
            f"Only {len(rows)} images are labelled as breaking nothing, or have no label: the debiasing "
            f"takes {FEWEST}, and is left as the preset has it."
        )
    limit = [label for label, shift in shifts.items() if shift >= LARGEST]
    if limit:
        yield (
            f"The shifts of {len(limit)} statements ran into their limit of {LARGEST}, the first of them "
            f"{limit[0]!r}: the images are of another kind than the model is used to, or often show what is "
            "asked about. Compare verdicts with and without the calibration before you use it."
        )
    if not labels and rows:
        broken = sum(_breaks(judge, said, batches.priors) for said in rows)
        if broken > MOST_BROKEN * len(rows):
            yield (
                f"{broken} of {len(rows)} images break a rule as the preset judges them: without labels the "
                "debiasing is for ordinary images, and takes violations for bias. Name images of which few "
                "break a rule, or label them."
            )


def _breaks(judge: Judge, said: _Said, priors: Answers) -> bool:
    """Whether an image breaks a rule, without any calibration."""
    findings = (decide_rule(rule, said.evidence(priors), judge.preset) for rule in judge.rules)
    return any(finding.outcome == "broken" for finding in findings)


def _check_labels(judge: Judge, labels: Mapping[str, frozenset[str]] | None) -> None:
    known = {rule.id for rule in judge.constitution.rules}
    for item, broken in (labels or {}).items():
        if unknown := sorted(broken - known):
            raise JuratError(
                f"The labels of {item!r} name a rule {unknown[0]!r} that the constitution does not have.",
                hint=f"Its rules are {', '.join(sorted(known))}.",
            )


# --- without labels ----------------------------------------------------------------------------


@dataclass(frozen=True)
class _Said:
    """What a model said of a picture, and of moved copies of it."""

    answers: Answers
    views: Mapping[Question, tuple[YesNo, ...]] = field(default_factory=dict[Question, tuple[YesNo, ...]])
    """Of labelled pictures, where the preset has views."""

    def evidence(self, priors: Answers) -> Evidence:
        evidence = Evidence(priors=priors)
        evidence.answers.update(self.answers)
        evidence.found["views"].update(self.views)
        return evidence


@dataclass(frozen=True)
class _Shot:
    """A picture to be asked about."""

    asked: ImageQuestions
    id: str
    digest: str
    item: str = ""
    """The id of its item, whatever its kind."""
    counts: bool = True
    """Whether it stands for its item; of a video one frame does."""
    video: bool = False


class _Gathered:
    """The log-odds of all questions on all images."""

    def __init__(self, judge: Judge, labelled: frozenset[str] = frozenset()) -> None:
        self._judge = judge
        self._labelled = labelled
        self.own = tuple(q for q in judge.questions if q.sees_image and q.reads is None)
        self.reference = _known_reference(judge)
        self.asked = tuple(dict.fromkeys((*self.own, *self.reference)))
        self.rows: list[_Said] = []
        """One an image; of a video, its middle frame."""
        self.ids: list[str] = []
        """Of each; empty for a video and an animation, of which one frame tells little."""
        self.videos: dict[str, list[_Said]] = {}
        """Of each labelled video, by its id: of its frames. One that was not answered about is left out."""
        self.digests: list[str] = []
        self.failed = 0
        self.foreign = 0
        """Of those that failed: images that the model refuses as none of its own."""
        self.items: list[str] = []
        """The id of each row's item."""
        self.priors = PriorAnswers(judge.model).of(self.asked)

    def gather(self, items: Iterable[Item]) -> None:
        batch: list[_Shot] = []
        for item in items:
            loaded = load_item(item, self._judge.sampling)
            if loaded.error is not None:
                self.failed += 1
                continue
            batch += self._shots(loaded)
            if len(batch) >= self._judge.batch_size:
                self._ask(batch)
                batch = []
        self._ask(batch)

    def _shots(self, loaded: Loaded) -> Sequence[_Shot]:
        """The first frame of an image; of a video the middle one, or all where it is labelled."""
        asked = [ImageQuestions(frame, self.asked) for frame in loaded.frames]
        digest = loaded.sha256 or ""
        if loaded.kind != "video":
            return [_Shot(asked[0], loaded.id if len(asked) == 1 else "", digest, loaded.id)]
        middle = len(asked) // 2
        if loaded.id not in self._labelled:
            return [_Shot(asked[middle], "", digest, loaded.id)]
        self.videos[loaded.id] = []
        return [
            _Shot(w, loaded.id, digest, loaded.id, at == middle, video=True) for at, w in enumerate(asked)
        ]

    def _ask(self, batch: Sequence[_Shot]) -> None:
        found = attempt(lambda some: ask(self._judge.model, some), [shot.asked for shot in batch])
        views = self._views(batch)
        for shot, entry in zip(batch, found, strict=True):
            if isinstance(entry, Failure):
                self.failed += shot.counts
                self.foreign += shot.counts and entry.kind == "out_of_domain"
                self.videos.pop(shot.id, None)
                continue
            said = _Said(entry.answers, views.get(id(shot), {}))
            if shot.video and shot.id in self.videos:
                self.videos[shot.id].append(said)
            if shot.counts:
                self.rows.append(said)
                self.ids.append("" if shot.video else shot.id)
                self.items.append(shot.item)
                self.digests.append(shot.digest)

    def _views(self, batch: Sequence[_Shot]) -> dict[int, Mapping[Question, tuple[YesNo, ...]]]:
        """The answers on moved copies of each labelled picture, by its shot; those that were answered on all.

        All of them are asked about: what is not certain hangs on what is still to be fitted.
        """
        if self._judge.preset.views is None or not self.own:
            return {}
        shots = [shot for shot in batch if shot.id in self._labelled]
        asked = [
            ImageQuestions(copy, self.own)
            for shot in shots
            for copy in shifted(cast("Image", shot.asked.image))
        ]
        entries = iter(attempt(lambda some: ask(self._judge.model, some), asked))
        found: dict[int, Mapping[Question, tuple[YesNo, ...]]] = {}
        for shot in shots:
            copies = [next(entries) for _ in DIAGONALS]
            said = [entry.answers for entry in copies if not isinstance(entry, Failure)]
            if len(said) == len(copies):
                found[id(shot)] = {question: tuple(each[question] for each in said) for question in self.own}
        return found

    def ordinary(self, labels: Mapping[str, frozenset[str]] | None) -> list[_Said] | None:
        """What was said of the images that are labelled as breaking nothing; of those without a label too,
        where the others are too few. None without labels."""
        if not labels:
            return None
        known = [(labels.get(item), said) for item, said in zip(self.items, self.rows, strict=True)]
        clean = [said for broken, said in known if broken is not None and not broken]
        return clean if len(clean) >= FEWEST else [said for broken, said in known if not broken]

    def debiasing(self, rows: Sequence[_Said]) -> tuple[float, dict[str, float]]:
        """The slope, and the shift of each of the constitution's own questions, fitted on some rows."""
        medians = {question: _median(row.answers[question] for row in rows) for question in self.asked}
        slope = self._slope(medians)
        typical = [self._residual(medians, question, slope) for question in self.reference]
        centre = float(np.median([r for r in typical if not math.isnan(r)] or [0.0]))
        shifts: dict[str, float] = {}
        for question in self.own:
            residual = self._residual(medians, question, slope)
            mostly_no = not math.isnan(residual) and medians[question] < 0
            shift = residual - centre if mostly_no else 0.0
            shifts[question.label] = round(max(-LARGEST, min(LARGEST, shift)), 4)
        return round(slope, 4), shifts

    def _slope(self, medians: Mapping[Question, float]) -> float:
        from scipy.stats import theilslopes

        pairs = [(self._prior(question), medians[question]) for question in self.reference]
        pairs = [(x, y) for x, y in pairs if not (math.isnan(x) or math.isnan(y))]
        if len({x for x, _ in pairs}) < 2:
            return 0.0
        found: Any = theilslopes([level for _, level in pairs], [prior for prior, _ in pairs])
        return min(1.0, max(0.0, float(found[0])))

    def _residual(self, medians: Mapping[Question, float], question: Question, slope: float) -> float:
        prior = self._prior(question)
        return medians[question] - slope * (0.0 if math.isnan(prior) else prior)

    def _prior(self, question: Question) -> float:
        prior = self.priors[question]
        usable = prior.failure is None and prior.mass >= self._judge.preset.decision.min_mass
        return prior.log_odds if usable else math.nan


def _known_reference(judge: Judge) -> tuple[Question, ...]:
    """The reference statements that the model has the words for."""
    vocabulary = judge.model.capability(Vocabulary)
    reader = judge.model.capability(StatementReader)
    texts = [t for t in REFERENCE if vocabulary is None or not vocabulary.unknown_words(t)]
    texts = [text for text in texts if reader is None or reader.refusal(text) is None]
    return tuple(Question("statement", text) for text in texts)


def _median(answers: Iterable[YesNo]) -> float:
    """Of the log-odds of what was answered; not a number where nothing was."""
    known = [a.log_odds for a in answers if a.failure is None and a.mass > 0 and not a.stated]
    return float(np.median(known)) if known else math.nan


# --- with labels -------------------------------------------------------------------------------


def fewest(bound: float) -> int:
    """How many labelled images it takes, none of them on the wrong side, to prove a bound: 59 for 5%."""
    return math.ceil(math.log(1 - CONFIDENCE) / math.log(1 - bound))


def allowed(n: int, bound: float) -> int:
    """Up to which of n sorted scores a threshold may go: the largest k with P(Beta(k, n - k + 1) <= bound)
    of at least 95%; 0 where n is too small for any."""
    from scipy.stats import beta

    k = 0
    while k < n and beta.cdf(bound, k + 1, n - k) >= CONFIDENCE:
        k += 1
    return k


def _fit_labelled(
    found: Fit,
    judge: Judge,
    answers: _Gathered,
    labels: Mapping[str, frozenset[str]],
    max_miss: float,
    max_false_alarm: float,
) -> None:
    rows = [i for i, item in enumerate(answers.ids) if item in labels]
    if not rows and answers.videos:
        return
    if not rows:
        raise JuratError(
            "None of the labels belongs to one of the images.",
            hint="The labels' ids must be the images' paths as they are given.",
        )
    truth = [labels[answers.ids[i]] for i in rows]

    def scored(calibration: Calibration) -> list[tuple[str, float, bool]]:
        """Rule, score and truth, over all labelled images and rules that have one."""
        return [
            (rule, score, rule in broken)
            for i, broken in zip(rows, truth, strict=True)
            for rule, score in _scores(judge, answers.rows[i], answers.priors, calibration).items()
        ]

    temperature = _temperature([(score, broken) for _, score, broken in scored(found.calibration)])
    cooled = found.calibration.model_copy(
        update={
            "temperature": temperature,
            "views": judge.preset.views,
            "presence": judge.preset.presence,
        }
    )
    # Scored once more as they will be judged: what was stated in text is not cooled, for one.
    final = scored(cooled)
    rules: dict[str, Bounds] = {}
    for rule in judge.constitution.rules:
        pairs = [(score, broken) for name, score, broken in final if name == rule.id]
        rules[rule.id] = _bounds(pairs, max_miss, max_false_alarm)
        found.alone[rule.id] = _decided(pairs, rules[rule.id])
    found.calibration = cooled.model_copy(
        update={
            "rules": rules,
            "max_miss": max_miss,
            "max_false_alarm": max_false_alarm,
        }
    )


def _fit_videos(
    found: Fit,
    judge: Judge,
    answers: _Gathered,
    labels: Mapping[str, frozenset[str]],
    max_false_alarm: float,
) -> None:
    """In how many frames rules have to be broken, from labelled videos."""
    if not answers.videos:
        return
    counted: dict[str, list[tuple[int, int, bool]]] = {rule.rule.id: [] for rule in judge.rules}
    for id, frames in answers.videos.items():
        for rule in judge.rules:
            outcomes = [
                decide_rule(
                    rule,
                    said.evidence(answers.priors),
                    judge.preset,
                    calibration=found.calibration,
                ).outcome
                for said in frames
            ]
            counted[rule.rule.id].append(
                (outcomes.count("broken"), len(outcomes), rule.rule.id in labels[id])
            )
    found.frames = {rule: fit_frames(each, max_false_alarm) for rule, each in counted.items()}
    alarms = {rule: fit.alarm for rule, fit in found.frames.items() if fit.alarm is not None}
    found.calibration = found.calibration.model_copy(
        update={
            "frame_alarms": alarms,
            "max_false_alarm": max_false_alarm,
            "views": judge.preset.views,
            "presence": judge.preset.presence,
        }
    )


def _scores(judge: Judge, said: _Said, priors: Answers, calibration: Calibration) -> dict[str, float]:
    """The score of each rule that has one."""
    evidence = said.evidence(priors)
    findings = [decide_rule(rule, evidence, judge.preset, calibration=calibration) for rule in judge.rules]
    return {finding.id: finding.score for finding in findings if finding.score is not None}


def _bounds(pairs: Sequence[tuple[float, bool]], max_miss: float, max_false_alarm: float) -> Bounds:
    violations = sorted(score for score, broken in pairs if broken)
    others = sorted((score for score, broken in pairs if not broken), reverse=True)
    low, high = allowed(len(violations), max_miss), allowed(len(others), max_false_alarm)
    keep = violations[low - 1] if low else None
    above = others[high - 1] if high else None
    if keep is not None and above is not None and keep > above:
        keep = above = (keep + above) / 2  # everything is decided; either bound has room to spare
    return Bounds(keep_below=keep, break_above=above, violations=len(violations), others=len(others))


def _decided(pairs: Sequence[tuple[float, bool]], bounds: Bounds) -> float:
    keep = bounds.keep_below if bounds.keep_below is not None else -1.0
    above = bounds.break_above if bounds.break_above is not None else 2.0
    return sum(score < keep or score > above for score, _ in pairs) / max(1, len(pairs))


def _temperature(pairs: Sequence[tuple[float, bool]]) -> float:
    """The temperature of least log-loss over all rules; 1 where one of the two outcomes is missing."""
    from scipy.optimize import minimize_scalar

    if len({broken for _, broken in pairs}) < 2:
        return 1.0
    odds = np.array([_logit(score) for score, _ in pairs])
    truth = np.array([broken for _, broken in pairs])
    signed = np.where(truth, -odds, odds)

    def loss(log_t: float) -> float:
        return float(np.logaddexp(0, signed / math.exp(log_t)).mean())

    found = minimize_scalar(loss, bounds=(math.log(0.2), math.log(20)), method="bounded")
    return round(math.exp(float(found.x)), 4)


def _logit(score: float) -> float:
    score = min(1 - 1e-12, max(1e-12, score))
    return math.log(score / (1 - score))
