"""How long jurat takes to say its first word: `jurat --help`, and the verdict on one image.

    python perf/startup.py [--runs 15] [--only help] [--json FILE] [--markdown FILE]

Each is a new process, run by turns with a bare Python that imports what it cannot do without: typer and rich
for `--help`; torch and transformers for a verdict of the bundled model, once as they are and once with the
classes that the model is made of, which transformers imports only when they are named. `--help` may take
twice as long as its imports.
"""

from __future__ import annotations

import argparse
import subprocess
import sys
from collections.abc import Sequence

from measuring import ROOT, Row, bar, by_turns, options, provenance, report, table

PYTHON = [sys.executable, "-c"]
JURAT = [sys.executable, "-m", "jurat"]
IMAGE = "examples/scenes/0000-child-with-blade-broken.png"
CLASSES = (
    "AutoModelForImageTextToText, LlavaForConditionalGeneration, LlavaProcessor, PreTrainedTokenizerFast"
)
READY = "from jurat.models.hf.torchvision_import import prepare_torchvision; prepare_torchvision()"
HELP, VERDICT = "jurat --help", "jurat judge, one image"
COMMANDS = {
    "help": {
        "import typer, rich": [*PYTHON, "import typer, rich"],
        HELP: [*JURAT, "--help"],
    },
    "verdict": {
        "import torch, transformers": [*PYTHON, "import torch, transformers"],
        "the classes of its model": [*PYTHON, f"import torch; {READY}; from transformers import {CLASSES}"],
        VERDICT: [*JURAT, "judge", IMAGE, "--constitution", "shelf:nursery", "--device", "cpu", "--quiet"],
    },
}
"""What is compared: the first of each group is what the others are ratios of."""
BAR = 2.0
COLUMNS = {"what": "{what}", "ms": "{ms:.0f}", "ratio": "{ratio:.2f}"}


def start(command: Sequence[str]) -> None:
    """One run, from the start of its process to its end."""
    subprocess.run(command, check=True, cwd=ROOT, stdout=subprocess.DEVNULL)


def measure(groups: Sequence[str], runs: int) -> list[Row]:
    rows: list[Row] = []
    for group in groups:
        ways = {what: lambda command=command: start(command) for what, command in COMMANDS[group].items()}
        seconds = by_turns(ways, runs)
        first = next(iter(seconds.values()))
        rows += [{"what": what, "ms": 1000 * one, "ratio": one / first} for what, one in seconds.items()]
    return rows


def main(argv: Sequence[str] | None = None) -> int:
    parser = options(argparse.ArgumentParser(description=__doc__))
    parser.set_defaults(runs=15)
    parser.add_argument("--only", choices=list(COMMANDS))
    args = parser.parse_args(argv)
    origin = provenance(__file__, argv, runs=args.runs)
    rows = measure([args.only] if args.only else list(COMMANDS), args.runs)
    found = [bar(HELP, row["ratio"], BAR, most=True) for row in rows if row["what"] == HELP]
    report(args, origin, rows, [table(rows, COLUMNS), "\n".join(f"- {line}" for _, line in found)])
    return 0 if all(met for met, _ in found) else 1


if __name__ == "__main__":
    sys.exit(main())
