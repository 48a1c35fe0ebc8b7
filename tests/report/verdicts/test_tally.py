"""Counting verdicts."""

from __future__ import annotations

from jurat.report import Tally


def test_tally_counts_items_rules_and_reasons(verdict):
    tally = Tally.of([("blade", "high"), ("fire", "critical"), ("never-named", "low")])
    for number, outcome in enumerate(("unsafe", "unsafe", "safe", "unsure", "error")):
        tally.add(verdict(f"{number}.png", outcome, image=None))
    assert tally.items == 5
    assert dict(tally.outcomes) == {"unsafe": 2, "safe": 1, "unsure": 1, "error": 1}
    assert dict(tally.reasons) == {("unsure", "margin"): 1, ("error", "error"): 1}
    counted = {rule.id: (rule.severity, dict(rule.outcomes)) for rule in tally.rules}
    assert counted == {
        "blade": ("high", {"broken": 2, "kept": 2}),
        "fire": ("critical", {"kept": 3, "undecided": 1}),
        "never-named": ("low", {}),
    }


def test_rules_are_sorted_by_broken_items_then_severity_then_order(verdict):
    tally = Tally.of([("b", "low"), ("a", "low"), ("none", None), ("fire", "critical"), ("blade", "high")])
    tally.add(verdict("x.png", "unsafe", image=None))
    assert [rule.id for rule in tally.rules] == ["blade", "fire", "b", "a", "none"]


def test_partly_judged_items_that_are_not_unsafe_are_counted(verdict):
    cases = {
        "an image": ({"frames": 1, "frames_in_file": 1}, 0),
        "all frames": ({"frames": 32, "frames_in_file": 32}, 0),
        "some frames": ({"frames": 32, "frames_in_file": 120}, 1),
        "an older record": ({"frames": 32}, 0),
        "a video whole": ({"frames": 5, "duration": 5.9, "fps": 1.0}, 0),
        "a video in part": ({"frames": 32, "duration": 600.0, "fps": 1.0}, 1),
    }
    for name, (facts, expected) in cases.items():
        for outcome, counts in (("safe", 1), ("unsure", 1), ("unsafe", 0)):
            tally = Tally()
            tally.add(verdict("x.gif", outcome, image=None, **facts))
            assert tally.in_part == expected * counts, (name, outcome)


def test_number_of_different_notes_is_limited(verdict):
    tally = Tally()
    for number in range(100):
        tally.add(verdict("x.png", image=None, note="always the same"))
        tally.add(verdict("x.png", image=None, note=f"number {number}"))
    assert tally.notes["always the same"] == 100
    assert len(tally.notes) == 5
