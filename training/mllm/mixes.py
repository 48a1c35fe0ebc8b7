"""Mixes of joint training, read from `mixes.toml`: shares of batches, wordings, kinds of statements."""

from __future__ import annotations

import tomllib
from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cache
from importlib.resources import files
from typing import Any

from jurat.judge.prompts import REASON, RULE, STATEMENT, Wording

OWN = {"statements": STATEMENT, "rules": RULE, "reasons": Wording("", f"{{text}} {REASON}")}
"""The judge's own wordings of each kind that has several."""
MODES = ("statement", "rule", "free", "no image")
"""Kinds of batches: statements; whole rules; answers in words; statements without an image."""


@dataclass(frozen=True)
class Mix:
    """Shares and wordings of joint training."""

    modes: Mapping[str, float]
    """Mode of `MODES` -> share of batches; they sum to 1."""
    statements: Mapping[str, float]
    """Name in `wordings("statements")` -> its share among statements."""
    rules: Mapping[str, float]
    """Name in `wordings("rules")` -> its share among whole rules."""
    reasons: Mapping[str, float]
    """Name in `wordings("reasons")` -> its share among statements that are to be answered with reasons."""
    blanked: float
    """Share of scenes with a rectangle painted over."""
    kinds: Mapping[str, float] = field(default_factory=dict[str, float])
    """Kind of statement -> factor on its weight in `questions.KINDS`; 1 for kinds not listed."""

    def __post_init__(self) -> None:
        for shares in (self.modes, self.statements, self.rules, self.reasons):
            if abs(sum(shares.values()) - 1) > 1e-9:
                raise ValueError(f"mixes.toml: the shares {dict(shares)} do not sum to 1.")
        if unknown := [mode for mode in self.modes if mode not in MODES]:
            raise ValueError(f"mixes.toml: there is no mode {unknown[0]!r}; they are {', '.join(MODES)}.")


@cache
def _data() -> dict[str, Any]:
    return tomllib.loads(files("training").joinpath("mixes.toml").read_text("utf-8"))


def mixes() -> dict[str, Mix]:
    """All mixes by name."""
    return {name: Mix(**values) for name, values in _data()["mixes"].items()}


def wordings(kind: str) -> dict[str, Wording]:
    """Wordings of a kind of `OWN`, by name; `judge` is the judge's own."""
    given = _data()["wordings"][kind]
    return {"judge": OWN[kind]} | {name: Wording(**values) for name, values in given.items()}
