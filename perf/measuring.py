"""What the scripts of this folder share: runs by turns, processes, medians, provenance, tables.

    ways = {"ours": work, "bare": other}
    seconds = by_turns(ways, runs=5)

Only the standard library is imported at the top: a child's peak memory is never read below that of the
process which started it.
"""

from __future__ import annotations

import argparse
import io
import json
import math
import os
import platform
import shlex
import statistics
import sys
import time
from collections.abc import Callable, Hashable, Iterator, Mapping, Sequence
from concurrent.futures import ProcessPoolExecutor, as_completed
from hashlib import sha256
from multiprocessing import get_context
from pathlib import Path
from typing import TYPE_CHECKING, Any, NoReturn, TypeVar

if TYPE_CHECKING:
    from PIL import Image

    from jurat.bench.table import EvaluatedMethod
    from jurat.content import Item
    from jurat.metrics.claims import Claim, Comparison, Judged

ROOT = Path(__file__).resolve().parent.parent

K = TypeVar("K", bound=Hashable)
Row = dict[str, Any]


def by_turns(
    ways: Mapping[K, Callable[[], object]],
    runs: int,
    settle: Callable[[], object] = lambda: None,
    clock: Callable[[], float] | None = None,
) -> dict[K, float]:
    """Median seconds of each way: all are run once to warm up, then in turn `runs` times.

    In turn, so that what else the machine does falls on all of them alike. `settle` waits for work that a
    device has been given. The clock is `time.perf_counter`; `time.process_time` leaves out what other
    processes do meanwhile.
    """
    clock = clock or time.perf_counter
    taken: dict[K, list[float]] = {name: [] for name in ways}
    for turn in range(runs + 1):
        for name, work in ways.items():
            settle()
            start = clock()
            work()
            settle()
            if turn:
                taken[name].append(clock() - start)
    return {name: statistics.median(seconds) for name, seconds in taken.items()}


def in_processes(measure: Callable[..., Row], tasks: Sequence[tuple[Any, ...]], jobs: int) -> Iterator[Row]:
    """The row of each task as soon as it is done. One job is this process itself."""
    if jobs == 1:
        yield from (measure(*task) for task in tasks)
        return
    with ProcessPoolExecutor(jobs, get_context("spawn")) as pool:
        for each in as_completed([pool.submit(measure, *task) for task in tasks]):
            yield each.result()


def png_item(image: Image.Image, id: str) -> Item:
    """An item of one image, which is encoded as PNG when it is read."""
    from jurat.content import Item

    def png() -> bytes:
        buffer = io.BytesIO()
        image.save(buffer, "PNG")
        return buffer.getvalue()

    return Item([png], id, "")


def options(parser: argparse.ArgumentParser) -> argparse.ArgumentParser:
    """The options of every script that repeats what it measures."""
    parser.add_argument("--runs", type=int, default=5, help="repetitions, of which the median counts")
    return files(parser)


def files(parser: argparse.ArgumentParser) -> argparse.ArgumentParser:
    """The options of every script."""
    parser.formatter_class = argparse.RawDescriptionHelpFormatter
    parser.add_argument("--json", type=Path, metavar="FILE", help="write rows and provenance")
    parser.add_argument("--markdown", type=Path, metavar="FILE", help="write the tables and provenance")
    return parser


def numbers(text: str) -> list[int]:
    """`1,5,12` as numbers."""
    return [int(one) for one in text.split(",")]


def run_script(main: Callable[[], int | None]) -> NoReturn:
    """Runs a script's `main` and exits; what its user can mend is told in a line, as `jurat` does."""
    from jurat.errors import JuratError

    try:
        code = main()
    except JuratError as problem:
        print(f"{Path(sys.argv[0]).name}: {problem}", file=sys.stderr)
        code = problem.exit_code
    sys.exit(code)


def provenance(script: str, argv: Sequence[str] | None, **more: Any) -> dict[str, Any]:
    """Where the figures of this run come from. Call it when the work begins: it notes the machine's load."""
    from jurat.provenance import commit, machine, now, processor, versions

    given, facts = sys.argv[1:] if argv is None else argv, machine()
    memory = f", {facts['memory_gib']:.0f} GiB" if "memory_gib" in facts else ""
    return {
        "command": shlex.join(["python", f"perf/{Path(script).name}", *given]),
        "commit": commit(),
        "time": now(),
        "machine": f"{processor()}, {facts['cores']} cores{memory}",
        "load": round(os.getloadavg()[0], 1) if hasattr(os, "getloadavg") else None,
        "python": platform.python_version(),
        **versions("jurat", "torch", "transformers"),
        **more,
    }


def table(rows: Sequence[Row], columns: Mapping[str, str]) -> str:
    """Rows as a Markdown table. `columns` are headings with how their cell is written: "{image_tokens:,}".

    A cell that needs a value which the row has not, or has as None or nan, stays empty.
    """
    cells = [list(columns), *([_cell(row, form) for form in columns.values()] for row in rows)]
    widths = [max(map(len, column)) for column in zip(*cells, strict=True)]
    lines = [
        "| " + " | ".join(cell.rjust(width) for cell, width in zip(line, widths, strict=True)) + " |"
        for line in cells
    ]
    return "\n".join(
        [lines[0], "|" + "|".join("-" * (width + 1) + ":" for width in widths) + "|", *lines[1:]]
    )


