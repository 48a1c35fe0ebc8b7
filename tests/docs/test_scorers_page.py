"""The page on scorers has every scorer that there is."""

from pathlib import Path

from jurat.scorers import SCORERS

PAGE = Path(__file__).parents[2] / "docs" / "scorers.md"


def test_table_is_that_of_the_registry():
    rows = ["| scorer | what it says | labels | definition |", "|---|---|---|---|"]
    for entry in SCORERS:
        if not entry.is_plug_in:
            labels = ", ".join(f"`{label}`" for label in entry.labels) or "yours"
            paper = f" ({entry.paper})" if entry.paper else ""
            rows.append(f"| `{entry.usage}` | {entry.summary} | {labels} | {entry.definition}{paper} |")
    table = "\n".join(rows)
    assert f"\n{table}\n\n" in PAGE.read_text("utf-8"), f"Put this table into {PAGE.name}:\n{table}"
