"""Models with recurrent, convolutional or linear-attention layers read a prefix once and fork its state."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import replace
from typing import Any

import pytest
import torch

from jurat.models.hf.kv_cache import keep, last_logits
from jurat.models.hf.prompt import Prompt
from jurat.models.hf.scoring import ScoredPrompt, Scorer

from ..families import BY_NAME, NO, SQUARE, YES, Family
from ..more_families import MORE

NAMES = ("qwen3.5", "qwen3.5-moe", "qwen4-exp", "lfm2-vl", "lfm3-vl", "minicpm-v4.6", "glm5-next")
HYBRID = [family for family in (*BY_NAME.values(), *MORE) if family.name in NAMES]
SLACK = 1e-4
"""In log-odds, in float32."""
WIDE = (64, 32)

every = pytest.mark.parametrize("family", HYBRID, ids=lambda family: family.name)


def log_odds(scored: Sequence[ScoredPrompt]) -> list[float]:
    return [answer.log_odds for one in scored for answer in one.answers]


def singles(family: Family, prompts: Sequence[Prompt]) -> list[float]:
    plain = Scorer(family.network(), YES, NO, path="plain")
    return log_odds([plain.score([replace(p, segments=(s,))])[0] for p in prompts for s in p.segments])


@contextmanager
def tokens_read(network: Any) -> Iterator[list[int]]:
    """How many tokens each pass takes through the first layer of the language model."""
    seen: list[int] = []
    layer = network.model.language_model.layers[0]
    hook = layer.register_forward_pre_hook(
        lambda module, args, kwargs: seen.append((args or (kwargs["hidden_states"],))[0].shape[:2].numel()),
        with_kwargs=True,
    )
    try:
        yield seen
    finally:
        hook.remove()


@every
def test_batched_questions_equal_singles(family: Family) -> None:
    prompts = [
        family.prompt(seed, lengths, (size,))
        for seed, lengths, size in ((1, (3, 5, 4), SQUARE), (2, (2, 9, 1), WIDE), (4, (5, 5, 5, 5), SQUARE))
    ]
    expected = singles(family, prompts)
    assert len({round(value, 3) for value in expected}) > 8, "answers depend on what is asked"
    scorer = Scorer(family.network(), YES, NO)
    assert log_odds(scorer.score(prompts)) == pytest.approx(expected, abs=SLACK)
    assert scorer.path == "cached"
    assert any("recurrent" in layer for layer in scorer.structure.layers)


@every
def test_prefix_is_read_once_for_all_questions(family: Family) -> None:
    prompt = family.prompt(1, (4,) * 6, (SQUARE,))
    scorer = Scorer(family.network(), YES, NO)
    scorer.score([prompt])  # with the check
    with tokens_read(family.network()) as seen:
        scorer.score([prompt])
    # Some count their parallel streams, too: each pass is counted in units of the first token's.
    unit = sum(seen) // (len(prompt.prefix) + 24)
    assert seen == [len(prompt.prefix) * unit, 24 * unit]


@every
def test_answers_do_not_depend_on_earlier_questions(family: Family) -> None:
    prompt = family.prompt(1, (3, 5, 4), (SQUARE,))
    scorer = Scorer(family.network(), YES, NO)
    (forward,) = scorer.score([prompt])
    (backward,) = scorer.score([replace(prompt, segments=prompt.segments[::-1])])
    assert log_odds([forward]) == pytest.approx(log_odds([backward])[::-1], abs=SLACK)
    with torch.inference_mode():
        kept = keep(family.network(), [prompt])
        first = [last_logits(family.network(), kept, [0], [segment]) for segment in prompt.segments]
        again = [last_logits(family.network(), kept, [0], [segment]) for segment in prompt.segments]
    assert all(torch.allclose(a, b, atol=1e-5) for a, b in zip(first, again, strict=True))


@pytest.mark.parametrize("name", ["qwen3.5", "lfm2-vl"])
def test_check_detects_that_packing_leaks_state(name: str, caplog: pytest.LogCaptureFixture) -> None:
    """With the structural check bypassed, the recurrent state leaks from one question into the next."""
    family = BY_NAME[name]
    prompt = family.prompt(1, (5, 5, 5), (SQUARE,))
    expected = singles(family, [prompt])
    scorer = Scorer(family.network(), YES, NO)
    del scorer.reasons["packed"]
    with torch.inference_mode():
        (packed,) = scorer.packed([prompt])
    differences = [abs(a.log_odds - b) for a, b in zip(packed, expected, strict=True)]
    assert max(differences[1:]) > 0.01, "later questions are answered wrong"
    assert log_odds(scorer.score([prompt])) == pytest.approx(expected, abs=SLACK)
    assert scorer.path == "cached"
    assert "a packed answer differed from a separate one" in caplog.text
