"""What `--engine ray` can carry, whether a second worker is worth while, and a plan for 1 to 64 GPUs.

    python perf/ray_engine.py [--steps find,read,write,workers] [--gpu-rate 20] [--pixels 640]

Each step is measured alone, in one process, by the time that it keeps a processor busy: finding items in a
Parquet table of URIs; reading and decoding JPEG files; packing decoded images for another process; taking
rows back, counting and writing them. Then one and two workers of a local Ray judge with the `null` model,
which takes 50 ms an image and no processor: two must be at least 1.6 times as fast as one, counted from the
first rows that come back. Exits with 1 otherwise.

The plan multiplies: what so many GPUs take, if one judges `--gpu-rate` images a second, which is an
assumption, against what one processor was measured to read, find and write.
"""

from __future__ import annotations

import argparse
import io
import math
import os
import pickle
import shutil
import statistics
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from measuring import Row, bar, options, provenance, report, table
from PIL import Image

from jurat.constitution import Constitution, Rule
from jurat.content import Item
from jurat.judge import VERDICT_ROWS, Judge, row_to_verdict, verdict_to_row
from jurat.judge.presets import find_preset
from jurat.judge.workers import ItemReader, JudgeSpec
from jurat.media import Sampling
from jurat.models import ModelSpec
from jurat.report.verdicts.tally import Tally
from jurat.runs.engines.steps import Job, StepBatch, find, read
from jurat.runs.folder import run_files
from jurat.runs.part_writer import PartWriter
from jurat.runs.recorded_items import RecordedKeys
from jurat.sources import SourceOptions, find_items
from jurat.sources.openers import InMemory

STEPS = ("find", "read", "write", "workers")
SPEEDUP = 1.6
GPUS = (1, 2, 4, 8, 16, 32, 64)
RULES = 6


def policy() -> Constitution:
    """As many rules as a short policy has, of two clauses each."""
    rules = (
        Rule(id=f"rule-{n}", rule=f"No {n}.", clauses=(f"There is a {n}.", f"The {n} is seen clearly."))
        for n in ("knife", "fire", "dog", "beer", "bomb", "sign")[:RULES]
    )
    return Constitution(name="six", rules=tuple(rules))


def job(place: Path, batch: int) -> Job:
    return Job(ItemReader(Sampling(), batch), (str(place),), SourceOptions(), os.getcwd(), ())


