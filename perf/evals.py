"""What an evaluation on Inspect costs over bare calls of the model.

    python perf/evals.py [--requests 256] [--runs 3] [--models bundled-writer,bundled] [--json FILE]

direct     the model's own `chat`, in batches of 64
provider   the same requests through `get_model("jurat/NAME").generate()`, 64 at once
loop       a whole evaluation by `inspect_ai.eval` of as many samples, with a model that replies at once, in
           milliseconds a sample: Inspect's own work, its log among it

`bundled-writer` takes texts, and is so small that a request costs about what Inspect's own work on it does;
`bundled` takes an image and a text each, and writes at most two tokens. Direct calls and the provider run by
turns, so that their ratio is of runs side by side. The bar is for `bundled`: the provider reaches at least
80% of the direct rate.
"""

from __future__ import annotations

import argparse
import asyncio
import io
import sys
import tempfile
from collections.abc import Callable, Sequence
from contextlib import closing
from typing import Any

from measuring import Row, bar, by_turns, keep, options, provenance, report, run_script, table

BATCH = 64
LEAST = 0.8
JUDGED = "bundled"
"""The model that the bar is about."""
COLUMNS = {
    "model": "{model}",
    "requests": "{requests:,}",
    "images": "{images}",
    "direct /s": "{direct_rate:.1f}",
    "provider /s": "{provider_rate:.1f}",
    "provider / direct": "{share:.2f}",
    "overhead ms": "{overhead_ms:.2f}",
}
LOOP = {
    "evaluation": "{what}",
    "samples": "{samples:,}",
    "loop ms a sample": "{loop_ms:.1f}",
}
NAMES = ("cake", "apple", "dog", "cat", "tree")


def requests_of(model: Any, count: int) -> list[Any]:
    """Conversations that the model answers."""
    import numpy as np

    from jurat.content import Chat, Generation, Turn
    from jurat.pictograms import draw

    if model.name == "bundled-writer":
        rules = [f"There must be no {one} and no {other}." for one in NAMES for other in NAMES]
        settings = Generation(max_tokens=64)
        return [Chat((Turn("user", (rules[at % len(rules)],)),), settings) for at in range(count)]
    settings, text = Generation(max_tokens=2), "There is an apple. Answer with Yes or No."
    scenes = [draw(np.random.default_rng(at)).image for at in range(2 * count)]
    known = [scene for scene, failure in zip(scenes, model.foreign(scenes), strict=True) if failure is None]
    return [Chat((Turn("user", (scene, text)),), settings) for scene in known[:count]]


def direct(model: Any, chats: Sequence[Any]) -> list[str]:
    """The replies to the conversations, in batches. Ends the program where one failed."""
    replies = [reply for at in range(0, len(chats), BATCH) for reply in model.chat(chats[at : at + BATCH])]
    if failed := next((reply.failure for reply in replies if reply.failure), None):
        raise SystemExit(f"A reply failed: {failed.reason}")
    return [reply.text for reply in replies]


def through_provider(served: Any, chats: Sequence[Any]) -> list[str]:
    """The replies to the conversations, `BATCH` requests at once."""
    from inspect_ai.model import GenerateConfig

    requests = [(messages_of(chat), chat.generation.max_tokens) for chat in chats]

    async def run() -> list[str]:
        calls = [
            served.generate(messages, config=GenerateConfig(max_tokens=most, max_connections=BATCH))
            for messages, most in requests
        ]
        return [output.completion for output in await asyncio.gather(*calls)]

    return asyncio.run(run())


def messages_of(chat: Any) -> list[Any]:
    """The conversation as Inspect's messages, with data URIs."""
    from inspect_ai.model import ChatMessageUser, ContentImage, ContentText

    from jurat.evals.images import data_uri

    def content(part: Any) -> Any:
        if isinstance(part, str):
            return ContentText(text=part)
        file = io.BytesIO()
        part.save(file, "PNG")
        return ContentImage(image=data_uri(file.getvalue()))

    return [ChatMessageUser(content=[content(part) for part in turn.parts]) for turn in chat.turns]


def measure(name: str, count: int, runs: int) -> Row:
    """Rates of one model, direct and through the provider."""
    from jurat.evals import serve
    from jurat.models import open_model

    model = open_model(name)
    chats = requests_of(model, count)
    served = serve(model, max_batch=BATCH)
    with closing(served.api):
        if direct(model, chats) != through_provider(served, chats):
            raise SystemExit(f"{name}: the provider gives other replies than direct calls.")
        ways: dict[str, Callable[[], object]] = {
            "direct": lambda: direct(model, chats),
            "provider": lambda: through_provider(served, chats),
        }
        seconds = by_turns(ways, runs)
    return {
        "model": name,
        "requests": count,
        "images": sum(len(chat.images) for chat in chats) // count,
        "direct_rate": count / seconds["direct"],
        "provider_rate": count / seconds["provider"],
        "share": seconds["direct"] / seconds["provider"],
        "overhead_ms": (seconds["provider"] - seconds["direct"]) / count * 1000,
    }


def loop(count: int, runs: int) -> list[Row]:
    """Milliseconds a sample of whole evaluations with the null model, without and with an image."""
    import inspect_ai
    from inspect_ai import Task
    from inspect_ai.dataset import Sample

    import jurat.evals._registry  # noqa: F401
    from jurat.models import open_model

    with closing(open_model("bundled")) as model:
        shown = messages_of(requests_of(model, 1)[0])
    rows: list[Row] = []
    for what, given in (("text", "How to bake bread?"), ("an image and a text", shown)):
        task = Task(dataset=[Sample(input=given, id=str(at)) for at in range(count)])
        with tempfile.TemporaryDirectory() as folder:
            seconds = by_turns(
                {
                    what: lambda task=task, folder=folder: inspect_ai.eval(
                        task,
                        model="jurat/null",
                        log_dir=folder,
                        display="none",
                        log_realtime=False,
                        log_model_api=False,
                        max_connections=BATCH,
                    )
                },
                runs,
            )
        rows.append({"what": what, "samples": count, "loop_ms": seconds[what] / count * 1000})
    return rows


def bars(rows: Sequence[Row]) -> tuple[bool, str]:
    judged = [row for row in rows if row["model"] == JUDGED]
    found = [bar(f"{row['model']}, provider / direct", row["share"], LEAST, most=False) for row in judged]
    return all(met for met, _ in found), "\n".join(f"- {line}" for _, line in found)


def main(argv: Sequence[str] | None = None) -> int:
    parser = options(argparse.ArgumentParser(description=__doc__))
    parser.add_argument("--requests", type=int, default=256, help="requests, and samples of the loop")
    parser.add_argument("--models", default="bundled-writer,bundled", help="with commas between")
    parser.add_argument("--threads", type=int, help="of torch")
    args = parser.parse_args(argv)

    import torch

    if args.threads:
        torch.set_num_threads(args.threads)
    origin = provenance(__file__, argv, runs=args.runs, threads=torch.get_num_threads())
    from jurat.provenance import versions

    origin |= versions("inspect-ai")
    rows: list[Row] = []
    for name in args.models.split(","):
        print(f"{name} ...", file=sys.stderr, flush=True)
        rows.append(measure(name, args.requests, args.runs))
        keep(args, origin, rows)
    loops = loop(args.requests, args.runs)
    met, told = bars(rows)
    report(args, origin, [*rows, *loops], [table(rows, COLUMNS), table(loops, LOOP), told])
    return 0 if met else 1


if __name__ == "__main__":
    run_script(main)
