"""What many questions about one image cost, against one question and against asking them one by one.

    python perf/questions.py [--runs 5] [--json FILE] [--markdown FILE]

On one image, 1 to 140 questions of 24 tokens, at several numbers of image tokens:

packed     as jurat asks them: the prefix and all questions in one forward pass
separate   one row a question, as many rows a pass as are fastest
cached     the prefix once, its cache expanded to one row a question, as many rows a pass as fit
floor      one bare forward pass of the decoder over the packed number of tokens, logits of one position

All of them without the vision tower, whose time is a column of its own. The models are a decoder of
Qwen3-VL's shape with 100M random parameters, the bundled model, and on a GPU the true 8B shape in bfloat16.
All ways and numbers of questions run by turns, so that every ratio is of runs side by side. The bars are for
35 questions to the 100M decoder; a line each says whether it is met.
"""

from __future__ import annotations

import argparse
import copy
import sys
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from itertools import islice
from typing import TYPE_CHECKING, Any

from measuring import Row, bar, by_turns, keep, numbers, options, provenance, report, table
from shapes import (
    NO,
    QUESTION,
    SHAPES,
    YES,
    build,
    decoder_parameters,
    llava_image_tokens,
    llava_prompt,
    qwen_prompt,
)

if TYPE_CHECKING:
    from jurat.models.hf.prompt import Prompt

BUNDLED = "bundled"
WAYS = ("packed", "separate", "cached", "floor")
SEPARATE_LIMIT = (256, 35)
"""With more image tokens than the first and more questions than the second, separate calls are not run."""
ROWS = (1, 4, 16, 64)
"""Rows a pass that are tried for separate calls."""
TOKENS_A_PASS = 16_384
"""Most tokens in a pass of separate calls."""
NOISE = {"float32": 1e-3, "float16": 0.05, "bfloat16": 0.25}
"""Log-odds by which the ways may differ."""
JUDGED = "qwen3vl-100m"
"""The model that the bars are about."""
COLUMNS = {
    "model": "{model}",
    "image tokens": "{image_tokens:,}",
    "questions": "{clauses}",
    "packed tokens": "{tokens_packed:,}",
    "packed s": "{packed_s:.3f}",
    "separate s": "{separate_s:.3f}",
    "cached s": "{cached_s:.3f}",
    "floor s": "{floor_s:.3f}",
    "vision s": "{vision_s:.3f}",
    "packed / floor": "{over_floor:.2f}",
    "separate / packed": "{speedup:.2f}",
    "the same in tokens": "{token_ratio:.2f}",
    "cached / packed": "{over_cached:.2f}",
    "packed / one question": "{over_one:.2f}",
}


@dataclass(frozen=True)
class Subject:
    """A model that is measured."""

    name: str
    network: Any
    image_tokens: tuple[int, ...]

    def prompt(self, image_tokens: int, clauses: int) -> Prompt:
        if self.name == BUNDLED:
            return llava_prompt(self.network, clauses)
        return qwen_prompt(self.network, image_tokens, clauses)


