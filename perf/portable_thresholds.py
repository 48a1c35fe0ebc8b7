"""How well thresholds are transferred to another model: `python perf/portable_thresholds.py [--json FILE]`.

Two models, each in turn the old one, and the first rules of `shelf:nursery` on fresh scenes:

labelled    violations and near misses of each rule, and as many random scenes; both models are calibrated on
            them with labels: the old one's thresholds are to be transferred, the new one's are the goal
unlabelled  what both models judge to match scores: scenes of the same mix, or random scenes only (few
            violations), in several numbers
judged      scenes of the same mix, on which the new model judges with each set of thresholds

Printed for each way of setting the new model's thresholds: how many of two a rule were transferred, how far
they lie from its own in the share of judged images below them, and over all rules and images the share of
violations that are called kept (misses), of others that are called broken (false alarms), and what is not
decided; with the paired difference from its own labelled calibration, and 95% intervals clustered by image.
Then what the transfers of both directions say about `CLAIMS`, each a family for Holm's correction.
"""

from __future__ import annotations

import argparse
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import islice
from typing import TYPE_CHECKING, Any

import numpy as np
from calibrating import items, pictures
from measuring import OUTCOMES, Row, files, numbers, outcomes, provenance, report, run_script, table

if TYPE_CHECKING:
    from jurat.constitution import Constitution
    from jurat.judge.calibrate.calibration import Calibration
    from jurat.metrics import Claim, Comparison
    from jurat.models import Model

SIDES = ("keep_below", "break_above")
OWN, PRESET, AS_THEY_ARE = "its own, with labels", "the preset's", "the old ones, as they are"
KINDS = {"transferred, same mix": True, "transferred, random only": False}
"""Ways of transferring, and whether they match scores on cases of the rules."""
MARGIN = 0.05
"""How much more often than with labels of its own a transfer may err."""
CLAIMS: tuple[dict[str, Any], ...] = (
    {"text": "misses at most 5 points more often than with its own", "b": OWN, "metric": "misses"},
    {"text": "false alarms at most 5 points more often than with its own", "b": OWN, "metric": "alarms"},
    {"text": "fewer misses than with the old thresholds as they are", "b": AS_THEY_ARE, "metric": "misses"},
    {"text": "fewer false alarms than with these", "b": AS_THEY_ARE, "metric": "alarms"},
    {"text": "fewer misses than with the preset's", "b": PRESET, "metric": "misses"},
    {"text": "fewer false alarms than with the preset's", "b": PRESET, "metric": "alarms"},
)
"""Claimed of each way of transferring, for each number of images and in both directions."""


@dataclass
class Scenes:
    """Pictures with the truth of each rule; those that a scene leaves open are left out."""

    items: list[Any]
    truths: list[dict[str, bool]]

    @property
    def labels(self) -> dict[str, frozenset[str]]:
        pairs = zip(self.items, self.truths, strict=True)
        return {item.id: frozenset(id for id, broken in truth.items() if broken) for item, truth in pairs}


def scenes(law: Constitution, name: str, pairs: int, seed: int, *, cases: bool = True) -> Scenes:
    """So many violations and near misses of each rule, and as many random scenes, mixed; without `cases`
    random scenes only, of the same number in all."""
    from jurat.pictograms import Facts
    from jurat.pictograms.cases import draw_case, rule_truth

    rng = np.random.default_rng(seed)

    def drawn() -> Iterator[Any]:
        for rule in law.rules:
            for want in ("broken", "near miss") * pairs:
                scene = draw_case(law, rule, want, rng, size=256).scene
                yield scene.image, Facts.of(scene)

    some = list(drawn()) if cases else []
    random = list(islice(pictures("ordinary", seed), 2 * pairs * len(law.rules) * (1 if cases else 2)))
    found = [*some, *random]
    found = [found[i] for i in rng.permutation(len(found))]
    truths = [{rule.id: rule_truth(rule, facts) for rule in law.rules} for _, facts in found]
    known = [{id: truth for id, truth in one.items() if truth is not None} for one in truths]
    return Scenes(items(name, found), known)


