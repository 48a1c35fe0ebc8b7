"""Answers from shared prefixes equal separate calls, family by family, in float32."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import pytest
import torch

from jurat.models.hf import attention, masks, packing
from jurat.models.hf.masks import UnsharablePrefix, packed_masks, separate_masks
from jurat.models.hf.prompt import Prompt
from jurat.models.hf.scoring import ScoredPrompt, Scorer

from .. import families
from ..families import BY_NAME, FAMILIES, NO, SQUARE, YES, Family

SLACK = 1e-4
"""In log-odds."""
WIDE, TALL = (64, 32), (32, 64)

every = pytest.mark.parametrize("family", FAMILIES, ids=lambda family: family.name)


@pytest.fixture(autouse=True)
def passes_in_blocks(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """Runs so short that packs this small have several; their number in each call of attention by blocks."""
    seen: list[int] = []
    inner = attention._attend
    monkeypatch.setattr(attention, "RUN", 6)
    monkeypatch.setattr(
        attention,
        "_attend",
        lambda q, k, v, blocks, s: (seen.append(len(blocks.runs)), inner(q, k, v, blocks, s))[1],
    )
    return seen


def log_odds(scored: Sequence[ScoredPrompt]) -> list[float]:
    return [answer.log_odds for one in scored for answer in one.answers]


def mixed(family: Family) -> list[Prompt]:
    """Images of several sizes, several and none, prefixes and questions of several lengths and numbers."""
    same = (3, 5, 4)
    prompts = [
        family.prompt(1, same, (SQUARE,)),
        family.prompt(2, same, (WIDE,)),
        family.prompt(3, (1, 9, 2), (TALL,)),
        family.prompt(4, (4, 2), None),
        family.prompt(5, (6,), (SQUARE,)),
        family.prompt(6, (2, 7, 1, 5, 5, 3), (WIDE,)),
    ]
    if family.several:
        prompts += [family.prompt(7, same, (SQUARE, WIDE)), family.prompt(8, same, (TALL, TALL, SQUARE))]
    return prompts


def apart(family: Family, prompts: Sequence[Prompt]) -> list[float]:
    """Answers of each question asked in its own call."""
    plain = Scorer(family.network(), YES, NO, path="plain")
    return log_odds([plain.score([replace(p, segments=(s,))])[0] for p in prompts for s in p.segments])


@every
def test_packed_answers_equal_separate_calls(family: Family, passes_in_blocks: list[int]) -> None:
    prompts = mixed(family)
    separate = apart(family, prompts)
    assert len({round(value, 3) for value in separate}) > 15, "answers must depend on the question"
    scorer = Scorer(family.network(), YES, NO)
    together = scorer.score(prompts)
    assert scorer.path == family.path, scorer.reasons
    assert log_odds(together) == pytest.approx(separate, abs=SLACK)
    alone = [scorer.score([one])[0] for one in prompts]
    assert log_odds(alone) == pytest.approx(separate, abs=SLACK)
    assert scorer.path == family.path, scorer.reasons
    assert (max(passes_in_blocks, default=0) > 2) == (family.path == "packed")
    if family.path != "plain":
        # What is made of all of them together need not be asked alone to be known to be right.
        assert {check.path for check in scorer.checks} == {family.path}
        assert all(c.difference < SLACK for c in scorer.checks if "padded" not in c.form)


@every
def test_cached_prefix_answers_equal_separate_calls(family: Family) -> None:
    prompts = mixed(family)
    keeping = Scorer(family.network(), YES, NO, path="cached")
    assert log_odds(keeping.score(prompts)) == pytest.approx(apart(family, prompts), abs=SLACK)
    assert keeping.path == ("plain" if family.path == "plain" else "cached")


@every
def test_answers_depend_on_their_own_image(family: Family) -> None:
    one, other = family.prompt(1, (3, 5)), family.prompt(4, (3, 5))  # seeds with prefixes of equal length
    other = replace(other, prefix=one.prefix, segments=one.segments)
    first, second = Scorer(family.network(), YES, NO).score([one, other])
    assert log_odds([first]) != pytest.approx(log_odds([second]), abs=1e-3)


def test_images_of_several_sizes_share_a_padded_pass() -> None:
    for name in ("llava-onevision", "idefics3", "mistral3"):
        family = BY_NAME[name]
        prompts = [family.prompt(seed, (3, 5), (size,)) for seed, size in enumerate((SQUARE, WIDE, TALL), 1)]
        scorer = Scorer(family.network(), YES, NO)
        passes: list[int] = []
        packed = scorer.packed
        scorer.packed = lambda some, work=packed, seen=passes: (seen.append(len(some)), work(some))[1]
        assert log_odds(scorer.score(prompts)) == pytest.approx(apart(family, prompts), abs=SLACK)
        assert passes == [3], name
        assert scorer.pads


@pytest.mark.parametrize("name", ["gemma3", "llava-windowed"])
def test_check_detects_a_mask_without_the_window(
    name: str, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    """The check sees what transformers does with a mask that is handed on to windowed layers unchanged."""

    def forgetful(network: object, prompts: Sequence[Prompt], longest: int) -> dict[str, torch.Tensor]:
        total = max(len(prompt.prefix) for prompt in prompts) + longest
        return {"": torch.ones((1, total, total), dtype=torch.bool).tril()}

    family = BY_NAME[name]
    prompts = [family.prompt(1, (3, 5, 4), (SQUARE, WIDE))]
    monkeypatch.setattr(packing, "separate_masks", forgetful)
    scorer = Scorer(family.network(), YES, NO)
    got = scorer.score(prompts)
    assert "a packed answer differed from a separate one" in (scorer.obstacle or "")
    assert scorer.path == "cached"
    assert "asked from a kept prefix, which is slower" in caplog.text
    assert log_odds(got) == pytest.approx(apart(family, prompts), abs=SLACK)


def test_one_mask_per_kind_of_layer_only_if_needed() -> None:
    network = BY_NAME["gemma3"].network()
    for lengths, kinds in (((1, 2), 1), ((9, 2), 2)):  # the window is eight tokens
        prompt = BY_NAME["gemma3"].prompt(1, lengths, None)
        made = packing.packed_inputs(network, [prompt])["attention_mask"]
        assert (len(made) if isinstance(made, dict) else 1) == kinds


def test_packed_mask_equals_separate_masks() -> None:
    family = BY_NAME["gemma3"]  # windows, and images that see themselves in both directions
    prompts = [family.prompt(1, (3, 5), (SQUARE,)), family.prompt(2, (6, 2), (SQUARE, SQUARE))]
    layout = packing.lay_out(prompts)
    separate = separate_masks(family.network(), prompts, 6)
    made = packed_masks(separate, layout.places, layout.owner, torch.float32)
    for kind, mask in made.items():
        for row, prompt in enumerate(prompts):
            for j, segment in enumerate(prompt.segments, 1):
                (own,) = ((layout.owner[row] == masks.PREFIX) | (layout.owner[row] == j)).nonzero().T
                lone = replace(prompt, segments=(segment,))
                expected = separate_masks(family.network(), [lone], len(segment))[kind][0]
                assert (mask[row, 0][own][:, own] == 0).equal(expected)
                (others,) = ((layout.owner[row] != masks.PREFIX) & (layout.owner[row] != j)).nonzero().T
                assert not (mask[row, 0][own][:, others] == 0).any()


def test_prefix_that_attends_ahead_is_detected() -> None:
    family = BY_NAME["paligemma"]
    with pytest.raises(UnsharablePrefix, match="attends to the question behind it"):
        separate_masks(family.network(), [family.prompt(1, (3,))], 3)
    separate_masks(family.network(), [family.prompt(1, (3,), None)], 3)  # without an image it does not


def test_visible_padding_is_disabled_with_a_warning(caplog: pytest.LogCaptureFixture) -> None:
    """Mllama's tokens before an image attend to all images alike, padding among them."""
    family = BY_NAME["mllama"]
    prompts = [family.prompt(1, (3, 5), (SQUARE,)), family.prompt(2, (3, 5), (SQUARE, WIDE))]
    scorer = Scorer(family.network(), YES, NO)
    got = scorer.score(prompts)
    assert log_odds(got) == pytest.approx(apart(family, prompts), abs=SLACK)
    assert (scorer.path, scorer.pads) == ("packed", False)
    assert "Images of different sizes are scored apart, which is slower" in caplog.text


def test_families_cover_every_kind_of_layer_and_position() -> None:
    layers = {layer.partition(" with ")[2] for f in FAMILIES for layer in _layers(f)}
    assert layers >= {
        "full attention",
        "attention in a window",
        "a recurrent or convolutional state",
        "cross-attention to images",
    }
    assert {family.path for family in FAMILIES} == {"packed", "cached", "plain"}


def _layers(family: Family) -> tuple[str, ...]:
    return families.BY_NAME[family.name].network() and Scorer(family.network(), YES, NO).structure.layers
