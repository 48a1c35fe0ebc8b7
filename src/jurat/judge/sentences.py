"""Reads the common forms of a visible statement: what it names, how many of it, and in which relation.

A small grammar of English, for what can be concluded from words alone:

    shown    A dog or a cat is visible. | There is a dog in the picture. | The image shows a dog.
    related  A dog is left of a cat. | A child touches a dog. | There is a child holding a cup.
    counted  There are at least two dogs. | Exactly 3 dogs are visible.

It knows no nouns: any words stand for a thing that are none of its own. What it does not read it leaves
alone (`read` gives None), and nothing is concluded from it.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass, field
from functools import lru_cache
from typing import Literal, TypeAlias

How = Literal["exactly", "at least", "at most"]

_PAIRS = {
    "to the left of": "to the right of", "left of": "right of", "above": "below", "higher than": "lower than",
    "in front of": "behind", "larger than": "smaller than", "taller than": "shorter than",
}  # fmt: skip
OPPOSITES = _PAIRS | {right: left for left, right in _PAIRS.items()} | {"bigger than": "smaller than"}
"""Relations that exclude each other, and exclude themselves with their things swapped."""
NEAR = (
    "in contact with",
    "next to",
    "on top of",
    "close to",
    "beside",
    "near",
    "under",
    "inside",
    "on",
    "in",
)
"""Relations without an opposite."""
VERBS = (
    "touch", "hold", "wear", "carry", "eat", "drink", "ride", "bite", "kiss", "hug", "push", "pull", "kick",
    "lift", "cover", "face", "chase", "feed", "throw", "catch", "grab", "cut", "hit", "use",
)  # fmt: skip
"""What one thing does to another."""
ALONE = ("read", "say", "sit", "stand", "lie", "point", "show", "look", "sleep", "smoke", "burn", "lean")
"""What one thing does, with whatever follows."""
NUMBERS = (
    "no", "one", "two", "three", "four", "five", "six", "seven", "eight", "nine", "ten", "eleven", "twelve",
)  # fmt: skip

_DETERMINERS = r"(?:an?|the|some|one of the)"
_OTHERS = frozenset((
    "and", "or", "not", "no", "nor", "never", "nothing", "nobody", "none", "without", "is", "are", "was",
    "were", "be", "been", "can", "cannot", "could", "may", "must", "that", "which", "who", "whose", "it",
    "they", "there", "than", "but", "only", "exactly", "at", "least", "most", "does", "do", "did", "has",
    "have",
))  # fmt: skip
"""Words that no name of a thing holds here."""
_IRREGULAR = {
    "children": "child", "men": "man", "women": "woman", "people": "person", "feet": "foot", "teeth": "tooth",
    "mice": "mouse", "geese": "goose", "knives": "knife", "wolves": "wolf", "leaves": "leaf",
    "loaves": "loaf", "axes": "axe", "buses": "bus", "shoes": "shoe", "pies": "pie", "ties": "tie",
    "cookies": "cookie", "firemen": "fireman", "policemen": "policeman", "policewomen": "policewoman",
}  # fmt: skip
_PLURALS = {one: many for many, one in _IRREGULAR.items()}


@dataclass(frozen=True)
class Shown:
    """One of the things is visible."""

    things: tuple[str, ...]
    """Singular where the text says so, without articles."""
    said: tuple[str, ...] = field(compare=False, default=())
    """Head, names and tail, as written; together they are the sentence."""


@dataclass(frozen=True)
class Related:
    """The first thing stands in a relation to one of the others."""

    first: str
    relation: str
    """A preposition as written, or a verb's base form."""
    others: tuple[str, ...]
    said: tuple[str, ...] = field(compare=False, default=())
    """Head, first, joint, relation, others and tail."""


@dataclass(frozen=True)
class Counted:
    """So many are visible."""

    how: How
    number: int
    noun: str
    """Singular."""
    said: tuple[str, ...] = field(compare=False, default=())
    """Head, number, noun and tail, without the words of `how`."""


Sentence: TypeAlias = Shown | Related | Counted


@lru_cache(maxsize=4096)
def read(text: str) -> Sentence | None:
    """What a statement says; None where it is of no form that is known here."""
    body = " ".join(text.split()).removesuffix(".")
    return _counted(body) or _related(body) or _shown(body)


def singular(noun: str) -> str:
    """Of a plural noun of several words: "glasses of milk" -> "glass of milk"."""
    return _inflected(noun, _one)


def plural(noun: str) -> str:
    """Of a singular noun of several words."""
    return _inflected(noun, _many)


def names(phrase: str) -> tuple[str, ...]:
    """The things of a list such as "a beer, a cocktail or the wine glass"; empty where it is no such list."""
    found = tuple(_name(part) for part in re.split(r",? or |, ", phrase))
    return found if all(found) else ()


def third_person(verb: str) -> str:
    """Of a verb's base form: "touches"."""
    return f"{verb[:-1]}ies" if re.search(r"[^aeiou]y$", verb) else _with_s(verb)


def _with_s(word: str) -> str:
    return word + ("es" if word.endswith(("s", "ch", "sh", "x", "z", "o")) else "s")


