"""How often the intervals that jurat prints hold the truth: `python perf/coverage.py [--draws 2000]`.

Two tables. The first draws outcomes by schemes whose truth is set (a rate that differs between clusters,
two methods, training seeds). The second takes scenes of the pictogram world, whose truth is exact, and three
judges with known errors, one of them biased by category; each draw samples scenes or questions and labels,
and every estimate is held against the true rate. Nominal 95%; the bar is 93 to 97%.
"""

from __future__ import annotations

import argparse
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING, Any

import numpy as np
from measuring import Row, files, provenance, report, table

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from jurat.metrics import Interval
    from jurat.pictograms import Facts, Statement

BAR = (0.93, 0.97)
Draw = Callable[[np.random.Generator], "dict[str, tuple[Interval, float]]"]
"""One draw of a scheme: each interval by name, with the truth it should hold."""


def measure(scheme: str, draw: Draw, draws: int, seed: int) -> Iterator[Row]:
    """A row an interval: how often it held the truth, its mean width, and how often there was none."""
    rng = np.random.default_rng([seed, *scheme.encode()])
    held: dict[str, list[tuple[bool, float]]] = {}
    for _ in range(draws):
        for name, (interval, truth) in draw(rng).items():
            held.setdefault(name, []).append((truth in interval, interval.high - interval.low))
    for name, found in held.items():
        known = [(inside, width) for inside, width in found if not np.isnan(width)]
        share = sum(inside for inside, _ in known) / len(known) if known else None
        width = float(np.mean([width for _, width in known])) if known else None
        yield {
            "scheme": scheme, "interval": name, "coverage": share, "width": width, "draws": len(known),
            "none": len(found) - len(known), "within": share is not None and BAR[0] <= share <= BAR[1],
        }  # fmt: skip


# --- outcomes drawn by a scheme ---------------------------------------------------------------------


def one_rate(rng: np.random.Generator, n: int, rate: float) -> dict[str, tuple[Interval, float]]:
    from jurat.metrics import wilson

    return {"Wilson": (wilson(int(rng.binomial(n, rate)), n), rate)}


def alike(rng: np.random.Generator, count: int, rate: float, likeness: float) -> NDArray[np.float64]:
    """Rates of clusters with a given mean and intra-cluster correlation (beta)."""
    spread = 1 / likeness - 1
    return rng.beta(rate * spread, (1 - rate) * spread, count)


def clustered(
    rng: np.random.Generator, groups: int, size: int, rate: float, likeness: float
) -> dict[str, tuple[Interval, float]]:
    from jurat.metrics import Resampler, clustered_rate, wilson

    rates = alike(rng, groups, rate, likeness)
    values = (rng.random((groups, size)) < rates[:, None]).astype(float).ravel()
    names = np.repeat(np.arange(groups), size).tolist()
    mean = lambda weights: float(weights @ values / len(values))  # noqa: E731
    return {
        "Wilson, clusters ignored (for comparison)": (wilson(int(values.sum()), len(values)), rate),
        "percentile bootstrap (for comparison)": (Resampler(names, draws=200).interval(mean), rate),
        "Wilson with clusters": (clustered_rate(values, names), rate),
    }


def bench_scheme(
    rng: np.random.Generator, rules: int, pairs: int, rate: float, likeness: float, samples: dict[str, Any]
) -> dict[str, tuple[Interval, float]]:
    """Accuracy as `jurat bench` draws it: pairs of scenes within rules; and the difference of two methods."""
    from jurat.metrics import Resampler
    from jurat.metrics.intervals import percentile

    names = np.repeat(np.arange(rules), 2 * pairs), np.tile(np.repeat(np.arange(pairs), 2), rules)
    if not samples:
        drawn = Resampler(*(each.tolist() for each in names), draws=500).weights()
        samples["weights"] = drawn.astype(np.float32) / len(names[0])
    rates = np.repeat(alike(rng, rules, rate, likeness), 2 * pairs)
    others = np.repeat(alike(rng, rules, rate, likeness), 2 * pairs)
    right, other = rng.random(len(rates)) < rates, rng.random(len(rates)) < others
    spreads = [samples["weights"] @ each.astype(np.float32) for each in (right, other)]
    return {
        "percentile bootstrap, rule then pair (bench)": (percentile(spreads[0].tolist()), rate),
        "the same, of a paired difference (bench)": (percentile((spreads[0] - spreads[1]).tolist()), 0.0),
    }


