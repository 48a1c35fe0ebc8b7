"""What exists in the pictogram world: objects, their groups, sign words, and the world's habits."""

from __future__ import annotations

from dataclasses import dataclass

WORDS = ("STOP", "FREE", "SALE", "EXIT", "OPEN", "HELP")
"""What sign cards can read."""


@dataclass(frozen=True)
class Noun:
    """A word for an object or for a group of objects, with the classes that it names."""

    singular: str
    plural: str
    classes: frozenset[int]
    article: str = ""
    """Empty for a mass noun ("money")."""

    @property
    def indefinite(self) -> str:
        return f"{self.article} {self.singular}".strip()

    @property
    def definite(self) -> str:
        return f"the {self.singular}"


# group -> object name, plural, code point of Noto Color Emoji
_OBJECTS: dict[str, tuple[tuple[str, str, int], ...]] = {
    "person": (
        ("child", "children", 0x1F9D2),
        ("man", "men", 0x1F468),
        ("woman", "women", 0x1F469),
        ("baby", "babies", 0x1F476),
        ("police officer", "police officers", 0x1F46E),
    ),
    "animal": (
        ("dog", "dogs", 0x1F415),
        ("cat", "cats", 0x1F408),
        ("horse", "horses", 0x1F40E),
        ("snake", "snakes", 0x1F40D),
        ("bird", "birds", 0x1F426),
        ("fish", "fishes", 0x1F41F),
        ("spider", "spiders", 0x1F577),
        ("elephant", "elephants", 0x1F418),
    ),
    "blade": (
        ("kitchen knife", "kitchen knives", 0x1F52A),
        ("dagger", "daggers", 0x1F5E1),
        ("axe", "axes", 0x1FA93),
    ),
    "": (("water pistol", "water pistols", 0x1F52B), ("cigarette", "cigarettes", 0x1F6AC)),
    "drink": (
        ("beer", "beers", 0x1F37A),
        ("wine glass", "wine glasses", 0x1F377),
        ("cocktail", "cocktails", 0x1F378),
        ("coffee", "coffees", 0x2615),
        ("glass of milk", "glasses of milk", 0x1F95B),
    ),
    "fire hazard": (
        ("fire", "fires", 0x1F525),
        ("bomb", "bombs", 0x1F4A3),
        ("firecracker", "firecrackers", 0x1F9E8),
        ("candle", "candles", 0x1F56F),
    ),
    "vehicle": (
        ("car", "cars", 0x1F697),
        ("bus", "buses", 0x1F68C),
        ("bicycle", "bicycles", 0x1F6B2),
        ("truck", "trucks", 0x1F69A),
        ("motorcycle", "motorcycles", 0x1F3CD),
        ("airplane", "airplanes", 0x2708),
    ),
    "food item": (
        ("apple", "apples", 0x1F34E),
        ("banana", "bananas", 0x1F34C),
        ("pizza", "pizzas", 0x1F355),
        ("cake", "cakes", 0x1F370),
        ("hamburger", "hamburgers", 0x1F354),
        ("cheese", "cheeses", 0x1F9C0),
    ),
    "drug": (("pill", "pills", 0x1F48A), ("syringe", "syringes", 0x1F489)),
    "money": (("banknote", "banknotes", 0x1F4B5), ("coin", "coins", 0x1FA99)),
    "road sign": (
        ("stop sign", "stop signs", 0x1F6D1),
        ("traffic light", "traffic lights", 0x1F6A6),
        ("warning sign", "warning signs", 0x26A0),
    ),
    "plant": (
        ("tree", "trees", 0x1F333),
        ("cactus", "cactuses", 0x1F335),
        ("rose", "roses", 0x1F339),
        ("mushroom", "mushrooms", 0x1F344),
        ("sunflower", "sunflowers", 0x1F33B),
    ),
    "tool": (
        ("hammer", "hammers", 0x1F528),
        ("key", "keys", 0x1F511),
        ("umbrella", "umbrellas", 0x1F302),
        ("book", "books", 0x1F4D5),
    ),
    "device": (
        ("phone", "phones", 0x1F4F1),
        ("laptop", "laptops", 0x1F4BB),
        ("camera", "cameras", 0x1F4F7),
    ),
    "toy": (
        ("ball", "balls", 0x26BD),
        ("guitar", "guitars", 0x1F3B8),
        ("teddy bear", "teddy bears", 0x1F9F8),
        ("drum", "drums", 0x1F941),
        ("balloon", "balloons", 0x1F388),
    ),
    "garment": (("hat", "hats", 0x1F3A9), ("shoe", "shoes", 0x1F45F)),
}


