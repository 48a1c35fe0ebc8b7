"""How far a model's scores drift in half precision: the same questions in two dtypes.

    python perf/drift.py [--model bundled] [--dtype bfloat16] [--against float32] [--images 32] [--json FILE]

Draws scenes for the 14 rules of `shelf:nursery` and asks every clause about each, in both dtypes, with
the image and without. `score` is P(Yes) / (P(Yes) + P(No)), `mass` their sum. A flip is a score that
changes sides of one half. Weights are opened one dtype after the other: one copy of them is held at a time.
"""

from __future__ import annotations

import argparse
import subprocess
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from measuring import Row, options, provenance, report, run_script, table

if TYPE_CHECKING:
    from PIL import Image

    from jurat.models import YesNo

LAW = "shelf:nursery"
COLUMNS = {
    "asked": "{asked}",
    "answers": "{answers:,}",
    "score, mean": "{score_mean:.5f}",
    "score, 99%": "{score_p99:.5f}",
    "score, most": "{score_max:.5f}",
    "log-odds, mean": "{log_odds_mean:.4f}",
    "log-odds, most": "{log_odds_max:.4f}",
    "mass, mean": "{mass_mean:.5f}",
    "mass, most": "{mass_max:.5f}",
    "least mass": "{least_mass:.4f}",
    "flips": "{flips}",
}


def scenes(folder: Path, count: int) -> list[Image.Image]:
    from jurat.media import decode

    drawn = ["pictograms", "cases", "--constitution", LAW, "--n", str(count), "--out", str(folder)]
    subprocess.run([sys.executable, "-m", "jurat", *drawn], check=True, stdout=subprocess.DEVNULL)
    return [decode(path.read_bytes()).frames[0] for path in sorted(folder.glob("*.png"))[:count]]


def answers(
    name: str, device: str | None, dtype: str, images: Sequence[Image.Image | None], batch: int
) -> list[YesNo]:
    """Answers to every clause about every image, in order; None asks without one."""
    from jurat.content import Failure
    from jurat.judge import Judge
    from jurat.judge.asking import ImageQuestions, ask
    from jurat.models import open_model

    model = open_model(name, device=device, dtype=dtype)
    wanted = tuple(Judge(LAW, model, "quick", allow_unknown=True).questions)
    found: list[YesNo] = []
    for start in range(0, len(images), batch):
        for asked in ask(model, [ImageQuestions(image, wanted) for image in images[start : start + batch]]):
            if isinstance(asked, Failure):
                raise SystemExit(f"{name} in {dtype}: {asked.reason}")
            found += [asked.answers[question] for question in wanted]
    return found


def drift(asked: str, ours: Sequence[YesNo], other: Sequence[YesNo]) -> Row:
    """How far `ours` lie from `other`, answer by answer."""
    import numpy as np

    pairs = [(a, b) for a, b in zip(ours, other, strict=True) if a.failure is None and b.failure is None]
    if not pairs:
        raise SystemExit(f"no question could be answered {asked}")
    score, odds, mass = (
        np.abs([getattr(a, name) - getattr(b, name) for a, b in pairs])
        for name in ("score", "log_odds", "mass")
    )
    return {
        "asked": asked,
        "answers": len(pairs),
        "score_mean": float(score.mean()),
        "score_p99": float(np.quantile(score, 0.99)),
        "score_max": float(score.max()),
        "log_odds_mean": float(odds.mean()),
        "log_odds_max": float(odds.max()),
        "mass_mean": float(mass.mean()),
        "mass_max": float(mass.max()),
        "least_mass": min(a.mass for a, _ in pairs),
        "flips": sum((a.score > 0.5) != (b.score > 0.5) for a, b in pairs),
    }


def main(argv: Sequence[str] | None = None) -> int:
    parser = options(argparse.ArgumentParser(description=__doc__))
    parser.add_argument("--model", default="bundled", help="as jurat judge takes it")
    parser.add_argument("--device", help="cuda where there is one")
    parser.add_argument("--dtype", default="bfloat16", choices=["bfloat16", "float16"])
    parser.add_argument("--against", default="float32", choices=["float32", "bfloat16", "float16"])
    parser.add_argument("--images", type=int, default=32)
    parser.add_argument("--batch", type=int, default=8)
    args = parser.parse_args(argv)
    origin = provenance(__file__, argv, model=args.model, dtype=args.dtype, against=args.against)
    with tempfile.TemporaryDirectory() as folder:
        shown: list[Image.Image | None] = [*scenes(Path(folder), args.images)]
    half, full = (
        answers(args.model, args.device, dtype, [*shown, None], args.batch)
        for dtype in (args.dtype, args.against)
    )
    each = len(half) // (len(shown) + 1)
    rows = [
        drift("with an image", half[:-each], full[:-each]),
        drift("without an image", half[-each:], full[-each:]),
    ]
    rows = [{"model": args.model, "dtype": args.dtype, "against": args.against, **row} for row in rows]
    head = f"{args.model}, {args.dtype} against {args.against}: absolute differences"
    report(args, origin, rows, [head, table(rows, COLUMNS)])
    return 0


if __name__ == "__main__":
    run_script(main)
