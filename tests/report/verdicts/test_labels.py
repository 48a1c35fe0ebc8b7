"""Labelling on a page by keyboard, and the commands that read the downloaded file."""

from __future__ import annotations

import csv
import shutil
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner

from jurat.cli import app
from jurat.report import write_report

from .test_browser import opened  # noqa: F401

pytestmark = pytest.mark.browser

SCENES = Path(__file__).parents[3] / "examples" / "scenes"


def jurat(*arguments: object) -> str:
    result = CliRunner().invoke(app, [str(one) for one in arguments])
    assert result.exit_code == 0, result.output
    return result.output


@pytest.fixture(scope="module")
def judged(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with images in two folders, and the run over them."""
    folder = tmp_path_factory.mktemp("labels")
    scenes = sorted(SCENES.glob("*.png"))
    for number, scene in enumerate(scenes[:24]):
        place = folder / "in" / ("a, b" if number % 3 else "plain")
        place.mkdir(parents=True, exist_ok=True)
        shutil.copy(scene, place)
    jurat("judge", folder / "in", "-c", "shelf:nursery", "--out", folder / "run", "--quiet")
    write_report(folder / "run", folder / "page.html")
    return folder


def download(page: Any, to: Path) -> list[dict[str, str]]:
    with page.expect_download() as waiting:
        page.get_by_role("button", name="Download labels.csv").click()
    assert waiting.value.suggested_filename == "labels.csv"
    waiting.value.save_as(to)
    with to.open(newline="", encoding="utf-8") as file:
        return list(csv.DictReader(file))


def status(page: Any) -> str:
    return page.locator(".labels [role=status]").inner_text()


@pytest.mark.slow
def test_downloaded_labels_are_read_by_calibrate_and_bench(opened, judged, tmp_path):  # noqa: F811
    page = opened(judged / "page.html")
    page.locator(".card .open").first.focus()
    page.keyboard.press("Enter")
    for _ in range(24):  # each is right: what a person would find who looks
        page.wait_for_selector("#item .labelling button")
        page.keyboard.press("r")
    page.keyboard.press("ArrowLeft")
    assert page.locator("#item .mark").inner_text() == "right"
    page.keyboard.press("Escape")
    assert status(page).startswith("24 images labelled, 24 of them right. Files are named from ")
    labels = tmp_path / "labels.csv"
    rows = download(page, labels)
    assert len(rows) == 24 and {row["file"].split("/")[0] for row in rows} == {"a, b", "plain"}
    assert all((judged / "in" / row["file"]).is_file() for row in rows)
    assert any(row["broken"] for row in rows) and any(not row["broken"] for row in rows)

    policy = ("-c", "shelf:nursery", "-m", "null")
    told = jurat(
        "calibrate",
        "--images",
        judged / "in",
        *policy,
        "--labels",
        labels,
        "--preset",
        "quick",
        "--out",
        tmp_path / "c.yaml",
    )
    assert "24" in told and (tmp_path / "c.yaml").exists()
    given = ("--images", judged / "in", "--labels", labels, *policy, "--preset", "quick")
    jurat("bench", "labelled", *given, "--out", tmp_path / "bench", "--quiet")
    assert list((tmp_path / "bench").iterdir())


def test_verdict_marked_wrong_needs_ticked_rules(opened, judged, tmp_path):  # noqa: F811
    page = opened(judged / "page.html")
    page.get_by_role("button", name="safe", exact=False).first.wait_for()
    page.locator('[data-outcome="safe"]').click()
    first = page.locator(".card .open").first
    name = page.locator(".card .name").first.get_attribute("title")
    first.focus()
    page.keyboard.press("w")  # on the card: opens it
    page.wait_for_selector("#item .labelling fieldset")
    assert "Tick the rules that it breaks." in page.locator("#item .labelling").inner_text()
    assert "1 marked wrong without a tick that differs" in status_of_hidden(page)
    page.keyboard.press("2")
    page.keyboard.press("5")
    assert page.locator("#item .mark").inner_text() == "wrong: child-with-alcohol, cigarette"
    page.keyboard.press("5")
    page.keyboard.press("Escape")
    rows = download(page, tmp_path / "labels.csv")
    assert rows == [{"file": str(Path(name).relative_to(judged / "in")), "broken": "child-with-alcohol"}]
    page.reload()  # nothing is lost with the tab
    page.wait_for_selector("html[data-ready]", state="attached")
    assert status(page).startswith("1 image labelled, 0 of them right")
    page.locator('[data-outcome="safe"]').click()
    page.locator(".card .open").first.focus()
    page.keyboard.press("x")
    assert page.locator(".labels").is_hidden()


def status_of_hidden(page: Any) -> str:
    return page.locator(".labels [role=status]").evaluate("element => element.textContent")


def test_items_that_are_not_files_or_undecided_cannot_be_labelled_right(opened, verdict, record, tmp_path):  # noqa: F811
    rows = [
        verdict("in/unsure.png", "unsure"),
        verdict("in/safe.png", "safe"),
        verdict("in/table.png", "safe").model_copy(
            update={"uri": str(tmp_path / "t.csv#3"), "id": "t.csv:3"}
        ),
        verdict("in/again.png", "safe", occurrence=1),
    ]
    write_report(record(*rows), tmp_path / "page.html")
    page = opened(tmp_path / "page.html")
    said = {}
    for place in range(4):
        page.locator(".card .open").nth(place).click()
        page.wait_for_selector("#item .labelling")
        title = page.locator("#item h2 .name").get_attribute("title")
        page.keyboard.press("r")
        page.wait_for_timeout(50)
        said[title] = page.locator("#item .labelling").inner_text()
        page.keyboard.press("Escape")
    assert "Not all rules were decided: press Wrong" in said["in/unsure.png"]
    assert "It is no file of a folder" in said["t.csv:3"] and "It is no file" in said["in/again.png"]
    assert [row["file"] for row in download(page, tmp_path / "l.csv")] == ["safe.png"]


def test_labels_name_files_relative_to_their_folder(opened, verdict, record, tmp_path):  # noqa: F811
    inside = tmp_path / "in"
    ids = {
        "./in/a.png": "a.png",
        "../in/b/c, d.png": "b/c, d.png",
        str(inside / "=e.png"): "=e.png",
        "in/\U0001f600/f.png": "\U0001f600/f.png",
        "in/a.png": "a.png",
    }
    rows = [
        verdict(f"in/{file}").model_copy(update={"id": id, "uri": str(inside / file)})
        for id, file in ids.items()
    ]
    write_report(record(*rows), tmp_path / "page.html")
    page = opened(tmp_path / "page.html")
    for place in range(len(ids)):
        page.locator(".card .open").nth(place).focus()
        page.keyboard.press("r")
    assert status(page).startswith(f"{len(ids)} images labelled")
    got = [row["file"] for row in download(page, tmp_path / "l.csv")]
    assert sorted(got) == sorted(set(ids.values()))


@pytest.mark.parametrize("reader", ["user", "statement"])
def test_pages_for_users_and_statements_take_no_labels(opened, verdict, record, tmp_path, reader):  # noqa: F811
    write_report(record(verdict("a.png")), tmp_path / "page.html", reader=reader)
    page = opened(tmp_path / "page.html")
    page.locator(".card .open").first.click()
    page.wait_for_selector("#item .findings")
    page.keyboard.press("r")
    assert page.locator(".labelling, .label-keys:visible, .labels:visible").count() == 0
