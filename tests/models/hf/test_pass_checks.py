"""Forward passes are checked against separate calls before use, with fallbacks where they differ."""

from __future__ import annotations

import copy
import logging
from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import pytest
import torch
from transformers import LlavaForConditionalGeneration

from jurat.content import Generation
from jurat.models.hf.architecture import Structure
from jurat.models.hf.generation import decode
from jurat.models.hf.pass_shapes import form_of, picked, reach_of
from jurat.models.hf.prompt import Prompt
from jurat.models.hf.scoring import PATHS, Path, ScoredPrompt, Scorer
from jurat.models.protocol import YesNo

from .. import families
from ..families import BY_NAME, NO, SQUARE, YES, Family
from ..more_families import MORE
from ..tiny import make_tokenizer
from .test_generation import chats

NEW = {family.name: family for family in MORE}
LLAVA = BY_NAME["llava"]
SLACK = 1e-4
"""In log-odds, in float32."""
WIDE = (64, 32)


def log_odds(scored: Sequence[ScoredPrompt]) -> list[float]:
    return [answer.log_odds for one in scored for answer in one.answers]


def alone(family: Family, prompts: Sequence[Prompt]) -> list[float]:
    plain = Scorer(family.network(), YES, NO, path="plain")
    return log_odds([plain.score([replace(p, segments=(s,))])[0] for p in prompts for s in p.segments])


# --- several items in one pass ---------------------------------------------------------------------


