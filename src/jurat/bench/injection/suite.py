"""The suite as data: its rules, the channels that texts come in by, the injections and their controls."""

from __future__ import annotations

import json
import tomllib
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from functools import cache, cached_property
from hashlib import sha256
from importlib.resources import files
from typing import Any, Literal

from pydantic import TypeAdapter

from jurat.bench.pictogram.definition import constitution_of
from jurat.benchmarks.inscriptions import Inscription
from jurat.constitution import About, Clause, Constitution, Rule
from jurat.errors import JuratError
from jurat.metrics import Claim

Gives = Literal["picture", "name", "caption", "prompt", "response"]
"""What of an item holds the text: the picture, its file name (and id and URI), its caption, or a turn."""
Wants = Literal["safe", "unsafe"]
NONE, NEUTRAL = "none", ".neutral"
"""The split without any text, and what ends the names of splits with neutral words."""


@dataclass(frozen=True)
class Channel:
    """One way for a text to reach a judge."""

    name: str
    summary: str
    gives: Gives
    about: About = "image"
    """What the clauses of the rules are about."""
    letters: Inscription | None = None
    """How the text is drawn; None for text that is not drawn, and for a band below the picture."""
    read: bool = True
    """Whether a judge is to look at the text; else it must not change anything."""
    base: str | None = None
    """Text of the items that injections are compared with; None for items without one."""

    @property
    def base_split(self) -> str:
        """Name of the split that injections are compared with."""
        return NONE if self.base is None else f"{NONE}.{self.name}"


@dataclass(frozen=True)
class Injection:
    """A text that asks for a verdict."""

    name: str
    channel: str
    wants: Wants
    text: str
    """`{rule}` stands for the text of the scene's rule."""
    neutral: str = ""
    """Words that ask for nothing; empty for those of the suite, cut to the text's length."""

    def text_for(self, rule: Rule) -> str:
        """The text on a scene that was drawn for a rule."""
        return self.text.replace("{rule}", rule.rule)

    def neutral_for(self, rule: Rule, words: str) -> str:
        """The control on the same scene: its own, or as many of `words` as come closest to the text's
        length."""
        return self.neutral or cut(words, len(self.text_for(rule)))


@dataclass(frozen=True)
class Shown:
    """What a split adds to the scenes."""

    channel: Channel
    injection: Injection | None = None
    """None for the base of a channel."""
    control: bool = False
    """Whether neutral words stand in the place of the injection."""


@dataclass(frozen=True)
class Suite:
    """The whole suite; `only` says which of its channels are run."""

    name: str
    version: int
    constitution: Constitution
    """One rule of each kind; its clauses are about the picture."""
    words: str
    """The neutral words."""
    channels: dict[str, Channel]
    injections: tuple[Injection, ...]
    claims: tuple[Claim, ...] = field(default=(), compare=False)
    digest: str = ""
    """12 hex characters of everything in its file but the claims, and of the rules."""
    chosen: tuple[str, ...] = ()
    """Names of the channels that are run; empty for all. Scenes are the same whichever are chosen."""

    @property
    def title(self) -> str:
        """Name and version: "jurat-injection-1"."""
        return f"{self.name}-{self.version}"

    @cached_property
    def active(self) -> tuple[Injection, ...]:
        """The injections of the channels that are run."""
        return tuple(each for each in self.injections if not self.chosen or each.channel in self.chosen)

    @cached_property
    def splits(self) -> dict[str, Shown]:
        """What each split shows, by name: first what injections are compared with."""
        shown: dict[str, Shown] = {NONE: Shown(_NO_TEXT)}
        for each in self.active:
            channel = self.channels[each.channel]
            shown.setdefault(channel.base_split, Shown(channel))
        for each in self.active:
            channel = self.channels[each.channel]
            shown[each.name] = Shown(channel, each)
            shown[each.name + NEUTRAL] = Shown(channel, each, control=True)
        return shown

    def rule(self, name: str) -> Rule:
        """The rule of that id."""
        return next(rule for rule in self.constitution.rules if rule.id == name)

    def text_of(self, split: str, rule: str) -> str | None:
        """The text that a split adds to the scenes of a rule; None where it adds none."""
        shown = self.splits[split]
        if shown.injection is None:
            return shown.channel.base
        if shown.control:
            return shown.injection.neutral_for(self.rule(rule), self.words)
        return shown.injection.text_for(self.rule(rule))

    def constitution_of(self, split: str) -> Constitution:
        """The constitution that a split is judged under: its clauses are about what the channel says."""
        return about(self.constitution, self.splits[split].channel.about)

    def only(self, channels: Sequence[str]) -> Suite:
        """The suite with some of its channels run; with none named, all.

        Raises:
            JuratError: it has no such channel.
        """
        for name in channels:
            if name not in self.channels:
                raise JuratError(
                    f"There is no channel {name!r}.", hint=f"There are {', '.join(self.channels)}."
                )
        return replace(self, chosen=tuple(name for name in self.channels if name in channels))


_NO_TEXT = Channel(NONE, "no text", "picture")


@cache
def load_suite() -> Suite:
    """The suite that ships."""
    text = files("jurat.bench.injection").joinpath("suite.toml").read_text("utf-8")
    data: dict[str, Any] = tomllib.loads(text)
    whole = constitution_of("test")
    by_id = {rule.id: rule for rule in whole.rules}
    constitution = Constitution(
        name=data["name"],
        version=str(data["version"]),
        rules=tuple(by_id[name] for name in data["rules"]),
    )
    channels = [{"name": name, **fields} for name, fields in data["channels"].items()]
    return Suite(
        name=data["name"],
        version=data["version"],
        constitution=constitution,
        words=data["neutral"],
        channels={each.name: each for each in TypeAdapter(list[Channel]).validate_python(channels)},
        injections=TypeAdapter(tuple[Injection, ...]).validate_python(data["injections"]),
        claims=tuple(Claim(**fields) for fields in data["claims"]),
        digest=_digest(data, constitution),
    )


def _digest(data: dict[str, Any], constitution: Constitution) -> str:
    plain = {name: value for name, value in data.items() if name != "claims"}
    written = json.dumps([plain, constitution.digest], sort_keys=True)
    return sha256(written.encode()).hexdigest()[:12]


def about(constitution: Constitution, what: About) -> Constitution:
    """The same rules with clauses about something else."""
    if what == "image":
        return constitution

    def turned(clauses: tuple[Clause, ...]) -> tuple[Clause, ...]:
        return tuple(clause.model_copy(update={"about": what}) for clause in clauses)

    rules = [
        rule.model_copy(update={"clauses": turned(rule.clauses), "unless": turned(rule.unless)})
        for rule in constitution.rules
    ]
    return Constitution(name=constitution.name, version=constitution.version, rules=tuple(rules))


def cut(words: str, length: int) -> str:
    """A sentence of the first of some words, as many as make its length closest to `length`."""
    every = words.split()
    sentences = [" ".join(every[:count]) + "." for count in range(1, len(every) + 1)]
    return min(sentences, key=lambda sentence: abs(len(sentence) - length))
