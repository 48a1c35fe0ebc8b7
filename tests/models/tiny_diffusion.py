"""A latent diffusion model with random weights, in the layout of a Stable Diffusion checkpoint."""

from __future__ import annotations

from pathlib import Path

import torch

from jurat.models.hf.torchvision_import import prepare_torchvision

prepare_torchvision()

from diffusers import (  # noqa: E402
    AutoencoderKL,
    DDIMScheduler,
    EulerAncestralDiscreteScheduler,
    PNDMScheduler,
    StableDiffusionPipeline,
    UNet2DConditionModel,
)
from tokenizers import Tokenizer, models, pre_tokenizers, processors  # noqa: E402
from transformers import CLIPTextConfig, CLIPTextModel, PreTrainedTokenizerFast  # noqa: E402

SIDE = 16
"""Side of its pictures in pixels."""
SPECIAL = ("<pad>", "<unk>", "<s>", "</s>")
TEXT = "a an and the of with picture two on grass dog cat car knife ball tree cup"
WORDS = tuple(TEXT.split())
SCHEDULERS = {
    "ddim": lambda: DDIMScheduler(**_BETAS, clip_sample=False, set_alpha_to_one=False),
    "pndm": lambda: PNDMScheduler(**_BETAS, skip_prk_steps=True),
    "ancestral": lambda: EulerAncestralDiscreteScheduler(**_BETAS),
}
_BETAS = {"beta_start": 0.00085, "beta_end": 0.012, "beta_schedule": "scaled_linear", "steps_offset": 1}
_WINDOW = 12


def make_tokenizer() -> PreTrainedTokenizerFast:
    ids = {word: i for i, word in enumerate((*SPECIAL, *WORDS))}
    core = Tokenizer(models.WordLevel(ids, unk_token="<unk>"))
    core.pre_tokenizer = pre_tokenizers.Whitespace()
    core.post_processor = processors.TemplateProcessing(
        single="<s> $A </s>", special_tokens=[("<s>", 2), ("</s>", 3)]
    )
    return PreTrainedTokenizerFast(
        tokenizer_object=core, pad_token="<pad>", unk_token="<unk>", bos_token="<s>", eos_token="</s>",
        model_max_length=_WINDOW, padding_side="right",
    )  # fmt: skip


def make_checkpoint(folder: Path, *, scheduler: str = "ddim", seed: int = 0) -> Path:
    torch.manual_seed(seed)
    tokenizer = make_tokenizer()
    text_encoder = CLIPTextModel(
        CLIPTextConfig(
            vocab_size=len(tokenizer), hidden_size=16, intermediate_size=32, num_hidden_layers=2,
            num_attention_heads=2, max_position_embeddings=_WINDOW, pad_token_id=0, bos_token_id=2,
            eos_token_id=3,
        )
    )  # fmt: skip
    vae = AutoencoderKL(
        down_block_types=("DownEncoderBlock2D",) * 2, up_block_types=("UpDecoderBlock2D",) * 2,
        block_out_channels=(8, 8), norm_num_groups=4, latent_channels=4, sample_size=SIDE,
    )  # fmt: skip
    unet = UNet2DConditionModel(
        sample_size=SIDE // 2, block_out_channels=(8, 16), layers_per_block=1, norm_num_groups=4,
        down_block_types=("CrossAttnDownBlock2D", "DownBlock2D"),
        up_block_types=("UpBlock2D", "CrossAttnUpBlock2D"), cross_attention_dim=16, attention_head_dim=2,
    )  # fmt: skip
    with torch.no_grad():
        for name, parameter in text_encoder.named_parameters():
            if "embed" in name:  # else all texts are nearly the same
                parameter.mul_(50)
    pipe = StableDiffusionPipeline(
        vae, text_encoder, tokenizer, unet, SCHEDULERS[scheduler](),
        safety_checker=None, feature_extractor=None, requires_safety_checker=False,
    )  # fmt: skip
    pipe.save_pretrained(folder, safe_serialization=True)
    return folder
