"""Features of vision towers and embeddings of texts equal those of plain transformers."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from threading import Thread
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image
from torch import Tensor

from jurat.models import Embedder, ModelError, open_matcher, open_model
from jurat.models.bundled.model import BundledModel
from jurat.models.hf.model import LocalModel
from jurat.models.hf.torchvision_import import prepare_torchvision
from jurat.models.null import NullModel

from ..folders import FOLDERS, save
from ..tiny import picture
from ..white_box import NAMES, about

pytestmark = pytest.mark.skipif(not prepare_torchvision(), reason="torchvision is not installed")

IMAGES = [picture(i, size) for i, size in enumerate([(40, 40), (60, 40), (40, 40), (20, 70)])]


def embedder(model: Any) -> Embedder:
    found = model.capability(Embedder)
    assert isinstance(found, Embedder)
    return found


def pixels_of(image: Image.Image) -> Tensor:
    return torch.from_numpy(np.array(image)).permute(2, 0, 1) / 255


@pytest.mark.parametrize("name", NAMES)
def test_batch_features_equal_single_image_features(
    name: str, white_box: Callable[[str], LocalModel]
) -> None:
    found = embedder(white_box(name))
    together = found.images(IMAGES)
    for image, one in zip(IMAGES, together, strict=True):
        (alone,) = found.images([image])
        assert one.patches.allclose(alone.patches, atol=1e-4) and one.pooled.allclose(alone.pooled, atol=1e-4)
        assert one.pooled.shape == one.patches.shape[1:]
    assert not together[0].patches.allclose(together[2].patches, atol=1e-3), "images of one size differ"


@pytest.mark.parametrize("name", NAMES)
def test_features_of_pixels_equal_image_features_and_have_gradients(
    name: str, white_box: Callable[[str], LocalModel]
) -> None:
    found = embedder(white_box(name))
    pixels = [pixels_of(image).requires_grad_() for image in IMAGES]
    for image, one, shown in zip(
        found.images(IMAGES), found.pixels(pixels, rounded=True), pixels, strict=True
    ):
        scale = float(image.patches.abs().max())
        assert one.patches.allclose(image.patches, atol=5e-3 * scale)
        (slope,) = torch.autograd.grad(one.patches.square().sum() + one.pooled[0], shown, retain_graph=True)
        assert bool(slope.any())


TOWERS: dict[str, Callable[[Any, Any], Any]] = {
    "llava": lambda network, inputs: network.model.vision_tower(inputs["pixel_values"]),
    "gemma3": lambda network, inputs: network.model.vision_tower(inputs["pixel_values"]),
    "internvl": lambda network, inputs: network.model.vision_tower(inputs["pixel_values"]),
    "llava-onevision": lambda network, inputs: network.model.vision_tower(inputs["pixel_values"][0]),
    "qwen3-vl": lambda network, inputs: network.model.visual(
        inputs["pixel_values"], grid_thw=inputs["image_grid_thw"]
    ),
    "blip-2-opt": lambda network, inputs: network.vision_model(inputs["pixel_values"]),
}


@pytest.mark.parametrize("name", TOWERS)
def test_features_equal_the_vision_tower_output(name: str, white_box: Callable[[str], LocalModel]) -> None:
    local = white_box(name)
    for image, one in zip(IMAGES, embedder(local).images(IMAGES), strict=True):
        chat = about(image)
        inputs = local.encoder.process(local.encoder.render(chat), [chat.images])
        with torch.inference_mode():
            plain = TOWERS[name](local.network, inputs)
        assert one.patches.allclose(plain.last_hidden_state.flatten(0, -2), atol=1e-4)
        if name in ("blip-2-opt", "llava"):
            assert one.pooled.allclose(plain.pooler_output[0], atol=1e-4)
        if name == "qwen3-vl":
            assert one.pooled.allclose(plain.last_hidden_state.mean(0), atol=1e-4)


def test_padding_tiles_are_left_out(white_box: Callable[[str], LocalModel]) -> None:
    wide, square = embedder(white_box("mllama")).images([picture(1, (96, 32)), picture(1, (32, 32))])
    assert len(wide.patches) == 3 * len(square.patches)


def test_image_only_embedder_refuses_texts(white_box: Callable[[str], LocalModel]) -> None:
    with pytest.raises(ModelError, match="'llava' embeds images only"):
        embedder(white_box("llava")).texts(["a dog"])


def test_model_without_a_vision_tower_is_refused(tmp_path: Path) -> None:
    assert NullModel().capability(Embedder) is None
    model = open_model(f"hf/{save(FOLDERS['chameleon'](), tmp_path)}", device="cpu")
    with pytest.raises(ModelError, match="has no vision tower"):
        model.capability(Embedder)


def test_bundled_model_has_features(bundled: BundledModel) -> None:
    (one,) = embedder(bundled).images([picture(1)])
    assert one.patches.ndim == 2 and one.pooled.shape == one.patches.shape[1:]


def test_features_are_not_mixed_up_between_threads(bundled: BundledModel) -> None:
    images = [picture(number) for number in range(3)]
    expected = [embedder(bundled).images([image])[0].patches for image in images]
    wrong: list[int] = []

    def work(number: int) -> None:
        for _ in range(10):
            try:
                (one,) = embedder(bundled).images([images[number]])
                right = one.patches.allclose(expected[number], atol=1e-4)
            except ValueError:
                right = False
            if not right:
                wrong.append(number)

    threads = [Thread(target=work, args=(number,)) for number in range(len(images))]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert wrong == []


def test_matcher_embeddings_equal_its_comparisons() -> None:
    matcher = open_matcher("bundled", device="cpu")
    found = embedder(matcher)
    texts = ["a car", "a dog", "a car"]
    features, embedded = found.images(IMAGES), found.texts(texts)
    assert embedded[0].equal(embedded[2]) and not embedded[0].allclose(embedded[1])
    network, processor = matcher.network, matcher._processor  # pyright: ignore
    with torch.no_grad():
        inputs = processor(text=texts, images=IMAGES[:1], return_tensors="pt", padding=True)
        plain = network(**inputs)
    cosines = torch.cosine_similarity(features[0].pooled[None], embedded)
    scale = network.logit_scale.detach().exp()
    assert cosines.allclose(plain.logits_per_image[0] / scale, atol=1e-5)
    assert features[0].patches.allclose(plain.vision_model_output.last_hidden_state[0], atol=1e-4)
    pixels = [pixels_of(image).requires_grad_() for image in IMAGES]
    for image, one, shown in zip(features, found.pixels(pixels, rounded=True), pixels, strict=True):
        assert one.pooled.allclose(image.pooled, atol=1e-2)
        assert bool(torch.autograd.grad(one.pooled @ embedded[1], shown, retain_graph=True)[0].any())
    with pytest.raises(ModelError, match="never learned 'zeppelin'"):
        found.texts(["a zeppelin"])
    assert matcher.capability(int) is None  # pyright: ignore
