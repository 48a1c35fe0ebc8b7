"""Batched conversations equal single ones, and shared prefixes are read once."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from jurat.content import Chat, Generation, Turn
from jurat.models.bundled.model import BundledModel
from jurat.models.hf.generation import decode, shared
from jurat.models.hf.prompt import Prompt
from jurat.models.hf.scoring import Scorer

from ..families import BY_NAME, FAMILIES, NO, SQUARE, YES, Family
from ..tiny import make_tokenizer, scene

WIDE = (64, 32)
every = pytest.mark.parametrize("family", FAMILIES, ids=lambda family: family.name)
REUSED = {
    "llava", "llava-onevision", "qwen2-vl", "qwen2.5-vl", "qwen3-vl", "internvl", "idefics3", "smolvlm",
    "mistral3", "pixtral", "glm4v",
}  # fmt: skip
"""Families whose every layer sees tokens through a mask of full width."""


def chats(family: Family) -> list[Prompt]:
    """Six conversations about three images, with different endings."""
    made: list[Prompt] = []
    for seed, size, lengths in ((1, SQUARE, (4, 1, 6)), (2, SQUARE, (5, 5)), (3, SQUARE, (2,))):
        prompt = family.prompt(seed, lengths, (size,))
        made += [prompt.ending(segment) for segment in prompt.segments]
    return made


@every
def test_batched_greedy_replies_equal_singles(family: Family) -> None:
    network, tokenizer = family.network(), make_tokenizer()
    prompts = chats(family)
    settings = [Generation(max_tokens=3 + i % 4) for i in range(len(prompts))]
    scorer = Scorer(network, YES, NO)
    together = decode(network, tokenizer, prompts, settings, scorer)
    alone = [decode(network, tokenizer, [p], [s])[0] for p, s in zip(prompts, settings, strict=True)]
    assert together == alone
    assert len({reply.text for reply in together}) > 2
    assert (shared(network, prompts, scorer, 6) is not None) == (family.name in REUSED)


def test_sampled_replies_do_not_depend_on_sharing() -> None:
    family = BY_NAME["llava"]
    network, tokenizer, prompts = family.network(), make_tokenizer(), chats(family)
    settings = [Generation(max_tokens=6, temperature=1.0, seed=i) for i in range(len(prompts))]
    together = decode(network, tokenizer, prompts, settings, Scorer(network, YES, NO))
    assert together == [
        decode(network, tokenizer, [p], [s])[0] for p, s in zip(prompts, settings, strict=True)
    ]


def test_shared_image_is_encoded_once() -> None:
    family = BY_NAME["llava"]
    network, prompts = family.network(), chats(family)
    scorer = Scorer(network, YES, NO)
    settings = [Generation(max_tokens=4)] * len(prompts)
    decode(network, make_tokenizer(), prompts, settings, scorer)  # with the check
    seen: list[int] = []
    hook = network.model.vision_tower.register_forward_pre_hook(
        lambda module, args, kwargs: seen.append(len((*args, *kwargs.values())[0])), with_kwargs=True
    )
    try:
        decode(network, make_tokenizer(), prompts, settings, scorer)
    finally:
        hook.remove()
    assert seen == [3], "six conversations about three images"


def test_images_after_a_difference_are_not_shared() -> None:
    """Two images with a question before the second: the second is no part of what all begin with."""
    family = BY_NAME["llava"]
    first, second = (family.prompt(1, (1,), (SQUARE, SQUARE)) for _ in range(2))
    ids = second.prefix.clone()
    ids[2] = 30  # among the placeholders of the first image stands something else
    second = replace(second, prefix=ids)
    assert shared(family.network(), [first, second], Scorer(family.network(), YES, NO), 4) is None


def test_window_is_reused_only_if_it_holds_the_prefix() -> None:
    family = BY_NAME["llava-windowed"]
    network, prompts = family.network(), chats(family)
    scorer = Scorer(network, YES, NO)
    assert shared(network, prompts, scorer, 4) is None
    scorer.structure = replace(scorer.structure, window=1000)  # what a real one might have
    assert scorer.may_continue([family.prompt(1, (3, 4))], 100)


def test_wrong_prefix_reuse_is_detected_and_disabled(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    family = BY_NAME["llava"]
    network, tokenizer, prompts = family.network(), make_tokenizer(), chats(family)
    settings = [Generation(max_tokens=4)] * len(prompts)
    from jurat.models.hf import scoring

    right = scoring.last_logits
    monkeypatch.setattr(scoring, "last_logits", lambda *args: right(*args).roll(1, dims=-1))
    scorer = Scorer(network, YES, NO)
    together = decode(network, tokenizer, prompts, settings, scorer)
    assert "Conversations about one image are read one by one, which is slower" in caplog.text
    assert together == decode(network, tokenizer, prompts, settings)
    assert scorer.path == "packed", "questions are still packed"


def test_bundled_model_batched_chat_equals_singles(bundled: BundledModel) -> None:
    asks = ("A child is visible.", "A dog touches a knife.", "Nothing but a dog is visible.")
    every = [
        Chat((Turn("user", (scene(seed), f"Statement: {text} Answer with Yes or No.")),), settings)
        for seed in range(3)
        for text in asks
        for settings in (Generation(max_tokens=8),)
    ]
    together = bundled.chat(every)
    assert together == [bundled.chat([chat])[0] for chat in every]
    assert all(reply.failure is None and reply.usage.output_tokens for reply in together)
    assert _shared(bundled, every) == 3


def _shared(model: BundledModel, chats: list[Chat]) -> int:
    """How many prefixes the conversations come down to."""
    local: Any = model._local
    prompts = [local.encoder.encode_chat(chat) for chat in chats]
    found = shared(local.network, prompts, local.scorer, 8)
    return len(found.prefixes) if found else len(prompts)
