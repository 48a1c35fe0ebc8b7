"""The numbers of a log: each with its n, what was left out, its interval and its judge."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from inspect_ai.log import EvalLog, EvalSample
from inspect_ai.scorer import Score

from jurat.evals.measures import NOT_SCORED, measured, metric_names, row_of
from jurat.metrics.metric_value import MetricValue
from jurat.metrics.named import METRICS
from jurat.text import counted, one_line

MISSING = "no score"
"""Counts samples for which a scorer left nothing: the run was stopped before."""


@dataclass(frozen=True)
class Number:
    """The value of one metric of one scorer's judgements."""

    metric: str
    found: MetricValue
    is_verified: bool
    """Whether the metric's definition was checked against its source."""
    category: str | None = None
    """The category of the samples; "" for those without one, None for all."""

    def cells(self) -> tuple[str, str, str, str, str]:
        """The number as texts of a table: metric, value, interval, n, what was left out."""
        found = self.found
        name = self.metric if self.is_verified else f"{self.metric} (unverified)"
        return (
            name if self.category is None else f"{name}, {self.category or 'no category'}",
            "not available" if found.value is None else f"{found.value:.3f}",
            "" if found.interval is None else f"{found.interval.low:.3f} to {found.interval.high:.3f}",
            f"{found.n:,}" if found.counted == "row" else counted(found.n, found.counted),
            ", ".join(f"{why} {count:,}" for why, count in found.left_out.items()) or "0",
        )

    def facts(self) -> dict[str, Any]:
        """For JSON."""
        facts = {"metric": self.metric, "verified": self.is_verified, **self.found.facts()}
        return facts if self.category is None else {"category": self.category, **facts}


@dataclass(frozen=True)
class ScorerResults:
    """What one scorer says of the replies of a log."""

    name: str
    """In the log; a scorer that was used twice has a number at its end."""
    scorer: str
    """Its full name, with version and judge."""
    judges: tuple[str, ...]
    """NAME@REVISION of the models that judged."""
    labels: Mapping[str, int]
    """Each label to its judgements."""
    without: Mapping[str, int]
    """Why there is no judgement, to how often."""
    grounds: Mapping[str, int]
    """What the scorer says of replies without a judgement, to how often, the most frequent first."""
    numbers: Sequence[Number] = field(default_factory=list[Number])

    def facts(self) -> dict[str, Any]:
        """For JSON."""
        return {
            "scorer": self.scorer,
            "judges": list(self.judges),
            "labels": dict(self.labels),
            "without_label": dict(self.without),
            "grounds": dict(self.grounds),
            "numbers": [number.facts() for number in self.numbers],
        }


def rows_of(log: EvalLog, name: str) -> list[dict[str, Any]]:
    """The judgements of one scorer as rows for `jurat.metrics`; a sample without one is an `error`."""
    found = [(sample, (sample.scores or {}).get(name)) for sample in log.samples or []]
    like = next((score for _, score in found if score is not None), None)
    return [_row(sample, score or _no_score(sample, like)) for sample, score in found]


def results_of(log: EvalLog, *, by_category: bool = False) -> list[ScorerResults]:
    """The results of each scorer of ours in a log that was read with its samples."""
    names = dict.fromkeys(name for sample in log.samples or [] for name in sample.scores or {})
    return [_results(log, name, by_category) for name in names if _is_ours(log, name)]


def not_computed(log: EvalLog, results: Sequence[ScorerResults]) -> dict[str, str]:
    """The metrics of the set's card that have no number in the results, and why."""
    names: list[str] = (log.eval.metadata or {}).get("metrics") or []
    found = {number.metric for each in results for number in each.numbers}
    unknown, unfit = "there is no such metric", "no scorer's judgements are about it"
    return {name: unknown if METRICS.get(name) is None else unfit for name in names if name not in found}


def models_of(log: EvalLog) -> str:
    """NAME@REVISION of the models that replied."""
    names = {
        sample.output.model for sample in log.samples or [] if sample.error is None and sample.output.model
    }
    return ", ".join(sorted(names))


def replies_of(log: EvalLog) -> Counter[str]:
    """How the replies of a log ended: the stop reasons of those that are there, "error" for the others."""
    found: Counter[str] = Counter()
    for sample in log.samples or []:
        found["error" if sample.error or sample.output.empty else sample.output.stop_reason] += 1
    return found


def not_there(log: EvalLog) -> int:
    """Replies that a log should hold and does not: its run was stopped or killed, or is still going on."""
    data = (log.eval.metadata or {}).get("data") or {}
    wanted = data.get("samples", 0) * (log.eval.config.epochs or 1)
    return max(0, wanted - len(log.samples or []))


def _results(log: EvalLog, name: str, by_category: bool) -> ScorerResults:
    rows = rows_of(log, name)
    states = Counter(str(row["label"] or _why(row)) for row in rows)
    labels = next((row["labels"] for row in rows if row["labels"]), ())
    card_metrics: list[str] = (log.eval.metadata or {}).get("metrics") or []
    numbers = list(_numbers(card_metrics, rows))
    if by_category:
        categories = sorted({str(row["category"] or "") for row in rows})
        for category in [] if categories == [""] else categories:
            own = [row for row in rows if str(row["category"] or "") == category]
            numbers += _numbers(card_metrics, own, category)
    return ScorerResults(
        name=name,
        scorer=next((row["scorer"] for row in rows if row["scorer"]), name),
        judges=tuple(sorted({str(row["judge"]) for row in rows if row.get("judge")})),
        labels={label: states[label] for label in labels},
        without={why: count for why, count in sorted(states.items()) if why not in labels},
        grounds=dict(_grounds(log, name, rows).most_common()),
        numbers=numbers,
    )


def _grounds(log: EvalLog, name: str, rows: Sequence[Mapping[str, Any]]) -> Counter[str]:
    scores = ((sample.scores or {}).get(name) for sample in log.samples or [])
    told = [
        score.explanation
        for row, score in zip(rows, scores, strict=True)
        if row["label"] is None and score is not None and score.explanation
    ]
    return Counter(one_line(each) for each in told)


def _numbers(
    names: Sequence[str], rows: Sequence[Mapping[str, Any]], category: str | None = None
) -> Iterator[Number]:
    for name in metric_names(names):
        named = METRICS.find(name)
        if (found := measured(named, rows)) is not None:
            yield Number(name, found, named.described.is_verified, category)


def _why(row: Mapping[str, Any]) -> str:
    return MISSING if row.get("missing") else NOT_SCORED[row["state"]]


def _row(sample: EvalSample, score: Score) -> dict[str, Any]:
    return {**row_of(str(sample.id), sample.metadata, score), "epoch": sample.epoch}


def _no_score(sample: EvalSample, like: Score | None) -> Score:
    """What stands for the score that a sample lacks; `like` is one of the same scorer."""
    facts = (like.metadata if like else None) or {}
    kept = {key: facts[key] for key in ("labels", "positive", "scorer") if key in facts}
    return Score(value=NOT_SCORED["error"], metadata={**kept, "details": {"missing": "yes"}})


def _is_ours(log: EvalLog, name: str) -> bool:
    scores = ((sample.scores or {}).get(name) for sample in log.samples or [])
    return any(score is not None and "positive" in (score.metadata or {}) for score in scores)
