"""What each candidate for the judge is worth: `python perf/candidates.py [--per-rule 20] [--markdown FILE]`.

On the dev split of Pictogram Bench, the one that tuning may look at: the default preset, and the default with
one thing changed, each of `TRIED`, side by side on the same scenes, batch by batch. For each: F1 of items
with unsure as an error and AURC, with the differences from the default and their 95% intervals (a paired
bootstrap over rules, then pairs), the share decided, the share right among the decided, and what an item
took. What several ask is asked once and charged to each (`jurat.bench.memory`). Name others with --candidate:
"contrasts+coherent" adds two parts, "-views" leaves one out, "views=0.1" sets a field of the preset.
"""

from __future__ import annotations

import argparse
import itertools
import json
import sys
import tempfile
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from measuring import files, provenance, report, table

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

TRIED = (
    *ADDITIONS,
    *("relevance=true", "regions=true", "crop_below=0.01", "reason=true", "regions=true+reason=true"),
    *("-debias", "-views", "views=0.05", "views=0.1", "views=0.2", "views=0.3"),
)
METRICS = ("f1", "aurc", "decided", "right")
"""Of items: F1 with unsure as an error, the area under risk against coverage (less is better), the share
decided, and the share right among those."""
COSTS = ("images", "question_tokens", "generated_tokens", "detections", "flops", "seconds")
"""Means an item."""
COLUMNS = {
    "model": "{model}",
    "preset": "{preset}",
    "F1": "{f1:.3f}",
    "difference (95%)": "{f1_difference:+.3f} ({f1_low:+.3f} to {f1_high:+.3f})",
    "AURC": "{aurc:.4f}",
    "difference (95%) ": "{aurc_difference:+.4f} ({aurc_low:+.4f} to {aurc_high:+.4f})",
    "decided": "{decided:.3f}",
    "right": "{right:.3f}",
    "images": "{images:.2f}",
    "tokens read": "{question_tokens:.0f}",
    "written": "{generated_tokens:.1f}",
    "GFLOPs": "{gigaflops:.2f}",
    "ms": "{milliseconds:.0f}",
}


def preset_of(base: str, candidate: str) -> Preset:
    """The base with parts added, with one left out ("-views"), or with a field set ("views=0.1")."""
    preset = find_preset(base)
    if candidate.startswith("-"):
        return preset.without([candidate.removeprefix("-")])
    for part in candidate.split("+") if candidate else ():
        name, sets, value = part.partition("=")
        if sets:
            preset = replace(preset, **{"name": f"{preset.name}+{part}", name: json.loads(value)})
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
    values: dict[str, Any] = {"model": judged.model, "preset": judged.preset, "n": len(judged.items)}
    own, other = measures(judged, once), measures(base, once)
    draws, of_base = measures(judged, samples), measures(base, samples)
    for metric in METRICS:
        values[metric] = float(own[metric][0])
        if judged is not base:
            interval = percentile((draws[metric] - of_base[metric]).tolist())
            values[f"{metric}_difference"] = float(own[metric][0] - other[metric][0])
            values |= {f"{metric}_low": interval.low, f"{metric}_high": interval.high}
    spent = [ruling.spending for ruling in judged.rulings]
    values |= {name: _mean(spent, name) for name in COSTS}
    values |= {"gigaflops": values["flops"] / 1e9, "milliseconds": values["seconds"] * 1000}
    return {name: None if value != value else value for name, value in values.items()}  # nan is not JSON


def _mean(spent: Sequence[Spending], name: str) -> float:
    known = [value for one in spent if (value := getattr(one, name)) is not None]
    return sum(known) / len(known) if known else float("nan")


def main(argv: Sequence[str] | None = None) -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--per-rule", type=int, default=20, help="pairs of scenes a rule; 14 rules")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument(
        "--model", action="append", help="naive and bundled unless told; or a folder of their kind"
    )
    parser.add_argument("--preset", default=DEFAULT, help="what candidates are changes of")
    parser.add_argument("--candidate", action="append", help="repeat for more")
    parser.add_argument("--scenes", type=Path, help="keep scenes in this folder, or take them from there")
    args = files(parser).parse_args(argv)
    origin = provenance(__file__, argv, seed=args.seed, split="dev")
    presets = [preset_of(args.preset, name) for name in ("", *(args.candidate or TRIED))]
    rows: list[dict[str, Any]] = []
    models: list[str] = []
    with tempfile.TemporaryDirectory() as scratch:
        items = keep_split(args.scenes or Path(scratch), "dev", args.seed, args.per_rule)
        for name in args.model or ("naive", "bundled"):
            model = Subject.parse(name).open()
            judged = judge_all(model, presets, items, name, _say)
            rows += [row(each, judged[0]) for each in judged]
            models.append(full_name(model))
    tried = f"{len(items)} scenes; {len(presets)} configurations tried on dev."
    report(args, {**origin, "models": ", ".join(models)}, rows, [table(rows, COLUMNS), tried])
    return 0


def _say(line: str) -> None:
    print(line, file=sys.stderr)


if __name__ == "__main__":
    raise SystemExit(main())
