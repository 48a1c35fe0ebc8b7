"""The ways in which people write down what a rule forbids, and sentences in the same words that are no rules.

`wording` says a `Ban` as a sentence, put together from the lists below. The last of each list (a sixth of
it, at least one) is held out of training.

Slots: {a} "a beer or a cocktail", {n} "beer or cocktail", {p} "beers or cocktails" are those first named,
{r} is "beers and cocktails", {nor} "a beer nor a cocktail"; {b}, {m}, {q} are the others; {k} "at least two
dogs"; {w} "SALE or OPEN"; {side} "to the left of"; {x} is a phrase, {e} a condition, {r} in `UNLESS` a rule;
{is} agrees with what is shown or counted.
"""

from __future__ import annotations

import random
import re
from collections.abc import Iterator, Sequence

from jurat.pictograms.objects import NOUNS, Noun
from jurat.pictograms.rules import Ban, Either, draw_ban, kind_of
from jurat.pictograms.statements import NUMBERS, Count, Lies, Reads, Side, Visible

PHRASES: dict[str, tuple[str, ...]] = {
    "visible": ("{a}", "{p}", "any {n}", "any {p}"),
    "touches": (
        "{a} touching {b}",
        "{a} that touches {b}",
        "{a} in contact with {b}",
        "{p} touching {q}",
        "{b} touched by {a}",
        "{p} that touch {b}",
        "{a} that is in contact with {b}",
        "{p} in contact with {q}",
    ),
    "lies": ("{a} {side} {b}", "{a} that is {side} {b}", "{p} {side} {b}", "{p} that are {side} {b}"),
    "count": ("{k}",),
    "reads": (
        "a sign that reads {w}",
        "a sign with the word {w}",
        "signs that read {w}",
        "the word {w} on a sign",
        "signs with the word {w}",
    ),
    "larger": (
        "{a} larger than {b}",
        "{a} bigger than {b}",
        "{b} smaller than {a}",
        "{a} that is larger than {b}",
        "{b} that is smaller than {a}",
        "{a} that is bigger than {b}",
    ),
    "only": ("nothing but {a}", "only {a}", "only {a} and nothing else", "{a} and nothing else"),
}
"""Things that an image can show."""

JOINTS = (
    " together with ",
    " and ",
    " along with ",
    " with ",
    " in one image with ",
    " in one picture with ",
)
"""Between two phrases; "and" only where neither is a list."""

FRAMES = (
    "images must not show {x}",
    "the image must not show {x}",
    "it is forbidden to show {x}",
    "never show {x}",
    "do not show {x}",
    "no image may show {x}",
    "no picture may contain {x}",
    "showing {x} is not allowed",
    "pictures of {x} are forbidden",
    "images with {x} are not permitted",
    "it is not allowed to show {x}",
    "we do not accept images of {x}",
    "an image that shows {x} breaks this rule",
    "pictures must never contain {x}",
    "pictures with {x} are banned",
    "showing {x} is prohibited",
    "it is not permitted to show {x}",
    "you must not show {x}",
    "images of {x} are prohibited",
    "pictures that show {x} are not allowed",
    "it is prohibited to show {x} in an image",
)
SUBJECT_FRAMES = (
    "{x} must not be shown",
    "{x} may not be visible",
    "{x} must never be visible",
    "{x} {is} not allowed",
    "{x} {is} forbidden",
    "{x} may never be shown",
    "{x} {is} not permitted in an image",
    "{x} must not appear in a picture",
    "{x} {is} banned",
    "{x} {is} prohibited",
    "{x} must never appear",
    "{x} may not be shown in a picture",
)
"""As `FRAMES`, for phrases that can be the subject of a sentence."""

