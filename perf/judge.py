"""Images a second and peak memory of the judge with the bundled model.

    python perf/judge.py [--images 64] [--sizes 100,1000,10000] [--json FILE] [--markdown FILE]
    python perf/judge.py --images 0 --sizes 0 --before CHECKOUT

Draws scenes for the 14 rules of `shelf:nursery`. The first table compares, by turns in one process:

end to end      reading, decoding, preprocessing, scoring, deciding, and writing the verdicts
model alone     the forward passes over the same questions, decoded and preprocessed beforehand; where the
                preset points at what it saw, the detector's calls too
unpacked        end to end, each question asked on its own, in batches

The second runs `jurat judge` over ever more files, the scenes again and again, each number in a process of
its own, and gives its peak memory, and its rate from the end of the first batch on. The bars: end to end at
least 0.85 of the model alone, and three times the unpacked; peak memory at the largest number at most 1.05 of
that at the one before; 5 images/s.

With `--before` a third table compares `jurat judge` of this checkout, gate included, with that of another
one, of other code or weights: both run over the same `--scenes` files by turns, `--runs` times, each in a
process of its own. The ratio is that of the two runs of a turn: the median, the least and the greatest.
"""

from __future__ import annotations

import argparse
import itertools
import json
import os
import subprocess
import sys
import tempfile
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path
from statistics import median
from typing import TYPE_CHECKING, Any

from measuring import ROOT, Row, bar, by_turns, numbers, options, provenance, report, table

if TYPE_CHECKING:
    from jurat.judge import Judge
    from jurat.models import Answer, Inquiry

LAW = "shelf:nursery"
FIRST = 16
"""Images of the first batch of `jurat judge`."""
JURAT = [sys.executable, "-m", "jurat"]
RATES = {
    "preset": "{preset}",
    "images": "{images}",
    "end to end images/s": "{end_to_end_images_s:.2f}",
    "model alone images/s": "{model_alone_images_s:.2f}",
    "unpacked images/s": "{unpacked_images_s:.2f}",
    "end to end / model alone": "{share:.2f}",
    "end to end / unpacked": "{speedup:.2f}",
}
STAGES = {
    "preset": "{preset}",
    "read and decode ms": "{decode_ms:.1f}",
    "preprocess ms": "{preprocess_ms:.1f}",
    "model ms": "{model_ms:.1f}",
    "write ms": "{write_ms:.1f}",
    "the rest ms": "{rest_ms:.1f}",
}
MEMORY = {
    "images": "{images:,}",
    "peak MiB": "{peak_mib:.0f}",
    "images/s": "{images_s:.2f}",
    "seconds": "{seconds:.0f}",
}


PAIRED = {
    "preset": "{preset}",
    "images": "{images}",
    "turns": "{turns}",
    "now": "{now}",
    "images/s": "{now_images_s:.2f}",
    "before": "{before}",
    "images/s ": "{before_images_s:.2f}",
    "now / before": "{ratio:.3f} ({least:.3f} to {most:.3f})",
}


def draw(folder: Path, count: int) -> list[str]:
    """Scenes for the rules of the constitution; the names of their files."""
    drawn = ["pictograms", "cases", "--constitution", LAW, "--n", str(count), "--out", str(folder)]
    subprocess.run([*JURAT, *drawn], check=True, stdout=subprocess.DEVNULL)
    return sorted(path.name for path in folder.glob("*.png"))