def against_first(
    models: Sequence[Sequence[EvaluatedMethod]], metrics: Sequence[str], beside: Sequence[str] = ()
) -> dict[tuple[str, str, str], Judged]:
    """The claims that each model's methods are ahead of its first one, by model, method and metric.

    Comparisons are paired, of the same items. Each metric is one family for Holm's correction, over all
    models and methods but those named in `beside`.
    """
    from jurat.metrics.claims import Claim, Comparison, judge
    from jurat.metrics.estimates import LESS
    from jurat.metrics.paired import difference

    claims: dict[tuple[str, str], Claim] = {}
    comparisons: list[Comparison] = []
    for first, *others in models:
        for one, metric in ((one, metric) for one in others for metric in metrics):
            ours, theirs = one.estimates("item"), first.estimates("item")
            found, values = difference(ours, theirs, metric), (ours.value(metric), theirs.value(metric))
            where, less = {"model": one.model}, metric in LESS
            comparisons.append(
                Comparison(one.key, first.key, metric, where, values, found.interval, p=found.p, less=less)
            )
            family = f"{metric} of {one.key}" if one.key in beside else metric
            claims[one.key, metric] = Claim(id=family, a=one.key, others=(first.key,), metric=metric)
    return {
        (one.comparison.where["model"], claim.a, claim.metric): one
        for claim, judged in judge(claims.values(), comparisons)
        for one in judged
    }


def gain(judged: Judged) -> list[float]:
    """The difference of a comparison and the ends of its 95% interval."""
    ours, theirs = (math.nan if value is None else value for value in judged.comparison.values)
    return [ours - theirs, judged.comparison.difference.low, judged.comparison.difference.high]


OUTCOMES = {
    "a": "{a}",
    "b": "{b}",
    "a - b": "{gain[0]:+.3f} ({gain[1]:+.3f} to {gain[2]:+.3f})",
    "p (Holm)": "{holm:.3f}",
    "": "{state}",
}
"""Columns of what comparisons say about claims."""


def outcomes(claims: Sequence[Claim], comparisons: Sequence[Comparison]) -> list[Row]:
    """A row a comparison of a claim, with the factors of its cell."""
    from jurat.metrics.claims import judge

    return [
        {
            "claim": claim.text or claim.id, "a": one.comparison.a, "b": one.comparison.b,
            **one.comparison.where, "state": one.state, "holm": one.adjusted, "gain": gain(one),
        }
        for claim, some in judge(claims, comparisons)
        for one in some
    ]  # fmt: skip


def stage_key(stage: Path) -> str:
    """Name of a finished stage of training, with the digest of its weights."""
    return f"{stage.name}-{sha256((stage / 'weights.safetensors').read_bytes()).hexdigest()[:12]}"


def exported(stage: Path, folder: Path, export: Callable[[Path, Path], None]) -> Path:
    """The model of a finished stage, which `export` writes below `folder` unless it is there whole."""
    model = folder / stage_key(stage)
    if not (model / "whole").exists():
        model.mkdir(parents=True, exist_ok=True)
        export(stage, model)
        (model / "whole").touch()
    return model


def bar(what: str, value: float, limit: float, *, most: bool, digits: int = 2) -> tuple[bool, str]:
    """Whether `value` keeps to a limit that it may reach at most, or must reach at least; a line on it."""
    met = value <= limit if most else value >= limit
    wanted = f"at {'most' if most else 'least'} {limit:.{digits}f}"
    return met, f"{what}: {value:.{digits}f}, {wanted}: {'met' if met else 'MISSED'}"


def report(
    args: argparse.Namespace, origin: Mapping[str, Any], rows: Sequence[Row], parts: Sequence[str]
) -> None:
    """Prints tables and lines, and writes the files that were asked for."""
    from jurat.files import write_whole

    text = "\n\n".join(part for part in parts if part)
    print(text)
    keep(args, origin, rows)
    if args.markdown:
        told = "\n".join(f"- {name}: {value}" for name, value in _whole(origin).items() if value is not None)
        write_whole(args.markdown, f"{text}\n\n{told}\n")


def keep(args: argparse.Namespace, origin: Mapping[str, Any], rows: Sequence[Row]) -> None:
    """Writes what there is by now into `--json`, so that a run that is cut short leaves it; nan as null."""
    from jurat.files import write_whole

    if args.json:
        document = _without_nan({"provenance": _whole(origin), "rows": rows})
        write_whole(args.json, json.dumps(document, indent=1, allow_nan=False) + "\n")


def _without_nan(value: Any) -> Any:
    if isinstance(value, Mapping):
        return {name: _without_nan(each) for name, each in value.items()}
    if isinstance(value, list | tuple):
        return [_without_nan(each) for each in value]
    return None if isinstance(value, float) and math.isnan(value) else value


def _whole(origin: Mapping[str, Any]) -> dict[str, Any]:
    """The provenance, and how much of the processors' time since the script began the host gave to others."""
    now = _processors()
    if now is None or _BEGUN is None or now[1] == _BEGUN[1]:
        return {**origin}
    return {**origin, "stolen": round((now[0] - _BEGUN[0]) / (now[1] - _BEGUN[1]), 3)}


def _processors() -> tuple[int, int] | None:
    """CPU time of all processors in ticks: stolen, and the total; None where it is not known."""
    try:
        first = Path("/proc/stat").read_text(encoding="ascii").splitlines()[0].split()[1:9]
    except (OSError, IndexError):
        return None
    return (int(first[7]), sum(map(int, first))) if len(first) == 8 else None


_BEGUN = _processors()


def _cell(row: Row, form: str) -> str:
    try:
        return form.format_map(_without_nan(row))
    except (KeyError, TypeError):
        return ""
