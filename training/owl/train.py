"""Trains the bundled detector: a small OWL-ViT on the frozen vision tower of the bundled MLLM.

Training moves one more layer on top of the tower's six, the heads, and a text tower over the words of
`queries`. A patch must find the object whose box has its centre in the patch, as in the tower's own training;
patches that a centre just misses are left out of the loss. (OWL-ViT itself assigns objects to patches by
bipartite matching, arXiv 2205.06230, section 3.2.)
"""

from __future__ import annotations

import random
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from jurat.pictograms.objects import CLASSES
from training import tower_export
from training.lineage import load_parts
from training.mllm.architecture import HEADS, PATCH, PATCHES, SIDE, TOWER_LAYERS, WIDTH
from training.optimizer import Group
from training.queries import QUERIES, ask, wordings
from training.stages import Task
from training.text_tower_tokenizer import build_tokenizer
from training.tower_features import TowerFeatures, features_for, new_tower
from training.tower_heads import Named, initialise
from training.vocabulary import VOCABULARIES

if TYPE_CHECKING:
    from transformers import CLIPVisionModel, OwlViTForObjectDetection, PreTrainedTokenizerFast

VOCABULARY = VOCABULARIES / "owl.txt"
TEXT_LAYERS = 1
LONGEST = 16
"""Largest number of tokens in a query."""
GRID = SIDE // PATCH
EDGE = 0.2
"""Distance of a centre outside a patch, in patches, up to which the patch is left out of the loss."""


def build(tower: CLIPVisionModel, words: int) -> OwlViTForObjectDetection:
    """An OWL-ViT over `tower`, with one more layer; all weights but the tower's are fresh."""
    from transformers import OwlViTConfig, OwlViTForObjectDetection, OwlViTTextConfig, OwlViTVisionConfig

    sizes: dict[str, Any] = {
        "hidden_size": WIDTH,
        "intermediate_size": 4 * WIDTH,
        "num_attention_heads": HEADS,
    }
    config = OwlViTConfig(
        text_config=OwlViTTextConfig(
            **sizes,
            vocab_size=words,
            num_hidden_layers=TEXT_LAYERS,
            max_position_embeddings=LONGEST,
            pad_token_id=0,
            bos_token_id=2,
            eos_token_id=words - 1,
        ).to_dict(),
        vision_config=OwlViTVisionConfig(
            **sizes, num_hidden_layers=TOWER_LAYERS + 1, image_size=SIDE, patch_size=PATCH
        ).to_dict(),
        projection_dim=WIDTH,
        attn_implementation="eager",  # pyright: ignore[reportCallIssue]  # see `architecture.build`
    )
    model = OwlViTForObjectDetection(config)
    state = {name.replace("pre_layrnorm", "pre_layernorm"): w for name, w in tower.state_dict().items()}
    missing = model.owlvit.vision_model.load_state_dict(state, strict=False)
    assert not missing.unexpected_keys, missing.unexpected_keys
    initialise(trained(model))
    for last in (model.class_head.logit_scale, model.class_head.logit_shift, model.box_head.dense2):
        nn.init.zeros_(last.weight)
    # So that at first every confidence is about 0.01.
    nn.init.constant_(model.class_head.logit_scale.bias, 9.0)
    nn.init.constant_(model.class_head.logit_shift.bias, -0.46)
    return model


def trained(model: nn.Module) -> Named:
    """The parameters that training moves: all but the tower's."""
    kept = tuple(f"owlvit.vision_model.encoder.layers.{i}." for i in range(TOWER_LAYERS))
    kept += ("owlvit.vision_model.embeddings.", "owlvit.vision_model.pre_layernorm.")
    unused = ("owlvit.visual_projection.", "owlvit.logit_scale")
    return [(name, p) for name, p in model.named_parameters() if not name.startswith((*kept, *unused))]


def look(model: OwlViTForObjectDetection, states: Tensor) -> tuple[Tensor, Tensor]:
    """Outputs of the heads from the tower's output: patches (B, PATCHES, WIDTH), and boxes (B, PATCHES, 4) as
    centre, width and height in shares of the side."""
    vision = model.owlvit.vision_model
    hidden = vision.post_layernorm(vision.encoder.layers[TOWER_LAYERS](states, None))
    patches = model.layer_norm(hidden[:, 1:] * hidden[:, :1])
    return patches, model.box_predictor(patches, patches.unflatten(1, (GRID, GRID)))


def read(model: OwlViTForObjectDetection, tokenizer: PreTrainedTokenizerFast, queries: list[str]) -> Tensor:
    """Embeddings of queries: (Q, WIDTH)."""
    tokens = tokenizer(queries, padding=True, return_tensors="pt")
    made: Any = model.owlvit.get_text_features(tokens["input_ids"], tokens["attention_mask"])
    return made.pooler_output


@dataclass
class Goal:
    """Targets of the heads for a batch."""

    classes: Tensor  # (B, PATCHES, Q), 0 or 1
    judged: Tensor  # (B, PATCHES, Q), bool
    owner: Tensor  # (B, PATCHES): the object whose box a patch should give
    owned: Tensor  # (B, PATCHES), bool: whether there is one
    boxes: Tensor  # (B, MOST, 4): centre, width, height


