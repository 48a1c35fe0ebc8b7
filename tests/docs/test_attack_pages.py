"""Every attack of the literature has a page in docs/attacks, whose table of settings is that of the code."""

from __future__ import annotations

from dataclasses import fields
from pathlib import Path
from typing import Any, Literal, get_args, get_origin, get_type_hints

import pytest

from jurat.attacks.registry import ATTACKS, AttackEntry, open_attack

DOCS = Path(__file__).parents[2] / "docs"
SHARED = {"qi-text": "qi"}
"""Attacks on the page of another one."""
PUBLISHED = [entry for entry in ATTACKS if entry.paper and not entry.is_plug_in]


def settings_table(entry: AttackEntry) -> str:
    """The settings of an attack and its presets, as its page shows them."""
    attack: Any = open_attack(entry.name)
    hints, evidence = get_type_hints(type(attack)), attack.evidence()
    rows = [
        f"| setting of `{entry.name}` | default | [from](../attacks.md#which-attacks) | meaning |",
        "|---|---|---|---|",
    ]
    for each in fields(attack):
        choices = get_args(hints[each.name]) if get_origin(hints[each.name]) is Literal else ()
        meaning = each.metadata["doc"] + (f" One of {', '.join(map(shown, choices))}." if choices else "")
        default = shown(getattr(attack, each.name))
        rows.append(f"| `{each.name}` | {default} | {evidence[each.name]} | {meaning} |")
    for preset, changed in entry.presets.items():
        values = ", ".join(f"`{name}` {shown(value)}" for name, value in changed.items())
        rows += ["", f"Preset `{preset}`: {values}."]
    return "\n".join(rows)


def shown(value: Any) -> str:
    """A value as it is typed behind a question mark; small ones that are whole levels of 255 say so."""
    if value is None or isinstance(value, bool):
        return f"`{'null' if value is None else str(value).lower()}`"
    if isinstance(value, tuple):
        return ", ".join(map(shown, value))
    if isinstance(value, float):
        levels = round(255 * value, 3)
        whole = value < 1 and len(repr(value)) > 6 and levels == round(levels, 1)
        return f"`{value:.4g}`" + (f" ({levels:g}/255)" if whole else "")
    return f"`{value}`"


@pytest.mark.parametrize("entry", PUBLISHED, ids=lambda entry: entry.name)
def test_attack_of_a_paper_has_a_page_with_its_settings(entry: AttackEntry) -> None:
    name = SHARED.get(entry.name, entry.name)
    page, table = DOCS / "attacks" / f"{name}.md", settings_table(entry)
    assert page.is_file(), f"Write {page.relative_to(DOCS.parent)}, with this table:\n{table}"
    text = page.read_text("utf-8")
    assert f"\n{table}\n\n" in text, f"Put this table into {page.relative_to(DOCS.parent)}:\n{table}"
    assert entry.paper and entry.paper in text, "The page does not cite the attack's paper."
    overview, link = (DOCS / "attacks.md").read_text("utf-8"), f"| [`{entry.name}`](attacks/{name}.md) |"
    assert link in overview, f"In the tables of docs/attacks.md, write {link}"
