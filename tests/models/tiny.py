"""Real models of real families with random weights, small enough to be made while a test waits."""

from __future__ import annotations

import string
from pathlib import Path

import torch
from PIL import Image
from tokenizers import Tokenizer, models, pre_tokenizers, processors
from transformers import (
    CLIPVisionConfig,
    LlamaConfig,
    LlavaConfig,
    LlavaForConditionalGeneration,
    LlavaProcessor,
    PreTrainedTokenizerFast,
)
from transformers.models.clip.image_processing_pil_clip import CLIPImageProcessorPil

from jurat.models.bundled.domain_gate import Gate, features

SPECIAL = ["<pad>", "<s>", "</s>", "<unk>", "<image>"]
TEXT = """
    USER: ASSISTANT: SYSTEM: Yes No yes Is the following statement true of this image ? Answer with or
    Does break rule Statement Rule A a child baby dog cat kitchen knife dagger police officer is visible
    touches There are at least two dogs sign reads STOP The one and left right to may be shown touching blade
    Nothing but not : . ,
"""
WORDS = [*TEXT.split(), *string.digits]
TEMPLATE = (
    "<s>{% for turn in messages %}{{ turn['role'].upper() + ':' }}{% for part in turn['content'] %}"
    " {{ '<image>' if part['type'] == 'image' else part['text'] }}{% endfor %}"
    "{% if turn['role'] == 'assistant' %}</s>{% endif %} {% endfor %}"
    "{% if add_generation_prompt %}ASSISTANT:{% endif %}"
)
SIZE, PATCH, WIDTH = 32, 16, 32
GATE_LAYERS = (0, 1)


def make_tokenizer() -> PreTrainedTokenizerFast:
    vocabulary = {word: i for i, word in enumerate(dict.fromkeys([*SPECIAL, *WORDS]))}
    tokenizer = Tokenizer(models.WordLevel(vocabulary, unk_token="<unk>"))
    tokenizer.add_special_tokens(SPECIAL)
    tokenizer.add_tokens(["USER:", "ASSISTANT:", "SYSTEM:"])
    tokenizer.pre_tokenizer = pre_tokenizers.Whitespace()
    tokenizer.post_processor = processors.TemplateProcessing(single="<s> $A", special_tokens=[("<s>", 1)])
    return PreTrainedTokenizerFast(
        tokenizer_object=tokenizer, pad_token="<pad>", bos_token="<s>", eos_token="</s>", unk_token="<unk>"
    )


def make_llava(folder: Path, *, seed: int = 0, scale: float = 8.0) -> Path:
    """A LLaVA with a CLIP tower in the standard layout, as the bundled model has it.

    `scale` enlarges its random weights, so that its answers hang on what it reads.
    """
    tokenizer = make_tokenizer()
    processor = LlavaProcessor(
        image_processor=CLIPImageProcessorPil(size={"height": SIZE, "width": SIZE}, do_center_crop=False),
        tokenizer=tokenizer,
        patch_size=PATCH,
        vision_feature_select_strategy="default",
        num_additional_image_tokens=1,
        chat_template=TEMPLATE,
    )
    torch.manual_seed(seed)
    network = LlavaForConditionalGeneration(
        LlavaConfig(
            vision_config=CLIPVisionConfig(
                hidden_size=WIDTH, intermediate_size=64, num_hidden_layers=3, num_attention_heads=2,
                image_size=SIZE, patch_size=PATCH,
            ),
            text_config=LlamaConfig(
                vocab_size=len(tokenizer), hidden_size=WIDTH, intermediate_size=64, num_hidden_layers=3,
                num_attention_heads=4, num_key_value_heads=2, max_position_embeddings=256,
            ),
            image_token_id=tokenizer.convert_tokens_to_ids("<image>"),
            image_seq_length=(SIZE // PATCH) ** 2,
            vision_feature_layer=-1,
            vision_feature_select_strategy="default",
        )
    )  # fmt: skip
    with torch.no_grad():
        for name, weight in network.named_parameters():
            if weight.ndim >= 2 and "norm" not in name:
                weight.mul_(scale)
    network.generation_config.eos_token_id = tokenizer.eos_token_id
    network.save_pretrained(folder)
    processor.save_pretrained(folder)
    return folder


def make_bundled(folder: Path, *, scenes: int = 96) -> Path:
    """The same with a domain gate fitted on `scene`s, half of them for its threshold."""
    from transformers import AutoModelForImageTextToText, AutoProcessor

    make_llava(folder)
    processor = AutoProcessor.from_pretrained(folder, backend="pil")
    tower = AutoModelForImageTextToText.from_pretrained(folder).model.vision_tower
    seen, strange = (
        processor.image_processor([draw(seed) for seed in range(scenes)], return_tensors="pt")["pixel_values"]
        for draw in (scene, noise)
    )
    known, foreign = (features(tower, pixels[: scenes // 2], GATE_LAYERS) for pixels in (seen, strange))
    spread = torch.cov(known.T) + torch.cov(foreign.T) + 1e-3 * torch.eye(known.shape[1])
    weight = torch.linalg.solve(spread, foreign.mean(0) - known.mean(0))  # Fisher's discriminant
    held_out = Gate(weight, 0.0, GATE_LAYERS, 0.0).strangeness(tower, seen[scenes // 2 :])
    Gate(weight, 0.0, GATE_LAYERS, float(held_out.max() + held_out.std())).save(folder)
    return folder


def picture(seed: int, size: tuple[int, int] = (40, 40)) -> Image.Image:
    """A flat background with a rectangle on it, all from the seed."""
    generator = torch.Generator().manual_seed(seed)
    colours = torch.randint(0, 256, (2, 3), generator=generator).tolist()
    image = Image.new("RGB", size, tuple(colours[0]))
    x, y = (int(torch.randint(0, side // 2, (1,), generator=generator)) for side in size)
    image.paste(tuple(colours[1]), (x, y, x + size[0] // 2, y + size[1] // 2))
    return image


def scene(seed: int, size: tuple[int, int] = (40, 40)) -> Image.Image:
    """A dark square somewhere on a light ground: the small world of the tiny bundled model."""
    generator = torch.Generator().manual_seed(seed)
    light, dark, x, y = (int(torch.randint(0, 8, (1,), generator=generator)) for _ in range(4))
    image = Image.new("RGB", size, (200 + light,) * 3)
    image.paste((40 + dark,) * 3, (x, y, x + size[0] // 2, y + size[1] // 2))
    return image


def noise(seed: int = 0) -> Image.Image:
    """Unlike any scene."""
    generator = torch.Generator().manual_seed(seed)
    return Image.fromarray(
        torch.randint(0, 2, (32, 32, 3), generator=generator, dtype=torch.uint8).mul(255).numpy()
    )
