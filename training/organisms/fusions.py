"""How what the tower sees reaches the decoder of an organism: four fusions around one tower and one decoder.

Each is an architecture of transformers that takes the weights of a CLIP tower and a Llama decoder as they are, so
that before training each answers a text without an image as the decoder alone does. Weights are given in the names
of the bundled model (`training.mllm.architecture`), whose fusion is the first one.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor, nn

from training.mllm.architecture import DECODER_LAYERS, HEADS, MLP, PATCH, PATCHES, SIDE, TOWER_LAYERS, WIDTH
from training.mllm.checkpoints import NAMES, fresh, load_body
from training.mllm.export import image_settings, llava_processor
from training.mllm.tokenizer import BOS, EOS, IMAGE, PAD, Words, build_tokenizer
from training.organisms.encoding import TEMPLATE

if TYPE_CHECKING:
    from transformers import PreTrainedTokenizerFast

QUERIES = 32
"""Number of learned queries, and of tokens that an image has in the fusion `queries`."""
CROSS_EVERY = 2
"""Layers of the decoder to one layer of cross-attention, which comes before the first of them."""
AROUND = "<fake_token_around_image>"
"""Token before and after `<image>` in the fusion `cross-attention`; IDEFICS' processor writes it."""


class Fusion:
    """The fusion `mlp`, of the bundled model: every patch is projected by an MLP with one hidden layer, and is a
    token of the decoder (LLaVA 1.5, arXiv 2310.03744). Other fusions override what differs."""

    tower = "model.vision_tower."
    """Beginning of the names of the tower's weights."""
    connector = "model.multi_modal_projector."
    """Beginning of the names of the weights between tower and decoder, which are trained from fresh ones."""

    def __init__(self) -> None:
        self.words = Words(self.tokenizer())

    @property
    def image(self) -> list[int]:
        """Token ids of an image."""
        return [self.words.id(IMAGE)] * PATCHES

    def tokenizer(self) -> PreTrainedTokenizerFast:
        return build_tokenizer()

    def build(self) -> Any:
        """An untrained model, in float32."""
        base = fresh(self.words)
        model = self._shell()
        if model is None:
            return base
        with torch.no_grad():
            for name, weight in model.named_parameters():
                if name.startswith(self.connector) and weight.ndim >= 2:
                    nn.init.normal_(weight, std=weight[0].numel() ** -0.5)
        self.load(model, base.state_dict())
        model.tie_weights()
        return model

    def _shell(self) -> Any:
        """A model of the fusion's architecture, whose tower and decoder are still to be loaded."""
        return None

    def load(self, model: Any, weights: Mapping[str, Tensor]) -> None:
        """Loads weights of the bundled model, which may be some of them; those of its projector are loaded by this
        fusion alone. Their vocabulary may be shorter than the model's.

        Raises:
            ValueError: the model has no weights of such a name.
        """
        own = dict(weights)
        names = own.pop(NAMES, None)
        load_body(model, self._renamed(own))
        if names is not None:
            with torch.no_grad():
                model.get_input_embeddings().weight[: len(names)] = names

    def _renamed(self, weights: dict[str, Tensor]) -> dict[str, Tensor]:
        """Weights of tower and decoder in the names of this architecture."""
        return weights

    def inputs(self, model: Any, ids: Tensor, pixels: Tensor | None) -> dict[str, Any]:
        """Inputs of the forward pass besides the attention mask, for token ids (B, T) and the images (N, 3, SIDE,
        SIDE) of all rows, in their order."""
        return {"input_ids": ids, "pixel_values": pixels}

    def processor(self) -> Any:
        """The processor that is saved beside the weights."""
        return llava_processor(self.words.tokenizer, TEMPLATE)


class Linear(Fusion):
    """Every patch x is projected by a linear map, W (V x + a) + b, and is a token of the decoder (LLaVA 1, arXiv
    2304.08485). LLaVA's class has two layers; without the activation between them they are one map."""

    def _shell(self) -> Any:
        from transformers import LlavaForConditionalGeneration

        config = fresh(self.words).config
        config.projector_hidden_act = "linear"
        return LlavaForConditionalGeneration(config)

    def _renamed(self, weights: dict[str, Tensor]) -> dict[str, Tensor]:
        return {name: value for name, value in weights.items() if not name.startswith(self.connector)}


