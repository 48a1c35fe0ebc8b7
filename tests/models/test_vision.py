"""Detectors and matchers equal their models, and failures stay with their item."""

from __future__ import annotations

import logging
from collections.abc import Callable
from io import BytesIO
from pathlib import Path
from typing import Any

import pytest
import torch
from PIL import Image
from tokenizers import Tokenizer, models, pre_tokenizers, processors
from transformers import PreTrainedTokenizerFast

from jurat.content import Failure
from jurat.errors import JuratError
from jurat.models import ModelError
from jurat.models.hf.detectors import LEAST_SCORE, OVERLAP, LocalDetector
from jurat.models.hf.matchers import RELEVANT_ABOVE, LocalMatcher
from jurat.models.vision import Box, Detector, Matcher, open_detector, open_matcher

from .tiny import picture

WORDS = ["<pad>", "<s>", "a", "photo", "of", "cat", "dog", "kitchen", "knife"]
WORDS += ["is", "on", "the", "mat", ".", "very", "big", "</s>"]
END = len(WORDS) - 1
SIDE, PATCH = 32, 8
SIZES: dict[str, Any] = {"hidden_size": 32, "intermediate_size": 64, "num_attention_heads": 2}
VISION: dict[str, Any] = {**SIZES, "num_hidden_layers": 2, "image_size": SIDE, "patch_size": PATCH}
TEXT: dict[str, Any] = {
    **SIZES, "num_hidden_layers": 2, "vocab_size": len(WORDS), "max_position_embeddings": 12,
    "pad_token_id": 0, "bos_token_id": 1, "eos_token_id": END,
}  # fmt: skip


def make_tokenizer() -> PreTrainedTokenizerFast:
    core = Tokenizer(models.WordLevel({word: i for i, word in enumerate(WORDS)}, unk_token="."))
    core.add_special_tokens(["<pad>", "<s>", "</s>"])
    core.pre_tokenizer = pre_tokenizers.Whitespace()
    core.post_processor = processors.TemplateProcessing(
        single="<s> $A </s>", special_tokens=[("<s>", 1), ("</s>", END)]
    )
    return PreTrainedTokenizerFast(
        tokenizer_object=core, pad_token="<pad>", bos_token="<s>", eos_token="</s>", unk_token=".",
        model_max_length=12,
    )  # fmt: skip


def owlvit(folder: Path) -> None:
    from transformers import OwlViTConfig, OwlViTForObjectDetection, OwlViTProcessor
    from transformers.models.owlvit.image_processing_pil_owlvit import OwlViTImageProcessorPil

    config = OwlViTConfig(text_config=TEXT, vision_config=VISION, projection_dim=32)
    _save(OwlViTForObjectDetection(config), folder)
    images = OwlViTImageProcessorPil(size={"height": SIDE, "width": SIDE})
    OwlViTProcessor(image_processor=images, tokenizer=make_tokenizer()).save_pretrained(folder)


def owlv2(folder: Path) -> None:
    from transformers import Owlv2Config, Owlv2ForObjectDetection, Owlv2Processor
    from transformers.models.owlv2.image_processing_pil_owlv2 import Owlv2ImageProcessorPil

    config = Owlv2Config(text_config=TEXT, vision_config=VISION, projection_dim=32)
    _save(Owlv2ForObjectDetection(config), folder)
    images = Owlv2ImageProcessorPil(size={"height": SIDE, "width": SIDE})
    Owlv2Processor(image_processor=images, tokenizer=make_tokenizer()).save_pretrained(folder)


def clip(folder: Path) -> None:
    from transformers import CLIPConfig, CLIPModel, CLIPProcessor
    from transformers.models.clip.image_processing_pil_clip import CLIPImageProcessorPil

    _save(CLIPModel(CLIPConfig(text_config=TEXT, vision_config=VISION, projection_dim=16)), folder)
    images = CLIPImageProcessorPil(size={"height": SIDE, "width": SIDE}, do_center_crop=False)
    CLIPProcessor(image_processor=images, tokenizer=make_tokenizer()).save_pretrained(folder)


