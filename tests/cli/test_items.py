"""`jurat judge` on videos, on items of several images and on captions."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from PIL import Image

from ..videos import video

POLICY = ["--constitution", "colours.yaml", "--model", "colour"]


def rows(path: str) -> dict[str, dict]:
    return {row["id"]: row for row in map(json.loads, Path(path).read_text().splitlines())}


def clip(*colours: str) -> bytes:
    return video([Image.new("RGB", (32, 32), colour) for colour in colours], fps=2, each=2)


@pytest.fixture
def clips(pics) -> Path:
    folder = Path("clips")
    folder.mkdir()
    (folder / "blue.mp4").write_bytes(clip("blue", "blue"))
    (folder / "red.mp4").write_bytes(clip("blue", "red", "blue"))
    (folder / "cut.mp4").write_bytes(clip("blue", "blue")[:500])
    return folder


def test_videos_in_a_folder_are_judged_and_broken_ones_reported(clips, jurat):
    result = jurat("judge", "clips", *POLICY, "--out", "v.jsonl")
    assert result.exit_code == 0, result.output
    found = rows("v.jsonl")
    assert {id: row["outcome"] for id, row in found.items()} == {
        "clips/blue.mp4": "safe",
        "clips/red.mp4": "unsafe",
        "clips/cut.mp4": "error",
    }
    red = next(rule for rule in found["clips/red.mp4"]["rules"] if rule["id"] == "no-red")
    assert [(part["time"], part["outcome"]) for part in red["parts"]] == [
        (0.0, "kept"),
        (1.0, "broken"),
        (2.0, "kept"),
    ]
    assert found["clips/cut.mp4"]["error"].startswith("the MP4 or QuickTime ")


def test_frame_options_set_sampling_and_frames_needed(clips, jurat):
    jurat("judge", "clips/red.mp4", *POLICY, "--frames-needed", "2", "--fps", "2", "--out", "v.jsonl")
    row = rows("v.jsonl")["clips/red.mp4"]
    assert (row["frames"], row["fps"], row["outcome"]) == (6, 2.0, "unsafe")
    assert next(rule["needed"] for rule in row["rules"] if rule["id"] == "no-red") == 2
    jurat("judge", "clips/red.mp4", *POLICY, "--max-frames", "1", "--out", "w.jsonl")
    assert rows("w.jsonl")["clips/red.mp4"]["frames"] == 1


def test_resume_refuses_other_frame_options(clips, jurat):
    assert jurat("judge", "clips", *POLICY, "--out", "run").exit_code == 0
    result = jurat("judge", "clips", *POLICY, "--fps", "2", "--out", "run")
    assert result.exit_code == 2
    assert "frames: [1.0, 32, None] -> [2.0, 32, None]" in result.output


def test_gravest_hash_list_match_of_several_images_decides(pics, jurat):
    import hashlib

    Image.new("RGB", (8, 8), "blue").save("a.png")
    Image.new("RGB", (8, 8), "navy").save("b.png")
    Path("t.jsonl").write_text('{"images": ["a.png", "b.png"]}\n{"images": ["a.png", "a.png"]}\n')
    digest = {name: hashlib.sha256(Path(f"{name}.png").read_bytes()).hexdigest() for name in "ab"}
    for label, lines in (
        ("blocked", [f"{digest['a']},good,allow,", f"{digest['b']},bad,block,sealed"]),
        ("allowed", [f"{digest['a']},good,allow,"]),
    ):
        Path("known.csv").write_text("sha256,label,action,handling\n" + "\n".join(lines) + "\n")
        jurat("judge", "t.jsonl", *POLICY, "--known", "known.csv", "--out", f"{label}.jsonl")
    blocked, allowed = rows("blocked.jsonl"), rows("allowed.jsonl")
    assert [(r["outcome"], r["basis"], r["handling"]) for _, r in sorted(blocked.items())] == [
        ("unsafe", "known_match", "sealed"),
        ("safe", "known_match", None),
    ]
    assert [row["basis"] for _, row in sorted(allowed.items())] == ["model", "known_match"]


def test_allowed_picture_is_judged_for_rules_about_its_caption(pics, jurat):
    import hashlib

    Image.new("RGB", (8, 8), "blue").save("a.png")
    digest = hashlib.sha256(Path("a.png").read_bytes()).hexdigest()
    Path("known.csv").write_text(f"sha256,label,action\n{digest},good,allow\n")
    Path("words.yaml").write_text(
        "name: w\nrules:\n  - rule: No red.\n    clauses: [{statement: It is red., about: caption}]\n"
    )
    Path("t.csv").write_text("path,caption\na.png,red\n")
    judged = jurat(
        "judge", "t.csv", "-c", "words.yaml", "-m", "null", "--known", "known.csv", "--out", "v.jsonl"
    )
    assert judged.exit_code == 0, judged.output
    (row,) = rows("v.jsonl").values()
    assert (row["basis"], row["caption"]) == ("model", "red")
