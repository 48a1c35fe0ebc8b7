"""Two runs: what flips."""

from __future__ import annotations

import json

import pytest

from jurat.errors import JuratError
from jurat.report import compare_reports, find_flips, write_ticket
from jurat.report.verdicts.read_run import Run

from ..conftest import BLADE, FIRE, NO_BLADE


@pytest.fixture
def runs(verdict, record):
    """Four items in both, one in each alone; one flips to unsafe, one by a rule only."""
    same, blade, fire = verdict("same.png"), verdict("blade.png"), verdict("fire.png", "unsure")
    twice = verdict("twice.png", image=None)
    new_blade = verdict("blade.png", "unsafe", model="null@other")
    old = record(same, blade, fire, twice, twice, verdict("old.png"), name="old.jsonl")
    rules = (NO_BLADE.model_copy(update={"outcome": "undecided", "reason": "margin", "score": 0.5}), FIRE)
    new = record(
        verdict("new.png"),
        twice,
        new_blade,
        same,
        twice,
        fire.model_copy(update={"rules": rules}),
        name="new.jsonl",
    )
    return old, new


def test_flips_are_counted_by_outcome_and_by_rule(runs):
    flips = find_flips(*map(Run.at, runs))
    assert (flips.both, flips.flips, flips.only_old, flips.only_new) == (5, 1, 1, 1)
    assert {k: n for k, n in flips.moves.items() if k[0] != k[1]} == {("safe", "unsafe"): 1}
    assert list(flips.keys) == [("blade.png", 0), ("fire.png", 0)]
    counted = {rule.id: (rule.gained, rule.lost, rule.other) for rule in flips.by_rule}
    assert counted == {"blade": (1, 0, 1), "fire": (0, 0, 0)}
    assert flips.differing("reviewer") == [("Model", "null@none", "null@none, null@other")]


def test_rules_of_only_one_run_are_marked(verdict, record, tmp_path):
    fire = FIRE.model_copy(update={"severity": "low"})
    unsafe, error = verdict("a.png", "unsafe"), verdict("e.png", "error")
    without = {"rules": (BLADE,), "outcome": "unsafe", "broken": ("blade",)}
    old = record(verdict("a.png", rules=(fire,), outcome="unsure"), error, verdict("x.png"), name="old.jsonl")
    new = record(
        unsafe.model_copy(update=without),
        verdict("e.png"),
        error.model_copy(update={"id": "x.png"}),
        name="new.jsonl",
    )
    flips = find_flips(Run.at(old), Run.at(new))
    told = {rule.id: (rule.only, rule.severity, rule.gained, rule.lost, rule.other) for rule in flips.by_rule}
    # What could not be judged in one of the runs tells nothing of rules.
    assert told == {"blade": ("second", "high", 1, 0, 0), "fire": ("first", "low", 0, 0, 0)}
    compare_reports(old, new, tmp_path / "page.html")
    assert (
        '<bdi>blade</bdi> <span class="aside">only in the second run</span>'
        in (tmp_path / "page.html").read_text()
    )
    write_ticket(old, tmp_path / "t.md", "md", other=new)
    assert "| fire (only in the first run) | low |" in (tmp_path / "t.md").read_text()


def test_items_are_paired_by_id_and_occurrence(verdict, record):
    first, second = (
        verdict("twice.png", outcome).model_copy(update={"occurrence": number})
        for number, outcome in enumerate(("safe", "unsafe"))
    )
    old, new = record(first, second, name="old.jsonl"), record(second, first, name="new.jsonl")
    flips = find_flips(Run.at(old), Run.at(new))
    assert (flips.both, flips.flips, list(flips.keys)) == (2, 0, [])
    gone = record(second, name="gone.jsonl")
    flips = find_flips(Run.at(old), Run.at(gone))
    assert (flips.both, flips.flips, flips.only_old, flips.only_new) == (1, 0, 1, 0)


def test_page_of_flips_has_the_explanations_of_both_runs(runs, tmp_path):
    out = tmp_path / "page.html"
    page, flips = compare_reports(*runs, out)
    assert (page.items, page.shown, flips.flips) == (2, 2, 1)
    told = out.read_text()
    assert "1</em> of 5 verdicts flips." in told
    assert '"names":["blade.png","fire.png"]' in told and '"before":{"decision"' in told


def test_sealed_flips_are_counted_only(runs, tmp_path):
    old, new = runs
    rows = [json.loads(line) for line in new.read_text().splitlines()]
    for row in rows:
        row["handling"] = "sealed" if row["id"] == "blade.png" else None
    new.write_text("".join(json.dumps(row) + "\n" for row in rows))
    page, _ = compare_reports(old, new, tmp_path / "page.html")
    assert (page.items, page.sealed) == (1, 1)
    assert "blade.png" not in (tmp_path / "page.html").read_text()


def test_runs_without_common_items_are_refused(verdict, record, tmp_path):
    a, b = record(verdict("a.png"), name="a.jsonl"), record(verdict("b.png"), name="b.jsonl")
    with pytest.raises(JuratError, match="no item in common"):
        compare_reports(a, b, tmp_path / "page.html")
    assert not (tmp_path / "page.html").exists()