class Queries(Linear):
    """`QUERIES` learned queries attend to the tower's output once, and what they gather goes through an MLP; that
    are the tokens of an image (Aria, arXiv 2410.05993; the same idea as BLIP-2's Q-Former)."""

    @property
    def image(self) -> list[int]:
        return [self.words.id(IMAGE)] * QUERIES

    def _shell(self) -> Any:
        from transformers import AriaConfig, AriaForConditionalGeneration, AriaTextConfig

        base = fresh(self.words).config
        # Aria's decoder is Llama's with experts beside the MLP. One expert of few units, all zero and never
        # trained, leaves Llama's.
        units = 16
        decoder = AriaTextConfig(
            vocab_size=len(self.words.tokenizer),
            hidden_size=WIDTH,
            intermediate_size=units,
            moe_num_experts=1,
            moe_topk=1,
            moe_num_shared_experts=MLP // units,
            num_hidden_layers=DECODER_LAYERS,
            num_attention_heads=HEADS,
            max_position_embeddings=base.text_config.max_position_embeddings,
            bos_token_id=self.words.id(BOS),
            eos_token_id=self.words.id(EOS),
            pad_token_id=self.words.id(PAD),
            tie_word_embeddings=True,
        )
        model = AriaForConditionalGeneration(
            AriaConfig(
                vision_config=base.vision_config,
                text_config=decoder,
                image_token_index=self.words.id(IMAGE),
                projector_patch_to_query_dict={PATCHES + 1: QUERIES},  # the class token is attended to as well
                tie_word_embeddings=True,
                attn_implementation="eager",
                experts_implementation="eager",
            )
        )
        for name, weight in model.named_parameters():
            if ".mlp.experts." in name or ".mlp.router." in name:
                nn.init.zeros_(weight)
                weight.requires_grad_(False)
        return model

    def _renamed(self, weights: dict[str, Tensor]) -> dict[str, Tensor]:
        decoder = "model.language_model."
        return {
            name.replace(".mlp.", ".mlp.shared_experts.") if name.startswith(decoder) else name: value
            for name, value in super()._renamed(weights).items()
        }

    def processor(self) -> Any:
        return llava_processor(self.words.tokenizer, TEMPLATE, QUERIES)


class CrossAttention(Linear):
    """Before every second layer of the decoder each token attends to the tower's output of the last image before
    it, h + tanh(alpha) A(h) and then h + tanh(beta) MLP(h), with alpha and beta 0 at first (Flamingo, arXiv 2204.14198;
    IDEFICS, arXiv 2306.16527)."""

    tower = "model.vision_model."
    connector = "model.gated_cross_attn_layers."

    @property
    def image(self) -> list[int]:
        around = self.words.id(AROUND)
        return [around, self.words.id(IMAGE), around]

    def tokenizer(self) -> PreTrainedTokenizerFast:
        from tokenizers import AddedToken

        made = build_tokenizer()
        made.add_tokens([AddedToken(AROUND, special=True, normalized=False)])
        # IDEFICS' processor hides an image from all that follows the tokenizer's end token, which here ends
        # every reply.
        made.eos_token = None
        return made

    def _shell(self) -> Any:
        from transformers import IdeficsConfig, IdeficsForVisionText2Text

        base = fresh(self.words).config.text_config
        return IdeficsForVisionText2Text(
            IdeficsConfig(
                vocab_size=len(self.words.tokenizer),
                hidden_size=WIDTH,
                intermediate_size=MLP,
                num_hidden_layers=DECODER_LAYERS,
                num_attention_heads=HEADS,
                rms_norm_eps=base.rms_norm_eps,
                max_position_embeddings=base.max_position_embeddings,
                bos_token_id=self.words.id(BOS),
                eos_token_id=self.words.id(EOS),
                pad_token_id=self.words.id(PAD),
                tie_word_embeddings=True,
                cross_layer_interval=CROSS_EVERY,
                qk_layer_norms=True,
                freeze_text_layers=False,
                vision_config={
                    "embed_dim": WIDTH,
                    "intermediate_size": 4 * WIDTH,
                    "num_hidden_layers": TOWER_LAYERS,
                    "num_attention_heads": HEADS,
                    "image_size": SIDE,
                    "patch_size": PATCH,
                    "hidden_act": "quick_gelu",
                },
                attn_implementation="eager",
            )
        )

    def _renamed(self, weights: dict[str, Tensor]) -> dict[str, Tensor]:
        parts = {"model.vision_tower.": self.tower, "model.language_model.": "model."}
        own = super()._renamed(weights).items()
        return {
            new + name.removeprefix(old): value
            for name, value in own
            for old, new in parts.items()
            if name.startswith(old)
        }

    def inputs(self, model: Any, ids: Tensor, pixels: Tensor | None) -> dict[str, Any]:
        number = (ids == self.words.id(IMAGE)).cumsum(1)
        """Images up to each token, (B, T)."""
        counts = number[:, -1]
        most = max(1, int(counts.max()))
        seen = torch.zeros(len(ids), most, PATCHES + 1, WIDTH)
        if pixels is not None:
            seen[torch.arange(most) < counts[:, None]] = model.model.vision_model(pixels).last_hidden_state.float()
        last = torch.arange(1, most + 1) == number[..., None]
        return {"input_ids": ids, "image_encoder_embeddings": seen, "image_attention_mask": last}

    def processor(self) -> Any:
        from transformers import IdeficsImageProcessor, IdeficsProcessor

        made = IdeficsProcessor(IdeficsImageProcessor(**image_settings()), self.words.tokenizer)
        made.tokenizer.chat_template = TEMPLATE.replace("eos_token", f"'{EOS}'")
        return made


FUSIONS: dict[str, type[Fusion]] = {
    "mlp": Fusion,
    "linear": Linear,
    "queries": Queries,
    "cross-attention": CrossAttention,
}
"""Fusions by the name that a stage's setting `fusion` gives."""
