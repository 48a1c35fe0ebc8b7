"""`jurat judge` decides the same with the bundled model locally and behind a decisions endpoint."""

from __future__ import annotations

from pathlib import Path

import pytest

from jurat.models.bundled.model import WEIGHTS
from jurat.models.hf.load_model import load
from jurat.models.hf.model import LocalModel

from ..bundled_server import fields_of, judged
from ..decisions_server import DecisionsServer, bundled_script

pytestmark = pytest.mark.usefixtures("no_openai_environment")

SCENES = Path(__file__).parents[3] / "examples" / "scenes"


@pytest.fixture(scope="module")
def server() -> DecisionsServer:
    model = LocalModel(load(WEIGHTS, device="cpu", image_backend="pil"), name="bundled")
    return DecisionsServer(bundled_script(model.ask))


SAME = ("--constitution", "shelf:nursery", "--preset", "quick")


# A server does not tell what its model reads in a relation, which moves scores where presence is asked.
@pytest.mark.parametrize(
    ("without", "scenes"),
    [((), "000*.png"), pytest.param(("--without", "presence"), "*.png", marks=pytest.mark.slow)],
    ids=["quick", "scores"],
)
def test_local_and_served_verdicts_are_equal(
    tmp_path: Path, server: DecisionsServer, url: str, without: tuple[str, ...], scenes: str
) -> None:
    same = [*sorted(map(str, SCENES.glob(scenes))), *SAME]
    here = judged(tmp_path / "here.jsonl", *same, "--device", "cpu", *without)
    before = len(server.asked)
    served = ("--model", "decisions/bundled", "--base-url", url, "--input-price", "2", *without)
    there = judged(tmp_path / "there.jsonl", *same, *served)
    assert len(here) == len(there) == (40 if without else 10)
    assert {"safe", "unsafe"} <= {row["outcome"] for row in here}
    for mine, theirs in zip(here, there, strict=True):
        names = (
            "id",
            "outcome",
            "sha256",
            "constitution",
            "preset",
            *(("broken", "reason") if without else ()),
        )
        assert {name: theirs[name] for name in names} == {name: mine[name] for name in names}
        if without:
            expected, found = (
                {path: x for path, x in fields_of(row["rules"], "score", "baseline") if x is not None}
                for row in (mine, theirs)
            )
            assert len(expected) > 50
            assert found == {path: pytest.approx(x, abs=1e-5) for path, x in expected.items()}, mine["id"]
        assert theirs["cost"]["dollars"] > 0
    assert {row["model"] for row in there} == {"decisions/bundled@tiny-judge-001"}
    # One request a scene, one for the priors; the check that the server looks at images is not among them.
    assert len(server.asked) - before == len(here) + 1
