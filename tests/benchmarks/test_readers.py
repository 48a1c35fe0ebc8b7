"""Every set in each of its layouts. An entry of the table is a `Layout` in `fixtures/NAME.py`."""

from __future__ import annotations

import json
from collections import Counter, defaultdict
from collections.abc import Mapping
from pathlib import Path

import pytest

from jurat.benchmarks import BENCHMARKS, Sample, Skipped, open_set
from jurat.cli.data import sample_facts
from jurat.media import decode

from .fixtures.layout import Layout, all_layouts

LAYOUTS = all_layouts()
BY_SET: defaultdict[str, list[Layout]] = defaultdict(list)
for _layout in LAYOUTS:
    BY_SET[_layout.set].append(_layout)


def written(layout: Layout, folder: Path) -> Path:
    layout.write(folder)
    return folder / layout.path


@pytest.mark.parametrize("layout", LAYOUTS, ids=str)
def test_report_names_what_a_copy_holds_and_lacks(layout: Layout, tmp_path: Path):
    copy = open_set(layout.set, written(layout, tmp_path))
    assert copy.layout == layout.name
    report, expected = copy.verify(), layout.expected
    assert (report.samples, report.rows, report.clusters) == (
        expected.samples,
        expected.rows,
        expected.clusters,
    )
    assert dict(report.categories) == dict(expected.categories)
    assert dict(report.groups) == dict(expected.groups)
    assert tuple(report.missing_images) == expected.missing
    assert tuple(report.unused_images) == expected.unused
    assert tuple(report.duplicates) == expected.duplicates
    assert_all_match([each.reason for each in report.skipped], expected.skipped)
    assert_all_match(list(report.notes), Counter(expected.notes))


def assert_all_match(texts: list[str], parts: Mapping[str, int]):
    """Each text holds one of the parts, and each part is in as many texts as it says."""
    found = {part: sum(part in text for text in texts) for part in parts}
    assert found == dict(parts), texts
    assert sum(found.values()) == len(texts), texts


@pytest.mark.parametrize("layout", LAYOUTS, ids=str)
def test_samples_are_complete(layout: Layout, tmp_path: Path):
    copy = open_set(layout.set, written(layout, tmp_path))
    found = list(copy.read())
    samples = [each for each in found if isinstance(each, Sample)]
    ids = [sample.id for sample in samples]
    assert len(set(ids)) == len(ids)
    for sample in samples:
        assert sample.id == sample.item.id
        assert sample.cluster and sample.source_row
        assert [turn.role for turn in sample.item.turns][-1:] == ["user"]
        assert sample.item.turns[-1].text.strip()
        for image in sample.item.lazy_images():
            assert decode(image.open()).frames
        facts = json.loads(json.dumps(sample_facts(sample)))
        assert facts.keys() >= {
            "id", "images", "turns", "expected", "label", "group", "category", "cluster", "source_row",
        }  # fmt: skip
    assert all(each.reason and each.source_row for each in found if isinstance(each, Skipped))


@pytest.mark.parametrize("name", sorted(BY_SET))
def test_ids_are_equal_across_layouts(name: str, tmp_path: Path):
    ids: dict[str, list[str]] = {}
    for at, layout in enumerate(one for one in BY_SET[name] if one.same_ids):
        folder = tmp_path / str(at)
        folder.mkdir()
        ids[str(layout)] = sorted(s.id for s in open_set(name, written(layout, folder)).samples())
    assert len(set(map(tuple, ids.values()))) <= 1, ids


def test_every_layout_of_every_card_has_a_fixture():
    in_cards = {(entry.name, layout) for entry in BENCHMARKS for layout in entry.card.layouts}
    assert in_cards - {(layout.set, layout.name) for layout in LAYOUTS} == set()
