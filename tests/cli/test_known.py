"""`jurat judge --known` and `--reuse-near`: verdicts without a model, and sealed items."""

from __future__ import annotations

import hashlib
import json
from pathlib import Path

import numpy as np
from PIL import Image

from jurat.judge import row_to_verdict
from jurat.runs import read_rows

POLICY = ["--constitution", "colours.yaml", "--model", "colour"]


def listed(*rows: tuple[str, str, str, str]) -> None:
    lines = ["sha256,label,action,handling"]
    for path, label, action, handling in rows:
        lines.append(f"{hashlib.sha256(Path(path).read_bytes()).hexdigest()},{label},{action},{handling}")
    Path("known.csv").write_text("\n".join(lines) + "\n")


def judged(out: str = "run") -> dict[str, dict]:
    return {row["id"]: row for row in read_rows(out)}


def test_hash_list_match_decides_without_the_model(pics, jurat):
    listed(("pics/red-1.png", "logo", "allow", ""), ("pics/blue-1.jpg", "series 7", "block", "sealed"))
    result = jurat("judge", "pics", *POLICY, "--known", "known.csv", "--out", "run")
    assert result.exit_code == 0, result.output
    rows = judged()
    assert len(rows) == 7
    told = {name: (row["outcome"], row["basis"], row["label"], row["handling"]) for name, row in rows.items()}
    assert told["pics/red-1.png"] == ("safe", "known_match", "logo", None)
    assert told["pics/blue-1.jpg"] == ("unsafe", "known_match", "series 7", "sealed")
    assert told["pics/green.png"] == ("unsafe", "model", None, None)
    assert rows["pics/broken.png"]["outcome"] == "error"
    assert (rows["pics/blue-1.jpg"]["rules"], rows["pics/blue-1.jpg"]["distance"]) == ([], 0)
    assert row_to_verdict(rows["pics/blue-1.jpg"]).explain() == (
        "It is known content that a list blocks, labelled “series 7”. No model looked at it."
    )


def test_hash_list_match_records_several_images_and_videos(pics, jurat):
    Path("pics/clip.mp4").write_bytes(bytes((0, 0, 0, 24)) + b"ftypisom" + bytes(100))
    rows = [{"images": ["pics/red-1.png", "pics/green.png"]}, {"images": ["pics/clip.mp4"]}]
    Path("t.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    listed(("pics/green.png", "series 7", "block", ""), ("pics/clip.mp4", "series 8", "block", ""))
    assert jurat("judge", "t.jsonl", *POLICY, "--known", "known.csv", "--out", "run").exit_code == 0
    two, clip = judged().values()
    digests = [hashlib.sha256(Path(name).read_bytes()).hexdigest() for name in rows[0]["images"]]
    assert (two["kind"], two["basis"], clip["kind"], clip["images"]) == ("images", "known_match", "video", [])
    assert [(image["uri"], image["sha256"]) for image in two["images"]] == [
        (str(Path(name).absolute()), digest) for name, digest in zip(rows[0]["images"], digests, strict=True)
    ]
    assert two["sha256"] == hashlib.sha256("\n".join(digests).encode()).hexdigest()


def test_model_is_never_asked_about_known_content(pics, jurat):
    for path in [*Path("pics").rglob("*.png")]:
        path.unlink()
    listed(("pics/blue-1.jpg", "a", "allow", ""), ("pics/deep/blue-2.webp", "b", "block", ""))
    result = jurat(
        "judge", "pics", "-c", "colours.yaml", "-m", "null?crash=1", "--known", "known.csv", "--out", "run"
    )
    assert result.exit_code == 0, result.output
    assert {row["outcome"] for row in judged().values()} == {"safe", "unsafe"}


def test_sealed_items_are_left_out_of_the_page(pics, jurat):
    listed(("pics/blue-1.jpg", "series 7", "block", "sealed"))
    jurat("judge", "pics/blue-1.jpg", "pics/green.png", *POLICY, "--known", "known.csv", "--out", "run")
    assert jurat("report", "run", "--out", "page.html").exit_code == 0
    page = "".join(path.read_text("utf-8", "replace") for path in Path().glob("page*") if path.is_file())
    jurat("judge", "pics/blue-1.jpg", "pics/green.png", *POLICY, "--out", "open")
    jurat("report", "open", "--out", "open.html")
    shown = Path("open.html").read_text()
    assert shown.count("data:image/webp;base64,") == page.count("data:image/webp;base64,") + 1


def test_resume_refuses_another_hash_list(pics, jurat):
    listed(("pics/red-1.png", "logo", "allow", ""))
    jurat("judge", "pics", *POLICY, "--known", "known.csv", "--out", "run")
    result = jurat("judge", "pics", *POLICY, "--out", "run")
    assert (result.exit_code, "known: " in result.stderr) == (2, True)


def test_near_duplicates_reuse_a_verdict(pics, jurat, tmp_path):
    dice = np.random.default_rng(1)
    coarse = Image.fromarray(dice.integers(0, 256, (8, 8, 3), dtype=np.uint8))
    picture = coarse.resize((256, 256), Image.Resampling.BICUBIC)
    folder = tmp_path / "near"
    folder.mkdir()
    picture.save(folder / "a.png")
    picture.save(folder / "b.jpg", quality=90)
    picture.resize((200, 200)).save(folder / "c.png")
    args = ["judge", "near", "-c", "colours.yaml", "-m", "null", "--batch-size", "1"]
    assert jurat(*args, "--reuse-near", "20", "--out", "run").exit_code == 0
    rows = judged()
    first = rows["near/a.png"]
    assert first["reused"] is None
    for name in ("near/b.jpg", "near/c.png"):
        assert rows[name]["reused"] == first["decision"]
        assert (rows[name]["outcome"], rows[name]["rules"]) == (first["outcome"], first["rules"])
        assert rows[name]["decision"] != first["decision"]
        assert (rows[name]["width"], rows[name]["height"]) == Image.open(name).size
        assert rows[name]["sha256"] == hashlib.sha256(Path(name).read_bytes()).hexdigest()
    jurat(*args, "--out", "apart")
    assert {row["reused"] for row in judged("apart").values()} == {None}
