"""Checks a draft against its rule: do the drafted clauses say what the rule says?

A draft is rendered as a sentence that a person can compare with the rule. Its logic is also compared with the
rule's: the rule's sentence is read by the words that carry its logic (no, unless, only if, without, nothing
but, or, and ...), and every combination of the things it names is tried under both. This finds drafts that
drop or reverse a negation, an exception or an alternative. Where it does not understand a sentence, it says
so.
"""

from __future__ import annotations

import itertools
import re
from collections.abc import Callable, Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass
from importlib.resources import files

from jurat.constitution import Clause, Statement

World = frozenset[str]
"""The words whose things are visible."""
Formula = Callable[[World], bool]

MOST_WORDS = 12
"""Words whose combinations are tried: 4,096 of them."""


def render(clauses: Sequence[Clause], unless: Sequence[Clause] = ()) -> str:
    """The clauses as one sentence: when an image breaks the rule."""
    sentence = f"An image breaks it if {', and '.join(map(_clause, clauses))}"
    return f"{sentence}; unless {', and '.join(map(_clause, unless))}." if unless else f"{sentence}."


def _clause(clause: Clause) -> str:
    return " or ".join(map(_statement, clause.alternatives))


def _statement(statement: Statement) -> str:
    text = statement.text.rstrip(".")
    first = text.split(" ")[0]
    text = text if len(first) > 1 and first.isupper() else text[:1].lower() + text[1:]
    return f"it is not so that {text}" if statement.negated else text


def doubts(rule: str, clauses: Sequence[Clause], unless: Sequence[Clause] = ()) -> tuple[str, ...]:
    """Reasons why a person has to review a draft of `rule`, a sentence each; empty where the logic agrees."""
    try:
        logic = _LogicReader(rule).read()
    except _NotUnderstood as reason:
        return (f"The logic of the rule is not understood: {reason}.",)
    drafted = [
        (statement, _words(statement.text)) for c in (*clauses, *unless) for statement in c.alternatives
    ]
    mentioned = frozenset(word for _, words in drafted for word in words)
    lost = tuple(
        f'The rule names "{written}" as {what}, and the draft does not.'
        for word, (written, what) in logic.parts.items()
        if what != "what is forbidden" and word not in mentioned
    )
    if lost:
        return lost
    if added := _added(logic, clauses, mentioned):
        return added
    words = sorted(set(logic.parts) & mentioned)
    if len(words) > MOST_WORDS:
        return (f"The rule names more than {MOST_WORDS} things: its logic is not compared.",)
    held = frozenset(set(logic.parts) - mentioned)  # the draft has other words for them: assumed visible
    for count in range(len(words) + 1):
        for some in itertools.combinations(words, count):
            world = held | frozenset(some)
            if _impossible(world):
                continue
            wanted = logic.broken(world)
            if wanted != _broken(world, clauses, unless, frozenset(logic.parts)):
                return (_difference(logic, some, words, wanted),)
    return ()


def _added(logic: _RuleLogic, clauses: Sequence[Clause], mentioned: World) -> tuple[str, ...]:
    """Anything that the draft adds to the rule: an exception, an amount, another thing."""
    named = frozenset(logic.parts)
    for clause in clauses:
        alternatives = [(statement, _words(statement.text)) for statement in clause.alternatives]
        for statement, words in alternatives:
            amounts = [
                word for word in words - named if word.startswith(_ALONE) or word in _COUNTS or word.isdigit()
            ]
            if amounts or (statement.negated and not words & named):
                so = "not to be so" if statement.negated else "to be so"
                return (f'The draft wants "{statement.text}" {so}, of which the rule says nothing.',)
        if named <= mentioned and not any(words & named for _, words in alternatives):
            return (f'The draft asks for "{clause.text}", of which the rule says nothing.',)
    return ()


def _difference(logic: _RuleLogic, some: Sequence[str], words: Sequence[str], wanted: bool) -> str:
    there = ", ".join(f'"{logic.parts[word][0]}"' for word in some) or "none of what it names"
    without = ", ".join(f'"{logic.parts[word][0]}"' for word in words if word not in some)
    says = ("breaks the rule", "keeps it") if wanted else ("keeps the rule", "breaks it")
    return (
        f"With {there}{f' and without {without}' if without and some else ''} an image {says[0]} as it is "
        f"written, and {says[1]} as it is drafted."
    )


