"""A separate package adds a model, a source, a stage and a bench method, one file each.

It is built as a wheel, unpacked where a new process finds its entry points, and used on the command line.
"""

from __future__ import annotations

import csv
import json
import os
import subprocess
import sys
import zipfile
from pathlib import Path

import pytest
from PIL import Image

from jurat.runs import read_rows

FILES = {
    "pyproject.toml": """
[build-system]
requires = ["hatchling"]
build-backend = "hatchling.build"

[project]
name = "acme-jurat"
version = "1.0"
description = "Things of Acme."

[project.entry-points."jurat.models"]
acme-colour = "acme_jurat.model:open_model"

[project.entry-points."jurat.sources"]
swatch = "acme_jurat.source:open_source"

[project.entry-points."jurat.stages"]
acme-grey = "acme_jurat.stage:Grey"

[project.entry-points."jurat.presets"]
acme = "acme_jurat.stage:make_preset"

[project.entry-points."jurat.scorers"]
acme-length = "acme_jurat.scorer:Length"

[project.entry-points."jurat.bench_methods"]
acme-red = "acme_jurat.method:judge"
acme-broken = "acme_jurat.method:fail"
""",
    "acme_jurat/__init__.py": "",
    "acme_jurat/model.py": '''
from jurat.content import Reply
from jurat.models import Answer, YesNo


class Colour:
    """Says Yes where the image is red."""

    revision, dtype = "1", "none"

    def __init__(self, name):
        self.name = name

    def ask(self, inquiries):
        return [Answer((self._answer(inquiry),) * len(inquiry.questions)) for inquiry in inquiries]

    def _answer(self, inquiry):
        if not inquiry.prefix.images:
            return YesNo(0.5, 0.5)
        red, _, blue = inquiry.prefix.images[0].resize((1, 1)).getpixel((0, 0))
        if red == blue:
            return YesNo(0.5, 0.5)
        return YesNo(0.99, 0.01) if red > blue else YesNo(0.01, 0.99)

    def chat(self, chats):
        return [Reply("Red.") for _ in chats]

    def capability(self, kind):
        return None

    def close(self):
        pass


def open_model(spec):
    return Colour(spec.name)
''',
    "acme_jurat/scorer.py": """
from jurat.scorers import Judgement


class Length:
    name, labels, positive = "acme-length@1", ("long", "short"), "long"

    def __init__(self, *, most: int = 10):
        self.most = most

    def score(self, answered):
        texts = [one.reply.text for one in answered]
        if "explode" in texts:
            raise ValueError("too loud")
        return [Judgement("scored", "long" if len(text) > self.most else "short") for text in texts]
""",
    "acme_jurat/source.py": '''
import io
from functools import partial

from PIL import Image

from jurat.content import Item


def open_source(place, options):
    return Swatches(place)


class Swatches:
    """A file with the name of a colour a line; each is an image."""

    def __init__(self, place):
        self.place = place

    def items(self, passed_over):
        with open(self.place) as file:
            for number, line in enumerate(file):
                colour = line.strip()
                if colour == "explode":
                    raise ValueError("no such colour")
                name = f"{self.place}#{number}"
                yield Item([partial(draw, colour)], id=name, uri=name)

    def count(self):
        return None


def draw(colour):
    buffer = io.BytesIO()
    Image.new("RGB", (32, 32), colour).save(buffer, "PNG")
    return buffer.getvalue()
''',
    "acme_jurat/stage.py": """
from dataclasses import dataclass
from typing import ClassVar

from jurat.judge import Preset
from jurat.judge.stages import Quick, Stage


@dataclass(frozen=True)
class Grey(Stage):
    '''Decides what is open: a grey image shows no colour.'''

    name: ClassVar[str] = "acme-grey"

    tolerance: int = 8

    def select(self, rule):
        return rule.open_statements()

    def run(self, models, requests):
        return [dict.fromkeys(each.keys, self._is_grey(each.image)) for each in requests]

    def change(self, score, result):
        return score.settled(False, self.name) if result else score

    def _is_grey(self, image):
        pixel = image.resize((1, 1)).getpixel((0, 0))
        return max(pixel) - min(pixel) <= self.tolerance


def make_preset(name):
    return Preset(name, "quick, and grey images show no colour", (Quick(), Grey()))
""",
    "acme_jurat/method.py": """
from jurat.bench.methods.interface import Prediction


def judge(setup, items):
    for item in items:
        yield Prediction(1, 0.9)


def fail(setup, items):
    raise ValueError("not today")
""",
}

