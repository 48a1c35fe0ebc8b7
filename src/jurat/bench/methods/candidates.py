"""Candidates for the preset `jurat`: tried on dev, none adopted.

`perf/judge_candidates.py` compares them. What is not adopted goes again with this file, that script and
tests/bench/test_candidates.py; nothing else names it.

pooling      `pooled` combines the clauses of the judge's verdicts in other ways: the product of a rule's
             clauses in the place of the least, noisy-or over rules in the place of the largest, evidence
             divided by a temperature before
views        `ItemViews` asks on shifted copies only where that can change the item's outcome
enlargement  `Enlarged` asks the least certain statement of a rule about the enlarged region of its objects
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any, ClassVar, Literal, TypeAlias

import numpy as np
from PIL import Image

from jurat.bench.methods.closed_questions import STATEMENT, put
from jurat.bench.methods.interface import Prediction, Setup, decided, in_batches
from jurat.bench.methods.judge_presets import as_item, open_judge, prediction_of
from jurat.bench.methods.registry import Method
from jurat.bench.pictogram.items import BenchItem
from jurat.judge.decision import Thresholds, sigmoid
from jurat.judge.evidence import Evidence
from jurat.judge.findings import AlternativeScore, RuleFinding
from jurat.judge.presets import PRESETS, Preset
from jurat.judge.questions import PlannedAlternative
from jurat.judge.rule_state import RuleState
from jurat.judge.stages.base import Models, Recorded, Request, Stage
from jurat.judge.stages.boxes import ObjectStage, ask_on_pictures, by_objects, locate
from jurat.judge.stages.points import Points
from jurat.judge.stages.views import Views, averaged, shifted
from jurat.judge.statement_scoring import StatementScore
from jurat.models import YesNo

if TYPE_CHECKING:
    from numpy.typing import NDArray

MARGIN = 0.02
"""As the views of the preset `jurat`: evidence nearer to 0 or 1 is certain."""

# --- stages --------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Certain(Stage):
    """Notes in the evidence of an image which rules are certainly broken; asks nothing."""

    name: ClassVar[str] = "certain"
    depends_on_thresholds: ClassVar[bool] = False

    margin: float = MARGIN

    def select(self, rule: RuleState) -> Sequence[PlannedAlternative]:
        return ()

    def apply(self, rule: RuleState, targets: Sequence[Any]) -> RuleState:
        rule.evidence.found[self.name][rule.planned.rule.id] = _certain(rule, self.margin).outcome == "broken"
        return rule


@dataclass(frozen=True)
class ItemViews(Views):
    """Views of items that no rule makes certainly unsafe: of the others no answer can change the outcome."""

    name: ClassVar[str] = "item-views"

    def select(self, rule: RuleState) -> Sequence[PlannedAlternative]:
        return () if any(rule.evidence.found[Certain.name].values()) else super().select(rule)


@dataclass(frozen=True)
class Enlarged(ObjectStage):
    """Asks the least certain statement of each uncertain rule about the region of its objects, enlarged to
    the size of the image, and averages the answer with the others in log-odds."""

    name: ClassVar[str] = "enlarged"
    depends_on_thresholds: ClassVar[bool] = False

    margin: float = MARGIN
    confidence: float = Points.confidence
    padding: float = 0.25
    """Share of the region's sides that is added on each of them."""
    least: float = 1.5
    """Regions that would be enlarged less, along a side, are not asked about."""

    def select(self, rule: RuleState) -> Sequence[PlannedAlternative]:
        open_ = {one.key for one in _certain(rule, self.margin).open_statements() if one.objects}
        scores = [score for score in rule.scores() if score.statement.key in open_]
        scores = [score for score in scores if score.evidence is not None]
        first = sorted(scores, key=lambda score: abs((score.evidence or 0.0) - 0.5))[:1]
        return [score.statement for score in first]

    def run(self, models: Models, requests: Sequence[Request]) -> Sequence[Mapping[Any, Any]]:
        locate(models, requests, self.confidence)
        pictures = [
            (request, picture, keys)
            for request in requests
            for objects, keys in by_objects(request).items()
            if (picture := self._picture(request, objects)) is not None
        ]
        return ask_on_pictures(models, requests, pictures)

    def _picture(self, request: Request, objects: tuple[str, ...]) -> Image.Image | None:
        boxes, image = request.evidence.boxes[objects], request.image
        if not boxes:
            return None
        x0, x1 = self._span([b.x0 for b in boxes], [b.x1 for b in boxes], image.width)
        y0, y1 = self._span([b.y0 for b in boxes], [b.y1 for b in boxes], image.height)
        factor = min(image.width / (x1 - x0), image.height / (y1 - y0))
        if factor < self.least:
            return None
        size = round((x1 - x0) * factor), round((y1 - y0) * factor)
        return image.crop((x0, y0, x1, y1)).resize(size, Image.Resampling.LANCZOS)

    def _span(self, lows: Sequence[float], highs: Sequence[float], extent: int) -> tuple[int, int]:
        """The padded span of all boxes within the image, in pixels; at least one pixel."""
        low, high = min(lows), max(highs)
        more = self.padding * (high - low)
        first = min(max(0, math.floor(low - more)), extent - 1)
        return first, max(first + 1, min(extent, math.ceil(high + more)))

    def change(self, score: StatementScore, result: YesNo | None) -> StatementScore:
        score = super().change(score, result)
        answered = score.scoring.answered
        if result is None or score.counts is None or not (answered(score.counts) and answered(result)):
            return score
        share = sigmoid(averaged([score.counts, result]))
        return score.with_answer(YesNo(share, 1 - share, stated=result.stated), self.name)

    def read_statement(
        self, statement: PlannedAlternative, shown: AlternativeScore, evidence: Evidence
    ) -> Recorded:
        super().read_statement(statement, shown, evidence)
        return Stage.read_statement(self, statement, shown, evidence)


