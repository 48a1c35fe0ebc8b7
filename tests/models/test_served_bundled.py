"""The bundled model behind a real HTTP server says what it says when it runs here."""

from __future__ import annotations

import math
from pathlib import Path

import pytest
import torch

from jurat.judge import Judge
from jurat.models import Chat, Turn, open_model
from jurat.models.bundled import WEIGHTS
from jurat.models.loading import load
from jurat.models.local import LocalModel

from .openai_server import Asked, Server, Told, completion

SCENES = sorted(Path(__file__).parents[2].glob("examples/scenes/*.png"))[:4]


class Served:
    """A script that answers with the model's own probabilities, the likeliest tokens listed."""

    def __init__(self) -> None:
        model = LocalModel(load(WEIGHTS, device="cpu", image_backend="pil"), name="bundled")
        self.encoder, self.network = model.encoder, model.network

    def __call__(self, asked: Asked) -> Told:
        parts = (*asked.images, *(part["text"] for part in asked.content if part["type"] == "text"))
        prompt = self.encoder.encode_chat(Chat((Turn("user", parts),)))
        ids = torch.cat([prompt.prefix, torch.tensor(prompt.segments[0])])[None]
        with torch.inference_mode():
            logits = self.network(input_ids=ids, **prompt.images).logits[0, -1].float()
        likeliest = logits.log_softmax(-1).topk(asked.body["top_logprobs"])
        tokens = self.encoder.tokenizer.convert_ids_to_tokens(likeliest.indices.tolist())
        listed = zip(tokens, (math.exp(value) for value in likeliest.values.tolist()), strict=True)
        return completion(tokens[0], dict(listed))


@pytest.mark.slow
def test_verdicts_are_the_same_locally_and_over_http(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("OPENAI_API_KEY", raising=False)
    here = Judge("shelf:nursery", open_model("bundled", device="cpu"))
    with Server(Served()).running() as server:
        there = Judge("shelf:nursery", open_model("openai/bundled", base_url=server.url))
        for path in SCENES:
            local, served = here.judge(path), there.judge(path)
            assert (served.outcome, served.broken) == (local.outcome, local.broken)
            for mine, theirs in zip(local.rules, served.rules, strict=True):
                for one, other in zip(mine.clauses, theirs.clauses, strict=True):
                    for a, b in zip(one.alternatives, other.alternatives, strict=True):
                        assert b.score == pytest.approx(a.score, abs=1e-3), a.text
                        assert b.mass == pytest.approx(a.mass, abs=1e-3), a.text
    assert len(SCENES) == 4
