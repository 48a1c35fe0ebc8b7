"""Choice of the scoring path, and fallbacks with a warning where a path is wrong. See also test_packing."""

from __future__ import annotations

import copy
import logging
from collections.abc import Sequence
from typing import Any

import pytest
import torch
from transformers import LlavaForConditionalGeneration

from jurat.content import Failure
from jurat.models.hf.batch_sizes import PassLimits
from jurat.models.hf.scoring import PATHS, Path, ScoredPrompt, Scorer
from jurat.models.protocol import YesNo

from ..families import BY_NAME, FAMILIES, NO, YES, Family

LLAVA = BY_NAME["llava"]
SLACK = 1e-4
"""In log-odds, in float32."""


def log_odds(scored: Sequence[ScoredPrompt]) -> list[float]:
    return [answer.log_odds for one in scored for answer in one.answers]


def test_mass_is_the_probability_of_both_answers() -> None:
    network = LLAVA.network()
    prompt = LLAVA.prompt(1, (3, 4))
    (scored,) = Scorer(network, YES, NO).score([prompt])
    with torch.inference_mode():
        ids = torch.cat([prompt.prefix, torch.tensor(prompt.segments[1])])[None]
        chances = network(input_ids=ids, **prompt.images).logits[0, -1].softmax(-1)
    assert scored.answers[1].yes == pytest.approx(float(chances[YES].sum()), rel=1e-4)
    assert scored.answers[1].no == pytest.approx(float(chances[NO].sum()), rel=1e-4)


def test_shared_tokens_are_counted_once() -> None:
    scorer = Scorer(LLAVA.network(), YES, NO)
    prompt = LLAVA.prompt(1, (3, 5, 4))
    (scored,) = scorer.score([prompt])
    assert (scored.tokens, scored.shared) == (len(prompt.prefix) + 12, len(prompt.prefix))
    (scored,) = Scorer(LLAVA.network(), YES, NO, path="plain").score([prompt])
    assert (scored.tokens, scored.shared) == (3 * len(prompt.prefix) + 12, 0)


def test_overlong_pack_is_split() -> None:
    scorer = Scorer(LLAVA.network(), YES, NO)
    prompts = [LLAVA.prompt(seed, (3, 5, 4, 6, 2, 7)) for seed in range(3)]
    whole = log_odds(scorer.score(prompts))
    for bounds in (PassLimits(20, 400, 64), PassLimits(1, 1, 64), PassLimits(10_000, 10_000, 4)):
        scorer.bounds = bounds
        assert log_odds(scorer.score(prompts)) == pytest.approx(whole, abs=SLACK)


def test_eager_attention_is_packed() -> None:
    network = copy.deepcopy(LLAVA.network())
    prompts = [LLAVA.prompt(seed, (3, 5, 4)) for seed in range(3)]
    expected = log_odds(Scorer(network, YES, NO).score(prompts))
    network.set_attn_implementation("eager")
    eager = Scorer(network, YES, NO)
    assert log_odds(eager.score(prompts)) == pytest.approx(expected, abs=SLACK)
    assert eager.path == "packed"


def test_half_precision_stays_close_to_full() -> None:
    network = copy.deepcopy(LLAVA.network())
    prompts = [LLAVA.prompt(seed, (3, 5, 4)) for seed in range(3)]
    full = log_odds(Scorer(network, YES, NO).score(prompts))
    half = Scorer(network.to(torch.bfloat16), YES, NO)
    assert log_odds(half.score(prompts)) == pytest.approx(full, abs=0.2)
    assert half.path == "packed"


@pytest.mark.parametrize(
    ("name", "path", "why"),
    [
        ("llava", "packed", None),
        ("gemma3", "packed", None),
        ("qwen3.5", "cached", "1 of its 2 layers keep a recurrent or convolutional state"),
    ],
)
def test_path_follows_from_the_model_structure(name: str, path: str, why: str | None) -> None:
    scorer = Scorer(BY_NAME[name].network(), YES, NO)
    assert scorer.path == path
    assert (scorer.obstacle or "").startswith(why or "")


