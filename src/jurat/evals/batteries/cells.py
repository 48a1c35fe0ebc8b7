"""The cells of a battery, and the digest of all that determines the replies of one."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Iterator, Sequence
from dataclasses import asdict, dataclass, field
from functools import cached_property
from typing import Any, TypeVar, cast

from inspect_ai.model import Model as InspectModel
from inspect_ai.model import get_model

from jurat.benchmarks import Sample, SetCopy, choose_protocol, open_set
from jurat.benchmarks.protocol import Protocol
from jurat.content import ImageError, LazyImage
from jurat.errors import JuratError
from jurat.evals._registry import task_name  # whose import registers the provider too
from jurat.evals.attacking import AttackChoice
from jurat.evals.batteries.battery_file import AttackEntry, Battery, ModelEntry, Part, SetEntry
from jurat.evals.open_scorers import opened
from jurat.evals.provider import JuratModel
from jurat.evals.scoring import with_options
from jurat.evals.task import Selection, generate_config, take
from jurat.models.model_spec import DEFENDED_BY

T = TypeVar("T")
_NO_MATTER = ("concurrency", "deadline", "retries", "input_price", "output_price", "max_batch")
"""Options of a model that change no reply."""


@dataclass(frozen=True)
class Cell:
    """A set under a protocol, a model, and an attack or none."""

    entry: SetEntry
    protocol: str | None
    """None for the card's first."""
    model: ModelEntry
    part: Part
    differs: tuple[str, ...] = ()
    """The settings in which entries of the same set differ in the battery; empty where it has one."""
    attack: AttackEntry | None = None

    @property
    def label(self) -> str:
        """For people: "figstep (text_only) x bundled"."""
        protocol = f" ({self.protocol})" if self.protocol else ""
        variant = f", {self.variant}" if self.variant else ""
        attack = f" x {self.attack.attack}" if self.attack else ""
        return f"{self.entry.set}{protocol}{variant} x {self.model.model}{attack}"

    @property
    def variant(self) -> str:
        """What tells the entry from others of the same set: "limit 12"; empty where it is alone."""
        return ", ".join(f"{name} {_told(getattr(self.entry, name))}" for name in self.differs)

    @property
    def copy(self) -> str:
        """Where the battery has several copies of the set, a mark of this one: ids may stand for others."""
        return f" ({_told(self.entry.data)})" if "data" in self.differs else ""

    @property
    def task(self) -> str:
        """Its task, as Inspect finds it."""
        return task_name(self.entry.set.partition("?")[0])

    @property
    def task_args(self) -> dict[str, Any]:
        """The arguments of its task."""
        entry = self.entry
        given = {
            "data": None if entry.data is None else str(entry.data.absolute()),
            "protocol": self.protocol,
            "scorer": list(self.scorers) or None,
            "judge": self.part.judge,
            "groups": None if entry.groups is None else list(entry.groups),
            "limit": entry.limit,
            "epochs": entry.epochs,
            "seed": entry.seed,
            "drawing": entry.set.partition("?")[2] or None,
        }
        if self.attack is not None:
            named = {"attack_target": self.attack.target, "attacker": self.attack.attacker}
            given |= {"attack": self.attack.attack, **named}
        return {key: value for key, value in given.items() if value is not None}

    @property
    def scorers(self) -> tuple[str, ...]:
        """The scorers by name with their options."""
        given = self.entry.scorers or self.part.scorers
        return given or tuple(open_copy(self.entry).card.scorers) or ("text",)

    @cached_property
    def served(self) -> InspectModel:
        """The model as Inspect's; cells of the same model share it. Raises JuratError where it is none."""
        return get_model(f"jurat/{self.model.model}", **self.model.options)


def cells_of(battery: Battery) -> list[Cell]:
    """The cells, each once, model by model, so that one model is open at a time."""
    every = [entry for part in battery.parts for entry in part.sets]
    found = {
        repr((entry, protocol, model, attack, part.scorers, part.judge)): Cell(
            entry,
            protocol,
            model,
            part,
            _differing([each for each in every if each.set == entry.set]),
            attack,
        )
        for part in battery.parts
        for entry in part.sets
        for protocol in entry.protocols or (None,)
        for model in part.all_models
        for attack in (None, *part.attacks)
    }
    models = list(dict.fromkeys(repr(cell.model) for cell in found.values()))
    return sorted(found.values(), key=lambda cell: models.index(repr(cell.model)))


def _differing(entries: Sequence[SetEntry]) -> tuple[str, ...]:
    names = ("data", "groups", "limit", "seed", "epochs")
    return tuple(name for name in names if len({getattr(each, name) for each in entries}) > 1)