def two_methods(
    rng: np.random.Generator, groups: int, size: int, rates: tuple[float, float], likeness: float
) -> dict[str, tuple[Interval, float]]:
    """Differences of two methods on the same units; the second method's outcomes lean on the first's."""
    from jurat.metrics import macro_difference, rate_difference

    n = groups * size
    shared, leaning = rng.random(n), rng.random(n) < 0.5
    one, other = (np.repeat(alike(rng, groups, rate, likeness), size) for rate in rates)
    a = (shared < one).astype(float)
    b = (np.where(leaning, shared, rng.random(n)) < other).astype(float)
    names = np.repeat(np.arange(groups), size).tolist() if size > 1 else None
    kinds = np.repeat(np.arange(groups) % 4, size).tolist()
    truth = rates[0] - rates[1]
    return {
        "paired difference of rates": (rate_difference(a, b, names).interval, truth),
        "paired difference of macro averages": (macro_difference(a, b, kinds, names).interval, truth),
    }


def any_metric(
    rng: np.random.Generator, groups: int, size: int, recall: float, alarms: float, likeness: float
) -> dict[str, tuple[Interval, float]]:
    """F1 and recall of one method, and the difference in F1 of two, by the bootstrap of clusters."""
    from jurat.metrics import Estimates, Table
    from jurat.metrics.paired import difference

    n = groups * size
    truth = np.tile([1.0, 0.0], n)[:n]
    cells: list[Estimates] = []
    for _ in range(2):
        hit, alarm = (np.repeat(alike(rng, groups, rate, likeness), size) for rate in (recall, alarms))
        said = (rng.random(n) < np.where(truth == 1, hit, alarm)).astype(int)
        names = np.repeat(np.arange(groups), size).astype(str)
        cells.append(Estimates(Table(np.arange(n).astype(str), (names,), truth, said, said + 0.0), 300))
    f1 = 2 * recall / (recall + alarms + 1)
    return {
        "F1": (cells[0].interval("f1"), f1),
        "recall": (cells[0].interval("recall"), recall),
        "paired difference of F1": (difference(*cells, "f1").interval, 0.0),
    }


def over_seeds(
    rng: np.random.Generator, seeds: int, items: int, between: float
) -> dict[str, tuple[Interval, float]]:
    """The mean accuracy over training seeds and items, and the range of the seeds' values."""
    from jurat.metrics import Interval, mean_over_seeds

    ease = rng.choice([-0.15, 0.15], items)
    rates = 0.75 + ease + np.clip(rng.normal(0, between, (seeds, 1)), -0.1, 0.1)
    right = (rng.random((seeds, items)) < rates).astype(float)
    means = right.mean(1)
    return {
        "range of the seeds' values (no interval)": (Interval(float(means.min()), float(means.max())), 0.75),
        "mean over seeds and items": (mean_over_seeds(right), 0.75),
    }


def schemes() -> dict[str, Draw]:
    """Every scheme of the first table by name."""
    found: dict[str, Draw] = {}
    for n, rate in ((20, 0.1), (100, 0.02), (100, 0.3), (1000, 0.5)):
        found[f"n = {n}, rate {rate}"] = partial(one_rate, n=n, rate=rate)
    for groups, size, rate, likeness in (
        (5, 40, 0.3, 0.05), (10, 20, 0.1, 0.05), (14, 40, 0.9, 0.05), (30, 10, 0.5, 0.2), (60, 4, 0.2, 0.3),
        (200, 2, 0.05, 0.5), (14, 40, 0.05, 0.2),
    ):  # fmt: skip
        name = f"{groups} clusters of {size}, rate {rate}, likeness {likeness}"
        found[name] = partial(clustered, groups=groups, size=size, rate=rate, likeness=likeness)
    for rate, likeness in ((0.9, 0.02), (0.9, 0.05), (0.75, 0.1), (0.95, 0.1)):
        name = f"bench: 14 rules of 20 pairs, rate {rate}, likeness {likeness}"
        found[name] = partial(bench_scheme, rules=14, pairs=20, rate=rate, likeness=likeness, samples={})
    for groups, size, rates, likeness in (
        (100, 1, (0.3, 0.3), 0.05), (400, 1, (0.1, 0.05), 0.05), (20, 10, (0.5, 0.4), 0.1),
        (60, 4, (0.2, 0.2), 0.2),
    ):  # fmt: skip
        name = f"two methods, {groups} clusters of {size}, rates {rates[0]} and {rates[1]}"
        found[name] = partial(two_methods, groups=groups, size=size, rates=rates, likeness=likeness)
    for groups, size in ((14, 20), (40, 10), (300, 1)):
        found[f"F1: {groups} clusters of {size}, recall 0.8, false alarms 0.1"] = partial(
            any_metric, groups=groups, size=size, recall=0.8, alarms=0.1, likeness=0.03
        )
    for seeds, items, between in ((2, 500, 0.03), (3, 500, 0.05), (5, 500, 0.05), (3, 500, 0.002)):
        found[f"{seeds} seeds, {items} items, seeds differ by {between}"] = partial(
            over_seeds, seeds=seeds, items=items, between=between
        )
    return found


