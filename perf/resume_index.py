"""Memory of the index of a resumed run: which items are recorded, and how often each id came.

    python perf/resume_index.py [--n 10000000] [--limit 1024] [--json FILE] [--markdown FILE]

Ids look like the URIs of a bucket. Memory is the process's own, beyond what it had before, at its peak.
Exits with 1 if both together hold more than `--limit` MiB.
"""

from __future__ import annotations

import argparse
import resource
import sys
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from itertools import islice

from measuring import Row, bar, files, provenance, report, table

from jurat.runs.recorded_items import Occurrences, RecordedKeys, item_key

COLUMNS = {
    "what": "{what}",
    "items": "{items:,}",
    "seconds": "{seconds:.1f}",
    "us each": "{each_us:.2f}",
    "peak, MiB": "{peak_mib:.0f}",
}


def ids(rows: int) -> Iterator[str]:
    return (f"s3://a-bucket/images/{number // 1000:06}/{number:09}.jpg" for number in range(rows))


def resident() -> float:
    """MiB that this process holds now."""
    with open("/proc/self/statm") as file:
        return int(file.read().split()[1]) * resource.getpagesize() / 2**20


class Peak:
    """The largest memory while the body runs, looked at ten times a second."""

    def __enter__(self) -> Peak:
        self._start = self.most = resident()
        self._ended = threading.Event()
        self._thread = threading.Thread(target=self._watch, daemon=True)
        self._thread.start()
        return self

    def _watch(self) -> None:
        while not self._ended.wait(0.1):
            self.most = max(self.most, resident())

    def __exit__(self, *_: object) -> None:
        self._ended.set()
        self._thread.join()
        self.most = max(self.most, resident()) - self._start


def timed(what: str, count: int, work: Callable[[], object]) -> Row:
    """A row of the table: how long some work took for each of `count` items, and what it held."""
    with Peak() as peak:
        start = time.perf_counter()
        work()
        seconds = time.perf_counter() - start
    return {
        "what": what,
        "items": count,
        "seconds": seconds,
        "each_us": seconds / count * 1e6,
        "peak_mib": peak.most,
    }


def main(argv: Sequence[str] | None = None) -> int:
    parser = files(argparse.ArgumentParser(description=__doc__))
    parser.add_argument("--n", type=int, default=10_000_000, help="items")
    parser.add_argument("--limit", type=float, default=1024.0, help="MiB; more is an error")
    args = parser.parse_args(argv)
    origin = provenance("resume_index.py", argv)
    counts = Occurrences()
    recorded: list[RecordedKeys] = []
    some = list(islice(ids(args.n), 0, None, max(1, args.n // 100_000)))

    def count() -> None:
        for id in ids(args.n):
            counts.next(id)

    def look_up() -> None:
        if not all(item_key(id, 0) in recorded[0] for id in some):
            raise SystemExit("an item that is recorded was not found")

    with Peak() as whole:
        rows = [
            timed(
                "reading what is recorded",
                args.n,
                lambda: recorded.append(RecordedKeys(item_key(id, 0) for id in ids(args.n))),
            ),
            timed("counting ids", args.n, count),
            timed("looking up", len(some), look_up),
        ]
    rows.append({"what": "all of it", "items": args.n, "peak_mib": whole.most})
    met, line = bar("all of it, MiB", whole.most, args.limit, most=True)
    report(args, origin, rows, [table(rows, COLUMNS), line])
    return 0 if met else 1


if __name__ == "__main__":
    sys.exit(main())
