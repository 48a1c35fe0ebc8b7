"""Packed equals plain, family by family; and where it would not, packing is given up, aloud."""

from __future__ import annotations

import logging
from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import Any

import pytest
import torch
from transformers import LlavaForConditionalGeneration

from jurat.models import Generation, scoring
from jurat.models.decoding import decode
from jurat.models.encoding import Prompt
from jurat.models.scoring import Scored, Scorer

from . import families
from .families import NO, YES
from .tiny import make_tokenizer

PACKABLE = [
    pytest.param(families.llava, families.llava_prompt, id="llava"),
    pytest.param(families.qwen2_vl, families.qwen_prompt, id="qwen2-vl"),
    pytest.param(families.qwen2_5_vl, families.qwen_prompt, id="qwen2.5-vl"),
    pytest.param(families.qwen3_vl, families.qwen_prompt, id="qwen3-vl"),
]
SLACK = 1e-4
"""In log-odds, in float32."""


def log_odds(scored: Sequence[Scored]) -> list[float]:
    return [answer.log_odds for one in scored for answer in one.answers]


def mixed(prompt: Callable[..., Prompt]) -> list[Prompt]:
    """Images of several sizes and none, prefixes and questions of several lengths and numbers."""
    return [
        prompt(1, (3, 5, 4), (32, 32)),
        prompt(2, (3, 5, 4), (32, 48)),
        prompt(3, (1, 9, 2), (16, 32)),
        prompt(4, (4, 2), None),
        prompt(5, (6,), (32, 32)),
        prompt(6, (2, 7, 1, 5, 5, 3), (48, 16)),
    ]


@pytest.mark.parametrize(("build", "prompt"), PACKABLE)
def test_packed_equals_separate_calls(build: Callable[[], Any], prompt: Callable[..., Prompt]) -> None:
    network = families.make(build)
    packed, plain = Scorer(network, YES, NO), Scorer(network, YES, NO)
    plain.obstacle = "for comparison"
    prompts = mixed(prompt)
    got = packed.score(prompts)
    assert packed.obstacle is None
    separate = [plain.score([replace(one, segments=(s,))])[0] for one in prompts for s in one.segments]
    assert log_odds(got) == pytest.approx(log_odds(separate), abs=SLACK)
    assert log_odds(plain.score(prompts)) == pytest.approx(log_odds(separate), abs=SLACK)
    assert log_odds([packed.score([one])[0] for one in prompts]) == pytest.approx(log_odds(got), abs=SLACK)
    assert len({round(value, 3) for value in log_odds(got)}) > 10, "answers must hang on what is asked"


@pytest.mark.parametrize(("build", "prompt"), PACKABLE)
def test_a_question_is_answered_about_its_own_image(
    build: Callable[[], Any], prompt: Callable[..., Prompt]
) -> None:
    scorer = Scorer(families.make(build), YES, NO)
    one, other = prompt(1, (3, 5)), prompt(4, (3, 5))  # seeds with prefixes of equal length
    other = replace(other, segments=one.segments)
    first, second = scorer.score([one, other])
    assert log_odds([first]) != pytest.approx(log_odds([second]), abs=1e-3)


def test_mass_is_the_probability_of_both_answers() -> None:
    network = families.make(families.llava)
    prompt = families.llava_prompt(1, (3, 4))
    (scored,) = Scorer(network, YES, NO).score([prompt])
    with torch.inference_mode():
        ids = torch.cat([prompt.prefix, torch.tensor(prompt.segments[1])])[None]
        chances = network(input_ids=ids, **prompt.images).logits[0, -1].softmax(-1)
    assert scored.answers[1].yes == pytest.approx(float(chances[YES].sum()), rel=1e-4)
    assert scored.answers[1].no == pytest.approx(float(chances[NO].sum()), rel=1e-4)


def test_shared_tokens_are_counted_once() -> None:
    scorer = Scorer(families.make(families.llava), YES, NO)
    prompt = families.llava_prompt(1, (3, 5, 4))
    (scored,) = scorer.score([prompt])
    assert (scored.tokens, scored.shared) == (len(prompt.prefix) + 12, len(prompt.prefix))
    scorer.obstacle = "for comparison"
    (scored,) = scorer.score([prompt])
    assert (scored.tokens, scored.shared) == (3 * len(prompt.prefix) + 12, 0)


