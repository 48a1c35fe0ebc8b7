"""Gradients with respect to embeddings of a prompt's span, against plain calls and finite differences."""

from __future__ import annotations

import copy
from collections.abc import Callable, Sequence
from typing import Any

import pytest
import torch
from PIL import Image
from tokenizers import Tokenizer, decoders, models, pre_tokenizers
from torch import Tensor
from transformers import PreTrainedTokenizerFast

from jurat.content import SPAN, Chat, Turn, with_span
from jurat.models import Differentiable, DifferentiableText, ModelError
from jurat.models.hf.adapters import adapted
from jurat.models.hf.model import LocalModel
from jurat.models.hf.text_gradients import TextGradients
from jurat.models.hf.torchvision_import import prepare_torchvision
from jurat.models.null import NullModel

from ..white_box import about

pytestmark = pytest.mark.skipif(not prepare_torchvision(), reason="torchvision is not installed")

BLANK = Image.new("RGB", (8, 8))
# LLaVA, axes of positions, scaled embeddings, tiles, cross-attention, an image put before the text, T5.
NAMES = ("llava", "qwen2.5-vl", "qwen3-vl", "gemma3", "idefics3", "mllama", "blip-2-opt", "blip-2-t5")
SHORT, LONG = (
    about(BLANK, question=f"Statement : {SPAN} ."),
    about(BLANK, question=f"A dog , or {SPAN} touches A cat ."),
)


def of(model: Any) -> DifferentiableText:
    found = model.capability(DifferentiableText)
    assert isinstance(found, DifferentiableText)
    return found


def noise(seed: int, size: tuple[int, int] = (40, 60)) -> Tensor:
    return 0.1 + 0.8 * torch.rand((3, *size), generator=torch.Generator().manual_seed(seed))


def totals(made: Sequence[Any]) -> list[float]:
    return [float(one.log_probabilities.sum().detach()) for one in made]


@pytest.mark.parametrize("name", NAMES)
def test_zero_shifts_and_replaced_tokens_equal_plain_calls(
    name: str, white_box: Callable[[str], LocalModel]
) -> None:
    local = white_box(name)
    found, plain = of(local), local.capability(Differentiable)
    assert plain is not None
    width = found.embeddings().shape[1]
    chats, texts = [SHORT, LONG, SHORT], [" Yes", " A dog", " knife"]
    pixels = [[noise(seed)] for seed in range(3)]
    for said in ("A child", "cat knife"):  # the second replaces the first, which was encoded
        spans = [found.span(chat, said) for chat in chats]
        assert all(found.typed([chat], span) == said for chat, span in zip(chats, spans, strict=True))
        expected = totals(plain.continuations([with_span(chat, said) for chat in chats], pixels, texts))
        zeros = [torch.zeros(len(span), width) for span in spans]
        shifted = found.continuations(chats, pixels, texts, spans, zeros)
        assert totals(shifted) == pytest.approx(expected, abs=2e-4)
        scored = found.scores(chats, pixels, texts, spans)
        assert [float(one.sum()) for one in scored] == pytest.approx(expected, abs=2e-4)
    assert len({round(value, 3) for value in expected}) == 3


@pytest.mark.parametrize("name", ["llava", "qwen2.5-vl", "gemma3", "blip-2-t5"])
def test_gradients_equal_finite_differences(name: str, white_box: Callable[[str], LocalModel]) -> None:
    local = white_box(name)
    exact = copy.copy(local)
    exact.network = adapted(copy.deepcopy(getattr(local.network, "_network", local.network)).double())
    exact.scorer = copy.copy(local.scorer)
    exact.scorer.network = exact.network
    found = TextGradients(exact)
    span = found.span(LONG, "A child")
    table = found.embeddings()

    def score(shift: Tensor) -> Tensor:
        made = found.continuations(
            [SHORT, LONG], [[noise(1)], [noise(2)]], [" Yes", " A dog"], [span] * 2, [shift] * 2
        )
        return torch.stack([one.log_probabilities.sum() for one in made]).sum()

    shift = torch.zeros(2, table.shape[1], dtype=torch.float64, requires_grad=True)
    (slope,) = torch.autograd.grad(score(shift), shift)
    assert bool((slope.abs().sum(1) > 0).all())
    # Towards a soft mixture with other tokens, as a one-hot gradient has it, and along the gradient.
    one_hot = slope @ table.T
    for position, token in ((0, 20), (1, 33)):
        towards = torch.zeros_like(slope)
        towards[position] = table[token] - table[span[position]]
        with torch.no_grad():
            there, back = (score(sign * 1e-4 * towards) for sign in (1, -1))
        expected = float(one_hot[position, token] - one_hot[position, span[position]])
        assert float(there - back) / 2e-4 == pytest.approx(expected, rel=2e-2, abs=3e-3 * float(slope.norm()))


def test_each_chat_has_its_own_shift(white_box: Callable[[str], LocalModel]) -> None:
    found = of(white_box("llava"))
    spans = [found.span(SHORT, "A child"), found.span(LONG, "A child dog")]
    shifts = [torch.zeros(len(span), found.embeddings().shape[1], requires_grad=True) for span in spans]
    made = found.continuations([SHORT, LONG], [[noise(1)], [noise(2)]], [" Yes", " A dog"], spans, shifts)
    for one, own, other in zip(made, shifts, shifts[::-1], strict=True):
        slopes = torch.autograd.grad(
            one.log_probabilities.sum(), (own, other), retain_graph=True, allow_unused=True
        )
        assert slopes[0] is not None and bool(slopes[0].any())
        assert slopes[1] is None or not bool(slopes[1].any())


