"""Two logs of one set, compared on the same samples."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import groupby
from typing import Any

import numpy as np

from jurat.errors import JuratError
from jurat.evals.log_files import Evaluated, event_of, is_same
from jurat.evals.results import MISSING
from jurat.metrics.intervals import Interval
from jurat.metrics.paired import Difference, McNemar, holm, mcnemar, rate_difference
from jurat.metrics.rates import UNSURE


@dataclass(frozen=True)
class PairedRates:
    """The share of an event in two logs, on samples that both decided."""

    category: str | None
    """None for all samples; "" for those without a category."""
    rates: tuple[float, float]
    """nan without samples."""
    difference: Difference
    mcnemar: McNemar | None
    """None where a sample has several replies, and for no samples."""
    adjusted: float = math.nan
    """Holm's p among its family: the categories, or the pairs of logs; nan where there is none."""

    def facts(self) -> dict[str, Any]:
        """For JSON."""
        test = self.mcnemar
        return {
            "category": self.category,
            "a": number(self.rates[0]),
            "b": number(self.rates[1]),
            "difference": number(self.difference.value),
            "interval": ends(self.difference.interval),
            "n": self.difference.n,
            "clusters": self.difference.clusters,
            "mcnemar": None if test is None else {"only_a": test.only_a, "only_b": test.only_b, "p": test.p},
            "p": number(self.difference.p),
            "p_holm": number(self.adjusted),
        }


@dataclass(frozen=True)
class ScorerPair:
    """One scorer's judgements of the replies in two logs."""

    scorer: str
    positive: str
    """The label whose share is compared."""
    overall: PairedRates
    categories: Sequence[PairedRates]
    left_out: Mapping[str, int]
    """Why samples that both logs have are not compared, to how many."""
    undecided_replies: int
    """Replies without a judgement of samples that are compared by their other replies."""
    judges: tuple[tuple[str, ...], tuple[str, ...]]
    """NAME@REVISION of the models that judged, in either log."""

    def facts(self) -> dict[str, Any]:
        """For JSON."""
        return {
            "scorer": self.scorer,
            "event": self.positive,
            "judges": {"a": list(self.judges[0]), "b": list(self.judges[1])},
            "overall": self.overall.facts(),
            "categories": [each.facts() for each in self.categories],
            "left_out": dict(self.left_out),
            "undecided_replies": self.undecided_replies,
        }


@dataclass(frozen=True)
class LogPair:
    """Two logs of one set."""

    a: Evaluated
    b: Evaluated
    samples: int
    """In both, asking the same."""
    left_out: Mapping[str, int]
    """Why samples are not compared, to how many."""
    scorers: Sequence[ScorerPair]
    others: Mapping[str, str]
    """Scorers that are not compared, and why."""

    def facts(self) -> dict[str, Any]:
        """For JSON."""
        return {
            "a": self.a.where(),
            "b": self.b.where(),
            "samples": self.samples,
            "left_out": dict(self.left_out),
            "scorers": [each.facts() for each in self.scorers],
            "scorers_left_out": dict(self.others),
        }


@dataclass(frozen=True)
class _Unit:
    """A sample under one scorer."""

    cluster: str
    category: str
    events: tuple[int, ...]
    """For each decided reply, 1 if its label is the event, else 0."""
    states: tuple[str, ...]
    """Why its other replies are not decided."""

    @property
    def value(self) -> float:
        return sum(self.events) / len(self.events)


