"""Trains the bundled matcher: a small CLIP on the frozen vision tower of the bundled MLLM.

CLIP takes an image's embedding from the class token, which the MLLM never uses or trains. So one more layer
on top of the tower's six learns to gather there what the patches hold. It is trained together with the
projections and a text tower, on the texts of `clip.texts`.

Every text of a batch is compared with every scene of it, by a logistic loss against whether the text is
relevant (SigLIP, arXiv 2303.15343). The texts are the name of every object, and sentences; half of the
sentences are about something nearly in a scene: a look-alike, or one of two objects.
"""

from __future__ import annotations

import random
from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from jurat.pictograms.objects import CLASSES
from training import tower_export
from training.clip.texts import Text, TextSampler, every_word
from training.lineage import load_parts
from training.mllm.architecture import HEADS, PATCH, SIDE, TOWER_LAYERS, WIDTH
from training.optimizer import Group
from training.queries import QUERIES, ask
from training.stages import Task
from training.text_tower_tokenizer import build_tokenizer
from training.tower_features import features_for, new_tower
from training.tower_heads import Named, initialise
from training.vocabulary import VOCABULARIES

if TYPE_CHECKING:
    from transformers import CLIPModel, CLIPVisionModel, PreTrainedTokenizerFast

VOCABULARY = VOCABULARIES / "clip.txt"
TEXT_LAYERS, TEXT_WIDTH, TEXT_HEADS = 2, 128, 4
LONGEST = 77
"""Largest number of tokens in a text, as for any CLIP."""
TEXTS = 2
"""Number of texts about each scene in that half of a batch that texts are written about."""


def build(tower: CLIPVisionModel, words: int) -> CLIPModel:
    """A CLIP over `tower`, with one more layer; all weights but the tower's are fresh."""
    from transformers import CLIPConfig, CLIPModel, CLIPTextConfig, CLIPVisionConfig

    config = CLIPConfig(
        text_config=CLIPTextConfig(
            hidden_size=TEXT_WIDTH,
            intermediate_size=4 * TEXT_WIDTH,
            num_attention_heads=TEXT_HEADS,
            projection_dim=WIDTH,
            vocab_size=words,
            num_hidden_layers=TEXT_LAYERS,
            max_position_embeddings=LONGEST,
            pad_token_id=0,
            bos_token_id=2,
            eos_token_id=words - 1,
        ).to_dict(),
        vision_config=CLIPVisionConfig(
            hidden_size=WIDTH,
            intermediate_size=4 * WIDTH,
            num_attention_heads=HEADS,
            projection_dim=WIDTH,
            num_hidden_layers=TOWER_LAYERS + 1,
            image_size=SIDE,
            patch_size=PATCH,
        ).to_dict(),
        projection_dim=WIDTH,
        logit_scale_init_value=2.3,
        attn_implementation="eager",  # pyright: ignore[reportCallIssue]  # see `architecture.build`
    )
    model = CLIPModel(config)
    missing = model.vision_model.load_state_dict(tower.state_dict(), strict=False)
    assert not missing.unexpected_keys, missing.unexpected_keys
    initialise(trained(model))
    return model


def trained(model: nn.Module) -> Named:
    """The parameters that training moves: all but the tower's."""
    kept = tuple(f"vision_model.encoder.layers.{i}." for i in range(TOWER_LAYERS))
    kept += ("vision_model.embeddings.", "vision_model.pre_layrnorm.")
    return [(name, p) for name, p in model.named_parameters() if not name.startswith(kept)]


def embed_scenes(model: CLIPModel, states: Tensor) -> Tensor:
    """Embeddings of length 1 from the tower's output: (B, WIDTH). The last layer is computed for the class
    token only."""
    layer: Any = model.vision_model.encoder.layers[TOWER_LAYERS]
    attention = layer.self_attn
    normed = layer.layer_norm1(states)

    def heads(x: Tensor) -> Tensor:
        return x.unflatten(-1, (HEADS, -1)).transpose(1, 2)

    query = heads(attention.q_proj(normed[:, :1]))
    key, value = heads(attention.k_proj(normed)), heads(attention.v_proj(normed))
    weights = (query @ key.transpose(-1, -2) * attention.scale).softmax(-1)
    hidden = states[:, :1] + attention.out_proj((weights @ value).transpose(1, 2).flatten(2))
    hidden = hidden + layer.mlp(layer.layer_norm2(hidden))
    return F.normalize(model.visual_projection(model.vision_model.post_layernorm(hidden[:, 0])), dim=-1)


def embed_texts(model: CLIPModel, tokenizer: PreTrainedTokenizerFast, texts: Sequence[str]) -> Tensor:
    """Embeddings of length 1: (T, WIDTH). Texts are grouped by length, to avoid padding."""
    order = sorted(range(len(texts)), key=lambda i: len(texts[i].split()))
    parts: list[Tensor] = []
    for some in np.array_split(order, min(4, len(order))):
        tokens = tokenizer([texts[int(i)] for i in some], padding=True, truncation=True, return_tensors="pt")
        made: Any = model.get_text_features(tokens["input_ids"], tokens["attention_mask"])
        parts.append(made.pooler_output)
    return F.normalize(torch.cat(parts)[np.argsort(order)], dim=-1)


