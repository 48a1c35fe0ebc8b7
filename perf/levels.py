"""How often single statements are answered rightly, by level of difficulty: `python perf/levels.py`.

Pairs of scenes for each rule of a split of Pictogram Bench, drawn at every level of the bench and, with
`--sides`, as its hardest one with other sizes of sprites. Each statement of the rule that a scene was drawn
for is asked as it stands, on its own: no prior, no views, no presence. Statements that a scene leaves open
are not asked.

Printed for each model and level: the share of right answers with Wilson's 95% interval in clusters of rules,
among all statements, those about what is visible, and the others; and the share without an answer (refused by
the gate, or without Yes or No), which counts in none of them. The levels to choose for comparing judges are
those at which plain questions are right in 80 to 92%.
"""

from __future__ import annotations

import argparse
from collections.abc import Iterator, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import numpy as np
from measuring import Row, files, keep, provenance, report, run_script, table

if TYPE_CHECKING:
    from PIL import Image

    from jurat.bench.pictogram.definition import Difficulty
    from jurat.constitution import Rule
    from jurat.models import Model
    from jurat.pictograms import Facts

SHOWN = {"all": "statements", "visible": "of what is visible", "others": "of anything else"}


WHOLE = 128
"""What sides are given in parts of."""


def sides(text: str) -> tuple[str, tuple[float, float]]:
    """A range as it is written, "10-14", and its ends."""
    try:
        low, high = map(float, text.split("-"))
    except ValueError:
        low = high = 0.0
    if not 0 < low <= high <= WHOLE:
        raise argparse.ArgumentTypeError(f"{text!r} is no range LOW-HIGH within 0-{WHOLE}, such as 10-14")
    return text, (low, high)


def levels(ranges: Sequence[tuple[str, tuple[float, float]]]) -> list[Difficulty]:
    """Those of the bench, and the last of them with each of these ranges of sides."""
    from jurat.bench.pictogram.definition import LEVELS

    return [*LEVELS, *(replace(LEVELS[-1], name=text, sides=ends) for text, ends in ranges)]


def scenes(rule: Rule, number: int, level: Difficulty, args: Any) -> list[tuple[Image.Image, Facts]]:
    """Both scenes of each pair; the random numbers of a pair are the same at every level."""
    from jurat.bench.pictogram.definition import SPLITS, constitution_of
    from jurat.bench.pictogram.pairs import draw_pair
    from jurat.bench.pictogram.placing import SceneRequest

    look = SPLITS[args.split]
    request = SceneRequest(constitution_of(args.split), rule, level, look.rendering, look.sprites)
    seeds = ([args.seed, number, pair] for pair in range(args.per_rule))
    try:
        drawn = [each for seed in seeds for each in draw_pair(request, np.random.default_rng(seed))]
    except ValueError as problem:
        raise SystemExit(f"Level {level.name}: {problem}. Name larger --sides.") from problem
    return [(each.scene.image, each.facts) for each in drawn]


def asked(model: Model, level: Difficulty, args: Any) -> Iterator[tuple[str, str, bool | None]]:
    """For each statement about each scene: the rule, its kind, and whether the answer is right; None without
    one."""
    from jurat.bench.methods.closed_questions import STATEMENT, put, wording_for
    from jurat.bench.methods.interface import Setup, in_batches
    from jurat.bench.pictogram.definition import constitution_of
    from jurat.pictograms import parse

    law = constitution_of(args.split)
    setup = Setup(law, model, model.name)
    for number, rule in enumerate(law.rules):
        clauses = (*rule.clauses, *rule.unless)
        texts = list(dict.fromkeys(s.text for clause in clauses for s in clause.alternatives))
        wording, said = wording_for(model, [STATEMENT], texts), list(map(parse, texts))
        for batch in in_batches(scenes(rule, number, level, args)):
            found = put(setup, [image for image, _ in batch], wording, texts)
            for (_, facts), one in zip(batch, found, strict=True):
                for statement, answer in zip(said, one.answers, strict=True):
                    truth = statement.truth(facts)
                    if truth is not None:
                        right = None if answer is None else (answer.score > 0.5) is truth
                        yield rule.id, statement.kind, right


def row_of(some: list[tuple[str, str, bool | None]]) -> Row:
    """Shares of right answers, with their intervals and numbers."""
    from jurat.metrics import clustered_rate

    row: Row = {"asked": len(some), "unanswered": sum(right is None for *_, right in some) / len(some)}
    for name in SHOWN:
        among = [
            (rule, right)
            for rule, kind, right in some
            if right is not None and name in ("all", "visible" if kind == "visible" else "others")
        ]
        rules, hits = [rule for rule, _ in among], np.array([right for _, right in among], float)
        ends = clustered_rate(hits, rules)
        row[name] = [float(hits.mean()), ends.low, ends.high] if among else None
        row[f"{name} n"] = len(among)
    return row


def main(argv: list[str] | None = None) -> None:
    from jurat.bench.bench_plan import BenchModel
    from jurat.models import full_name

    parser = files(argparse.ArgumentParser(description=__doc__))
    parser.add_argument("--model", action="append", help="NAME or LABEL=FOLDER; default: bundled and naive")
    parser.add_argument("--split", default="dev", help="whose rules and rendering are taken")
    parser.add_argument("--per-rule", type=int, default=10, help="pairs of scenes for each rule and level")
    told = f"in 1/{WHOLE} of the side"
    parser.add_argument("--sides", action="append", default=[], type=sides, metavar="LOW-HIGH", help=told)
    parser.add_argument("--seed", type=int, default=2_104)
    args = parser.parse_args(argv)
    origin = provenance(__file__, argv, seed=args.seed, split=args.split, models={})
    rows: list[Row] = []
    for name in args.model or ("bundled", "naive"):
        subject = BenchModel.parse(name)
        model = subject.open()
        origin["models"][subject.label] = full_name(model)
        for level in levels(args.sides):
            found = row_of(list(asked(model, level, args)))
            rows.append({"model": subject.label, "level": level.name, **found})
            keep(args, origin, rows)
    columns = {"model": "{model}", "level": "{level}", "asked": "{asked:,}", "no answer": "{unanswered:.1%}"}
    for name, heading in SHOWN.items():
        columns[f"right, {heading}"] = f"{{{name}[0]:.1%}} ({{{name}[1]:.1%}} to {{{name}[2]:.1%}})"
    report(args, origin, rows, [table(rows, columns)])


if __name__ == "__main__":
    run_script(main)