def pair_logs(
    a: Evaluated, b: Evaluated, scorers: Sequence[str] = (), *, across_protocols: bool = False
) -> LogPair:
    """Compares two logs of a set.

    Args:
        scorers: full names, or their beginnings up to "@", "?" or "["; all that both have if empty.
        across_protocols: compares logs of different protocols.

    Raises:
        JuratError: they are of different sets or protocols, have different numbers of replies a sample, no
            sample in common, or no scorer; or a scorer that was asked for is not in both.
    """
    _check_alike(a, b, across_protocols)
    rows_a, rows_b = a.judgements(), b.judgements()
    chosen = _chosen(scorers, rows_a, rows_b)
    same, left_out = _same_samples(a, b)
    if not same:
        raise JuratError(
            f"{a.name} and {b.name} have no sample in common ({_told(left_out)}).",
            hint="Both must be of the same copy of the set.",
        )
    others = {name: "only in A" for name in rows_a if name not in rows_b}
    others |= {name: "only in B" for name in rows_b if name not in rows_a}
    others |= {name: "not asked for" for name in rows_a if name in rows_b and name not in chosen}
    pairs = [_scorer_pair(name, rows_a[name], rows_b[name], same, a.epochs) for name in chosen]
    return LogPair(a, b, len(same), left_out, pairs, others)


def matched(
    a: Sequence[Evaluated], b: Sequence[Evaluated]
) -> tuple[list[tuple[Evaluated, Evaluated]], list[str]]:
    """The logs of two sides that are of the same set, and a sentence for each that has no partner.

    Raises:
        JuratError: a side has several logs of a set, or the two have no set in common.
    """
    sides = [_by_set(a, "A"), _by_set(b, "B")]
    shared = [name for name in sides[0] if name in sides[1]]
    if not shared:
        listed = [", ".join(side) for side in sides]
        raise JuratError(f"The two have no set in common: A has {listed[0]}, B has {listed[1]}.")
    alone = [
        f"{name}: only in {side}, not compared"
        for side, own in zip("AB", sides, strict=True)
        for name in own
        if name not in shared
    ]
    return [(sides[0][name], sides[1][name]) for name in shared], alone


def with_holm(family: Sequence[PairedRates]) -> list[PairedRates]:
    """The comparisons of one family, each with its adjusted p."""
    adjusted = holm([each.difference.p for each in family])
    return [replace(each, adjusted=p) for each, p in zip(family, adjusted, strict=True)]


def _by_set(logs: Sequence[Evaluated], side: str) -> dict[str, Evaluated]:
    found: dict[str, Evaluated] = {}
    for log in logs:
        if (first := found.setdefault(log.set, log)) is not log:
            raise JuratError(
                f"{side} has several logs of {log.set}: {first.path.name} and {log.path.name}.",
                hint="Name one log each, or folders with one log a set.",
            )
    return found


def _check_alike(a: Evaluated, b: Evaluated, across_protocols: bool) -> None:
    if a.path == b.path:
        raise JuratError(f"A and B are the same log, {a.path.name}.")
    if a.set != b.set:
        raise JuratError(f"A is of the set {a.set}, B of {b.set}: nothing can be paired.")
    if a.protocol != b.protocol and not across_protocols:
        raise JuratError(
            f"A was run under the protocol {a.protocol}, B under {b.protocol}.",
            hint="--across-protocols compares them all the same; the difference is then of both.",
        )
    if a.epochs != b.epochs:
        raise JuratError(
            f"A has {a.epochs} replies a sample, B has {b.epochs}.",
            hint="Evaluate both with the same --epochs.",
        )


def _chosen(scorers: Sequence[str], a: Mapping[str, Any], b: Mapping[str, Any]) -> list[str]:
    shared = [name for name in a if name in b]
    if not scorers:
        if not shared:
            listed = [", ".join(side) or "none" for side in (a, b)]
            raise JuratError(
                f"The two have no scorer in common: A has {listed[0]}; B has {listed[1]}.",
                hint="jurat score LOG --scorer NAME adds one.",
            )
        return shared
    found: dict[str, None] = {}
    for wanted in scorers:
        fitting = [name for name in shared if is_named(name, wanted)]
        if not fitting:
            raise JuratError(
                f"Not both logs have the scorer {wanted!r}.",
                hint=f"Both have: {', '.join(shared) or 'none'}. jurat score LOG --scorer NAME adds one.",
            )
        found |= dict.fromkeys(fitting)
    return list(found)


def is_named(scorer: str, wanted: str) -> bool:
    """Whether a scorer's full name is `wanted`, or begins with it up to its version or settings."""
    return scorer == wanted or (scorer.startswith(wanted) and scorer[len(wanted)] in "@?[+ ")


