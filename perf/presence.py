"""What holding relations against presence does: `python perf/presence.py [--n 12] [--json FILE]`.

Six rules, each one relation, on fresh scenes in which it holds, just fails, or is about things that are not
there; judged by the default preset with the part `presence` and without it. Printed by what the scenes lack,
over all rules whose truth a scene settles: false alarms, misses, undecided; and tokens and FLOPs an image.
"""

from __future__ import annotations

import argparse
from collections import defaultdict
from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

import numpy as np
from measuring import Row, files, provenance, report, run_script, table

if TYPE_CHECKING:
    from jurat.pictograms.scene import Scene

LAW = """
name: relations
rules:
  - {id: ball, rule: Rule., clauses: [A ball is larger than a horse.]}
  - {id: bus, rule: Rule., clauses: [A bus is larger than a bicycle.]}
  - {id: child, rule: Rule., clauses: ["A child touches a beer, a cocktail or a wine glass."]}
  - {id: woman, rule: Rule., clauses: ["A woman touches a phone, a camera or a laptop."]}
  - {id: dog, rule: Rule., clauses: [A dog is left of a car.]}
  - {id: man, rule: Rule., clauses: [A man touches a guitar.]}
"""
LACKS = ("nothing: it holds", "nothing: it just fails", "the first", "the others", "one of the others")


def scenes(n: int, seed: int) -> Iterator[tuple[str, Scene]]:
    """`n` scenes for each rule and each of `LACKS`, as far as there are such scenes."""
    from jurat.constitution import parse_constitution
    from jurat.pictograms import compose, parse
    from jurat.pictograms.composing import near_miss
    from jurat.pictograms.statements import Touches, Visible

    for number, rule in enumerate(parse_constitution(LAW).rules):
        statement: Any = parse(rule.clauses[0].alternatives[0].text)
        first, *others = statement.nouns()
        there = [(Visible((noun,)), True) for noun in others]
        for lack in LACKS:
            rng = np.random.default_rng([seed, number, LACKS.index(lack)])
            for _ in range(n):
                try:
                    if lack == LACKS[0]:
                        yield lack, compose([(statement, True)], rng, size=256)
                    elif lack == LACKS[1]:
                        yield lack, near_miss(statement, rng, size=256)
                    elif lack == LACKS[2]:
                        yield lack, compose([*there, (Visible((first,)), False)], rng, size=256)
                    elif lack == LACKS[3]:
                        wanted = [(Visible((noun,)), False) for noun in others]
                        yield lack, compose([(Visible((first,)), True), *wanted], rng, size=256)
                    elif isinstance(statement, Touches) and len(others) > 1:
                        gone = others[int(rng.integers(len(others)))]
                        wanted = [(Visible((noun,)), noun is not gone) for noun in others]
                        yield lack, compose([(statement, False), *wanted], rng, size=256)
                except ValueError:  # no such scene was found in the tries that composing takes
                    continue


def measure(n: int, seed: int, model: str) -> list[Row]:
    from jurat.bench.cost import Spending, flops, sizes_of
    from jurat.constitution import parse_constitution
    from jurat.judge import Judge
    from jurat.models import open_model
    from jurat.pictograms import Facts
    from jurat.pictograms.cases import rule_truth

    law, opened = parse_constitution(LAW), open_model(model)
    sizes = sizes_of(opened)
    ways = {"with": Judge(law, opened), "without": Judge(law, opened, without=["presence"])}
    tally: dict[tuple[str, str], Row] = defaultdict(lambda: defaultdict(float))
    for lack, scene in scenes(n, seed):
        truths = {rule.id: rule_truth(rule, Facts.of(scene)) for rule in law.rules}
        for way, judge in ways.items():
            verdict, row = judge.judge(scene.image), tally[lack, way]
            row["scenes"] += 1
            cost = verdict.cost
            row["tokens"] += cost.question_tokens
            row["flops"] += flops(Spending(cost.images, cost.question_tokens), sizes) or 0
            for rule in verdict.rules:
                truth = truths[rule.id]
                if truth is not None:
                    row["true" if truth else "false"] += 1
                    row["alarms"] += not truth and rule.outcome == "broken"
                    row["misses"] += truth and rule.outcome == "kept"
                    row["undecided"] += rule.outcome == "undecided"
    rows: list[Row] = []
    for (lack, way), row in tally.items():
        each = {name: row[name] / row["scenes"] for name in ("tokens", "flops")}
        counts = {
            name: int(row[name]) for name in ("scenes", "true", "false", "alarms", "misses", "undecided")
        }
        rows.append({"lack": lack, "presence": way, **counts, **each})
    return rows


def main(argv: list[str] | None = None) -> None:
    parser = files(argparse.ArgumentParser(description=__doc__))
    parser.add_argument(
        "--n", type=int, default=12, help="scenes for each rule and each thing that is lacking"
    )
    parser.add_argument("--seed", type=int, default=18_073)
    parser.add_argument("--model", default="bundled")
    args = parser.parse_args(argv)
    origin = provenance(__file__, argv, seed=args.seed, n=args.n)
    rows = measure(args.n, args.seed, args.model)
    columns = {
        "the scene lacks": "{lack}",
        "presence": "{presence}",
        "scenes": "{scenes}",
        "false alarms": "{alarms}",
        "of": "{false}",
        "misses": "{misses}",
        "of these": "{true}",
        "undecided": "{undecided}",
        "tokens an image": "{tokens:.0f}",
        "MFLOPs an image": "{mega:.0f}",
    }
    shown = [row | {"mega": row["flops"] / 1e6} for row in rows]
    report(args, origin, rows, [table(shown, columns)])


if __name__ == "__main__":
    run_script(main)
