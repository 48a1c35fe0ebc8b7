"""How long `jurat constitution impact` takes on a large run of which only thresholds changed.

    python perf/impact.py [--n 100000] [--distinct 300] [--slow 2000] [--json FILE] [--markdown FILE]

Some hundred pictures are judged by the `null` model under a policy of five rules; their verdicts are written
again and again under other ids, with the library's own sink, into the folder of a run. Then the command is
given with thresholds that flip a few verdicts, and with ones that flip many, its start counted in. Beside it
stands deciding every row again in full, as an edit of clauses takes it: measured on `--slow` rows and
multiplied. Exits with 1 if the two find different flips, or the command takes a core for more than `--limit`
seconds.
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from itertools import islice
from pathlib import Path
from typing import Any

from measuring import Row, bar, options, provenance, report, table

WORDS = ("child", "dog", "cat", "knife", "fire")
POLICY = "name: p\nrules:\n" + "".join(
    f"  - id: no-{word}\n    rule: No {word} may be visible on a table.\n{{{word}}}"
    f"    clauses: [A {word} is visible., {{{{any of: [A table is visible., A {word} is on a table.]}}}}]\n"
    for word in WORDS
)
CHANGES = {
    "thresholds, few flips": {"child": (0.39, 0.61)},
    "thresholds, many flips": dict.fromkeys(WORDS, (0.05, 0.3)),
}
COLUMNS = {
    "change": "{change}",
    "rows": "{rows:,}",
    "flips": "{flips:,}",
    "command, s": "{seconds:.1f}",
    "of a core, s": "{cpu_seconds:.1f}",
    "rows in full, s": "{full_seconds:.0f}",
    "ratio": "{ratio:.0f}",
    "peak, MiB": "{peak_mib:.0f}",
}


def policy(bounds: dict[str, tuple[float, float]]) -> str:
    told = {word: "    keep_below: {}\n    break_above: {}\n".format(*bounds[word]) for word in bounds}
    return POLICY.format_map({word: told.get(word, "") for word in WORDS})


def prepare(folder: Path, rows: int, distinct: int) -> float:
    """old.yaml, and run/ with so many rows; how long writing them took."""
    import numpy as np
    from PIL import Image

    from jurat.constitution import load_constitution
    from jurat.judge import VERDICT_ROWS, Judge, verdict_to_row
    from jurat.runs.folder import write_facts
    from jurat.runs.part_writer import PartWriter

    (folder / "old.yaml").write_text(policy({}))
    judge = Judge(load_constitution(folder / "old.yaml"), "null")
    dice = np.random.default_rng(0)
    pictures = (Image.fromarray(dice.integers(0, 256, (8, 8, 3), dtype=np.uint8)) for _ in range(distinct))
    made = [verdict_to_row(judge(picture)) for picture in pictures]
    start = time.perf_counter()
    write_facts(folder / "run", {"settings": {}})
    with PartWriter(folder / "run", VERDICT_ROWS) as sink:
        for number in range(rows):
            name = f"pics/{number:08}.png"
            sink.write({**made[number * 7919 % distinct], "id": name, "uri": f"/{name}"})
    return time.perf_counter() - start


CHILD = """
import resource, sys
from jurat.cli import main
try:
    main()
finally:
    used = resource.getrusage(resource.RUSAGE_SELF)
    print(used.ru_utime + used.ru_stime, used.ru_maxrss / 1024, file=sys.stderr)
"""


def command(folder: Path) -> tuple[float, float, float, dict[str, Any]]:
    """Seconds, those of a core, peak MiB, and what was found."""
    given = ["constitution", "impact", "old.yaml", "new.yaml", "--run", "run", "--no-ask", "--json"]
    start = time.perf_counter()
    done = subprocess.run(
        [sys.executable, "-c", CHILD, *given], cwd=folder, capture_output=True, text=True, check=True
    )
    cpu, peak = map(float, done.stderr.split()[-2:])
    return time.perf_counter() - start, cpu, peak, json.loads(done.stdout)


def in_full(folder: Path, rows: int) -> tuple[float, int, list[str]]:
    """Decides some rows again one by one: seconds a row, their number, and the ids of those that flip."""
    from jurat.constitution import load_constitution
    from jurat.judge import row_to_verdict, verdict_to_row
    from jurat.judge.plan import plan
    from jurat.judge.presets import find_preset
    from jurat.judge.replay.redecide import Redecider
    from jurat.runs import read_rows

    preset = find_preset("jurat")
    laws = (load_constitution(folder / name) for name in ("old.yaml", "new.yaml"))
    redecide = Redecider(*(plan(law, preset) for law in laws), preset)
    flips: list[str] = []
    number = 0
    start = time.perf_counter()
    for row in islice(read_rows(folder / "run"), rows):
        number += 1
        again = redecide(row_to_verdict(row))
        if again is not None and verdict_to_row(again)["outcome"] != row["outcome"]:
            flips.append(row["id"])
    return (time.perf_counter() - start) / number, number, flips


def measure(folder: Path, rows: int, slow: int, runs: int) -> list[Row]:
    found: list[Row] = []
    for name, bounds in CHANGES.items():
        (folder / "new.yaml").write_text(policy(bounds))
        each, some, flips = in_full(folder, min(slow, rows))
        seconds, cpu, peak, told = min((command(folder) for _ in range(runs)), key=lambda one: one[0])
        listed = [item["id"] for item in told["items_that_flip"] if int(item["id"][5:13]) < some]
        if listed != flips or told["recorded"] != rows:
            raise SystemExit(f"{name}: columns and whole rows differ: {len(listed)} and {len(flips)} flips")
        found.append(
            {
                "change": name,
                "rows": rows,
                "flips": told["flips"],
                "seconds": seconds,
                "cpu_seconds": cpu,
                "full_seconds": each * rows,
                "ratio": each * rows / seconds,
                "peak_mib": peak,
            }
        )
    return found


def main(argv: Sequence[str] | None = None) -> int:
    parser = options(argparse.ArgumentParser(description=__doc__))
    parser.set_defaults(runs=1)
    parser.add_argument("--n", type=int, default=100_000, help="rows of the run")
    parser.add_argument("--distinct", type=int, default=300, help="verdicts that differ")
    parser.add_argument("--slow", type=int, default=2000, help="rows that are decided again in full")
    parser.add_argument("--limit", type=float, default=15.0, help="seconds of a core; more exits with 1")
    args = parser.parse_args(argv)
    origin = provenance("impact.py", argv, n=args.n)
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        writing = prepare(folder, args.n, args.distinct)
        rows = measure(folder, args.n, args.slow, args.runs)
        size = sum(path.stat().st_size for path in folder.rglob("*.parquet")) / 2**20
    met, line = bar(
        "the slower command, s of a core", max(r["cpu_seconds"] for r in rows), args.limit, most=True
    )
    told = f"{args.n:,} rows were written in {writing:.0f} s: {size:.0f} MiB of Parquet."
    report(args, origin, rows, [table(rows, COLUMNS), told, line])
    return 0 if met else 1


if __name__ == "__main__":
    sys.exit(main())