class Ways:
    """The ways to ask about one image, with what the vision tower makes of it already there."""

    def __init__(self, network: Any) -> None:
        from jurat.models.hf.scoring import Scorer

        self.network = network
        self.scorer = Scorer(network, YES, NO)
        self._keeping = Scorer(network, YES, NO, path="cached")
        self._plain = Scorer(network, YES, NO, path="plain")

    def packed(self, prompt: Prompt) -> list[float]:
        (scored,) = self.scorer.score([prompt])
        return [answer.log_odds for answer in scored.answers]

    def separate(self, prompt: Prompt, rows: int) -> list[float]:
        alone = (replace(prompt, segments=(segment,)) for segment in prompt.segments)
        found: list[float] = []
        while batch := list(islice(alone, rows)):
            found += [scored.answers[0].log_odds for scored in self._plain.score(batch)]
        return found

    def cached(self, prompt: Prompt) -> list[float]:
        import torch

        with torch.inference_mode():  # `score` would ask a single question plainly
            (answers,) = self._keeping.cached([prompt])
        return [answer.log_odds for answer in answers]

    def floor(self, ids: Any) -> float:
        import torch

        with torch.inference_mode():
            hidden = self.network.model.language_model(input_ids=ids, use_cache=False).last_hidden_state
            return float(self.network.lm_head(hidden[:, -1:])[0, 0, 0])

    def vision(self, prompt: Prompt) -> Any:
        import torch

        images = {k: v.to(self.network.device) for k, v in prompt.images.items()}
        with torch.inference_mode():
            return self.network.model.get_image_features(**images, return_dict=True)

    @contextmanager
    def looked(self, prompt: Prompt) -> Iterator[None]:
        """Within it the tower's features of the prompt's image are remembered, for any number of copies."""
        model, one = self.network.model, self.vision(prompt)
        patches = len(prompt.images["pixel_values"])
        model.get_image_features = lambda pixel_values, *_, **__: _copies(one, len(pixel_values) // patches)
        try:
            yield
        finally:
            del model.get_image_features


def _copies(features: Any, count: int) -> Any:
    """What the tower would give for `count` copies of its one image: an entry an image, layer by layer."""
    found = copy.copy(features)
    found.pooler_output = tuple(features.pooler_output) * count
    if getattr(features, "deepstack_features", None) is not None:
        found.deepstack_features = [tuple(layer) * count for layer in features.deepstack_features]
    return found


def measure(
    subject: Subject,
    image_tokens: int,
    clauses: Sequence[int],
    runs: int,
    settle: Callable[[], object],
    wanted: Sequence[str] = WAYS,
) -> list[Row]:
    """One row a number of questions, on one image of that many tokens; None for a way that is not wanted."""
    import torch

    ways = Ways(subject.network)
    most = subject.prompt(image_tokens, max(clauses))
    vision = by_turns({"vision": lambda: ways.vision(most)}, runs, settle)["vision"]
    with ways.looked(most):
        length = len(most.prefix) + QUESTION
        agree(subject, ways, replace(most, segments=most.segments[:5]))
        rows = _best_rows(ways, most, settle) if "separate" in wanted else 1
        work: dict[tuple[int, str], Callable[[], object]] = {}
        for count in clauses:
            prompt = replace(most, segments=most.segments[:count])
            total = len(prompt.prefix) + count * QUESTION
            ids = torch.randint(10, 100, (1, total), device=subject.network.device)
            work[count, "packed"] = lambda prompt=prompt: ways.packed(prompt)
            if image_tokens <= SEPARATE_LIMIT[0] or count <= SEPARATE_LIMIT[1]:
                work[count, "separate"] = lambda prompt=prompt: ways.separate(prompt, rows)
            work[count, "cached"] = lambda prompt=prompt: ways.cached(prompt)
            work[count, "floor"] = lambda ids=ids: ways.floor(ids)
        seconds = by_turns({key: do for key, do in work.items() if key[1] in wanted}, runs, settle)
        if ways.scorer.path != "packed":
            raise SystemExit(f"{subject.name} is not packed: {ways.scorer.obstacle}")
    return [
        {
            "model": subject.name,
            "image_tokens": image_tokens,
            "clauses": count,
            "tokens_packed": len(most.prefix) + count * QUESTION,
            "tokens_separate": count * length,
            **{f"{way}_s": seconds.get((count, way)) for way in WAYS},
            "vision_s": vision,
        }
        for count in clauses
    ]


def agree(subject: Subject, ways: Ways, prompt: Prompt) -> None:
    """Ends the program where the ways do not give the same answers: their times could not be compared."""
    limit = NOISE[str(subject.network.dtype).removeprefix("torch.")]
    packed, separate, cached = ways.packed(prompt), ways.separate(prompt, 4), ways.cached(prompt)
    for way, found in (("separate calls", separate), ("the expanded cache", cached)):
        off = max(abs(a - b) for a, b in zip(packed, found, strict=True))
        if off > limit:
            raise SystemExit(f"{subject.name}: packed and {way} differ by {off:.3g} in log-odds.")


def _best_rows(ways: Ways, prompt: Prompt, settle: Callable[[], object]) -> int:
    """How many rows a pass make separate calls fastest, tried on one pass each."""
    most = max(1, min(len(prompt.segments), TOKENS_A_PASS // (len(prompt.prefix) + QUESTION)))
    tried = sorted({rows for rows in ROWS if rows < most} | {most})
    work = {
        rows: lambda rows=rows: ways.separate(replace(prompt, segments=prompt.segments[:rows]), rows)
        for rows in tried
    }
    seconds = by_turns(work, 1, settle)
    return min(tried, key=lambda rows: seconds[rows] / rows)


def with_ratios(rows: Sequence[Row]) -> list[Row]:
    """The rows with what is compared; a ratio that has no parts is None."""
    ones = {(row["model"], row["image_tokens"]): row["packed_s"] for row in rows if row["clauses"] == 1}
    return [
        {
            **row,
            "over_floor": row["packed_s"] / row["floor_s"],
            "speedup": row["separate_s"] / row["packed_s"] if row["separate_s"] is not None else None,
            "token_ratio": row["tokens_separate"] / row["tokens_packed"],
            "over_cached": row["cached_s"] / row["packed_s"] if row["cached_s"] is not None else None,
            "over_one": row["packed_s"] / one
            if (one := ones.get((row["model"], row["image_tokens"])))
            else None,
        }
        for row in rows
    ]


def bars(rows: Sequence[Row]) -> tuple[bool, str]:
    """What 35 questions to the 100M decoder may cost; whether all is met, and a line each."""
    found: list[tuple[bool, str]] = []
    for row in with_ratios(rows):
        if row["model"] != JUDGED or row["clauses"] != 35:
            continue
        at = f"35 questions at {row['image_tokens']:,} image tokens"
        limit = 1.3 if row["image_tokens"] <= 64 else 1.15
        found.append(bar(f"{at}, packed / floor", row["over_floor"], limit, most=True))
        if row["speedup"] is not None:
            share = row["speedup"] / row["token_ratio"]
            found.append(bar(f"{at}, separate / packed as a share of that in tokens", share, 0.8, most=False))
        if row["image_tokens"] == 1500 and row["over_one"] is not None:
            found.append(bar(f"{at}, packed / one question", row["over_one"], 1.8, most=True))
    return all(met for met, _ in found), "\n".join(f"- {line}" for _, line in found)


def subjects(names: Sequence[str], image_tokens: Sequence[int], device: Any, dtype: str) -> Iterator[Subject]:
    """The models, each made when its turn comes. The bundled one has one size of images: its own."""
    for name in names:
        if name == BUNDLED:
            from jurat.models.bundled.model import WEIGHTS
            from jurat.models.hf.load_model import load

            network = load(WEIGHTS, device=str(device), dtype=dtype, image_backend="pil").network
            yield Subject(name, network, (llava_image_tokens(network),))
        else:
            yield Subject(name, build(name, device, dtype), tuple(image_tokens))


def main(argv: Sequence[str] | None = None) -> int:
    parser = options(argparse.ArgumentParser(description=__doc__))
    parser.add_argument("--models", help=f"of {BUNDLED}, {', '.join(SHAPES)}, with commas between")
    parser.add_argument("--image-tokens", type=numbers, default=[64, 256, 1500])
    parser.add_argument("--clauses", type=numbers, default=[1, 5, 12, 35, 140])
    parser.add_argument("--without", default="", help="ways to leave out: separate, cached")
    parser.add_argument("--device", help="cpu, cuda; a GPU is used where there is one")
    parser.add_argument("--dtype", help="default: float32 on a CPU, bfloat16 on a GPU")
    parser.add_argument("--threads", type=int, help="of torch on a CPU")
    args = parser.parse_args(argv)

    import torch

    from jurat.models.hf.load_model import choose_device, choose_dtype

    if args.threads:
        torch.set_num_threads(args.threads)
    device = choose_device(args.device)
    dtype = choose_dtype(args.dtype, device)
    on_gpu = device.type == "cuda"
    names = (args.models or f"{JUDGED},{BUNDLED}{',qwen3vl-8b' if on_gpu else ''}").split(",")
    wanted = [way for way in WAYS if way not in args.without.split(",") or way in ("packed", "floor")]
    if unknown := [name for name in names if name not in (BUNDLED, *SHAPES)]:
        parser.error(f"there is no model {unknown[0]!r}; there are {', '.join((BUNDLED, *SHAPES))}")
    origin = provenance(
        __file__,
        argv,
        runs=args.runs,
        device=torch.cuda.get_device_name(device) if on_gpu else str(device),
        dtype=dtype,
        threads=torch.get_num_threads(),
    )
    settle = torch.cuda.synchronize if on_gpu else lambda: None
    rows: list[Row] = []
    decoders: dict[str, int] = {}
    for subject in subjects(names, args.image_tokens, device, dtype):
        decoders[subject.name] = decoder_parameters(subject.network)
        for image_tokens in subject.image_tokens:
            print(f"{subject.name}, {image_tokens:,} image tokens ...", file=sys.stderr, flush=True)
            rows += measure(subject, image_tokens, args.clauses, args.runs, settle, wanted)
            keep(args, origin, rows)
    origin["decoder_parameters"] = decoders
    met, told = bars(rows)
    report(args, origin, rows, [table(with_ratios(rows), COLUMNS), told])
    return 0 if met else 1


if __name__ == "__main__":
    sys.exit(main())
