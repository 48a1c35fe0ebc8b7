"""The same stored replies under several judges: computes the report of `jurat judges`."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import combinations
from pathlib import Path
from typing import Any

import numpy as np

from jurat.errors import JuratError
from jurat.evals.judge_report import Agreement, Conclusion, Judge, JudgedRate, JudgeSwap, Share
from jurat.evals.log_files import Evaluated, event_of, shared_replies
from jurat.evals.measures import event_columns
from jurat.evals.pairs import LogPair, PairedRates, is_named, pair_logs, why, with_holm
from jurat.evals.people import PEOPLE, Labelled, read_labels
from jurat.metrics.correction import Sampling, correct
from jurat.metrics.intervals import Interval, clustered_rate
from jurat.metrics.metric_rows import DRAWS
from jurat.metrics.metric_value import MetricValue
from jurat.metrics.named import METRICS
from jurat.metrics.rates import UNSURE
from jurat.text import counted

EVENT, OTHER = "event", "other"
COEFFICIENTS = ("cohen_kappa", "gwet_ac1")


@dataclass(frozen=True)
class Unit:
    """A reply."""

    log: str
    id: str
    epoch: int
    cluster: str
    category: str
    """Empty without one."""


@dataclass
class _Replies:
    """All replies of some logs, and what was said of them."""

    units: list[Unit]
    said: dict[str, np.ndarray]
    """By judge: 1, 0 or `UNSURE`, shape (replies,)."""
    asked: dict[str, np.ndarray]
    """By judge: whether it was asked about the reply; its log may lack it."""
    states: dict[str, Counter[str]]
    models: dict[str, set[str]]
    positives: dict[str, str]
    labels: np.ndarray = field(default_factory=lambda: np.zeros(0))
    """1, 0 or nan without one."""

    def of(self, log: str) -> np.ndarray:
        return np.array([unit.log == log for unit in self.units], bool)


def judge_swap(
    logs: Sequence[Evaluated],
    labels: Path | None = None,
    *,
    scorers: Sequence[str] = (),
    people: Sequence[str] = (),
    sampling: Sampling | None = None,
    draws: int = DRAWS,
) -> JudgeSwap:
    """The judge-swap report of some logs.

    Args:
        labels: what people said of some replies, by the ids of samples (`jurat.evals.people`).
        scorers: full names of the judges, or their beginnings; all that are about one event if empty.
        people: the labels of the file, that of the event first; those of the judges if empty.
        sampling: how the labelled replies were picked. Default: `random` where all are labelled, else
            `chosen`, which needs nothing of the picking.
        draws: of the bootstrap intervals of kappa and AC1.

    Raises:
        JuratError: there is no judge, a scorer that was asked for is in no log, two logs hold the same
            replies, or the labels cannot be used.
    """
    _check_distinct(logs)
    tables = {log.name: log.judgements() for log in logs}
    chosen, left_out = _judges(tables, scorers, people)
    answered = None
    if labels is not None:
        answered = read_labels(logs, labels, _labels_of(tables, chosen), people)
    replies, no_reply = _replies(logs, tables, chosen, answered)
    if not any((said != UNSURE).any() for said in replies.said.values()):
        others = "; ".join(f"{name} {why}" for name, why in left_out.items())
        raise JuratError(
            f"{', '.join(chosen)} decided nothing: there are no judgements to compare.",
            hint=f"Not among the judges: {others}. --scorer NAME chooses others." if others else None,
        )
    sampling, reason = _sampling(sampling, replies, answered)
    rated = answered is not None
    return JudgeSwap(
        logs=logs,
        judges=[_worth(name, replies) for name in chosen],
        left_out=left_out,
        no_reply=no_reply,
        labels=answered,
        sampling=sampling,
        sampling_reason=reason,
        agreements=list(_agreements(replies, chosen, rated, draws)),
        rates=list(_rates(replies, chosen, sampling, rated)),
        by_category=list(_category_rates(replies, chosen, sampling, rated)),
        conclusions=_conclusions(logs, tables, chosen),
    )


def _check_distinct(logs: Sequence[Evaluated]) -> None:
    for one, other in combinations(logs, 2):
        if shared := shared_replies(one, other):
            raise JuratError(
                f"{one.path.name} and {other.path.name} both hold {counted(shared, 'reply', 'replies')} "
                "of one run, which would count twice.",
                hint="Name one of them: jurat score adds judges to a log.",
            )


# Which judges


def _judges(
    tables: Mapping[str, Mapping[str, Sequence[Mapping[str, Any]]]],
    scorers: Sequence[str],
    people: Sequence[str],
) -> tuple[list[str], dict[str, str]]:
    """The scorers that are about one event, and why the others are not among them."""
    events: dict[str, str] = {}
    for table in tables.values():
        for name, rows in table.items():
            events.setdefault(name, str(next(row["positive"] for row in rows if row["positive"])))
    left_out = {name: "labels of people: name their file with --labels" for name in events if _is_human(name)}
    found = {name: event for name, event in events.items() if name not in left_out}
    if missing := [each for each in scorers if not any(is_named(name, each) for name in found)]:
        raise JuratError(
            f"No log has the scorer {missing[0]!r}.",
            hint=f"There are: {', '.join(found) or 'none'}. jurat score LOG --scorer NAME adds one.",
        )
    if scorers:
        asked = {n: e for n, e in found.items() if any(is_named(n, each) for each in scorers)}
        left_out |= {name: "not asked for" for name in found if name not in asked}
        found = asked
    if not found:
        raise JuratError("The logs hold no judgements of jurat's scorers.", hint="See: jurat score LOG")
    about = Counter(_question(event) for event in found.values())
    question = next((q for q in about if people and q == _question(people[0])), about.most_common(1)[0][0])
    others = {name: event for name, event in found.items() if _question(event) != question}
    kept = [name for name in found if name not in others]
    left_out |= {name: f"is about {event!r}, not {found[kept[0]]!r}" for name, event in others.items()}
    return kept, left_out


def _question(positive: str) -> tuple[str, ...]:
    """What a scorer's event is evidence of; equal for "unsafe" and "harmful"."""
    return event_columns(positive) or (positive,)