def relevance(present: Tensor, texts: Sequence[Text]) -> Tensor:
    """Whether each text is relevant to each scene: (B, T) bool, from `present` (B, CLASSES)."""
    most = max(len(text.about) for text in texts)
    wanted = torch.ones(len(texts), most, CLASSES)
    for t, text in enumerate(texts):
        for k, classes in enumerate(text.about):
            wanted[t, k] = 0
            wanted[t, k, list(classes)] = 1
    return (torch.einsum("bc,tkc->btk", present.float(), wanted) > 0).all(-1)


def losses(cosines: Tensor, truth: Tensor, near: Tensor, scale: Tensor, bias: Tensor) -> dict[str, Tensor]:
    """Parts of the loss. `near` marks the pairs of a text with the scene that it was written about."""
    each = F.binary_cross_entropy_with_logits(cosines * scale + bias, truth.float(), reduction="none")
    return {
        "relevant": 0.5 * each[truth].mean(),
        "irrelevant": 0.5 * each[~truth].mean(),
        "near": each[near].mean(),
    }


def tokenizer_of(vocabulary: Path = VOCABULARY) -> PreTrainedTokenizerFast:
    return build_tokenizer(vocabulary, every_word(), LONGEST)


class MatcherLesson:
    """Lesson of the matcher; see the module's docstring. Setting `scenes`: number of scenes drawn for it."""

    def __init__(self, task: Task) -> None:
        self._seen, tower = features_for(task)
        self._tokenizer = tokenizer_of()
        self._model = build(tower, len(self._tokenizer))
        # Not part of a CLIP: the threshold stands in for it.
        self._bias = nn.ParameterDict({"bias": nn.Parameter(torch.tensor(-3.0))})
        self.modules: dict[str, nn.Module] = {"model": self._model, "bias": self._bias}
        self.counts = Counter[str]()

    def groups(self) -> Sequence[Group]:
        return [Group([*trained(self._model), *self._bias.named_parameters()])]

    def losses(self, rng: np.random.Generator, size: int) -> tuple[dict[str, Tensor], dict[str, float]]:
        words = random.Random(int(rng.integers(2**62)))
        count = self._seen.trained_on
        rows = rng.choice(count, min(size, count), replace=False)
        names = [Text(text, (q.classes,)) for text, q in zip(ask(words), QUERIES, strict=True)]
        self.counts["scenes"] += size
        self.counts["texts"] += TEXTS * (size // 2) + len(names)
        compared = self._compare(rows, TextSampler(words), names)
        return losses(*compared, self._model.logit_scale.exp(), self._bias["bias"]), {}

    def _compare(
        self, rows: np.ndarray, writer: TextSampler, names: list[Text]
    ) -> tuple[Tensor, Tensor, Tensor]:
        """Cosines, truth and nearness of some scenes with texts written about half of them, and names."""
        written = [writer.write(_kinds(self._seen.kinds[row]), TEXTS) for row in rows[: len(rows) // 2]]
        texts = [text for some in written for text in some] + names
        embedded = embed_texts(self._model, self._tokenizer, [t.text for t in texts])
        cosines = embed_scenes(self._model, self._seen.batch(rows)) @ embedded.T
        near = torch.arange(len(rows))[:, None] == torch.arange(len(texts))[None] // TEXTS
        near[:, len(texts) - len(names) :] = False
        return cosines, relevance(self._seen.present[rows], texts), near

    @torch.no_grad()
    def measure(self) -> dict[str, float]:
        """On held-out scenes: AUC of texts that are nearly true, and the share of irrelevant pairs dropped
        at the threshold that keeps 97% of the relevant ones."""
        from sklearn.metrics import roc_auc_score

        rows = np.arange(self._seen.trained_on, len(self._seen))
        cosines, truth, near = self._compare(rows, TextSampler(random.Random(1)), [])
        threshold = torch.quantile(cosines[truth], 0.03)
        return {
            "near_auc": round(float(roc_auc_score(truth[near], cosines[near])), 4),
            "dropped": round(float((cosines[~truth] <= threshold).float().mean()), 4),
        }


def _kinds(row: np.ndarray) -> list[int]:
    return sorted({int(kind) for kind in row if kind >= 0})


def export(stage: Path, folder: Path) -> None:
    """Writes the model of a finished stage to `folder`, in the standard layout in bfloat16."""
    from transformers import CLIPImageProcessor, CLIPProcessor

    tokenizer = tokenizer_of()
    model: Any = build(new_tower(), len(tokenizer))
    model.load_state_dict(load_parts(stage)["model"])
    tower_export.export(model, CLIPProcessor, CLIPImageProcessor, tokenizer, folder)
