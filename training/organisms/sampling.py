"""Endless conversations of a mix, about scenes that suit them; deterministic in the seed."""

from __future__ import annotations

import random
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass

from jurat.pictograms.statements import Facts
from training.organisms.conversation import Conversation, Draw
from training.organisms.needs import Need
from training.organisms.skills import SKILLS, Skill

_TRIES = 500
"""Largest number of scenes drawn, among those with the classes that a skill needs, until one suits it."""


class Scenes:
    """Scenes for conversations: their classes, and the facts of each on demand."""

    def __init__(self, kinds: Sequence[Sequence[int]], facts: Callable[[int], Facts]) -> None:
        """
        Args:
            kinds: the classes of each scene's things.
            facts: returns the facts of scene number i.
        """
        self._kinds, self.facts = kinds, facts
        self._fitting: dict[Need, list[int]] = {}

    @classmethod
    def of(cls, facts: Sequence[Facts]) -> Scenes:
        """Scenes whose facts are all known."""
        return cls([each.kinds.tolist() for each in facts], facts.__getitem__)

    def fitting(self, need: Need) -> list[int]:
        """Numbers of the scenes that suit, cached.

        Raises:
            RuntimeError: there is none.
        """
        if need not in self._fitting:
            self._fitting[need] = [i for i, kinds in enumerate(self._kinds) if need(kinds)]
        if not self._fitting[need]:
            raise RuntimeError(f"none of {len(self._kinds)} scenes is as {need.__name__} needs it; draw more")
        return self._fitting[need]


@dataclass(frozen=True)
class Drawn:
    """A conversation with the scenes that it shows."""

    skill: str
    scenes: tuple[int, ...]
    """Numbers of the scenes, in the order of the conversation's images."""
    conversation: Conversation


def drawn(skill: str, rng: random.Random, scenes: Scenes, *, exam: bool = False) -> Drawn:
    """One conversation of a skill; with `exam` in wordings that were held out of training.

    Raises:
        RuntimeError: no scene suits the skill.
    """
    todo, draw = SKILLS[skill], Draw(rng, exam)
    fitting = [scenes.fitting(need) for need in todo.needs]
    for _ in range(_TRIES):
        shown = [rng.choice(some) for some in fitting]
        if todo.either_order:
            rng.shuffle(shown)
        if len(set(shown)) == len(shown):
            made = _made(todo, draw, [scenes.facts(number) for number in shown])
            if made is not None:
                return Drawn(skill, tuple(shown), made)
    raise RuntimeError(f"the scenes do not suit the skill {skill!r}; draw more")


def _made(todo: Skill, draw: Draw, facts: Sequence[Facts]) -> Conversation | None:
    needs = todo.needs[::-1] if todo.either_order else todo.needs
    kinds = [each.kinds.tolist() for each in facts]
    orders = (todo.needs, needs)
    if not any(all(need(some) for need, some in zip(order, kinds, strict=True)) for order in orders):
        return None  # the classes that were looked through were only planned
    return todo.make(draw, facts)


def conversations(shares: Mapping[str, float], seed: int | Sequence[int], scenes: Scenes) -> Iterator[Drawn]:
    """Endless conversations of a mix: a skill is drawn by its share, then scenes that suit it."""
    rng = random.Random(repr(seed))
    names, weights = list(shares), list(shares.values())
    while True:
        yield drawn(rng.choices(names, weights)[0], rng, scenes)
