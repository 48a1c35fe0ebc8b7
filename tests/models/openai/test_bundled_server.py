"""`jurat judge` gives equal verdicts with the bundled model locally and over HTTP."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from openai import APIStatusError, OpenAI

from ..bundled_server import Service, fields_of, judged

pytestmark = pytest.mark.usefixtures("no_openai_environment")

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


NUMBERS = ("score", "baseline", "mass", "outcome")
# A server does not tell what its model reads in a relation, so presence is asked only of the local one.
SAME = (*SCENES, "--constitution", "shelf:nursery", "--without", "presence")


@pytest.fixture(scope="module")
def server() -> Service:
    return Service()


@pytest.mark.slow
def test_local_and_served_verdicts_are_equal(tmp_path: Path, server: Service, url: str) -> None:
    here = judged(tmp_path / "here.jsonl", *SAME, "--device", "cpu")
    asked = server.requests
    served = ("--model", "openai/bundled", "--base-url", url, "--detector", "bundled")  # it points too
    there = judged(tmp_path / "there.jsonl", *SAME, *served)
    assert server.requests - asked >= 35 * len(SCENES)  # a call a question
    assert [row["outcome"] for row in here] == ["unsafe", "safe", "unsafe", "safe"]
    for mine, theirs in zip(here, there, strict=True):
        assert {name: theirs[name] for name in AGREES} == {name: mine[name] for name in AGREES}
        found, other = (dict(fields_of(row["rules"], *NUMBERS)) for row in (mine, theirs))
        assert found.keys() == other.keys() and len(found) > 100
        for path, one in found.items():
            expected = pytest.approx(one, abs=1e-3) if isinstance(one, float) else one
            assert other[path] == expected, (mine["id"], path)
    revision = server.model.revision
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
