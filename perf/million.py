"""A run over a Parquet table of many URIs: its speed, its peak memory, and going on after every tenth.

    python perf/million.py [--rows 1000000] [--images 300] [--keep DIR]

The table's URIs name some hundred small images; the model is `null`. The run is stopped by Ctrl-C nine times,
when a further tenth of the rows is recorded, and the same command goes on. In the end every row must be there
once, and the largest memory of a command may not grow with what was recorded before it, but for the index.
Exits with 1 otherwise.
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
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from PIL import Image

from jurat.images.index import item_key
from jurat.images.runs import run_files, run_rows

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


def go_on(folder: Path, until: int | None) -> Leg:
    """Gives the command; Ctrl-C when `until` rows are recorded."""
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
        if until is not None and not asked and recorded(folder / "run") >= until:
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
    """How many rows a run has, told without reading them."""
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


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--rows", type=int, default=1_000_000)
    parser.add_argument("--images", type=int, default=300)
    parser.add_argument("--keep", type=Path, help="a folder that is not there yet, for what is written")
    arguments = parser.parse_args()
    rows = arguments.rows
    folder = arguments.keep or Path(tempfile.mkdtemp())
    try:
        prepare(folder, rows, arguments.images)
        legs: list[Leg] = []
        print(f"{'stopped at':>12} {'rows there':>12} {'seconds':>8} {'rows/s':>8} {'peak MiB':>9}")
        for tenth in range(1, 11):
            before = legs[-1].rows if legs else 0
            leg = go_on(folder, None if tenth == 10 else rows * tenth // 10)
            legs.append(leg)
            speed = (leg.rows - before) / leg.seconds
            print(
                f"{tenth / 10:12.0%} {leg.rows:12,} {leg.seconds:8.1f} {speed:8.0f} {leg.peak:9.0f}",
                flush=True,
            )
        problems = check(folder, rows, legs)
        print(
            f"{sum(leg.seconds for leg in legs):.0f} seconds, {max(leg.peak for leg in legs):.0f} MiB at most"
        )
        print("\n".join(problems) or f"met: {rows:,} rows, each once; stopped and gone on nine times")
        if problems:
            sys.exit(1)
    finally:
        if arguments.keep is None:
            shutil.rmtree(folder, ignore_errors=True)


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
    main()
