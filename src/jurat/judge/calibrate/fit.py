"""Fits a calibration to a user's own images: without labels the debiasing, with labels the thresholds.

Debiasing: s = l - a l0 - b, with l the log-odds of a statement and l0 its prior. The slope a is fitted once
for a model, on the statements of `image_answers.REFERENCE`: Theil and Sen's slope of each one's median
log-odds over the images on its prior. The shift b of a statement is how far its own median residual lies
above the reference's, where the model mostly says No to it; what the images mostly show is no bias. Both are
fitted on ordinary images: where some are labelled, on those labelled as breaking nothing, because a statement
that is true of half of the images is not biased for it.

Thresholds: a rule may be called kept below the k-th smallest score of n labelled violations. A violation of
the same kind then scores lower with a probability that is distributed as Beta(k, n - k + 1) (Wilks 1941), so
the largest k is taken for which it stays within the bound with 95% confidence. For a bound of 5% the first
such k, 1, takes 59 violations. `break_above` is found likewise from images that keep the rule. The proof
holds for the scores that are used for judging, so labelled images are asked about as the preset asks, on
shifted copies too where it has views.

Labels of videos say nothing about single frames. They are used to fit in how many frames a rule has to be
broken: see `jurat.judge.calibrate.videos`.
"""

from __future__ import annotations

import hashlib
import math
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, TypeAlias

import numpy as np

from jurat import __version__
from jurat.content import Item
from jurat.errors import JuratError, require
from jurat.judge.asking import Answers
from jurat.judge.calibrate.calibration import Bounds, Calibration
from jurat.judge.calibrate.image_answers import ImageAnswers, PictureAnswers
from jurat.judge.calibrate.videos import FramesFit, fit_frames
from jurat.judge.decision import LogOdds
from jurat.judge.pipeline import decide_rule
from jurat.judge.questions import Question
from jurat.models import YesNo, full_name

if TYPE_CHECKING:
    from jurat.judge.judge import Judge

Labels: TypeAlias = Mapping[str, frozenset[str]]
"""Item id -> ids of the rules that it breaks."""

CONFIDENCE = 0.95
MAX_MISS = 0.05
"""Default bound on the share of violations called kept."""
MIN_IMAGES = 20
"""Smallest number of images that the debiasing is fitted on."""
MAX_SHIFT = 3.0
"""Largest shift, either way, in log-odds."""
MAX_FOREIGN = 0.2
"""Largest share of images that the model may refuse as outside its domain."""
MAX_BROKEN = 0.2
"""Largest share of images without labels that may break a rule without a warning."""


@dataclass
class Fit:
    """A calibration with what to report about it."""

    calibration: Calibration
    failed: int
    """Images that could not be read or answered about; they were left out."""
    decided: dict[str, float] = field(default_factory=dict)
    """For each rule with labels, the share of labelled images that is decided under the calibration."""
    frames: dict[str, FramesFit] = field(default_factory=dict[str, FramesFit])
    """Rule -> fit of the frames needed, where videos are labelled."""
    warnings: list[str] = field(default_factory=list[str])
    """Reasons why the calibration may make verdicts worse, as sentences."""


def fit(
    judge: Judge,
    items: Iterable[Item],
    labels: Labels | None = None,
    *,
    max_miss: float = MAX_MISS,
    max_false_alarm: float = 0.05,
) -> Fit:
    """Fits to the images of `items`; labels are the ids of the rules that each breaks, by item id.

    Raises:
        JuratError: there are too few images, the model refuses many of them as outside its domain, or labels
            name rules that the constitution does not have.
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
    images = ImageAnswers(judge, frozenset(labels or ()))
    images.gather(items)
    _check_images(images)
    fitted = _without_labels(judge, images, labels, decision.debias)
    if labels:
        _fit_images(fitted, judge, images, labels, max_miss, max_false_alarm)
        _fit_videos(fitted, judge, images, labels, max_false_alarm)
    return fitted


def _check_labels(judge: Judge, labels: Labels | None) -> None:
    known = {rule.id for rule in judge.constitution.rules}
    for item, broken in (labels or {}).items():
        if unknown := sorted(broken - known):
            raise JuratError(
                f"The labels of {item!r} name a rule {unknown[0]!r} that the constitution does not have.",
                hint=f"Its rules are {', '.join(sorted(known))}.",
            )


def _check_images(images: ImageAnswers) -> None:
    """Raises JuratError for too few images, and for images outside the model's domain."""
    if len(images.pictures) < MIN_IMAGES:
        raise JuratError(
            f"{len(images.pictures)} images could be used; a calibration takes at least {MIN_IMAGES}.",
            hint="Name more images. They need no labels.",
        )
    tried = len(images.pictures) + images.foreign
    if images.foreign > MAX_FOREIGN * tried:
        raise JuratError(
            f"The model refuses {images.foreign} of {tried} images as unlike what it knows: what is fitted "
            "to the others is not for images of this kind.",
            hint="Name images that the model can judge, or another model.",
        )