def _is_human(name: str) -> bool:
    return name.startswith("human@")


def _labels_of(
    tables: Mapping[str, Mapping[str, Sequence[Mapping[str, Any]]]], judges: Sequence[str]
) -> dict[str, set[str]]:
    """The labels of the judges: those of the event, and the others."""
    found: dict[str, set[str]] = {EVENT: set(), OTHER: set()}
    for table in tables.values():
        for name in judges:
            row = next((row for row in table.get(name, ()) if row["positive"]), None)
            if row is not None:
                found[EVENT].add(str(row["positive"]))
                found[OTHER] |= {label for label in row["labels"] if label != row["positive"]}
    return found


# The replies


def _replies(
    logs: Sequence[Evaluated],
    tables: Mapping[str, Mapping[str, Sequence[Mapping[str, Any]]]],
    judges: Sequence[str],
    labels: Labelled | None,
) -> tuple[_Replies, int]:
    """The replies, and the number of those that are missing."""
    units: list[Unit] = []
    said: dict[str, list[int]] = {judge: [] for judge in judges}
    asked: dict[str, list[bool]] = {judge: [] for judge in judges}
    found = _Replies(units, {}, {}, {j: Counter() for j in judges}, {j: set() for j in judges}, {})
    given: list[float] = []
    no_reply = 0
    for log in logs:
        table = tables[log.name]
        for place, sample in enumerate(log.samples):
            rows = {judge: table[judge][place] for judge in judges if judge in table}
            decided = any(event_of(row) != UNSURE for row in rows.values())
            if not decided and (sample.output.empty or sample.output.error is not None or sample.error):
                no_reply += 1
                continue
            facts = sample.metadata
            units.append(
                Unit(
                    log.name,
                    str(sample.id),
                    sample.epoch,
                    str(facts.get("cluster") or sample.id),
                    str(facts.get("category") or ""),
                )
            )
            given.append(math.nan if labels is None else labels.event(log.name, str(sample.id), sample.epoch))
            for judge in judges:
                row = rows.get(judge)
                asked[judge].append(row is not None)
                said[judge].append(UNSURE if row is None else event_of(row))
                if row is not None:
                    found.positives.setdefault(judge, str(row["positive"]))
                    found.states[judge]["scored" if row["label"] is not None else why(row)] += 1
                    if row.get("judge"):
                        found.models[judge].add(str(row["judge"]))
    found.said = {judge: np.array(values, int) for judge, values in said.items()}
    found.asked = {judge: np.array(values, bool) for judge, values in asked.items()}
    found.labels = np.array(given, float)
    return found, no_reply


def _sampling(given: Sampling | None, replies: _Replies, labels: Labelled | None) -> tuple[Sampling, str]:
    if given is not None:
        return given, "as was said"
    if labels is not None and not np.isnan(replies.labels).any():
        return "random", "every reply has a label"
    return "chosen", "nothing was said about it (--sampling)"


# What is computed


def _worth(judge: str, replies: _Replies) -> Judge:
    said, labels = replies.said[judge], replies.labels
    there = replies.asked[judge] & ~np.isnan(labels)
    decided = there & (said != UNSURE)
    clusters = np.array([unit.cluster for unit in replies.units])

    def share(of: np.ndarray, right: int) -> Share:
        hits = said[of] == right
        return Share(int(hits.sum()), int(of.sum()), clustered_rate(hits, clusters[of].tolist()))

    return Judge(
        name=judge,
        positive=replies.positives[judge],
        models=tuple(sorted(replies.models[judge])),
        states=dict(replies.states[judge]),
        sensitivity=share(decided & (labels == 1), 1),
        specificity=share(decided & (labels == 0), 0),
        undecided=int((there & ~decided).sum()),
    )


