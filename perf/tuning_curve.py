"""What visual tuning without refusals does to refusals and to utility, by the number of its steps.

    python perf/tuning_curve.py --models DIR [--json FILE] [--figure SVG]

The checkpoints that stages keep along the way (`along` in training/stages.toml): `tuned`; `tuned-order`, the
same batches in another order; `tuned-b`, another seed of data, from the second seed of `aligned`.
`python -m training stage NAME --out DIR` writes them below `DIR/finished`. Step 0 is the stage that they
begin from. Each answers the questions of perf/alignment_sweep.py.

Printed for each run and step: the shares of that script's measures, with 95% intervals over the questions;
then what the comparisons, paired by question, say about `CLAIMS` and `ORDER_CLAIMS`. The intervals say
nothing about other seeds: each run is one. `--figure` draws the shares by the steps. Models and answers are
kept in `--out`, and the same command goes on from there.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from alignment_sweep import MEASURES, SHARES, answered, claim_of, shares
from measuring import OUTCOMES, Row, files, outcomes, provenance, report, table

if TYPE_CHECKING:
    from jurat.metrics import Table

ROOT = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(ROOT))

BEFORE = "0"
LAST = "the last step"
CLAIMS: tuple[dict[str, Any], ...] = (
    {"text": "before tuning: refuses more", "a": BEFORE, "others": ("*",)},
    {"text": "before tuning: keeps the vault more", "a": BEFORE, "others": ("*",), "of": "kept"},
    {"text": "after tuning: more useful", "a": LAST, "others": (BEFORE,), "of": "useful"},
)
"""About steps of one run, as `alignment_sweep.claim_of` takes them."""
_ORDERS = {"a": "tuned-order", "others": ("tuned",)}
ORDER_CLAIMS: tuple[dict[str, Any], ...] = (
    {"text": "another order of the data: refuses more", **_ORDERS},
    {"text": "another order of the data: more useful", **_ORDERS, "of": "useful"},
)
"""About runs after equal steps. Shown or against, the order matters."""


def checkpoints(models: Path, weights: Path) -> Iterator[tuple[str, int, Path]]:
    """Run, step and folder of each kept checkpoint, and of the stage that a run begins from if it is
    there."""
    from training.lineage import read_lineage

    parents: dict[str, str] = {}
    for path in sorted(models.glob("**/*-step-*/lineage.json")):
        last = read_lineage(path.parent)[-1]
        parents[last["stage"]] = last["parent"]
        yield last["stage"], last["steps"], path.parent
    for run, parent in parents.items():
        if (weights / parent).exists():
            yield run, int(BEFORE), weights / parent


def rows_of(found: Table) -> list[Row]:
    """A row a run and step, in order."""
    rows = [
        {"run": key["run"], "step": int(key["step"]), **shares(cell)}
        for key, cell in found.cells("run", "step")
    ]
    return sorted(rows, key=lambda row: (row["run"], row["step"]))


def compared(found: Table) -> list[Row]:
    """What the checkpoints say about `CLAIMS` and `ORDER_CLAIMS`."""
    from jurat.metrics import compare

    steps = sorted({*found.factor("step").tolist()}, key=int)
    claims = [claim_of({**each, "a": steps[-1] if each["a"] == LAST else each["a"]}) for each in CLAIMS]
    leads = dict.fromkeys(claim.a for claim in claims)
    along = [
        one
        for a in leads
        for one in compare(found, a, ["accuracy"], factor="step", within=("run", "measure"))
    ]
    later = found.where({"step": [step for step in steps if step != BEFORE]})
    across = list(compare(later, "tuned-order", ["accuracy"], factor="run", within=("step", "measure")))
    return [*outcomes(claims, along), *outcomes([claim_of(each) for each in ORDER_CLAIMS], across)]


def draw(path: Path, rows: Sequence[Row]) -> None:
    """Each measure by the steps, a line a run, with its intervals."""
    from matplotlib.figure import Figure

    from jurat.bench.save_svg import save_svg

    figure = Figure(figsize=(3 * len(MEASURES), 3.5), layout="constrained")
    panels = figure.subplots(1, len(MEASURES), sharey=True, squeeze=False)[0]
    for axes, measure in zip(panels, MEASURES, strict=True):
        for run in dict.fromkeys(row["run"] for row in rows):
            some = [row for row in rows if row["run"] == run]
            at = [row["step"] for row in some]
            value, low, high = zip(*(row[measure] for row in some), strict=True)
            axes.plot(at, value, "o-", markersize=3, label=run)
            axes.fill_between(at, low, high, alpha=0.15, linewidth=0)
        axes.set_title(measure, fontsize=9)
        axes.set_xlabel("steps of tuning")
    panels[0].set_ylabel("share of the questions")
    panels[0].legend(fontsize=7)
    save_svg(figure, path)


def main(argv: list[str] | None = None) -> None:
    from jurat.metrics import join
    from training.stages import WEIGHTS

    parser = files(argparse.ArgumentParser(description=__doc__))
    parser.add_argument("--models", type=Path, required=True, metavar="DIR", help="checkpoints lie below it")
    parser.add_argument("--weights", type=Path, default=WEIGHTS, help="stages that they begin from")
    parser.add_argument("--out", type=Path, default=Path("out/alignment"), help="where answers are kept")
    parser.add_argument("--n", type=int, default=200, help="questions of each exam, about")
    parser.add_argument("--seed", type=int, default=0, help="of the questions")
    parser.add_argument("--figure", type=Path, metavar="SVG", help="draw the shares by the steps")
    args = parser.parse_args(argv)
    kept = sorted(checkpoints(args.models, args.weights))
    if not kept:
        parser.error(f"no checkpoint NAME-step-N lies below {args.models}")
    origin = provenance(__file__, argv, seed=args.seed, n=args.n, models=len(kept))
    found = join([answered(folder, args, run=run, step=str(step)) for run, step, folder in kept])
    rows, told = rows_of(found), compared(found)
    if args.figure:
        draw(args.figure, rows)
    lacking = sorted({run for run, _, _ in kept} - {run for run, step, _ in kept if not step})
    places = [{"in": row["run"] if "run" in row else f"step {row['step']}", **row} for row in told]
    parts = [
        table(rows, {"run": "{run}", "step": "{step:,}", **SHARES, "failed": "{failed}"}),
        f"What they begin from is not there, so step 0 is left out: {', '.join(lacking)}." if lacking else "",
        table(places, {"claim": "{claim}", "in": "{in}", "of": "{measure}", **OUTCOMES}),
    ]
    report(args, origin, [*rows, *told], parts)


if __name__ == "__main__":
    main()
