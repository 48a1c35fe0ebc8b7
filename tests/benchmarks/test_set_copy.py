"""Copies of sets: the layout is recognised, and what a run would leave out is counted."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from jurat.benchmarks import Card, Reader, Row, Sample, SetCopy, SetFiles, Skipped, open_set
from jurat.benchmarks.reader import same_text, text_if_any, text_of
from jurat.benchmarks.registry import Benchmark
from jurat.content import Item, Turn
from jurat.errors import JuratError

from .fixtures import figstep, mis
from .fixtures.parts import csv_text, picture, write

FACTS: dict[str, Any] = {
    "name": "riddles",
    "title": "Riddles",
    "summary": "riddles",
    "licence": "MIT",
    "where": "here",
    "reader": "nowhere:Nothing",
    "layouts": {"lines": "riddles.csv"},
    "protocols": {"paper": {"prompt": "{question}"}},
}


class Riddles(Reader):
    """Two samples a row, the second of which may be missing; other rows are wrong in some way."""

    def rows(self) -> Iterator[Row]:
        return self.files.table("riddles.csv")

    def samples(self, row: Row) -> Iterator[Sample | Skipped]:
        kind, fields = text_of(row, "kind"), {"question": text_of(row, "question")}
        if kind == "nothing":
            return
        if kind == "broken":
            raise TypeError("a list")
        group = text_if_any(row.cells, "group")
        yield Sample(text_of(row, "id"), Item(turns=self.turns(fields)), group=group, category=kind)
        if kind == "pair":
            image = self.image("gone.png", "also/gone.png")
            yield Sample(text_of(row, "id"), Item([image], turns=self.turns(fields)))


def copy_of(folder: Path, rows: list[tuple[str, ...]], **facts: Any) -> SetCopy:
    write(folder, {"riddles.csv": csv_text(("id", "kind", "question", "group"), rows)})
    card = Card.model_validate(FACTS | facts)

    class Found(Benchmark):
        def load(self, feature: str | None = None) -> Any:
            return Riddles

    return SetCopy(Found("riddles", "", "", facts=card), "lines", SetFiles(folder))


def test_every_row_gives_samples_or_a_reason(tmp_path: Path):
    rows = [
        ("1", "plain", "a?", ""),
        ("2", "pair", "b?", ""),
        ("3", "nothing", "c?", ""),
        ("4", "broken", "d?", ""),
        ("5", "plain", "", ""),
        ("6", "plain", "e?", "", "too many"),
    ]
    report = copy_of(tmp_path, rows).verify()
    assert (report.samples, report.rows, report.clusters) == (2, 6, 2)
    assert [(each.source_row, each.reason) for each in report.skipped] == [
        ("riddles.csv:2", "its image 'also/gone.png' is not in the copy"),
        ("riddles.csv:3", "it gives no sample"),
        ("riddles.csv:4", "it is not as expected: TypeError: a list"),
        ("riddles.csv:5", "it has no question"),
        ("riddles.csv:6", "it has 5 cells, not 4"),
    ]
    assert report.missing_images == ["also/gone.png"]
    assert report.categories == {"plain": 1, "pair": 1}
    assert report.groups == {}


def test_ids_are_made_unique(tmp_path: Path):
    ids = ["a", "a", "a#2", "a"]
    copy = copy_of(tmp_path, [(id, "plain", f"{at}?", "") for at, id in enumerate(ids)])
    assert [sample.id for sample in copy.samples()] == ["a", "a#2", "a#2#2", "a#3"]
    assert copy.notes == {"samples have the id of an earlier one: #2, #3 ... is added to it": 3}
    odd = copy_of(tmp_path / "odd", [("a\0b", "plain", "1?", ""), ("a\x1bb", "plain", "2?", "")])
    assert [sample.id for sample in odd.samples()] == ["a\\x00b", "a\\x1bb"]


def test_duplicates_name_the_earlier_sample(tmp_path: Path):
    rows = [("1", "plain", "a?", "x"), ("2", "plain", "a?", "x"), ("3", "plain", "a?", "y")]
    assert copy_of(tmp_path, rows).verify().duplicates == [("2", "1")]


def test_digest_is_that_of_the_samples(tmp_path: Path):
    figstep.repository(tmp_path / "a")
    figstep.screenshots(tmp_path / "b")
    copies = [open_set("figstep", tmp_path / name) for name in "ab"]
    digests = {copy.verify().digest for copy in copies}
    assert len(digests) == 1
    write(tmp_path, {"a/data/question/safebench.csv": csv_text(figstep.COLUMNS, figstep.ROWS[:2])})
    assert open_set("figstep", tmp_path / "a").verify().digest not in digests


def test_counts_are_compared_with_the_published_ones(tmp_path: Path):
    published = {
        "samples": 3,
        "categories": {"plain": 2, "other": 1},
        "categories_of": ["x"],
        "groups": {"x": 2, "y": 1},
    }
    rows = [("1", "plain", "a?", "x"), ("2", "plain", "b?", "z"), ("3", "odd", "c?", "x")]
    copy = copy_of(tmp_path, rows, published=published, default_groups=["x", "y"])
    assert copy.verify().differences == [
        "2 samples, not the published 3",
        "1 sample of the category 'plain', not the published 2",
        "0 samples of the category 'other', not the published 1",
        "1 sample of the category 'odd', which was not published",
        "0 samples of the group 'y', not the published 1",
        "1 sample of the group 'z', which was not published",
    ]
    own = copy_of(tmp_path, rows, published=published, published_of={"lines": {"samples": 3}})
    assert own.verify().differences == []
    assert own.facts(own.verify())["published"]["samples"] == 3


def test_run_takes_the_default_groups(tmp_path: Path):
    rows = [("1", "plain", "a?", "x"), ("2", "plain", "b?", "z")]
    copy = copy_of(tmp_path, rows, default_groups=["x"])
    assert [sample.id for sample in copy.samples()] == ["1"]
    assert [sample.id for sample in copy.samples(groups=["z"])] == ["2"]


def test_undecodable_images_are_found_when_they_are_decoded(tmp_path: Path):
    figstep.repository(tmp_path)
    name = "data/images/SafeBench/query_ForbidQI_1_1_6.png"
    write(tmp_path, {name: picture(1)[:40]})
    copy = open_set("figstep", tmp_path)
    assert copy.verify().undecodable == []
    ((id, why),) = copy.verify(decode_images=True).undecodable
    assert id == "1-1"
    assert why.startswith("the PNG image is damaged")


def test_unknown_copy_names_the_files_that_are_looked_for(tmp_path: Path):
    write(tmp_path, {"safebench.csv.gz": b"\x1f\x8b", "other.csv": "x"})
    with pytest.raises(JuratError) as raised:
        open_set("figstep", tmp_path)
    assert raised.value.message.endswith("is no copy of FigStep SafeBench in a layout that is read.")
    assert raised.value.hint == (
        "Each layout is recognised by a file in the folder or below it: repository: safebench.csv.\n"
        "  Note: safebench.csv.gz is compressed and was not read; unpack it (1)."
    )


def test_named_file_must_be_one_of_the_layout(tmp_path: Path):
    figstep.repository(tmp_path)
    table = tmp_path / "data/question/SafeBench-Tiny.csv"
    with pytest.raises(JuratError, match="is no copy of FigStep SafeBench in"):
        open_set("figstep", table)
    assert open_set("figstep-tiny", table).layout == "repository"


def test_second_layout_is_named(tmp_path: Path):
    write(tmp_path, {"JailBreakV_28K.csv": "id\n", "mini_JailBreakV_28K.csv": "id\n"})
    copy = open_set("jailbreakv-28k", tmp_path)
    assert copy.layout == "full"
    assert "it has the layout mini too, which was not read; full was" in copy.files.notes


def test_two_images_stand_in_the_order_of_the_row(tmp_path: Path):
    mis.mis_test(tmp_path)
    first = next(open_set("mis", tmp_path).samples())
    assert [image.open() for image in first.item.lazy_images()] == [picture(1), picture(2)]
    assert first.item.turns == (Turn("user", (first.fields["question"],)),)


@pytest.mark.parametrize(
    ("cells", "text"),
    [
        ({"a": " x "}, "x"),
        ({"a": 7}, "7"),
        ({"a": 7.0}, "7"),
        ({"a": 7.5}, "7.5"),
        ({"a": True}, "true"),
        ({"a": float("nan"), "b": "y"}, "y"),
        ({"a": "  ", "b": "y"}, "y"),
        ({"a": None, "b": ["z"]}, None),
        ({"a": "\ud800"}, "\\ud800"),
    ],
)
def test_cells_become_texts(cells: dict[str, Any], text: str | None):
    assert text_if_any(cells, "a", "b") == text


def test_same_text_ignores_case_and_white_space():
    assert same_text(" How  is\nbread made? ") == same_text("how is Bread made?")
    assert same_text("bread") != same_text("tea")
