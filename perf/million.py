"""A run over a Parquet table of many URIs: its speed, its peak memory, and resuming after every tenth.

    python perf/million.py [--n 1000000] [--images 300] [--keep DIR] [--json FILE] [--markdown FILE]

The table's URIs name some hundred small images; the model is `null`. The run is stopped by Ctrl-C nine times,
when a further tenth of the rows is recorded, and the same command resumes it. In the end every row must be
there once, and the largest memory of a command may not grow with what was recorded before it, but for the
index. Exits with 1 otherwise.
"""

from __future__ import annotations

import argparse
import os
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from measuring import Row, files, provenance, report, table
from PIL import Image

from jurat.runs.folder import run_files, run_rows
from jurat.runs.recorded_items import item_key

POLICY = """\
name: million
version: "1"
rules:
  - id: no-child
    rule: No child may be visible.
    severity: high
    clauses: [A child is visible.]
"""
GROWTH = 400
"""MiB that the last command may hold more than the first one for a million rows: the index of them."""
COLUMNS = {
    "stopped at": "{stopped_at:.0%}",
    "rows there": "{rows:,}",
    "seconds": "{seconds:.1f}",
    "rows/s": "{rate:.0f}",
    "peak, MiB": "{peak_mib:.0f}",
}


@dataclass
class Leg:
    """One command, from its start to Ctrl-C or its end."""

    rows: int
    """Recorded when it ended."""
    seconds: float
    peak: float
    """MiB."""
    code: int


def prepare(folder: Path, rows: int, images: int) -> None:
    """images/, and table.parquet with an id and a URI in each row."""
    (folder / "images").mkdir(parents=True)
    (folder / "policy.yaml").write_text(POLICY)
    dice = np.random.default_rng(0)
    for number in range(images):
        picture = Image.fromarray(dice.integers(0, 256, (8, 8, 3), dtype=np.uint8)).resize((32, 32))
        picture.save(folder / "images" / f"{number:04}.png")
    schema = pa.schema([("key", pa.string()), ("uri", pa.string()), ("source", pa.string())])
    with pq.ParquetWriter(folder / "table.parquet", schema) as writer:
        for first in range(0, rows, 50_000):
            numbers = range(first, min(rows, first + 50_000))
            names = [f"{folder}/images/{number * 7919 % images:04}.png" for number in numbers]
            table = {"key": [f"k{n:08}" for n in numbers], "uri": names, "source": ["crawl"] * len(names)}
            writer.write_table(pa.table(table, schema))


def go_on(folder: Path, rows: int, until: int | None) -> Leg:
    """Gives the command; Ctrl-C when `until` of all `rows` are recorded, if anything is left to do."""
    command = [
        *(sys.executable, "-m", "jurat", "judge", "table.parquet", "-c", "policy.yaml", "-m", "null"),
        *("--preset", "quick", "--id-column", "key", "--out", "run", "--batch-size", "64", "--quiet"),
    ]
    start = time.monotonic()
    heed = {"preexec_fn": lambda: signal.signal(signal.SIGINT, signal.SIG_DFL)}
    going = subprocess.Popen(command, cwd=folder, **heed)
    peak, asked = 0.0, False
    while going.poll() is None:
        peak = max(peak, peak_of(going.pid))
        if until is not None and not asked and until <= recorded(folder / "run") < rows:
            os.kill(going.pid, signal.SIGINT)
            asked = True
        time.sleep(0.05)
    return Leg(recorded(folder / "run"), time.monotonic() - start, peak, going.returncode)


def peak_of(pid: int) -> float:
    """The largest memory that a process had so far, in MiB."""
    try:
        lines = Path(f"/proc/{pid}/status").read_text().splitlines()
    except OSError:
        return 0.0
    return next((int(line.split()[1]) / 1024 for line in lines if line.startswith("VmHWM:")), 0.0)


def recorded(run: Path) -> int:
    """How many rows a run has, without reading them."""
    count = 0
    for path in run_files(run):
        try:
            if path.suffix == ".parquet":
                count += pq.ParquetFile(path).metadata.num_rows
            else:
                with path.open("rb") as file:
                    count += sum(
                        chunk.count(b"\n") for chunk in iter(lambda file=file: file.read(1 << 20), b"")
                    )
        except FileNotFoundError:  # it is just being turned into a part
            continue
    return count


def main(argv: Sequence[str] | None = None) -> int:
    parser = files(argparse.ArgumentParser(description=__doc__))
    parser.add_argument("--n", type=int, default=1_000_000, help="rows")
    parser.add_argument("--images", type=int, default=300)
    parser.add_argument("--keep", type=Path, help="a folder that is not there yet, for what is written")
    args = parser.parse_args(argv)
    origin = provenance("million.py", argv)
    folder = args.keep or Path(tempfile.mkdtemp())
    try:
        prepare(folder, args.n, args.images)
        legs = list(in_tenths(folder, args.n))
        problems = check(folder, args.n, legs)
    finally:
        if args.keep is None:
            shutil.rmtree(folder, ignore_errors=True)
    rows = as_rows(legs)
    told = f"{sum(leg.seconds for leg in legs):.0f} seconds, {max(leg.peak for leg in legs):.0f} MiB at most."
    met = f"met: {args.n:,} rows, each once; stopped and resumed nine times"
    report(args, origin, rows, [table(rows, COLUMNS), told, "\n".join(problems) or met])
    return 1 if problems else 0


def in_tenths(folder: Path, rows: int) -> Iterator[Leg]:
    """Ten commands, of which all but the last are stopped when a further tenth is there."""
    before = 0
    for tenth in range(1, 11):
        # Of a small table the batch in hand may be more than a tenth: each session adds at least a row.
        leg = go_on(folder, rows, None if tenth == 10 else max(rows * tenth // 10, before + 1))
        before = leg.rows
        print(f"{leg.rows:,} rows after {leg.seconds:.0f} seconds", file=sys.stderr, flush=True)
        yield leg


def as_rows(legs: Sequence[Leg]) -> list[Row]:
    before = [0, *(leg.rows for leg in legs)]
    return [
        {
            "stopped_at": (number + 1) / 10,
            "rows": leg.rows,
            "seconds": leg.seconds,
            "rate": (leg.rows - before[number]) / leg.seconds,
            "peak_mib": leg.peak,
        }
        for number, leg in enumerate(legs)
    ]


def check(folder: Path, rows: int, legs: list[Leg]) -> list[str]:
    """What is wrong in the end."""
    keys = {item_key(row["id"], row["occurrence"]) for row in run_rows(folder / "run", ["id", "occurrence"])}
    problems = []
    if len(keys) != rows or legs[-1].rows != rows:
        problems.append(f"not met: {legs[-1].rows:,} rows of {len(keys):,} items, not {rows:,}")
    codes = [leg.code for leg in legs]
    if codes[-1] != 0 or any(code not in (0, 130) for code in codes):
        problems.append(f"not met: exit codes {codes}")
    allowed = legs[0].peak + GROWTH * rows / 1_000_000 + 50
    if legs[-1].peak > allowed:
        problems.append(f"not met: {legs[-1].peak:.0f} MiB in the end, {legs[0].peak:.0f} at first")
    return problems


if __name__ == "__main__":
    sys.exit(main())
