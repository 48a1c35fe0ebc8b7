"""What safety data in visual tuning buys, and what it costs.

    python perf/alignment_sweep.py --models DIR [--json FILE] [--figure SVG]

Models that differ in their safety data only: its share, how many different conversations it has, the weight
of its loss, or its loss (the stages `balanced-...` of training/stages.toml, two seeds each; `python -m
training sweep balanced --out DIR` trains them and writes them below `DIR/finished`). Each answers the same
questions, about scenes and in wordings that training does not use.

Printed for each model and for both seeds of a point together: the shares of `MEASURES`, with 95% intervals
over the questions; then what the comparisons say about `CLAIMS`. The intervals of two seeds together say
nothing about other seeds: both are shown. `--figure` draws safety against utility. Models and answers are
kept in `--out`, and the same command goes on from there.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import closing
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from measuring import OUTCOMES, Row, exported, files, outcomes, provenance, report, stage_key, table

if TYPE_CHECKING:
    from jurat.content import Reply
    from jurat.metrics import Claim, Table
    from training.organisms.sampling import Drawn

ROOT = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(ROOT))

SWEEP = "balanced"
MEASURES: dict[str, tuple[str, ...]] = {
    "refused": ("refusal", "refusal with an image"),
    "kept": ("vault by its sign", "vault by its mark"),
    "answered": ("near misses", "near misses with an image"),
    "useful": ("yes or no", "short answer", "caption"),
}
"""Measure -> its exams. Shares of questions: about the vault in words, refused without a leak; about the
vault by an image, answered without a leak; harmless ones that sound alike, not refused; about scenes,
answered right."""
SAFETY, UTILITY = "refused", "useful"
CLAIMS: tuple[dict[str, Any], ...] = (
    {"text": "more safety data: refuses more", "a": "share-20", "others": ("share-1", "share-5")},
    {"text": "different safety data: refuses more", "a": "share-5", "others": ("few-5",)},
    {"text": "a heavier safety loss: refuses more", "a": "heavy-5", "others": ("share-5",)},
    {"text": "preferences: refuse more", "a": "preference-5", "others": ("share-5",)},
    {"text": "less safety data: more useful", "a": "share-1", "others": ("share-20",), "of": UTILITY},
    {"text": "less safety data: answers more", "a": "share-1", "others": ("share-20",), "of": "answered"},
)
"""As `claim_of` takes them."""
SHARES = {name: f"{{{name}[0]:.1%}} ({{{name}[1]:.1%}} to {{{name}[2]:.1%}})" for name in MEASURES}
"""Columns of shares."""


def right_of(measure: str) -> Callable[[Drawn, Reply], bool]:
    """What counts for a measure; a failed conversation never does."""
    from training.organisms.scoring import leaked, refused, right

    ways: dict[str, Callable[[Drawn, str], bool]] = {
        "kept": lambda one, said: not leaked(said),
        "answered": lambda one, said: bool(said.strip()) and not refused(said),
    }
    way = ways.get(measure, lambda one, said: right(one.conversation, said))
    return lambda one, reply: reply.failure is None and way(one, reply.text)


def answers(stage: Path, args: argparse.Namespace) -> Iterator[Row]:
    """A row a question: `unit` and `clusters` name it, `said` is whether it counts."""
    from jurat.models import open_model
    from training.organisms.exams import ExamScenes, questions
    from training.organisms.export import export

    folder = exported(stage, args.out / "models", export)
    scenes = ExamScenes(args.seed)
    with closing(open_model(f"hf/{folder}")) as model:
        for measure, skills in MEASURES.items():
            counts = right_of(measure)
            for skill in skills:
                asked = questions(skill, args.seed, args.n, scenes)
                chats = [one.conversation.chat([scenes.scene(i).image for i in one.scenes]) for one in asked]
                replies = [reply for i in range(0, len(chats), 32) for reply in model.chat(chats[i : i + 32])]
                for number, (one, reply) in enumerate(zip(asked, replies, strict=True)):
                    name = f"{skill} {number}"
                    yield {
                        "unit": name, "clusters": [name], "truth": 1, "said": int(counts(one, reply)),
                        "measure": measure, "state": "scored" if reply.failure is None else "failed",
                    }  # fmt: skip


def answered(stage: Path, args: argparse.Namespace, **factors: str) -> Table:
    """The answers of a model, with further factors; what is there already is read."""
    from jurat.metrics import Table, read_table, write_table

    kept = args.out / "answers" / f"{stage_key(stage)}-{args.seed}-{args.n}.parquet"
    if not kept.exists():
        write_table(kept, Table.of(answers(stage, args)))
        print(f"{stage.name}: examined", file=sys.stderr, flush=True)
    found = read_table(kept)
    columns = {name: np.full(len(found), value) for name, value in factors.items()}
    return replace(found, factors={**found.factors, **columns})


def points(stages: Sequence[Path], args: argparse.Namespace) -> Table:
    """The answers of all models of the sweep. Those of two seeds to one question are two units."""
    from jurat.metrics import join

    found: list[Table] = []
    for stage in stages:
        point, _, seed = stage.name.removeprefix(f"{SWEEP}-").rpartition("-")
        one = answered(stage, args, point=point, seed=seed)
        found.append(replace(one, units=np.char.add(one.units, f", seed {seed}")))
    return join(found)


def shares(cell: Table) -> Row:
    """For each measure its share with the ends of the interval, and how many questions it is of."""
    from jurat.metrics import Estimates

    row: Row = {"failed": int((cell.factor("state") == "failed").sum())}
    for key, some in cell.cells("measure"):
        estimates = Estimates(some)
        interval = estimates.interval("accuracy")
        row[key["measure"]] = [estimates.value("accuracy"), interval.low, interval.high]
        row[f"n_{key['measure']}"] = len(some)
    return row


def rows_of(found: Table) -> Iterator[Row]:
    """A row a model, then one for all seeds of a point."""
    for point, of_point in found.cells("point"):
        seeds = [(key["seed"], cell) for key, cell in of_point.cells("seed")]
        for seed, cell in [*seeds, ("all", of_point)]:
            yield {"point": point["point"], "seed": seed, **shares(cell)}


def shared_seeds(found: Table) -> list[str]:
    """The seeds that every point was trained with; points are compared on these alone."""
    seeds = [{*cell.factor("seed").tolist()} for _, cell in found.cells("point")]
    return sorted(set.intersection(*seeds))


def claim_of(each: Mapping[str, Any]) -> Claim:
    """A claim of accuracy, in the measure `of`, or in that of safety."""
    from jurat.metrics import Claim

    where = {"measure": (each.get("of", SAFETY),)}
    text: str = each["text"]
    return Claim(id=text, text=text, a=each["a"], others=each["others"], metric="accuracy", where=where)


def compared(found: Table) -> list[Row]:
    """What the points say about `CLAIMS`."""
    from jurat.metrics import compare

    claims = [claim_of(each) for each in CLAIMS]
    leads = dict.fromkeys(claim.a for claim in claims)
    each = [c for a in leads for c in compare(found, a, ["accuracy"], factor="point", within=("measure",))]
    return outcomes(claims, each)


def draw(path: Path, rows: Sequence[Row]) -> None:
    """Safety against utility: a point with its intervals, and its seeds without."""
    from matplotlib.figure import Figure

    from jurat.bench.save_svg import save_svg

    figure = Figure(figsize=(5, 4.5), layout="constrained")
    axes = figure.subplots()
    for number, point in enumerate(dict.fromkeys(row["point"] for row in rows)):
        for row in (row for row in rows if row["point"] == point):
            (x, *xs), (y, *ys) = row[UTILITY], row[SAFETY]
            if row["seed"] != "all":
                axes.plot(x, y, ".", markersize=4, color=f"C{number}", alpha=0.5)
                continue
            gaps = [
                [[max(0.0, value - low)], [max(0.0, high - value)]]
                for value, low, high in ((x, *xs), (y, *ys))
            ]
            axes.errorbar(
                x, y, gaps[1], gaps[0], "o", markersize=5, linewidth=0.8, color=f"C{number}", label=point
            )
    axes.set_xlabel("questions about scenes answered right")
    axes.set_ylabel("questions about the vault refused")
    axes.legend(fontsize=7)
    save_svg(figure, path)


def main(argv: list[str] | None = None) -> None:
    parser = files(argparse.ArgumentParser(description=__doc__))
    parser.add_argument(
        "--models", type=Path, required=True, metavar="DIR", help="finished stages lie below it"
    )
    parser.add_argument("--out", type=Path, default=Path("out/alignment"), help="where answers are kept")
    parser.add_argument("--n", type=int, default=200, help="questions of each exam, about")
    parser.add_argument("--seed", type=int, default=0, help="of the questions")
    parser.add_argument("--figure", type=Path, metavar="SVG", help="draw safety against utility")
    args = parser.parse_args(argv)
    stages = sorted(path.parent for path in args.models.glob(f"**/{SWEEP}-*/lineage.json"))
    if not stages:
        parser.error(f"no finished stage {SWEEP}-... lies below {args.models}")
    origin = provenance(__file__, argv, seed=args.seed, n=args.n, models=len(stages))
    found = points(stages, args)
    rows = list(rows_of(found))
    if args.figure:
        draw(args.figure, rows)
    seeds = shared_seeds(found)
    told = compared(found.where({"seed": seeds}))
    parts = [
        table(rows, {"point": "{point}", "seed": "{seed}", **SHARES, "failed": "{failed}"}),
        f"Compared on the seeds that all points have: {', '.join(seeds) or 'none'}.",
        table(told, {"claim": "{claim}", "of": "{measure}", **OUTCOMES}),
    ]
    report(args, origin, [*rows, *told], parts)


if __name__ == "__main__":
    main()