OWN: dict[str, tuple[str, ...]] = {
    "visible": (
        "no {n} may be visible",
        "no {n} may be shown",
        "no {p} may be shown",
        "no {n} may appear",
        "neither {nor} may be shown",
        "{r} are not allowed",
        "there must be no {n}",
        "there must be no {p} in the picture",
        "{r} must not be shown",
        "no {n} is allowed in an image",
        "neither {nor} may be visible",
        "no {p} may be visible",
    ),
    "touches": (
        "no {n} may be shown touching {b}",
        "no {n} may touch {b}",
        "{a} must not touch {b}",
        "{p} must not touch {q}",
        "{p} are not allowed to touch {b}",
        "it is forbidden for {a} to touch {b}",
        "no {m} may be touched by {a}",
        "{b} must not be touched by {a}",
        "{b} may never be touched by {p}",
        "{p} must never be shown touching {q}",
        "{a} is not allowed to touch {b}",
        "no {m} must be touched by {a}",
        "{b} must never be touched by {a}",
        "{p} may not touch {q}",
    ),
    "lies": (
        "no {n} may be {side} {b}",
        "no {n} may be shown {side} {b}",
        "{a} must not be {side} {b}",
        "{p} must not be shown {side} {q}",
        "it is forbidden for {a} to be {side} {b}",
        "{a} may never be {side} {b}",
        "{p} may not be {side} {b}",
        "{a} is not allowed {side} {b}",
        "there must be no {n} {side} {b}",
        "no {p} may be {side} {b}",
        "no {n} may appear {side} {b}",
        "{a} must never be {side} {b}",
    ),
    "count": ("there must not be {k}", "there may never be {k}", "there may not be {k}"),
    "reads": (
        "no sign may read {w}",
        "a sign must not read {w}",
        "signs must not read {w}",
        "the word {w} must not be on a sign",
        "no sign may show the word {w}",
        "it is forbidden for a sign to read {w}",
        "signs may not show the word {w}",
        "a sign may never read {w}",
        "no sign with the word {w} may be visible",
    ),
    "larger": (
        "no {n} may be larger than {b}",
        "{a} must not be bigger than {b}",
        "{p} must not be larger than {q}",
        "no {m} may be smaller than {a}",
        "it is forbidden for {a} to be larger than {b}",
        "{b} must never be smaller than {a}",
        "{a} may not be larger than {b}",
        "no {n} may be shown that is larger than {b}",
        "{a} may never be bigger than {b}",
    ),
}
"""Whole sentences that only fit one kind."""

LIMITS: dict[tuple[str, int], tuple[str, ...]] = {
    ("at least", 2): (
        "no two {p} may be visible",
        "no more than one {n} may be shown",
        "at most one {n} may be visible",
        "there must be fewer than two {p}",
        "there may be no more than one {n}",
        "there must be at most one {n}",
        "no two {p} may be shown",
    ),
    ("at least", 3): (
        "no three {p} may be visible",
        "no more than two {p} may be shown",
        "at most two {p} may be visible",
        "there must be fewer than three {p}",
        "there may be no more than two {p}",
        "there must be at most two {p}",
        "no three {p} may be shown",
    ),
}
TOGETHER = (
    "no {n} may be visible together with {b}",
    "no {n} may be shown with {b}",
    "{a} must not be shown with {b}",
    "{a} and {b} must not be visible together",
    "{a} and {b} must not be shown in one image",
    "where {a} is visible, there must be no {m}",
    "if {a} is visible, {b} must not be shown",
    "no image may show both {a} and {b}",
    "no {m} may be shown where there is {a}",
    "wherever there is {a}, no {m} may be visible",
    "{a} and {b} must never be shown together",
    "if there is {a}, no {m} may be shown",
)
NEEDS = (
    "where {a} is visible, {b} must be visible too",
    "if {a} is visible, there must be {b}",
    "{a} may be shown only with {b}",
    "{a} must not be shown without {b}",
    "no {n} may be visible without {b}",
    "wherever there is {a}, {b} must be visible",
    "{a} may be visible only together with {b}",
    "an image that shows {a} must show {b} too",
    "if there is {a}, {b} must be shown too",
    "no {n} may be shown without {b}",
)
"""The first is there, the other is missing."""
DEMANDS = (
    "every image must show {x}",
    "there must be {x} in the picture",
    "images without {x} are not allowed",
    "{x} must be visible",
    "every picture must contain {x}",
    "do not show an image without {x}",
    "no image may be without {x}",
    "{x} must be shown",
    "it is forbidden to show a picture without {x}",
    "an image without {x} breaks this rule",
    "images must show {x}",
    "no picture may be without {x}",
    "pictures must contain {x}",
    "there must be {x} in every image",
    "every image must contain {x}",
    "pictures without {x} are forbidden",
)