def goal_of(kinds: Tensor, corners: Tensor, members: Tensor) -> Goal:
    """Targets from `kinds` (B, MOST) and `corners` (B, MOST, 4), which are those of `tower_features.FIELDS`,
    and `members` (CLASSES, Q)."""
    boxes = torch.cat([(corners[..., :2] + corners[..., 2:]) / 2, corners[..., 2:] - corners[..., :2]], -1)
    place = torch.arange(PATCHES)
    middles = torch.stack([place % GRID, place // GRID], -1) + 0.5
    away = (boxes[:, :, None, :2] * GRID - middles).abs().amax(-1)  # (B, MOST, PATCHES)
    away = torch.where((kinds >= 0)[..., None], away, torch.inf)
    named = members[kinds.clamp(min=0)] * (kinds >= 0)[..., None]
    classes = torch.einsum("bmp,bmq->bpq", (away <= 0.5).float(), named).clamp(max=1)
    close = torch.einsum("bmp,bmq->bpq", (away <= 0.5 + EDGE).float(), named) > 0
    least, owner = away.min(1)
    return Goal(classes, ~close | (classes > 0), owner, least <= 0.5 + EDGE, boxes)


def losses(
    patches: Tensor, boxes: Tensor, queries: Tensor, goal: Goal, model: OwlViTForObjectDetection
) -> dict[str, Tensor]:
    named: Any = model.class_predictor(patches, queries)
    each = F.binary_cross_entropy_with_logits(named[0], goal.classes, reduction="none") * goal.judged
    wanted = torch.gather(goal.boxes, 1, goal.owner[..., None].expand(-1, -1, 4))[goal.owned]
    found = boxes[goal.owned]
    return {
        "names": each.sum() / goal.classes.sum().clamp(min=1),
        "sides": 5 * (found - wanted).abs().sum(-1).mean(),
        "overlap": 2 * (1 - generalized_iou(found, wanted)).mean(),
    }


def generalized_iou(first: Tensor, second: Tensor) -> Tensor:
    """Generalized IoU of pairs of boxes (centre, width, height): (n,), in [-1, 1] (arXiv 1902.09630)."""

    def corners(boxes: Tensor) -> tuple[Tensor, Tensor]:
        return boxes[:, :2] - boxes[:, 2:] / 2, boxes[:, :2] + boxes[:, 2:] / 2

    (low, high), (low2, high2) = corners(first), corners(second)
    shared = (torch.minimum(high, high2) - torch.maximum(low, low2)).clamp(min=0).prod(-1)
    union = first[:, 2:].prod(-1) + second[:, 2:].prod(-1) - shared
    hull = (torch.maximum(high, high2) - torch.minimum(low, low2)).prod(-1)
    return shared / union.clamp(min=1e-9) - (hull - union) / hull.clamp(min=1e-9)


def membership() -> Tensor:
    """Whether each of `QUERIES` names each class: (CLASSES, Q), 0 or 1."""
    table = torch.zeros(CLASSES, len(QUERIES))
    for q, noun in enumerate(QUERIES):
        table[list(noun.classes), q] = 1
    return table


def tokenizer_of(vocabulary: Path = VOCABULARY) -> PreTrainedTokenizerFast:
    return build_tokenizer(vocabulary, [wording for noun in QUERIES for wording in wordings(noun)], LONGEST)


class DetectorLesson:
    """Lesson of the detector; see the module's docstring. Setting `scenes`: number of scenes drawn for it."""

    def __init__(self, task: Task) -> None:
        self._seen, tower = features_for(task)
        self._tokenizer = tokenizer_of()
        self._model = build(tower, len(self._tokenizer))
        self._members = membership()
        self.modules: dict[str, nn.Module] = {"model": self._model}
        self.counts = Counter[str]()

    def groups(self) -> Sequence[Group]:
        return [Group(trained(self._model))]

    def losses(self, rng: np.random.Generator, size: int) -> tuple[dict[str, Tensor], dict[str, float]]:
        count = self._seen.trained_on
        rows = np.sort(rng.choice(count, min(size, count), replace=False))
        self.counts["scenes"] += size
        return self._losses(rows, ask(random.Random(int(rng.integers(2**62))))), {}

    def _losses(self, rows: np.ndarray, queries: list[str]) -> dict[str, Tensor]:
        patches, boxes = look(self._model, self._seen.batch(rows))
        goal = goal_of(*_truth(self._seen, rows), self._members)
        return losses(patches, boxes, read(self._model, self._tokenizer, queries), goal, self._model)

    @torch.no_grad()
    def measure(self) -> dict[str, float]:
        """Parts of the loss on held-out scenes, asked by bare names."""
        rows = np.arange(self._seen.trained_on, len(self._seen))
        parts = self._losses(rows, [noun.singular for noun in QUERIES])
        return {name: round(part.item(), 4) for name, part in parts.items()}


def _truth(seen: TowerFeatures, rows: np.ndarray) -> tuple[Tensor, Tensor]:
    return torch.from_numpy(seen.kinds[rows].astype(np.int64)), torch.from_numpy(seen.boxes[rows])


def export(stage: Path, folder: Path) -> None:
    """Writes the model of a finished stage to `folder`, in the standard layout in bfloat16."""
    from transformers import OwlViTImageProcessor, OwlViTProcessor

    tokenizer = tokenizer_of()
    model: Any = build(new_tower(), len(tokenizer))
    model.load_state_dict(load_parts(stage)["model"])
    tower_export.export(model, OwlViTProcessor, OwlViTImageProcessor, tokenizer, folder)
