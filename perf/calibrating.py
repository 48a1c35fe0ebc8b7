"""What a calibration does to the bundled judge: `python perf/calibrating.py [--n 150] [--json FILE]`.

Three kinds of fresh pictures under `shelf:nursery`, each with a half to fit on and a half to judge:

ordinary     random scenes, of which few break a rule
hard         scenes drawn to break a rule or to keep it by a hair, half and half
other style  scenes of the renderer in tests/strangers/scenes.py

Fitted without labels on each kind, and with labels on ordinary and hard scenes together. For each kind
judged: item F1 with `unsure` as an error, the expected calibration error over all rules' scores, and whether
the fit warned. The preset is `quick`, which asks about each picture once.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Iterator, Sequence
from itertools import islice
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from measuring import Row, files, png_item, provenance, report, run_script, table

if TYPE_CHECKING:
    from PIL import Image

    from jurat.content import Item
    from jurat.judge import Judge
    from jurat.judge.calibrate.calibration import Calibration
    from jurat.pictograms import Facts

ROOT = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(ROOT))

KINDS = ("ordinary", "hard", "other style")
Picture = tuple["Image.Image", "Facts"]


def pictures(kind: str, seed: int) -> Iterator[Picture]:
    from statement_forms import independent, own

    from jurat.constitution import load_constitution
    from jurat.pictograms import Facts
    from jurat.pictograms.cases import draw_cases

    if kind == "hard":
        law = load_constitution("shelf:nursery")
        for case in draw_cases(law, 1_000_000, seed, size=256):
            yield case.scene.image, Facts.of(case.scene)
    yield from (own if kind == "ordinary" else independent)(seed)


def known(law: Any, some: Sequence[Picture]) -> list[dict[str, bool]]:
    """What is true of each picture, by rule; rules that a scene leaves open are left out."""
    from jurat.pictograms.cases import rule_truth

    truths = [{rule.id: rule_truth(rule, facts) for rule in law.rules} for _, facts in some]
    return [{id: truth for id, truth in one.items() if truth is not None} for one in truths]


def items(kind: str, some: Sequence[Picture]) -> list[Item]:
    return [png_item(image, f"{kind} {i}") for i, (image, _) in enumerate(some)]


def judged(judge: Judge, kind: str, some: Sequence[Picture], truths: Sequence[dict[str, bool]]) -> Row:
    """F1 and calibration error of a judge on pictures."""
    from jurat.metrics.calibration import calibration_error

    found = missed = alarms = unsure = 0
    scores: list[float] = []
    right: list[float] = []
    for verdict, truth in zip(judge.stream(items(kind, some)), truths, strict=True):
        broken = any(truth.values())
        unsure += verdict.outcome == "unsure"
        found += broken and verdict.outcome == "unsafe"
        missed += broken and verdict.outcome != "unsafe"
        alarms += not broken and verdict.outcome != "safe"
        for rule in verdict.rules:
            if rule.id in truth and rule.score is not None:
                scores.append(rule.score)
                right.append(float(truth[rule.id]))
    return {
        "f1": 2 * found / max(1, 2 * found + missed + alarms),
        "violations": found + missed,
        "unsure": unsure,
        "ece": float(calibration_error(np.array(right), np.array(scores))),
        "scores": len(scores),
    }


def main(argv: list[str] | None = None) -> None:
    from jurat.constitution import load_constitution
    from jurat.judge import Judge
    from jurat.judge.calibrate.fit import fit
    from jurat.models import open_model

    parser = files(argparse.ArgumentParser(description=__doc__))
    parser.add_argument("--n", type=int, default=150, help="pictures of each kind to fit on, and to judge")
    parser.add_argument("--seed", type=int, default=18_072)
    parser.add_argument("--model", default="bundled")
    args = parser.parse_args(argv)
    origin = provenance(__file__, argv, seed=args.seed, n=args.n)
    law, model = load_constitution("shelf:nursery"), open_model(args.model)
    plain = Judge(law, model, "quick")
    halves = {kind: list(islice(pictures(kind, args.seed + at), 2 * args.n)) for at, kind in enumerate(KINDS)}
    truths = {kind: known(law, some) for kind, some in halves.items()}
    fits: dict[str, tuple[Calibration | None, str]] = {"none": (None, "")}
    for kind in KINDS:
        fitted = fit(plain, items(kind, halves[kind][: args.n]))
        fits[f"no labels, {kind}"] = (fitted.calibration, " ".join(fitted.warnings))
    both = [item for kind in KINDS[:2] for item in items(kind, halves[kind][: args.n])]
    labels = {
        f"{kind} {i}": frozenset(id for id, broken in truths[kind][i].items() if broken)
        for kind in KINDS[:2]
        for i in range(args.n)
    }
    labelled = fit(plain, both, labels)
    fits["labels, ordinary and hard"] = (labelled.calibration, " ".join(labelled.warnings))
    rows: list[Row] = []
    for name, (calibration, warned) in fits.items():
        judge = Judge(law, model, "quick", calibration=calibration)
        for kind in KINDS:
            row = judged(judge, kind, halves[kind][args.n :], truths[kind][args.n :])
            at_limit = 0 if calibration is None else sum(b >= 3 for b in calibration.shifts.values())
            rows.append({"fitted": name, "judged": kind, **row, "at limit": at_limit, "warned": bool(warned)})
            rows[-1]["temperature"] = None if calibration is None else calibration.temperature
    columns = {
        "fitted on": "{fitted}",
        "judged": "{judged}",
        "violations": "{violations}",
        "item F1": "{f1:.3f}",
        "unsure": "{unsure}",
        "ECE": "{ece:.4f}",
        "temperature": "{temperature:.2f}",
        "shifts at limit": "{at limit}",
        "warned": "{warned}",
    }
    report(args, origin, rows, [table(rows, columns)])


if __name__ == "__main__":
    run_script(main)