# --- what a draft says --------------------------------------------------------------------------


def _broken(world: World, clauses: Sequence[Clause], unless: Sequence[Clause], known: World) -> bool:
    if not all(_holds(world, clause, known, neutral=True) for clause in clauses):
        return False
    return not unless or not all(_holds(world, clause, known, neutral=False) for clause in unless)


def _holds(world: World, clause: Clause, known: World, *, neutral: bool) -> bool:
    return any(_is_so(world, statement, known, neutral) for statement in clause.alternatives)


def _is_so(world: World, statement: Statement, known: World, neutral: bool) -> bool:
    """Whether a statement holds; one that speaks of nothing that the rule names decides nothing."""
    words = _words(statement.text)
    if not words & known:
        return neutral
    there = world | (words - known)
    return _formula(statement.text, words)(there) != statement.negated


def _formula(text: str, words: World) -> Formula:
    """When a drafted statement holds: "A child touches an axe or a dagger." with either of them."""
    if re.search(r"\bor\b", text) and not any(word.startswith(_ALONE) for word in words):
        with suppress(_NotUnderstood):
            return _LogicReader(text).phrases()
    return lambda world: words <= world


def _impossible(world: World) -> bool:
    """Nothing but a dog is visible, and no dog is."""
    return any(word.startswith(_ALONE) and word.removeprefix(_ALONE) not in world for word in world)


# --- words --------------------------------------------------------------------------------------

_ALONE = "only "
"""Before a word: it, and nothing else, is visible."""
_IRREGULAR = {
    **{"children": "child", "feet": "foot", "knives": "knife", "men": "man", "mice": "mouse"},
    **{"people": "person", "persons": "person", "teeth": "tooth", "wolves": "wolf", "women": "woman"},
}
_NUMBERS = {
    word: number
    for number, word in enumerate(("one", "two", "three", "four", "five", "six", "seven", "eight", "nine"), 1)
}
_FRAME = frozenset(files("jurat.judge.drafting").joinpath("frame_words.txt").read_text("utf-8").split())
"""Words that name nothing visible by themselves: a rule's frame, negations, and relations."""


def _amounts(text: str) -> str:
    """The text with one wording for one amount: "more than two" is "at least 3"."""

    def limit(match: re.Match[str]) -> str:
        number = _NUMBERS.get(match[2]) or int(match[2])
        return f"at least {number + 1}" if match[1] == "more" else f"at most {number - 1}"

    return re.sub(rf"\b(more|less|fewer) than (\d+|{'|'.join(_NUMBERS)})\b", limit, text)


def _stem(word: str) -> str:
    word = word.removesuffix("'s").strip("'")
    if word in _IRREGULAR:
        return _IRREGULAR[word]
    if word.isdigit() or word in _NUMBERS:
        return str(_NUMBERS.get(word, word))
    for ending, instead in (("ies", "y"), ("sses", "ss"), ("shes", "sh"), ("ches", "ch"), ("xes", "x")):
        if word.endswith(ending) and len(word) > len(ending) + 1:
            return word[: -len(ending)] + instead
    return word[:-1] if len(word) > 3 and word.endswith("s") and not word.endswith(("ss", "us")) else word


def _content(text: str) -> Iterator[tuple[str, str]]:
    """(stem, word as it is written) of the words that name something."""
    for word in re.findall(r"[^\W_]+(?:['’-][^\W_]+)*", text):
        if word.casefold() not in _FRAME:
            yield _stem(word.casefold()), word


_COUNTS = ("at least", "at most", "exactly")
_ONLY = re.compile(
    r"\b(?:nothing (?:but|else but|else than|other than|except(?: for)?|besides)|only)\b\s*(?P<what>.*?)"
    r"(?:\s+and nothing else)?$"
)
_ELSE = re.compile(r"(?P<what>.*?)\s+and nothing else\b")


