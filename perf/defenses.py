"""What wrapping a model in a defense that does nothing costs.

    python perf/defenses.py [--pictures 32] [--runs 15] [--json FILE] [--markdown FILE]

A batch of closed questions and one of short replies about example scenes, by turns with the bundled model as
it is and under a defense that changes nothing, in CPU time. It may take 1.02 times as long.
"""

from __future__ import annotations

import argparse
import sys
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import ClassVar

from measuring import ROOT, Row, bar, by_turns, options, provenance, report, table

MOST = 1.02
COLUMNS = {"what": "{what}", "CPU ms": "{ms:.1f}", "ratio": "{ratio:.3f}"}


def measure(pictures: int, runs: int, threads: int) -> list[Row]:
    import torch
    from PIL import Image

    from jurat.content import Chat, Generation, Turn
    from jurat.defenses.defense import Defense
    from jurat.models import Inquiry, open_model

    @dataclass(frozen=True)
    class Nothing(Defense):
        name: ClassVar[str] = "nothing"

    torch.set_num_threads(threads)
    model = open_model("bundled", device="cpu")
    defended = Nothing().over(model)
    files = sorted((ROOT / "examples" / "scenes").glob("*.png"))
    images = [Image.open(files[i % len(files)]).convert("RGB") for i in range(pictures)]
    shown = [Chat((Turn("user", (image,)),)) for image in images]
    asked = [Inquiry(chat, ("A dog is visible.", "A child is visible.")) for chat in shown]
    told = [
        Chat((Turn("user", (image, "Describe the image.")),), generation=Generation(max_tokens=8))
        for image in images
    ]
    ways: dict[str, Callable[[], object]] = {
        "closed questions, as it is": lambda: model.ask(asked),
        "closed questions, defended": lambda: defended.ask(asked),
        "replies, as it is": lambda: model.chat(told),
        "replies, defended": lambda: defended.chat(told),
    }
    seconds = by_turns(ways, runs, clock=time.process_time)
    plain = {what: seconds[f"{what.partition(',')[0]}, as it is"] for what in ways}
    return [{"what": what, "ms": 1000 * one, "ratio": one / plain[what]} for what, one in seconds.items()]


def main(argv: Sequence[str] | None = None) -> int:
    parser = options(argparse.ArgumentParser(description=__doc__))
    parser.add_argument("--pictures", type=int, default=32, help="pictures in the batch")
    parser.add_argument("--threads", type=int, default=1, help="threads of torch")
    args = parser.parse_args(argv)
    origin = provenance(__file__, argv, runs=args.runs)
    rows = measure(args.pictures, args.runs, args.threads)
    bars = [bar(f"{row['what']} / as it is", row["ratio"], MOST, most=True, digits=3) for row in rows[1::2]]
    report(args, origin, rows, [table(rows, COLUMNS), "\n".join(f"- {line}" for _, line in bars)])
    return 0 if all(met for met, _ in bars) else 1


if __name__ == "__main__":
    sys.exit(main())
