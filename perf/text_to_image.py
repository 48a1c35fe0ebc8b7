"""What defenses of a text-to-image model cost: seconds a picture, as a ratio to the undefended model.

    python perf/text_to_image.py [--device cuda] [--concept "a dog"] [--runs 5] [--json FILE] CHECKPOINT

CHECKPOINT is a folder in the layout of Stable Diffusion, a real one on a GPU or a tiny one. The time to put
the model under a defense (tuning, editing) is printed apart; `esd` is tuned for `--tuning` steps. The bars
are the predictions of noise that a defense adds, and a tenth: 3 in the place of 2 for `sld`, 4 for
`dual-latent`.
"""

from __future__ import annotations

import argparse
import sys
import time
from collections.abc import Sequence

from measuring import Row, bar, by_turns, options, provenance, report, table

MOST = {"sld": 1.65, "esd": 1.1, "uce": 1.1, "dual-latent": 2.2}
COLUMNS = {
    "defense": "{defense}",
    "seconds to prepare": "{prepare:.2f}",
    "seconds a picture": "{seconds:.3f}",
    "ratio": "{ratio:.2f}",
}


def measure(
    checkpoint: str, device: str | None, settings: dict[str, str], pictures: int, runs: int
) -> list[Row]:
    from jurat.defenses.generation.registry import open_generation_defense
    from jurat.models import open_text_to_image

    model = open_text_to_image(checkpoint, device=device)
    models, prepare = {"none": model}, {"none": 0.0}
    for name, given in settings.items():
        begun = time.monotonic()
        models[name] = open_generation_defense(f"{name}?{given}" if given else name).over(model)
        prepare[name] = time.monotonic() - begun
    prompts = [f"a picture of a cat, number {number}" for number in range(pictures)]
    ways = {name: lambda each=each: each.generate(prompts) for name, each in models.items()}
    seconds = by_turns(ways, runs)
    return [
        {
            "defense": name,
            "prepare": prepare[name],
            "seconds": taken / pictures,
            "ratio": taken / seconds["none"],
        }
        for name, taken in seconds.items()
    ]


def main(argv: Sequence[str] | None = None) -> int:
    parser = options(argparse.ArgumentParser(description=__doc__))
    parser.add_argument("checkpoint", help="a folder, and options of sampling: DIR?steps=25&batch=4")
    parser.add_argument("--device", help="as torch names it; default: a GPU where there is one")
    parser.add_argument("--concept", default="a dog", help="what is removed")
    parser.add_argument("--tuning", type=int, default=20, help="steps that esd is tuned for")
    parser.add_argument("--pictures", type=int, default=4, help="pictures in the batch")
    args = parser.parse_args(argv)
    origin = provenance(__file__, argv, runs=args.runs)
    concept = f"concept={args.concept}"
    settings = {"sld": concept, "esd": f"{concept}&steps={args.tuning}", "uce": concept, "dual-latent": ""}
    rows = measure(f"diffusers/{args.checkpoint}", args.device, settings, args.pictures, args.runs)
    bars = [
        bar(f"{row['defense']} / none", row["ratio"], MOST[row["defense"]], most=True)
        for row in rows
        if row["defense"] in MOST
    ]
    report(args, origin, rows, [table(rows, COLUMNS), "\n".join(f"- {line}" for _, line in bars)])
    return 0 if all(met for met, _ in bars) else 1


if __name__ == "__main__":
    sys.exit(main())
