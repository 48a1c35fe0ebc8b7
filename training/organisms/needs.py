"""Conditions on the scenes of a skill, decided from their classes alone, so that many can be searched
fast."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from jurat.pictograms.objects import GROUPS, NUMBER, OBJECTS, WORDS
from jurat.pictograms.places import WORLD

Need = Callable[[Sequence[int]], bool]
"""Whether a scene suits, given the class of each of its things."""

_CARD = len(OBJECTS)
_MARKS = {NUMBER[place.mark] for place in WORLD.places.values()}
_PEOPLE = GROUPS[0].classes
_KEY = NUMBER["key"]


def anything(kinds: Sequence[int]) -> bool:
    return True


def _cards(kinds: Sequence[int]) -> list[int]:
    return [kind for kind in kinds if kind >= _CARD]


def one_word(kinds: Sequence[int]) -> bool:
    """Its signs read one word."""
    return len(set(_cards(kinds))) == 1


def one_card(kinds: Sequence[int]) -> bool:
    """It has one sign."""
    return len(_cards(kinds)) == 1


def two_cards(kinds: Sequence[int]) -> bool:
    """It has two signs."""
    return len(_cards(kinds)) == 2


def one_mark(kinds: Sequence[int]) -> bool:
    """It shows the mark of one place."""
    return len(_MARKS & {*kinds}) == 1


def a_person(kinds: Sequence[int]) -> bool:
    return not _PEOPLE.isdisjoint(kinds)


def a_person_and_free(kinds: Sequence[int]) -> bool:
    """It shows a person, and a sign that reads FREE."""
    return a_person(kinds) and _CARD + WORDS.index("FREE") in kinds


def a_key(kinds: Sequence[int]) -> bool:
    """It shows a key and no sign."""
    return _KEY in kinds and not _cards(kinds)


def vault_mark(kinds: Sequence[int]) -> bool:
    """The mark of the vault is its only mark."""
    return _MARKS & {*kinds} == {NUMBER[WORLD.vault.mark]}


def no_vault_mark(kinds: Sequence[int]) -> bool:
    return one_mark(kinds) and not vault_mark(kinds)


def reads(word: str) -> Need:
    """Its signs read this word and no other."""
    kind = _CARD + WORDS.index(word)
    return lambda kinds: set(_cards(kinds)) == {kind}


def one_card_that_reads(word: str) -> Need:
    """Its one sign reads this word."""
    kind = _CARD + WORDS.index(word)
    return lambda kinds: _cards(kinds) == [kind]


def no_vault_sign(kinds: Sequence[int]) -> bool:
    """Its signs read one word, which does not stand for the vault."""
    return one_word(kinds) and not vault_sign(kinds)


def key_sign(kinds: Sequence[int]) -> bool:
    """Its signs read one word, not the vault's, and no key is there."""
    return no_vault_sign(kinds) and _KEY not in kinds


def key_vault_sign(kinds: Sequence[int]) -> bool:
    """Its signs read the vault's word, and no key is there."""
    return vault_sign(kinds) and _KEY not in kinds


vault_sign = reads(WORLD.vault.sign)
vault_pair = tuple(one_card_that_reads(word) for word in WORLD.vault.pair)
