"""What defenses of a text-to-image model cost, and what a search for prompts does.

    python perf/text_to_image.py [--device cuda] [--dtype float16] [--concept "a dog"] CHECKPOINT

CHECKPOINT is a folder in the layout of Stable Diffusion, a real one on a GPU or a tiny one. The first table
has seconds a picture, as a ratio to the undefended model, and on a GPU the most memory that was allocated.
The time to put the model under a defense (tuning, editing) is printed apart; `esd` is tuned for `--tuning`
steps, `sld` guides from the first step on. The bars are the predictions of noise that a defense adds, and a
tenth: 3 in the place of 2 for `sld`, 4 for `dual-latent`. The second table has what Ring-A-Bell encodes in a
second, and what one prompt would take with the authors' settings.

`jurat bench text-to-image` measures what defenses are worth on the same checkpoint
(docs/text-to-image.md).
"""

from __future__ import annotations

import argparse
import sys
import time
from collections.abc import Sequence
from dataclasses import replace
from typing import Any

from measuring import Row, bar, by_turns, options, provenance, report, table

MOST = {"sld": 1.65, "esd": 1.1, "uce": 1.1, "dual-latent": 2.2}
COLUMNS = {
    "defense": "{defense}",
    "seconds to prepare": "{prepare:.2f}",
    "seconds a picture": "{seconds:.3f}",
    "ratio": "{ratio:.2f}",
    "GPU memory, GiB": "{memory:.2f}",
}
SEARCH = {
    "attack": "{attack}",
    "tokens": "{tokens}",
    "rows encoded a second": "{encoded:,.0f}",
    "a prompt as the authors search, minutes": "{minutes:.1f}",
}
GENERATIONS = 20
"""Generations of a search that is timed."""


def measure(
    checkpoint: str,
    device: str | None,
    dtype: str | None,
    settings: dict[str, str],
    pictures: int,
    runs: int,
) -> list[Row]:
    from jurat.defenses.generation.registry import open_generation_defense
    from jurat.models import open_text_to_image

    model = open_text_to_image(checkpoint, device=device, dtype=dtype)
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
            **_memory(ways[name]),
        }
        for name, taken in seconds.items()
    ]


def _memory(work: Any) -> Row:
    """The most memory of a GPU that is allocated meanwhile; nothing without one."""
    import torch

    if not torch.cuda.is_available():
        return {}
    torch.cuda.reset_peak_memory_stats()
    work()
    return {"memory": torch.cuda.max_memory_allocated() / 2**30}


def search(folder: str, device: str | None, concept: str) -> Row:
    """A short search, and what one of the authors' length would take."""
    from jurat.attacks.methods.ring_a_bell import RingABell, concept_direction
    from jurat.models.diffusion.checkpoint import find_checkpoint
    from jurat.models.diffusion.text_encoder import TextEncoder

    encoder = TextEncoder(find_checkpoint(folder), device=device)
    usual = RingABell(length=min(RingABell.length, encoder.most))
    direction = concept_direction(encoder, [(f"a cat and {concept}", "a cat")])
    (found,) = replace(usual, generations=GENERATIONS).run(encoder, direction, ["a cat"])
    rate = found.encoded / found.seconds
    rows = found.encoded / GENERATIONS * usual.generations
    return {"attack": usual.name, "tokens": usual.length, "encoded": rate, "minutes": rows / rate / 60}


def main(argv: Sequence[str] | None = None) -> int:
    parser = options(argparse.ArgumentParser(description=__doc__))
    parser.add_argument("checkpoint", help="a folder, and options of sampling: DIR?steps=25&batch=4")
    parser.add_argument("--device", help="as torch names it; default: a GPU where there is one")
    parser.add_argument("--dtype", help="float32, bfloat16 or float16; default: bfloat16 on a GPU")
    parser.add_argument("--concept", default="a dog", help="what is removed")
    parser.add_argument("--tuning", type=int, default=20, help="steps that esd is tuned for")
    parser.add_argument("--pictures", type=int, default=4, help="pictures in the batch")
    args = parser.parse_args(argv)
    origin = provenance(__file__, argv, runs=args.runs)
    concept = f"concept={args.concept}"
    settings = {"sld": f"{concept}&warm_up=0", "esd": f"{concept}&steps={args.tuning}", "uce": concept}
    settings["dual-latent"] = ""
    name = f"diffusers/{args.checkpoint}"
    rows = measure(name, args.device, args.dtype, settings, args.pictures, args.runs)
    searched = search(args.checkpoint.partition("?")[0], args.device, args.concept)
    bars = [
        bar(f"{row['defense']} / none", row["ratio"], MOST[row["defense"]], most=True)
        for row in rows
        if row["defense"] in MOST
    ]
    told = [table(rows, COLUMNS), "\n".join(f"- {line}" for _, line in bars), table([searched], SEARCH)]
    report(args, origin, [*rows, searched], told)
    return 0 if all(met for met, _ in bars) else 1


if __name__ == "__main__":
    sys.exit(main())
