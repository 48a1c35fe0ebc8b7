"""What each candidate of the judge is worth: `python perf/candidates.py [--per-rule 20] [--json FILE]`.

On the dev split of Pictogram Bench, the one that tuning may look at: the default preset, and the default
with each candidate alone added to it (`jurat.judge.presets.ADDITIONS`), side by side on the same scenes,
batch by batch. Printed for each: F1 of items with unsure as an error, AURC, the share decided, the share
right among the decided, what it took, and below it the differences from the default with 95% intervals of a
paired bootstrap over rules, then pairs; at last how many configurations were tried. What several ask is asked
once and charged to each (`jurat.bench.memory`). Name others with --candidate: "contrasts+coherent" adds two,
"-views" leaves a part out, "views=0.1" sets a number of the preset.
"""

from __future__ import annotations

import argparse
import itertools
import json
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from jurat.bench.cost import Spending, flops, sizes_of
from jurat.bench.memory import Clock, Remembering, RememberingDetector, RememberingMatcher
from jurat.bench.methods.base import BATCH, Ground, Ruling
from jurat.bench.methods.presets import judge
from jurat.bench.pictogram.protocol import law_of
from jurat.bench.pictogram.splits import keep_split
from jurat.bench.plan import Subject
from jurat.bench.table import Judged
from jurat.judge.presets import ADDITIONS, DEFAULT, Preset, find_preset
from jurat.metrics import UNSURE, confidence
from jurat.metrics.abstention import Curves
from jurat.metrics.intervals import percentile
from jurat.metrics.rates import rates, share
from jurat.models import full_name
from jurat.models.vision import open_detector, open_matcher

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from jurat.bench.pictogram.items import BenchItem
    from jurat.models import Model

ROOT = Path(__file__).resolve().parent.parent
METRICS = ("f1", "aurc", "decided", "right")
"""Of items: F1 with unsure as an error, the area under risk against coverage (less is better), the share
decided, and the share right among those."""
COSTS = ("images", "question_tokens", "generated_tokens", "detections", "flops", "seconds")
"""Means an item."""


def preset_of(base: str, candidate: str) -> Preset:
    """The base with parts added, with a part left out ("-views"), or with another number ("views=0.1")."""
    preset = find_preset(base)
    if candidate.startswith("-"):
        return preset.without([candidate.removeprefix("-")])
    for part in candidate.split("+") if candidate else ():
        name, number, value = part.partition("=")
        if number:
            preset = replace(preset, **{"name": f"{preset.name}+{part}", name: float(value)})
        else:
            preset = preset.plus([part])
    return preset


def judge_all(
    model: Model, presets: Sequence[Preset], items: Sequence[BenchItem], label: str, say: Any
) -> list[Judged]:
    """Every preset on the same batch before the next one, so that a busy machine slows all alike."""
    eyes, clock = (open_detector("bundled"), open_matcher("bundled")), Clock()
    sizes = (sizes_of(model), sizes_of(eyes[0]), sizes_of(eyes[1]))
    detector, matcher = RememberingDetector(eyes[0], clock), RememberingMatcher(eyes[1], clock)
    asked = Remembering(model, clock)
    ground = Ground(law_of("dev"), asked, label, lambda: detector, lambda: matcher, clock=clock)
    streams = [judge(ground, items, preset=preset) for preset in presets]
    found: list[list[Ruling]] = [[] for _ in streams]
    while len(found[-1]) < len(items):
        for stream, rulings in zip(streams, found, strict=True):
            rulings += itertools.islice(stream, BATCH)
        say(f"{len(found[-1]):,} of {len(items):,} scenes")
    priced = [[_priced(ruling, sizes) for ruling in rulings] for rulings in found]
    return [
        Judged(preset.name, (), label, "dev", tuple(items), tuple(rulings))
        for preset, rulings in zip(presets, priced, strict=True)
    ]


def _priced(ruling: Ruling, sizes: tuple[Any, Any, Any]) -> Ruling:
    return replace(ruling, spending=replace(ruling.spending, flops=flops(ruling.spending, *sizes)))


