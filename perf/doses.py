"""What a method gains by how much of it training has shown.

    python perf/doses.py --models DIR [--json FILE] [--figure SVG]

Models that differ in one thing only, the share of whole-rule questions in training (0, 12 or 50%), without
the judge's own wording and with it in half of the questions (the stages `dose-...` of training/stages.toml:
one tower, one seed). Both shares are read from the lineage beside the weights. Each method judges the pairs
of scenes of one split of Pictogram Bench with each model.

Printed for each model and method: forced F1 of items and its paired difference from the first method, with
95% intervals over the rules and Holm's p over the whole table. `--figure` draws the differences by the
share.

DIR holds finished stages, as `python -m training stage NAME --out DIR` writes them below `finished`. Scenes
and predictions are kept in `--out`, and the same command goes on from there.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from measuring import Row, against_first, exported, files, gain, provenance, report, table

if TYPE_CHECKING:
    from jurat.bench.table import EvaluatedMethod

ROOT = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(ROOT))

METHODS = ("whole", "direct", "clause-product", "clue", "jurat")
METRIC = "forced_f1"


def doses(stage: Path) -> Row:
    """Shares of whole-rule questions and of the judge's own wording in the last stage of a lineage."""
    from training.lineage import read_lineage

    mix = read_lineage(stage)[-1]["mix"]
    return {
        "rules": mix["modes"].get("rule", 0.0),
        "own": mix["statements"].get("judge", {}).get("share", 0.0),
    }


def evaluated(args: argparse.Namespace, stages: Sequence[Path]) -> list[EvaluatedMethod]:
    """Every method with every model; what is there already is read."""
    from jurat.bench.bench_plan import BenchModel, BenchPlan
    from jurat.bench.bench_run import evaluate_all
    from jurat.bench.methods.registry import rows_for
    from training.mllm.export import export

    models = [BenchModel(stage.name, str(exported(stage, args.out / "models", export))) for stage in stages]
    plan = BenchPlan(
        args.out,
        rows_for(args.methods or METHODS, []),
        models,
        (args.split,),
        args.seed,
        args.per_rule,
        workers=args.workers,
    )
    return list(evaluate_all(plan, print).evaluated)


def rows_of(models: Sequence[Sequence[EvaluatedMethod]], shares: Sequence[Row]) -> Iterator[Row]:
    """A row for each model and method, with its difference from the first method."""
    from jurat.bench.table import row

    judged = against_first(models, [METRIC])
    for some, dose in zip(models, shares, strict=True):
        for each in some:
            values = row(each, "item")
            line: Row = {"model": each.model, **dose, "method": each.preset, "n": values["n"]}
            line[METRIC] = values[METRIC]
            if each is not some[0]:
                one = judged[each.model, each.preset, METRIC]
                line |= {"gain": gain(one), "p": one.comparison.p, "holm": one.adjusted}
            yield line


def draw(path: Path, rows: Sequence[Row], first: str) -> None:
    """The gain of each method by the share of whole-rule questions; a panel for each share of the wording."""
    from matplotlib.figure import Figure

    from jurat.bench.save_svg import save_svg

    shares = sorted({row["own"] for row in rows})
    figure = Figure(figsize=(4 * len(shares), 4), layout="constrained")
    panels = figure.subplots(1, len(shares), sharey=True, squeeze=False)[0]
    methods = list(dict.fromkeys(row["method"] for row in rows if "gain" in row))
    for axes, own in zip(panels, shares, strict=True):
        for number, method in enumerate(methods):
            some = sorted(
                (row for row in rows if row["own"] == own and row["method"] == method),
                key=lambda row: row["rules"],
            )
            at = [100 * row["rules"] + number - len(methods) / 2 for row in some]  # beside each other
            value, low, high = zip(*(row["gain"] for row in some), strict=True)
            axes.plot(at, value, "o-", markersize=3, label=method)
            axes.vlines(at, low, high, linewidth=0.8, color=axes.lines[-1].get_color())
        axes.axhline(0, color="grey", linewidth=0.6)
        axes.set_xlabel("whole-rule questions in training, percent")
        axes.set_title(f"the judge's wording: {own:.0%} of questions", fontsize=9)
    panels[0].set_ylabel(f"forced F1 more than `{first}`")
    panels[-1].legend(fontsize=7)
    save_svg(figure, path)


def main(argv: list[str] | None = None) -> None:
    parser = files(argparse.ArgumentParser(description=__doc__))
    parser.add_argument(
        "--models", type=Path, required=True, metavar="DIR", help="finished stages lie below it"
    )
    parser.add_argument("--out", type=Path, default=Path("out/doses"), help="where predictions are kept")
    parser.add_argument("--split", default="test")
    parser.add_argument("--per-rule", type=int, default=20, help="pairs of scenes for each rule")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--workers", type=int, default=1, help="models judged side by side")
    parser.add_argument(
        "--method", action="append", dest="methods", help="only these; the first is compared with"
    )
    parser.add_argument("--figure", type=Path, metavar="SVG", help="draw the gains")
    args = parser.parse_args(argv)
    stages = sorted(args.models.glob("**/dose-*/lineage.json"))
    if not stages:
        parser.error(f"no finished stage dose-... lies below {args.models}")
    origin = provenance(__file__, argv, seed=args.seed, split=args.split)
    found = evaluated(args, [stage.parent for stage in stages])
    homes = [stage.parent for stage in stages]
    models = [[each for each in found if each.model == home.name] for home in homes]
    rows = list(rows_of(models, list(map(doses, homes))))
    first = rows[0]["method"]
    if args.figure:
        draw(args.figure, rows, first)
    columns: dict[str, Any] = {
        "model": "{model}",
        "whole rules": "{rules:.0%}",
        "own wording": "{own:.0%}",
        "method": "{method}",
        "n": "{n:,}",
        "forced F1": f"{{{METRIC}:.3f}}",
        f"more than {first}": "{gain[0]:+.3f} ({gain[1]:+.3f} to {gain[2]:+.3f})",
        "p (Holm)": "{holm:.3f}",
    }
    report(args, origin, rows, [table(rows, columns)])


if __name__ == "__main__":
    main()