def _told(value: object) -> str:
    if isinstance(value, tuple):
        return " and ".join(map(str, cast("tuple[object, ...]", value)))
    return "by default" if value is None else str(value)


def open_copy(entry: SetEntry) -> SetCopy:
    """The copy of a set. Raises JuratError where there is none."""
    return open_set(entry.set, entry.data)


@dataclass
class Facts:
    """Reads what determines cells, each set, model and scorer once."""

    _known: dict[str, Any] = field(default_factory=dict[str, Any])
    """What was read, or the exception that said why it could not be."""

    def determinants(self, cell: Cell) -> dict[str, Any]:
        """All that determines the replies of a cell: the content of its samples as they are shown without an
        attack, the attack with its settings, decoding, and the model with its revision and its defenses. A
        server's revision is not known before its first reply.

        Raises:
            JuratError: the set or the model cannot be opened.
        """
        of_set = cell.entry.model_copy(update={"scorers": (), "protocols": ()})
        set_facts = self._once(repr((of_set, cell.protocol)), lambda: _set_facts(cell.entry, cell.protocol))
        model_facts = self._once(repr(cell.model), lambda: _model_facts(cell))
        return {**set_facts, **model_facts, **_attack_facts(cell)}

    def scorer(self, name: str, judge: str | None) -> str:
        """The identity of a scorer, as its scores have it. Raises JuratError where it cannot be opened."""

        def read() -> str:
            return opened(*with_options(name, judge=judge)).identity

        return self._once(repr(("scorer", name, judge)), read)

    def _once(self, key: str, read: Callable[[], T]) -> T:
        if key not in self._known:
            try:
                self._known[key] = read()
            except Exception as error:  # said of each cell, tried once
                self._known[key] = error
        found = self._known[key]
        if isinstance(found, Exception):
            raise found
        return found


def digest_of(determinants: dict[str, Any]) -> str:
    """The digest of what determines a cell."""
    return hashlib.sha256(json.dumps(determinants, sort_keys=True).encode()).hexdigest()[:16]


def content_of(samples: Sequence[Sample], protocol: Protocol) -> str:
    """The digest of samples as they are shown: texts, images byte by byte, and what is expected."""
    digest = hashlib.sha256()
    for part in _parts(samples, protocol):
        digest.update(len(part).to_bytes(8, "big") + part)
    return digest.hexdigest()[:16]


def _parts(samples: Sequence[Sample], protocol: Protocol) -> Iterator[bytes]:
    for one in samples:
        facts = [one.id, one.expected, one.label, one.group, one.category, one.cluster, dict(one.fields)]
        yield json.dumps(facts, sort_keys=True).encode()
        for turn in protocol.turns(one):
            yield turn.role.encode()
            yield from map(_part_bytes, turn.parts)


def _part_bytes(part: str | LazyImage) -> bytes:
    if isinstance(part, str):
        return part.encode("utf-8", "surrogatepass")
    try:
        return part.open()
    except (ImageError, OSError) as error:
        return f"unreadable: {type(error).__name__}".encode()


def _set_facts(entry: SetEntry, name: str | None) -> dict[str, Any]:
    copy = open_copy(entry)
    protocol = choose_protocol(copy.card, name)
    taken = take(copy, protocol, Selection(entry.groups, entry.limit, entry.seed))
    if not taken.samples:
        raise JuratError("There is nothing to evaluate: the copy holds no samples.")
    config = generate_config(protocol, entry.seed)
    return {
        "set": copy.card.name,
        "samples": len(taken.samples),
        "content": content_of(taken.samples, protocol),
        "protocol": protocol.name,
        "decoding": config.model_dump(exclude_none=True),
        "replies a sample": entry.epochs or protocol.card.samples,
        "groups": None if entry.groups is None else list(entry.groups),
        "limit": entry.limit,
        "seed": entry.seed,
    }


def _attack_facts(cell: Cell) -> dict[str, Any]:
    if cell.attack is None:
        return {"attack": ""}
    choice = AttackChoice(cell.attack.attack, cell.attack.target, cell.attack.attacker, cell.entry.seed or 0)
    settings = {"attack settings": asdict(choice.opened()), "attack options": asdict(choice)}
    return {"attack": choice.name, **settings}


def _model_facts(cell: Cell) -> dict[str, Any]:
    api = cell.served.api
    assert isinstance(api, JuratModel)
    opened = api.open()
    options = {key: value for key, value in cell.model.options.items() if key not in _NO_MATTER}
    return {
        "model": cell.model.model,
        "defense": DEFENDED_BY.join(opened.name.split(DEFENDED_BY)[1:]),  # with digests of what they read
        "revision": opened.revision,
        "dtype": opened.dtype,
        "options": options,
    }


__all__ = ["Cell", "Facts", "cells_of", "content_of", "digest_of"]