POLICY = """\
name: colours
version: "1"
rules:
  - id: no-red
    rule: Nothing red may be visible.
    clauses: [The picture is red.]
"""


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with the package installed, for `PYTHONPATH`."""
    from hatchling.builders.wheel import WheelBuilder

    source, site = tmp_path_factory.mktemp("source"), tmp_path_factory.mktemp("site")
    for name, text in FILES.items():
        (source / name).parent.mkdir(exist_ok=True)
        (source / name).write_text(text.lstrip())
    (wheel,) = WheelBuilder(str(source)).build(directory=str(source / "dist"), versions=["standard"])
    with zipfile.ZipFile(wheel) as packed:
        packed.extractall(site)
    return site


def jurat(site: Path, folder: Path, *arguments: str) -> str:
    return python(site, folder, "-m", "jurat", *arguments)


def python(site: Path, folder: Path, *arguments: str) -> str:
    done = subprocess.run(
        [sys.executable, *arguments],
        capture_output=True,
        text=True,
        cwd=folder,
        env={
            **os.environ,
            "PYTHONPATH": os.pathsep.join([str(site), os.environ.get("PYTHONPATH", "")]),
            "COLUMNS": "120",
        },
        timeout=120,
    )
    told = done.stdout + done.stderr
    assert done.returncode == 0, told
    return told


KINDS = {
    "models": "acme-colour",
    "sources": "swatch",
    "stages": "acme-grey",
    "presets": "acme",
    "scorers": "acme-length",
    "bench_methods": "acme-red",
}
LIST = """
import sys
from typer.testing import CliRunner
from jurat.cli import app
for kind in sys.argv[1:]:
    print("".join(CliRunner().invoke(app, ["list", kind, "--json"]).stdout.splitlines()))
"""


def test_plug_ins_of_a_package_are_listed(site: Path, tmp_path: Path) -> None:
    printed = python(site, tmp_path, "-c", LIST, *KINDS)
    for name, line in zip(KINDS.values(), printed.splitlines(), strict=True):
        listed = {entry["name"]: entry for entry in json.loads(line)}
        assert listed[name]["provider"] == "acme-jurat"
        assert listed[name]["summary"] == "Things of Acme."


def test_plug_in_source_is_judged_by_plug_in_model(site: Path, tmp_path: Path) -> None:
    (tmp_path / "policy.yaml").write_text(POLICY)
    (tmp_path / "three.swatch").write_text("red\nblue\nexplode\ngreen\n")
    Image.new("RGB", (32, 32), "red").save(tmp_path / "red.png")
    command = "judge three.swatch red.png -c policy.yaml -m acme-colour/1 --out v.jsonl"
    jurat(site, tmp_path, *command.split())
    rows = [json.loads(line) for line in (tmp_path / "v.jsonl").read_text().splitlines()]
    assert [(Path(row["id"]).name, row["outcome"]) for row in rows] == [
        ("three.swatch#0", "unsafe"),
        ("three.swatch#1", "safe"),
        ("three.swatch", "error"),
        ("red.png", "unsafe"),
    ]
    assert "the plug-in 'swatch' of acme-jurat: ValueError: no such colour" in json.dumps(rows[2])
    assert rows[0]["model"] == "acme-colour/1@1"


def test_plug_in_scorer_is_opened_by_name_and_its_failure_is_that_of_one_reply(
    site: Path, tmp_path: Path
) -> None:
    code = """
from jurat.benchmarks import Sample
from jurat.content import Item, Reply
from jurat.scorers import Answered, open_scorer

scorer = open_scorer("acme-length?most=3")
for one in scorer.score([Answered(Sample("s", Item()), Reply(text)) for text in ("four", "explode", "two")]):
    print(one.state, one.label, one.reason)
"""
    env = {**os.environ, "PYTHONPATH": os.pathsep.join([str(site), os.environ.get("PYTHONPATH", "")])}
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, env=env, timeout=120)
    assert done.stdout.splitlines() == [
        "scored long ",
        "error None the plug-in 'acme-length' of acme-jurat: ValueError: too loud",
        "scored short ",
    ], done.stderr


@pytest.mark.slow
def test_plug_in_stage_decides_and_re_decides_from_the_record(site: Path, tmp_path: Path) -> None:
    (tmp_path / "policy.yaml").write_text(POLICY)
    Image.new("RGB", (32, 32), "grey").save(tmp_path / "grey.png")
    judge = "judge grey.png -c policy.yaml -m acme-colour --preset"
    outcomes = {}
    for out, preset in (("quick", "quick"), ("acme", "acme"), ("without", "acme --without acme-grey")):
        jurat(site, tmp_path, *f"{judge} {preset} --out {out}".split())
        (row,) = read_rows(tmp_path / out)
        outcomes[out] = row["outcome"]
    assert outcomes == {"quick": "unsure", "acme": "safe", "without": "unsure"}
    jurat(site, tmp_path, "report", "acme", "--format", "csv", "--out", "acme.csv")
    (row,) = csv.DictReader((tmp_path / "acme.csv").read_text().splitlines())
    assert row["outcome"] == "safe"
    impact = jurat(site, tmp_path, *["constitution", "impact", "policy.yaml", "policy.yaml", "--run", "acme"])
    assert "1 decided from their records, 0 judged anew\n0 flip" in impact


def test_failing_plug_in_bench_method_is_left_out(site: Path, tmp_path: Path) -> None:
    command = "bench pictograms --model null --detector none --matcher none --split test --per-rule 1 --quiet"
    methods = ("--method", "acme-red", "--method", "acme-broken")
    jurat(site, tmp_path, *command.split(), *methods, "--out", "bench")
    results = json.loads((tmp_path / "bench" / "results.json").read_text())
    items = [row for row in results["rows"] if row["level"] == "item"]
    assert {row["preset"]: row["recall"] for row in items} == {"acme-red": 1.0}
    (left_out,) = results["provenance"]["left_out"]
    assert left_out["preset"] == "acme-broken"
    assert left_out["reason"] == "The plug-in 'acme-broken' of acme-jurat failed: ValueError: not today."