# --- judges of pictograms ---------------------------------------------------------------------------

KINDS = ("presence", "contact", "position", "size")
SHARES = (3, 3, 1, 1)
"""Questions of each kind on a scene: kinds are not equally frequent."""
JUDGES: dict[str, dict[str, tuple[float, float]]] = {
    "lenient": {kind: (0.8, 0.98) for kind in KINDS},
    "strict": {kind: (0.95, 0.85) for kind in KINDS},
    "biased": {"presence": (0.97, 0.97), "contact": (0.9, 0.6), "position": (0.6, 0.95), "size": (0.7, 0.7)},
}
"""Sensitivity and specificity of each judge on each kind of question."""


@dataclass(frozen=True)
class World:
    """All questions that a draw samples from; arrays of length n. Their truths are exact, so that the true
    rate is their mean."""

    scene: NDArray[np.intp]
    kind: NDArray[np.str_]
    truth: NDArray[np.float64]
    unsettled: int
    """Questions that the scene leaves open (a gap between touching and apart), left out."""

    @classmethod
    def of(cls, scenes: int, seed: int) -> World:
        from jurat.pictograms import Facts, draw

        rng = np.random.default_rng(seed)
        rows: list[tuple[int, str, bool | None]] = []
        for number in range(scenes):
            facts = Facts.of(draw(rng, size=128))
            asked = (statement for statement in questions(facts, rng))
            rows += [(number, kind, statement.truth(facts)) for kind, statement in asked]
        known = [row for row in rows if row[2] is not None]
        scene, kind, truth = zip(*known, strict=True)
        return cls(np.array(scene), np.array(kind), np.array(truth, float), len(rows) - len(known))

    def judged(self, judge: str, rng: np.random.Generator, hard: float = 0.3) -> NDArray[np.int64]:
        """What a judge says of every question. Some scenes are hard: there all of its errors are drawn from
        one number, so that mistakes on a scene go together. The rates of error stay those of `JUDGES`."""
        rates = np.array([JUDGES[judge][kind] for kind in self.kind])
        count = int(self.scene.max()) + 1
        shared, difficult = rng.random(count)[self.scene], (rng.random(count) < hard)[self.scene]
        number = np.where(difficult, shared, rng.random(len(self.truth)))
        right = number < np.where(self.truth == 1, rates[:, 0], rates[:, 1])
        return np.where(right, self.truth, 1 - self.truth).astype(np.int64)


def questions(facts: Facts, rng: np.random.Generator) -> Iterator[tuple[str, Statement]]:
    """Statements about a scene, `SHARES` of each kind, most of them about what is there."""
    from jurat.pictograms import OBJECTS
    from jurat.pictograms.statements import Larger, Lies, Touches, Visible

    there = [noun for noun in OBJECTS if facts.which(noun)]
    for kind, share in zip(KINDS, SHARES, strict=True):
        for _ in range(share if there else 0):
            chosen = rng.permutation(len(there))
            first, other = there[chosen[0]], there[chosen[-1]]
            if kind == "presence":
                known = there[chosen[0]] if rng.random() < 0.2 else OBJECTS[int(rng.integers(len(OBJECTS)))]
                yield kind, Visible((known,))
            elif first is not other:
                yield (
                    kind,
                    {
                        "contact": lambda a=first, b=other: Touches(a, (b,)),
                        "position": lambda a=first, b=other: Lies(a, "left of", b),
                        "size": lambda a=first, b=other: Larger(a, b),
                    }[kind](),
                )


def sampled(
    rng: np.random.Generator, world: World, said: NDArray[np.int64], by: str, labels: int
) -> dict[str, tuple[Interval, float]]:
    """The estimates of one draw: `by` is how items and labels are sampled."""
    from jurat.metrics import Interval, correct

    chosen, given, more = SAMPLING[by](rng, world, labels)
    answers = np.where(given, world.truth[chosen], np.nan)
    truth = float(world.truth.mean())
    found = correct(said[chosen], answers, strata=world.kind[chosen].tolist(), **more)
    rows = {"raw (for comparison)": (found.raw_interval, truth)}
    rows["headline"] = (Interval(np.nan, np.nan) if found.best is None else found.best.interval, truth)
    return rows | {name: (each.interval, truth) for name, each in found.estimates.items() if each.valid}


Sample = tuple["NDArray[np.intp]", "NDArray[np.bool_]", dict[str, Any]]
ITEMS = 1000


def at_random(rng: np.random.Generator, world: World, labels: int) -> Sample:
    chosen = rng.integers(len(world.truth), size=ITEMS)
    return chosen, rng.permutation(ITEMS) < labels, {"sampling": "random"}