def _article(name: str) -> str:
    return "an" if name[0] in "aeio" else "a"  # no name here begins with a "u" that sounds like one


_FLAT = [(name, plural, code, group) for group, rows in _OBJECTS.items() for name, plural, code in rows]

OBJECTS: tuple[Noun, ...] = tuple(
    Noun(name, plural, frozenset({i}), "an" if name == "umbrella" else _article(name))
    for i, (name, plural, _, _) in enumerate(_FLAT)
)
"""One noun a class; the index is the class number. Sign cards follow as classes len(OBJECTS)..."""
CODE_POINTS: tuple[int, ...] = tuple(code for _, _, code, _ in _FLAT)
CLASSES = len(OBJECTS) + len(WORDS)
"""How many classes a scene can hold: objects, then one sign card a word."""

NUMBER: dict[str, int] = {noun.singular: i for i, noun in enumerate(OBJECTS)}
"""Object name -> class number."""

_PLURALS = {"person": "people", "money": "pieces of money"}
_EXTRA_GROUPS = {
    "weapon": ("kitchen knife", "dagger", "axe", "water pistol"),
    "alcoholic drink": ("beer", "wine glass", "cocktail"),
    "adult": ("man", "woman", "police officer"),
}


def _groups() -> tuple[Noun, ...]:
    members = {group: tuple(name for name, _, _ in rows) for group, rows in _OBJECTS.items() if group}
    members |= _EXTRA_GROUPS
    return tuple(
        Noun(
            group,
            _PLURALS.get(group, group + "s"),
            frozenset(NUMBER[name] for name in names),
            "" if group == "money" else _article(group),
        )
        for group, names in members.items()
    )


GROUPS: tuple[Noun, ...] = _groups()
"""A group's name means any of its members."""

NOUNS: dict[str, Noun] = {noun.singular: noun for noun in (*OBJECTS, *GROUPS)}

LOOKALIKES: tuple[tuple[int, ...], ...] = tuple(
    tuple(sorted(other for noun in GROUPS if i in noun.classes for other in noun.classes if other != i))
    for i in range(len(OBJECTS))
) + tuple(tuple(len(OBJECTS) + j for j in range(len(WORDS)) if j != i) for i in range(len(WORDS)))
"""For each class, those it is easily taken for: members of a common group; for a sign card, other words."""

HABITS: dict[str, tuple[str, ...]] = {
    "child": ("glass of milk", "teddy bear", "ball", "balloon"),
    "baby": ("glass of milk", "teddy bear"),
    "man": ("beer", "cigarette", "hat", "guitar"),
    "woman": ("wine glass", "phone", "umbrella"),
    "police officer": ("car", "traffic light", "motorcycle"),
    "dog": ("ball",),
    "cat": ("fish",),
    "bird": ("tree",),
    "fire": ("firecracker", "candle"),
    "kitchen knife": ("cheese", "apple"),
    "axe": ("tree",),
    "coffee": ("book", "laptop", "cake"),
    "coin": ("banknote",),
    "pizza": ("beer",),
    "pill": ("syringe",),
    "horse": ("hat",),
}
"""What goes with what here, as in any corpus: at `scene.HABIT_RATE`, an object brings a companion."""
