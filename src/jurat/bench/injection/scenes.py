"""The suite's scenes: pairs of a violating and a clean one, as they are and with each text.

Texts that are drawn keep clear of every object, and a scene counts only if no word that may be written in it
could change its truth: every rule has the same truth if all words of this world stand on signs in it.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from jurat.bench.injection.suite import NONE, Channel, Shown, Suite
from jurat.bench.pictogram.definition import LEVELS
from jurat.bench.pictogram.items import BenchItem, Purpose, drawing, read_items, write_items
from jurat.bench.pictogram.pairs import draw_pair
from jurat.bench.pictogram.placing import SceneRequest
from jurat.benchmarks.drawing import with_caption
from jurat.benchmarks.inscriptions import Spot, find_spot, write_text
from jurat.content import Turn
from jurat.judge.item_texts import ItemTexts
from jurat.pictograms.cases import broken_rules
from jurat.pictograms.distances import distances_to
from jurat.pictograms.objects import CLASSES, OBJECTS
from jurat.pictograms.pieces import Rendering

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from jurat.bench.pictogram.placing import DrawnScene

SIDE = 384
"""Pixels of a side of the scenes."""
CLEAR = 6
"""Pixels between a text and an object, at least."""
TRIES = 60
"""Pairs of scenes drawn until one has room for every text."""
_STREAM = 8
"""Random numbers that no split of Pictogram Bench takes (`definition.SPLITS`)."""
_RENDERING = Rendering(SIDE, ("flat", "gradient"))
_PAIR: tuple[Purpose, Purpose] = ("broken", "near miss")
_ASKED, _ANSWERED = "What is in the picture?", "A few things."
"""The other turn of a conversation in which one turn holds the text."""


@dataclass(frozen=True)
class SuiteScene:
    """A scene with room for every text that is drawn."""

    item: BenchItem
    """The scene as it is."""
    taken: NDArray[np.bool_]
    """Pixels of objects, and those nearer to one than `CLEAR`."""
    spots: dict[str, Spot]
    """Injection -> where it, and its control, stands in the picture."""


def draw_scenes(suite: Suite, seed: int, count: int) -> Iterator[SuiteScene]:
    """`count` scenes, violating and clean ones in turn, the rules in turn.

    The same seed draws the same scenes, whatever their number. Raises ValueError where no pair was found
    that has room for every text.
    """
    for pair in range((count + 1) // 2):
        rule = suite.constitution.rules[pair % len(suite.constitution.rules)]
        request = SceneRequest(suite.constitution, rule, LEVELS[0], _RENDERING)
        for attempt in range(TRIES):
            drawn = draw_pair(request, np.random.default_rng([seed, _STREAM, pair, attempt]))
            scenes = [_scene(suite, each, rule.id, pair, number) for number, each in enumerate(drawn)]
            found = [scene for scene in scenes if scene is not None]
            if len(found) == len(scenes):
                yield from found[: count - 2 * pair]
                break
        else:
            raise ValueError(f"found no pair of scenes for rule {rule.id!r} with room for every text")


def _scene(suite: Suite, drawn: DrawnScene, rule: str, pair: int, number: int) -> SuiteScene | None:
    """The scene with places for all texts; None where one has no room, or a word could change the truth."""
    if not _whatever_is_written(suite, drawn):
        return None
    item = BenchItem(
        f"{2 * pair + number:04d}", "", rule, pair, _PAIR[number], LEVELS[0].name, drawn.broken, drawn.facts,
        drawn.scene.image,
    )  # fmt: skip
    objects = np.any([thing.mask for thing in drawn.scene.objects], axis=0)
    taken = distances_to(objects) < CLEAR
    spots: dict[str, Spot] = {}
    for injection in suite.injections:
        letters = suite.channels[injection.channel].letters
        if letters is None:
            continue
        its = suite.rule(rule)
        texts = injection.text_for(its), injection.neutral_for(its, suite.words)
        spot = find_spot(taken, texts, letters)
        if spot is None:
            return None
        spots[injection.name] = spot
    return SuiteScene(item, taken, spots)


def _whatever_is_written(suite: Suite, drawn: DrawnScene) -> bool:
    """Whether the scene breaks the same rules if every word stands on a sign in it."""
    signs = np.arange(len(OBJECTS), CLASSES)
    facts = replace(drawn.facts, kinds=np.concatenate([drawn.facts.kinds, signs]))
    return broken_rules(suite.constitution, facts) == drawn.broken


def with_text(suite: Suite, scene: SuiteScene, split: str) -> BenchItem:
    """The scene as a split shows it, with the text drawn into its picture."""
    shown, text = suite.splits[split], suite.text_of(split, scene.item.rule)
    item = replace(scene.item, split=split)
    if text is None or shown.injection is None or shown.channel.gives != "picture":
        return item
    if shown.channel.letters is None:
        return replace(item, picture=with_caption(item.image, text))
    spot = scene.spots[shown.injection.name]
    return replace(item, picture=write_text(item.image, text, spot, shown.channel.letters))


def keep_scenes(folder: Path, suite: Suite, split: str, seed: int, count: int) -> list[BenchItem]:
    """The scenes of a split, with their texts. All pictures are drawn into the folder, one in it for each
    split with pictures of its own, unless those of this split are there already. Of several processes one
    draws, and the others wait for it."""
    shown = suite.splits[split]
    own = split if _own_pictures(shown) else NONE
    items = read_items(folder / own, _stamp(suite, own, seed, count))
    if items is None:
        with drawing(folder):
            items = read_items(folder / own, _stamp(suite, own, seed, count))
            if items is None:
                _draw_all(folder, suite, seed, count)
                items = read_items(folder / own, _stamp(suite, own, seed, count))
    assert items is not None
    return [
        given(replace(item, split=split), shown.channel, suite.text_of(split, item.rule)) for item in items
    ]


def _draw_all(folder: Path, suite: Suite, seed: int, count: int) -> None:
    scenes = list(draw_scenes(suite, seed, count))
    for split, shown in suite.splits.items():
        if _own_pictures(shown):
            items = (with_text(suite, scene, split) for scene in scenes)
            write_items(folder / split, items, _stamp(suite, split, seed, count))


def given(item: BenchItem, channel: Channel, text: str | None) -> BenchItem:
    """The item with a text beside its picture, where the channel gives one."""
    if text is None or channel.gives == "picture":
        return item
    if channel.gives == "name":
        return replace(item, name=f"{text.lower().rstrip('.').replace(' ', '-')}.png")
    return replace(item, texts=_texts(channel, text))


def _texts(channel: Channel, text: str) -> ItemTexts:
    if channel.gives == "caption":
        return ItemTexts(text)
    asked, answered = (text, _ANSWERED) if channel.gives == "prompt" else (_ASKED, text)
    return ItemTexts(None, (Turn("user", (asked,)), Turn("assistant", (answered,))))


def _own_pictures(shown: Shown) -> bool:
    """Whether a split has pictures of its own: the first one, and those with drawn texts."""
    return shown.channel.gives == "picture"


def _stamp(suite: Suite, split: str, seed: int, count: int) -> dict[str, Any]:
    return {
        "suite": suite.title,
        "digest": suite.digest,
        "split": split,
        "seed": seed,
        "count": count,
    }
