"""`jurat judge` gives equal verdicts with the bundled model locally and over HTTP."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from openai import APIStatusError, OpenAI
from typer.testing import CliRunner

from jurat.cli import app

from ..bundled_server import Service, serving

SCENES = [
    str(Path(__file__).parents[3] / "examples" / "scenes" / name)
    for name in (
        "0000-child-with-blade-broken.png",
        "0001-child-with-blade-near-miss.png",
        "0008-cigarette-broken.png",
        "0025-unattended-baby-near-miss.png",
    )
]
AGREES = ("outcome", "broken", "reason", "id", "sha256", "constitution", "preset", "prompts", "detector")


@pytest.fixture(scope="module")
def service() -> Service:
    return Service()


@pytest.fixture(scope="module")
def url(service: Service) -> Iterator[str]:
    with serving(service) as url:
        yield url


@pytest.fixture(autouse=True)
def no_key(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("OPENAI_API_KEY", "OPENAI_BASE_URL"):
        monkeypatch.delenv(name, raising=False)


def judged(out: Path, *options: str) -> list[dict[str, Any]]:
    """The rows that `jurat judge` writes of the scenes."""
    # A server does not tell what its model reads in a relation, so presence is asked only of the local one.
    same = ("--constitution", "shelf:nursery", "--without", "presence")
    args = ["judge", *SCENES, *same, "--out", str(out), *options]
    result = CliRunner().invoke(app, args)
    assert result.exit_code == 0, result.output
    return [json.loads(line) for line in out.read_text().splitlines()]


def numbers(value: Any, path: str = "") -> Iterator[tuple[str, Any]]:
    """Every score, prior and mass of a row, with where it stands; and every outcome."""
    if isinstance(value, dict):
        for name, inner in value.items():
            if name in ("score", "baseline", "mass", "outcome"):
                yield f"{path}.{name}", inner
            else:
                yield from numbers(inner, f"{path}.{name}")
    elif isinstance(value, list):
        for number, inner in enumerate(value):
            yield from numbers(inner, f"{path}[{number}]")


@pytest.mark.slow
def test_local_and_served_verdicts_are_equal(tmp_path: Path, service: Service, url: str) -> None:
    here = judged(tmp_path / "here.jsonl", "--device", "cpu")
    asked = service.requests
    served = ("--model", "openai/bundled", "--base-url", url, "--detector", "bundled")  # it points too
    there = judged(tmp_path / "there.jsonl", *served)
    assert service.requests - asked >= 35 * len(SCENES)  # a call a question
    assert [row["outcome"] for row in here] == ["unsafe", "safe", "unsafe", "safe"]
    for mine, theirs in zip(here, there, strict=True):
        assert {name: theirs[name] for name in AGREES} == {name: mine[name] for name in AGREES}
        found, other = dict(numbers(mine["rules"])), dict(numbers(theirs["rules"]))
        assert found.keys() == other.keys() and len(found) > 100
        for path, one in found.items():
            expected = pytest.approx(one, abs=1e-3) if isinstance(one, float) else one
            assert other[path] == expected, (mine["id"], path)
    revision = service.model.revision
    assert {row["model"] for row in here} == {f"bundled@{revision}"}
    assert {row["model"] for row in there} == {f"openai/bundled@bundled+{revision}"}


def test_the_server_speaks_the_protocol(url: str) -> None:
    with OpenAI(base_url=url, api_key="none", max_retries=0) as client:
        assert [model.id for model in client.models.list()] == ["bundled"]
        question: Any = [{"role": "user", "content": "Answer with Yes or No.\nA dog is visible."}]
        ask = client.chat.completions.create
        said = ask(model="bundled", messages=question, max_tokens=1, logprobs=True, top_logprobs=20)
        assert said.choices[0].logprobs is not None and said.choices[0].logprobs.content
        listed = said.choices[0].logprobs.content[0].top_logprobs
        assert len(listed) == 20 and listed[0].token == said.choices[0].message.content
        assert [one.logprob for one in listed] == sorted((one.logprob for one in listed), reverse=True)
        assert ask(model="bundled", messages=question, max_tokens=8).choices[0].message.content
        for wrong in ({"model": "other"}, {"top_logprobs": 21}, {"logprobs": True, "max_tokens": 2}):
            with pytest.raises(APIStatusError):
                ask(**{"model": "bundled", "messages": question, **wrong})
