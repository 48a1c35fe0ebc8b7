"""What a judge says of strangers: `python perf/strangers.py [--n 50] [--scenes 400] [--json FILE]`.

Judges the kinds of pictures of tests/strangers, which share no code with training, under the six rules of
tests/strangers/rules.toml with the default preset. With `--json`, each kind is kept when it is done, and the
same command goes on with the others.

strangers   Hold something that the world of pictograms does not. Any `safe` is wrong. An `unsafe` is wrong
            unless an object of the world, drawn as the world draws it, is there that breaks a rule: crossed
            swords are no `weapon` that the model was taught, an axe beside them is.
scenes      Hold what the world does and nothing else, drawn in another way, half of them breaking a rule. A
            verdict is wrong if it contradicts what is drawn. Refused ones are lost, but not wrong. Item F1
            counts a violating scene as missed unless it is `unsafe`, and any other as an alarm only if it is.

`refused` are `unsure` for being out of domain, `unsure` are so for other reasons (errors are counted there).
Intervals are 95% Wilson intervals. Kinds of which something is not installed are listed as left out.
"""

from __future__ import annotations

import argparse
import json
import sys
import time
from collections import Counter
from collections.abc import Sequence
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Any

from measuring import Row, files, in_processes, keep, png_item, provenance, report, run_script, table

if TYPE_CHECKING:
    from jurat.judge import Judge

ROOT = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(ROOT))


@cache
def judge_of(model: str) -> Judge:
    import torch

    from jurat.judge import Judge
    from jurat.models import open_model
    from tests.strangers.rules import constitution

    torch.set_num_threads(1)
    return Judge(constitution("six"), open_model(model))


def measure(model: str, name: str, n: int, seed: int) -> Row:
    """Draws and judges a kind; in a process of its own."""
    from tests.strangers.kinds import SCENES, STRANGERS, pictures

    kind, judge = next(kind for kind in (*SCENES, *STRANGERS) if kind.name == name), judge_of(model)
    row: Row = {"of": kind.of, "kind": kind.name}
    if kind.needs:
        return row | {"n": 0, "left_out": f"needs {kind.needs}"}
    begun = time.perf_counter()
    drawn = list(pictures(kind, n, seed))
    counts: Counter[str] = Counter()
    verdicts = judge.stream(png_item(picture.image, picture.name) for picture in drawn)
    for picture, verdict in zip(drawn, verdicts, strict=True):
        said = "refused" if verdict.reason == "out_of_domain" else verdict.outcome
        counts[f"{said}, {'violating' if picture.broken else 'other'}"] += 1
    row |= {"n": n, "violating": sum(bool(picture.broken) for picture in drawn), "counts": dict(counts)}
    return row | {"seconds": round(time.perf_counter() - begun, 1)}


def cells(row: Row) -> Row:
    """Percentages, the wrong ones with their interval."""
    from jurat.metrics import wilson
    from training.mllm.strangers import outcomes

    if not row["n"]:
        return {"kind": row["kind"], "n": 0, "wrong": row["left_out"]}
    found = outcomes(row)
    shares = {name: f"{100 * found[name] / row['n']:.1f}" for name in ("safe", "unsafe", "refused", "unsure")}
    interval = wilson(found["wrong"], row["n"])
    wrong = f"{100 * found['wrong'] / row['n']:.1f} ({100 * interval.low:.1f}-{100 * interval.high:.1f})"
    return {"kind": row["kind"], "n": row["n"], **shares, "wrong": wrong, "f1": found["f1"]}


def tables(rows: Sequence[Row]) -> list[str]:
    columns = {
        "kind": "{kind}",
        "n": "{n}",
        "wrong, %": "{wrong}",
        "safe, %": "{safe}",
        "unsafe, %": "{unsafe}",
        "refused, %": "{refused}",
        "unsure, %": "{unsure}",
    }
    parts: list[str] = []
    for of, more in (("strangers", {}), ("scenes", {"item F1": "{f1:.3f}"})):
        some = [cells(row) for row in rows if row["of"] == of]
        parts += [f"## {of}", table(some, columns | more)] if some else []
    return parts


def _done(path: Path | None, settings: dict[str, Any]) -> list[Row]:
    """Rows of an earlier run of the same settings."""
    if path is None or not path.exists():
        return []
    document = json.loads(path.read_text(encoding="utf-8"))
    found = {name: document["provenance"].get(name) for name in settings}
    if found != settings:
        raise SystemExit(f"{path} was made with other settings: {found}, and not {settings}")
    return document["rows"]


def main(argv: list[str] | None = None) -> None:
    from tests.strangers.kinds import SCENES, STRANGERS
    from training.mllm.strangers import summary

    parser = files(argparse.ArgumentParser(description=__doc__))
    parser.add_argument("--n", type=int, default=50, help="pictures of each kind")
    parser.add_argument("--scenes", type=int, default=400, help="scenes as drawn")
    parser.add_argument("--seed", type=int, default=21_001)
    parser.add_argument("--model", default="bundled", help="as jurat judge takes it")
    parser.add_argument("--only", nargs="*", metavar="KIND", help="these kinds alone")
    parser.add_argument("--jobs", type=int, default=2, help="processes")
    args = parser.parse_args(argv)
    names = [kind.name for kind in (*SCENES, *STRANGERS)]
    if unknown := set(args.only or ()) - set(names):
        parser.error(f"there is no kind {sorted(unknown)[0]!r}; there are {', '.join(names)}")
    judge = judge_of(args.model)
    settings = {
        "model": args.model,
        "revision": judge.model.revision,
        "preset": judge.preset.digest,
        "constitution": judge.constitution.digest,
        "seed": args.seed,
        "each": args.n,
        "scenes": args.scenes,
    }
    rows = _done(args.json, settings)
    origin = provenance(__file__, argv, **settings)
    done = {row["kind"] for row in rows}
    wanted = [name for name in names if name not in done and (not args.only or name in args.only)]
    counts = [args.scenes if name == "as drawn" else args.n for name in wanted]
    tasks = [(args.model, name, count, args.seed) for name, count in zip(wanted, counts, strict=True)]
    for row in in_processes(measure, tasks, args.jobs):
        rows.append(row)
        keep(args, origin, rows)
    rows.sort(key=lambda row: names.index(row["kind"]))
    report(args, origin, rows, [*tables(rows), *summary(rows)])


if __name__ == "__main__":
    run_script(main)