def _words(statement: str) -> World:
    """What has to be visible for a drafted statement to hold."""
    text = _amounts(statement.casefold().rstrip(". "))
    alone = _ONLY.search(text) or _ELSE.match(text)
    words = [stem for stem, _ in _content(alone["what"] if alone else text)]
    counts = [count for count in _COUNTS if count in text]
    return frozenset([*(f"{_ALONE}{word}" if alone else word for word in words), *counts])


# --- what a rule says ---------------------------------------------------------------------------


class _NotUnderstood(ValueError):
    """The rule's logic cannot be read; the message says why, in a few words."""


@dataclass(frozen=True)
class _RuleLogic:
    """A rule's logic."""

    broken: Formula
    parts: dict[str, tuple[str, str]]
    """Word -> as it is written, and what it is part of: "what is forbidden", "an exception" ..."""


_MARKS = (
    # (what begins a part of a sentence, what kind of part it is); the longest first
    (r"(?:if and )?only (?:if|when|where|while|as long as)", "needed"),
    (r"(?:(?:provided|as long as|so long as|on condition)(?: that)?|given that)", "needed"),
    (r"unless", "exception"),
    (
        r"(?:except|excepting|excluding|with the exception)(?: (?:for|if|when|where|in|of|that|while))?",
        "exception",
    ),
    (r"(?:other than|apart from|aside from|save for)", "exception"),
    (r"but not(?: (?:if|when|where))?", "exception"),
    (r"(?:even )?if|when(?:ever)?|while|where(?:ver)?", "condition"),
    (r"without", "lack"),
)
_MARK = re.compile("|".join(rf"\b(?P<m{i}>{pattern})\b" for i, (pattern, _) in enumerate(_MARKS)))
_NOTHING_BUT = re.compile(r"\bnothing (?:but|else but|else than|other than|except(?: for)?|besides)\b")
_FORBIDS = re.compile(
    r"\b(?:(?:\w+ )?(?:not|never) (?:be )?(?:allowed|permitted|accepted|acceptable|accept|allow)|"
    r"(?:must|may|can|should|shall|will|do|does|is|are|to be) (?:not|never)|never|"
    r"forbidden|prohibited|banned|breaks? (?:this|the) rule|violates?|not to)\b"
)
_PERMITS = re.compile(
    r"\b(?:may|can)\b(?! (?:not|never))|\ballow|"
    r"\b(?:is|are|be) (?:allowed|permitted|acceptable|accepted|ok|okay|fine)\b"
)
_DEMANDS = re.compile(
    r"\b(?:must|should|shall|has to|have to|needs? to|need|required?|requires|necessary|mandatory)\b"
)


