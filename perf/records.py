"""Whether two versions of jurat write the same records of the same scenes.

    python perf/records.py write before          # in the old checkout
    python perf/records.py write after           # in the new one
    python perf/records.py compare before after

`write` resumes where it was stopped. It draws 1,000 scenes for three constitutions, and judges them and
the forty of `examples/scenes` under each preset, all through the command line of the checkout that it
lies in. `compare` reads both folders: the scenes must be equal byte for byte; of the records every field
that the first folder has, and that is not empty or false, must be in the second with the same value,
numbers within 1e-6, except what differs between any two runs (`VOLATILE`). Exit code 1 where something
differs.
"""

from __future__ import annotations

import argparse
import hashlib
import json
import math
import shutil
import subprocess
import sys
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

from measuring import ROOT

SETS = {"nursery": ("shelf:nursery", 400), "picnic": ("examples/picnic.yaml", 300), "flip": (None, 300)}
"""Constitution and number of scenes drawn for it; None for that of Pictogram Bench's flip split."""
RUNS = [("nursery", "bundled", preset) for preset in ("quick", "jurat", "clue", "clue-quick", "direct")] + [
    ("picnic", "bundled", "jurat"),
    ("flip", "bundled", "jurat"),
    ("flip", "naive", "quick"),
]
"""Set of scenes, model, preset."""
TOLERANCE = 1e-6
VOLATILE = {"decision", "time", "seconds", "jurat", "uri", "cost", "schema"}
"""`uri` holds the folder; `cost` counts how the work was done, and not what came out."""


def write(out: Path) -> int:
    for name, (constitution, count) in SETS.items():
        law = constitution or str(_flip())
        folder = out / "scenes" / name
        if not folder.exists():
            _jurat("pictograms", "cases", "--constitution", law, "--n", count, "--seed", 19, "--out", folder)
    shutil.copytree(ROOT / "examples" / "scenes", out / "scenes" / "examples", dirs_exist_ok=True)
    for name, model, preset in RUNS:
        law = SETS[name][0] or str(_flip())
        sources = [out / "scenes" / name, *([out / "scenes" / "examples"] if name == "nursery" else [])]
        file = out / f"{name}-{model}-{preset}.jsonl"
        if not file.exists():
            _jurat("judge", *sources, "--constitution", law, "--model", model, "--preset", preset,
                   "--out", file, "--quiet", "--allow-unknown", ok=(0, 1))  # fmt: skip
    return 0


def compare(before: Path, after: Path) -> int:
    scenes = [_digests(folder / "scenes") for folder in (before, after)]
    found = [f"scenes: {name}" for name in sorted({*scenes[0].items()} ^ {*scenes[1].items()})]
    rows = 0
    for file in sorted(before.glob("*.jsonl")):
        one, other = _rows(file), _rows(after / file.name)
        found += [f"{file.name}: {row}: only in one" for row in sorted(one.keys() ^ other.keys())]
        for row in sorted(one.keys() & other.keys()):
            rows += 1
            found += [f"{file.name}: {row}: {line}" for line in _differences(one[row], other[row])]
    print("\n".join(found[:40]))
    print(f"{len(scenes[0])} files of scenes, {rows} records compared: {len(found)} differences.")
    return 1 if found or not rows else 0


def _differences(one: Any, other: Any, where: str = "") -> Iterator[str]:
    """Where `other` lacks or contradicts what `one` says."""
    if isinstance(one, dict) and isinstance(other, dict):
        for name, value in one.items():
            if name in VOLATILE and not where:
                continue
            if name not in other:
                if value not in (None, [], {}) and value is not False:
                    yield f"{where}.{name}: is gone, was {value!r}"
            else:
                yield from _differences(value, other[name], f"{where}.{name}")
    elif isinstance(one, list) and isinstance(other, list) and len(one) == len(other):
        for i, (left, right) in enumerate(zip(one, other, strict=True)):
            yield from _differences(left, right, f"{where}[{i}]")
    elif isinstance(one, float | int) and isinstance(other, float | int):
        if not math.isclose(one, other, rel_tol=0, abs_tol=TOLERANCE):
            yield f"{where}: {one!r} -> {other!r}"
    elif one != other:
        yield f"{where}: {one!r} -> {other!r}"


def _rows(file: Path) -> dict[str, dict[str, Any]]:
    found: dict[str, dict[str, Any]] = {}
    for line in file.read_text(encoding="utf-8").splitlines():
        row = json.loads(line)
        found["/".join(Path(row["id"]).parts[-2:])] = row | {"id": None}
    return found


def _digests(folder: Path) -> dict[str, str]:
    return {
        str(path.relative_to(folder)): hashlib.sha256(path.read_bytes()).hexdigest()
        for path in folder.rglob("*")
        if path.is_file()
    }


def _flip() -> Path:
    return next(ROOT.glob("src/jurat/**/flip.yaml"))


def _jurat(*words: object, ok: Sequence[int] = (0,)) -> None:
    done = subprocess.run(
        [sys.executable, "-m", "jurat", *map(str, words)], cwd=ROOT, stdout=subprocess.DEVNULL
    )
    if done.returncode not in ok:
        raise SystemExit(f"jurat {' '.join(map(str, words))} ended with {done.returncode}")


def main(argv: Sequence[str] | None = None) -> int:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    steps = parser.add_subparsers(dest="step", required=True)
    writing = steps.add_parser("write", help="draw scenes, judge them, keep the records")
    writing.add_argument("out", type=Path)
    comparing = steps.add_parser("compare", help="compare two folders of records")
    comparing.add_argument("before", type=Path)
    comparing.add_argument("after", type=Path)
    args = parser.parse_args(argv)
    return write(args.out.resolve()) if args.step == "write" else compare(args.before, args.after)


if __name__ == "__main__":
    raise SystemExit(main())
