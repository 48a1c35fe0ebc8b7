"""Every defense has a page in docs/defenses, whose table of settings is that of the code."""

from __future__ import annotations

from dataclasses import fields
from pathlib import Path
from typing import Any, Literal, get_args, get_origin, get_type_hints

import pytest

from jurat.defenses import DEFENSES
from jurat.registry import Entry

from .test_attack_pages import shown

DOCS = Path(__file__).parents[2] / "docs"
OURS = [entry for entry in DEFENSES if not entry.is_plug_in]
PARTS = ["What is done", "Settings", "Differences and traps", "Price", "Results", "Citation"]


def settings_table(entry: Entry) -> str:
    """The settings of a defense, as its page shows them."""
    kind: Any = entry.load("The defense")
    hints = get_type_hints(kind)
    rows = [
        f"| setting of `{entry.name}` | default | [from](../defenses.md#which-defenses) | meaning |",
        "|---|---|---|---|",
    ]
    for each in fields(kind):
        choices = get_args(hints[each.name]) if get_origin(hints[each.name]) is Literal else ()
        meaning = each.metadata["doc"] + (f" One of {', '.join(map(shown, choices))}." if choices else "")
        default = "empty" if each.default == "" else shown(each.default)
        rows.append(f"| `{each.name}` | {default} | {each.metadata['evidence']} | {meaning} |")
    return "\n".join(rows)


@pytest.mark.parametrize("entry", OURS, ids=lambda entry: entry.name)
def test_defense_has_a_page_with_its_settings(entry: Entry) -> None:
    if entry.missing:
        pytest.skip(f"needs {', '.join(entry.missing)}")
    page, table = DOCS / "defenses" / f"{entry.name}.md", settings_table(entry)
    assert page.is_file(), f"Write {page.relative_to(DOCS.parent)}, with this table:\n{table}"
    text = page.read_text("utf-8")
    assert f"\n{table}\n\n" in text, f"Put this table into {page.relative_to(DOCS.parent)}:\n{table}"
    assert not entry.paper or entry.paper in text, "The page does not cite the defense's paper."
    titles = [line.removeprefix("## ") for line in text.splitlines() if line.startswith("## ")]
    assert [title for title in titles if title in PARTS] == PARTS
    overview, link = (DOCS / "defenses.md").read_text("utf-8"), f"[`{entry.name}`](defenses/{entry.name}.md)"
    assert f"| {link} |" in overview, f"In the table of docs/defenses.md, write {link}"


def test_no_page_is_of_a_defense_that_is_gone() -> None:
    assert {page.stem for page in (DOCS / "defenses").glob("*.md")} == {entry.name for entry in OURS}
