"""`jurat judge` decides the same with the bundled model locally and behind a decisions endpoint."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner

from jurat.cli import app
from jurat.models.bundled.model import WEIGHTS
from jurat.models.hf.load_model import load
from jurat.models.hf.model import LocalModel

from ..bundled_server import serving
from ..decisions_server import DecisionsServer, bundled_script

SCENES = Path(__file__).parents[3] / "examples" / "scenes"


@pytest.fixture(scope="module")
def server() -> DecisionsServer:
    model = LocalModel(load(WEIGHTS, device="cpu", image_backend="pil"), name="bundled")
    return DecisionsServer(bundled_script(model.ask))


@pytest.fixture(scope="module")
def url(server: DecisionsServer) -> Iterator[str]:
    with serving(server) as url:
        yield url


@pytest.fixture(autouse=True)
def no_key(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("OPENAI_API_KEY", "OPENAI_BASE_URL"):
        monkeypatch.delenv(name, raising=False)


def judged(out: Path, *options: str) -> list[dict[str, Any]]:
    args = ["judge", str(SCENES), "--constitution", "shelf:nursery", "--preset", "quick", "--out", str(out)]
    result = CliRunner().invoke(app, [*args, *options])
    assert result.exit_code == 0, result.output
    return [json.loads(line) for line in out.read_text().splitlines()]


def scores(value: Any, path: str = "") -> Iterator[tuple[str, float]]:
    """Every score and prior of a row's rules, with where it stands."""
    if isinstance(value, dict):
        for name, inner in value.items():
            if name in ("score", "baseline") and inner is not None:
                yield f"{path}.{name}", inner
            else:
                yield from scores(inner, f"{path}.{name}")
    elif isinstance(value, list):
        for number, inner in enumerate(value):
            yield from scores(inner, f"{path}[{number}]")


# A server does not tell what its model reads in a relation, which moves scores where presence is asked.
@pytest.mark.parametrize(
    "without", [(), pytest.param(("--without", "presence"), marks=pytest.mark.slow)], ids=["quick", "scores"]
)
def test_local_and_served_verdicts_are_equal(
    tmp_path: Path, server: DecisionsServer, url: str, without: tuple[str, ...]
) -> None:
    here = judged(tmp_path / "here.jsonl", "--device", "cpu", *without)
    before = len(server.asked)
    served = ("--model", "decisions/bundled", "--base-url", url, "--input-price", "2", *without)
    there = judged(tmp_path / "there.jsonl", *served)
    assert len(here) == len(there) == 40
    assert {"safe", "unsafe"} <= {row["outcome"] for row in here}
    for mine, theirs in zip(here, there, strict=True):
        same = (
            "id",
            "outcome",
            "sha256",
            "constitution",
            "preset",
            *(("broken", "reason") if without else ()),
        )
        assert {name: theirs[name] for name in same} == {name: mine[name] for name in same}
        if without:
            expected, found = dict(scores(mine["rules"])), dict(scores(theirs["rules"]))
            assert len(expected) > 50
            assert found == {path: pytest.approx(x, abs=1e-5) for path, x in expected.items()}, mine["id"]
        assert theirs["cost"]["dollars"] > 0
    assert {row["model"] for row in there} == {"decisions/bundled@tiny-judge-001"}
    # One request a scene, one for the priors; the check that the server looks at images is not among them.
    assert len(server.asked) - before == 41
