"""A folder of plain images, a policy about their colours, and a model that recognises colours.

The model is a third party's backend, installed the way one is: an entry point in a distribution on the path.
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest
from PIL import Image
from typer.testing import CliRunner, Result

COLOUR_MODEL = '''
from jurat.errors import JuratError
from jurat.models import Answer, Model, ModelError, YesNo
from jurat.content import Reply

COLOURS = {"red": 0, "green": 1, "blue": 2}

def open_colour(spec):
    if spec.reference == "broken":
        raise ModelError("The weights of colour/broken cannot be read.", hint="Fetch them again.")
    return Colour()

class Colour(Model):
    """Answers Yes where the named channel is the only bright one; a grey picture gets no answer at all."""

    name, revision, dtype = "colour", "1", "none"
    supported_settings = {"max_tokens"}

    def ask(self, inquiries):
        return [Answer(tuple(self._answer(i.prefix.images, q) for q in i.questions)) for i in inquiries]

    def _answer(self, images, question):
        if not images:
            return YesNo(0.5, 0.5)
        pixel = images[0].resize((1, 1)).getpixel((0, 0))
        if max(pixel) - min(pixel) < 40:
            return YesNo(0.01, 0.01)
        wanted = [channel for name, channel in COLOURS.items() if name in question.lower()]
        yes = any(pixel[channel] == max(pixel) for channel in wanted)
        return YesNo(0.99, 0.01) if yes else YesNo(0.01, 0.99)

    def chat(self, chats):
        return [Reply("A colour.") for _ in chats]
'''

POLICY = """\
name: colours
version: "1"
rules:
  - id: no-red
    rule: Nothing red may be visible.
    severity: high
    clauses: [The picture is red.]
  - id: no-green
    rule: Nothing green may be visible.
    severity: low
    clauses: [The picture is green.]
"""


@pytest.fixture
def pics(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """pics/ with two red, one green, two blue, one grey and one broken picture, beside colours.yaml."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("COLUMNS", "120")
    folder = tmp_path / "pics"
    (folder / "deep").mkdir(parents=True)
    for name, colour in {
        "red-1.png": (220, 20, 20),
        "deep/red-2.png": (250, 0, 0),
        "green.png": (10, 200, 30),
        "blue-1.jpg": (20, 30, 240),
        "deep/blue-2.webp": (0, 0, 200),
        "grey.png": (128, 128, 128),
    }.items():
        Image.new("RGB", (48, 32), colour).save(folder / name)
    (folder / "broken.png").write_bytes((folder / "red-1.png").read_bytes()[:40])
    (tmp_path / "colours.yaml").write_text(POLICY)
    return folder


@pytest.fixture
def install_backend(
    tmp_path_factory: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch
) -> Callable[[str, str], Path]:
    """Installs a backend NAME of this source, which has `open_NAME`; the folder that it went to."""

    def install(name: str, source: str) -> Path:
        site = tmp_path_factory.mktemp(name)
        (site / f"{name}_model.py").write_text(source)
        info = site / f"{name}_model-1.0.dist-info"
        info.mkdir()
        (info / "METADATA").write_text(f"Metadata-Version: 2.1\nName: {name}-model\nVersion: 1.0\n")
        (info / "entry_points.txt").write_text(f"[jurat.models]\n{name} = {name}_model:open_{name}\n")
        monkeypatch.syspath_prepend(str(site))
        return site

    return install


@pytest.fixture(autouse=True)
def colour_backend(install_backend: Callable[[str, str], Path]) -> None:
    """Installs the colour model."""
    install_backend("colour", COLOUR_MODEL)


@pytest.fixture
def jurat():
    """Runs the command line in this process."""
    from jurat.cli import app

    def run(*args: str, input: str | bytes | None = None) -> Result:
        return CliRunner().invoke(app, [str(arg) for arg in args], input=input)

    return run