def test_a_pack_that_is_too_long_is_split(monkeypatch: pytest.MonkeyPatch) -> None:
    scorer = Scorer(families.make(families.llava), YES, NO)
    prompts = [families.llava_prompt(seed, (3, 5, 4, 6, 2, 7)) for seed in range(3)]
    whole = log_odds(scorer.score(prompts))
    monkeypatch.setattr(scoring, "TOKENS_A_PASS", 20)
    monkeypatch.setattr(scoring, "MASK_ENTRIES", 400)
    assert log_odds(scorer.score(prompts)) == pytest.approx(whole, abs=SLACK)
    monkeypatch.setattr(scoring, "TOKENS_A_PASS", 1)
    assert log_odds(scorer.score(prompts)) == pytest.approx(whole, abs=SLACK)


def test_eager_attention_is_packed_too() -> None:
    network = families.make(families.llava)
    prompts = [families.llava_prompt(seed, (3, 5, 4)) for seed in range(3)]
    expected = log_odds(Scorer(network, YES, NO).score(prompts))
    network.set_attn_implementation("eager")
    eager = Scorer(network, YES, NO)
    assert log_odds(eager.score(prompts)) == pytest.approx(expected, abs=SLACK)
    assert eager.path == "packed"


def test_half_precision_stays_close_to_full() -> None:
    network = families.make(families.llava)
    prompts = [families.llava_prompt(seed, (3, 5, 4)) for seed in range(3)]
    full = log_odds(Scorer(network, YES, NO).score(prompts))
    half = Scorer(network.to(torch.bfloat16), YES, NO)
    assert log_odds(half.score(prompts)) == pytest.approx(full, abs=0.2)
    assert half.path == "packed"


def test_a_prefix_attended_to_in_both_directions_is_not_packed() -> None:
    scorer = Scorer(families.make(families.gemma3), YES, NO)
    assert scorer.path == "plain"
    assert scorer.obstacle is not None
    assert "both directions" in scorer.obstacle
    scored = scorer.score(mixed(families.gemma_prompt))
    assert [len(one.answers) for one in scored] == [3, 3, 3, 2, 1, 6]


def test_a_sliding_window_is_not_packed() -> None:
    from transformers import CLIPVisionConfig, LlavaConfig, MistralConfig

    def build() -> Any:
        text = MistralConfig(**families.TEXT, sliding_window=4)
        vision = CLIPVisionConfig(
            hidden_size=32,
            intermediate_size=64,
            num_hidden_layers=1,
            num_attention_heads=2,
            image_size=32,
            patch_size=16,
        )
        return LlavaForConditionalGeneration(
            LlavaConfig(vision_config=vision, text_config=text, image_token_id=families.IMAGE)
        )

    scorer = Scorer(families.make(build), YES, NO)
    assert scorer.obstacle == "some of its layers keep DynamicSlidingWindowLayer"


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
def test_the_first_pack_is_checked_and_a_wrong_one_given_up_aloud(
    kind: type[Any], why: str, caplog: pytest.LogCaptureFixture
) -> None:
    good = families.make(families.llava)
    network = families.make(lambda: kind(good.config))
    prompts = [families.llava_prompt(seed, (3, 5, 4)) for seed in range(3)]
    scorer = Scorer(network, YES, NO)
    assert scorer.path == "packed"
    with caplog.at_level(logging.WARNING, "jurat.models"):
        got = scorer.score(prompts)
    assert scorer.path == "plain"
    assert why in caplog.text
    assert "one by one, which is slower" in caplog.text
    assert log_odds(got) == pytest.approx(log_odds(Scorer(good, YES, NO).score(prompts)), abs=SLACK)


def test_logits_that_are_no_numbers_are_an_error() -> None:
    network = families.make(families.llava)
    with torch.no_grad():
        network.lm_head.weight.fill_(float("nan"))
    with pytest.raises(ArithmeticError, match="not finite"):
        Scorer(network, YES, NO).score([families.llava_prompt(1, (3,))])


@pytest.mark.parametrize(
    ("build", "prompt"),
    [*PACKABLE, pytest.param(families.gemma3, families.gemma_prompt, id="gemma3")],
)
def test_a_batch_of_conversations_continues_as_each_would_alone(
    build: Callable[[], Any], prompt: Callable[..., Prompt]
) -> None:
    network = families.make(build)
    network.generation_config.eos_token_id = 2
    tokenizer = make_tokenizer()
    prompts = [prompt(seed, (1,), size) for seed, size in ((1, (32, 32)), (2, (32, 48)), (3, (16, 32)))]
    settings = [
        Generation(max_tokens=4),
        Generation(max_tokens=7, temperature=1.0, seed=3),
        Generation(max_tokens=6),
    ]
    together = decode(network, tokenizer, prompts, settings)
    alone = [decode(network, tokenizer, [p], [s])[0] for p, s in zip(prompts, settings, strict=True)]
    assert together == alone
    assert [reply.usage.output_tokens for reply in together] == pytest.approx([4, 7, 6], abs=6)
    assert len({reply.text for reply in together}) == 3
