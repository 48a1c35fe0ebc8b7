"""Kills a run with SIGKILL at random moments, resumes it each time, and checks what is there in the end.

    python perf/kill.py [--kills 100] [--n 500] [--seed 0] [--model null] [--json FILE] [--markdown FILE]
    python perf/kill.py --model bundled --kills 5

Every item must be recorded exactly once, with the outcome and, within 1e-3, the scores of an undisturbed run;
and a verdict that was recorded when a kill came must still be that very one in the end: only batches in
flight are judged again. The bundled model is given scenes that it knows, any other plain colours; a tenth of
the files are cut off. Exits with 1 otherwise.
"""

from __future__ import annotations

import argparse
import os
import random
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from measuring import files, provenance, report, run_script, table
from PIL import Image

from jurat.runs import read_rows
from jurat.runs.folder import run_rows

POLICY = """\
name: colours
version: "1"
rules:
  - id: no-child
    rule: No child may be visible.
    severity: high
    clauses: [A child is visible.]
  - id: no-dog
    rule: No dog may be visible.
    severity: low
    clauses: [A dog is visible.]
"""
BATCH = 8
COLUMNS = {
    "model": "{model}",
    "items": "{items:,}",
    "kills": "{kills}",
    "before it had a row": "{begun}",
    "problems": "{problems}",
    "seconds": "{seconds:.0f}",
}


@dataclass
class Killed:
    """What became of a run that was killed often."""

    kills: int
    runs: int
    """Commands given, the one that came through among them."""
    begun: int
    """Kills that came before the command had recorded anything."""
    problems: list[str]


def prepare(folder: Path, items: int, seed: int, *, scenes: bool = False) -> None:
    """images/ with `items` small pictures, a tenth of them broken, beside policy.yaml."""
    (folder / "images").mkdir(parents=True)
    if scenes:
        drawn = ["draw", "--out", "scenes", "--n", str(items), "--seed", str(seed), "--size", "128"]
        subprocess.run(
            [sys.executable, "-m", "jurat", "pictograms", *drawn],
            cwd=folder,
            check=True,
            stdout=subprocess.DEVNULL,
        )
    (folder / "policy.yaml").write_text(POLICY)
    dice = random.Random(seed)
    for number in range(items):
        path = folder / "images" / f"{number:05}.png"
        if scenes:
            (folder / "scenes" / f"scene-{number:04}.png").rename(path)
        else:
            Image.new("RGB", (8, 8), tuple(dice.randrange(256) for _ in range(3))).save(path)
        if number % 10 == 9:
            path.write_bytes(path.read_bytes()[:30])


def command(out: str, model: str) -> list[str]:
    return [
        *(sys.executable, "-m", "jurat", "judge", "images", "-c", "policy.yaml", "-m", model, "--out", out),
        *("--batch-size", str(BATCH), "--quiet"),
    ]


def kill_often(folder: Path, kills: int, seed: int, model: str) -> Killed:
    """Gives the command in `folder` until it was killed so often, and then once more."""
    subprocess.run(command("whole", model), cwd=folder, check=True)
    dice = random.Random(seed)
    recorded: dict[tuple[str, int], str] = {}
    problems: list[str] = []
    done = begun = 0
    while done < kills:
        going = subprocess.Popen(command("run", model), cwd=folder, start_new_session=True)
        _wait(folder / "run", len(recorded), going, dice)
        if going.poll() is not None:  # it came through
            return Killed(
                done, done + 1, begun, [*problems, "all was judged before it was killed often enough"]
            )
        os.kill(going.pid, signal.SIGKILL)
        going.wait()
        done += 1
        now = decisions(folder / "run")
        problems += [f"{id} was judged again" for id in recorded if now.get(id) != recorded[id]]
        begun += len(now) == len(recorded)
        recorded = now
    code = subprocess.run(command("run", model), cwd=folder, check=False).returncode
    if code:
        problems.append(f"the last command exited with {code}")
    now = decisions(folder / "run")
    problems += [f"{id} was judged again" for id in recorded if now.get(id) != recorded[id]]
    return Killed(done, done + 1, begun, problems + compare(folder / "whole", folder / "run"))


def _wait(run: Path, before: int, going: subprocess.Popen[bytes], dice: random.Random) -> None:
    """Until a random moment: of the first seconds, or, half of the time, once something more is recorded."""
    deadline = time.monotonic() + (dice.uniform(0, 3) if dice.random() < 0.5 else 120)
    while time.monotonic() < deadline and going.poll() is None and len(decisions(run)) <= before:
        time.sleep(0.01)
    time.sleep(dice.uniform(0, 0.15))


def decisions(run: Path) -> dict[tuple[str, int], str]:
    """The decision of each recorded item."""
    if not (run / "_run.json").exists():
        return {}
    return {key(row): row["decision"] for row in run_rows(run, ["id", "occurrence", "decision"])}


def compare(whole: Path, run: Path) -> list[str]:
    """What is wrong with a run, beside one that nobody disturbed."""
    problems: list[str] = []
    expected = {key(row): row for row in read_rows(whole)}
    found: dict[tuple[str, int], dict[str, Any]] = {}
    for row in read_rows(run):
        if key(row) in found:
            problems.append(f"{row['id']} is recorded twice")
        found[key(row)] = row
    problems += [f"{id} is not recorded" for id, _ in expected.keys() - found.keys()]
    problems += [f"{id} is recorded and was not there" for id, _ in found.keys() - expected.keys()]
    for each in expected.keys() & found.keys():
        was, now = expected[each], found[each]
        if (was["outcome"], was["broken"], was["error"]) != (now["outcome"], now["broken"], now["error"]):
            problems.append(f"{each[0]} came out as {now['outcome']}, not {was['outcome']}")
        for first, second in zip(was["rules"], now["rules"], strict=True):
            if abs((first["score"] or 0) - (second["score"] or 0)) > 1e-3:
                problems.append(f"{each[0]}: a score of {second['score']}, not {first['score']}")
    strangers = [path for path in run.rglob("*.parquet") if path.parent.name != "parts"]
    rest = [path for path in (run / "parts").iterdir() if path.suffix != ".parquet"]
    return problems + [f"{path} was left behind" for path in strangers + rest]


def key(row: dict[str, Any]) -> tuple[str, int]:
    return row["id"], row["occurrence"]


def main(argv: Sequence[str] | None = None) -> int:
    parser = files(argparse.ArgumentParser(description=__doc__))
    parser.add_argument("--kills", type=int, default=100)
    parser.add_argument("--n", type=int, default=500, help="items")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--model", default=None, help="default: null, slow enough for the kills")
    args = parser.parse_args(argv)
    # Slow enough for the run not to be over before the last kill.
    model = args.model or f"null?pace={0.6 * args.kills / args.n:.3f}"
    origin = provenance("kill.py", argv, seed=args.seed)
    with tempfile.TemporaryDirectory() as folder:
        prepare(Path(folder), args.n, args.seed, scenes=model == "bundled")
        start = time.monotonic()
        told = kill_often(Path(folder), args.kills, args.seed, model)
        seconds = time.monotonic() - start
    row = {
        "model": model,
        "items": args.n,
        "kills": told.kills,
        "begun": told.begun,
        "problems": len(told.problems),
        "seconds": seconds,
    }
    met = "met: every item is recorded once, as undisturbed, and nothing was judged again"
    report(args, origin, [row], [table([row], COLUMNS), "\n".join(told.problems[:20]) or met])
    return 1 if told.problems else 0


if __name__ == "__main__":
    run_script(main)