def _certain(rule: RuleState, margin: float) -> RuleState:
    """The rule decided only by evidence within `margin` of 0 or 1."""
    return rule.rescored(replace(rule.scoring, thresholds=Thresholds(margin, 1 - margin)))


_JURAT = PRESETS["jurat"]


def _preset(name: str, *stages: Stage) -> Preset:
    return _JURAT.replace(name=name, stages=(_JURAT.quick, *stages, Points()))


ITEM_VIEWS = _preset("item-views", Certain(), ItemViews(MARGIN))
ENLARGED = _preset("enlarged", Views(MARGIN), Enlarged())
ENLARGED_ONLY = _preset("enlarged-only", Enlarged())
ITEM_ENLARGED = _preset("item-enlarged", Certain(), ItemViews(MARGIN), Enlarged())

# --- pooling -------------------------------------------------------------------------------------

Within: TypeAlias = Literal["least", "product"]
Across: TypeAlias = Literal["largest", "noisy-or"]
Scaled: TypeAlias = Literal["none", "entropy"]
UNLABELLED = 60
"""Items that the temperature is fitted on, without their labels."""
TEMPERATURES = (0.2, 20.0)


@dataclass(frozen=True)
class _Item:
    """What the judge said of an item: its own prediction, and for each rule its clauses."""

    own: Prediction
    rules: Mapping[str, tuple[list[float], list[float]]]
    """Evidence of the clauses, and of the exceptions; nan for one that was not answered."""


