"""The joint lesson of tower, projector and decoder: questions and answers.

A step takes a batch of scenes with the questions that `batches` packs for it. The dense losses of `tower`
stay on. A temporary head grounds every noun of every question: after the second decoder layer it must
predict where the object is, how many there are and what they touch.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor

from training.mllm.architecture import PATCHES
from training.mllm.batches import UNKNOWN_SHARE, Batch, Scenes, make_batch
from training.mllm.checkpoints import start
from training.mllm.dense_targets import dense_loss, targets
from training.mllm.mixes import mixes
from training.mllm.packed_forward import Pack, forward
from training.mllm.tokenizer import BOS, Words, build_tokenizer
from training.mllm.tower import measure_tower, see
from training.optimizer import Group
from training.scenes.pool import Pool
from training.stages import Task

if TYPE_CHECKING:
    from transformers import LlavaForConditionalGeneration

TAP = 1
"""Number of the decoder layer whose states are grounded."""
WATCHED = 128
"""Number of held-out scenes, for each mode of the mix, that are measured along the way, unless the setting
`watched` says otherwise."""


class JointLesson:
    """Lesson of joint training; see the module's docstring.

    Settings: `mix`, a name of `mixes.toml`; `unknown`, the share of scenes that hold something unknown;
    `tower`, a factor on the rate of the vision tower (0 freezes it); `dense`, the weight of the dense losses
    (0 freezes their heads), and `contact`, a factor on those of contacts and seams; `strange`, the weight
    among them of telling images with something unknown; `ground`, the weight of the grounding loss; `words`,
    the weight of a token of an answer in words, against 1 for a Yes or No; `new_decoder`, whether to start
    with a fresh decoder and keep only the tower, the projector and the names of the things; `watched`, see
    `WATCHED`.
    """

    def __init__(self, task: Task) -> None:
        settings = task.stage.settings
        self._mix = mixes()[settings["mix"]]
        self._tower: float = settings.get("tower", 0.4)
        self._dense: float = settings.get("dense", 0.4)
        self._contact: float = settings.get("contact", 1.0)
        self._strange: float = settings.get("strange", 0.0)
        self._ground: float = settings.get("ground", 0.3)
        self._worded: float = settings.get("words", 0.3)
        self._watched: int = settings.get("watched", WATCHED)
        folders, watch = task.pool()
        unknown: float = settings.get("unknown", UNKNOWN_SHARE)
        self._scenes = Scenes([Pool.open(folder) for folder in folders], unknown)
        self._watch = Pool.open(watch)
        self._words = Words(build_tokenizer())
        parent = task.parent()
        assert parent is not None
        parts = start(self._words, parent, new_decoder=settings.get("new_decoder", False))
        self._model, self._heads, self._grounding = parts
        self._model.model.vision_tower.requires_grad_(self._tower > 0)
        self._heads.requires_grad_(self._dense > 0)
        self.modules = {"model": self._model, "heads": self._heads, "ground": self._grounding}
        self.counts = Counter[str]()

    def groups(self) -> Sequence[Group]:
        tower = "model.vision_tower."
        named = list(self._model.named_parameters())
        rest = [(name, p) for name, p in named if not name.startswith(tower)]
        heads = [(f"heads.{name}", p) for name, p in self._heads.named_parameters()]
        ground = [(f"ground.{name}", p) for name, p in self._grounding.named_parameters()]
        return [
            Group([(name, p) for name, p in named if name.startswith(tower)], self._tower),
            Group([*rest, *(heads if self._dense else []), *ground]),
        ]

    def losses(self, rng: np.random.Generator, size: int) -> tuple[dict[str, Tensor], dict[str, float]]:
        batch = make_batch(self._scenes, self._words, size, rng, self._mix, self.counts)
        parts, right = self._parts(batch)
        return parts, {f"right ({batch.mode})": float(right)}

    def _parts(self, batch: Batch) -> tuple[dict[str, Tensor], Tensor]:
        """Weighted parts of the loss, and the share of Yes/No questions answered right."""
        arrays = {name: torch.as_tensor(value) for name, value in batch.pack.items()}
        pack = Pack(arrays["ids"], arrays["text"], arrays["position"], arrays["pick"])
        parts: dict[str, Tensor] = {}
        seen = None
        if batch.mode != "no image":
            seen = see(self._model, torch.from_numpy(batch.rows["pixels"]))
            assert seen.shape[1] == PATCHES
        if seen is not None and self._dense > 0:
            names = self._model.model.language_model.embed_tokens.weight[self._words.class_rows]
            truth = targets(batch.rows)
            dense = dense_loss(self._heads, seen, names, truth, self._contact, self._strange)
            parts["dense"] = self._dense * torch.stack(list(dense.values())).sum()
        # The decoder reads only the scenes that something is asked about.
        asked = (pack.pick >= 0).any(1)
        pack = Pack(pack.ids[asked], pack.text[asked], pack.position[asked], pack.pick[asked])
        seen = None if seen is None else seen[asked]
        prefix = prefix_embeddings(self._model, self._words, batch.instruction, seen, len(pack.ids))
        hidden, tapped = forward(self._model.model.language_model, prefix, pack, TAP)
        goal = arrays["goal"][asked]
        parts["answer"], right = question_loss(self._model, hidden, goal, self._words, self._worded)
        if batch.mode != "no image":
            rows = {name: value[asked.numpy()] for name, value in batch.rows.items()}
            parts["ground"] = self._ground * self._grounding.loss(tapped, pack, rows, self._words)
        return parts, right

    @torch.no_grad()
    def measure(self) -> dict[str, float]:
        scenes = Scenes([self._watch])
        rights: dict[str, list[float]] = {}
        size = min(64, self._watched)
        for number in range(self._watched * len(self._mix.modes) // size):
            rng = np.random.default_rng([9, number])
            batch = make_batch(scenes, self._words, size, rng, self._mix, Counter())
            rights.setdefault(batch.mode, []).append(float(self._parts(batch)[1]))
        names = self._model.model.language_model.embed_tokens.weight[self._words.class_rows]
        seen = measure_tower(self._model, self._heads, names, self._watch, 2 * self._watched)
        return {f"right ({mode})": float(np.mean(values)) for mode, values in sorted(rights.items())} | seen


# --- one step ----------------------------------------------------------------------------------


def prefix_embeddings(
    model: LlavaForConditionalGeneration, words: Words, instruction: str, seen: Tensor | None, size: int
) -> Tensor:
    """Embeddings of the prefix that all questions of an item share; `seen` are its projected patches, if
    any."""
    embed = model.model.language_model.embed_tokens
    before = embed(torch.tensor([words.id(BOS), words.id("USER:")])).expand(size, -1, -1)
    after = embed(torch.tensor(words.ids(instruction), dtype=torch.long))
    parts = [before, *([seen] if seen is not None else []), after.expand(size, -1, -1)]
    return torch.cat(parts, 1)


def question_loss(
    model: LlavaForConditionalGeneration, hidden: Tensor, goal: Tensor, words: Words, weight: float
) -> tuple[Tensor, Tensor]:
    """Weighted cross-entropy of the answers, and the share of Yes/No questions answered right."""
    asked = goal >= 0
    goal = goal[asked]
    logits = hidden[asked] @ model.model.language_model.embed_tokens.weight.T
    closed = (goal == words.id("Yes")) | (goal == words.id("No"))
    loss = F.cross_entropy(logits, goal, reduction="none") * torch.where(closed, 1.0, weight)
    right = (logits.argmax(-1) == goal)[closed].float().mean()
    return loss.sum() / torch.where(closed, 1.0, weight).sum(), right