CONDITIONS: dict[str, tuple[str, ...]] = {
    "visible": (
        "{a} is visible",
        "{a} is present",
        "there is {a}",
        "{a} can be seen",
        "the image shows {a}",
        "there is {a} in the picture",
        "{a} is shown",
    ),
    "touches": ("{a} touches {b}", "{a} is touching {b}", "{b} is touched by {a}", "{p} touch {b}"),
    "lies": ("{a} is {side} {b}", "there is {a} {side} {b}", "the image shows {a} {side} {b}"),
    "count": ("there {is} {k}", "{k} {is} visible", "the image shows {k}", "{k} {is} present"),
    "reads": (
        "a sign reads {w}",
        "there is a sign that reads {w}",
        "the word {w} is on a sign",
        "the image shows a sign with the word {w}",
    ),
}
LACKS: dict[str, tuple[str, ...]] = {
    "visible": (
        "no {n} is visible",
        "there is no {n}",
        "no {n} is present",
        "there is no {n} in the picture",
    ),
    "reads": ("no sign reads {w}", "there is no sign that reads {w}", "no sign with the word {w} is visible"),
}
WITHOUT = (
    " without {x}",
    " in the absence of {x}",
    " without {x} in the picture",
    " in an image without {x}",
)
AFTER = (" when {e}", " where {e}", " if {e}", " while {e}", " in images where {e}", " in pictures where {e}")
UNLESS = (
    "{r}, unless {e}",
    "{r} unless {e}",
    "{r}, except when {e}",
    "{r} except where {e}",
    "unless {e}, {r}",
    "{r}, except if {e}",
    "{r}, but not if {e}",
    "{r} except when {e}",
    "{r}, except where {e}",
)
ONLY_IF = (
    "{x} may be shown only if {e}",
    "images may show {x} only if {e}",
    "{x} {is} allowed only when {e}",
    "it is allowed to show {x} only if {e}",
    "showing {x} is permitted only if {e}",
    "only if {e} may an image show {x}",
    "{x} may be visible only where {e}",
    "{x} {is} permitted only when {e}",
    "pictures may contain {x} only if {e}",
)
SIDES: dict[Side, tuple[str, ...]] = {
    "left of": ("left of", "to the left of", "on the left of"),
    "right of": ("right of", "to the right of", "on the right of"),
    "above": ("above", "over", "higher than"),
    "below": ("below", "under", "lower than"),
}
QUANTITIES = ("at least {k}", "{k} or more", "more than {k}", "exactly {k}", "precisely {k}")
NO_RULES = (
    "images may show {x}",
    "it is allowed to show {x}",
    "{x} {is} allowed",
    "{x} may be visible",
    "may images show {x}?",
    "the image shows {x}",
    "showing {x} is permitted",
    "pictures may contain {x}",
)
"""Sentences in the words of rules that forbid nothing."""


def templates() -> Iterator[str]:
    """Everything above, for a vocabulary."""
    for lists in (PHRASES, OWN, LIMITS, CONDITIONS, LACKS, SIDES):
        for options in lists.values():
            yield from options
    for options in (
        JOINTS,
        FRAMES,
        SUBJECT_FRAMES,
        TOGETHER,
        NEEDS,
        DEMANDS,
        WITHOUT,
        AFTER,
        UNLESS,
        ONLY_IF,
    ):
        yield from options
    yield from (*NO_RULES, *QUANTITIES)