def prepare(folder: Path, images: int, pixels: int) -> None:
    """JPEG files with the detail of photographs: noise of several scales."""
    dice = np.random.default_rng(0)
    folder.mkdir()
    for number in range(images):
        layers = [
            Image.fromarray(dice.integers(0, 256, (size, size, 3), dtype=np.uint8)).resize((pixels, pixels))
            for size in (8, 32, 128, pixels // 2)
        ]
        mixed = np.mean([np.asarray(layer, np.float32) for layer in layers], axis=0).astype(np.uint8)
        Image.fromarray(mixed).save(folder / f"{number:05}.jpg", quality=88)


def finding(folder: Path, rows: int) -> Row:
    """A Parquet table of URIs, as of a bucket, to pages of items."""
    place = folder / "table.parquet"
    uris = [f"s3://a-bucket/images/{n // 1000:06}/{n:09}.jpg" for n in range(rows)]
    pq.write_table(pa.table({"uri": uris}), place)
    start = time.process_time()
    sent = [len(pickle.dumps(page)) for page in find(job(place, 16), RecordedKeys(()))]
    rate = rows / (time.process_time() - start)
    return {"step": "find, in a table", "rate": rate, "each": sum(sent) / rows}


def reading(folder: Path, images: int, pixels: int, runs: int) -> list[Row]:
    """Files to decoded images, and those to bytes that another process can take."""
    prepare(folder / "photos", images, pixels)
    items = tuple(find_items([str(folder / "photos")]))
    asked = job(folder / "photos", 16)
    sizes = [path.stat().st_size for path in (folder / "photos").iterdir()]
    parcels = list(read(StepBatch(items), asked))
    reading = median(lambda: list(read(StepBatch(items), asked)), runs)
    packed = [pickle.dumps(parcel, protocol=5) for parcel in parcels]
    pack = median(lambda: [pickle.loads(pickle.dumps(parcel, protocol=5)) for parcel in parcels], runs)
    return [
        {
            "step": f"read and decode, {pixels} x {pixels}",
            "rate": images / reading,
            "each": sum(sizes) / images,
        },
        {"step": "pack and unpack", "rate": images / pack, "each": sum(map(len, packed)) / images},
    ]


def writing(folder: Path, rows: int) -> Row:
    """Rows as workers give them back: checked, counted, written to a run's folder."""
    dice = np.random.default_rng(0)
    judge = Judge(policy(), "null", "quick")

    def item(number: int) -> Item:
        file = io.BytesIO()
        Image.fromarray(dice.integers(0, 256, (8, 8, 3), dtype=np.uint8)).save(file, "PNG")
        uri = f"s3://a-bucket/images/{number:09}.jpg"
        return Item([InMemory(file.getvalue())], uri, uri)

    given = [verdict_to_row(verdict) for verdict in judge.stream(map(item, range(rows)))]
    tally = Tally.of(())
    start = time.process_time()
    with PartWriter(folder / "run", VERDICT_ROWS) as sink:
        for row in given:
            tally.add(row_to_verdict(row))
            sink.write(row)
    taken = time.process_time() - start
    held = sum(path.stat().st_size for path in run_files(folder / "run"))
    return {"step": f"write, {RULES} rules", "rate": rows / taken, "each": held / rows}


def workers(folder: Path, items: int, pace: float, runs: int) -> list[Row]:
    """One and two workers by turns; then without any time of the model, which is what Ray can carry here."""
    os.environ.setdefault("RAY_ADDRESS", "local")
    from jurat.runs.engines.ray_engine import RayEngine, start

    prepare(folder / "small", items, 48)
    spec = JudgeSpec(policy(), ModelSpec(f"null?pace={pace}"), find_preset("quick"), batch_size=8)
    quick = replace(spec, model=ModelSpec("null"))
    rates: dict[tuple[str, int], list[float]] = {}
    with start(spec, replicas=1, gpus=0) as engine:
        for _ in range(runs):
            for what, each, count in (("paced", spec, 1), ("paced", spec, 2), ("bare", quick, 2)):
                share = replace(engine.share, replicas=count)
                described = replace(
                    engine.described, model=replace(engine.described.model, name=each.model.name)
                )
                engine_of = RayEngine(each, share, described)
                answers = engine_of.rows(job(folder / "small", 8), lambda: RecordedKeys(()), VERDICT_ROWS.key)
                rates.setdefault((what, count), []).append(steady(answers, items))
    return [
        {
            "step": f"judge, {f'{pace:g} s an image' if what == 'paced' else 'no time an image'}",
            "workers": count,
            "rate": statistics.median(found),
        }
        for (what, count), found in rates.items()
    ]


def steady(answers: Iterator[Sequence[dict[str, Any]]], items: int) -> float:
    """Images a second from the first answer on; workers start before it."""
    first = next(answers)
    start, back = time.perf_counter(), 0
    for rows in answers:
        back += len(rows)
    if len(first) + back != items:
        raise SystemExit(f"{len(first) + back} items came back, not {items}")
    return back / (time.perf_counter() - start)


def plan(rows: Sequence[Row], gpu_rate: float, images: float) -> list[Row]:
    """What so many GPUs take of everything else."""
    measured = {str(row["step"]).partition(",")[0]: row for row in rows if "each" in row}
    steps = "read and decode", "pack and unpack", "write", "find"
    read, pack, write, find = (measured[step] for step in steps)
    planned: list[Row] = []
    for gpus in GPUS:
        rate = gpus * gpu_rate
        planned.append(
            {
                "gpus": gpus,
                "rate": rate,
                "hours": images / rate / 3600,
                "cores": rate / read["rate"] + rate / pack["rate"],
                "mb_s": rate * read["each"] / 1e6,
                "object_mb_s": rate * pack["each"] / 1e6,
                "written_mb_s": rate * write["each"] / 1e6,
                "finds": rate / find["rate"],
                "runs": math.ceil(rate / write["rate"]),
            }
        )
    return planned


def median(work: Callable[[], object], runs: int) -> float:
    """Seconds that work keeps a processor busy."""
    taken: list[float] = []
    for _ in range(runs):
        start = time.process_time()
        work()
        taken.append(time.process_time() - start)
    return statistics.median(taken)


def main(argv: Sequence[str] | None = None) -> int:
    parser = options(argparse.ArgumentParser(description=__doc__))
    parser.set_defaults(runs=3)
    parser.add_argument("--steps", default=",".join(STEPS))
    parser.add_argument("--find-rows", type=int, default=200_000)
    parser.add_argument("--images", type=int, default=64, help="to read and decode")
    parser.add_argument("--pixels", type=int, default=640, help="their width and height")
    parser.add_argument("--write-rows", type=int, default=3_000)
    parser.add_argument("--items", type=int, default=800, help="that workers judge")
    parser.add_argument("--pace", type=float, default=0.05, help="seconds an image takes a worker")
    parser.add_argument("--gpu-rate", type=float, default=20, help="images/s of a GPU: an assumption")
    parser.add_argument("--plan-images", type=float, default=10e6)
    args = parser.parse_args(argv)
    origin = provenance(__file__, argv)
    steps = args.steps.split(",")
    folder = Path(tempfile.mkdtemp())
    rows: list[Row] = []
    try:
        if "find" in steps:
            rows.append(finding(folder, args.find_rows))
        if "read" in steps:
            rows += reading(folder, args.images, args.pixels, args.runs)
        if "write" in steps:
            rows.append(writing(folder, args.write_rows))
        judged = workers(folder, args.items, args.pace, args.runs) if "workers" in steps else []
    finally:
        shutil.rmtree(folder, ignore_errors=True)
    heads = {"one process": "{step}", "items/s of a core": "{rate:,.0f}", "bytes each": "{each:,.0f}"}
    parts = [table(rows, heads)] if rows else []
    met = True
    if judged:
        parts.append(table(judged, {"Ray": "{step}", "workers": "{workers}", "images/s": "{rate:.1f}"}))
        met, line = bar("two workers against one", judged[1]["rate"] / judged[0]["rate"], SPEEDUP, most=False)
        parts.append(line)
    if {"find", "read", "write"} <= set(steps):
        heads = {
            "GPUs": "{gpus}",
            "images/s": "{rate:,.0f}",
            f"hours for {args.plan_images:,.0f}": "{hours:,.1f}",
            "cores that read": "{cores:.1f}",
            "MB/s read": "{mb_s:,.0f}",
            "MB/s between processes": "{object_mb_s:,.0f}",
            "MB/s written": "{written_mb_s:.1f}",
            "share of a finder": "{finds:.1%}",
            "writers": "{runs}",
        }
        parts.append(f"If a GPU judges {args.gpu_rate:g} images/s:")
        parts.append(table(plan(rows, args.gpu_rate, args.plan_images), heads))
    report(args, origin, rows + judged, parts)
    return 0 if met else 1


if __name__ == "__main__":
    sys.exit(main())
