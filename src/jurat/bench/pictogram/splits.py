"""The splits, drawn: every scene from its own random numbers, so that any part can be drawn alone."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np

from jurat.bench.pictogram.borderline import draw_borderline
from jurat.bench.pictogram.definition import LEVELS, PER_RULE, RARE, RULE_TYPES, SPLITS, constitution_of
from jurat.bench.pictogram.items import BenchItem, Purpose, drawing, read_items, write_items
from jurat.bench.pictogram.pairs import draw_pair
from jurat.bench.pictogram.placing import DrawnScene, SceneRequest, only_of
from jurat.pictograms.cases import broken_rules
from jurat.pictograms.reading import parse
from jurat.pictograms.scene import draw
from jurat.pictograms.statements import Facts, Touches, Visible

FORMAT = 3
"""Version of the drawing; raised whenever the same seed would draw other scenes."""


_PAIR: tuple[Purpose, Purpose] = ("broken", "near miss")


def draw_split(split: str, seed: int = 0, per_rule: int = PER_RULE) -> Iterator[BenchItem]:
    """Draws a split scene by scene: `per_rule` pairs a rule, or what that stands for in the other splits.

    The same seed draws the same scenes whatever was drawn before. Raises ValueError for an unknown split.
    """
    if split not in SPLITS:
        raise ValueError(f"there is no split {split!r}; there are {', '.join(SPLITS)}")
    if split == "flip":
        yield from _flipped(_pairs("test", seed, per_rule))
    elif split == "rare":
        yield from _rare(seed, max(1, round(RARE * per_rule / PER_RULE)))
    elif split == "borderline":
        yield from _borderline(seed, per_rule)
    else:
        yield from _pairs(split, seed, per_rule)


def keep_split(scenes: Path, split: str, seed: int = 0, per_rule: int = PER_RULE) -> list[BenchItem]:
    """The split, drawn into a folder of its own in `scenes` unless it is there already. Pictures stay on disk
    until they are looked at. Of several processes one draws, and the others wait for it."""
    folder = scenes / f"{split}-{seed}-{per_rule}"
    stamp: dict[str, Any] = {
        "format": FORMAT,
        "split": split,
        "seed": seed,
        "per_rule": per_rule,
        "constitution": constitution_of(split).digest,
    }
    if (found := read_items(folder, stamp)) is not None:
        return found
    with drawing(folder):
        if (found := read_items(folder, stamp)) is not None:
            return found
        if split == "flip":
            drawn: Iterable[BenchItem] = _flipped(keep_split(scenes, "test", seed, per_rule))
        else:
            drawn = draw_split(split, seed, per_rule)
        write_items(folder, drawn, stamp)
        found = read_items(folder, stamp)
        assert found is not None
        return found


def _rng(split: str, seed: int, *numbers: int) -> np.random.Generator:
    return np.random.default_rng([seed, SPLITS[split].stream, *numbers])


def _pairs(split: str, seed: int, per_rule: int) -> Iterator[BenchItem]:
    constitution, look = constitution_of(split), SPLITS[split]
    for pair in range(per_rule):
        for number, rule in enumerate(constitution.rules):
            rng = _rng(split, seed, number, pair)
            level = LEVELS[pair % len(LEVELS)]
            # Companions come on top of the bystanders, so habits are broken in plainer scenes.
            # A rule about all that is there leaves no room for them.
            companions = 1 + pair % 3 if split == "habits" and only_of(rule) is None else 0
            level = LEVELS[0] if split == "habits" else level
            request = SceneRequest(constitution, rule, level, look.rendering, look.sprites_of(pair))
            drawn = draw_pair(request, rng, companions)
            for want, each in zip(_PAIR, drawn, strict=True):
                yield _item(split, rule.id, pair, want, request, each, companions=companions)


def _flipped(test: Iterable[BenchItem]) -> Iterator[BenchItem]:
    """The scenes of test with their truth under the other rules; those that leave one open are left out."""
    constitution = constitution_of("flip")
    for item in test:
        broken = None if item.facts is None else broken_rules(constitution, item.facts)
        if broken is not None:
            yield replace(item, id=item.id.replace("test/", "flip/", 1), split="flip", broken=broken)


def _rare(seed: int, count: int) -> Iterator[BenchItem]:
    constitution, look = constitution_of("rare"), SPLITS["rare"].rendering
    done = number = 0
    while done < count:
        rng = _rng("rare", seed, number)
        number += 1
        texture = str(rng.choice(look.textures))
        scene = draw(rng, size=look.size, texture=texture, resample=look.resample)
        facts = Facts.of(scene)
        if broken_rules(constitution, facts) == frozenset():
            item = BenchItem(
                f"rare/{done:05d}", "rare", "", done, "clear", "random", frozenset(), facts, scene.image
            )
            done += 1
            yield item


def _borderline(seed: int, per_rule: int) -> Iterator[BenchItem]:
    constitution, rendering = constitution_of("borderline"), SPLITS["borderline"].rendering
    for pair in range(per_rule):
        for number, (rule, kind) in enumerate(zip(constitution.rules, RULE_TYPES, strict=True)):
            said = [parse(s.text) for clause in rule.clauses for s in clause.alternatives]
            if kind == "text" or not all(isinstance(s, Visible | Touches) for s in said):
                continue  # relations, counts and words have no declared half-truth
            request = SceneRequest(constitution, rule, LEVELS[0], rendering)
            drawn, soft = draw_borderline(request, _rng("borderline", seed, number, pair))
            yield _item("borderline", rule.id, pair, "borderline", request, drawn, soft=soft)


def _item(
    split: str,
    rule: str,
    pair: int,
    want: Purpose,
    request: SceneRequest,
    drawn: DrawnScene,
    *,
    soft: float | None = None,
    companions: int = 0,
) -> BenchItem:
    return BenchItem(
        id=f"{split}/{rule}/{pair:03d}/{want.replace(' ', '-')}",
        split=split,
        rule=rule,
        pair=pair,
        want=want,
        level=request.level.name,
        broken=drawn.broken if soft is None else frozenset(),
        facts=drawn.facts,
        picture=drawn.scene.image,
        soft=soft,
        companions=companions,
        layout=drawn.layout,
    )