# --- without labels ----------------------------------------------------------------------------


def _without_labels(judge: Judge, images: ImageAnswers, labels: Labels | None, preset_debias: float) -> Fit:
    """Fits the debiasing on ordinary images; labels only tell which images are ordinary."""
    ordinary = _ordinary(images.pictures, labels) if labels else None
    pictures = images.pictures if ordinary is None else ordinary
    debias, shifts = preset_debias, dict[str, float]()
    if len(pictures) >= MIN_IMAGES:
        debias, shifts = _debiasing(judge, images, pictures)
    digests = sorted(picture.digest for picture in images.pictures)
    calibration = Calibration(
        model=full_name(judge.model),
        constitution=judge.constitution.digest,
        prompts=judge.prompts,
        jurat=__version__,
        images=len(images.pictures),
        images_digest=hashlib.sha256("\n".join(digests).encode()).hexdigest()[:12],
        clean=None if ordinary is None else len(ordinary),
        debias=debias,
        shifts=shifts,
    )
    warnings = list(_warnings(judge, images.priors, pictures, shifts, labels))
    return Fit(calibration, images.failed, warnings=warnings)


def _ordinary(pictures: Sequence[PictureAnswers], labels: Labels) -> list[PictureAnswers]:
    """Images labelled as breaking nothing and, where these are too few, images without a label."""
    clean = [picture for picture in pictures if labels.get(picture.item) == frozenset()]
    return clean if len(clean) >= MIN_IMAGES else [p for p in pictures if not labels.get(p.item)]


def _debiasing(
    judge: Judge, images: ImageAnswers, pictures: Sequence[PictureAnswers]
) -> tuple[float, dict[str, float]]:
    """The slope, and the shift of each question of the constitution, fitted on `pictures`."""
    medians = {q: _median(picture.answers[q] for picture in pictures) for q in images.questions}
    priors = {q: _usable_log_odds(judge, images.priors[q]) for q in images.questions}
    slope = _slope([(priors[q], medians[q]) for q in images.reference])

    def residual(question: Question) -> float:
        return medians[question] - slope * (0.0 if math.isnan(priors[question]) else priors[question])

    typical = [residual(q) for q in images.reference]
    centre = float(np.median([r for r in typical if not math.isnan(r)] or [0.0]))
    shifts: dict[str, float] = {}
    for question in images.own:
        mostly_no = not math.isnan(residual(question)) and medians[question] < 0
        shift = residual(question) - centre if mostly_no else 0.0
        shifts[question.label] = round(max(-MAX_SHIFT, min(MAX_SHIFT, shift)), 4)
    return round(slope, 4), shifts


def _usable_log_odds(judge: Judge, prior: YesNo) -> float:
    usable = prior.failure is None and prior.mass >= judge.preset.decision.min_mass
    return prior.log_odds if usable else math.nan


def _slope(pairs: Sequence[tuple[float, float]]) -> float:
    """Theil and Sen's slope over (prior, median log-odds), in [0, 1]."""
    from scipy.stats import theilslopes

    known = [(x, y) for x, y in pairs if not (math.isnan(x) or math.isnan(y))]
    if len({x for x, _ in known}) < 2:
        return 0.0
    result: Any = theilslopes([level for _, level in known], [prior for prior, _ in known])
    return min(1.0, max(0.0, float(result[0])))


def _median(answers: Iterable[YesNo]) -> float:
    """The median log-odds of the answers; NaN where nothing was answered."""
    known = [a.log_odds for a in answers if a.failure is None and a.mass > 0 and not a.stated]
    return float(np.median(known)) if known else math.nan


def _warnings(
    judge: Judge,
    priors: Answers,
    pictures: Sequence[PictureAnswers],
    shifts: Mapping[str, float],
    labels: Labels | None,
) -> Iterator[str]:
    """Reasons not to use a calibration."""
    if len(pictures) < MIN_IMAGES:
        yield (
            f"Only {len(pictures)} images are labelled as breaking nothing, or have no label: the debiasing "
            f"takes {MIN_IMAGES}, and is left as the preset has it."
        )
    limit = [label for label, shift in shifts.items() if shift >= MAX_SHIFT]
    if limit:
        yield (
            f"The shifts of {len(limit)} statements ran into their limit of {MAX_SHIFT}, the first of them "
            f"{limit[0]!r}: the images are of another kind than the model is used to, or often show what is "
            "asked about. Compare verdicts with and without the calibration before you use it."
        )
    if not labels and pictures:
        broken = sum(_breaks(judge, picture, priors) for picture in pictures)
        if broken > MAX_BROKEN * len(pictures):
            yield (
                f"{broken} of {len(pictures)} images break a rule as the preset judges them: without labels "
                "the debiasing is for ordinary images, and takes violations for bias. Name images of which "
                "few break a rule, or label them."
            )


