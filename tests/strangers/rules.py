"""Constitutions of six and of twenty-five rules, and scenes that break them or just keep them."""

from __future__ import annotations

import tomllib
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any, Literal

import numpy as np

from jurat.constitution import Constitution, parse_constitution
from jurat.pictograms.objects import NOUNS, WORDS
from tests.strangers.scenes import FIRST_CARD, Drawing, Look, Rng, any_look, render
from tests.strangers.truth import Facts, Meaning, facts, holds

Rules = Literal["six", "many"]
BYSTANDERS = 3
MOST = 7
TRIES = 600


@dataclass(frozen=True)
class Rule:
    id: str
    clauses: tuple[Any, ...]
    meaning: Meaning
    broken: tuple[str, ...]
    kept: tuple[str, ...]
    rule: str
    unless: tuple[str, ...] = ()


@cache
def rules(which: Rules) -> tuple[Rule, ...]:
    data = tomllib.loads(Path(__file__).with_name("rules.toml").read_text("utf-8"))
    return tuple(
        Rule(
            **{name: tuple(v) if isinstance(v, list) and name != "meaning" else v for name, v in row.items()}
        )
        for row in data[which]
    )


@cache
def constitution(which: Rules) -> Constitution:
    import json

    written = [
        {"id": rule.id, "rule": rule.rule, "clauses": list(rule.clauses)}
        | ({"unless": list(rule.unless)} if rule.unless else {})
        for rule in rules(which)
    ]
    return parse_constitution(json.dumps({"name": f"strangers-{which}", "rules": written}))  # JSON is YAML


def broken_rules(which: Rules, facts: Facts) -> frozenset[str] | None:
    """The rules that a drawing breaks; None where the truth of one is open."""
    truths = {rule.id: holds(rule.meaning, facts) for rule in rules(which)}
    return None if None in truths.values() else frozenset(id for id, truth in truths.items() if truth)


@dataclass
class Case:
    """A drawing for one rule, and what is true of it under all."""

    drawing: Drawing
    rule: str
    scene: str
    """Which of the rule's scenes it is."""
    broken: frozenset[str]


def cases(which: Rules, count: int, seed: int) -> Iterator[Case]:
    """`count` drawings, each from its own random numbers: the rules in turn, every second time one that
    breaks the rule, else one that keeps all."""
    for number in range(count):
        rng = np.random.default_rng([seed, number])
        rule = rules(which)[(number // 2) % len(rules(which))]
        scene = _turn(rule.broken if number % 2 == 0 else rule.kept, number // 2 // len(rules(which)))
        yield draw_case(which, rule, scene, number % 2 == 0, rng, any_look(rng))


def _turn(scenes: tuple[str, ...], turn: int) -> str:
    return scenes[turn % len(scenes)]


def draw_case(
    which: Rules,
    rule: Rule,
    scene: str,
    breaks: bool,
    rng: Rng,
    look: Look,
    change: Callable[[Drawing, Rng], Drawing] | None = None,
) -> Case:
    """A drawing that breaks the rule, or none. `change` is applied before its truth is measured."""
    for attempt in range(TRIES):
        drawing = draw_scene(scene, rng, look, BYSTANDERS if attempt < TRIES // 2 else 0)
        if drawing is None:
            continue
        drawing = change(drawing, rng) if change else drawing
        broken = broken_rules(which, facts(drawing))
        if broken is not None and (rule.id in broken if breaks else not broken):
            return Case(drawing, rule.id, scene, broken)
    raise ValueError(f"found no drawing of {scene!r} that {'breaks' if breaks else 'keeps'} {rule.id}")


def draw_scene(scene: str, rng: Rng, look: Look, bystanders: int = 0) -> Drawing | None:
    """Draws a scene as `rules.toml` writes them, with some objects more unless it ends in "!"."""
    kinds: list[int] = []
    scales: list[float] = []
    pairs: dict[str, tuple[int, int]] = {}
    for part in scene.removesuffix("!").split(","):
        for sign in "~|":
            if sign in part:
                pairs[sign] = (len(kinds), len(kinds) + 1)
                part = part.replace(sign, ",")
        for each in part.split(","):
            name, _, number = each.strip().partition("*")
            kinds += [_kind(name.rstrip("+-"), rng)] * int(number or 1)
            scales += [1.25 if name.endswith("+") else 0.75 if name.endswith("-") else 1.0] * int(number or 1)
    if bystanders and not scene.endswith("!"):
        more = int(rng.integers(0, bystanders + 1))
        kinds += rng.integers(0, FIRST_CARD + len(WORDS), min(more, MOST - len(kinds))).tolist()
        scales += [1.0] * (len(kinds) - len(scales))
    return render(kinds, rng, pairs.get("~"), pairs.get("|"), look, scales=scales)


def _kind(name: str, rng: Rng) -> int:
    if name.startswith("sign "):
        return FIRST_CARD + WORDS.index(name.removeprefix("sign "))
    return int(rng.choice(sorted(NOUNS[name].classes)))