def wording(ban: Ban, rng: random.Random, *, unseen: bool = False) -> str:
    """The ban as a sentence; `unseen` takes only what training never shows, wherever there is a choice."""
    return _Speaker(rng, unseen).rule(ban)


def stranger(ban: Ban, rng: random.Random) -> str:
    """A text in the words of rules that is none: it permits, asks or tells, is two rules, or is scrambled."""
    speaker = _Speaker(rng, False)
    chance = rng.random()
    if chance < 0.5 and ban.parts and kind_of(ban.parts[0]) != "only":
        phrase, number = speaker.phrase(ban.parts)
        return _sentence(speaker.pick(NO_RULES).format_map({"x": phrase, "is": number}))
    if chance < 0.6 and ban.parts:
        return str(ban.parts[-1][0])
    if chance < 0.75:
        return f"{speaker.rule(ban)} {speaker.rule(draw_ban(rng))}"
    words = _NAME.sub(lambda match: match[0].replace(" ", "_"), speaker.rule(ban)).split()
    rng.shuffle(words)
    return " ".join(words).replace("_", " ")


_NAMES = sorted(
    (name for noun in NOUNS.values() for name in (noun.plural, noun.singular)), key=len, reverse=True
)
_NAME = re.compile("|".join(_NAMES), re.IGNORECASE)


