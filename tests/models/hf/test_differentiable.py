"""Gradients with respect to pixels, and the float path against the 8-bit path, family by family."""

from __future__ import annotations

import copy
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
from PIL import Image
from torch import Tensor

from jurat.content import Chat, Turn
from jurat.models import Differentiable, Inquiry, ModelError, PromptScore, PromptScores, open_model
from jurat.models.bundled.model import BundledModel
from jurat.models.hf.adapters import adapted
from jurat.models.hf.differentiable import PixelGradients
from jurat.models.hf.load_model import LoadedModel
from jurat.models.hf.model import LocalModel
from jurat.models.hf.torchvision_import import prepare_torchvision
from jurat.models.null import NullModel

from ..families import BY_NAME
from ..white_box import NAMES, about
from .test_processors import QUESTIONS, paligemma

pytestmark = pytest.mark.skipif(not prepare_torchvision(), reason="torchvision is not installed")

BLANK = Image.new("RGB", (8, 8))
SIZES = [(40, 60), (40, 60), (70, 20)]
TEXTS = [" Yes", " A dog", " knife"]


def gradients(model: Any) -> Differentiable:
    found = model.capability(Differentiable)
    assert isinstance(found, Differentiable)
    return found


def noise(seed: int, size: tuple[int, int]) -> Tensor:
    """Away from 0 and 1, so that a small step stays in range."""
    return 0.1 + 0.8 * torch.rand((3, *size), generator=torch.Generator().manual_seed(seed))


def smooth(seed: int, size: tuple[int, int]) -> Tensor:
    coarse = torch.rand((1, 3, 4, 4), generator=torch.Generator().manual_seed(seed))
    return torch.nn.functional.interpolate(coarse, size, mode="bicubic").clamp(0, 1)[0]


def total(one: Any) -> Tensor:
    return one.log_probabilities.sum()


@pytest.mark.parametrize("name", NAMES)
def test_batch_scores_and_gradients_equal_singles(name: str, white_box: Callable[[str], LocalModel]) -> None:
    found = gradients(white_box(name))
    chats = [about(BLANK), about(BLANK, question=QUESTIONS[2]), about(BLANK)]
    pixels = [noise(seed, size).requires_grad_() for seed, size in enumerate(SIZES)]
    together = [total(one) for one in found.continuations(chats, [[one] for one in pixels], TEXTS)]
    slopes = torch.autograd.grad(sum(together[1:], together[0]), pixels)
    for chat, one, text, score, slope in zip(chats, pixels, TEXTS, together, slopes, strict=True):
        alone = total(found.continuations([chat], [[one]], [text])[0])
        assert float(alone.detach()) == pytest.approx(float(score.detach()), abs=2e-4)
        (own,) = torch.autograd.grad(alone, one)
        assert (own - slope).norm() < 1e-2 * own.norm()
        assert own.norm() > 0


@pytest.mark.parametrize("name", NAMES)
def test_answers_are_those_of_ask_with_gradients(name: str, white_box: Callable[[str], LocalModel]) -> None:
    local = white_box(name)
    found = gradients(local)
    pixels = [noise(seed, size).requires_grad_() for seed, size in enumerate(SIZES)]
    asked = [Inquiry(about(BLANK), tuple(QUESTIONS[: 1 + i])) for i in range(len(pixels))]
    made = found.answers(asked, [[one] for one in pixels], rounded=True)
    assert [row.shape for row in made] == [(1, 2), (2, 2), (3, 2)]
    shown = found.submitted([one.prefix for one in asked], [[one] for one in pixels])
    for answer, row in zip(
        local.ask([replace(one, prefix=chat) for one, chat in zip(asked, shown, strict=True)]),
        made,
        strict=True,
    ):
        probabilities = torch.tensor([[each.yes, each.no] for each in answer.answers])
        torch.testing.assert_close(row.detach(), probabilities.log().float(), atol=5e-3, rtol=5e-3)
    slopes = torch.autograd.grad(sum(row.sum() for row in made), pixels)
    assert all(slope.norm() > 0 for slope in slopes)
    (alone,) = found.answers(asked[-1:], [[pixels[-1]]], rounded=True)
    (own,) = torch.autograd.grad(alone.sum(), pixels[-1])
    assert (own - slopes[-1]).norm() < 1e-2 * own.norm()