def test_attention_without_mask_support_uses_the_cached_path() -> None:
    network = copy.deepcopy(LLAVA.network())
    network.config.text_config._attn_implementation = "flash_attention_2"
    scorer = Scorer(network, YES, NO)
    assert scorer.path == "cached"
    assert scorer.obstacle == "its attention (flash_attention_2) takes no mask of ours"


class Leaky(LlavaForConditionalGeneration):
    """A model that looks packable but lets every question see those before it."""

    def forward(
        self,
        input_ids: Any = None,
        attention_mask: Any = None,
        position_ids: Any = None,
        logits_to_keep: Any = 0,
        **kwargs: Any,
    ) -> Any:
        if attention_mask is not None and attention_mask.ndim == 4:
            attention_mask = None
        return super().forward(
            input_ids=input_ids,
            attention_mask=attention_mask,
            position_ids=position_ids,
            logits_to_keep=logits_to_keep,
            **kwargs,
        )


class Refusing(Leaky):
    """A model that looks packable but takes no mask of four dimensions."""

    def forward(
        self,
        *args: Any,
        attention_mask: Any = None,
        position_ids: Any = None,
        logits_to_keep: Any = 0,
        **kwargs: Any,
    ) -> Any:
        if attention_mask is not None and attention_mask.ndim == 4:
            raise ValueError("no such mask")
        return LlavaForConditionalGeneration.forward(self, *args, logits_to_keep=logits_to_keep, **kwargs)


@pytest.mark.parametrize(
    ("kind", "why"),
    [(Leaky, "a packed answer differed from a separate one"), (Refusing, "a packed call failed (ValueError")],
)
def test_wrong_packed_path_is_disabled_with_a_warning(
    kind: type[Any], why: str, caplog: pytest.LogCaptureFixture
) -> None:
    good = LLAVA.network()
    network = kind(good.config).eval()
    network.load_state_dict(good.state_dict())
    prompts = [LLAVA.prompt(seed, (3, 5, 4)) for seed in range(3)]
    scorer = Scorer(network, YES, NO)
    assert scorer.path == "packed"
    with caplog.at_level(logging.WARNING, "jurat.models"):
        got = scorer.score(prompts)
    assert scorer.path == "plain"
    assert why in caplog.text
    assert "one by one, which is slower" in caplog.text
    assert scorer.reasons["cached"] == "its forward pass takes no cache"
    assert log_odds(got) == pytest.approx(log_odds(Scorer(good, YES, NO).score(prompts)), abs=SLACK)


@pytest.mark.parametrize("path", PATHS)
def test_nan_logits_fail_alone_and_keep_the_path(path: Path) -> None:
    scorer = Scorer(LLAVA.network(), YES, NO, path=path)
    prompts = [LLAVA.prompt(seed, (3, 5)) for seed in range(3)]
    prompts[1].images["pixel_values"].fill_(float("nan"))
    first, infinite, last = scorer.score(prompts)
    assert [answer.failure and answer.failure.reason for answer in infinite.answers] == [
        "The model's logits are not finite."
    ] * 2
    assert {answer.failure for one in (first, last) for answer in one.answers} == {None}
    assert scorer.path == path
    assert [check.path for check in scorer.checks] == [path], "the sound ones are checked all the same"
    prompts[1] = LLAVA.prompt(1, (3, 5))
    sound = [scorer.score([prompt])[0] for prompt in (prompts[0], prompts[2])]
    assert log_odds([first, last]) == pytest.approx(log_odds(sound), abs=SLACK)


