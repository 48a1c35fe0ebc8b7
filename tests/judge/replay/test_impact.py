"""What a change does to a run equals what judging everything anew finds."""

from __future__ import annotations

import random
from collections import Counter
from collections.abc import Iterator
from typing import Any

import pytest

from jurat.constitution import Constitution
from jurat.errors import JuratError
from jurat.judge import PRESETS, verdict_to_row
from jurat.judge.preset_settings import preset_named
from jurat.judge.removed_parts import REMOVED
from jurat.judge.replay.impact import Change, Impact, measure
from jurat.judge.verdict import Verdict

from ..drawn import LAW, judged
from .test_redecide import edited, with_thresholds

SEEDS = range(40)


def rows(preset: str = "jurat") -> Iterator[dict[str, Any]]:
    for seed in SEEDS:
        yield verdict_to_row(judged(preset, seed)) | {"id": str(seed)}


def anew(preset: str, law: Constitution) -> dict[str, Verdict]:
    return {str(seed): judged(preset, seed, law) for seed in SEEDS}


def agrees(found: Impact, after: dict[str, Verdict], preset: str) -> None:
    before = anew(preset, LAW)
    changes = Counter((before[id].outcome, after[id].outcome) for id in after)
    assert found.changes == changes
    assert found.flipped == sum(n for (a, b), n in changes.items() if a != b)
    assert {flip.id for flip in found.flips if flip.of_item} == {
        id for id in after if before[id].outcome != after[id].outcome
    }
    for flip in found.flips:
        was = {rule.id: rule.outcome for rule in before[flip.id].rules}
        is_ = {rule.id: rule.outcome for rule in after[flip.id].rules}
        assert flip.rules == tuple(
            (id, was.get(id, "absent"), is_.get(id, "absent"))
            for id in dict.fromkeys((*was, *is_))
            if was.get(id) != is_.get(id)
        )


@pytest.mark.parametrize("preset", ["jurat", "quick", "clue-quick", "direct"])
@pytest.mark.parametrize("draw", range(4))
def test_impact_of_thresholds_needs_no_model(preset: str, draw: int) -> None:
    new = with_thresholds(random.Random(draw))
    found = measure(rows(preset), Change(LAW, new, PRESETS[preset]), None)
    assert (found.items, found.recorded, found.asked, found.open) == (len(SEEDS), len(SEEDS), 0, 0)
    agrees(found, anew(preset, new), preset)


@pytest.mark.parametrize("preset", ["jurat", "clue"])
@pytest.mark.parametrize("draw", range(4))
def test_impact_judges_only_items_that_lack_evidence(preset: str, draw: int) -> None:
    new = edited(random.Random(draw))
    after, asked = anew(preset, new), list[str]()

    def judge(verdicts: list[Verdict]) -> Iterator[Verdict]:
        for verdict in verdicts:
            asked.append(verdict.id)
            yield after[verdict.id]

    found = measure(rows(preset), Change(LAW, new, PRESETS[preset]), judge)
    assert found.asked == len(asked) == len(SEEDS) - found.recorded
    agrees(found, after, preset)


def test_sample_bounds_the_share_of_open_items_that_flip() -> None:
    preset, new = "clue", edited(random.Random(1))
    after = anew(preset, new)
    change = Change(LAW, new, PRESETS[preset])
    whole = measure(rows(preset), change, None)
    assert whole.open > 8
    assert whole.open_share is None
    drawn = [
        measure(rows(preset), change, lambda some: [after[v.id] for v in some], sample=8, seed=s)
        for s in range(2)
    ]
    for found in drawn:
        assert (found.asked, found.open) == (8, whole.open - 8)
        assert found.open_share is not None
        assert found.open_share.low <= found.asked_flips / 8 <= found.open_share.high
    assert [f.id for f in drawn[0].flips] != [f.id for f in drawn[1].flips]


def test_items_that_cannot_be_judged_again_are_no_flips() -> None:
    preset, new = "clue", edited(random.Random(1))
    after, change = anew(preset, new), Change(LAW, edited(random.Random(1)), PRESETS[preset])
    gone = {"outcome": "error", "error": "no such file", "rules": (), "broken": (), "sha256": None}
    another, fewer = {"sha256": "0" * 64}, {"frames": 3}

    def judge(verdicts: list[Verdict], *, otherwise: dict[str, Any]) -> list[Verdict]:
        return [
            after[v.id].model_copy(update=otherwise if number % 2 else {})
            for number, v in enumerate(verdicts)
        ]

    whole = measure(rows(preset), change, lambda some: judge(some, otherwise={}))
    for otherwise, why in (
        (gone, "no such file"),
        (another, "it is not the image that was judged"),
        (fewer, "3 frames of it would be judged, and 1 were"),
    ):
        found = measure(rows(preset), change, lambda some, o=otherwise: judge(some, otherwise=o))
        assert found.failed == found.open == whole.asked // 2 > 3
        assert found.asked + found.failed == whole.asked
        assert found.why.endswith(f": {why}")
        assert {flip.id for flip in found.flips} < {flip.id for flip in whole.flips}
        assert not any(after == "error" for _, after in found.changes)


def test_run_under_another_constitution_is_refused() -> None:
    other = LAW.model_copy(update={"rules": LAW.rules[:2]})
    with pytest.raises(JuratError, match=r"was judged under 'law@.*given as the old one is law@"):
        measure(rows(), Change(other, LAW, PRESETS["jurat"]))


@pytest.mark.parametrize("name", ["jurat", "clue-quick", "clue-no-regions-no-crop"])
def test_recorded_preset_name_gives_the_preset(name: str) -> None:
    assert preset_named(name).name == name
    with pytest.raises(JuratError, match="no preset"):
        preset_named("yesterday")


@pytest.mark.parametrize("part", REMOVED)
def test_preset_name_with_a_removed_part_is_refused(part: str) -> None:
    with pytest.raises(JuratError, match=f"This record was made with `{part}`, which jurat no longer has."):
        preset_named(f"jurat-no-views+{part}")
    assert preset_named(f"jurat-no-{part}-no-views") == preset_named("jurat-no-views"), "it was made without"
