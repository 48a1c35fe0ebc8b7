"""Tickets, with text that spreadsheets and wikis do not interpret; and figures."""

from __future__ import annotations

import csv
import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from jurat.errors import JuratError
from jurat.report import write_figures, write_ticket
from jurat.report.verdicts.safe_cells import cell, inline


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("=1+1", "'=1+1"),
        ("+1", "'+1"),
        ("-1", "'-1"),
        ("@SUM(A1)", "'@SUM(A1)"),
        ("\t=1", r"'\t=1"),
        ("  =1", "'  =1"),
        ("＝1", "'＝1"),
        ("a=b", "a=b"),
        ("", ""),
        (None, ""),
        (0.5, "0.5"),
    ],
)
def test_formula_prefixes_are_escaped(text, shown):
    assert cell(text) == shown


@given(st.text(st.characters()))
def test_no_text_makes_a_cell_a_formula(text):
    assert not cell(text).lstrip().startswith(("=", "+", "-", "@", "\t", "\r"))


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("a|b", r"a\|b"),
        ("<img src=x>", r"\<img src=x\>"),
        ("@someone #1", r"@<!-- -->someone \#1"),
        ("[x](http://y)", r"\[x\](http:<!-- -->//y)"),
        ("&lt;", "&amp;lt;"),
        ("two\nlines", r"two\\nlines"),
        ("www.x.y", "www<!-- -->.x.y"),
    ],
)
def test_markdown_is_escaped(text, shown):
    assert inline(text) == shown


def test_csv_has_a_row_for_each_item_with_carried_columns(verdict, record, tmp_path):
    path = record(verdict("=cmd.png", "unsafe"), verdict("b.png"), verdict("sealed.png"))
    rows = [json.loads(line) for line in path.read_text().splitlines()]
    rows[1]["columns"] = {"city": "-Bern"}
    rows[2]["handling"] = "sealed"
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))
    assert write_ticket(path, tmp_path / "t.csv", "csv", reader="user") == 3
    with (tmp_path / "t.csv").open(newline="") as file:
        first, second = csv.DictReader(file)
    assert (first["id"], first["outcome"], first["broken"], first["score"]) == (
        "'=cmd.png",
        "unsafe",
        "blade",
        "0.9000",
    )
    assert first["why"].startswith("This image was found to be against the rule blade.")
    assert (second["column city"], first["column city"]) == ("'-Bern", "")
    assert "sealed.png" not in (tmp_path / "t.csv").read_text()


def test_markdown_has_facts_rules_reasons_and_the_gravest_items(verdict, record, tmp_path):
    verdicts = [verdict(f"{n}.png", o) for n, o in enumerate(["safe", "unsure", "unsafe", "unsafe"])]
    write_ticket(record(*verdicts), tmp_path / "t.md", "md", limit=2)
    told = (tmp_path / "t.md").read_text()
    assert told.startswith(
        "# 2 of 4 images break a rule of the policy nursery\n\n2 unsafe, 1 unsure, 0 error, 1 safe.\n"
    )
    assert "| Model | null@<!-- -->none |" in told
    assert "| blade | high | 2 | 0 | 2 | 50.0% (15.0–85.0) |" in told
    assert "| unsure | margin | the scores lie between the thresholds | 1 |" in told
    assert told.count("- **unsafe** ") == 2 and "1 more is in the record." in told


@pytest.mark.parametrize("format", ["md", "csv"])
def test_ticket_of_two_runs_lists_flips(verdict, record, tmp_path, format):
    old = record(verdict("a.png"), verdict("b.png"), name="old.jsonl")
    new = record(verdict("a.png", "unsafe"), verdict("b.png"), name="new.jsonl")
    out = tmp_path / f"t.{format}"
    assert write_ticket(old, out, format, other=new) == 2
    told = out.read_text()
    if format == "md":
        assert told.startswith("# 1 of 2 verdicts flips\n")
        assert "- a.png: safe → **unsafe** (blade kept → broken). It breaks blade" in told
    else:
        (row,) = csv.DictReader(told.splitlines())
        assert (row["id"], row["before"], row["after"], row["broken after"]) == (
            "a.png",
            "safe",
            "unsafe",
            "blade",
        )


def test_existing_ticket_is_not_replaced(verdict, record, tmp_path):
    (tmp_path / "t.md").write_text("mine")
    with pytest.raises(JuratError, match="already exists"):
        write_ticket(record(verdict("a.png")), tmp_path / "t.md", "md")
    with pytest.raises(JuratError, match="holds no verdicts"):
        write_ticket(record(name="none.jsonl"), tmp_path / "u.md", "md")
    assert not (tmp_path / "u.md").exists()


def test_figures_are_drawn_as_png(verdict, record, tmp_path):
    pytest.importorskip("matplotlib", reason="matplotlib is not installed (the extra 'bench')")
    from PIL import Image

    paths = write_figures(
        record(verdict("a.png", "unsafe"), verdict("b.png", "unsure")), tmp_path / "figures"
    )
    assert [path.name for path in paths] == ["outcomes.png", "rules.png", "scores.png"]
    for path in paths:
        with Image.open(path) as image:
            assert image.format == "PNG" and min(image.size) > 200