def _breaks(judge: Judge, picture: PictureAnswers, priors: Answers) -> bool:
    """Whether a picture breaks a rule, without any calibration."""
    findings = (decide_rule(rule, picture.evidence(priors), judge.preset) for rule in judge.rules)
    return any(finding.outcome == "broken" for finding in findings)


# --- with labels -------------------------------------------------------------------------------


def fewest(bound: float) -> int:
    """Smallest number of labelled images, none on the wrong side, that proves a bound: 59 for 5%."""
    return math.ceil(math.log(1 - CONFIDENCE) / math.log(1 - bound))


def allowed(n: int, bound: float) -> int:
    """Rank, among n sorted scores, of the largest threshold that proves the bound: the largest k with
    P(Beta(k, n - k + 1) <= bound) of at least 95%; 0 where n is too small for any."""
    from scipy.stats import beta

    k = 0
    while k < n and beta.cdf(bound, k + 1, n - k) >= CONFIDENCE:
        k += 1
    return k


def _fit_images(
    fitted: Fit,
    judge: Judge,
    images: ImageAnswers,
    labels: Labels,
    max_miss: float,
    max_false_alarm: float,
) -> None:
    """Fits the temperature, and each rule's thresholds, to labelled images."""
    pictures = [picture for picture in images.pictures if picture.labelled]
    if not pictures and images.videos:
        return
    if not pictures:
        raise JuratError(
            "None of the labels belongs to one of the images.",
            hint="The labels' ids must be the images' paths as they are given.",
        )

    def scored(calibration: Calibration) -> list[tuple[str, float, bool]]:
        """Rule, score and truth, over all labelled images and rules that have a score."""
        return [
            (rule, score, rule in labels[picture.item])
            for picture in pictures
            for rule, score in _scores(judge, picture, images.priors, calibration).items()
        ]

    temperature = _temperature([(score, broken) for _, score, broken in scored(fitted.calibration)])
    asked_as = {"views": judge.preset.views, "presence": judge.preset.presence}
    scaled = fitted.calibration.model_copy(update={"temperature": temperature, **asked_as})
    # Scored once more, as they will be judged: stated answers, for example, are not scaled.
    final = scored(scaled)
    rules: dict[str, Bounds] = {}
    for rule in judge.constitution.rules:
        pairs = [(score, broken) for name, score, broken in final if name == rule.id]
        rules[rule.id] = _bounds(pairs, max_miss, max_false_alarm)
        fitted.decided[rule.id] = _decided(pairs, rules[rule.id])
    bounds = {"rules": rules, "max_miss": max_miss, "max_false_alarm": max_false_alarm}
    fitted.calibration = scaled.model_copy(update=bounds)


def _fit_videos(
    fitted: Fit, judge: Judge, images: ImageAnswers, labels: Labels, max_false_alarm: float
) -> None:
    """Fits to labelled videos in how many frames a rule has to be broken."""
    if not images.videos:
        return
    counts: dict[str, list[tuple[int, int, bool]]] = {rule.rule.id: [] for rule in judge.rules}
    for item, frames in images.videos.items():
        for rule in judge.rules:
            findings = [
                decide_rule(rule, frame.evidence(images.priors), judge.preset, calibration=fitted.calibration)
                for frame in frames
            ]
            broken = sum(finding.outcome == "broken" for finding in findings)
            counts[rule.rule.id].append((broken, len(findings), rule.rule.id in labels[item]))
    fitted.frames = {rule: fit_frames(each, max_false_alarm) for rule, each in counts.items()}
    alarms = {rule: frames.alarm for rule, frames in fitted.frames.items() if frames.alarm is not None}
    fitted.calibration = fitted.calibration.model_copy(
        update={
            "frame_alarms": alarms,
            "max_false_alarm": max_false_alarm,
            "views": judge.preset.views,
            "presence": judge.preset.presence,
        }
    )


def _scores(
    judge: Judge, picture: PictureAnswers, priors: Answers, calibration: Calibration
) -> dict[str, float]:
    """The score of each rule that has one."""
    evidence = picture.evidence(priors)
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

    result = minimize_scalar(loss, bounds=(math.log(0.2), math.log(20)), method="bounded")
    return round(math.exp(float(result.x)), 4)


def _logit(score: float) -> float:
    score = min(1 - 1e-12, max(1e-12, score))
    return math.log(score / (1 - score))
