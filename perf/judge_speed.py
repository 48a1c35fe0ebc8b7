"""Images a second and peak memory of `jurat judge`, on many scenes against few.

    python perf/judge_speed.py [--few 200] [--many 1000] [--json FILE]

Draws scenes for the 14 rules of `shelf:nursery` and judges them with the bundled model, each number of
them in a process of its own. The bars: 5 images/s or more on 2 cores (from the second run on, loading
left out), and memory that does not grow with the number of images (a ratio below 1.1).
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import tempfile
import time
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent


def judge(folder: Path, names: list[str], out: Path) -> dict[str, float]:
    """One run over the named files: wall seconds, images/s with the model's loading left out, MiB at peak."""
    command = [
        sys.executable,
        "-m",
        "jurat",
        "judge",
        "-",
        "--constitution",
        "shelf:nursery",
        "--out",
        str(out),
    ]
    start = time.perf_counter()
    process = subprocess.Popen(command, stdin=subprocess.PIPE, cwd=folder, stdout=subprocess.DEVNULL)
    assert process.stdin is not None
    process.stdin.write("".join(f"{name}\n" for name in names).encode())
    process.stdin.close()
    _, status, usage = os.wait4(process.pid, 0)
    if status != 0:
        raise SystemExit(f"jurat judge failed with status {status}")
    seconds = time.perf_counter() - start
    rows = [json.loads(line) for line in out.read_text().splitlines()]
    assert len(rows) == len(names)
    rate = len(rows) / sum(row["seconds"] for row in rows)
    return {"images": len(rows), "seconds": seconds, "images/s": rate, "peak MiB": usage.ru_maxrss / 1024}


def main() -> int:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--few", type=int, default=200)
    parser.add_argument("--many", type=int, default=1000)
    parser.add_argument("--json", type=Path)
    args = parser.parse_args()
    with tempfile.TemporaryDirectory() as place:
        folder = Path(place)
        draw = [
            "pictograms",
            "cases",
            "--constitution",
            "shelf:nursery",
            "--n",
            str(args.many),
            "--out",
            str(folder),
        ]
        subprocess.run([sys.executable, "-m", "jurat", *draw], check=True, stdout=subprocess.DEVNULL)
        names = sorted(path.name for path in folder.glob("*.png"))
        rows = [judge(folder, names[:count], folder / f"{count}.jsonl") for count in (args.few, args.many)]
    ratio = rows[1]["peak MiB"] / rows[0]["peak MiB"]
    for row in rows:
        print("  ".join(f"{key} {value:.1f}" for key, value in row.items()))
    rate = rows[1]["images/s"]
    print(f"images/s {rate:.1f} (bar 5: {'met' if rate >= 5 else 'MISSED'})")
    print(f"peak memory, many against few: {ratio:.3f} (bar 1.1: {'met' if ratio <= 1.1 else 'MISSED'})")
    if args.json:
        commit = subprocess.run(["git", "rev-parse", "HEAD"], cwd=ROOT, capture_output=True, text=True)
        provenance = {"command": " ".join(sys.argv), "commit": commit.stdout.strip(), "cores": os.cpu_count()}
        args.json.write_text(json.dumps({"provenance": provenance, "rows": rows}, indent=1) + "\n")
    return 0 if rate >= 5 and ratio <= 1.1 else 1


if __name__ == "__main__":
    sys.exit(main())