def remember(folder: Path, names: Sequence[str], count: int, preset: str, checkout: Path = ROOT) -> Row:
    """One run of a checkout's `jurat judge` over `count` images, in a process of its own."""
    many = Path(tempfile.mkdtemp(dir=folder))
    out = many.with_suffix(".jsonl")
    for number, name in enumerate(itertools.islice(itertools.cycle(names), count)):
        (many / f"{number:06}.png").hardlink_to(folder / name)
    law = ["--constitution", LAW, "--preset", preset]
    command = [*JURAT, "judge", str(many), *law, "--out", str(out), "--quiet"]
    environment = os.environ | {"PYTHONPATH": str(checkout.resolve() / "src")}
    process = subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, env=environment)
    _, status, usage = os.wait4(process.pid, 0)
    process.returncode = os.waitstatus_to_exitcode(status)
    if process.returncode != 0:
        raise SystemExit(f"jurat judge failed with status {process.returncode}")
    verdicts = [json.loads(line) for line in out.read_text().splitlines()]
    times = [datetime.fromisoformat(verdict["time"]) for verdict in verdicts]
    if len(times) != count:
        raise SystemExit(f"jurat judge wrote {len(times)} verdicts of {count}")
    # From the end of the first batch on: what comes before is loading.
    first = min(FIRST, count // 2)
    seconds = (times[-1] - times[first - 1]).total_seconds()
    kibibytes = usage.ru_maxrss / (1024 if sys.platform == "darwin" else 1)
    return {
        "measure": "memory",
        "model": verdicts[0]["model"],
        "preset": preset,
        "images": count,
        "peak_mib": kibibytes / 1024,
        "images_s": (count - first) / seconds,
        "seconds": seconds,
    }


def paired(folder: Path, names: Sequence[str], preset: str, runs: int, before: Path) -> Row:
    """The rates of this checkout and of another one, by turns."""
    turns = [
        [remember(folder, names, len(names), preset, checkout) for checkout in (ROOT, before)]
        for _ in range(runs)
    ]
    now, then = ([one["images_s"] for one in some] for some in zip(*turns, strict=True))
    ratios = [one / other for one, other in zip(now, then, strict=True)]
    return {
        "measure": "paired",
        "preset": preset,
        "images": len(names),
        "turns": runs,
        "now": turns[0][0]["model"],
        "now_images_s": median(now),
        "before": turns[0][1]["model"],
        "before_images_s": median(then),
        "ratio": median(ratios),
        "least": min(ratios),
        "most": max(ratios),
    }


@dataclass
class Remembering:
    """The bundled model, with every call of `ask` kept."""

    inner: Any
    calls: list[Sequence[Inquiry]] = field(default_factory=list)

    def ask(self, inquiries: Sequence[Inquiry]) -> list[Answer]:
        self.calls.append(inquiries)
        return self.inner.ask(inquiries)

    def __getattr__(self, name: str) -> Any:
        return getattr(self.inner, name)


@dataclass
class RememberingDetector:
    """The bundled detector, with every call kept."""

    inner: Any
    calls: list[tuple[Any, ...]] = field(default_factory=list)

    def detect(self, *given: Any) -> Any:
        self.calls.append(given)
        return self.inner.detect(*given)

    def __getattr__(self, name: str) -> Any:
        return getattr(self.inner, name)


def rates(folder: Path, names: Sequence[str], preset: str, runs: int, batch_size: int) -> Row:
    """The judge end to end, the model alone, and the judge with questions asked one by one."""
    from jurat.judge import Judge
    from jurat.judge.concurrency import undisturbed
    from jurat.models import open_detector, open_model
    from jurat.models.bundled.model import WEIGHTS
    from jurat.models.hf.load_model import load
    from jurat.models.hf.model import LocalModel

    paths = [str(folder / name) for name in names]
    detector = open_detector("bundled")
    packed, unpacked = (
        Judge(LAW, model, preset, detector=detector, batch_size=batch_size)
        for model in (open_model("bundled", device="cpu"), _unpacked(open_model("bundled", device="cpu")))
    )

    # One pass to remember what is asked, of which the language prior is not for every image.
    through(packed, paths[:batch_size], folder)
    asked, searched = Remembering(packed.model), RememberingDetector(detector)
    remembering = Judge(LAW, asked, preset, detector=searched, batch_size=batch_size)
    through(remembering, paths, folder)
    alone = LocalModel(load(WEIGHTS, device="cpu", image_backend="pil"), name="bundled")
    calls = [[inquiry for inquiry in call if inquiry.prefix.images] for call in asked.calls]
    ready = [alone.encode(call) for call in calls]

    def model() -> None:
        for prompts in ready:
            alone.score(prompts)
        for given in searched.calls:
            detector.detect(*given)

    verdicts = through(packed, paths, folder)
    ways: dict[str, Callable[[], object]] = {
        "end to end": lambda: through(packed, paths, folder),
        "model": model,
        "unpacked": lambda: through(unpacked, paths, folder),
        "decode": lambda: _decode(paths),
        "preprocess": lambda: [alone.encode(call) for call in calls],
        "write": lambda: _write(verdicts, folder),
    }
    with undisturbed():  # as `jurat judge` is
        seconds = by_turns(ways, runs)
    each = {way: 1000 * taken / len(paths) for way, taken in seconds.items()}
    parts = ("decode", "preprocess", "model", "write")
    return {
        "measure": "rate",
        "model": "bundled",
        "preset": preset,
        "images": len(paths),
        "end_to_end_images_s": 1000 / each["end to end"],
        "model_alone_images_s": 1000 / each["model"],
        "unpacked_images_s": 1000 / each["unpacked"],
        "share": each["model"] / each["end to end"],
        "speedup": each["unpacked"] / each["end to end"],
        **{f"{part}_ms": each[part] for part in parts},
        "rest_ms": each["end to end"] - sum(each[part] for part in parts),
    }


def through(judge: Judge, paths: Sequence[str], folder: Path) -> list[Any]:
    """What `jurat judge` does with files, in this process; the verdicts."""
    from jurat.judge import VERDICT_ROWS, verdict_to_row
    from jurat.runs import open_sink
    from jurat.sources import find_items

    verdicts: list[Any] = []
    with open_sink(folder / "through.jsonl", VERDICT_ROWS, overwrite=True) as sink:
        for verdict in judge.stream(find_items(paths)):
            sink.write(verdict_to_row(verdict))
            verdicts.append(verdict)
    return verdicts


def _unpacked(model: Any) -> Any:
    """The same model, asked question by question."""
    from jurat.models.hf.encoding import answer_ids
    from jurat.models.hf.scoring import Scorer

    local = model._local
    ids = answer_ids(local.encoder.tokenizer)
    local.scorer = Scorer(local.network, ids["yes"], ids["no"], path="plain")
    return model


def _decode(paths: Sequence[str]) -> None:
    from jurat.media import decode
    from jurat.sources import find_items

    for item in find_items(paths):
        for data in item.read():
            decode(data)


def _write(verdicts: Sequence[Any], folder: Path) -> None:
    from jurat.judge import VERDICT_ROWS, verdict_to_row
    from jurat.runs import open_sink

    with open_sink(folder / "again.jsonl", VERDICT_ROWS, overwrite=True) as sink:
        for verdict in verdicts:
            sink.write(verdict_to_row(verdict))


def bars(rows: Sequence[Row]) -> tuple[bool, list[str]]:
    found: list[tuple[bool, str]] = []
    for row in rows:
        if row["measure"] == "rate":
            preset = row["preset"]
            found.append(bar(f"{preset}: end to end / model alone", row["share"], 0.85, most=False))
            found.append(bar(f"{preset}: end to end / unpacked", row["speedup"], 3.0, most=False))
    memory = sorted((row for row in rows if row["measure"] == "memory"), key=lambda row: row["images"])
    if memory:
        found.append(
            bar(f"images/s at {memory[-1]['images']:,} images", memory[-1]["images_s"], 5.0, most=False)
        )
    if len(memory) > 1:
        before, last = memory[-2:]
        what = f"peak memory, {last['images']:,} images / {before['images']:,}"
        found.append(bar(what, last["peak_mib"] / before["peak_mib"], 1.05, most=True))
    return all(met for met, _ in found), [f"- {line}" for _, line in found]


def main(argv: Sequence[str] | None = None) -> int:
    parser = options(argparse.ArgumentParser(description=__doc__))
    parser.add_argument("--images", type=int, default=64, help="of the first table; 0 leaves it out")
    parser.add_argument(
        "--presets", default="quick,jurat", help="of the first table; memory is of the first preset"
    )
    parser.add_argument("--batch-size", type=int, default=16)
    parser.add_argument("--scenes", type=int, default=200, help="drawn, and judged again and again")
    parser.add_argument("--sizes", default="100,1000,10000", help="of the second table; 0 leaves it out")
    parser.add_argument("--before", type=Path, metavar="CHECKOUT", help="another clone to compare with")
    args = parser.parse_args(argv)
    if args.before and args.scenes <= FIRST:
        parser.error(
            f"--before needs more than {FIRST} --scenes: rates are from the end of the first batch on"
        )
    presets = args.presets.split(",")
    sizes = [size for size in numbers(args.sizes) if size]
    origin = provenance(__file__, argv, runs=args.runs, constitution=LAW, batch_size=args.batch_size)
    with tempfile.TemporaryDirectory() as place:
        folder = Path(place)
        names = draw(folder, max(args.scenes, args.images))
        # Memory first, while this process is small: a child's peak is never read below its parent's.
        memory = [remember(folder, names, size, presets[0]) for size in sizes]
        rows = [
            rates(folder, names[: args.images], preset, args.runs, args.batch_size)
            for preset in presets
            if args.images
        ]
        turns = [paired(folder, names, each, args.runs, args.before) for each in presets if args.before]
    met, told = bars([*rows, *memory])
    tables = [
        table(rows, RATES) if rows else "",
        table(rows, STAGES) if rows else "",
        table(memory, MEMORY) if memory else "",
        table(turns, PAIRED) if turns else "",
    ]
    report(args, origin, [*rows, *memory, *turns], [*tables, "\n".join(told)])
    return 0 if met else 1


if __name__ == "__main__":
    sys.exit(main())
