"""The splits, drawn: every scene from its own random numbers, so that any part can be drawn alone."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

import numpy as np

from jurat.bench.pictogram.drawing import Drawn, Order, draw_borderline, draw_pair
from jurat.bench.pictogram.items import BenchItem, Want, drawing, read_items, truth_of, write_items
from jurat.bench.pictogram.protocol import KINDS, LEVELS, PER_RULE, RARE, SPLITS, law_of
from jurat.pictograms.reading import parse
from jurat.pictograms.scene import draw
from jurat.pictograms.statements import Facts, Touches, Visible

FORMAT = 2
"""Of the drawing: raised whenever the same seed would draw other scenes."""


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
        "constitution": law_of(split).digest,
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
    law, rendering = law_of(split), SPLITS[split].rendering
    for pair in range(per_rule):
        for number, rule in enumerate(law.rules):
            rng = _rng(split, seed, number, pair)
            level = LEVELS[pair % len(LEVELS)]
            # Companions come on top of the bystanders, so habits are broken in plainer scenes.
            companions = 1 + pair % 3 if split == "habits" else 0
            order = Order(law, rule, LEVELS[0] if companions else level, rendering)
            drawn = draw_pair(order, rng, companions)
            for want, each in zip(("broken", "near miss"), drawn, strict=True):
                yield _item(split, rule.id, pair, want, order.level.name, each, companions=companions)


def _flipped(test: Iterable[BenchItem]) -> Iterator[BenchItem]:
    """The scenes of test with their truth under the other rules; those that leave one open are left out."""
    law = law_of("flip")
    for item in test:
        broken = None if item.facts is None else truth_of(law, item.facts)
        if broken is not None:
            yield BenchItem(
                item.id.replace("test/", "flip/", 1),
                "flip",
                item.rule,
                item.pair,
                item.want,
                item.level,
                broken,
                item.facts,
                item.picture,
                layout=item.layout,
            )


def _rare(seed: int, count: int) -> Iterator[BenchItem]:
    law, look = law_of("rare"), SPLITS["rare"].rendering
    done = number = 0
    while done < count:
        rng = _rng("rare", seed, number)
        number += 1
        texture = str(rng.choice(look.textures))
        scene = draw(rng, size=look.size, texture=texture, resample=look.resample)
        facts = Facts.of(scene)
        if truth_of(law, facts) == frozenset():
            item = BenchItem(
                f"rare/{done:05d}", "rare", "", done, "clear", "random", frozenset(), facts, scene.image
            )
            done += 1
            yield item


def _borderline(seed: int, per_rule: int) -> Iterator[BenchItem]:
    law, rendering = law_of("borderline"), SPLITS["borderline"].rendering
    for pair in range(per_rule):
        for number, (rule, kind) in enumerate(zip(law.rules, KINDS, strict=True)):
            said = [parse(s.text) for clause in rule.clauses for s in clause.alternatives]
            if kind == "text" or not all(isinstance(s, Visible | Touches) for s in said):
                continue  # relations, counts and words have no declared half-truth
            order = Order(law, rule, LEVELS[0], rendering)
            drawn, soft = draw_borderline(order, _rng("borderline", seed, number, pair))
            yield _item("borderline", rule.id, pair, "borderline", "plain", drawn, soft=soft)


def _item(
    split: str,
    rule: str,
    pair: int,
    want: str,
    level: str,
    drawn: Drawn,
    *,
    soft: float | None = None,
    companions: int = 0,
) -> BenchItem:
    wanted: Want = "borderline" if soft is not None else ("broken" if want == "broken" else "near miss")
    broken = drawn.broken if soft is None else frozenset[str]()
    return BenchItem(
        f"{split}/{rule}/{pair:03d}/{want.replace(' ', '-')}",
        split,
        rule,
        pair,
        wanted,
        level,
        broken,
        drawn.facts,
        drawn.scene.image,
        soft,
        companions,
        drawn.layout,
    )
