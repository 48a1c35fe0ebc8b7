"""How what the tower sees reaches the decoder of an organism: four fusions around one tower and one decoder.

Each is an architecture of transformers that takes the weights of a CLIP tower and of a Llama decoder as they
are, so that before training it answers a text without an image as the decoder alone does. Weights to begin
from have the names of the bundled model (`training.mllm.architecture`), whose fusion is `mlp`.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor, nn

from training.mllm.architecture import DECODER_LAYERS, HEADS, MLP, PATCH, PATCHES, SIDE, TOWER_LAYERS, WIDTH
from training.mllm.checkpoints import fresh, load_whole
from training.mllm.export import image_settings, llava_processor
from training.mllm.tokenizer import BOS, EOS, IMAGE, PAD, Words, build_tokenizer
from training.organisms.encoding import TEMPLATE

if TYPE_CHECKING:
    from transformers import PreTrainedTokenizerFast

QUERIES = 32
"""Number of learned queries, and so of tokens of an image, in the fusion `queries`."""
CROSS_EVERY = 2
"""Number of layers of the decoder for each layer of cross-attention, which comes before the first of them."""
AROUND = "<fake_token_around_image>"
"""Token before and after `<image>` in the fusion `cross-attention`, written by IDEFICS' processor."""
_EAGER: dict[str, Any] = {"attn_implementation": "eager", "experts_implementation": "eager"}
"""Settings of a model for training (see `training.mllm.architecture`)."""


class Fusion:
    """The fusion `mlp`, of the bundled model: each patch goes through an MLP with one hidden layer and is a
    token of the decoder (LLaVA 1.5, arXiv 2310.03744). Other fusions override what differs."""

    tower = "model.vision_tower."
    """Beginning of the names of the tower's weights."""
    connector = "model.multi_modal_projector."
    """Beginning of the names of the weights between tower and decoder."""

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
        return fresh(self.words)

    def load(self, model: Any, weights: Mapping[str, Tensor]) -> None:
        """Loads weights of a model with the fusion `mlp`, which may be some of them. Their vocabulary may be
        shorter than the model's. Other fusions leave out the projector.

        Raises:
            ValueError: the model has no weights of such a name.
        """
        load_whole(model, self._renamed(dict(weights)))

    def restore(self, model: Any, weights: Mapping[str, Tensor]) -> None:
        """Loads the weights of a stage with this fusion. Their vocabulary may be shorter than the model's.

        Raises:
            ValueError: the model has no weights of such a name.
        """
        load_whole(model, weights)

    def _renamed(self, weights: dict[str, Tensor]) -> dict[str, Tensor]:
        """The weights that this architecture has as well, under its own names."""
        return weights

    def inputs(self, model: Any, ids: Tensor, pixels: Tensor | None) -> dict[str, Any]:
        """Inputs of the forward pass besides the attention mask.

        Args:
            ids: token ids, (B, T).
            pixels: the images of all rows in their order, (N, 3, SIDE, SIDE), normalised; None where no row
                has one.
        """
        return {"input_ids": ids, "pixel_values": pixels}

    def processor(self) -> Any:
        """The processor that is saved beside the weights."""
        return llava_processor(self.words.tokenizer, TEMPLATE)


class _Grafted(Fusion):
    """A fusion whose weights between tower and decoder are fresh."""

    def build(self) -> Any:
        base, model = fresh(self.words), self._network()
        with torch.no_grad():
            for name, weight in model.named_parameters():
                if name.startswith(self.connector) and weight.ndim >= 2:
                    nn.init.normal_(weight, std=weight[0].numel() ** -0.5)
        self.load(model, base.state_dict())
        model.tie_weights()
        return model

    def _network(self) -> Any:
        """A model of the architecture, whose tower and decoder are still to be loaded."""
        raise NotImplementedError

    def _renamed(self, weights: dict[str, Tensor]) -> dict[str, Tensor]:
        return {name: value for name, value in weights.items() if not name.startswith(Fusion.connector)}


class Linear(_Grafted):
    """Each patch x is projected by a linear map, W (V x + a) + b, and is a token of the decoder (LLaVA, arXiv
    2304.08485). LLaVA's class has two layers; with no activation between them they are one map."""

    def _network(self) -> Any:
        from transformers import LlavaForConditionalGeneration

        config = fresh(self.words).config
        config.projector_hidden_act = "linear"
        return LlavaForConditionalGeneration(config)


class Queries(_Grafted):
    """`QUERIES` learned queries attend once to the tower's output; each result is normalised, goes through an
    MLP, and is a token of the decoder (Aria, arXiv 2410.05993, after the Q-Former of BLIP-2, arXiv
    2301.12597)."""

    @property
    def image(self) -> list[int]:
        return [self.words.id(IMAGE)] * QUERIES

    def _network(self) -> Any:
        from transformers import AriaConfig, AriaForConditionalGeneration, AriaTextConfig

        base: Any = fresh(self.words).config
        units = 16  # of the one routed expert
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
                projector_patch_to_query_dict={PATCHES + 1: QUERIES},  # the class token is seen, too
                tie_word_embeddings=True,
                **_EAGER,
            )
        )
        # Aria's decoder is a Llama with routed experts beside the MLP. Zero weights add nothing.
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


class CrossAttention(_Grafted):
    """Before some layers of the decoder each token attends to what the tower made of the last image before
    it: h + tanh(alpha) A(h), then h + tanh(beta) MLP(h), with alpha and beta 0 at first (IDEFICS, arXiv
    2306.16527, after Flamingo, arXiv 2204.14198)."""

    tower = "model.vision_model."
    connector = "model.gated_cross_attn_layers."

    @property
    def image(self) -> list[int]:
        around = self.words.id(AROUND)
        return [around, self.words.id(IMAGE), around]

    def tokenizer(self) -> PreTrainedTokenizerFast:
        made = build_tokenizer()
        made.add_tokens([AROUND], special_tokens=True)
        # IDEFICS' processor hides an image from all that follows the tokenizer's end token, which here ends
        # every reply.
        made.eos_token = None
        return made

    def _network(self) -> Any:
        from transformers import IdeficsConfig, IdeficsForVisionText2Text

        base: Any = fresh(self.words).config.text_config
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
                **_EAGER,
            )
        )

    def restore(self, model: Any, weights: Mapping[str, Tensor]) -> None:
        # The token around an image comes after the vocabulary, wherever that ended.
        name = "model.embed_tokens.weight"
        *_, around = weights[name]
        super().restore(model, {**weights, name: weights[name][:-1]})
        with torch.no_grad():
            model.get_input_embeddings().weight[self.words.id(AROUND)] = around

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
            made = model.model.vision_model(pixels).last_hidden_state
            seen[torch.arange(most) < counts[:, None]] = made.float()
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