def test_path_with_nan_where_plain_calls_succeed_is_disabled(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    scorer = Scorer(LLAVA.network(), YES, NO)
    failed = YesNo(0.0, 0.0, Failure("error", "not finite"))
    monkeypatch.setattr(scorer, "packed", lambda some: [[failed] * len(one.segments) for one in some])
    (scored,) = scorer.score([LLAVA.prompt(1, (3, 5))])
    assert scorer.path == "cached" and "differed from a separate one by inf" in caplog.text
    assert {answer.failure for answer in scored.answers} == {None}


def test_item_error_does_not_disable_the_path() -> None:
    scorer = Scorer(LLAVA.network(), YES, NO)
    good = LLAVA.prompt(1, (3, 5))
    bad = LLAVA.prompt(1, (3, 5))
    bad.images["pixel_values"] = bad.images["pixel_values"][:, :, :20, :20]  # the tower takes no such size
    with pytest.raises(ValueError, match="doesn't match model"):
        scorer.score([bad])
    assert scorer.path == "packed"
    assert len(scorer.score([good])[0].answers) == 2


@pytest.mark.parametrize("family", FAMILIES, ids=lambda family: family.name)
def test_every_family_accepts_bfloat16_pixels(family: Family) -> None:
    """Processors make them in float32, and not every tower casts them itself."""
    network = copy.deepcopy(family.network()).to(torch.bfloat16)
    scorer = Scorer(network, YES, NO)
    found = scorer.score([family.prompt(seed, (3, 5)) for seed in range(2)])
    exact = Scorer(family.network(), YES, NO).score([family.prompt(seed, (3, 5)) for seed in range(2)])
    assert {answer.failure for one in found for answer in one.answers} == {None}
    assert log_odds(found) == pytest.approx(log_odds(exact), abs=0.25)


def test_pass_is_checked_once_per_form() -> None:
    scorer = Scorer(LLAVA.network(), YES, NO)
    for seed in range(3):
        scorer.score([LLAVA.prompt(seed, (3, 5)), LLAVA.prompt(seed + 3, (2, 4))])
    scorer.score([LLAVA.prompt(9, (2, 2), None)])
    assert [check.form for check in scorer.checks] == [
        "with images, several items",
        "without images, one item",
    ]
    assert all(check.difference < check.limit for check in scorer.checks)


@pytest.mark.parametrize(
    "error",
    [
        torch.OutOfMemoryError("CUDA out of memory"),
        RuntimeError("can't allocate memory: 12 bytes"),
        RuntimeError("MPS backend out of memory (MPS allocated: 4.00 GB)"),
    ],
)
def test_passes_are_halved_when_memory_runs_out(error: Exception, monkeypatch: pytest.MonkeyPatch) -> None:
    scorer = Scorer(LLAVA.network(), YES, NO)
    prompts = [LLAVA.prompt(seed, (3, 5, 4)) for seed in range(8)]
    whole = log_odds(scorer.score(prompts))
    rows: list[int] = []
    packed = scorer.packed

    def scarce(some: Any) -> list[list[YesNo]]:
        rows.append(len(some))
        if len(some) > 2:
            raise error
        return packed(some)

    monkeypatch.setattr(scorer, "packed", scarce)
    scorer.bounds = PassLimits(400, 100_000, 64)
    assert log_odds(scorer.score(prompts)) == pytest.approx(whole, abs=SLACK)
    assert rows[0] == 8 and rows[-1] <= 2
    assert scorer.path == "packed"


def test_out_of_memory_for_one_question_is_an_error(monkeypatch: pytest.MonkeyPatch) -> None:
    scorer = Scorer(LLAVA.network(), YES, NO)

    def none_left(some: Any) -> list[list[YesNo]]:
        raise torch.OutOfMemoryError("CUDA out of memory")

    monkeypatch.setattr(scorer, "packed", none_left)
    bounds = scorer.bounds
    with pytest.raises(torch.OutOfMemoryError):
        scorer.score([LLAVA.prompt(1, (3, 5))])
    assert scorer.path == "packed"
    assert scorer.bounds == bounds, "those that come after it fit as before"


def test_check_uses_one_row_when_memory_is_short(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    scorer = Scorer(LLAVA.network(), YES, NO)
    plain = scorer.plain

    def scarce(rows: Any) -> list[YesNo]:
        if len(rows) > 1:
            raise torch.OutOfMemoryError("CUDA out of memory")
        return plain(rows)

    monkeypatch.setattr(scorer, "plain", scarce)
    scorer.score([LLAVA.prompt(1, (3, 5))])
    assert [check.path for check in scorer.checks] == ["packed"]
