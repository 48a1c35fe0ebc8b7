"""Guard models of the official classes with random weights, whose tokens are bytes.

Their replies are forced by `sequence_bias` of the generation settings, which does not touch the raw logits
that a probability is read from.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import torch
from tokenizers import AddedToken, Tokenizer, decoders, models, pre_tokenizers
from transformers import PreTrainedTokenizerFast

from tests.models import families
from tests.models.families import TOWER
from tests.models.folders import SIDE, llama4_network

FIRST = 260
"""Id of the first special token beyond the bytes and <pad>, <s>, </s>, <unk>."""
TEXT = families.TEXT | {"vocab_size": 272, "max_position_embeddings": 4096}
TEMPLATE = (
    "<s>{% for turn in messages %}USER:{% for part in turn['content'] %}"
    "{{ 'IMAGE' if part['type'] == 'image' else part['text'] }}{% endfor %}{% endfor %}"
    "{% if add_generation_prompt %}ASSISTANT:{% endif %}"
)


def bytes_tokenizer(*special: str, **named: str) -> PreTrainedTokenizerFast:
    """Every byte is a token; `special` ones have the ids from `FIRST` on, `named` ones are attributes too."""
    begin = ["<pad>", "<s>", "</s>", "<unk>"]
    vocabulary = {token: i for i, token in enumerate([*begin, *sorted(pre_tokenizers.ByteLevel.alphabet())])}
    vocabulary |= {token: FIRST + i for i, token in enumerate(special)}
    made = Tokenizer(models.BPE(vocab=vocabulary, merges=[], unk_token="<unk>"))
    made.add_special_tokens([AddedToken(token, special=True) for token in (*begin, *special)])
    made.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=False)
    made.decoder = decoders.ByteLevel()
    return PreTrainedTokenizerFast(
        tokenizer_object=made, pad_token="<pad>", bos_token="<s>", eos_token="</s>", unk_token="<unk>",
        extra_special_tokens=named,
    )  # fmt: skip


def save(network: Any, processor: Any, folder: Path, reply: str | None = None) -> Path:
    """Writes a folder as `save_pretrained` does; greedy decoding gives `reply`."""
    torch.manual_seed(0)
    with torch.no_grad():
        for name, weight in network.named_parameters():
            if weight.ndim >= 2 and "norm" not in name:
                weight.normal_(std=0.3)
    if reply is not None:
        ids = [*processor.tokenizer(reply, add_special_tokens=False)["input_ids"], 2]
        # The longest context that fits wins, so that a letter that occurs twice is followed by the right one.
        network.generation_config.sequence_bias = [[ids[: n + 1], 1000.0 * (n + 1)] for n in range(len(ids))]
        network.generation_config.eos_token_id = 2
    network.save_pretrained(folder)
    processor.save_pretrained(folder)
    return folder


def llama_guard_4(folder: Path, reply: str) -> Path:
    from transformers import Llama4Processor
    from transformers.models.llama4.image_processing_llama4 import Llama4ImageProcessor

    marks = ("<|patch|>", "<|image_start|>", "<|image_end|>", "<|image|>")
    processor = Llama4Processor(
        Llama4ImageProcessor(size=SIDE), bytes_tokenizer(*marks), patch_size=8,
        chat_template=TEMPLATE.replace("IMAGE", "<|image|>"),
    )  # fmt: skip
    network = llama4_network(TEXT, FIRST, FIRST + 1, FIRST + 2)
    return save(network, processor, folder, reply)


def llavaguard(folder: Path, reply: str) -> Path:
    from transformers import (
        LlavaOnevisionConfig,
        LlavaOnevisionForConditionalGeneration,
        LlavaOnevisionProcessor,
        Qwen2Config,
        SiglipVisionConfig,
    )
    from transformers.models.llava_onevision.image_processing_pil_llava_onevision import (
        LlavaOnevisionImageProcessorPil,
    )
    from transformers.models.llava_onevision.video_processing_llava_onevision import (
        LlavaOnevisionVideoProcessor,
    )

    pinpoints = [[32, 32], [32, 64], [64, 32]]
    config = LlavaOnevisionConfig(
        vision_config=SiglipVisionConfig(**TOWER), text_config=Qwen2Config(**TEXT), image_token_index=FIRST,
        video_token_index=FIRST + 1, image_grid_pinpoints=pinpoints,
    )  # fmt: skip
    processor = LlavaOnevisionProcessor(
        LlavaOnevisionImageProcessorPil(size=SIDE, image_grid_pinpoints=pinpoints),
        bytes_tokenizer("<image>", "<video>"),
        LlavaOnevisionVideoProcessor(size=SIDE),
        num_image_tokens=16,
        vision_feature_select_strategy="full",
        chat_template=TEMPLATE.replace("IMAGE", "<image>"),
    )
    return save(LlavaOnevisionForConditionalGeneration(config), processor, folder, reply)


def shieldgemma2(folder: Path) -> Path:
    from transformers import (
        ShieldGemma2Config,
        ShieldGemma2ForImageClassification,
        ShieldGemma2Processor,
    )
    from transformers.models.gemma3.image_processing_pil_gemma3 import Gemma3ImageProcessorPil

    text = {
        **TEXT, "model_type": "gemma3_text", "head_dim": 8, "sliding_window": 8, "query_pre_attn_scalar": 8,
        "layer_types": ["sliding_attention", "full_attention"],
    }  # fmt: skip
    config = ShieldGemma2Config(
        text_config=text, vision_config={**TOWER, "model_type": "siglip_vision_model"}, mm_tokens_per_image=4,
        image_token_index=FIRST, boi_token_index=FIRST + 1, eoi_token_index=FIRST + 2,
        yes_token_index=93, no_token_index=82,
    )  # fmt: skip
    words = bytes_tokenizer(
        "<image_soft_token>", "<start_of_image>", "<end_of_image>",
        image_token="<image_soft_token>", boi_token="<start_of_image>", eoi_token="<end_of_image>",
    )  # fmt: skip
    processor = ShieldGemma2Processor(
        Gemma3ImageProcessorPil(size=SIDE), words, image_seq_length=4,
        chat_template=TEMPLATE.replace("IMAGE", "<start_of_image>"),
        policy_definitions={"dangerous": "No danger.", "violence": "No violence."},
    )  # fmt: skip
    return save(ShieldGemma2ForImageClassification(config), processor, folder)
