"""How each attack is entered: what it is given, and its settings at a budget and a number of passes.

The protocol sets the ball, the number of steps and how often the best picture is looked for; a step of those
that follow the sign of the gradient is 2.5 radii over the number of steps (Madry et al. 2018, arXiv
1706.06083, section 5), so that the whole ball can be crossed. Whatever a name sets itself stays:
"carlini?rate=0.05".
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, fields
from typing import Any, Literal
from urllib.parse import urlencode

import torch

from jurat.attacks.cases import Goal
from jurat.attacks.constraints import Linf
from jurat.attacks.method import PictureAttack
from jurat.attacks.registry import ATTACKS, open_attack
from jurat.errors import JuratError
from jurat.registry import name_and_options

__all__ = ["CONTROL", "UNBOUNDED", "Entrant", "at_budget", "check_name", "default_attacks", "entrant_of"]

CONTROL = "noise"
"""The attack that all others are compared with at the same budget."""
UNBOUNDED = 255
"""The budget in levels at which any picture is allowed."""
CROSSINGS = 2.5
"""How often the steps could cross the ball's radius."""
CHECKS = 5
"""Looks at the validation prompts, beside that at the start."""
_SET_BY_PLAN = ("radius", "steps")


@dataclass(frozen=True)
class Entrant:
    """What an attack is given."""

    settings: Mapping[str, str] = field(default_factory=dict[str, str])
    """Settings without which it does not want these goals."""
    rate: bool = False
    """Whether its `rate` is the length of a step along the sign of the gradient."""
    trains: Literal["prompts", "corpus"] = "prompts"
    """What it trains on: the training prompts, or replies to the picture alone."""
    trigger: Literal["image", "text"] = "image"
    """What it is given to match, where it wants a trigger."""
    surrogates: bool = False
    """Whether its pictures are made on the other models, and only submitted to the victim."""


_LINEUP = {
    "carlini": Entrant(rate=True),
    "qi": Entrant(rate=True, trains="corpus"),
    "cropa": Entrant(rate=True),
    "tu": Entrant(rate=True, trigger="text"),
    "bagdasaryan": Entrant(rate=True),
    "dong": Entrant({"aim": "description"}, rate=True, surrogates=True),
    "schlarmann-hein": Entrant({"targeted": "true"}),
    # Models of the LLaVA layout read patches, and no distance is near enough to stop at.
    "shayegani": Entrant({"part": "patches", "until": "0"}),
}
"""Those that need more than their own settings."""


def default_attacks() -> list[str]:
    """All attacks on pictures, the control first."""
    return sorted((e.name for e in ATTACKS if e.changes == "picture"), key=lambda name: name != CONTROL)


def entrant_of(name: str) -> Entrant:
    """How an attack is entered; `name` may have settings."""
    return _LINEUP.get(name_and_options(name)[0], Entrant())


def check_name(name: str) -> None:
    """Raises JuratError: there is no such attack or setting, or it sets what the protocol does."""
    plain, given = name_and_options(name)
    if taken := [setting for setting in _SET_BY_PLAN if setting in given]:
        raise JuratError(
            f"{name!r} sets {taken[0]!r}, which is the same for all attacks here.",
            hint="Name budgets with --budget, and gradient passes with --passes.",
        )
    entry = ATTACKS.find(plain)
    if entry.changes == "picture":
        open_attack(name)


def at_budget(name: str, level: int, steps: int) -> tuple[str, PictureAttack] | None:
    """An attack with its settings at a budget of `level` of 255: its full name, and the attack; None where it
    cannot keep within that budget, since it allows any picture.

    Raises:
        JuratError: it changes no pictures, or a setting does not fit.
    """
    plain, given = name_and_options(name)
    entry, entrant = ATTACKS.find(plain), entrant_of(name)
    if entry.changes != "picture":
        command = "eval SET --attack" if entry.changes == "sample" else "attack"
        raise JuratError(
            f"It changes a {entry.changes}, to which budgets of pictures do not apply.",
            hint=f'It is run by: jurat {command} "{name}".',
        )
    radius = level / 255
    wanted: dict[str, Any] = {"steps": steps, "every": max(1, steps // CHECKS), "radius": radius}
    if entrant.rate:
        wanted["rate"] = CROSSINGS * radius / max(1, steps)
    known = {each.name for each in fields(type(open_attack(name)))}
    settings = {key: f"{value}" for key, value in wanted.items() if key in known}
    full = f"{plain}?{urlencode({**settings, **entrant.settings, **given})}"
    attack = open_attack(full)
    assert isinstance(attack, PictureAttack)
    return (full, attack) if level >= UNBOUNDED or _within(attack, radius) else None


def _within(attack: PictureAttack, radius: float) -> bool:
    """Whether its pictures keep within the ball."""
    nothing = Goal(torch.zeros((3, 32, 32), dtype=torch.uint8), [], [], [], lambda case, reply: False)
    constraint = attack.constraint(nothing)
    return isinstance(constraint, Linf) and constraint.radius <= radius + 1e-9