def pooled(
    setup: Setup,
    items: Sequence[BenchItem],
    *,
    preset: str | Preset,
    within: Within = "product",
    across: Across = "largest",
    scaled: Scaled = "none",
    fitted: bool = False,
) -> Iterator[Prediction]:
    """The verdicts of a preset with their clauses combined in another way; what has a score is decided.

    Args:
        within: how a rule's score comes of its clauses.
        across: how an item's score comes of its rules.
        scaled: `entropy` divides evidence by a temperature, fitted once a model without labels
            (`entropy_temperature`).
        fitted: whether the item's score is calibrated on labelled dev items (Platt 1999).
    """
    temperature = 1.0
    if scaled == "entropy":
        temperature = setup.once("entropy temperature", lambda: entropy_temperature(setup))

    def predictions(constitution: Any, some: Sequence[BenchItem]) -> Iterator[Prediction]:
        for said in _judged(setup, constitution, preset, some):
            yield _pool(said, within, across, temperature)

    a, b = 1.0, 0.0
    if fitted:
        tuning = setup.labelled()
        key = f"pooled {preset if isinstance(preset, str) else preset.digest} {within} {across} {scaled}"
        a, b = setup.once(
            key,
            lambda: fit_platt(
                [one.score for one in predictions(tuning.constitution, tuning.items)],
                [bool(item.broken) for item in tuning.items],
            ),
        )
    for prediction in predictions(setup.constitution, items):
        score = (
            prediction.score if math.isnan(prediction.score) else sigmoid(a * _logit(prediction.score) + b)
        )
        yield replace(prediction, score=score, outcome=decided(score))


def _judged(
    setup: Setup, constitution: Any, preset: str | Preset, items: Sequence[BenchItem]
) -> Iterator[_Item]:
    judge = open_judge(setup, constitution, preset)
    for verdict in judge.stream(map(as_item, items)):
        yield _Item(prediction_of(verdict), {rule.id: _clauses(rule) for rule in verdict.rules})


def _clauses(rule: RuleFinding) -> tuple[list[float], list[float]]:
    def of(role: str) -> list[float]:
        scores = (finding.score for finding in rule.clauses if finding.role == role)
        return [math.nan if score is None else score for score in scores]

    return of("clause"), of("unless")


def _pool(said: _Item, within: Within, across: Across, temperature: float) -> Prediction:
    scores = {rule: _rule(*clauses, within, temperature) for rule, clauses in said.rules.items()}
    rules = {rule: decided(score) for rule, score in scores.items()}
    whole = Prediction.of_rules(rules, scores, said.own.spending, said.own.reason)
    if across == "largest" or math.isnan(whole.score):
        return whole
    known = (score for score in scores.values() if not math.isnan(score))
    return replace(whole, score=1 - math.prod(1 - score for score in known))


def _rule(clauses: Sequence[float], unless: Sequence[float], within: Within, temperature: float) -> float:
    """P(broken); where a factor is not known that of the others if it is at most one half, else nan. A rule
    without clauses was left out as irrelevant, and is kept."""
    if not clauses:
        return 0.0
    combined = min if within == "least" else math.prod
    factors = [_tempered(score, temperature) for score in clauses]
    if unless:
        excepted = [_tempered(score, temperature) for score in unless]
        factors.append(math.nan if any(map(math.isnan, excepted)) else 1 - combined(excepted))
    known = [factor for factor in factors if not math.isnan(factor)]
    most = combined(known) if known else 1.0
    return math.nan if len(known) < len(factors) and most > 0.5 else most


def _tempered(score: float, temperature: float) -> float:
    return score if math.isnan(score) else sigmoid(_logit(score) / temperature)


def _logit(score: float) -> float:
    inside = min(1 - 1e-9, max(1e-9, score))
    return math.log(inside / (1 - inside))


# --- what is fitted ------------------------------------------------------------------------------


def entropy_temperature(setup: Setup) -> float:
    """The temperature at which answers are as uncertain as they are unstable, on images without labels.

    Uncertainty of an answer p is 2 p (1 - p), the quadratic entropy: the chance that two draws of it differ.
    Instability is the chance that the answers on two of five views of the image (it and four shifted copies)
    say otherwise. Both are averaged over the statements and `UNLABELLED` images of the setup's backgrounds.
    """
    backgrounds = setup.backgrounds() if setup.backgrounds else ()
    texts = list(setup.constitution.statements())
    odds: list[list[list[float]]] = []
    for batch in in_batches(backgrounds[:UNLABELLED]):
        views = [[item.image, *shifted(item.image)] for item in batch]
        asked = iter(put(setup, [view for some in views for view in some], STATEMENT, texts))
        for some in views:
            answers = [next(asked).answers for _ in some]
            odds.append([[math.nan if a is None else a.log_odds for a in each] for each in answers])
    values = np.array(odds, float)  # images, views, statements
    if not values.size:
        return 1.0
    setup.tried["entropy temperature"] = 1
    return match_entropy(values)


