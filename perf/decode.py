"""What `jurat.media.decode` costs beside Pillow alone, and what a walk over many files holds in memory.

    python perf/decode.py [--runs 9]

The first table compares the fastest of several runs with `PIL.Image.open(...).convert("RGB")` on
the same bytes (for an animation: of the frames that are judged, each sought and converted). The
second walks trees of ever more folders of 500 files and traces the largest memory that Python held.
"""

from __future__ import annotations

import argparse
import io
import tempfile
import time
import tracemalloc
from collections.abc import Callable
from pathlib import Path

import numpy as np
from PIL import Image

from jurat.media import DEFAULT_MAX_FRAMES, decode
from jurat.media.frames import spread
from jurat.sources import find_items

FILES_A_FOLDER = 500


def photo(side: int) -> Image.Image:
    """A smooth picture with some grain, as compressible as a photograph."""
    rng = np.random.default_rng(0)
    small = Image.fromarray(rng.integers(0, 256, (16, 16, 3), dtype=np.uint8))
    smooth = np.asarray(small.resize((side, side), Image.Resampling.BICUBIC)).astype(np.int16)
    return Image.fromarray((smooth + rng.integers(-6, 7, smooth.shape)).clip(0, 255).astype(np.uint8))


def encoded(image: Image.Image, format: str, count: int = 1) -> bytes:
    buffer = io.BytesIO()
    more = [image.rotate(10 * i) for i in range(1, count)]
    image.save(buffer, format, **({"save_all": True, "append_images": more} if more else {}))
    return buffer.getvalue()


def bare(data: bytes) -> None:
    """The same frames with Pillow alone."""
    with Image.open(io.BytesIO(data)) as image:
        for index in spread(getattr(image, "n_frames", 1), DEFAULT_MAX_FRAMES):
            image.seek(index)
            image.convert("RGB")


def fastest(work: Callable[[], object], runs: int) -> float:
    def once() -> float:
        start = time.perf_counter()
        work()
        return time.perf_counter() - start

    return min(once() for _ in range(runs))


def speeds(runs: int) -> None:
    cases = {
        "PNG 128 x 128": encoded(photo(128), "PNG"),
        "JPEG 640 x 640": encoded(photo(640), "JPEG"),
        "PNG 640 x 640": encoded(photo(640), "PNG"),
        "WEBP 640 x 640": encoded(photo(640), "WEBP"),
        "JPEG 3000 x 3000": encoded(photo(3000), "JPEG"),
        "GIF 320 x 320, 40 frames": encoded(photo(320), "GIF", 40),
    }
    print(f"{'file':<26} {'Pillow ms':>10} {'jurat ms':>10} {'ratio':>6}")
    for name, data in cases.items():
        alone = fastest(lambda data=data: bare(data), runs)
        ours = fastest(lambda data=data: decode(data), runs)
        print(f"{name:<26} {alone * 1000:10.2f} {ours * 1000:10.2f} {ours / alone:6.2f}")


def walks() -> None:
    print(f"\n{'files':>8} {'seconds':>8} {'peak KiB':>9} {'ratio':>6}")
    first = 0.0
    for folders in (10, 40, 160):
        with tempfile.TemporaryDirectory() as root:
            for folder in range(folders):
                inside = Path(root) / f"{folder:04}"
                inside.mkdir()
                for number in range(FILES_A_FOLDER):
                    (inside / f"{number:06}.png").touch()
            start = time.perf_counter()
            tracemalloc.start()
            count = sum(1 for _ in find_items([root]))
            peak = tracemalloc.get_traced_memory()[1] / 1024
            tracemalloc.stop()
            first = first or peak
            print(f"{count:8,} {time.perf_counter() - start:8.2f} {peak:9.0f} {peak / first:6.2f}")


def main() -> None:
    parser = argparse.ArgumentParser(description="Cost of decoding and of walking.")
    parser.add_argument("--runs", type=int, default=9)
    speeds(parser.parse_args().runs)
    walks()


if __name__ == "__main__":
    main()