class _Speaker:
    def __init__(self, rng: random.Random, unseen: bool) -> None:
        self.rng = rng
        self.unseen = unseen

    def pick(self, options: Sequence[str]) -> str:
        if len(options) == 1:
            return options[0]
        last = max(1, len(options) // 6)
        return self.rng.choice(options[-last:] if self.unseen else options[:-last])

    def rule(self, ban: Ban) -> str:
        condition = " and ".join(self.condition(each) for each in ban.unless)
        if ban.unless and ban.parts and self.rng.random() < 0.25:
            phrase, number = self.phrase(ban.parts, ban.absent)
            said = self.pick(ONLY_IF).format_map({"x": phrase, "is": number, "e": condition})
        else:
            said = self.plain(ban)
            if condition:
                said = self.pick(UNLESS).format_map({"r": said, "e": condition})
        return _sentence(said)

    def plain(self, ban: Ban) -> str:
        """Without its exceptions."""
        kinds = [kind_of(part) for part in ban.parts]
        if not ban.parts:
            return (
                self.pick(DEMANDS)
                .format(x=self.pick(PHRASES[kind_of(ban.absent)][:2]))
                .format_map(self.slots(ban.absent))
            )
        own = self.rng.random() < 0.55
        if own and kinds == ["visible"] and ban.absent and kind_of(ban.absent) == "visible":
            return self.pick(NEEDS).format_map(self.slots(ban.parts[0], ban.absent))
        if own and kinds == ["visible", "visible"]:
            slots = self.slots(*ban.parts)
            clear = [t for t in TOGETHER if " or " not in slots["a"] + slots["b"] or "{a} and {b}" not in t]
            return self.pick(clear).format_map(slots) + self.without(ban.absent)
        if own and kinds[0] != "only":
            said = self.own(ban.parts[0])
            for part in ban.parts[1:]:
                said += self.pick(AFTER).format(e=self.condition(part))
            return said + self.without(ban.absent)
        phrase, number = self.phrase(ban.parts, ban.absent)
        subject = kinds[0] not in ("only", "count") and self.rng.random() < 0.4
        return self.pick(SUBJECT_FRAMES if subject else FRAMES).format_map({"x": phrase, "is": number})

    def own(self, part: Either) -> str:
        """A sentence that only fits its kind."""
        first = part[0]
        options: Sequence[str] = OWN[kind_of(part)]
        if isinstance(first, Count) and (first.how, first.number) in LIMITS and self.rng.random() < 0.7:
            options = LIMITS[first.how, first.number]
        if len(part) == 1:
            options = [option for option in options if "{nor}" not in option]
        return self.pick(options).format_map(self.slots(part))

    def phrase(self, parts: Sequence[Either], absent: Either = ()) -> tuple[str, str]:
        """What an image would show, and whether it "is" or "are"."""
        said: list[str] = []
        number = "is"
        for part in parts:
            template = self.pick(PHRASES[kind_of(part)])
            if part is parts[0] and template.startswith(("{p}", "any {p}", "signs")):
                number = "are"
            said.append(template.format_map(self.slots(part)))
        lists = any(" or " in phrase for phrase in said)
        joints = [joint for joint in JOINTS if joint != " and " or not lists]
        return self.pick(joints).join(said) + self.without(absent, clause=False), number

    def without(self, absent: Either, clause: bool = True) -> str:
        if not absent:
            return ""
        if clause and self.rng.random() < 0.5:
            lack = self.pick(LACKS[kind_of(absent)]).format_map(self.slots(absent))
            return self.pick(AFTER).format(e=lack)
        phrase = PHRASES[kind_of(absent)][0].format_map(self.slots(absent))
        return self.pick(WITHOUT).format(x=phrase)

    def condition(self, either: Either) -> str:
        return self.pick(CONDITIONS[kind_of(either)]).format_map(self.slots(either))

    def slots(self, first: Either, second: Either = ()) -> dict[str, str]:
        """Words for the slots of a template about `first`, or about `first` and `second`."""
        own, others = _split(first)
        others = others or _split(second)[0]
        slots = {"w": " or ".join(s.word for s in first if isinstance(s, Reads))}
        for nouns, (a, n, p) in ((own, "anp"), (others, "bmq")):
            if nouns:
                slots[a] = self.listed([noun.indefinite for noun in nouns])
                slots[n] = self.listed([noun.singular for noun in nouns])
                slots[p] = self.listed([noun.plural for noun in nouns])
        if own:
            slots["r"] = self.listed([noun.plural for noun in own], "and")
            slots["nor"] = " nor ".join(noun.indefinite for noun in own)
        match first[0]:
            case Lies() as lies:
                slots["side"] = self.rng.choice(SIDES[lies.side])
            case Count() as count:
                slots["k"], slots["is"] = self.quantity(count)
            case _:
                pass
        return slots

    def quantity(self, count: Count) -> tuple[str, str]:
        """How many of what, in words, and whether that "is" or "are"."""
        noun, template = (
            count.noun,
            self.rng.choice(QUANTITIES[3:] if count.how == "exactly" else QUANTITIES[:3]),
        )
        number = count.number - template.startswith("more")
        name = noun.plural if number > 1 else noun.singular
        if "or more" in template:
            return f"{template.format(k=NUMBERS[number])} {name}", "are"
        return template.format(k=f"{NUMBERS[number]} {name}"), "are" if number > 1 else "is"

    def listed(self, names: Sequence[str], joint: str = "or") -> str:
        if len(names) < 2:
            return names[0]
        comma = "," if len(names) > 2 and self.rng.random() < 0.3 else ""
        return f"{', '.join(names[:-1])}{comma} {joint} {names[-1]}"


def _split(either: Either) -> tuple[tuple[Noun, ...], tuple[Noun, ...]]:
    """The nouns first named, and the others."""
    if not either:
        return (), ()
    first = either[0]
    if isinstance(first, Visible):
        return tuple(noun for statement in either for noun in statement.nouns()), ()
    nouns = first.nouns()
    return nouns[:1], nouns[1:]


def _sentence(text: str) -> str:
    text = text[0].upper() + text[1:]
    return text if text.endswith("?") else f"{text}."
