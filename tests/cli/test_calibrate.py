"""`jurat calibrate` and `jurat judge --calibration` on the command line."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from typer.testing import CliRunner

from jurat.cli import app

SCENES = Path(__file__).parents[2] / "examples" / "scenes"
NULL = ("-m", "null")


def run(*arguments: str) -> tuple[int, str]:
    done = CliRunner().invoke(app, [str(argument) for argument in arguments])
    return done.exit_code, done.output


@pytest.fixture(scope="module")
def fitted(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, str]:
    folder = tmp_path_factory.mktemp("calibrated")
    truth = [json.loads(line) for line in (SCENES / "truth.jsonl").read_text().splitlines()]
    lines = ["file,broken", *(f"{row['file']},{' '.join(row['broken'])}" for row in truth)]
    (folder / "labels.csv").write_text("\n".join(lines) + "\n")
    code, printed = run(
        "calibrate", "--images", SCENES, "-c", "shelf:nursery", *NULL, "--labels", folder / "labels.csv",
        "--out", folder / "calibration.json",
    )  # fmt: skip
    assert code == 0, printed
    return folder / "calibration.json", printed


def test_calibrate_reports_fitted_and_unproved_bounds(fitted: tuple[Path, str]) -> None:
    path, printed = fitted
    assert "40 images of null@none" in printed
    assert "it takes 59 labelled violations of a rule" in " ".join(printed.split())
    written = json.loads(path.read_text())
    assert written["images"] == 40
    assert {rule["keep_below"] for rule in written["rules"].values()} == {None}
    assert sum(rule["violations"] for rule in written["rules"].values()) >= 14


def test_record_names_the_calibration(fitted: tuple[Path, str], tmp_path: Path) -> None:
    out = tmp_path / "verdicts.jsonl"
    code, printed = run(
        "judge", SCENES / "0000-child-with-blade-broken.png", "-c", "shelf:nursery", *NULL,
        "--calibration", fitted[0], "--out", out,
    )  # fmt: skip
    assert code == 0, printed
    assert len(json.loads(out.read_text())["calibration"]) == 12


def test_labels_are_matched_by_resolved_path(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for path in sorted(SCENES.glob("00[01]*.png")):
        (tmp_path / path.name).write_bytes(path.read_bytes())
    names = sorted(path.name for path in tmp_path.iterdir())
    monkeypatch.chdir(tmp_path)
    Path("labels.csv").write_text("file,broken\n" + "".join(f"./x/../{name},\n" for name in names))
    Path("x").mkdir()
    code, printed = run(
        "calibrate", "--images", ".", "-c", "shelf:nursery", *NULL, "--labels", "labels.csv",
        "--out", "c.json",
    )  # fmt: skip
    assert code == 0, printed
    assert json.loads(Path("c.json").read_text())["rules"]


def written(folder: Path, text: str, suffix: str = "csv") -> Path:
    """A folder with thirty pictures and a file of labels beside it."""
    (folder / "pictures").mkdir()
    for number, path in enumerate(sorted(SCENES.glob("00[0-2]*.png"))):
        (folder / "pictures" / f"{number:02}.png").write_bytes(path.read_bytes())
    (folder / "pictures" / "notes.txt").touch()
    labels = folder / f"labels.{suffix}"
    labels.write_text(text)
    return labels


CLEAN = "".join(f"{n:02}.png,\n" for n in range(2, 28))


@pytest.mark.parametrize(
    ("text", "violations", "told"),
    [
        ("file,broken\n00.png,child-with-blade\n" + CLEAN, 1, []),
        (
            "file,broken\n00.png,child-with-blade\n00.png,\n" + CLEAN,
            0,
            ["line 3: 00.png has other labels in labels.csv, line 2"],
        ),
        (
            "file,broken\n00.png,child-with-blade\n28.png,\nnotes.txt,\nthree.png,\n" + CLEAN,
            1,
            ["line 5: three.png is not below", "notes.txt is not among the images in"],
        ),
        (
            "file,broken@ann,broken@bo\n00.png,child-with-blade,child-with-blade\n01.png,safe,child-with-blade\n"
            + CLEAN.replace(",", ",safe,safe"),
            1,
            ["01.png has no label on some rule, or as many for as against"],
        ),
    ],
)
def test_labels_that_are_not_used_are_told(
    text: str, violations: int, told: list[str], tmp_path: Path
) -> None:
    labels = written(tmp_path, text)
    code, printed = run(
        "calibrate", "--images", tmp_path / "pictures", "-c", "shelf:nursery", *NULL, "--labels", labels,
        "--out", tmp_path / "c.json",
    )  # fmt: skip
    assert code == 0, printed
    assert (
        json.loads((tmp_path / "c.json").read_text())["rules"]["child-with-blade"]["violations"] == violations
    )
    assert printed.count("not used: ") == len(told)
    assert all(each in printed for each in told), printed


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("file,broken\n00.png,blade\n", "'blade' is not a rule of the constitution."),
        ("file,broken\nthree.png,\n", "labels no image that is below"),
        ("file,broken\n", "lists no image."),
        (
            "file,broken@a,broken@b\n00.png,safe,child-with-blade\n",
            "no image has labels that can be fitted on",
        ),
    ],
)
def test_unusable_labels_are_refused_before_the_model_opens(text: str, told: str, tmp_path: Path) -> None:
    labels = written(tmp_path, text)
    code, printed = run(
        "calibrate", "--images", tmp_path / "pictures", "-c", "shelf:nursery", "-m", "hf/./nosuch",
        "--labels", labels, "--out", tmp_path / "c.json",
    )  # fmt: skip
    assert (code, told in printed) == (2, True), printed


def test_labels_under_other_names_are_renamed(tmp_path: Path) -> None:
    labels = written(
        tmp_path, "image\tlabels\tby\n00.png\tBlade;dark\tme\n" + CLEAN.replace(",", "\t\t"), "tsv"
    )
    code, printed = run(
        "calibrate", "--images", tmp_path / "pictures", "-c", "shelf:nursery", *NULL, "--labels", labels,
        "--rename", "Blade=child-with-blade", "--ignore-label", "dark", "--out", tmp_path / "c.json",
    )  # fmt: skip
    assert code == 0, printed
    assert "columns that were not read: by" in printed
    assert json.loads((tmp_path / "c.json").read_text())["rules"]["child-with-blade"]["violations"] == 1


def test_calibration_of_another_constitution_is_refused(fitted: tuple[Path, str]) -> None:
    picnic = SCENES.parent / "picnic.yaml"
    code, printed = run("judge", SCENES, "-c", picnic, *NULL, "--calibration", fitted[0])
    assert code == 2
    assert "fitted for something else" in printed and "constitution: " in printed


def test_existing_calibration_is_not_overwritten(fitted: tuple[Path, str]) -> None:
    code, printed = run("calibrate", "--images", SCENES, "-c", "shelf:nursery", *NULL, "--out", fitted[0])
    assert (code, "--overwrite replaces it" in printed) == (2, True)


def test_strict_fails_without_a_proved_bound(fitted: tuple[Path, str], tmp_path: Path) -> None:
    labels = fitted[0].with_name("labels.csv")
    command = ("calibrate", "--images", SCENES, "-c", "shelf:nursery", *NULL, "--labels", labels)
    code, printed = run(*command, "--out", tmp_path / "c.json", "--strict")
    assert (code, "not every rule has a proved bound" in printed) == (1, True)


# --- transferred thresholds -----------------------------------------------------------------------

SAID = "no bound is proved for them"


@pytest.fixture(scope="module")
def moved(fitted: tuple[Path, str], tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, str]:
    """Thresholds as of another model, transferred from verdicts on record to the null model."""
    folder = tmp_path_factory.mktemp("moved")
    old = json.loads(fitted[0].read_text())
    old["rules"] = {rule: {"keep_below": 0.5, "break_above": 0.5} for rule in old["rules"]}
    (folder / "old.json").write_text(json.dumps(old))
    judged = ("judge", SCENES, "-c", "shelf:nursery", *NULL, "--calibration", folder / "old.json")
    code, printed = run(*judged, "--preset", "jurat", "--without", "points", "--out", folder / "old.jsonl")
    assert code == 0, printed
    code, printed = run(
        "calibrate", "--images", SCENES, "-c", "shelf:nursery", *NULL, "--from", folder / "old.json",
        "--from-record", folder / "old.jsonl", "--out", folder / "new.json",
    )  # fmt: skip
    assert code == 0, printed
    return folder / "new.json", " ".join(printed.split())


def test_transfer_prints_that_there_is_no_bound_and_what_restores_one(moved: tuple[Path, str]) -> None:
    assert SAID in moved[1] and "A bound of 5% takes 59 labelled violations of a rule" in moved[1]
    written = json.loads(moved[0].read_text())
    assert written["transferred"]["model"] == "null@none" and written["max_miss"] is None


def test_judging_with_transferred_thresholds_says_so_everywhere(
    moved: tuple[Path, str], tmp_path: Path
) -> None:
    out, page, ticket = tmp_path / "v.jsonl", tmp_path / "page.html", tmp_path / "ticket.md"
    code, printed = run(
        "judge", SCENES / "0000-child-with-blade-broken.png", "-c", "shelf:nursery", *NULL,
        "--calibration", moved[0], "--out", out,
    )  # fmt: skip
    assert code == 0 and SAID in " ".join(printed.split())
    assert json.loads(out.read_text())["thresholds_from"] == "null@none"
    for reader in ("reviewer", "user"):
        assert run("report", out, "--out", page, "--for", reader, "--overwrite")[0] == 0
        assert SAID in page.read_text()
    assert run("report", out, "--format", "md", "--out", ticket)[0] == 0
    assert SAID in ticket.read_text()


def test_strict_fails_with_transferred_thresholds(moved: tuple[Path, str], tmp_path: Path) -> None:
    old = moved[0].with_name("old.json")
    code, printed = run(
        "calibrate", "--images", SCENES, "-c", "shelf:nursery", *NULL, "--from", old,
        "--out", tmp_path / "c.json", "--strict",
    )  # fmt: skip
    assert (code, "not every rule has a proved bound" in printed) == (1, True), printed


@pytest.mark.parametrize(
    ("options", "told"),
    [
        (("--from", "old.json", "--labels", "l.csv"), "--from transfers thresholds without labels"),
        (("--from-record", "v.jsonl"), "--from-record goes with --from, which is missing"),
        (("--from-constitution", "c.yaml"), "--from-constitution goes with --from, which is missing"),
    ],
)
def test_options_that_do_not_go_together_are_refused(options: tuple[str, ...], told: str) -> None:
    code, printed = run("calibrate", "--images", SCENES, "-c", "shelf:nursery", *NULL, *options)
    assert (code, told in " ".join(printed.split())) == (2, True), printed
