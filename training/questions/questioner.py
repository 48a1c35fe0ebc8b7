"""Draws questions about scenes in the shares of the table."""

from __future__ import annotations

import random
from collections import Counter
from dataclasses import dataclass, field
from typing import NamedTuple

from jurat.pictograms.statements import Facts, Statement
from training.questions.offers import SceneOffer
from training.questions.proposals import PROPOSE
from training.questions.shares import KINDS, SHARES


class Drawn(NamedTuple):
    """A question about a scene."""

    kind: str
    statement: Statement
    truth: bool
    form: str


@dataclass
class Questioner:
    """Draws statements about a scene: true and false ones in balance within each kind, forms by `SHARES`."""

    rng: random.Random
    kinds: dict[str, float] = field(default_factory=lambda: KINDS)
    """Kinds of question with their weights."""
    asked: Counter[tuple[str, ...]] = field(default_factory=Counter[tuple[str, ...]])
    """How many questions were drawn: in all under (), by kind, by kind and truth ("True"), and by both and
    form."""

    def __post_init__(self) -> None:
        self._scene: SceneOffer | None = None

    def draw(
        self, facts: Facts, kind: str | None = None, want: bool | None = None, form: str | None = None
    ) -> Drawn | None:
        """A question; None where the scene offered none in a few tries."""
        if self._scene is None or self._scene.facts is not facts:
            self._scene = SceneOffer(facts)
        kind = kind or self._due_kind()
        lean = self.asked[kind, "True"] - self.asked[kind, "False"]
        wanted = want if want is not None else (lean < 0 if abs(lean) >= 2 else self.rng.random() < 0.5)
        for each in [form] if form else self._due_forms(kind, wanted):
            for _ in range(2):
                statement = PROPOSE[kind](self._scene, self.rng, each, wanted)
                if statement is not None and statement.truth(facts) is wanted:
                    key = kind, str(wanted), each
                    self.asked.update(key[:n] for n in range(4))
                    return Drawn(kind, statement, wanted, each)
        return None

    def _due_kind(self) -> str:
        """A kind by its weight; up to twice as often one that scenes seldom offered."""
        share = (self.asked[()] + 50) / sum(self.kinds.values())
        weights = [w * min(2, (w * share + 3) / (self.asked[kind,] + 3)) for kind, w in self.kinds.items()]
        return self.rng.choices(list(self.kinds), weights)[0]

    def _due_forms(self, kind: str, truth: bool) -> list[str]:
        """The forms to try, those first that were asked least in proportion to their share, and none that
        was asked much too often."""
        total = self.asked[kind, str(truth)]
        due: dict[str, float] = {}
        for form, shares in SHARES[kind].items():
            share, asked = shares[not truth], self.asked[kind, str(truth), form]
            if share and asked <= 1.15 * share * total + 2:
                due[form] = (asked + self.rng.random()) / share
        return sorted(due, key=due.__getitem__)[:4]
