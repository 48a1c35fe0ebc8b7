"""`pip install jurat` alone: the wheel in its own environment, without any extra."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
NO_INDEX = ("Failed to establish a new connection", "Temporary failure in name resolution", "ConnectTimeout")

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with an environment `env` that has the wheel and what it requires, and nothing else."""
    from hatchling.builders.wheel import WheelBuilder

    folder = tmp_path_factory.mktemp("base")
    (wheel,) = WheelBuilder(str(ROOT)).build(directory=str(folder), versions=["standard"])
    subprocess.run([sys.executable, "-m", "venv", folder / "env"], check=True)
    pip = [folder / "env/bin/python", "-m", "pip", "install", "-q", "-c", ROOT / "constraints.txt", wheel]
    done = subprocess.run(pip, capture_output=True, text=True, env=clean(folder))
    if any(told in done.stderr for told in NO_INDEX):
        pytest.skip("no package index can be reached from here")
    assert done.returncode == 0, done.stderr
    return folder


def clean(home: Path) -> dict[str, str]:
    kept = {
        name: value for name, value in os.environ.items() if not name.startswith(("PYTHON", "VIRTUAL_ENV"))
    }
    return {**kept, "HOME": str(home), "NO_COLOR": "1", "COLUMNS": "120"}


def jurat(place: Path, *arguments: str, code: int = 0) -> str:
    command = [place / "env/bin/jurat", *arguments]
    done = subprocess.run(command, capture_output=True, text=True, cwd=place, env=clean(place), timeout=300)
    told = done.stdout + done.stderr
    assert "bug in jurat" not in told and "Traceback" not in told, told
    assert done.returncode == code, told
    return told


def test_base_install_has_no_optional_packages(place: Path) -> None:
    python = (
        "import importlib.util as u; print([n for n in ('torch', 'scipy', 'openai', 'av') if u.find_spec(n)])"
    )
    told = subprocess.run(
        [place / "env/bin/python", "-c", python], capture_output=True, text=True, check=True
    )
    assert told.stdout.strip() == "[]"


def test_commands_work_without_extras(place: Path) -> None:
    """Runs the commands one after the other."""
    assert jurat(place, "--version").startswith("jurat ")
    assert 'pip install "jurat[local]"' in jurat(place, "models")
    assert 'pip install "jurat[openai]"' in jurat(place, "list")
    jurat(place, "constitution", "check", "shelf:nursery")
    assert "nursery" in jurat(place, "constitution", "shelf")
    assert "3 scenes" in jurat(place, "pictograms", "draw", "--n", "3", "--out", "random")
    knife = "A child touches a kitchen knife."
    jurat(place, "pictograms", "draw", "--statement", knife, "--n", "2", "--out", "knives")
    jurat(place, "pictograms", "draw", "--statement", knife, "--near-miss", "--n", "2", "--out", "near")
    jurat(place, "pictograms", "cases", "--constitution", "shelf:nursery", "--n", "4", "--out", "cases")
    assert "kitchen knife" in jurat(place, "pictograms", "words")
    law = ("--constitution", "shelf:nursery", "--model", "null")
    for out in ("run", "v.jsonl", "v.parquet"):
        jurat(place, "judge", "random", *law, "--out", out)
    assert "Nothing was left to judge" in jurat(place, "judge", "random", *law, "--out", "run")
    for out in ("page.html", "page"):
        assert "3 verdicts" in jurat(place, "report", "run", "--out", out)
    for format in ("md", "csv"):
        jurat(place, "report", "v.parquet", "--format", format, "--out", f"t.{format}")
    jurat(place, "report", "run", "v.jsonl", "--out", "flips.html")
    jurat(place, "constitution", "impact", "shelf:nursery", "shelf:nursery", "--run", "run")
    jurat(place, "judge", "knives", *law, "--out", "other")
    jurat(place, "merge", "run", "other", "--out", "both")


def test_hash_lists_need_no_extra(place: Path) -> None:
    jurat(place, "pictograms", "draw", "--n", "1", "--out", "one")
    python = (
        "import numpy; from PIL import Image; from jurat.media.hash_list import picture_hash;"
        "print(bytes(picture_hash(numpy.asarray(Image.open('one/scene-0000.png')))).hex())"
    )
    command = [place / "env/bin/python", "-c", python]
    hash = subprocess.run(command, capture_output=True, text=True, cwd=place, check=True).stdout.strip()
    (place / "known.csv").write_text(f"pdq,label,action\n{hash},stamp,block\n")
    law = ("--constitution", "shelf:nursery", "--model", "null", "--known", "known.csv")
    jurat(place, "judge", "one", *law, "--fail-on", "unsafe", code=1)


@pytest.mark.parametrize(
    ("command", "extra"),
    [
        ("judge random --constitution shelf:nursery", "local"),
        (
            "judge random --constitution shelf:nursery --model openai/x --base-url http://127.0.0.1:9/v1",
            "openai",
        ),
        ("judge random --constitution shelf:nursery --model null --preset clue --detector bundled", None),
        ("judge s3://bucket/a.png --constitution shelf:nursery --model null", None),
        ("calibrate --images random --constitution shelf:nursery --model null --out c.yaml", "local"),
        ("bench pictograms --model null --per-rule 1 --out bench --quiet", "local"),
        ("report run --out again.html --figures figures", "bench"),
    ],
)
def test_missing_extra_is_named_in_the_error(command: str, extra: str | None, place: Path) -> None:
    if not (place / "random").exists():
        jurat(place, "pictograms", "draw", "--n", "3", "--out", "random")
        jurat(place, "judge", "random", "--constitution", "shelf:nursery", "--model", "null", "--out", "run")
    run = subprocess.run(
        [place / "env/bin/jurat", *command.split()],
        capture_output=True,
        text=True,
        cwd=place,
        env=clean(place),
        timeout=300,
    )
    told = run.stdout + run.stderr
    assert "bug in jurat" not in told and "Traceback" not in told, told
    assert run.returncode in (2, 3), told
    assert extra is None or f'pip install "jurat[{extra}]"' in told, told