def _agreements(replies: _Replies, judges: Sequence[str], rated: bool, draws: int) -> Iterator[Agreement]:
    said = {judge: np.where(replies.asked[judge], replies.said[judge], UNSURE) for judge in judges}
    asked = dict(replies.asked)
    if rated:
        known = ~np.isnan(replies.labels)
        said[PEOPLE], asked[PEOPLE] = np.where(known, replies.labels, UNSURE).astype(int), known
    for raters in combinations(said, 2):
        first, second = (said[rater] for rater in raters)
        both = (first != UNSURE) & (second != UNSURE)
        rows = [
            {
                "unit": str(at),
                "cluster": replies.units[at].cluster,
                "rater": rater,
                "rating": EVENT if said[rater][at] == 1 else OTHER,
            }
            for at in np.flatnonzero(both).tolist()
            for rater in raters
        ]
        values = {name: _coefficient(name, rows, draws) for name in COEFFICIENTS}
        left_out = int((asked[raters[0]] & asked[raters[1]] & ~both).sum())
        yield Agreement((raters[0], raters[1]), values, left_out)


def _coefficient(name: str, rows: Sequence[Mapping[str, Any]], draws: int) -> MetricValue:
    if not rows:
        return MetricValue(None, 0, "unit", "no reply that both decided")
    return METRICS.find(name).described.compute(rows, labels=(EVENT, OTHER), draws=draws)


def _rates(replies: _Replies, judges: Sequence[str], sampling: Sampling, rated: bool) -> Iterator[JudgedRate]:
    for log in dict.fromkeys(unit.log for unit in replies.units):
        for judge in judges:
            chosen = replies.of(log) & replies.asked[judge]
            if chosen.any():
                yield _rate(replies, judge, chosen, sampling, rated, log)


def _category_rates(
    replies: _Replies, judges: Sequence[str], sampling: Sampling, rated: bool
) -> Iterator[JudgedRate]:
    names = np.array([unit.category for unit in replies.units], dtype=object)
    within: Sampling = "random" if sampling == "random within strata" else sampling
    for log in dict.fromkeys(unit.log for unit in replies.units):
        categories = sorted({str(name) for name in names[replies.of(log)]})
        for category in categories if len(categories) > 1 else []:
            for judge in judges:
                chosen = replies.of(log) & (names == category) & replies.asked[judge]
                if chosen.any():
                    yield _rate(replies, judge, chosen, within, rated, log, category)


def _rate(
    replies: _Replies,
    judge: str,
    chosen: np.ndarray,
    sampling: Sampling,
    rated: bool,
    log: str,
    category: str | None = None,
) -> JudgedRate:
    said, units = replies.said[judge][chosen], [replies.units[at] for at in np.flatnonzero(chosen)]
    clusters, decided = [unit.cluster for unit in units], said != UNSURE
    correction = None
    if rated:
        strata = [unit.category for unit in units]
        several = len(set(strata)) > 1
        correction = correct(
            said,
            replies.labels[chosen],
            sampling=sampling,
            strata=strata if several else None,
            clusters=clusters,
        )
    names = [name for name, known in zip(clusters, decided, strict=True) if known]
    return JudgedRate(
        log=log,
        judge=judge,
        category=category,
        raw=float(said[decided].mean()) if decided.any() else math.nan,
        interval=clustered_rate(said[decided], names) if decided.any() else Interval(math.nan, math.nan),
        n=int(decided.sum()),
        undecided=int((~decided).sum()),
        correction=correction,
    )


def _conclusions(
    logs: Sequence[Evaluated], tables: Mapping[str, Mapping[str, Any]], judges: Sequence[str]
) -> list[Conclusion]:
    """Each pair of logs under each judge that both have, with Holm's p over the pairs of one judge."""
    pairs: dict[tuple[str, str], LogPair | str] = {}
    for a, b in combinations(logs, 2):
        shared = [judge for judge in judges if judge in tables[a.name] and judge in tables[b.name]]
        try:
            found = pair_logs(a, b, shared) if shared else "no judge in common"
        except JuratError as error:
            found = error.message
        pairs[a.name, b.name] = found
    families: dict[str, dict[tuple[str, str], PairedRates]] = {}
    for key, pair in pairs.items():
        for each in () if isinstance(pair, str) else pair.scorers:
            if each.overall.difference.n:
                families.setdefault(each.scorer, {})[key] = each.overall
    adjusted = {
        judge: dict(zip(family, with_holm(list(family.values())), strict=True))
        for judge, family in families.items()
    }
    conclusions: list[Conclusion] = []
    for (a, b), pair in pairs.items():
        under = {judge: family[a, b] for judge, family in adjusted.items() if (a, b) in family}
        problem = pair if isinstance(pair, str) else "" if under else "no sample that a judge decided in both"
        conclusions.append(Conclusion(a, b, under, problem))
    return conclusions