def match_entropy(log_odds: NDArray[np.float64]) -> float:
    """As `entropy_temperature`, of log-odds in the shape (images, views, statements); nan for no answer."""
    whole = ~np.isnan(log_odds).any(1)
    answers = np.moveaxis(log_odds, 1, -1)[whole]  # image and statement, views
    if not len(answers):
        return 1.0
    views, yes = answers.shape[1], (answers > 0).sum(1)
    unstable = float((2 * yes * (views - yes) / (views * (views - 1))).mean())
    low, high = map(math.log, TEMPERATURES)
    for _ in range(40):  # uncertainty grows with the temperature
        middle = (low + high) / 2
        p = 1 / (1 + np.exp(-np.clip(answers[:, 0] / math.exp(middle), -60, 60)))
        low, high = (middle, high) if float((2 * p * (1 - p)).mean()) < unstable else (low, middle)
    return math.exp((low + high) / 2)


def fit_platt(scores: Sequence[float], truth: Sequence[bool]) -> tuple[float, float]:
    """Slope and offset in log-odds of least log-loss, with targets smoothed as Platt does (1999)."""
    known = [
        (_logit(score), true) for score, true in zip(scores, truth, strict=True) if not math.isnan(score)
    ]
    x, y = np.array([one for one, _ in known]), np.array([true for _, true in known], float)
    if len(set(y.tolist())) < 2:
        return 1.0, 0.0
    target = np.where(y > 0, (y.sum() + 1) / (y.sum() + 2), 1 / (len(y) - y.sum() + 2))
    from scipy.optimize import minimize

    def loss(at: NDArray[np.float64]) -> float:
        odds = at[0] * x + at[1]
        return float((np.logaddexp(0, odds) - target * odds).mean())

    a, b = minimize(loss, np.array([1.0, 0.0]), method="Nelder-Mead").x
    return float(a), float(b)


# --- the configurations --------------------------------------------------------------------------


def _candidate(name: str, summary: str, preset: Preset, **options: Any) -> Method:
    function = "candidates:pooled" if options else "judge_presets:judge"
    options = {"preset": preset, **options}
    return Method(name, summary, f"jurat.bench.methods.{function}", options=options)


_NOISY: dict[str, Any] = {"within": "product", "across": "noisy-or"}

CANDIDATES = (
    _candidate("tempered", "(a) least and largest, evidence scaled by entropy", _JURAT, within="least",
               scaled="entropy"),
    _candidate("tempered-product", "(a) product within a rule, evidence scaled by entropy", _JURAT,
               scaled="entropy"),
    _candidate("item-views", "(b) views only where the item's outcome can change", ITEM_VIEWS),
    _candidate("product", "(c) product within a rule, largest across rules", _JURAT, within="product"),
    _candidate("noisy-or", "(c) product within a rule, noisy-or across rules", _JURAT, **_NOISY),
    _candidate("noisy-or-fitted", "(c) the same, calibrated on dev", _JURAT, **_NOISY, fitted=True),
    _candidate("tempered-noisy-or", "(a) and (c), not calibrated", _JURAT, **_NOISY, scaled="entropy"),
    _candidate("enlarged", "(d) views, and the least certain statement on its region", ENLARGED),
    _candidate("enlarged-only", "(d) without views", ENLARGED_ONLY),
    _candidate("item-enlarged", "(b) and (d)", ITEM_ENLARGED),
    _candidate("item-product", "(b) and (c), largest across rules", ITEM_VIEWS, within="product"),
)  # fmt: skip
"""Every configuration that is tried, in the order in which it is run."""