@pytest.mark.parametrize("name", NAMES)
def test_gradients_equal_finite_differences(name: str, white_box: Callable[[str], LocalModel]) -> None:
    local = white_box(name)
    exact = copy.copy(local)
    exact.network = adapted(copy.deepcopy(getattr(local.network, "_network", local.network)).double())
    exact.scorer = copy.copy(local.scorer)
    exact.scorer.network = exact.network
    found = PixelGradients(exact)
    pixels = noise(3, (40, 60)).requires_grad_()

    def score(shown: Tensor) -> Tensor:
        return total(found.continuations([about(BLANK)], [[shown]], [" A dog"])[0])

    (slope,) = torch.autograd.grad(score(pixels), pixels)
    # The pixel with the largest slope, the steepest direction, and one at random.
    single = torch.zeros_like(slope).flatten().index_fill_(0, slope.abs().argmax(), 1.0).view_as(slope)
    anyhow = torch.randn(slope.shape, generator=torch.Generator().manual_seed(0)) / slope.numel() ** 0.5
    # Processors and some norms compute in float32, so that a step must not be too small for gentle slopes.
    step = 1e-4 if slope.norm() > 2 else 1e-3
    for direction in (single, slope / slope.norm(), anyhow):
        expected = float((slope * direction).sum())
        with torch.no_grad():
            there, back = (score(pixels + sign * step * direction) for sign in (1, -1))
        measured = float(there - back) / (2 * step)
        assert measured == pytest.approx(expected, rel=2e-2, abs=3e-3 * float(slope.norm()))


@pytest.mark.parametrize("name", NAMES)
def test_float_path_is_close_to_the_8_bit_path(name: str, white_box: Callable[[str], LocalModel]) -> None:
    found = gradients(white_box(name))
    for kind in (noise, smooth):
        pixels = [[kind(seed, size)] for seed, size in enumerate(SIZES)]
        chats = [about(BLANK)] * len(pixels)
        plain = found.deviation(chats, pixels)
        assert plain.largest <= 2.5 and plain.mean <= 0.5, "up to the rounding of each resize"
        rounded = found.deviation(chats, pixels, rounded=True)
        assert rounded.largest <= 1 and rounded.mean <= 0.05, "up to ties"


@pytest.mark.parametrize("name", NAMES)
def test_submitted_images_equal_a_saved_png_bit_for_bit(
    name: str, white_box: Callable[[str], LocalModel], tmp_path: Path
) -> None:
    local = white_box(name)
    found = gradients(local)
    pixels = [noise(5, (40, 60)), smooth(6, (70, 20))]
    chats = found.submitted([about(BLANK), about(BLANK)], [[one] for one in pixels])
    for i, (chat, one) in enumerate(zip(chats, pixels, strict=True)):
        levels = (one * 255).add(0.5).floor().byte().permute(1, 2, 0)
        Image.fromarray(levels.numpy()).save(tmp_path / f"{i}.png")
        with Image.open(tmp_path / f"{i}.png") as read:
            expected = local.encoder.encode_chat(about(read.convert("RGB")))
        prompt = local.encoder.encode_chat(chat)
        assert prompt.images.keys() == expected.images.keys()
        assert all(value.equal(expected.images[key]) for key, value in prompt.images.items())
    scores = local.capability(PromptScores)
    assert scores is not None
    official = scores.prompt_scores(chats, TEXTS[:2])
    floats = found.continuations(chats, [[one] for one in pixels], TEXTS[:2], rounded=True)
    for one, other in zip(official, floats, strict=True):
        assert isinstance(one, PromptScore)
        assert list(one.log_probabilities) == pytest.approx(other.log_probabilities.tolist(), abs=0.05)


@pytest.mark.parametrize("name", [name for name in NAMES if "blip" not in name])
def test_each_image_of_a_chat_has_its_own_gradient(name: str, white_box: Callable[[str], LocalModel]) -> None:
    found = gradients(white_box(name))
    chats = [about(BLANK, BLANK), about(BLANK, BLANK)]
    pixels = [[noise(2 * i + j, (40, 60)).requires_grad_() for j in range(2)] for i in range(2)]
    scores = [total(one) for one in found.continuations(chats, pixels, TEXTS[:2])]
    for score, own, others in zip(scores, pixels, pixels[::-1], strict=True):
        slopes = torch.autograd.grad(score, [*own, *others], retain_graph=True, allow_unused=True)
        assert all(slope is not None and bool(slope.any()) for slope in slopes[:2])
        assert not any(slope is not None and bool(slope.any()) for slope in slopes[2:])


def test_tensor_shared_by_chats_sums_their_gradients(white_box: Callable[[str], LocalModel]) -> None:
    found = gradients(white_box("llava"))
    pixels = noise(1, (40, 60)).requires_grad_()
    chats = [about(BLANK, question=question) for question in QUESTIONS]
    texts = [" Yes", " A dog", " A cat knife"]
    together = found.continuations(chats, [[pixels]] * 3, texts)
    (slope,) = torch.autograd.grad(torch.stack([total(one) for one in together]).sum(), pixels)
    alone = [
        torch.autograd.grad(total(found.continuations([chat], [[pixels]], [text])[0]), pixels)[0]
        for chat, text in zip(chats, texts, strict=True)
    ]
    assert slope.allclose(sum(alone[1:], alone[0]), atol=1e-4)


