"""What the index of a run that goes on holds in memory: which items are recorded, and how often each id came.

    python perf/resume_index.py [--rows 10000000]

Ids look like the URIs of a bucket. Memory is the process's own, beyond what it had before, at its peak.
"""

from __future__ import annotations

import argparse
import resource
import sys
import threading
import time
from collections.abc import Iterator

from jurat.images.index import Occurrences, Recorded, item_key


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


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--rows", type=int, default=10_000_000)
    parser.add_argument("--limit", type=float, default=1024, help="MiB; more exits with 1")
    arguments = parser.parse_args()
    rows = arguments.rows
    item_key("warm", 0)
    print(f"{'part':<28} {'rows':>12} {'seconds':>8} {'us a row':>9} {'peak MiB':>9}")

    def told(name: str, start: float) -> None:
        seconds = time.perf_counter() - start
        print(
            f"{name:<28} {rows:12,} {seconds:8.1f} {seconds / rows * 1e6:9.2f} {peak.most:9.0f}", flush=True
        )

    with Peak() as whole:
        with Peak() as peak:
            start = time.perf_counter()
            recorded = Recorded(item_key(id, 0) for id in ids(rows))
        told("reading what is recorded", start)
        with Peak() as peak:
            start = time.perf_counter()
            counts = Occurrences()
            for id in ids(rows):
                counts.next(id)
        told("counting ids", start)
        some = range(0, rows, max(1, rows // 100_000))
        start = time.perf_counter()
        missed = sum(
            item_key(f"s3://a-bucket/images/{n // 1000:06}/{n:09}.jpg", 0) not in recorded for n in some
        )
        each = (time.perf_counter() - start) / len(some) * 1e6
        print(f"{'looking up':<28} {len(some):12,} {'':>8} {each:9.2f} {'':>9}")
    print(f"{'both together':<28} {rows:12,} {'':>8} {'':>9} {whole.most:9.0f}")
    if missed or whole.most > arguments.limit:
        print(f"not met: {missed} not found, {whole.most:.0f} MiB of {arguments.limit:.0f}")
        sys.exit(1)
    print(f"met: below {arguments.limit:.0f} MiB")


if __name__ == "__main__":
    main()