@pytest.mark.parametrize("path", PATHS)
@pytest.mark.parametrize("name", ["molmo2", "hunyuan-vl", "minicpm-v4.6"])
def test_unbatchable_items_run_one_per_pass_with_a_warning(
    name: str, path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    family = NEW[name]
    prompts = [
        family.prompt(seed, (3, 5, 4), (size,))
        for seed, size in ((1, WIDE), (4, SQUARE), (7, WIDE), (10, SQUARE), (5, WIDE))
    ]
    scorer = Scorer(family.network(), YES, NO, path=path)
    assert log_odds(scorer.score(prompts)) == pytest.approx(alone(family, prompts), abs=SLACK)
    assert caplog.text.count("Items are read one a pass, which is slower") == 1
    assert len(scorer.apart) == 1
    words = [family.prompt(seed, (3, 5), None) for seed in range(3)]
    assert scorer.joins(words), "what has no image is joined all the same"


def test_identical_images_do_not_validate_a_pass() -> None:
    """A family that uses the first image for all items is right about copies of it."""
    family = NEW["molmo2"]
    copies = [family.prompt(1, (3, 5, 4), (SQUARE,)) for _ in range(4)]
    others = [family.prompt(seed, (3, 5, 4), (SQUARE,)) for seed in (1, 4, 7)]
    scorer = Scorer(family.network(), YES, NO)
    scorer.score(copies)
    assert log_odds(scorer.score(others)) == pytest.approx(alone(family, others), abs=SLACK)


def test_uninformative_items_do_not_validate_a_pass() -> None:
    """The network gives the same answers for all images of the first batches."""
    family = NEW["molmo2"]
    dull = [family.prompt(seed, (3, 5), (SQUARE,)) for seed in (1, 4)]
    scorer = Scorer(family.network(), YES, NO)
    with torch.no_grad():
        projector = family.network().model.multi_modal_projector.image_projector.down_proj.weight
        kept = projector.clone()
        try:
            projector.zero_()
            for _ in range(3):
                scorer.score(dull)
                assert not scorer.apart
        finally:
            projector.copy_(kept)
    others = [family.prompt(seed, (3, 5, 4), (SQUARE,)) for seed in (1, 4, 7)]
    assert log_odds(scorer.score(others)) == pytest.approx(alone(family, others), abs=SLACK)
    assert scorer.apart


def test_last_longest_and_shortest_items_are_checked() -> None:
    prompts = [
        LLAVA.prompt(seed, lengths) for seed, lengths in ((0, (4, 9)), (0, (1, 5)), (0, (5, 5)), (0, (3, 4)))
    ]
    assert picked(prompts) == [(3, 1), (0, 1), (1, 0)]
    assert picked([LLAVA.prompt(0, (4, 4))] * 9) == [(8, 1), (4, 0)]
    assert picked(prompts, longest_only=True) == [(0, 1), (1, 0)]
    assert picked(prompts[:1]) == [(0, 1), (0, 0)]


class Muddled(LlavaForConditionalGeneration):
    """Reads the image of one row, by its number, as a plain one where a pass has more than four."""

    row = -1

    def forward(
        self,
        input_ids: Any = None,
        pixel_values: Any = None,
        attention_mask: Any = None,
        position_ids: Any = None,
        past_key_values: Any = None,
        logits_to_keep: Any = 0,
        **settings: Any,
    ) -> Any:
        if pixel_values is not None and len(pixel_values) > 4:
            pixel_values = pixel_values.clone()
            pixel_values[self.row] = 0.3
        return super().forward(
            input_ids=input_ids,
            pixel_values=pixel_values,
            attention_mask=attention_mask,
            position_ids=position_ids,
            past_key_values=past_key_values,
            logits_to_keep=logits_to_keep,
            **settings,
        )


@pytest.mark.parametrize("path", PATHS)
@pytest.mark.parametrize("place", ["last", "longest", "shortest"])
def test_one_wrong_item_of_a_pass_is_detected(place: str, path: Path) -> None:
    good = LLAVA.network()
    network = Muddled(good.config).eval()
    network.load_state_dict(good.state_dict())
    # Every third seed has a prefix of one length. The last item is neither the longest nor the shortest.
    lengths = [(4, 4), (4, 9), (1, 4), (4, 4), (4, 4), (5, 4)]
    prompts = [LLAVA.prompt(3 * i, n) for i, n in enumerate(lengths)]
    network.row = {"last": -1, "longest": 1, "shortest": 2}[place] if path != "plain" else -1
    scorer = Scorer(network, YES, NO, path=path)
    assert log_odds(scorer.score(prompts)) == pytest.approx(alone(LLAVA, prompts), abs=SLACK)
    assert scorer.path == path
    assert scorer.apart or scorer.even


def test_item_error_does_not_disable_the_path() -> None:
    prompts = [LLAVA.prompt(seed, (3, 5)) for seed in (0, 3, 6)]
    beyond = ((20, 30, 9_999), prompts[1].segments[1])  # a token that the vocabulary does not have
    scorer = Scorer(LLAVA.network(), YES, NO)
    with pytest.raises(IndexError):
        scorer.score([prompts[0], replace(prompts[1], segments=beyond), prompts[2]])
    assert scorer.path == "packed" and not scorer.apart
    assert log_odds(scorer.score(prompts)) == pytest.approx(alone(LLAVA, prompts), abs=SLACK)


# --- longer sequences ------------------------------------------------------------------------------


def test_pass_is_rechecked_beyond_the_next_power_of_two() -> None:
    scorer = Scorer(LLAVA.network(), YES, NO)
    counts = []
    for lengths in ((3, 5), (2, 4), (3, 40), (3, 41), (3, 5), (90, 90), (4, 90)):
        scorer.score([LLAVA.prompt(1, lengths)])
        counts.append(len(scorer.checks))
    assert counts == [1, 1, 2, 2, 2, 3, 3]


def test_length_thresholds_are_read_from_the_configuration() -> None:
    for family, named, scaled, growing in (
        (NEW["llava-longrope"], 32, (32,), None),
        (NEW["llava-dynamic-rope"], 32, (), 32),
        (NEW["cohere2-vision"], 8, (), None),
        (NEW["llama4"], 8, (), None),
        (NEW["llama4"], 16, (), None),
        (NEW["glm5-next"], 8, (), None),
        (BY_NAME["llava-windowed"], 6, (), None),
    ):
        structure = Structure.of(family.network())
        assert named in structure.thresholds, family.name
        assert (structure.scaled, structure.growing) == (scaled, growing)
    assert Structure.of(LLAVA.network()).thresholds == (512,)


def test_form_changes_when_a_length_crosses_a_threshold() -> None:
    structure = replace(Structure.of(LLAVA.network()), thresholds=(30, 60))
    base = form_of("packed", [LLAVA.prompt(1, (3, 5))], structure)
    assert form_of("packed", [LLAVA.prompt(2, (5, 4))], structure) == base
    longer = [
        LLAVA.prompt(1, (3, 12)),  # the longest sequence
        LLAVA.prompt(1, (12, 12)),  # the shortest, too
        LLAVA.prompt(1, (12, 31)),  # a question
        LLAVA.prompt(1, (5, 5, 5, 5)),  # the row
    ]
    forms = {form_of("packed", [prompt], structure) for prompt in longer}
    assert len({base, *forms}) == 5
    assert form_of("packed", [LLAVA.prompt(1, (3, 5))], structure, more=40) != base
    assert all(a >= b for a, b in zip(reach_of(longer[2:3]), reach_of(longer[:1]), strict=True))


@pytest.mark.parametrize("name", ["llava-longrope", "llava-dynamic-rope"])
@pytest.mark.parametrize("path", PATHS)
def test_length_dependent_positions_equal_singles(name: str, path: Path) -> None:
    """The scale changes above 32 tokens; prefixes have 19 to 21, or 37."""
    family = NEW[name]
    prompts = [
        family.prompt(1, (3, 20, 12, 13, 2), (SQUARE,)),
        family.prompt(2, (11, 12, 13, 14, 40), (SQUARE,)),
        family.prompt(3, (5, 4, 3, 2, 1), (SQUARE, SQUARE)),
        family.prompt(4, (5, 4, 3, 2, 1), (SQUARE,)),
    ]
    scorer = Scorer(family.network(), YES, NO, path=path)
    for some in (prompts[3:], prompts, prompts[::-1], prompts[:1]):
        assert log_odds(scorer.score(some)) == pytest.approx(alone(family, some), abs=SLACK)
    assert scorer.path == path


@pytest.mark.parametrize("name", ["llava-longrope", "llava-dynamic-rope", "llama4", "glm5-next"])
def test_chats_crossing_a_threshold_do_not_change_others(name: str) -> None:
    family = NEW[name]
    network, tokenizer = family.network(), make_tokenizer()
    prompts = [chat for seed in (0, 1) for chat in chats(family)[seed::2]]
    settings = [Generation(max_tokens=3 + 12 * (i % 3)) for i in range(len(prompts))]
    scorer = Scorer(network, YES, NO)
    together = decode(network, tokenizer, prompts, settings, scorer)
    separate = []
    for prompt, one in zip(prompts, settings, strict=True):
        scorer.fresh()
        separate += decode(network, tokenizer, [prompt], [one])
    assert together == separate


def test_sparse_attention_is_never_padded() -> None:
    family = NEW["glm5-next"]
    prompts = [family.prompt(2, (3, 5, 4), (WIDE,)), family.prompt(8, (40, 2, 3), (WIDE,))]
    scorer = Scorer(family.network(), YES, NO)
    assert scorer.even, "what padding does to its layers is not known"
    assert log_odds(scorer.score(prompts)) == pytest.approx(alone(family, prompts), abs=SLACK)


def test_visible_padding_is_detected_and_lengths_separated(
    caplog: pytest.LogCaptureFixture,
) -> None:
    """Qwen3.5 with a recurrent state that runs on through padding."""
    family = BY_NAME["qwen3.5"]
    prompts = [family.prompt(1, (3, 9, 4)), family.prompt(4, (5, 2, 7))]
    network = copy.deepcopy(family.network())
    inner = network.prepare_inputs_for_generation

    def forgetful(*args: Any, attention_mask: Any = None, **settings: Any) -> Any:
        made = inner(*args, attention_mask=attention_mask, **settings)
        if made["input_ids"].shape[1] > 8 and settings.get("past_key_values") is not None:
            made["position_ids"] = made["position_ids"] + 3
        return made

    network.prepare_inputs_for_generation = forgetful
    scorer = Scorer(network, YES, NO)
    assert log_odds(scorer.score(prompts))[2] == pytest.approx(alone(family, prompts)[2], abs=SLACK)
    assert scorer.even or scorer.path == "plain"
    assert "which is slower" in caplog.text


# --- logits of every token -------------------------------------------------------------------------


@pytest.mark.parametrize("name", ["qwen2.5-omni", "video-llama3", "minicpm-v4.6"])
def test_pass_that_keeps_all_logits_uses_the_cached_path(name: str, caplog: pytest.LogCaptureFixture) -> None:
    family = NEW[name]
    prompts = [family.prompt(seed, (3, 5, 4, 9), (WIDE,)) for seed in (1, 2)]
    scorer = Scorer(family.network(), YES, NO)
    with caplog.at_level(logging.WARNING):
        scored = scorer.score(prompts)
    assert scorer.path == "cached"
    assert "one by one" not in caplog.text
    assert log_odds(scored) == pytest.approx(alone(family, prompts), abs=SLACK)
    assert [one.tokens for one in scored] == [len(p.prefix) + 21 for p in prompts]


# --- conversations ---------------------------------------------------------------------------------


def test_batched_chats_are_checked_before_continuing(
    caplog: pytest.LogCaptureFixture,
) -> None:
    family = NEW["molmo2"]
    network, tokenizer, prompts = family.network(), make_tokenizer(), chats(family)
    settings = [Generation(max_tokens=4)] * len(prompts)
    scorer = Scorer(network, YES, NO)
    together = decode(network, tokenizer, prompts, settings, scorer)
    assert together == [
        decode(network, tokenizer, [p], [s])[0] for p, s in zip(prompts, settings, strict=True)
    ]
    assert "Items are read one a pass" in caplog.text
    sound = Scorer(LLAVA.network(), YES, NO)
    decode(LLAVA.network(), tokenizer, chats(LLAVA), settings, sound)
    assert {check.path for check in sound.checks} >= {"continued"}
    assert all(check.difference < SLACK for check in sound.checks)


def test_chats_that_differ_in_a_batch_run_one_by_one(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    from jurat.models.hf import generation as decoding

    network, tokenizer = LLAVA.network(), make_tokenizer()
    prompts = [replace(LLAVA.prompt(seed, (1,)), segments=((20,),)) for seed in (0, 3, 6)]  # of equal lengths
    settings = [Generation(max_tokens=4)] * 3
    right = decoding._alone

    def muddled(network: Any, tokenizer: Any, some: Sequence[Prompt]) -> dict[str, Any]:
        made = right(network, tokenizer, some)
        if len(some) > 1:
            made["pixel_values"] = made["pixel_values"].roll(1, 0)
        return made

    expected = [decode(network, tokenizer, [p], [s])[0] for p, s in zip(prompts, settings, strict=True)]
    monkeypatch.setattr(decoding, "_alone", muddled)
    scorer = Scorer(network, YES, NO)
    assert decode(network, tokenizer, prompts, settings, scorer) == expected
    assert "Conversations are continued one by one, which is slower" in caplog.text
    assert scorer.path == "packed"


def test_failed_item_does_not_disable_batching(monkeypatch: pytest.MonkeyPatch) -> None:
    """A failed item is checked alone, the others with their own separate calls."""
    scorer = Scorer(LLAVA.network(), YES, NO)
    prompts = [LLAVA.prompt(seed, (3, 5)) for seed in range(4)]
    prompts[2].images["pixel_values"].fill_(float("nan"))
    found = scorer.score(prompts)
    assert [one.answers[0].failure is None for one in found] == [True, True, False, True]
    assert isinstance(found[2].answers[0], YesNo) and not scorer.apart and families.BY_NAME