def judged(law: Constitution, model: Model, preset: str, calibration: Any, some: Scenes) -> dict[str, Any]:
    """For each (image, rule) of known truth: its image, rule, truth, outcome and score."""
    from jurat.judge import Judge

    rows: list[tuple[str, str, bool, str, float]] = []
    judge = Judge(law, model, preset, calibration=calibration)
    for verdict, truth in zip(judge.stream(some.items), some.truths, strict=True):
        for rule in verdict.rules:
            if rule.id in truth:
                score = np.nan if rule.score is None else rule.score
                rows.append((verdict.id, rule.id, truth[rule.id], rule.outcome, score))
    image, rule, true, outcome, score = (np.array(column) for column in zip(*rows, strict=True))
    return {"image": image, "rule": rule, "true": true, "outcome": outcome, "score": score}


def place(calibration: Calibration, found: dict[str, Any], rule: str, side: str) -> float:
    """Share of the judged images whose score lies below a threshold; nan where there is none."""
    bounds = calibration.rules.get(rule)
    threshold = None if bounds is None else getattr(bounds, side)
    scores = found["score"][found["rule"] == rule]
    scores = scores[~np.isnan(scores)]
    return np.nan if threshold is None else float((scores < threshold).mean())


def rates(way: dict[str, Any], other: dict[str, Any], name: str) -> tuple[float, int, Any]:
    """How often a way errs or leaves undecided, of how many, and its paired difference from another way."""
    from jurat.metrics.paired import rate_difference

    among, event = {
        "misses": (way["true"], "kept"),
        "alarms": (~way["true"], "broken"),
        "undecided": (np.ones(len(way["true"]), bool), "undecided"),
    }[name]
    a, b = ((one["outcome"][among] == event).astype(float) for one in (way, other))
    return float(a.mean()), int(among.sum()), rate_difference(a, b, way["image"][among].tolist())


def compared(way: dict[str, Any], own: dict[str, Any]) -> Row:
    """Misses, false alarms and what is decided, with their paired differences from the own calibration."""
    row: Row = {}
    for name in ("misses", "alarms", "undecided"):
        row[name], row[f"{name} n"], found = rates(way, own, name)
        row[f"{name} more"] = [found.value, found.interval.low, found.interval.high]
    return row


def claims() -> list[Claim]:
    from jurat.metrics import Claim

    return [
        Claim(id=each["text"], a=kind, others=(each["b"],), metric=each["metric"])
        for each in CLAIMS
        for kind in KINDS
    ]


def comparisons(
    where: dict[str, str], kind: str, way: dict[str, Any], others: dict[str, dict[str, Any]]
) -> Iterator[Comparison]:
    """A transfer beside the ways of `CLAIMS`. What it may err more often is taken off before."""
    from jurat.metrics import Comparison, Interval
    from jurat.metrics.claims import p_of_interval

    for each in CLAIMS:
        name, b = each["metric"], each["b"]
        value, _, found = rates(way, others[b], name)
        off = MARGIN if b == OWN else 0.0
        beyond = Interval(found.interval.low - off, found.interval.high - off)
        p = p_of_interval(found.value - off, beyond) if off else found.p
        values = value - off, value - found.value
        yield Comparison(kind, b, name, where, values, beyond, p=p, less=True)


def transfers(
    law: Constitution, models: tuple[Model, Model], fits: Sequence[Any], args: Any, judge_on: Scenes
) -> tuple[list[Row], list[Comparison]]:
    """The rows of one direction, from the first model to the second, and the comparisons of `CLAIMS`."""
    from jurat.errors import JuratError
    from jurat.judge import Judge
    from jurat.judge.calibrate.transfer import judged_scores, transfer

    old, new = models
    own = judged(law, new, args.preset, fits[1], judge_on)
    unlabelled = Judge(law, new, args.preset)
    ways: list[tuple[str, int, Any]] = [(OWN, 0, fits[1]), (PRESET, 0, None)]
    renamed = {"model": fits[1].model, "debias": fits[1].debias, "shifts": fits[1].shifts}
    ways.append((AS_THEY_ARE, 0, fits[0].model_copy(update=renamed)))
    for kind, cases in KINDS.items():
        for pairs in args.pairs:
            some = scenes(law, f"{kind} {pairs}", pairs, args.seed + 77 + pairs, cases=cases)
            scores = judged_scores(Judge(law, old, args.preset, calibration=fits[0]), some.items)
            try:
                found = transfer(fits[0], scores, unlabelled, some.items).calibration
            except JuratError as problem:
                print(f"{kind}, {len(some.items)}: {problem}")
                continue
            ways.append((kind, len(some.items), found))
    rows, told, others = list[Row](), list[Any](), dict[str, Any]()
    for name, n, calibration in ways:
        way = judged(law, new, args.preset, calibration, judge_on)
        row: Row = {"old": old.name, "new": new.name, "way": name, "images": n, **compared(way, own)}
        if not n:
            others[name] = way
        else:
            where = {"old": old.name, "new": new.name, "images": str(n)}
            told += comparisons(where, name, way, others)
            errors = [
                abs(place(calibration, way, rule.id, side) - place(fits[1], own, rule.id, side))
                for rule in law.rules
                for side in SIDES
            ]
            known = [error for error in errors if not np.isnan(error)]
            match = calibration.transferred
            row["transferred"] = len(match.keep_below) + len(match.break_above)
            row["thresholds"] = len(SIDES) * len(law.rules)
            if known:  # the new model has thresholds of its own
                row["off"], row["worst"] = float(np.median(known)), max(known)
        rows.append(row)
    return rows, told


