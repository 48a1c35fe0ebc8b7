"""What a calibration gains with 0, 50 and 200 labels: `python perf/calibrating_labels.py [--json FILE]`.

For a model that says No too readily (`naive` until there are further lineages). The first rules of
`shelf:nursery` on fresh scenes: violations, near misses and random scenes in equal parts. The model is
calibrated on 200 of them, of which so many, drawn at random, have labels, and judges others with and without
the calibration. Printed over items: recall, strict F1, forced F1 and AURC, what is decided, and the
paired differences from judging without a calibration with 95% intervals by item; means over several draws of
the labels, each interval that of the draw whose difference is the middle one. Then what these draws say about
`CLAIMS`, each a family of all numbers of labels for Holm's correction.
"""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
from measuring import OUTCOMES, Row, files, numbers, outcomes, provenance, report, run_script, table
from portable_thresholds import Scenes, scenes

if TYPE_CHECKING:
    from jurat.metrics import Comparison

METRICS = ("recall", "f1", "forced_f1", "aurc")
WITHOUT = "none"
CLAIMS: dict[str, str] = {
    "recall": "a calibration finds more violations",
    "f1": "a calibration is ahead in strict F1",
    "forced_f1": "a calibration is ahead in forced F1",
    "aurc": "a calibration is ahead in AURC",
}
"""Metric -> what is claimed of each number of labels, against judging without a calibration."""


def estimates(law: Any, model: Any, preset: str, calibration: Any, some: Scenes) -> Any:
    """The metrics of items that are judged with a calibration, or without."""
    from jurat.judge import Judge
    from jurat.metrics import UNSURE, Estimates, Table
    from jurat.report.verdicts.columns import verdict_score

    said = {"unsafe": 1, "safe": 0}
    verdicts = list(Judge(law, model, preset, calibration=calibration).stream(some.items))
    scores = [verdict_score(verdict) for verdict in verdicts]
    names = np.array([verdict.id for verdict in verdicts], np.str_)
    return Estimates(
        Table(
            names,
            (names,),
            np.array([float(any(truth.values())) for truth in some.truths]),
            np.array([said.get(verdict.outcome, UNSURE) for verdict in verdicts]),
            np.array([np.nan if score is None else score for score in scores], float),
        )
    )


def name_of(labels: int | None) -> str:
    """How a number of labels is printed; None is no calibration."""
    return WITHOUT if labels is None else f"{labels} labels"


def row_of(labels: int | None, found: Sequence[Any], without: Any) -> Row:
    """Means over the draws, without differences."""
    from jurat.metrics import UNSURE

    row: Row = {"calibration": name_of(labels), "draws": len(found), "items": len(without.table)}
    row["decided"] = float(np.mean([(one.table.said != UNSURE).mean() for one in found]))
    return row | {metric: float(np.mean([one.value(metric) for one in found])) for metric in METRICS}


def compared(labels: int, found: Sequence[Any], without: Any) -> tuple[Row, list[Comparison]]:
    """The differences from judging without a calibration, by metric: of the middle draw with the ends of its
    interval, and of the least and the greatest; and the comparisons of the middle draws."""
    from jurat.metrics import Comparison
    from jurat.metrics.estimates import LESS
    from jurat.metrics.paired import difference

    row: Row = {}
    comparisons: list[Comparison] = []
    for metric in METRICS:
        gains = [(difference(one, without, metric), one.value(metric)) for one in found]
        gains.sort(key=lambda each: each[0].value)
        middle, value = gains[len(gains) // 2]
        row[f"{metric} more"] = [middle.value, middle.interval.low, middle.interval.high]
        row[f"{metric} range"] = [gains[0][0].value, gains[-1][0].value]
        values, less = (value, without.value(metric)), metric in LESS
        comparisons.append(
            Comparison(name_of(labels), WITHOUT, metric, {"metric": metric}, values, middle.interval,
                       p=middle.p, less=less)
        )  # fmt: skip
    return row, comparisons


def judged_claims(comparisons: Sequence[Comparison]) -> list[Row]:
    """What the comparisons say about `CLAIMS`."""
    from jurat.metrics import Claim

    names = dict.fromkeys(each.a for each in comparisons)
    claims = [
        Claim(id=text, a=name, others=(WITHOUT,), metric=metric)
        for metric, text in CLAIMS.items()
        for name in names
    ]
    return outcomes(claims, comparisons)


def main(argv: list[str] | None = None) -> None:
    from jurat.bench.answer_cache import CachingModel, Clock
    from jurat.bench.bench_plan import BenchModel
    from jurat.constitution import load_constitution
    from jurat.judge import Judge
    from jurat.judge.calibrate.fit import fit
    from jurat.models import full_name

    parser = files(argparse.ArgumentParser(description=__doc__))
    parser.add_argument("--model", default="naive", help="NAME or LABEL=FOLDER")
    parser.add_argument("--rules", type=int, default=6, help="the first so many of the constitution")
    parser.add_argument("--preset", default="quick")
    parser.add_argument("--labels", type=numbers, default=[0, 50, 200])
    parser.add_argument("--images", type=int, default=200, help="to calibrate on, with and without labels")
    parser.add_argument("--judged", type=int, default=400)
    parser.add_argument("--draws", type=int, default=3)
    parser.add_argument("--seed", type=int, default=21_500)
    args = parser.parse_args(argv)
    whole = load_constitution("shelf:nursery")
    law = whole.model_copy(update={"rules": whole.rules[: args.rules]})
    model = CachingModel(BenchModel.parse(args.model).open(), Clock())
    origin = provenance(__file__, argv, seed=args.seed, model=full_name(model))
    pairs = -(-max(args.images, args.judged) // (4 * args.rules))
    pool, judged = (scenes(law, name, pairs, args.seed + i) for i, name in enumerate(("pool", "judged")))
    pool = Scenes(pool.items[: args.images], pool.truths[: args.images])
    judged = Scenes(judged.items[: args.judged], judged.truths[: args.judged])
    plain = Judge(law, model, args.preset)
    without = estimates(law, model, args.preset, None, judged)
    rows, comparisons = [row_of(None, [without], without)], list[Any]()
    for count in args.labels:
        found: list[Any] = []
        for draw in range(args.draws if count else 1):
            rng = np.random.default_rng([args.seed, count, draw])
            chosen = {pool.items[i].id for i in rng.permutation(len(pool.items))[:count]}
            labels = {id: broken for id, broken in pool.labels.items() if id in chosen}
            calibration = fit(plain, pool.items, labels or None).calibration
            found.append(estimates(law, model, args.preset, calibration, judged))
        more, some = compared(count, found, without)
        rows.append(row_of(count, found, without) | more)
        comparisons += some
    columns = {"calibration": "{calibration}", "decided": "{decided:.1%}"}
    for metric in METRICS:
        columns[metric] = f"{{{metric}:.3f}}"
        columns[f"{metric}, more"] = (
            f"{{{metric} more[0]:+.3f}} ({{{metric} more[1]:+.3f}} to {{{metric} more[2]:+.3f}})"
        )
    violating = int(without.table.truth.sum())
    said = f"{len(judged.items):,} images are judged, of which {violating:,} break a rule."
    told = judged_claims(comparisons)
    parts = [table(rows, columns), said, table(told, {"claim": "{claim}", **OUTCOMES})]
    report(args, origin, [*rows, *told], parts)


if __name__ == "__main__":
    run_script(main)
