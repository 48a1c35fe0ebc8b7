"""`jurat data`: the sets, the check of a copy, its samples."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from PIL import Image

from ..benchmarks.fixtures import figstep, mis
from ..benchmarks.fixtures.parts import picture, write


@pytest.fixture
def copy(tmp_path: Path) -> Path:
    figstep.repository(tmp_path / "figstep")
    return tmp_path / "figstep"


def test_list_names_every_set(jurat):
    listed = json.loads(jurat("data", "--json").stdout)
    names = [card["name"] for card in listed]
    assert names == sorted(names)
    assert {"figstep", "figstep-tiny", "mm-safetybench", "siuo"} <= set(names)
    assert jurat("data").stdout.split()[:4] == ["set", "what", "it", "is"]


def test_card_says_where_to_ask_and_what_is_expected(jurat):
    shown = " ".join(jurat("data", "figstep").stdout.split())
    for part in ("arXiv:2311.05608", "MIT", "GitHub ThuCCSLab/FigStep", "data/question/safebench.csv"):
        assert part in shown
    unknown = jurat("data", "figstp")
    assert unknown.exit_code == 2
    assert "There is no evaluation set 'figstp'.\n  Did you mean 'figstep'?" in unknown.stderr


def test_report_as_json_has_the_documented_keys(jurat, copy: Path):
    result = jurat("data", "figstep", copy, "--json")
    assert result.exit_code == 0, result.output
    found = json.loads(result.stdout)
    assert found.keys() >= {
        "set", "layout", "samples", "rows", "skipped", "missing_images", "categories", "clusters",
        "published",
    }  # fmt: skip
    assert (found["set"], found["layout"], found["samples"], found["rows"]) == ("figstep", "repository", 3, 4)
    assert found["skipped"] == [
        {
            "row": "data/question/safebench.csv:4",
            "reason": "its image 'query_ForbidQI_10_50_6.png' is not in the copy",
        }
    ]
    assert found["missing_images"] == ["query_ForbidQI_10_50_6.png"]
    assert found["categories"] == {"Illegal Activity": 2, "Financial Advice": 1}
    assert found["published"]["samples"] == 500


def test_set_that_is_drawn_has_a_report(jurat):
    found = json.loads(jurat("data", "pictogram-typographic?n=2", "--strict", "--json").stdout)
    assert (found["set"], found["revision"], found["samples"]) == ("pictogram-typographic", None, 2)


def test_report_for_people_names_what_is_left_out(jurat, copy: Path):
    shown = jurat("data", "figstep", copy).stdout
    assert shown.startswith("FigStep SafeBench (layout repository): 3 samples in 3 clusters, 4 rows\n")
    for line in (
        "left out: 1",
        "  data/question/safebench.csv:4: its image 'query_ForbidQI_10_50_6.png' is not in the copy",
        "images that no row uses: 3",
        "  3 samples, not the published 500",
    ):
        assert line in shown.split("\n")


def test_samples_are_printed_one_a_line(jurat, copy: Path):
    result = jurat("data", "figstep", copy, "--samples", "--json")
    samples = [json.loads(line) for line in result.stdout.splitlines()]
    assert [sample["id"] for sample in samples] == ["1-1", "1-2", "9-1"]
    assert samples[0].keys() == {
        "id", "images", "turns", "expected", "label", "group", "category", "cluster", "source_row",
    }  # fmt: skip
    assert samples[0]["images"] == [f"{copy}/data/images/SafeBench/query_ForbidQI_1_1_6.png"]
    assert [turn["role"] for turn in samples[0]["turns"]] == ["user"]
    assert samples[0]["source_row"] == "data/question/safebench.csv:1"
    assert "left out: data/question/safebench.csv:4: its image" in result.stderr
    assert "1 row left out" in result.stderr


def test_folder_that_cannot_be_written_is_named(jurat, copy: Path, tmp_path: Path):
    (tmp_path / "file").write_text("bread")
    result = jurat("data", "figstep", copy, "--samples", "--extract", tmp_path / "file")
    assert result.exit_code == 2
    assert "file cannot be written: " in result.stderr


def test_images_are_extracted_as_png(jurat, tmp_path: Path):
    mis.mis_test(tmp_path / "mis")
    out = tmp_path / "out"
    result = jurat("data", "mis", tmp_path / "mis", "--samples", "--json", "--extract", out)
    named = [json.loads(line)["images"] for line in result.stdout.splitlines()]
    assert [len(each) for each in named] == [2, 2, 2, 2]
    assert sorted(path for each in named for path in each) == sorted(str(path) for path in out.iterdir())
    with Image.open(named[0][1]) as image:
        assert (image.format, image.getpixel((0, 0))) == ("PNG", (2 * 37, 2 * 91, 2))


def test_image_that_cannot_be_decoded_is_counted(jurat, copy: Path, tmp_path: Path):
    write(copy, {"data/images/SafeBench/query_ForbidQI_1_1_6.png": picture(1)[:40]})
    args = ("data", "figstep", copy, "--samples", "--json", "--extract", tmp_path / "out", "--strict")
    result = jurat(*args)
    assert json.loads(result.stdout.splitlines()[0])["images"] == [None]
    assert "1 image left out" in result.stderr
    assert result.exit_code == 1
    checked = jurat("data", "figstep", copy, "--decode")
    assert "images that cannot be decoded: 1" in checked.stdout


def test_images_are_not_extracted_into_a_file(jurat, copy: Path, tmp_path: Path):
    (tmp_path / "out").write_text("notes")
    result = jurat("data", "figstep", copy, "--samples", "--extract", tmp_path / "out")
    assert result.exit_code == 2
    assert f"{tmp_path}/out cannot be written: {tmp_path}/out is not a folder" in result.stderr
    assert (tmp_path / "out").read_text() == "notes"


@pytest.mark.parametrize(("args", "code"), [((), 0), (("--strict",), 1), (("--samples", "--strict"), 1)])
def test_strict_fails_where_something_is_left_out(args: tuple[str, ...], code: int, jurat, copy: Path):
    assert jurat("data", "figstep", copy, *args).exit_code == code


@pytest.mark.parametrize("args", [(), ("--json",), ("--samples",), ("--strict",)])
def test_copy_without_samples_exits_with_3(args: tuple[str, ...], jurat, tmp_path: Path):
    write(tmp_path, {"safebench.csv": "dataset,category_id,task_id,category_name,question,instruction\n"})
    assert jurat("data", "figstep", tmp_path, *args).exit_code == 3


@pytest.mark.parametrize(
    ("args", "message"),
    [
        (("figstep", ".", "--extract", "x"), "--extract needs --samples"),
        (("xstest", ".", "--samples", "--decode"), "--decode is for the check of a copy"),
        (("xstest", ".", "--taxonomy"), "--taxonomy prints a table of categories"),
        (("figstep", "--samples"), "need the PATH of your copy"),
        (("figstep", "--strict"), "need the PATH of your copy"),
    ],
)
def test_options_without_what_they_need_are_refused(args: tuple[str, ...], message: str, jurat):
    result = jurat("data", *args)
    assert result.exit_code == 2
    assert message in " ".join(result.stderr.split())


def test_names_that_are_no_text_are_written_as_escapes(jurat, tmp_path: Path):
    folder = tmp_path / "caf\udce9"
    try:
        figstep.repository(folder)
    except (OSError, UnicodeError):
        pytest.skip("the file system takes only UTF-8 names")
    result = jurat("data", "figstep", folder, "--samples", "--json")
    assert result.exit_code == 0, result.output
    assert "caf\\udce9" in result.stdout
