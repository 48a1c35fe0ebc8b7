"""Candidates for the preset `jurat`, on dev only: `python perf/judge_candidates.py [--json FILE]`.

Every configuration of `jurat.bench.methods.candidates.CANDIDATES`, with `clause-product`, `jurat` and `clue`
beside it, on the dev split of Pictogram Bench; what is fitted is fitted on dev scenes of another seed.
Printed for each: forced F1, AURC and coverage, the paired differences of forced F1 and of AURC from
`clause-product` with 95% intervals over the rules and Holm's p over all candidates and models, and FLOPs as a
multiple of those of `clause-product`. Nothing is chosen here: what wins in AURC and in forced F1 over three
lineages is kept.
"""

from __future__ import annotations

import argparse
from collections.abc import Iterator, Sequence
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

from measuring import Row, files, keep, provenance, report, table

if TYPE_CHECKING:
    from jurat.bench.table import EvaluatedMethod

BESIDE = ("clause-product", "jurat", "clue")
METRICS = ("forced_f1", "aurc")


def evaluated(name: str, args: argparse.Namespace, models: dict[str, str]) -> Iterator[EvaluatedMethod]:
    """Each method on dev with one model."""
    from jurat.bench.answer_cache import CachingDetector, CachingMatcher, CachingModel, Clock
    from jurat.bench.bench_plan import BenchModel
    from jurat.bench.cost import flops, sizes_of
    from jurat.bench.methods.candidates import CANDIDATES
    from jurat.bench.methods.interface import Setup, Tuning
    from jurat.bench.methods.registry import find_method
    from jurat.bench.pictogram.definition import constitution_of
    from jurat.bench.pictogram.splits import keep_split
    from jurat.bench.table import EvaluatedMethod
    from jurat.models import full_name
    from jurat.models.vision import open_detector, open_matcher

    subject = BenchModel.parse(name)
    opened, detector, matcher, clock = (
        subject.open(),
        open_detector("bundled"),
        open_matcher("bundled"),
        Clock(),
    )
    models[subject.label] = full_name(opened)
    sizes = sizes_of(opened), sizes_of(detector), sizes_of(matcher)
    law, scenes = constitution_of("dev"), args.scenes
    items = keep_split(scenes, "dev", args.seed, args.per_rule)
    others = partial(keep_split, scenes, "dev", args.seed + 1, args.fit_on)
    setup = Setup(
        law,
        CachingModel(opened, clock),
        subject.label,
        CachingDetector(detector, clock),
        CachingMatcher(matcher, clock),
        tuning=lambda: Tuning(law, others()),
        backgrounds=others,
        clock=clock,
    )
    known = {each.name: each for each in CANDIDATES}
    for method in args.methods or (*BESIDE, *known):
        found = (known.get(method) or find_method(method))(setup, items)
        spent = [each.spending for each in found]
        spent = [replace(each, flops=flops(each, *sizes)) for each in spent]
        found = [replace(each, spending=s) for each, s in zip(found, spent, strict=True)]
        yield EvaluatedMethod(method, (), subject.label, "dev", tuple(items), tuple(found))
    if setup.fitted:
        models[subject.label] += f"; fitted: {setup.fitted}"


def rows_of(some: Sequence[EvaluatedMethod]) -> Iterator[Row]:
    """A row a method, with its differences from the first."""
    from jurat.bench.table import row
    from jurat.metrics.paired import difference

    first = some[0]
    for each in some:
        values = row(each, "item")
        line: Row = {
            "model": each.model,
            "method": each.preset,
            "n": values["n"],
            "coverage": 1 - values["unsure"],
        }
        line |= {name: values[name] for name in ("forced_f1", "aurc", "flops", "images", "question_tokens")}
        line["errors"] = values["risk_at"]["1.0"]
        line["times"] = values["flops"] / row(first, "item")["flops"]
        for metric in METRICS if each is not first else ():
            found = difference(each.estimates("item"), first.estimates("item"), metric)
            ends = (found.value, found.interval.low, found.interval.high)
            line[f"{metric} more"] = None if any(end != end for end in ends) else list(ends)
            line[f"{metric} p"] = None if found.p != found.p else found.p
        yield line


def corrected(rows: Sequence[Row]) -> None:
    """Adds Holm's p over all candidates and models, for each metric."""
    from jurat.metrics.paired import holm

    for metric in METRICS:
        family = [row for row in rows if row["method"] not in BESIDE and row.get(f"{metric} p") is not None]
        for row, p in zip(family, holm([row[f"{metric} p"] for row in family]), strict=True):
            row[f"{metric} holm"] = p


def _with_ends(metric: str, digits: str) -> str:
    """How a difference is written, with the ends of its interval."""
    value, low, high = (f"{{{metric} more[{at}]:+{digits}}}" for at in range(3))
    return f"{value} ({low} to {high})"


def main(argv: list[str] | None = None) -> None:
    parser = files(argparse.ArgumentParser(description=__doc__))
    parser.add_argument("--model", action="append", help="NAME or LABEL=FOLDER; default: bundled and naive")
    parser.add_argument("--per-rule", type=int, default=20, help="pairs of scenes for each rule")
    parser.add_argument("--fit-on", type=int, default=10, help="pairs for each rule to fit on")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--scenes", type=Path, default=Path("bench/scenes"), help="where scenes are kept")
    parser.add_argument(
        "--method", action="append", dest="methods", help="only these; the first is compared with"
    )
    args = parser.parse_args(argv)
    origin = provenance(__file__, argv, seed=args.seed, split="dev", models={})
    rows: list[Row] = []
    for name in args.model or ("bundled", "naive"):
        rows += rows_of(list(evaluated(name, args, origin["models"])))
        keep(args, origin, rows)
    corrected(rows)
    columns: dict[str, Any] = {
        "model": "{model}",
        "method": "{method}",
        "forced errors": "{errors:.3f}",
        "forced F1": "{forced_f1:.3f}",
        "more than clause-product": _with_ends("forced_f1", ".3f"),
        "p (Holm)": "{forced_f1 holm:.3f}",
        "AURC": "{aurc:.4f}",
        "more": _with_ends("aurc", ".4f"),
        "p (Holm) ": "{aurc holm:.3f}",
        "decided": "{coverage:.3f}",
        "images": "{images:.2f}",
        "tokens read": "{question_tokens:.0f}",
        "FLOPs of clause-product": "{times:.2f}",
    }
    tried = sum(row["method"] not in BESIDE for row in rows)
    said = f"{rows[0]['n']:,} scenes of dev a model; {tried} configurations tried, models counted."
    report(args, origin, rows, [table(rows, columns), said])


if __name__ == "__main__":
    main()