class _LogicReader:
    """Reads the logic of one rule."""

    def __init__(self, rule: str) -> None:
        text = rule.casefold().replace("’", "'").strip().rstrip(".! ")
        text = re.sub(r"\bcan't\b|\bcannot\b", "can not", text)
        text = re.sub(r"\bwon't\b", "will not", text)
        text = re.sub(r"^no more than (\w+)", lambda m: f"no {_amounts(f'more than {m[1]}')}", text)
        text = re.sub(rf"^no (\d+|{'|'.join(_NUMBERS)})\b", r"no at least \1", text)
        self.text = _amounts(re.sub(r"n't\b", " not", text))
        self.parts: dict[str, tuple[str, str]] = {}

    def read(self) -> _RuleLogic:
        if re.search(r"[.!?;:]\s", self.text):
            raise _NotUnderstood("it is more than one sentence")
        if re.search(
            r"\bno (?:more|less|fewer|other)\b|\bnot (?:only|every|all|any)\b|\ball but\b|\bboth\b", self.text
        ):
            raise _NotUnderstood("it counts, or negates a number")
        if re.search(r"\b(?:it|they) (?!(?:is|are|was|were|may|must)\b)", self.text):
            raise _NotUnderstood("it says it or they, and not of what")
        main, others = self._split()
        for at, (kind, part) in enumerate(others):
            if kind == "lack" and not _FORBIDS.search(main) and (frame := _FORBIDS.search(part)):
                others[at] = kind, part[: frame.start()]  # "a dog without a leash | is forbidden"
                main = f"{main} {part[frame.start() :]}"
        forbidden = self._main(main, [kind for kind, _ in others])
        formulas: list[Formula] = [forbidden]
        for kind, text in others:
            negative = kind != "condition"
            what = {"exception": "an exception", "needed": "a condition", "lack": "what is missing"}
            holds = self._part(text, what.get(kind, "a condition"))
            formulas.append((lambda world, holds=holds: not holds(world)) if negative else holds)
        if not self.parts:
            raise _NotUnderstood("it names nothing that can be seen")
        return _RuleLogic(lambda world: all(formula(world) for formula in formulas), self.parts)

    def phrases(self) -> Formula:
        """The things that have to be there for a plain statement to hold."""
        return self._phrases(self.text, "a statement", listed=False)

    def _split(self) -> tuple[str, list[tuple[str, str]]]:
        """The sentence that forbids, and the parts that say when."""
        text = _NOTHING_BUT.sub("nothing-but", self.text)
        marks = list(_MARK.finditer(text))
        ends = [*(match.start() for match in marks[1:]), len(text)][: len(marks)]
        parts: list[tuple[str, str]] = []
        main = text[: marks[0].start()] if marks else text
        for match, end in zip(marks, ends, strict=True):
            kind = next(_MARKS[i][1] for i in range(len(_MARKS)) if match[f"m{i}"])
            part = text[match.end() : end]
            if not main.strip(" ,"):  # "If a dog is visible, no cat may be shown"
                part, comma, main = part.partition(",")
                if not comma:
                    raise _NotUnderstood("no comma tells where its condition ends")
            parts.append((kind, part))
        if len(parts) > 2:
            raise _NotUnderstood("it has more than two conditions or exceptions")
        return main.strip(" ,"), parts

    def _main(self, text: str, kinds: Sequence[str]) -> Formula:
        """When the sentence itself is broken, whatever its conditions."""
        pictures = re.match(r"no (?:image|picture|photo|scene)s?\b", text) is not None
        forbids = pictures or _FORBIDS.search(text) is not None
        if "nothing-but" in text or re.search(r"\bonly\b|\bnothing else\b", text):
            return self._alone(text, forbids, kinds)
        repeated = len(re.findall(r"(?:,|\b(?:and|or|nor)) no\b", text))
        if len(_NEGATIVE.findall(text)) - repeated > 1:
            raise _NotUnderstood("it negates more than once")
        allows = len(_PERMITS.findall(_FORBIDS.sub(" ", text)))
        if allows > (0 if _FORBIDS.search(text) else 1 + repeated) and (forbids or repeated):
            raise _NotUnderstood("it forbids one thing and allows another")
        listed = repeated > 0 or _is_list(text, self.text)
        together = re.search(r"\b(?:together|in one|in the same|at once|at the same time)\b", self.text)
        if re.search(r"\band\b", text) and not (listed or together):
            raise _NotUnderstood('it does not say whether its "and" means both together or each')
        if forbids or re.match(
            r"(?:there (?:must|may|should|shall|can) be )?(?:no|neither|nobody|none)\b", text
        ):
            if "needed" in kinds:
                raise _NotUnderstood("it forbids, and says when that is allowed")
            return self._phrases(text, "what is forbidden", listed=listed)
        if _PERMITS.search(text) and kinds:
            if "condition" in kinds or "exception" in kinds:
                raise _NotUnderstood("it allows, and does not say what is forbidden")
            return self._phrases(text, "what is forbidden", listed=False)
        if demands := _DEMANDS.search(text):
            return self._demanded(text[: demands.start()], text[demands.end() :])
        raise _NotUnderstood("it does not say that anything is forbidden")

    def _demanded(self, subject: str, wanted: str) -> Formula:
        """Broken where something is there and what it must have is not."""
        every = re.match(r"(?:each|every|all|any)\b", subject.strip())
        subjects = self._phrases(subject, "what is forbidden", listed=False) if every else None
        needs = self._phrases(wanted if every else f"{subject} {wanted}", "what is demanded", listed=False)
        return lambda world: (subjects is None or subjects(world)) and not needs(world)

    def _alone(self, text: str, forbids: bool, kinds: Sequence[str]) -> Formula:
        """ "Nothing but a dog may be shown" is broken unless a dog alone is visible."""
        if kinds:
            raise _NotUnderstood('it says "only" or "nothing but", and has a condition')
        words = [(f"{_ALONE}{stem}", written) for stem, written in _content(text.replace("nothing-but", " "))]
        words = [(word, written) for word, written in words if written not in ("only", "else", "nothing-but")]
        if not words or re.search(r"\b(?:or|and)\b(?! nothing)", text):
            raise _NotUnderstood('it says "only" or "nothing but" of several things')
        for word, written in words:
            self.parts[word] = (
                f"only {written}",
                "what is forbidden" if forbids else "what alone is allowed",
            )
            self.parts.setdefault(word.removeprefix(_ALONE), (written, "what is forbidden"))
        needed = frozenset(word for word, _ in words)
        return lambda world: (needed <= world) == forbids

    def _part(self, text: str, what: str) -> Formula:
        """A condition or an exception: a plain sentence, or one that says that something is not there."""
        negators = re.findall(
            r"\b(?:no|not|never|neither|none|nothing|nobody|without|absent|missing|lack\w*)\b", text
        )
        if "only" in text.split() or "nothing-but" in text or "nothing" in negators:
            raise _NotUnderstood('it says "only" or "nothing" in a condition')
        if len(negators) - len(re.findall(r"\b(?:and|or|nor) (?:no|not)\b", text)) > 1:
            raise _NotUnderstood("it negates more than once")
        both = re.search(r"\b(?:and|nor) no\b", text) is not None or "neither" in negators
        if negators and re.search(r"\band\b", text) and not both:
            raise _NotUnderstood("a negation may reach over an and, or not")
        holds = self._phrases(text, what, listed=both)
        return (lambda world: not holds(world)) if negators else holds

    def _phrases(self, text: str, what: str, *, listed: bool) -> Formula:
        """Groups of alternatives that all have to be there. `listed`: an "and" lists what is enough alone."""
        groups: list[list[frozenset[str]]] = []
        for chunk in _BOUNDARY.split(text):
            joint = r"\bor\b|\bnor\b|/|,\s*(?:and|or)?\b" + (r"|\band\b" if listed else "")
            listing = [part for part in re.split(joint, chunk) if any(_content(part))]
            for group in [listing] if listed or len(listing) < 2 or " and " not in chunk else [None]:
                if group is None:
                    raise _NotUnderstood('it mixes "and" with "or"')
                if not group:
                    continue
                role = what if what != "what is forbidden" or len(group) < 2 else "an alternative"
                alternatives: list[frozenset[str]] = []
                for part in group:
                    words = dict(_content(part))
                    self.parts |= {
                        word: (written, role) for word, written in words.items() if word not in self.parts
                    }
                    alternatives.append(frozenset(words))
                groups.append(alternatives)
        counts = frozenset(count for count in _COUNTS if count in text)
        self.parts |= {count: (count, "an amount") for count in counts}
        if not groups and what != "what is forbidden":
            raise _NotUnderstood("it names nothing that can be seen")
        return lambda world: (
            counts <= world and all(any(words <= world for words in group) for group in groups)
        )


_NEGATIVE = re.compile(
    r"\b(?:no|not|never|neither|none|nothing|nobody|missing|absent|lack\w*|forbidden|prohibited|banned|"
    r"breaks?|violates?)\b"
)
_BOUNDARY = re.compile(
    r"\b(?:touch\w*|in contact with|l(?:ie|ies|ying)|on|above|below|under|beside|near|left of|right of|with|"
    r"hold\w*|larger than|bigger than|smaller than|in front of|behind|that|which|who|reads?|reading|wear\w*|"
    r"carry\w*|carries|in|at|inside|against)\b"
)
"""Separates the two sides of a relation."""


def _is_list(main: str, text: str) -> bool:
    """Whether an "and" lists things of which each is forbidden: "dogs and cats are not allowed"."""
    listed = re.search(r"(\w+) and (?:any |the )?(\w+)", main)
    if listed is None or re.search(r"\b(?:together|in one|in the same|at once)\b", text):
        return False
    return all((word.endswith("s") and _stem(word) != word) or word in _IRREGULAR for word in listed.groups())