def measures(judged: Judged, weights: NDArray[Any]) -> dict[str, NDArray[np.float64]]:
    """Each of `METRICS` over samples with `weights` (samples, n); nan where it is not defined."""
    found, weight = judged.arrays("item"), weights.astype(float)
    decided = found.said != UNSURE
    right = decided & (found.said == found.truth)
    return {
        "f1": rates(found.truth.astype(int), found.said, weight)["f1"],
        "aurc": Curves.of(found.forced, confidence(found.scores), weight).areas(),
        "decided": share(weight @ decided.astype(float), weight.sum(1)),
        "right": share(weight @ right.astype(float), weight @ decided.astype(float)),
    }


def row(judged: Judged, base: Judged) -> dict[str, Any]:
    """The metrics and costs of a preset, and its paired differences from the base."""
    once, samples = np.ones((1, len(judged.items))), judged.arrays("item").samples()
    values: dict[str, Any] = {"preset": judged.preset, "n": len(judged.items)}
    own, other = measures(judged, once), measures(base, once)
    draws, of_base = measures(judged, samples), measures(base, samples)
    for metric in METRICS:
        values[metric] = float(own[metric][0])
        if judged is not base:
            interval = percentile((draws[metric] - of_base[metric]).tolist())
            values[f"{metric} difference"] = float(own[metric][0] - other[metric][0])
            values[f"{metric} interval"] = [interval.low, interval.high]
    spent = [ruling.spending for ruling in judged.rulings]
    values |= {name: _mean(spent, name) for name in COSTS}
    return values


def _mean(spent: Sequence[Spending], name: str) -> float:
    known = [value for one in spent if (value := getattr(one, name)) is not None]
    return sum(known) / len(known) if known else float("nan")


def show(rows: Sequence[dict[str, Any]]) -> None:
    print(f"{'preset':28}{'F1':>8}{'AURC':>8}{'decided':>9}{'right':>8}", end="")
    print(f"{'images':>8}{'read':>8}{'written':>9}{'boxes':>7}{'GFLOPs':>8}{'ms':>8}")
    for each in rows:
        print(f"{each['preset']:28}{each['f1']:8.3f}{each['aurc']:8.4f}", end="")
        print(f"{each['decided']:9.3f}{each['right']:8.3f}", end="")
        print(f"{each['images']:8.2f}{each['question_tokens']:8.0f}{each['generated_tokens']:9.1f}", end="")
        print(f"{each['detections']:7.2f}{each['flops'] / 1e9:8.2f}{each['seconds'] * 1000:8.0f}")
        for metric in METRICS:
            if f"{metric} difference" in each:
                low, high = each[f"{metric} interval"]
                print(f"    {metric:8} {each[f'{metric} difference']:+.3f}   95% {low:+.3f} to {high:+.3f}")


def _say(line: str) -> None:
    print(line, file=sys.stderr)


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--per-rule", type=int, default=20, help="pairs of scenes a rule; 14 rules")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--model", default="bundled", help="a name, or a folder of the bundled model's kind")
    parser.add_argument("--preset", default=DEFAULT, help="what candidates are added to")
    parser.add_argument("--candidate", action="append", help="one, or several joined by +; repeat for more")
    parser.add_argument("--scenes", type=Path, help="keep scenes in this folder, or take them from there")
    parser.add_argument("--json", type=Path)
    args = parser.parse_args()
    presets = [preset_of(args.preset, name) for name in ("", *(args.candidate or ADDITIONS))]
    start = time.monotonic()
    with tempfile.TemporaryDirectory() as scratch:
        items = keep_split(args.scenes or Path(scratch), "dev", args.seed, args.per_rule)
        model = Subject.parse(args.model).open()
        judged = judge_all(model, presets, items, args.model, _say)
    rows = [row(each, judged[0]) for each in judged]
    show(rows)
    print(f"\n{len(items)} scenes, {len(presets)} configurations tried on dev")
    _say(f"{time.monotonic() - start:.0f} s")
    if args.json:
        git = ["git", "rev-parse", "HEAD"]
        commit = subprocess.run(git, cwd=ROOT, capture_output=True, text=True).stdout.strip()
        provenance = {
            "command": " ".join(sys.argv), "commit": commit, "seed": args.seed, "per_rule": args.per_rule,
            "split": "dev", "model": full_name(model), "configurations tried": len(presets),
        }  # fmt: skip
        text = json.dumps({"provenance": provenance, "rows": rows}, indent=1)
        args.json.write_text(text.replace("NaN", "null") + "\n")


if __name__ == "__main__":
    main()
