"""The lesson of the organisms: conversations of a mix, of which the replies are learned."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from itertools import islice

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor

from jurat.pictograms.statements import Facts
from training.lineage import load_parts
from training.mllm.tokenizer import PAD
from training.mllm.tower import pixel_values
from training.optimizer import Group
from training.organisms.encoding import Encoded, encode
from training.organisms.fusions import FUSIONS
from training.organisms.mixes import STAGES
from training.organisms.sampling import Drawn, Scenes, conversations
from training.scenes.pool import Pool, facts_of, known_rows, load_batch
from training.scenes.variation import spoil
from training.stages import Task

GROUPS_OF_LENGTH = 4
"""Number of parts that a batch is split into by length, so that little of each is padding."""
WATCHED = 192
"""Number of held-out conversations that are measured along the way, unless the setting `watched` says
otherwise."""


class Shown:
    """Scenes of pools without anything unknown, with their facts and pixels."""

    def __init__(self, pools: Sequence[Pool]) -> None:
        self._pools, self._rows = pools, known_rows(pools)
        kinds = np.concatenate([pool["kinds"] for pool in pools])[self._rows]
        self.scenes = Scenes([row[row >= 0].tolist() for row in kinds], self._facts)

    def _facts(self, number: int) -> Facts:
        row = load_batch(self._pools, self._rows[[number]])
        return facts_of(*(row[name][0] for name in ("kinds", "centres", "areas", "gaps")))

    def pixels(self, numbers: Sequence[int], rng: np.random.Generator | None) -> Tensor:
        """Pixels of scenes, (n, SIDE, SIDE, 3) uint8, with varied sizes and qualities if there is an
        `rng`."""
        images = load_batch(self._pools, self._rows[list(numbers)])["pixels"]
        return torch.from_numpy(images if rng is None else np.stack([spoil(image, rng) for image in images]))


class ConversationLesson:
    """Lesson of conversations; see the module's docstring.

    The stage, or the one that its setting `taught` names, is in `mixes.yaml`, which says what it is taught
    and whether it sees images. A stage that does takes the tower from the stage `eyes`, if its parent has
    none, and the projector where its `fusion` (default: `mlp`) is that stage's; the setting `projector` is a
    factor on the rate of what is between tower and decoder, and the tower is frozen. For the setting
    `watched` see `WATCHED`.
    """

    def __init__(self, task: Task) -> None:
        settings = task.stage.settings
        self._mix = STAGES[settings.get("taught", task.stage.name)]
        self._projector: float = settings.get("projector", 0.0)
        self._watched: int = settings.get("watched", WATCHED)
        folders, watch = task.pool()
        self._shown, self._watch = Shown([Pool.open(f) for f in folders]), Shown([Pool.open(watch)])
        torch.manual_seed(task.stage.schedule.seed)
        self._fusion = FUSIONS[settings.get("fusion", "mlp")]()
        self._words = self._fusion.words
        self._model = self._fusion.build()
        if (parent := task.parent()) is not None:
            self._fusion.load(self._model, load_parts(parent)["model"])
        if (eyes := task.eyes()) is not None:
            seeing = ("model.vision_tower.", "model.multi_modal_projector.")
            weights = load_parts(eyes)["model"].items()
            self._fusion.load(self._model, {name: w for name, w in weights if name.startswith(seeing)})
        for name, weight in self._model.named_parameters():
            if name.startswith(self._fusion.tower) or (not self._projector and self._connects(name)):
                weight.requires_grad_(False)
        self.modules = {"model": self._model}
        self.counts = Counter[str]()
        untrained = (self._fusion.tower, self._fusion.connector) if self._mix.model == "decoder" else ()
        self.left_out = tuple(f"model.{name}" for name in untrained)

    def _connects(self, name: str) -> bool:
        return name.startswith(self._fusion.connector)

    def groups(self) -> Sequence[Group]:
        trained = [(name, p) for name, p in self._model.named_parameters() if p.requires_grad]
        decoder = [(name, p) for name, p in trained if not self._connects(name)]
        projector = [(name, p) for name, p in trained if self._connects(name)]
        return [Group(decoder), Group(projector, self._projector)]

    def losses(self, rng: np.random.Generator, size: int) -> tuple[dict[str, Tensor], dict[str, float]]:
        stream = conversations(self._mix.shares, int(rng.integers(2**62)), self._shown.scenes)
        some = list(islice(stream, size))
        for drawn in some:
            self.counts[f"conversations {drawn.skill}"] += 1
        loss, right = self._loss(some, self._shown, rng)
        return {"replies": loss}, {"tokens right": right}

    def _loss(
        self, some: Sequence[Drawn], shown: Shown, rng: np.random.Generator | None
    ) -> tuple[Tensor, float]:
        """Mean cross-entropy of the learned tokens, and the share of them that is predicted right."""
        total, right, tokens = self._summed(some, shown, rng)
        return total / tokens, right / tokens

    def _summed(
        self, some: Sequence[Drawn], shown: Shown, rng: np.random.Generator | None
    ) -> tuple[Tensor, int, int]:
        """Summed cross-entropy of the learned tokens, how many are predicted right, and how many there
        are."""
        pairs = sorted(
            ((drawn, self._encoded(drawn)) for drawn in some),
            key=lambda pair: len(pair[1].ids),
        )
        span = -(-len(pairs) // GROUPS_OF_LENGTH)
        total, right, tokens = torch.zeros(()), 0, 0
        for group in (pairs[first : first + span] for first in range(0, len(pairs), span)):
            logits, goal = self._predict(group, shown, rng)
            total = total + F.cross_entropy(logits, goal, reduction="sum")
            right += int((logits.argmax(-1) == goal).sum())
            tokens += len(goal)
        return total, right, tokens

    def _encoded(self, drawn: Drawn) -> Encoded:
        return encode(drawn.conversation, self._words, self._fusion.image)

    def _predict(
        self, group: Sequence[tuple[Drawn, Encoded]], shown: Shown, rng: np.random.Generator | None
    ) -> tuple[Tensor, Tensor]:
        """Logits at the positions whose next token is learned, (T, vocabulary), and those tokens, (T,)."""
        longest = max(len(encoded.ids) for _, encoded in group)
        ids = torch.full((len(group), longest), self._words.id(PAD))
        learned = torch.zeros(len(group), longest, dtype=torch.bool)
        there = torch.zeros(len(group), longest, dtype=torch.long)
        for row, (_, encoded) in enumerate(group):
            ids[row, : len(encoded.ids)] = torch.tensor(encoded.ids)
            learned[row, : len(encoded.ids)] = torch.tensor(encoded.learned)
            there[row, : len(encoded.ids)] = 1
        numbers = [
            drawn.scenes[i] for drawn, _ in group for line in drawn.conversation.lines for i in line.images
        ]
        pixels = pixel_values(shown.pixels(numbers, rng)) if numbers else None
        inputs = self._fusion.inputs(self._model, ids, pixels)
        hidden = self._model.model(**inputs, attention_mask=there, use_cache=False).last_hidden_state
        at = learned[:, 1:]
        return self._model.lm_head(hidden[:, :-1][at]), ids[:, 1:][at]

    @torch.no_grad()
    def measure(self) -> dict[str, float]:
        """Share of learned tokens that is predicted right, and the loss, on held-out scenes."""
        some = list(islice(conversations(self._mix.shares, -1, self._watch.scenes), self._watched))
        loss, right = self._loss(some, self._watch, None)
        return {"tokens": round(right, 4), "loss": round(float(loss), 4)}
