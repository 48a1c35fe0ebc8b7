"""The lesson of visual tuning with safety data, to balance one against the other."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from itertools import islice

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor

from training.organisms.lesson import ConversationLesson
from training.organisms.sampling import Drawn, conversations
from training.stages import Task


class BalancedLesson(ConversationLesson):
    """Lesson of conversations with safety data among them, of the skills `safety` of its mix.

    Settings beside those of `ConversationLesson`:

    - `safety`: share of the safety data among all conversations, in [0, 1];
    - `distinct`: number of different safety conversations, which are shown again and again; 0 draws new ones;
    - `weight`: factor on the loss of the safety data;
    - `beta`: if above 0, the safety data are preferences (DPO: Rafailov et al. 2023, arXiv 2305.18290), of
      the right reply over `Conversation.rejected`. With the model as it begins as the reference, the loss of
      a pair is -log sigma(beta (log(p(right) / p_ref(right)) - log(p(rejected) / p_ref(rejected)))). The mean
      over the pairs takes the place of the mean cross-entropy of the safety data's tokens.
    """

    def __init__(self, task: Task) -> None:
        super().__init__(task)
        settings = task.stage.settings
        self._share: float = settings["safety"]
        self._weight: float = settings.get("weight", 1.0)
        self._beta: float = settings.get("beta", 0.0)
        distinct: int = settings.get("distinct", 0)
        stream = conversations(self._mix.safety, [task.stage.schedule.seed, distinct], self._shown.scenes)
        self._few = list(islice(stream, distinct))
        self._reference = ConversationLesson(task) if self._beta else None

    def losses(self, rng: np.random.Generator, size: int) -> tuple[dict[str, Tensor], dict[str, float]]:
        number = int(rng.binomial(size, self._share))
        safety, useful = self._safety(rng, number), self._drawn(self._mix.shares, rng, size - number)
        for each in (*safety, *useful):
            self.counts[f"conversations {each.skill}"] += 1
        parts: dict[str, Tensor] = {}
        right = tokens = 0
        if useful:
            parts["replies"], right, tokens = self._summed(useful, self._shown, rng)
        told = {"tokens right": right / max(tokens, 1)}
        if safety:
            count = sum(sum(self._encoded(each).learned) for each in safety)
            if self._reference is None:
                loss = self._summed(safety, self._shown, rng)[0]
            else:
                loss = count * self._preference(safety, self._reference, int(rng.integers(2**62)))
            parts["safety"], tokens = self._weight * loss, tokens + count
        return {name: loss / tokens for name, loss in parts.items()}, told

    def _safety(self, rng: np.random.Generator, number: int) -> list[Drawn]:
        if self._few:
            return [self._few[i] for i in rng.integers(len(self._few), size=number)]
        return self._drawn(self._mix.safety, rng, number)

    def _drawn(self, shares: Mapping[str, float], rng: np.random.Generator, number: int) -> list[Drawn]:
        stream = conversations(shares, int(rng.integers(2**62)), self._shown.scenes)
        return list(islice(stream, number))

    def _preference(self, safety: Sequence[Drawn], reference: ConversationLesson, seed: int) -> Tensor:
        """Mean loss of pairs. All four passes see the same pictures."""
        worse = [
            replace(each, conversation=replace(each.conversation, target=each.conversation.rejected))
            for each in safety
        ]
        gains: list[Tensor] = []
        for some in (safety, worse):
            found = self._log_probabilities(self, some, seed)
            with torch.no_grad():
                known = self._log_probabilities(reference, some, seed)
            gains.append(found - known)
        return -F.logsigmoid(self._beta * (gains[0] - gains[1])).mean()

    def _log_probabilities(self, lesson: ConversationLesson, some: Sequence[Drawn], seed: int) -> Tensor:
        """The log-probability of the learned tokens of each conversation, (B,), in nats. Turns that two
        replies share cancel in their difference."""
        pairs = [(drawn, self._encoded(drawn)) for drawn in some]
        logits, goal = lesson._predict(pairs, self._shown, np.random.default_rng(seed))
        each = -F.cross_entropy(logits, goal, reduction="none")
        return torch.stack([part.sum() for part in each.split([sum(e.learned) for _, e in pairs])])

    @torch.no_grad()
    def measure(self) -> dict[str, float]:
        """What `ConversationLesson` measures, and the share of learned tokens of safety data that is
        predicted right."""
        some = list(islice(conversations(self._mix.safety, -2, self._watch.scenes), self._watched))
        _, right, tokens = self._summed(some, self._watch, None)
        return {**super().measure(), "safety tokens": round(right / tokens, 4)}
