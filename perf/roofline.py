"""Images/s of the 8B shape on a GPU with 35 clauses an image, as a share of what the GPU could do.

    python perf/roofline.py [--image-tokens 256,1500] [--images 8] [--json FILE] [--markdown FILE]

Scores batches of images with 35 questions of 24 tokens each, vision tower included, in bfloat16. The roofline
is the time that the multiplications which the questions need would take at the rate that one large matrix
product reaches on the same GPU, measured by turns with the batches. Needed are: the linear layers for every
token of the prefix and of the questions, once; attention between tokens that see each other; the vision tower
once an image; and the vocabulary's logits at one position a question. The aim is a share of 0.60.

Without a GPU it says so and ends. `--model qwen3vl-tiny --device cpu` tries it on any machine.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any

from measuring import Row, bar, by_turns, numbers, options, provenance, report, table
from shapes import NO, SHAPES, YES, build, decoder_parameters, qwen_prompt

if TYPE_CHECKING:
    from jurat.models.hf.prompt import Prompt

AIM = 0.6
COLUMNS = {
    "model": "{model}",
    "image tokens": "{image_tokens:,}",
    "questions": "{clauses}",
    "images a batch": "{images}",
    "images/s": "{images_per_s:.2f}",
    "needed TFLOP an image": "{needed_tflop:.3f}",
    "matrix product TFLOP/s": "{product_tflops:.1f}",
    "share of the roofline": "{roofline_share:.2f}",
}


def needed(network: Any, prompt: Prompt) -> float:
    """Floating-point operations that an image with its questions needs: two for each multiply-add."""
    text, vision = network.config.text_config, network.config.vision_config
    prefix, questions = len(prompt.prefix), [len(segment) for segment in prompt.segments]
    tokens = prefix + sum(questions)
    seen = prefix * (prefix + 1) / 2 + sum(q * prefix + q * (q + 1) / 2 for q in questions)
    linear = 2 * decoder_parameters(network) * tokens
    attention = 4 * text.num_attention_heads * text.head_dim * text.num_hidden_layers * seen
    logits = 2 * text.hidden_size * text.vocab_size * len(questions)
    tower, patches = network.model.visual, len(prompt.images["pixel_values"])
    mergers = _parameters(tower.merger, tower.deepstack_merger_list)
    blocks = _parameters(tower.patch_embed, tower.blocks)
    merged = patches / vision.spatial_merge_size**2
    looking = 2 * blocks * patches + 2 * mergers * merged + 4 * vision.hidden_size * vision.depth * patches**2
    return linear + attention + logits + looking


def _parameters(*parts: Any) -> int:
    return sum(p.numel() for part in parts for p in part.parameters())


def product(device: Any, dtype: str, side: int) -> tuple[Callable[[], Any], float]:
    """One matrix product of that side, and its operations."""
    import torch

    a, b = (torch.randn(side, side, device=device, dtype=getattr(torch, dtype)) for _ in range(2))
    return (lambda: a @ b), 2.0 * side**3


def measure(
    name: str, network: Any, image_tokens: int, args: argparse.Namespace, settle: Callable[[], object]
) -> Row:
    from jurat.models.hf.scoring import Scorer

    scorer = Scorer(network, YES, NO)
    prompts = [qwen_prompt(network, image_tokens, args.clauses, seed) for seed in range(args.images)]
    multiply, operations = product(
        network.device, str(network.dtype).removeprefix("torch."), args.product_side
    )
    seconds = by_turns({"batch": lambda: scorer.score(prompts), "product": multiply}, args.runs, settle)
    if scorer.path != "packed":
        raise SystemExit(f"{name} is not packed: {scorer.obstacle}")
    rate = operations / seconds["product"]
    need = needed(network, prompts[0])
    return {
        "model": name,
        "image_tokens": image_tokens,
        "clauses": args.clauses,
        "images": args.images,
        "images_per_s": args.images / seconds["batch"],
        "needed_tflop": need / 1e12,
        "product_tflops": rate / 1e12,
        "roofline_share": args.images * need / rate / seconds["batch"],
    }


def main(argv: Sequence[str] | None = None) -> int:
    parser = options(argparse.ArgumentParser(description=__doc__))
    parser.add_argument("--model", default="qwen3vl-8b", choices=list(SHAPES))
    parser.add_argument("--image-tokens", type=numbers, default=[256, 1500])
    parser.add_argument("--clauses", type=int, default=35)
    parser.add_argument("--images", type=int, default=8, help="scored together")
    parser.add_argument("--product-side", type=int, default=8192, help="of the matrix product")
    parser.add_argument("--device", help="cuda where there is one")
    args = parser.parse_args(argv)

    import torch

    from jurat.models.hf.load_model import choose_device, choose_dtype

    device = choose_device(args.device)
    on_gpu = device.type == "cuda"
    if not on_gpu and args.device is None:
        print(
            f"There is no GPU here. On one this measures how many images/s {args.model} scores with "
            f"{args.clauses} questions each, and which share of the roofline that is."
        )
        return 0
    dtype = choose_dtype(None, device)
    origin = provenance(
        __file__,
        argv,
        runs=args.runs,
        device=torch.cuda.get_device_name(device) if on_gpu else str(device),
        dtype=dtype,
    )
    settle = torch.cuda.synchronize if on_gpu else lambda: None
    network = build(args.model, device, dtype)
    rows = [measure(args.model, network, count, args, settle) for count in args.image_tokens]
    told = [
        bar(f"{row['image_tokens']:,} image tokens, the share", row["roofline_share"], AIM, most=False)[1]
        for row in rows
    ]
    report(args, origin, rows, [table(rows, COLUMNS), "\n".join(f"- {line}" for line in told)])
    return 0


if __name__ == "__main__":
    sys.exit(main())
