"""Videos: one verdict each, broken in k of m frames, with the times where a rule is broken."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from jurat.constitution import load_constitution
from jurat.content import Item
from jurat.errors import JuratError
from jurat.judge import Judge, row_to_verdict, verdict_to_row
from jurat.judge.aggregation import frames_needed
from jurat.judge.calibrate.calibration import load_calibration
from jurat.judge.calibrate.fit import fit
from jurat.judge.calibrate.videos import ALARMS, fit_frames
from jurat.media import Sampling
from jurat.pictograms import cases

from ..videos import video
from .test_aggregation import png
from .tinted import Tinted, law, red


def clip(shares: list[float], **options: object) -> bytes:
    """A second for each picture."""
    return video([red(share, 32) for share in shares], fps=2, each=2, crf="1", **options)  # pyright: ignore


def test_video_verdict_names_the_times_of_broken_frames() -> None:
    judge = Judge(law(), Tinted(), "quick")
    verdict = judge.judge(clip([0.1, 0.2, 0.9, 0.1, 0.8, 0.1]))
    assert (verdict.kind, verdict.outcome, verdict.frames) == ("video", "unsafe", 6)
    assert (verdict.duration, verdict.fps, verdict.width, verdict.images) == (6.0, 1.0, 32, ())
    (rule,) = verdict.rules
    assert [part.time for part in rule.parts] == [0, 1, 2, 3, 4, 5]
    assert [part.index for part in rule.parts if part.outcome == "broken"] == [2, 4]
    assert (rule.frame, rule.agreeing, rule.needed) == (2, 2, 1)
    assert row_to_verdict(verdict_to_row(verdict)).rules[0].parts[2].time == 2


def test_long_videos_need_several_broken_frames_by_default() -> None:
    data = clip([0.1] * 10 + [0.9] + [0.1] * 9)
    assert frames_needed(20) == 2
    kept = Judge(law(), Tinted(), "quick").judge(data)
    assert (kept.outcome, kept.rules[0].needed, kept.rules[0].agreeing) == ("safe", 2, 19)
    assert [part.time for part in kept.rules[0].parts if part.outcome == "broken"] == [10]
    told = Judge(law(), Tinted(), "quick", frames_needed=1).judge(data)
    assert (told.outcome, told.rules[0].needed, told.frame) == ("unsafe", 1, 10)
    fewer = Judge(law(), Tinted(), "quick", sampling=Sampling(fps=0.1)).judge(data)
    assert (fewer.outcome, fewer.frames, fewer.fps) == ("unsafe", 2, 0.1)


def test_video_among_images_needs_its_own_number_of_frames() -> None:
    judge = Judge(law(), Tinted(), "quick")
    data = clip([0.1] * 10 + [0.9] + [0.1] * 9)
    assert judge.judge(Item([data, red(0.1)])).outcome == "safe"
    both = judge.judge(Item([data, red(0.9)]))
    assert (both.outcome, both.kind, both.frame, both.rules[0].needed) == ("unsafe", "images", 1, 1)
    assert (both.rules[0].parts[10].index, both.rules[0].parts[10].frame) == (0, 10)


def test_undecodable_video_is_an_error_and_others_are_judged() -> None:
    whole = clip([0.9, 0.9])
    items = [Item([lambda d=data: d], str(i)) for i, data in enumerate((whole, whole[:300], whole))]
    found = list(Judge(law(), Tinted(), "quick").stream(items))
    assert [verdict.outcome for verdict in found] == ["unsafe", "error", "unsafe"]
    assert found[1].error is not None and found[1].error.startswith("the MP4 or QuickTime ")


@pytest.mark.slow
def test_bundled_model_finds_the_broken_frame_of_a_video() -> None:
    constitution = load_constitution("shelf:nursery")
    rng = np.random.default_rng(5)
    rule = constitution.rules[0]
    bad = cases.draw_case(constitution, rule, "broken", rng)
    good = cases.draw_case(constitution, rule, "near miss", rng)
    data = video([case.scene.image for case in (good, bad, good)], fps=2, each=2, crf="4")
    verdict = Judge(constitution, "bundled", "quick").judge(data)
    assert (verdict.kind, verdict.frames) == ("video", 3)
    found = next(finding for finding in verdict.rules if finding.id == rule.id)
    assert [part.outcome == "broken" for part in found.parts] == [False, True, False]


# --- calibration on whole videos -----------------------------------------------------------------


def test_labelled_videos_determine_how_many_frames_are_needed() -> None:
    """100 videos of 20 frames keep the rule: 60 have no false alarm, 30 have one, 10 have two."""
    others = [(0, 20, False)] * 60 + [(1, 20, False)] * 30 + [(2, 20, False)] * 10
    found = fit_frames([*others, (2, 20, True), (9, 20, True)], 0.05)
    assert found.alarm in ALARMS
    assert found.needed(20) == 3
    assert (found.violations, found.others, found.missed) == (2, 100, 1)
    clean = fit_frames([(0, 20, False)] * 100, 0.05)
    assert clean.needed(20) == 1


def test_too_few_videos_leave_the_default_number_of_frames() -> None:
    found = fit_frames([(0, 20, False)] * 58 + [(9, 20, True)], 0.05)
    assert (found.alarm, found.needed(20), found.missed) == (None, frames_needed(20), 0)
    assert fit_frames([(0, 20, False)] * 59, 0.05).alarm is not None


def test_judge_follows_a_calibration_on_videos(tmp_path: Path) -> None:
    quiet, loud = clip([0.1] * 12), clip([0.9, 0.9] + [0.1] * 10)
    videos = [Item([lambda d=data: d], f"v{i}") for i, data in enumerate([quiet] * 40 + [loud] * 20)]
    images = [Item([lambda i=i: png(red(0.1 + i / 200))], f"i{i}") for i in range(20)]
    labels = {item.id: frozenset[str]() for item in videos}
    judge = Judge(law(), Tinted(), "quick", batch_size=64)
    found = fit(judge, [*images, *videos], labels, max_false_alarm=0.1)
    assert found.frames["red"].others == 60
    needed = found.frames["red"].needed(12)
    assert needed == 3
    found.calibration.save(tmp_path / "c.json")
    calibration = load_calibration(tmp_path / "c.json")
    assert calibration.frame_alarms == found.calibration.frame_alarms
    verdict = Judge(law(), Tinted(), "quick", calibration=calibration).judge(loud)
    assert (verdict.outcome, verdict.rules[0].needed) == ("safe", 3)
    assert Judge(law(), Tinted(), "quick").judge(loud).outcome == "unsafe"


def test_calibration_without_videos_has_no_frame_alarms(tmp_path: Path) -> None:
    images = [Item([lambda i=i: png(red(i / 30))], f"i{i}") for i in range(20)]
    found = fit(Judge(law(), Tinted(), "quick"), images)
    found.calibration.save(tmp_path / "c.json")
    assert "frame_alarms" not in (tmp_path / "c.json").read_text()
    assert found.frames == {}
    with pytest.raises(JuratError, match="None of the labels belongs to one of the images"):
        fit(Judge(law(), Tinted(), "quick"), images, {"other": frozenset()})