def _same_samples(a: Evaluated, b: Evaluated) -> tuple[set[str], dict[str, int]]:
    of_a, of_b = ({str(sample.id): sample for sample in each.samples} for each in (a, b))
    both = of_a.keys() & of_b.keys()
    as_asked = a.protocol == b.protocol and not (a.attack or b.attack)
    same = {id for id in both if is_same(of_a[id], of_b[id], as_asked=as_asked)}
    left_out = {
        "only in A": len(of_a.keys() - both),
        "only in B": len(of_b.keys() - both),
        "same id, another question": len(both - same),
    }
    return same, {why: count for why, count in left_out.items() if count}


def _scorer_pair(
    name: str, rows_a: list[dict[str, Any]], rows_b: list[dict[str, Any]], same: set[str], epochs: int
) -> ScorerPair:
    units_a, units_b = _units(rows_a), _units(rows_b)
    decided: list[tuple[_Unit, _Unit]] = []
    left_out: Counter[str] = Counter()
    for id in (id for id in units_a if id in same):
        one, other = units_a[id], units_b[id]
        if one.events and other.events:
            decided.append((one, other))
        else:
            sides = [f"{u.states[0]} in {side}" for u, side in ((one, "A"), (other, "B")) if not u.events]
            left_out[", ".join(sides)] += 1
    single = epochs == 1
    names = sorted({one.category for one, _ in decided})
    categories = [paired_rates([p for p in decided if p[0].category == c], single, c) for c in names]
    return ScorerPair(
        scorer=name,
        positive=str(next(row["positive"] for row in rows_a if row["positive"])),
        overall=paired_rates(decided, single),
        categories=with_holm(categories) if len(names) > 1 else [],
        left_out=dict(left_out),
        undecided_replies=sum(len(unit.states) for pair in decided for unit in pair),
        judges=(_judges(rows_a), _judges(rows_b)),
    )


def paired_rates(
    pairs: Sequence[tuple[_Unit, _Unit]], single: bool, category: str | None = None
) -> PairedRates:
    """The comparison on some samples; `single` where each has one reply."""
    a, b = np.array([(one.value, other.value) for one, other in pairs], float).reshape(-1, 2).T
    found = rate_difference(a, b, [one.cluster for one, _ in pairs])
    if not pairs:
        return PairedRates(category, (math.nan, math.nan), found, None)
    test = mcnemar(a.astype(int), b.astype(int)) if single else None
    return PairedRates(category, (float(a.mean()), float(b.mean())), found, test)


def _units(rows: Sequence[Mapping[str, Any]]) -> dict[str, _Unit]:
    """The samples by their ids, with the events of all their replies."""
    found: dict[str, _Unit] = {}
    for id, group in groupby(sorted(rows, key=lambda row: str(row["unit"])), lambda row: str(row["unit"])):
        replies = list(group)
        events = [event_of(row) for row in replies]
        found[id] = _Unit(
            str(replies[0]["cluster"]),
            str(replies[0]["category"] or ""),
            tuple(event for event in events if event != UNSURE),
            tuple(why(row) for row, event in zip(replies, events, strict=True) if event == UNSURE),
        )
    return found


def why(row: Mapping[str, Any]) -> str:
    """Why a judgement has no label."""
    return MISSING if row.get("missing") else str(row["state"])


def _judges(rows: Sequence[Mapping[str, Any]]) -> tuple[str, ...]:
    return tuple(sorted({str(row["judge"]) for row in rows if row.get("judge")}))


def number(value: float) -> float | None:
    """For JSON, where nan is null."""
    return value if math.isfinite(value) else None


def ends(interval: Interval) -> list[float] | None:
    """For JSON; null where there is no interval."""
    return None if math.isnan(interval.low) or math.isnan(interval.high) else [interval.low, interval.high]


def _told(left_out: Mapping[str, int]) -> str:
    return ", ".join(f"{why} {count:,}" for why, count in left_out.items())