def main(argv: list[str] | None = None) -> None:
    from jurat.bench.answer_cache import CachingModel, Clock
    from jurat.bench.bench_plan import BenchModel
    from jurat.constitution import load_constitution
    from jurat.judge import Judge
    from jurat.judge.calibrate.fit import fit
    from jurat.models import full_name

    parser = files(argparse.ArgumentParser(description=__doc__))
    parser.add_argument("--models", default="bundled,naive", help="two names")
    parser.add_argument("--rules", type=int, default=6, help="the first so many of the constitution")
    parser.add_argument("--preset", default="quick")
    parser.add_argument("--labelled", type=int, default=60, help="violations of each rule to calibrate on")
    parser.add_argument("--judged", type=int, default=30, help="violations of each rule to judge")
    parser.add_argument(
        "--pairs", type=numbers, default=[4, 12, 24], help="violations of each rule to match on"
    )
    parser.add_argument("--seed", type=int, default=21_000)
    args = parser.parse_args(argv)
    origin = provenance(__file__, argv, seed=args.seed)
    whole = load_constitution("shelf:nursery")
    law = whole.model_copy(update={"rules": whole.rules[: args.rules]})
    names = args.models.split(",")
    opened = [CachingModel(BenchModel.parse(name).open(), Clock()) for name in names]
    origin["models"] = ", ".join(map(full_name, opened))
    labelled = scenes(law, "labelled", args.labelled, args.seed)
    judge_on = scenes(law, "judged", args.judged, args.seed + 1)
    fits = [fit(Judge(law, one, args.preset), labelled.items, labelled.labels).calibration for one in opened]
    rows, found = list[Row](), list[Any]()
    for direction in ((0, 1), (1, 0)):
        old, new = (opened[i] for i in direction)
        more, some = transfers(law, (old, new), [fits[i] for i in direction], args, judge_on)
        rows, found = [*rows, *more], [*found, *some]
    columns = {
        "from": "{old}",
        "to": "{new}",
        "thresholds": "{way}",
        "images": "{images:,}",
        "transferred": "{transferred} of {thresholds}",
        "off by, median": "{off:.1%}",
        "worst": "{worst:.1%}",
        "misses": "{misses:.1%}",
        "more than its own": "{misses more[0]:+.1%} ({misses more[1]:+.1%} to {misses more[2]:+.1%})",
        "false alarms": "{alarms:.1%}",
        "more": "{alarms more[0]:+.1%} ({alarms more[1]:+.1%} to {alarms more[2]:+.1%})",
        "undecided": "{undecided:.1%}",
    }
    said = (
        f"{len(judge_on.items):,} images are judged, with {rows[0]['misses n']:,} violations and "
        f"{rows[0]['alarms n']:,} others, each a pair of image and rule."
    )
    told = outcomes(claims(), found)
    beyond = f"Differences from its own are beyond the {MARGIN:.0%} of the claims."
    shown = {"claim": "{claim}", "from": "{old}", "to": "{new}", "images": "{images}", **OUTCOMES}
    parts = [table(rows, columns), said, table(told, shown), beyond if told else ""]
    report(args, origin, [*rows, *told], parts)


if __name__ == "__main__":
    run_script(main)
