"""`jurat constitution impact` on a real run: its output, files, refusals and exit codes."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from PIL import Image
from typer.testing import CliRunner, Result

from jurat.cli import app
from jurat.runs import read_rows

POLICY = """
name: p
rules:
  - id: dog
    rule: No dog.
    clauses: [A dog is visible.]
  - id: cat
    rule: No cat on a dog.
    clauses: [A cat is visible., A dog is visible.]
"""


def run(*arguments: str) -> Result:
    return CliRunner(env={"COLUMNS": "300"}).invoke(app, list(arguments))


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("impact")
    (folder / "images").mkdir()
    for i in range(24):
        Image.new("RGB", (8, 8), (i * 10, 0, 99)).save(folder / "images" / f"{i:02}.png")
    (folder / "old.yaml").write_text(POLICY)
    how = ("-c", str(folder / "old.yaml"), "--model", "null", "--preset", "quick", "--quiet")
    judged = run("judge", str(folder / "images"), *how, "--out", str(folder / "run.jsonl"))
    assert judged.exit_code == 0, judged.output
    return folder


def impact(place: Path, policy: str, *more: str, old: str = "old.yaml") -> Result:
    (place / "new.yaml").write_text(policy)
    command = ("constitution", "impact", str(place / old), str(place / "new.yaml"))
    return run(*command, "--run", str(place / "run.jsonl"), *more)


def test_unchanged_policy_flips_nothing(place: Path) -> None:
    told = impact(place, POLICY, "--out", str(place / "none.jsonl"))
    assert told.exit_code == 0 and "To look at them" not in told.output
    assert "24 items: 24 decided from their records, 0 judged anew\n0 flip (0.0%)" in told.output


def test_changed_thresholds_flip_and_are_counted(place: Path) -> None:
    policy = POLICY.replace("rule: No dog.", "rule: No dog.\n    keep_below: 0.01\n    break_above: 0.02")
    told = json.loads(impact(place, policy, "--json", "--out", str(place / "flips.jsonl")).output)
    assert told["asked"] == told["open"] == 0
    assert told["old"] == told["new"]
    assert told["thresholds"]["old"] != told["thresholds"]["new"]
    assert told["flips"] == sum(c["items"] for c in told["changes"] if c["before"] != c["after"]) > 0
    assert sum(change["items"] for change in told["changes"]) == 24
    flips = list(read_rows(place / "flips.jsonl"))
    after = {row["id"]: row["outcome"] for row in flips}
    assert {each["id"] for each in told["items_that_flip"]} <= after.keys()
    assert all(after[each["id"]] == each["after"] != each["before"] for each in told["items_that_flip"])


def test_new_statement_is_judged_by_the_model_of_the_run(place: Path) -> None:
    policy = POLICY.replace("[A cat is visible., A dog is visible.]", "[A bird is visible.]")
    told = json.loads(impact(place, policy, "--json").output)
    assert (told["recorded"], told["asked"], told["open"]) == (0, 24, 0)
    counted = json.loads(impact(place, policy, "--json", "--no-ask").output)
    assert (counted["asked"], counted["open"]) == (0, 24)
    sampled = impact(place, policy, "--sample", "6").output
    assert "0 decided from their records, 6 judged anew, 18 not" in sampled
    assert "95% interval" in sampled


def test_flips_above_the_limit_exit_with_1(place: Path) -> None:
    policy = POLICY.replace("rule: No dog.", "rule: No dog.\n    keep_below: 0.01\n    break_above: 0.02")
    assert impact(place, policy, "--fail-if-flips-above", "1").exit_code == 1
    assert impact(place, policy, "--fail-if-flips-above", "24").exit_code == 0


ANEW = POLICY.replace("[A cat is visible., A dog is visible.]", "[A bird is visible.]")


@pytest.mark.parametrize(
    ("options", "limit", "why"),
    [
        (("--no-ask",), 0, "24 of 24 were not decided, and may flip"),
        (("--no-ask",), 24, "24 of 24 were not decided, and may flip"),
        (("--sample", "1"), 3, "flip with 95% confidence, more than 3"),
        (("--sample", "5"), 3, "flip with 95% confidence, more than 3"),
        (("--sample", "5"), 24, None),
        (("--sample", "24"), 24, None),
        ((), 24, None),
    ],
)
def test_gate_fails_with_undecided_items(
    place: Path, options: tuple[str, ...], limit: int, why: str | None
) -> None:
    told = impact(place, ANEW, *options, "--json", "--fail-if-flips-above", str(limit))
    assert told.exit_code == (0 if why is None else 1)
    said = json.loads(told.stdout)["objection"]
    assert said is None if why is None else (why in said or "more than" in said)
    assert (why is None) == (told.stderr == "" or "--fail-if" not in told.stderr)


def test_gate_fails_with_a_missing_image(place: Path) -> None:
    path = place / "images" / "03.png"
    kept = path.read_bytes()
    path.unlink()
    told = impact(place, ANEW, "--fail-if-flips-above", "24")
    path.write_bytes(kept)
    assert told.exit_code == 1
    assert "--fail-if-flips-above 24: 1 of 24 were not decided, and may flip." in told.stderr


def test_gate_fails_if_nothing_was_judged(place: Path) -> None:
    (place / "bad").mkdir(exist_ok=True)
    (place / "bad" / "a.png").write_bytes(b"no image")
    how = ("-c", str(place / "old.yaml"), "--model", "null", "--preset", "quick", "--quiet")
    run("judge", str(place / "bad"), *how, "--out", str(place / "bad.jsonl"))
    command = ("constitution", "impact", str(place / "old.yaml"), str(place / "old.yaml"))
    told = run(*command, "--run", str(place / "bad.jsonl"), "--fail-if-flips-above", "9")
    assert told.exit_code == 1
    assert "1 item could not be judged in the run, and still cannot be" in told.stdout
    assert "not one item was judged, so nothing is known of flips" in told.stderr


def test_out_holds_only_flipped_items(place: Path) -> None:
    policy = POLICY.replace(
        "rule: No cat on", "keep_below: 0.001\n    break_above: 0.002\n    rule: No cat on"
    )
    told = json.loads(impact(place, policy, "--json", "--out", str(place / "items.jsonl")).stdout)
    moved = sum(change["items"] for changes in told["rules"].values() for change in changes)
    assert moved > told["flips"] > 0
    written = [row["id"] for row in read_rows(place / "items.jsonl")]
    assert written == [each["id"] for each in told["items_that_flip"]]
    assert len(written) == told["flips"]


def test_run_of_another_policy_is_refused(place: Path) -> None:
    (place / "other.yaml").write_text(POLICY.replace("A cat is visible., ", ""))
    told = impact(place, POLICY, old="other.yaml")
    assert told.exit_code == 2
    assert "given as the old one is p@" in told.output


def test_another_model_is_refused(place: Path) -> None:
    policy = POLICY.replace("[A cat is visible., A dog is visible.]", "[A bird is visible.]")
    told = impact(place, policy, "--model", "null?seed=9")
    assert told.exit_code == 2
    assert "The run was judged by null@" in told.output


def test_missing_or_changed_image_is_not_a_flip(place: Path) -> None:
    policy = POLICY.replace("[A cat is visible., A dog is visible.]", "[A bird is visible.]")
    paths = [place / "images" / name for name in ("03.png", "04.png")]
    kept = [path.read_bytes() for path in paths]
    paths[0].unlink()
    paths[1].write_bytes((place / "images" / "05.png").read_bytes())
    told = json.loads(impact(place, policy, "--json").output)
    said = impact(place, policy).output
    for path, data in zip(paths, kept, strict=True):
        path.write_bytes(data)
    assert (told["asked"], told["open"], told["failed"]) == (22, 2, 2)
    assert sum(change["items"] for change in told["changes"]) == 22
    assert not any("error" in (change["before"], change["after"]) for change in told["changes"])
    assert "2 could not be judged anew, and count as not judged. The first: " in said
    assert "03.png: no such file or folder" in said


def test_images_in_shards_are_judged_again(place: Path) -> None:
    import tarfile

    with tarfile.open(place / "t.tar", "w") as tar:
        tar.add(place / "images" / "00.png", "00.png")
        tar.add(place / "images" / "20.png", "20.png")
    how = ("-c", str(place / "old.yaml"), "--model", "null", "--preset", "quick", "--quiet")
    judged = run("judge", str(place / "t.tar"), *how, "--out", str(place / "shard"))
    assert judged.exit_code == 0, judged.output
    (place / "new.yaml").write_text(POLICY.replace("[A dog is visible.]", "[A bird is visible.]"))
    command = ("constitution", "impact", str(place / "old.yaml"), str(place / "new.yaml"), "--json")
    told = json.loads(run(*command, "--run", str(place / "shard")).output)
    assert (told["asked"], told["failed"]) == (2, 0)


@pytest.mark.parametrize(
    ("name", "told"),
    [("there.jsonl", "there.jsonl already exists"), ("flips.csv", "jurat does not write .csv files")],
)
def test_unwritable_out_is_refused_before_judging(place: Path, name: str, told: str) -> None:
    (place / "there.jsonl").touch()
    policy = POLICY.replace("[A dog is visible.]", "[A bird is visible.]")
    result = impact(place, policy, "--out", str(place / name))
    assert result.exit_code == 2
    assert told in result.output
    assert "judged anew" not in result.output


def test_file_without_verdicts_is_refused(place: Path) -> None:
    (place / "rows.jsonl").write_text('{"id": 1}\n')
    command = ("constitution", "impact", str(place / "old.yaml"), str(place / "old.yaml"))
    result = run(*command, "--run", str(place / "rows.jsonl"))
    assert result.exit_code == 2
    assert "This is not a verdict that this jurat reads" in result.output


def test_items_are_judged_with_the_source_options_of_the_run(place: Path) -> None:
    lines = "".join(f"images/{n:02}.png,A word {n}\n" for n in range(24))
    (place / "t.csv").write_text("file,said\n" + lines)
    about = "[{statement: A dog is mentioned., about: caption}]"
    (place / "told.yaml").write_text(POLICY.replace("[A dog is visible.]", about))
    how = ("--column", "file", "--caption-column", "said", "-m", "null", "--preset", "quick", "--quiet")
    for name, file in (("before", "old.yaml"), ("anew", "told.yaml")):
        judged = run("judge", str(place / "t.csv"), "-c", str(place / file), *how, "--out", str(place / name))
        assert judged.exit_code == 0, judged.output
    command = ("constitution", "impact", str(place / "old.yaml"), str(place / "told.yaml"), "--json")
    found = json.loads(run(*command, "--run", str(place / "before")).output)
    assert (found["asked"], found["failed"]) == (24, 0)
    outcomes = [{row["id"]: row["outcome"] for row in read_rows(place / name)} for name in ("before", "anew")]
    assert {each["id"]: [each["before"], each["after"]] for each in found["items_that_flip"]} == {
        id: [was, outcomes[1][id]] for id, was in outcomes[0].items() if was != outcomes[1][id]
    }
    assert found["flips"] > 2