def test_pixels_and_shifts_have_gradients_in_one_pass(white_box: Callable[[str], LocalModel]) -> None:
    found = of(white_box("qwen2.5-vl"))
    span, pixels = found.span(SHORT, "A child"), noise(1).requires_grad_()
    shift = torch.zeros(2, found.embeddings().shape[1], requires_grad=True)
    (made,) = found.continuations([SHORT], [[pixels]], [" Yes"], [span], [shift])
    assert all(bool(s.any()) for s in torch.autograd.grad(made.log_probabilities.sum(), (pixels, shift)))


def test_conversations_without_images_have_spans(white_box: Callable[[str], LocalModel]) -> None:
    local = white_box("llava")
    found, plain = of(local), local.capability(Differentiable)
    chat = Chat((Turn("user", (SPAN,)),))
    assert plain is not None
    (scored,) = found.scores([chat], [[]], [" Yes"], [found.span(chat, "A child")])
    expected = plain.continuations([with_span(chat, "A child")], [[]], [" Yes"])
    assert float(scored.sum()) == pytest.approx(totals(expected)[0], abs=2e-4)


def test_vocabulary_names_ordinary_tokens_only(white_box: Callable[[str], LocalModel]) -> None:
    local = white_box("llava")
    found, words = of(local), local.encoder.tokenizer
    texts = found.vocabulary()
    assert len(texts) == len(found.embeddings())
    assert texts[words.convert_tokens_to_ids("dog")] == "dog"
    assert all(
        texts[words.convert_tokens_to_ids(one)] is None for one in ("<image>", "<s>", "USER:", "<unk>")
    )


def test_span_that_no_text_is_read_as_is_not_typed(white_box: Callable[[str], LocalModel]) -> None:
    local = white_box("llava")
    found, words = of(local), local.encoder.tokenizer
    dog, special = (words.convert_tokens_to_ids(one) for one in ("dog", "</s>"))
    assert found.typed([SHORT, LONG], (dog, dog)) == "dog dog"
    attached = about(BLANK, question=f"A knife{SPAN}")
    assert found.typed([attached], (dog,)) is None and found.typed([SHORT, attached], (dog,)) is None
    assert found.typed([SHORT], (dog, special)) is None


@pytest.mark.parametrize(
    ("span", "text"),
    [
        ((6,), "dog"),
        ((6, 4), "dogdog"),
        ((6, 6), "dog dog"),
        ((4,), None),  # behind a space it is another token
        ((3, 2), None),
        ((6, 3, 2), None),  # merged
    ],
)
def test_tokens_that_merge_when_typed_are_no_span(
    span: tuple[int, ...], text: str | None, white_box: Callable[[str], LocalModel]
) -> None:
    vocabulary = {"d": 0, "o": 1, "g": 2, "do": 3, "dog": 4, "Ġ": 5, "Ġdog": 6}
    merging = Tokenizer(models.BPE(vocabulary, [("d", "o"), ("do", "g"), ("Ġ", "dog")]))
    merging.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    merging.decoder = decoders.ByteLevel()
    bare = copy.copy(white_box("llava"))
    bare.encoder = copy.copy(bare.encoder)
    bare.encoder.tokenizer = PreTrainedTokenizerFast(tokenizer_object=merging)
    found = TextGradients(bare)
    chat = Chat((Turn("user", (f"good {SPAN} .",)),))
    assert found.typed([chat], span) == text
    if text is not None:
        assert found.span(chat, text) == span


@pytest.mark.parametrize(
    ("chat", "shape", "message"),
    [
        (about(BLANK), (2, 32), "has one place of a span"),
        (about(BLANK, question=f"{SPAN} {SPAN}"), (2, 32), "this has 2"),
        (SHORT, (3, 32), r"A shift is \[2, 32\], not \[3, 32\]"),
        (about(BLANK, question=f"knife{SPAN}"), (2, 32), "No text is read as this span"),
    ],
)
def test_unusable_spans_and_shifts_are_refused(
    chat: Chat, shape: tuple[int, int], message: str, white_box: Callable[[str], LocalModel]
) -> None:
    found = of(white_box("llava"))
    span = found.span(SHORT, "A child")
    with pytest.raises(ValueError, match=message):
        found.continuations([chat], [[noise(1)]], [" Yes"], [span], [torch.zeros(shape)])


def test_q_former_keeps_the_text_that_it_has_read(white_box: Callable[[str], LocalModel]) -> None:
    found = of(white_box("instructblip-vicuna"))
    first, other = found.span(SHORT, "A child"), found.span(SHORT, "cat knife")
    shift = torch.zeros(2, found.embeddings().shape[1], requires_grad=True)
    (made,) = found.continuations([SHORT], [[noise(1)]], [" Yes"], [first], [shift])
    assert bool(torch.autograd.grad(made.log_probabilities.sum(), shift)[0].any())
    with pytest.raises(ModelError, match="reads the text, too"):
        found.scores([SHORT], [[noise(1)]], [" Yes"], [other])


def test_models_that_are_not_local_have_no_gradients_of_text() -> None:
    assert NullModel().capability(DifferentiableText) is None
