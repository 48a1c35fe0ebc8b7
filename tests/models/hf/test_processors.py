"""Conversations to answers through the processors of model families that need no torchvision."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from PIL import Image
from tokenizers import AddedToken, Tokenizer, models, pre_tokenizers
from transformers import AutoModelForImageTextToText, AutoProcessor, LlavaProcessor, PreTrainedTokenizerFast

from jurat.content import Chat, Turn
from jurat.models import Inquiry
from jurat.models.hf.encoding import Encoder
from jurat.models.hf.joinable_inputs import obstacle
from jurat.models.hf.load_model import LoadedModel
from jurat.models.hf.model import LocalModel

from ..families import BY_NAME, END, IMAGE, START, VIDEO
from ..more_families import MORE
from ..tiny import picture

TEXT = """
    Is the following statement true of this image ? Answer with or Statement : A child dog knife cat visible
    touches USER ASSISTANT . ,
"""
WORDS = TEXT.split()
TEMPLATE = (
    "<s>{% for turn in messages %}USER :{% for part in turn['content'] %}"
    " {{ '<image>' if part['type'] == 'image' else part['text'] }}{% endfor %}{% endfor %} ASSISTANT :"
)
INSTRUCTION = "Is the following statement true of this image ? Answer with Yes or No ."
QUESTIONS = (
    "Statement : A child is visible .",
    "Statement : A dog touches a knife .",
    "Statement : A cat is visible , or a dog .",
)


def tokenizer(image: str, *marks: str) -> PreTrainedTokenizerFast:
    """A tokenizer of at most 64 tokens, which include the image tokens of the tiny networks."""
    special = {"<pad>": 0, "<s>": 1, "</s>": 2, "<unk>": 3, image: IMAGE}
    named = dict(zip(marks, (START, END, VIDEO), strict=False))
    answers = {"Yes": 10, "yes": 11, "No": 12, "no": 13}
    vocabulary = {**special, **named, **answers}
    vocabulary |= {word: 14 + i for i, word in enumerate(w for w in WORDS if w not in vocabulary)}
    made = Tokenizer(models.WordLevel(vocabulary, unk_token="<unk>"))
    made.add_special_tokens([AddedToken(token, special=True) for token in (*special, *named)])
    made.pre_tokenizer = pre_tokenizers.WhitespaceSplit()
    return PreTrainedTokenizerFast(
        tokenizer_object=made, pad_token="<pad>", bos_token="<s>", eos_token="</s>", unk_token="<unk>"
    )


def idefics3() -> Any:
    from transformers import Idefics3Processor
    from transformers.models.idefics3.image_processing_pil_idefics3 import Idefics3ImageProcessorPil

    images = Idefics3ImageProcessorPil(size={"longest_edge": 64}, max_image_size={"longest_edge": 32})
    words = tokenizer("<image>", "<fake_token_around_image>", "<end_of_utterance>")
    return Idefics3Processor(images, words, image_seq_len=4, chat_template=TEMPLATE)


def mllama() -> Any:
    from transformers import MllamaProcessor
    from transformers.models.mllama.image_processing_pil_mllama import MllamaImageProcessorPil

    images = MllamaImageProcessorPil(size={"height": 32, "width": 32}, max_image_tiles=4)
    return MllamaProcessor(
        images, tokenizer("<|image|>"), chat_template=TEMPLATE.replace("<image>", "<|image|>")
    )


def paligemma() -> Any:
    from transformers import PaliGemmaProcessor
    from transformers.models.siglip.image_processing_pil_siglip import SiglipImageProcessorPil

    images = SiglipImageProcessorPil(size={"height": 32, "width": 32})
    images.image_seq_length = 16
    return PaliGemmaProcessor(images, tokenizer("<image>"), chat_template=TEMPLATE)


@pytest.mark.parametrize(
    ("name", "processor", "path", "shared"),
    [
        ("idefics3", idefics3, "packed", True),
        ("mllama", mllama, "packed", True),
        ("paligemma", paligemma, "plain", False),
    ],
)
def test_batched_questions_equal_singles(
    name: str, processor: Callable[[], Any], path: str, shared: bool
) -> None:
    model = LocalModel(LoadedModel(BY_NAME[name].network(), processor(), "0" * 12, "float32"), name=name)

    def about(*images: Image.Image) -> Chat:
        return Chat((Turn("user", (*images, INSTRUCTION)),))

    chats = [about(picture(1, (64, 64))), about(picture(2, (64, 32))), about(picture(3, (64, 64)))]
    if name != "paligemma":
        chats.append(about(picture(4, (64, 64)), picture(5, (32, 64))))
    together = model.ask([Inquiry(chat, QUESTIONS) for chat in chats])
    assert [answer.failure for answer in together] == [None] * len(chats)
    alone = [[model.ask([Inquiry(chat, (q,))])[0].answers[0] for q in QUESTIONS] for chat in chats]
    for answer, separate in zip(together, alone, strict=True):
        assert [a.log_odds for a in answer.answers] == pytest.approx([a.log_odds for a in separate], abs=1e-4)
        assert (answer.usage.shared_tokens > 10) is shared
    assert model.scorer.path == path
    assert len({round(a.log_odds, 3) for answer in together for a in answer.answers}) > len(chats)


@pytest.mark.parametrize("processor", [idefics3, mllama, paligemma])
def test_images_of_one_size_are_processed_together(processor: Callable[[], Any]) -> None:
    made = "pixel_values pixel_attention_mask token_type_ids"
    tiled = "aspect_ratio_ids aspect_ratio_mask cross_attention_mask"
    encoder = Encoder(processor(), frozenset(f"{made} {tiled}".split()))
    sizes = [(64, 64), (64, 32), (64, 64), (64, 32), (32, 64)]
    inquiries = [
        Inquiry(Chat((Turn("user", (picture(seed, size), INSTRUCTION)),)), QUESTIONS)
        for seed, size in enumerate(sizes)
    ]
    together = encoder.encode_together(inquiries)
    assert sorted(together) == [0, 1, 2, 3], "the last has no other of its size"
    for i, prompts in together.items():
        for prompt, alone in zip(prompts, encoder.encode(inquiries[i]), strict=True):
            assert prompt.prefix.equal(alone.prefix) and prompt.segments == alone.segments
            for made, expected in ((prompt.images, alone.images), (prompt.along, alone.along)):
                assert made.keys() == expected.keys()
                assert all(value.equal(expected[name]) for name, value in made.items())


def test_failed_processor_batch_is_retried_one_by_one() -> None:
    encoder = Encoder(idefics3(), frozenset(("pixel_values", "pixel_attention_mask")))
    broken = Image.new("RGB", (64, 64))
    broken.close()
    inquiries = [
        Inquiry(Chat((Turn("user", (image, INSTRUCTION)),)), QUESTIONS)
        for image in (picture(1, (64, 64)), broken, picture(2, (64, 64)))
    ]
    assert encoder.encode_together(inquiries) == {}
    assert len(encoder.encode(inquiries[2])) == 1


def test_images_without_pixels_do_not_fail_the_batch() -> None:
    encoder = Encoder(idefics3(), frozenset(("pixel_values", "pixel_attention_mask")))
    inquiries = [
        Inquiry(Chat((Turn("user", (image, INSTRUCTION)),)), QUESTIONS)
        for image in (Image.new("RGB", (0, 0)), Image.new("RGB", (0, 0)), picture(1), picture(2))
    ]
    assert sorted(encoder.encode_together(inquiries)) == [2, 3]


class Strip(LlavaProcessor):
    """Puts the images of all items side by side in one, as MiniCPM-V 4.6 does with their patches."""

    def __call__(self, *args: Any, **settings: Any) -> Any:
        made = super().__call__(*args, **settings)
        if "pixel_values" in made:
            made["pixel_values"] = torch.cat(list(made["pixel_values"]), -1)[None]
        return made


class Counting(LlavaProcessor):
    """Numbers patches continuously across items, like Molmo2."""

    def __call__(self, *args: Any, **settings: Any) -> Any:
        made = super().__call__(*args, **settings)
        if "pixel_values" in made:
            made["image_token_pooling"] = torch.arange(4 * len(made["pixel_values"])).reshape(-1, 4)
        return made


def llava_like(kind: type[LlavaProcessor], folder: Path) -> Any:
    given = AutoProcessor.from_pretrained(folder, backend="pil")
    return kind(
        given.image_processor,
        given.tokenizer,
        patch_size=given.patch_size,
        vision_feature_select_strategy="default",
        num_additional_image_tokens=1,
        chat_template=given.chat_template,
    )


@pytest.mark.parametrize(
    ("kind", "reason", "shares"),
    [
        (LlavaProcessor, None, True),
        (Strip, "its processor gives the pixel_values of two items the shape (1, 3, 32, 64)", True),
        (Counting, "its processor gives the second of two items another image_token_pooling", False),
    ],
)
def test_processor_output_shows_whether_items_can_be_batched(
    kind: type[LlavaProcessor], reason: str | None, shares: bool, llava_folder: Path
) -> None:
    accepted = frozenset(("pixel_values", "image_token_pooling"))
    encoder = Encoder(llava_like(kind, llava_folder), accepted)
    found = obstacle(encoder)
    assert (found is None) if reason is None else (found is not None and found[1].startswith(reason))
    inquiries = [
        Inquiry(Chat((Turn("user", (picture(seed, (64, 64)), INSTRUCTION)),)), QUESTIONS) for seed in range(3)
    ]
    together = encoder.encode_together(inquiries)
    assert encoder.shares is shares
    assert sorted(together) == ([0, 1, 2] if reason is None else [])


def test_unbatchable_items_are_detected_before_asking(
    llava_folder: Path, caplog: pytest.LogCaptureFixture
) -> None:
    network = AutoModelForImageTextToText.from_pretrained(llava_folder)
    model = LocalModel(
        LoadedModel(network, llava_like(Strip, llava_folder), "0" * 12, "float32"), name="strip"
    )
    about = [Chat((Turn("user", (picture(seed), INSTRUCTION)),)) for seed in range(3)]
    model.encode([Inquiry(about[0], QUESTIONS)])
    assert not model.scorer.apart, "one item is not joined with others"
    model.encode([Inquiry(chat, QUESTIONS) for chat in about])
    assert caplog.text.count("Items are read one a pass, which is slower: its processor gives") == 1
    together = model.ask([Inquiry(chat, QUESTIONS) for chat in about])
    alone = [model.ask([Inquiry(chat, QUESTIONS)])[0] for chat in about]
    assert together == alone and all(answer.failure is None for answer in together)
    replies = model.chat(about)
    assert replies == [model.chat([chat])[0] for chat in about]
    assert all(reply.failure is None for reply in replies)


def hunyuan() -> Any:
    from transformers import HunYuanVLProcessor
    from transformers.models.hunyuan_vl.image_processing_pil_hunyuan_vl import HunYuanVLImageProcessorPil

    words = tokenizer("<image>", "<im>", "</im>")
    for name, mark in (("image", "<image>"), ("image_start", "<im>"), ("image_end", "</im>")):
        setattr(words, f"{name}_token", mark)
        setattr(words, f"{name}_token_id", words.convert_tokens_to_ids(mark))
    size = {"shortest_edge": 64, "longest_edge": 1024}
    images = HunYuanVLImageProcessorPil(patch_size=4, merge_size=2, temporal_patch_size=1, size=size)
    return HunYuanVLProcessor(images, words, chat_template=TEMPLATE.replace("<image>", "<im><image></im>"))


def test_image_index_across_items_is_detected(
    caplog: pytest.LogCaptureFixture,
) -> None:
    network = next(family for family in MORE if family.name == "hunyuan-vl").network()
    model = LocalModel(LoadedModel(network, hunyuan(), "0" * 12, "float32"), name="hunyuan")
    sizes = [(32, 32), (64, 32), (32, 64)]
    inquiries = [
        Inquiry(Chat((Turn("user", (picture(seed, sizes[seed % 3]), INSTRUCTION)),)), QUESTIONS)
        for seed in range(9)
    ]
    together = model.ask(inquiries)
    alone = [model.ask([Inquiry(one.prefix, (q,))])[0].answers[0] for one in inquiries for q in QUESTIONS]
    found = [answer.log_odds for one in together for answer in one.answers]
    assert found == pytest.approx([answer.log_odds for answer in alone], abs=1e-5)
    assert "Items are read one a pass, which is slower: the answer about the last of several" in caplog.text
