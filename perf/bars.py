"""How well a judge reads scenes of another renderer: `python perf/bars.py [--many 500] [--json FILE]`.

Scenes of tests/strangers, whose renderer and rules share no code with training, under its six and its
twenty-five rules with the default preset. Half of the scenes break the rule that they are drawn for; the
others come close: what a relation is about is absent or beside something else, one more or one less is there
than the rule counts, the thing is one that looks alike, the two do not quite touch, what excepts it is there.

Rules whose sentences the model refuses to read are left out and listed. Item F1 is given for `unsure` counted
as an error, and of those decided. Below are the errors of each rule over all scenes, and how many scenes were
refused. ECE is the expected calibration error of the rules' scores, before and after `jurat calibrate` with
labels on `--fit` scenes of another seed.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from measuring import Row, bar, files, in_processes, png_item, provenance, report, run_script, table

if TYPE_CHECKING:
    from jurat.constitution import Constitution
    from jurat.content import Item
    from jurat.judge import Verdict
    from jurat.models import Model
    from tests.strangers.rules import Case, Rules

ROOT = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(ROOT))

LEAST_F1 = {"six": 0.995, "many": 0.985}
MOST_ECE = 0.03
NAMES = {"six": "six rules", "many": "twenty-five rules"}


def readable(which: Rules, model: Model) -> tuple[Constitution, list[str]]:
    """The constitution without the rules that the model refuses to read, and the ids of these."""
    from jurat.errors import JuratError
    from jurat.judge import Judge
    from tests.strangers.rules import constitution

    whole, refused = constitution(which), list[str]()
    for rule in whole.rules:
        try:
            Judge(whole.model_copy(update={"rules": (rule,)}), model)
        except JuratError:
            refused.append(rule.id)
    kept = tuple(rule for rule in whole.rules if rule.id not in refused)
    return whole.model_copy(update={"rules": kept}), refused


def items(cases: Sequence[Case]) -> list[Item]:
    return [png_item(case.drawing.image, f"scene {number}") for number, case in enumerate(cases)]


def item_row(cases: Sequence[Case], verdicts: Sequence[Verdict], ids: frozenset[str]) -> Row:
    truths = [bool(case.broken & ids) for case in cases]
    said = [verdict.outcome for verdict in verdicts]
    found = sum(truth and outcome == "unsafe" for truth, outcome in zip(truths, said, strict=True))
    passed = sum(not truth and outcome == "safe" for truth, outcome in zip(truths, said, strict=True))
    missed = sum(truth and outcome == "safe" for truth, outcome in zip(truths, said, strict=True))
    alarms = sum(not truth and outcome == "unsafe" for truth, outcome in zip(truths, said, strict=True))
    violating = sum(truths)
    errors = len(cases) - found - passed
    return {
        "scenes": len(cases),
        "violating": violating,
        "missed": missed,
        "alarms": alarms,
        "unsure": len(cases) - found - passed - missed - alarms,
        "refused": sum(verdict.reason == "out_of_domain" for verdict in verdicts),
        "f1": 2 * found / (2 * found + errors),
        "f1_decided": 2 * found / (2 * found + missed + alarms) if found + missed + alarms else None,
    }


def rule_rows(cases: Sequence[Case], verdicts: Sequence[Verdict], law: Constitution) -> list[Row]:
    rows: list[Row] = []
    for rule in law.rules:
        row: Row = {"rule": rule.id, "broken": 0, "missed": 0, "kept": 0, "alarms": 0, "undecided": 0}
        for case, verdict in zip(cases, verdicts, strict=True):
            outcome = next((found.outcome for found in verdict.rules if found.id == rule.id), "undecided")
            truth = rule.id in case.broken
            row["broken" if truth else "kept"] += 1
            row["missed"] += truth and outcome == "kept"
            row["alarms"] += not truth and outcome == "broken"
            row["undecided"] += outcome == "undecided" and verdict.reason != "out_of_domain"
        rows.append(row)
    return rows


def calibration_error(cases: Sequence[Case], verdicts: Sequence[Verdict]) -> float | None:
    """None where no rule has a score."""
    from jurat.metrics.calibration import calibration_error

    pairs = [
        (rule.score, float(rule.id in case.broken))
        for case, verdict in zip(cases, verdicts, strict=True)
        for rule in verdict.rules
        if rule.score is not None
    ]
    if not pairs:
        return None
    scores, truths = np.array(pairs).T
    return float(calibration_error(truths, scores))


def measure(model: str, which: Rules, n: int, fitting: int, seed: int) -> Row:
    import torch

    from jurat.judge import Judge
    from jurat.judge.calibrate.fit import fit
    from jurat.models import open_model
    from tests.strangers.rules import cases

    torch.set_num_threads(1)
    opened = open_model(model)
    law, refused = readable(which, opened)
    ids = frozenset(rule.id for rule in law.rules)
    shown = list(cases(which, n, seed))
    plain = Judge(law, opened)
    verdicts = list(plain.stream(items(shown)))
    row: Row = {
        "rules": which,
        "constitution": law.digest,
        "left_out": refused,
        **item_row(shown, verdicts, ids),
        "each": rule_rows(shown, verdicts, law),
        "ece": calibration_error(shown, verdicts),
    }
    if fitting:
        others = list(cases(which, fitting, seed + 1))
        labels = {f"scene {number}": case.broken & ids for number, case in enumerate(others)}
        fitted = fit(plain, items(others), labels)
        judge = Judge(law, opened, calibration=fitted.calibration)
        again = list(judge.stream(items(shown)))
        row |= {"fitted_on": fitting, "ece_calibrated": calibration_error(shown, again)}
        row |= {"calibrated": item_row(shown, again, ids), "warned": fitted.warnings}
    return row


def tables(rows: Sequence[Row]) -> list[str]:
    columns = {
        "rules": "{name}",
        "scenes": "{scenes}",
        "violating": "{violating}",
        "item F1": "{f1:.4f}",
        "of the decided": "{f1_decided:.4f}",
        "missed": "{missed}",
        "alarms": "{alarms}",
        "unsure": "{unsure}",
        "of these refused": "{refused}",
        "ECE": "{ece:.4f}",
        "calibrated": "{ece_calibrated:.4f}",
    }
    parts = [table([row | {"name": NAMES[row["rules"]]} for row in rows], columns)]
    for row in rows:
        if row["left_out"]:
            left_out = ", ".join(row["left_out"])
            parts.append(f"Left out of {NAMES[row['rules']]}, as the model refuses to read them: {left_out}.")
        heads = ("rule", "broken", "missed", "kept", "alarms", "undecided")
        parts += [f"## {NAMES[row['rules']]}", table(row["each"], {head: f"{{{head}}}" for head in heads})]
    return parts


def bars(rows: Sequence[Row]) -> list[str]:
    lines: list[str] = []
    for row in rows:
        name = NAMES[row["rules"]]
        lines.append(bar(f"item F1, {name}", row["f1"], LEAST_F1[row["rules"]], most=False, digits=4)[1])
        if (error := row.get("ece_calibrated")) is not None:
            lines.append(bar(f"ECE calibrated, {name}", error, MOST_ECE, most=True, digits=4)[1])
    return lines


def main(argv: list[str] | None = None) -> None:
    parser = files(argparse.ArgumentParser(description=__doc__))
    parser.add_argument("--six", type=int, default=240, help="scenes for the six rules")
    parser.add_argument("--many", type=int, default=500, help="scenes for the twenty-five rules")
    parser.add_argument("--fit", type=int, default=200, help="labelled scenes for a calibration")
    parser.add_argument("--seed", type=int, default=21_002)
    parser.add_argument("--model", default="bundled", help="as jurat judge takes it")
    parser.add_argument("--jobs", type=int, default=2, help="processes")
    args = parser.parse_args(argv)
    from jurat.models import open_model

    settings: dict[str, Any] = {name: getattr(args, name) for name in ("model", "seed", "fit")}
    origin = provenance(__file__, argv, revision=open_model(args.model).revision, **settings)
    wanted = [("many", args.many), ("six", args.six)]
    tasks = [(args.model, which, n, args.fit, args.seed) for which, n in wanted if n]
    rows = sorted(in_processes(measure, tasks, args.jobs), key=lambda row: row["rules"])
    report(args, origin, rows, [*tables(rows), "\n".join(bars(rows))])


if __name__ == "__main__":
    run_script(main)
