"""Sentences that forbid a `Ban`, and sentences in the same words that are not rules.

`wording` builds a sentence from the lists of `rule_templates`.
"""

from __future__ import annotations

import random
import re
from collections.abc import Sequence

from jurat.pictograms.objects import NOUNS, Noun
from jurat.pictograms.statements import NUMBERS, Count, Lies, Reads, Visible
from training.rule_meanings import Ban, Either, draw_ban, kind_of
from training.rule_templates import (
    AFTER,
    CONDITIONS,
    DEMANDS,
    FRAMES,
    JOINTS,
    LACKS,
    LIMITS,
    NEEDS,
    NO_RULES,
    ONLY_IF,
    OWN,
    PHRASES,
    QUANTITIES,
    SIDES,
    SUBJECT_FRAMES,
    TOGETHER,
    UNLESS,
    WITHOUT,
)


def wording(ban: Ban, rng: random.Random, *, unseen: bool = False) -> str:
    """The ban as a sentence; `unseen` uses held-out templates wherever there is a choice."""
    return _Speaker(rng, unseen).rule(ban)


def no_rule(ban: Ban, rng: random.Random) -> str:
    """A text in the words of rules that is not one rule: a permission, a question, a description, two rules,
    or scrambled words."""
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
        """The ban as a sentence, without its exceptions."""
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
        """A sentence from the templates of one kind."""
        first = part[0]
        options: Sequence[str] = OWN[kind_of(part)]
        if isinstance(first, Count) and (first.how, first.number) in LIMITS and self.rng.random() < 0.7:
            options = LIMITS[first.how, first.number]
        if len(part) == 1:
            options = [option for option in options if "{nor}" not in option]
        return self.pick(options).format_map(self.slots(part))

    def phrase(self, parts: Sequence[Either], absent: Either = ()) -> tuple[str, str]:
        """A phrase for what an image would show, and its verb, "is" or "are"."""
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
        """A count in words, and its verb, "is" or "are"."""
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
    """The nouns named first, and the others."""
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
