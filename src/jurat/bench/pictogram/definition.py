"""What Pictogram Bench consists of, as data: splits, rules, levels of difficulty, renderings.

A constitution of seventeen rules belongs to dev and to test (fourteen to the vault): the same kinds of
rule, other objects, other clauses together, other wordings. Their scenes come from disjoint seeds and are
drawn in different ways. Most further splits use the rules of test; `flip` uses its scenes, under other
rules; `unmet` has rules of its own.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from functools import cache
from pathlib import Path

from PIL.Image import Resampling

from jurat.constitution import Constitution, load_constitution
from jurat.errors import JuratError
from jurat.pictograms.atlas import SpriteSet
from jurat.pictograms.objects import HABITS, NUMBER
from jurat.pictograms.pieces import Rendering

HERE = Path(__file__).parent
PER_RULE = 100
"""Pairs of a violating scene and a near miss for each rule."""
RARE = 3000
"""Scenes that break no rule, at `PER_RULE`; fewer in proportion where fewer pairs are drawn."""

RULE_TYPES = (
    *("attribute",) * 2,
    *("part",) * 2,
    *("relation",) * 3,
    *("count",) * 2,
    *("alternatives",) * 2,
    "text",
    *("exception",) * 2,
    "size",
    "only",
    "list",
)
"""The kind of each rule, in the order of every constitution here but that of `unmet`. A scene has no body
parts: `part` is what something wears or carries (a hat that touches a child). The last three have no clause
about what is visible: in their near misses what a relation speaks of is often not there."""
UNMET_TYPES = (
    *("relation",) * 8,
    *("size",) * 2,
    *("alternatives",) * 2,
    "list",
    "exception",
)
"""The kind of each rule of `unmet`."""


@dataclass(frozen=True)
class Difficulty:
    """How hard a scene is made."""

    name: str
    bystanders: tuple[int, int]
    """Objects that the rule does not speak of: at least, at most."""
    sides: tuple[float, float]
    """Least and greatest side of a sprite, in 1/128 of the picture's side."""
    alike: float
    """Share of bystanders that look like something that the rule speaks of."""
    close: float
    """Share of bystanders placed against another object, half of them in front of it."""


LEVELS = (
    Difficulty("plain", (1, 2), (30, 42), 0.2, 0.2),
    Difficulty("crowded", (3, 4), (26, 38), 0.5, 0.5),
    Difficulty("hard", (4, 5), (22, 32), 0.8, 0.7),
    Difficulty("tiny", (4, 5), (13, 19), 0.9, 0.8),
)
"""Taken in turn by the pairs of a rule. `tiny` is meant to be hard to see, not to reason about: sprites of
some fifteen pixels for a model that looks at 128, most bystanders alike or close by."""


@dataclass(frozen=True)
class Split:
    """A part of the bench."""

    name: str
    constitution: str
    """Name of the constitution it is judged under, without `.yaml`."""
    stream: int
    """Which random numbers draw it: splits of different streams share no scene."""
    rendering: Rendering
    summary: str
    sprites: SpriteSet = "noto"
    """The set of drawings of its objects (`jurat.pictograms.atlas`)."""
    others: SpriteSet | None = None
    """The set of every second round of `LEVELS`, where it is another one."""
    sealed: bool = False
    """Whether it may be judged only once, so that a run has to say that it opens it."""

    def sprites_of(self, pair: int) -> SpriteSet:
        """The set of drawings of a pair of scenes."""
        return self.sprites if self.others is None or pair // len(LEVELS) % 2 == 0 else self.others


_DEV = Rendering(160, ("flat", "gradient", "grain"), Resampling.BICUBIC)
_TEST = Rendering(256, ("clouds", "gradient", "stripes"), Resampling.LANCZOS)
_VAULT = Rendering(224, ("checks", "rings", "clouds"), Resampling.HAMMING)
_VAULT_2 = Rendering(192, ("stripes", "rings", "grain"), Resampling.BOX)

SPLITS: dict[str, Split] = {
    split.name: split
    for split in (
        Split("dev", "dev", 1, _DEV, "what tuning may look at"),
        Split(
            "test", "test", 2, _TEST, "violating scenes and near misses, in pairs that differ in one thing"
        ),
        Split("habits", "test", 3, _TEST, "the same with the world's co-occurrences inverted"),
        Split("flip", "flip", 2, _TEST, "the scenes of test under narrowed or opposite rules"),
        Split("rare", "test", 4, _TEST, "scenes that break no rule"),
        Split("borderline", "test", 5, _TEST, "gaps of 0 to 6 and objects hidden by 30 to 70%, soft truth"),
        Split("vault", "vault", 6, _VAULT, "judged once, at the end"),
        Split(
            "redrawn", "test", 7, _TEST, "pairs as in test, of emoji that training never showed", "twemoji"
        ),
        Split("unmet", "unmet", 8, _TEST, "pairs of objects that never met in training"),
        Split(
            "vault-2",
            "vault-2",
            10,
            _VAULT_2,
            "a second vault, judged once, at the end",
            others="emojione",
            sealed=True,
        ),
    )
}
ALL = "all"
OPEN_SPLITS = ("test", "habits", "flip", "rare", "borderline", "redrawn", "unmet")
"""Default splits of `jurat bench pictograms`: all but dev and the vaults."""
CLAIMED_SPLITS = ("test", "habits", "flip", "vault")
"""What the claims of `docs/method.md` about one model are about."""
PAIRED_SPLITS = (*CLAIMED_SPLITS, "redrawn", "unmet")
"""What its claims about all models are about: every split of violating scenes and near misses but dev and
those that confirm."""
CONFIRMING_SPLITS = ("vault-2",)
"""What its confirmatory claims are about: splits that were sealed until these were written down."""
ABLATED_SPLITS = ("dev", "test", "habits")
"""Where a run of everything also leaves out parts, one at a time: with the world's habits, and against."""

OCCLUSION = (0.30, 0.70)
"""Borderline scenes hide this share of an object. Its soft truth of being visible falls linearly from 1 at
the first to 0 at the second; that of a touch falls from 1 at a gap of 0 to 0 at 6 (`Scene.contact`)."""

PARTNERS: dict[int, frozenset[int]] = {}
"""For each class, those that it goes with in `HABITS`, either way round."""
for _name, _others in HABITS.items():
    for _other in _others:
        _a, _b = NUMBER[_name], NUMBER[_other]
        PARTNERS[_a] = PARTNERS.get(_a, frozenset()) | {_b}
        PARTNERS[_b] = PARTNERS.get(_b, frozenset()) | {_a}


def splits_named(names: Iterable[str]) -> tuple[str, ...]:
    """The splits of these names, each once; "all" stands for `OPEN_SPLITS`.

    Raises:
        JuratError: there is no such split.
    """
    splits = tuple(dict.fromkeys(s for name in names for s in (OPEN_SPLITS if name == ALL else (name,))))
    for split in splits:
        if split not in SPLITS:
            raise JuratError(f"There is no split {split!r}.", hint=f"There are {', '.join((ALL, *SPLITS))}.")
    return splits


@cache
def constitution_of(split: str) -> Constitution:
    """The constitution that a split is judged under."""
    return load_constitution(HERE / f"{SPLITS[split].constitution}.yaml")


def rule_type(split: str, rule: str) -> str:
    """The kind of a rule, by its place in the constitution."""
    types = UNMET_TYPES if SPLITS[split].constitution == "unmet" else RULE_TYPES
    return types[[each.id for each in constitution_of(split).rules].index(rule)]