def whole_scenes(rng: np.random.Generator, world: World, labels: int) -> Sample:
    """Whole scenes are sampled, and a fifth of them labelled: about 200 labels for 1,000 questions."""
    members = [np.flatnonzero(world.scene == each) for each in range(int(world.scene.max()) + 1)]
    drawn = rng.integers(len(members), size=5 * labels)
    chosen = np.concatenate([members[each] for each in drawn])
    clusters = np.repeat(np.arange(len(drawn)), [len(members[each]) for each in drawn])
    return chosen, clusters < labels, {"sampling": "random", "clusters": clusters.tolist()}


def by_kind(rng: np.random.Generator, world: World, labels: int) -> Sample:
    """As many labels of each kind, however frequent it is."""
    chosen = rng.integers(len(world.truth), size=ITEMS)
    given = np.zeros(ITEMS, bool)
    for kind in KINDS:
        given[rng.permutation(np.flatnonzero(world.kind[chosen] == kind))[: labels // len(KINDS)]] = True
    return chosen, given, {"sampling": "random within strata"}


def by_truth(rng: np.random.Generator, world: World, labels: int) -> Sample:
    """As many labels of each kind and truth: a set of examples that somebody chose."""
    chosen = rng.integers(len(world.truth), size=ITEMS)
    given = np.zeros(ITEMS, bool)
    for kind in KINDS:
        for truth in (0, 1):
            there = np.flatnonzero((world.kind[chosen] == kind) & (world.truth[chosen] == truth))
            given[rng.permutation(there)[: labels // len(KINDS) // 2]] = True
    return chosen, given, {"sampling": "chosen"}


SAMPLING: dict[str, Callable[[np.random.Generator, World, int], Sample]] = {
    "random items": at_random,
    "whole scenes": whole_scenes,
    "random within kinds": by_kind,
    "chosen by kind and truth": by_truth,
}
LABELS = (("random items", 50), ("random items", 200), ("whole scenes", 30), ("random within kinds", 120),
          ("chosen by kind and truth", 240))  # fmt: skip


def judges(
    world: World, draws: int, seed: int, labels: tuple[tuple[str, int], ...] = LABELS
) -> Iterator[Row]:
    """Rows of the second table."""
    for judge in JUDGES:
        said = world.judged(judge, np.random.default_rng([seed, 1]))
        truth = world.truth == 1
        facts = {
            "judge": judge,
            "truth": float(truth.mean()),
            "said": float(said.mean()),
            "sensitivity": float(said[truth].mean()),
            "specificity": float(1 - said[~truth].mean()),
        }
        for by, count in labels:
            draw = partial(sampled, world=world, said=said, by=by, labels=count)
            what = "scenes" if by == "whole scenes" else "labels"
            for row in measure(f"{by}, {count} {what}", draw, draws, seed):
                yield {**facts, **row}


def main(argv: list[str] | None = None) -> None:
    parser = files(argparse.ArgumentParser(description=__doc__))
    parser.add_argument("--draws", type=int, default=2000)
    parser.add_argument("--scenes", type=int, default=600, help="of the pictogram world")
    parser.add_argument("--seed", type=int, default=4)
    parser.add_argument("--only", metavar="TEXT", default="", help="schemes whose name has this text")
    args = parser.parse_args(argv)
    world = World.of(args.scenes, args.seed)
    origin = provenance(
        __file__, argv, seed=args.seed, draws=args.draws, scenes=args.scenes, questions=len(world.truth),
        questions_left_open=world.unsettled,
    )  # fmt: skip
    drawn = [row for name, draw in schemes().items() if args.only in name
             for row in measure(name, draw, args.draws, args.seed)]  # fmt: skip
    labels = tuple(each for each in LABELS if args.only in each[0])
    judged = list(judges(world, args.draws, args.seed, labels))
    shown = {
        "interval": "{interval}",
        "coverage": "{coverage:.1%}",
        "in 93 to 97%": "{met}",
        "mean width": "{width:.3f}",
        "no interval": "{none:,}",
    }
    rows = [row | {"met": "yes" if row["within"] else "NO"} for row in (*drawn, *judged)]
    first, second = rows[: len(drawn)], rows[len(drawn) :]
    headlines = [row for row in judged if row["interval"] == "headline"]
    held = sum(row["within"] for row in headlines)
    facts = {"judge": "{judge}", "truth": "{truth:.3f}", "it says": "{said:.3f}", "Se": "{sensitivity:.3f}",
             "Sp": "{specificity:.3f}"}  # fmt: skip
    report(args, origin, [*drawn, *judged], [
        "## Intervals by the scheme that draws the outcomes", table(first, {"scheme": "{scheme}", **shown}),
        "## Three judges of pictograms, corrected by labels",
        table(second, {**facts, "sampling and labels": "{scheme}", **shown}),
        f"Headline estimates in 93 to 97%: {held} of {len(headlines)}.",
    ])  # fmt: skip


if __name__ == "__main__":
    main()
