"""Candidates for the preset `jurat`, on dev only: `python perf/judge_candidates.py [--json FILE]`.

Every configuration of `jurat.bench.methods.candidates.CANDIDATES`, with `clause-product`, `jurat` and `clue`
beside it, on the dev split of Pictogram Bench; what is fitted is fitted on dev scenes of another seed.
Printed for each: forced F1, AURC and coverage, the paired differences of forced F1 and of AURC from
`clause-product` with 95% intervals over the rules and Holm's p over all candidates and models, and FLOPs as a
multiple of those of `clause-product`; then which candidates are ahead in both with every model, so corrected.
Nothing is chosen here: what wins in AURC and in forced F1 over three lineages is kept.
"""

from __future__ import annotations

import argparse
import math
from collections.abc import Iterator, Sequence
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

from measuring import Row, against_first, files, gain, keep, provenance, report, run_script, table

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


def rows_of(models: Sequence[Sequence[EvaluatedMethod]]) -> Iterator[Row]:
    """A row for each model and method, with its differences from the first method."""
    from jurat.bench.table import row

    judged = against_first(models, METRICS, BESIDE)
    for some in models:
        least = row(some[0], "item")["flops"]
        for each in some:
            values = row(each, "item")
            line: Row = {"model": each.model, "method": each.preset, "coverage": 1 - values["unsure"]}
            line |= {name: values[name] for name in ("n", "forced_f1", "aurc", "flops", "images")}
            line |= {"question_tokens": values["question_tokens"], "errors": values["risk_at"]["1.0"]}
            line["times"] = values["flops"] / least
            for metric in METRICS if each is not some[0] else ():
                one = judged[each.model, each.preset, metric]
                more = gain(one)
                line[f"{metric} more"] = None if any(end != end for end in more) else more
                line |= {f"{metric} p": one.comparison.p, f"{metric} ahead": one.holds_adjusted}
                line[f"{metric} holm"] = math.nan if each.preset in BESIDE else one.adjusted
            yield line


def winners(rows: Sequence[Row]) -> str:
    """Which configurations are ahead in every metric with every model, Holm's correction included."""
    ahead: dict[str, bool] = {}
    for row in rows:
        if row["method"] not in BESIDE:
            won = all(row.get(f"{metric} ahead", False) for metric in METRICS)
            ahead[row["method"]] = ahead.get(row["method"], True) and won
    models = len({row["model"] for row in rows})
    named = ", ".join(name for name, won in ahead.items() if won) or "none"
    return f"Ahead of {rows[0]['method']} in AURC and in forced F1 with each of {models} models: {named}."


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
    found: list[list[EvaluatedMethod]] = []
    rows: list[Row] = []
    for name in args.model or ("bundled", "naive"):
        found.append(list(evaluated(name, args, origin["models"])))
        rows = list(rows_of(found))
        keep(args, origin, rows)
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
    report(args, origin, rows, [table(rows, columns), said, winners(rows)])


if __name__ == "__main__":
    run_script(main)