def _ing(verb: str) -> str:
    return {"cut": "cutting", "hit": "hitting", "hug": "hugging"}.get(verb, verb.removesuffix("e") + "ing")


_HEAD = r"(?P<head>there (?:is|are) |the (?:image|picture|photo) shows |you can see )"
_PLACE = r"(?: in the (?:image|picture|photo))"
_TAIL = rf"(?P<tail> (?:is|are) visible{_PLACE}?| can be seen{_PLACE}?| (?:is|are){_PLACE})"


_FORMS = {form: verb for verb in VERBS for form in (third_person(verb), _ing(verb))}


def _either(words: tuple[str, ...]) -> str:
    return "|".join(sorted(words, key=len, reverse=True))


_COUNT = rf"(?P<how>exactly|at least|at most) (?P<number>\d{{1,3}}|{_either(NUMBERS[1:])}) (?P<noun>.+?)"
_RELATION = _either((*OPPOSITES, *NEAR, *_FORMS))
_JOINT = r"(?P<joint> (?:(?:that )?(?:is |are )|can be seen )?)"


def _matches(body: str, *patterns: str) -> re.Match[str] | None:
    found = (re.fullmatch(pattern, body, re.IGNORECASE) for pattern in patterns)
    return next((match for match in found if match), None)


def _counted(body: str) -> Counted | None:
    match = _matches(body, rf"{_HEAD}{_COUNT}(?P<tail>{_PLACE}?)", rf"(?P<head>){_COUNT}{_TAIL}")
    if match is None or not _bare(match["noun"]):
        return None
    word = match["number"].lower()
    number = int(word) if word.isdigit() else NUMBERS.index(word)
    noun = match["noun"].lower()
    how: dict[str, How] = {"exactly": "exactly", "at least": "at least", "at most": "at most"}
    said = (match["head"], match["number"], match["noun"], match["tail"])
    return Counted(how[match["how"].lower()], number, singular(noun) if number != 1 else noun, said)


def _related(body: str) -> Related | None:
    for match in _relations(body):
        first, others = names(match["first"]), names(match["others"])
        relation = _FORMS.get(match["relation"].lower(), match["relation"].lower())
        # Without a head a bare relation is no sentence: "a dog on a mat".
        if _matches(match["others"], "the (?:image|picture|photo)"):
            continue
        complete = match["head"] or match["joint"].strip() or match["relation"].lower() == _third(relation)
        if len(first) == 1 and others and complete:
            said = ("head", "first", "joint", "relation", "others", "tail")
            return Related(first[0], relation, others, tuple(match[name] or "" for name in said))
    return None


def _relations(body: str) -> list[re.Match[str]]:
    """The ways to take a sentence apart at a relation."""
    start = rf"{_HEAD}?(?P<first>.+?){_JOINT}"
    found: list[re.Match[str]] = []
    for at in re.finditer(rf"(?<= )(?:{_RELATION})(?= )", body, re.IGNORECASE):
        pattern = rf"{start}(?P<relation>{re.escape(at[0])}) (?P<others>.+?)(?P<tail>{_PLACE}?)"
        match = _matches(body, pattern)
        if match is not None:
            found.append(match)
    return found


def _third(relation: str) -> str:
    return third_person(relation) if relation in VERBS else ""


def _shown(body: str) -> Shown | None:
    match = _matches(body, rf"{_HEAD}(?P<names>.+?)(?P<tail>{_PLACE}?)", rf"(?P<head>)(?P<names>.+?){_TAIL}")
    things = names(match["names"]) if match is not None else ()
    if match is None or not things or re.search(rf" (?:{_RELATION}) ", f" {match['names']} ", re.IGNORECASE):
        return None
    return Shown(things, (match["head"], match["names"], match["tail"]))


def _name(phrase: str) -> str:
    """A thing's name without its article; "" where it is none."""
    match = re.fullmatch(rf"(?:{_DETERMINERS} )?(.+)", phrase.strip(), re.IGNORECASE)
    if match is None or not _bare(match[1]):
        return ""
    has_article = match[1] != phrase.strip()
    name = match[1] if match[1].isupper() else match[1].lower()
    return name if has_article else singular(name)


def _bare(name: str) -> bool:
    words = name.split()
    plain = all(re.fullmatch(r"[\w'’-]+", word) for word in words)
    return bool(words) and plain and not _OTHERS & {word.lower() for word in words}


def _inflected(noun: str, change: Callable[[str], str]) -> str:
    head, of, rest = noun.partition(" of ")
    *before, last = head.split(" ")
    return " ".join([*before, change(last)]) + of + rest


def _one(word: str) -> str:
    if word in _IRREGULAR:
        return _IRREGULAR[word]
    if word.endswith("ies"):
        return word[:-3] + "y"
    if word.endswith(("sses", "ches", "shes", "xes", "zzes", "oes")):
        return word[:-2]
    return word[:-1] if word.endswith("s") and not word.endswith("ss") else word


def _many(word: str) -> str:
    if word in _PLURALS:
        return _PLURALS[word]
    return word[:-1] + "ies" if re.search(r"[^aeiou]y$", word) else _with_s(word)
