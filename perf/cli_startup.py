"""How long `jurat --help` takes, against a bare Python that imports typer and rich.

    python perf/cli_startup.py [--runs 15]

Runs the two by turns, each in a new process, and compares the fastest of each: that is the run
which the rest of the machine disturbed least. The bar is a ratio of 2.
"""

from __future__ import annotations

import argparse
import subprocess
import sys
import time

BARE = [sys.executable, "-c", "import typer, rich"]
HELP = [sys.executable, "-m", "jurat", "--help"]
BAR = 2.0


def seconds(command: list[str]) -> float:
    """Wall time of one run, start of the process included."""
    start = time.perf_counter()
    subprocess.run(command, check=True, stdout=subprocess.DEVNULL)
    return time.perf_counter() - start


def measure(runs: int) -> tuple[float, float]:
    """The fastest of `runs` runs of bare Python and of `jurat --help`, in seconds."""
    pairs = [(seconds(BARE), seconds(HELP)) for _ in range(runs + 1)][1:]  # the first one fills caches
    return min(bare for bare, _ in pairs), min(full for _, full in pairs)


def main() -> int:
    parser = argparse.ArgumentParser(description="Startup of the command line.")
    parser.add_argument("--runs", type=int, default=15)
    bare, full = measure(parser.parse_args().runs)
    ratio = full / bare
    print(f"{'what':<28} {'ms':>7} {'ratio':>6}")
    print(f"{'python: import typer, rich':<28} {bare * 1000:7.1f} {1:6.2f}")
    told = f"bar {BAR:.2f}: {'met' if ratio <= BAR else 'MISSED'}"
    print(f"{'jurat --help':<28} {full * 1000:7.1f} {ratio:6.2f}   {told}")
    return 0 if ratio <= BAR else 1


if __name__ == "__main__":
    sys.exit(main())