def siglip(folder: Path) -> None:
    from transformers import SiglipConfig, SiglipModel, SiglipProcessor
    from transformers.models.siglip.image_processing_pil_siglip import SiglipImageProcessorPil

    _save(SiglipModel(SiglipConfig(text_config=TEXT, vision_config=VISION)), folder)
    images = SiglipImageProcessorPil(size={"height": SIDE, "width": SIDE})
    SiglipProcessor(image_processor=images, tokenizer=make_tokenizer()).save_pretrained(folder)


def _save(network: Any, folder: Path) -> None:
    torch.manual_seed(0)
    with torch.no_grad():
        for name, weight in network.named_parameters():
            if weight.ndim >= 2:
                torch.nn.init.normal_(weight, std=2.0 * weight[0].numel() ** -0.5)
            elif "logit_scale" in name and weight.ndim == 1:  # of an OWL's class head
                torch.nn.init.constant_(weight, 3.0)
    network.save_pretrained(folder)


def opened(build: Callable[[Path], None], factory: pytest.TempPathFactory) -> Path:
    folder = factory.mktemp(build.__name__)
    build(folder)
    return folder


@pytest.fixture(scope="module", params=[owlvit, owlv2], ids=lambda build: build.__name__)
def detector(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> LocalDetector:
    found = open_detector(f"hf/{opened(request.param, tmp_path_factory)}", device="cpu")
    assert isinstance(found, LocalDetector) and isinstance(found, Detector)
    return found


@pytest.fixture(scope="module", params=[clip, siglip], ids=lambda build: build.__name__)
def matcher(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> LocalMatcher:
    found = open_matcher(f"hf/{opened(request.param, tmp_path_factory)}", device="cpu")
    assert isinstance(found, LocalMatcher) and isinstance(found, Matcher)
    return found


IMAGES = [picture(seed, size) for seed, size in enumerate([(40, 40), (64, 20), (20, 64), (33, 17), (90, 70)])]
ASKED = [["cat"], ["cat", "kitchen knife", "dog"], ["dog", "cat"], ["the mat"], ["dog"]]


def boxes_of(found: list[Box] | Failure) -> list[Box]:
    assert not isinstance(found, Failure), found
    return found


def broken_image() -> Image.Image:
    stream = BytesIO()
    picture(1).save(stream, "PNG")
    return Image.open(BytesIO(stream.getvalue()[:60]))  # opens, but cannot be loaded


@pytest.mark.parametrize("number", range(len(IMAGES)))
def test_boxes_equal_the_model_and_its_processor(detector: LocalDetector, number: int) -> None:
    from transformers import AutoProcessor

    image, word = IMAGES[number], ASKED[number][0]
    processor = AutoProcessor.from_pretrained(detector.network.name_or_path, backend="pil")
    inputs = processor(text=[[f"a photo of a {word}"]], images=image, return_tensors="pt")
    with torch.inference_mode():
        outputs = detector.network(**inputs)
    reference = processor.post_process_grounded_object_detection(
        outputs, threshold=LEAST_SCORE, target_sizes=[(image.height, image.width)]
    )[0]
    limit = torch.tensor([*image.size, *image.size])
    corners = reference["boxes"].clamp(min=0).minimum(limit)
    expected = [
        (score, *box) for score, box in zip(reference["scores"].tolist(), corners.tolist(), strict=True)
    ]
    found = boxes_of(detector.detect([image], [[word]])[0])
    inside = [e for e in expected if e[3] > e[1] and e[4] > e[2]]  # the others lie in what was padded
    assert bool(found) is bool(inside)
    for box in found:
        near = [
            e for e in expected if e == pytest.approx((box.score, box.x0, box.y0, box.x1, box.y1), abs=0.02)
        ]
        assert near, box
    assert found == [] or found[0].score == pytest.approx(max(e[0] for e in inside), abs=1e-3)


def test_boxes_are_sorted_inside_the_image_and_do_not_overlap(detector: LocalDetector) -> None:
    for image, asked, found in zip(IMAGES, ASKED, detector.detect(IMAGES, ASKED), strict=True):
        boxes = boxes_of(found)
        assert [box.score for box in boxes] == sorted((box.score for box in boxes), reverse=True)
        assert {box.word for box in boxes} <= set(asked)
        for n, box in enumerate(boxes):
            assert 0 <= box.x0 < box.x1 <= image.width and 0 <= box.y0 < box.y1 <= image.height
            assert LEAST_SCORE <= box.score <= 1
            for other in boxes[:n]:
                if other.word == box.word:
                    shared = max(0.0, min(box.x1, other.x1) - max(box.x0, other.x0)) * max(
                        0.0, min(box.y1, other.y1) - max(box.y0, other.y0)
                    )
                    both = sum((b.x1 - b.x0) * (b.y1 - b.y0) for b in (box, other)) - shared
                    assert shared / both <= OVERLAP + 1e-4


def test_batched_detections_equal_singles(detector: LocalDetector) -> None:
    together = detector.detect(IMAGES, ASKED)
    for image, asked, found in zip(IMAGES, ASKED, together, strict=True):
        alone = boxes_of(detector.detect([image], [asked])[0])
        assert [box.word for box in boxes_of(found)] == [box.word for box in alone]
        for one, other in zip(boxes_of(found), alone, strict=True):
            assert (one.x0, one.y0, one.x1, one.y1, one.score) == pytest.approx(
                (other.x0, other.y0, other.x1, other.y1, other.score), abs=1e-3
            )


@pytest.mark.parametrize("part", ["box_predictor", "class_predictor"])
def test_boxes_that_are_not_finite_are_a_failure(
    detector: LocalDetector, part: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    found = getattr(detector.network, part)

    def broken_for_the_first(*given: Any, **named: Any) -> Any:
        made = found(*given, **named)
        (made if part == "box_predictor" else made[0])[0] = float("nan")
        return made

    monkeypatch.setattr(detector.network, part, broken_for_the_first)
    first, second = detector.detect([IMAGES[0], picture(7, (40, 40))], [["cat"], ["cat", "dog"]])
    assert isinstance(first, Failure) and first.kind == "error" and "not finite" in first.reason
    assert boxes_of(second)


def test_boxes_of_a_word_do_not_depend_on_other_words(detector: LocalDetector) -> None:
    words = ["cat", "kitchen knife"]
    image = IMAGES[4]
    together = boxes_of(detector.detect([image], [words])[0])
    for word in words:
        alone = boxes_of(detector.detect([image], [[word]])[0])
        beside = [box for box in together if box.word == word]
        assert alone and len(alone) == len(beside)
        for one, other in zip(beside, alone, strict=True):
            assert (one.x0, one.y0, one.x1, one.y1, one.score) == pytest.approx(
                (other.x0, other.y0, other.x1, other.y1, other.score), abs=1e-4
            )


def test_bad_image_and_overlong_word_fail_alone(detector: LocalDetector) -> None:
    long = "very very very very very very very big cat"
    images = [IMAGES[0], broken_image(), IMAGES[1], IMAGES[2]]
    found = detector.detect(images, [["cat"], ["cat"], ["dog", long], []])
    assert boxes_of(found[0]) == boxes_of(detector.detect([images[0]], [["cat"]])[0])
    assert (
        isinstance(found[1], Failure)
        and found[1].kind == "error"
        and "could not be prepared" in found[1].reason
    )
    assert isinstance(found[2], Failure)
    assert found[2].reason == f"{long!r} makes 15 tokens; the detector reads 12 at most."
    assert found[3] == []
    assert detector.detect([], []) == []


TEXTS = ["a photo of a cat", "the dog is on the mat .", "a kitchen knife"]


def test_cosines_equal_the_model_embeddings(matcher: LocalMatcher) -> None:
    from transformers import AutoProcessor

    processor = AutoProcessor.from_pretrained(matcher.network.name_or_path, backend="pil")
    padding: Any = "max_length" if matcher.network.config.model_type == "siglip" else True
    inputs = processor(text=TEXTS, images=IMAGES, padding=padding, return_tensors="pt")
    with torch.inference_mode():
        outputs = matcher.network(**inputs)
        expected = outputs.image_embeds @ outputs.text_embeds.T
    rows = matcher.match(IMAGES, TEXTS)
    for row, reference in zip(rows, expected.tolist(), strict=True):
        assert row == pytest.approx(reference, abs=1e-4)
    assert len({round(value, 4) for row in rows if isinstance(row, list) for value in row}) > 10
    assert matcher.relevant_above == RELEVANT_ABOVE == 0.22


def test_batched_matches_equal_singles(matcher: LocalMatcher) -> None:
    together = matcher.match(IMAGES, TEXTS)
    for image, row in zip(IMAGES, together, strict=True):
        alone = [matcher.match([image], [text])[0] for text in TEXTS]
        assert row == pytest.approx([one[0] for one in alone if isinstance(one, list)], abs=1e-4)


def test_bad_image_fails_alone_in_a_match(matcher: LocalMatcher) -> None:
    rows = matcher.match([IMAGES[0], broken_image(), IMAGES[1]], TEXTS)
    assert isinstance(rows[1], Failure) and rows[1].kind == "error"
    assert [rows[0], rows[2]] == [pytest.approx(row) for row in matcher.match(IMAGES[:2], TEXTS)]
    assert matcher.match(IMAGES[:1], []) == [[]]
    assert matcher.match([], TEXTS) == []


def test_overlong_text_is_cut_with_one_warning(
    matcher: LocalMatcher, caplog: pytest.LogCaptureFixture
) -> None:
    long = " ".join(["very"] * 30) + " big cat"
    with caplog.at_level(logging.WARNING, logger="jurat.models"):
        rows = [matcher.match(IMAGES[:1], [text])[0] for text in (long, long, " ".join(["very"] * 10))]
    assert rows[0] == rows[1] == pytest.approx(rows[2], abs=1e-5)
    (record,) = [record for record in caplog.records if record.name == "jurat.models"]
    assert "a text of 34 tokens is cut at 12" in record.getMessage()


@pytest.mark.parametrize(
    ("name", "message", "hint"),
    [
        ("bundle", "There is no detector 'bundle'.", "Did you mean 'bundled'?"),
        ("google/owlv2", "There is no detector 'google/owlv2'.", '"hf/google/owlv2"'),
        ("nothing-like-it", "There is no detector", "'hf/NAME_OR_PATH'"),
        ("hf", "'hf' names no detector.", "a folder or a model of the hub"),
        ("bundled/other", "'bundled/other' names no detector.", '"bundled"'),
        ("bundled/", "'bundled/' names no detector.", '"bundled"'),
        ("hf//nowhere/at/all", "There is no folder '/nowhere/at/all'.", "hf/ORG/NAME"),
    ],
)
def test_unknown_detector_is_refused_with_a_hint(name: str, message: str, hint: str) -> None:
    with pytest.raises(JuratError) as raised:
        open_detector(name)
    assert raised.value.message.startswith(message)
    assert hint in (raised.value.hint or "")


def test_model_of_the_wrong_kind_is_refused(tmp_path: Path, llava_folder: Path) -> None:
    clip(tmp_path)
    with pytest.raises(ModelError, match="could not be loaded"):
        open_detector(f"hf/{tmp_path}")
    with pytest.raises(ModelError, match=r"does not embed images and texts|could not be loaded"):
        open_matcher(f"hf/{llava_folder}")


def test_pickled_weights_are_refused(tmp_path: Path) -> None:
    (tmp_path / "pytorch_model.bin").write_bytes(b"\x80\x04")
    for opener in (open_detector, open_matcher):
        with pytest.raises(ModelError, match="holds no safetensors"):
            opener(f"hf/{tmp_path}")