def test_rounding_is_straight_through(white_box: Callable[[str], LocalModel]) -> None:
    found = gradients(white_box("mllama"))
    levels = torch.randint(1, 255, (3, 64, 64), generator=torch.Generator().manual_seed(0)) / 255
    shifted = (levels + 0.3 / 255).requires_grad_()
    on, off = (
        found.continuations([about(BLANK)], [[one]], [" A dog"], rounded=True)[0] for one in (levels, shifted)
    )
    assert on.log_probabilities.equal(off.log_probabilities.detach())
    (slope,) = torch.autograd.grad(total(off), shifted)
    assert bool(slope.any())


def test_prefilled_answer_is_scored_as_a_continuation(
    white_box: Callable[[str], LocalModel],
) -> None:
    local = white_box("llava")
    found, scores = gradients(local), local.capability(PromptScores)
    assert scores is not None
    begun = Chat((*about(BLANK).turns, Turn("assistant", ("Yes",))))
    pixels = noise(4, (40, 60))
    chats = found.submitted([begun], [[pixels]])
    (official,) = scores.prompt_scores(chats, [" A dog"])
    (floats,) = found.continuations([begun], [[pixels]], [" A dog"], rounded=True)
    assert isinstance(official, PromptScore)
    assert list(official.log_probabilities) == pytest.approx(floats.log_probabilities.tolist(), abs=1e-3)


def test_conversations_without_images_have_no_gradient(
    white_box: Callable[[str], LocalModel],
) -> None:
    found = gradients(white_box("llava"))
    without, with_one = found.continuations(
        [about(), about(BLANK)], [[], [noise(1, (40, 60)).requires_grad_()]], [" Yes", " Yes"]
    )
    assert not without.logits.requires_grad and with_one.logits.requires_grad


def test_gradients_work_under_no_grad_and_leave_weights_alone(white_box: Callable[[str], LocalModel]) -> None:
    local = white_box("llava")
    with torch.no_grad():
        (one,) = gradients(local).continuations(
            [about(BLANK)], [[noise(1, (40, 60)).requires_grad_()]], [" Yes"]
        )
    assert one.logits.requires_grad
    assert all(weight.grad is None and not weight.requires_grad for weight in local.network.parameters())


@pytest.mark.parametrize(
    ("pixels", "texts", "message"),
    [
        ([torch.full((3, 8, 8), 1.01)], [" Yes"], r"Pixels are in \[0, 1\]; these are in \[1.01, 1.01\]"),
        ([torch.full((3, 8, 8), float("nan"))], [" Yes"], r"Pixels are in \[0, 1\]"),
        ([torch.zeros(8, 8, 3)], [" Yes"], r"a float tensor \[3, H, W\], not torch.float32 \[8, 8, 3\]"),
        ([torch.zeros(3, 8, 8, dtype=torch.uint8)], [" Yes"], "not torch.uint8"),
        ([], [" Yes"], "A chat has 1 images, and there are pixels for 0"),
        ([torch.zeros(3, 8, 8)], [""], "A continuation is empty"),
        ([torch.zeros(3, 8, 8)], [], "There are 1 chats and 0 continuations"),
    ],
)
def test_invalid_pixels_and_texts_are_refused(
    pixels: Sequence[Tensor], texts: Sequence[str], message: str, white_box: Callable[[str], LocalModel]
) -> None:
    with pytest.raises(ValueError, match=message):
        gradients(white_box("llava")).continuations([about(BLANK)], [pixels], texts)


def test_models_without_gradients_give_the_reason() -> None:
    assert NullModel().capability(Differentiable) is None
    seeing_ahead = LocalModel(
        LoadedModel(BY_NAME["paligemma"].network(), paligemma(), "0" * 12, "float32"), name="paligemma"
    )
    with pytest.raises(ModelError, match="attends to what follows it"):
        gradients(seeing_ahead).continuations([about(BLANK)], [[noise(1, (40, 60))]], [" A dog"])


def test_image_processor_without_a_float_path_is_refused(llava: LocalModel) -> None:
    class Own:
        """An image processor of a model's own code."""

    bare = copy.copy(llava)
    bare.encoder = copy.copy(llava.encoder)
    bare.encoder.processor = copy.copy(llava.encoder.processor)
    bare.encoder.processor.image_processor = Own()
    with pytest.raises(ModelError, match="gives no gradients: transformers has no Own on torchvision"):
        bare.capability(Differentiable)


def test_bundled_model_has_gradients(bundled: BundledModel) -> None:
    pixels = noise(1, (40, 40)).requires_grad_()
    (one,) = gradients(bundled).continuations([about(BLANK)], [[pixels]], ["Yes"])
    (slope,) = torch.autograd.grad(total(one), pixels)
    assert bool(slope.any())


def test_torchvision_resize_is_matched(llava_folder: Path) -> None:
    found = gradients(open_model(f"hf/{llava_folder}?image_backend=torchvision", device="cpu"))
    pixels = [[noise(seed, size)] for seed, size in enumerate(SIZES)]
    assert found.deviation([about(BLANK)] * 3, pixels, rounded=True).largest <= 1
