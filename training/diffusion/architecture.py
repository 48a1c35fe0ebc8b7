"""The networks of the diffusion model, in the classes of Stable Diffusion: fewer and narrower layers."""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

from jurat.models.hf.torchvision_import import prepare_torchvision
from training.diffusion.prompts import every_text
from training.diffusion.scenes import SIDE
from training.text_tower_tokenizer import build_tokenizer
from training.vocabulary import VOCABULARIES

if TYPE_CHECKING:
    from transformers import CLIPTextModel, PreTrainedTokenizerFast

VOCABULARY = VOCABULARIES / "diffusion.txt"
WINDOW = 16
"""Tokens of a prompt, marks and padding included."""
WIDTH = 128
"""Width of the text encoder."""
FACTOR = 4
"""Pixels along a side of a latent's place."""
CHANNELS = 4
"""Channels of a latent."""


def diffusers() -> Any:
    """The library; its annotations are narrower than what its classes take."""
    prepare_torchvision()
    return import_module("diffusers")


def tokenizer_of() -> PreTrainedTokenizerFast:
    return build_tokenizer(VOCABULARY, every_text(), WINDOW)


def build_text_encoder(words: int) -> CLIPTextModel:
    from transformers import CLIPTextConfig, CLIPTextModel

    config = CLIPTextConfig(
        hidden_size=WIDTH,
        intermediate_size=4 * WIDTH,
        num_attention_heads=4,
        num_hidden_layers=2,
        vocab_size=words,
        max_position_embeddings=WINDOW,
        pad_token_id=0,
        bos_token_id=2,
        eos_token_id=words - 1,
    )
    return CLIPTextModel(config)


def build_vae() -> Any:
    return diffusers().AutoencoderKL(
        block_out_channels=(32, 64, 64),
        down_block_types=("DownEncoderBlock2D",) * 3,
        up_block_types=("UpDecoderBlock2D",) * 3,
        latent_channels=CHANNELS,
        layers_per_block=1,
        norm_num_groups=16,
        sample_size=SIDE,
    )


def build_unet() -> Any:
    return diffusers().UNet2DConditionModel(
        sample_size=SIDE // FACTOR,
        in_channels=CHANNELS,
        out_channels=CHANNELS,
        block_out_channels=(64, 128),
        down_block_types=("CrossAttnDownBlock2D",) * 2,
        up_block_types=("CrossAttnUpBlock2D",) * 2,
        layers_per_block=2,
        cross_attention_dim=WIDTH,
        attention_head_dim=4,
        norm_num_groups=16,
    )


def build_scheduler() -> Any:
    """Stable Diffusion's schedule of noise; its sampler draws nothing at random after the first latent."""
    return diffusers().DDIMScheduler(
        beta_start=0.00085,
        beta_end=0.012,
        beta_schedule="scaled_linear",
        clip_sample=False,
        set_alpha_to_one=False,
        steps_offset=1,
    )
