"""A run never uses the network unasked, loads a pickle or trusts a policy, whatever its input."""

from __future__ import annotations

import csv
import io
import os
import subprocess
import sys
import tarfile
from pathlib import Path

import pytest

from jurat.runs import read_rows

EXAMPLES = Path(__file__).parents[2] / "examples"

GUARDED = """
import sys
SOCKETS = {"socket.connect", "socket.bind", "socket.getaddrinfo", "socket.gethostbyname"}
FORBIDDEN = SOCKETS | {"pickle.find_class"}
def guard(event, args):
    if event in FORBIDDEN:
        print("FORBIDDEN", event, args[-1], file=sys.stderr, flush=True)
        import os
        os._exit(99)
sys.addaudithook(guard)
from jurat.cli import main
main()
"""
"""Runs the command line; to reach for the network, or to load an object from a pickle, ends it at once."""


def jurat(*arguments: str, folder: Path) -> subprocess.CompletedProcess[str]:
    # Whoever wants the hub offline says so; here it is only known that nothing was asked of it.
    env = {name: value for name, value in os.environ.items() if not name.startswith(("HF_", "TRANSFORMERS_"))}
    return subprocess.run(
        [sys.executable, "-c", GUARDED, *arguments],
        capture_output=True,
        text=True,
        cwd=folder,
        env=env,
        timeout=300,
        check=False,
    )


def test_guard_detects_network_and_pickles(tmp_path: Path) -> None:
    for code in (
        "import socket; socket.create_connection(('127.0.0.1', 9))",
        "import pickle, pathlib; pickle.loads(pickle.dumps(pathlib.PurePosixPath('x')))",
    ):
        script = GUARDED.replace("from jurat.cli import main\nmain()", code)
        done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=False)
        assert done.returncode == 99
        assert "FORBIDDEN" in done.stderr


def test_judging_and_reporting_use_no_network_and_no_pickle(tmp_path: Path) -> None:
    scenes = sorted(map(str, EXAMPLES.rglob("*.png")))[:4]
    judged = jurat(
        "judge", *scenes, "-c", "shelf:nursery", "--preset", "clue", "--out", "v.jsonl", folder=tmp_path
    )
    assert judged.returncode == 0, judged.stderr[-2000:]
    assert [row["outcome"] for row in read_rows(tmp_path / "v.jsonl")].count("error") == 0
    report = jurat("report", "v.jsonl", "--out", "page.html", folder=tmp_path)
    assert report.returncode == 0, report.stderr[-2000:]
    assert (tmp_path / "page.html").stat().st_size > 10_000


def test_pickled_checkpoint_is_refused_unread(tmp_path: Path) -> None:
    (tmp_path / "model").mkdir()
    (tmp_path / "model" / "config.json").write_text('{"model_type": "llava"}')
    (tmp_path / "model" / "pytorch_model.bin").write_bytes(b"cos\nsystem\n(S'false'\ntR.")
    (tmp_path / "image.png").write_bytes(next(EXAMPLES.rglob("*.png")).read_bytes())
    command = ("judge", "image.png", "-c", "shelf:nursery", "--model", "hf/./model", "--preset", "quick")
    done = jurat(*command, folder=tmp_path)
    assert done.returncode == 3
    assert "convert them to safetensors" in done.stderr


HOSTILE: dict[str, tuple[str, str]] = {
    "bomb": ("a: &a [x, x]\nb: &b [*a, *a]\nc: [*b, *b]\n", "anchors and aliases are not read"),
    "tag": ("name: !!python/object/apply:os.system ['false']\n", "tags are not read"),
    "a rule of ten megabytes": (
        f"name: p\nrules:\n  - rule: No {'very ' * 2_000_000}large dog.\n",
        "is larger than",
    ),
    "a nest": (f"name: {'[' * 5000}{']' * 5000}\n", "nested more than"),
    "not text": ("name: \x00\n", "constitution"),
}


@pytest.mark.parametrize("kind", HOSTILE)
def test_hostile_policies_are_refused_in_one_line(kind: str, tmp_path: Path) -> None:
    text, said = HOSTILE[kind]
    (tmp_path / "policy.yaml").write_text(text)
    done = jurat("judge", ".", "-c", "policy.yaml", "--model", "null", folder=tmp_path)
    assert done.returncode == 2
    assert said in done.stderr
    assert "Traceback" not in done.stderr
    assert len(done.stderr) < 3000


def test_shard_reads_and_writes_nothing_outside_itself(tmp_path: Path) -> None:
    picture = next(EXAMPLES.rglob("*.png")).read_bytes()
    (tmp_path / "secret.png").write_bytes(picture)
    place = tmp_path / "work"
    place.mkdir()
    with tarfile.open(place / "evil.tar", "w") as tar:
        for name in ("../outside.png", "/tmp/absolute.png", "a/../../up.png", "fine.png"):
            member = tarfile.TarInfo(name)
            member.size = len(picture)
            tar.addfile(member, io.BytesIO(picture))
        for name, kind, target in (
            ("link.png", tarfile.SYMTYPE, "../secret.png"),
            ("hard.png", tarfile.LNKTYPE, "../secret.png"),
        ):
            member = tarfile.TarInfo(name)
            member.type, member.linkname = kind, target
            tar.addfile(member)
    before = sorted(tmp_path.rglob("*"))
    command = ("judge", "evil.tar", "-c", "shelf:nursery", "--model", "null", "--preset", "quick")
    done = jurat(*command, "--out", "v.jsonl", folder=place)
    assert done.returncode == 0, done.stderr[-2000:]
    outcomes = {row["id"]: row["outcome"] for row in read_rows(place / "v.jsonl")}
    assert [id for id, outcome in outcomes.items() if outcome != "error"] == ["evil.tar#fine.png"]
    assert len(outcomes) == 6
    assert sorted(tmp_path.rglob("*")) == sorted([*before, place / "v.jsonl"])


def test_exported_cells_are_never_formulas(tmp_path: Path) -> None:
    picture = next(EXAMPLES.rglob("*.png"))
    formulas = ["=1+1", "+1", "-1", "@SUM(A1)", '=HYPERLINK("http://x","y")', "\t=1", " =1"]
    with (tmp_path / "t.csv").open("w", newline="", encoding="utf-8") as file:
        table = csv.writer(file)
        table.writerows([["key", "path", "=note"], *([each, str(picture), each] for each in formulas)])
    (tmp_path / "p.yaml").write_text(
        "name: =p\nrules:\n"
        "  - {id: dog, rule: '=1+1 No dog.', action: '@all', clauses: ['=A dog is visible.']}\n"
    )
    judge = ("judge", "t.csv", "-c", "p.yaml", "--model", "null", "--preset", "quick", "--id-column", "key")
    assert jurat(*judge, "--out", "v.jsonl", folder=tmp_path).returncode == 0
    report = ("report", "v.jsonl", "--format", "csv", "--out", "v.csv")
    assert jurat(*report, folder=tmp_path).returncode == 0
    with (tmp_path / "v.csv").open(newline="", encoding="utf-8") as file:
        cells = [cell for line in csv.reader(file) for cell in line]
    assert sum("SUM(A1)" in cell for cell in cells) >= 2
    assert [cell for cell in cells if cell.lstrip().startswith(("=", "+", "-", "@", "\t"))] == []
