"""Specs of sets to be built: their errors, with the line."""

from __future__ import annotations

from pathlib import Path

import pytest

from jurat.benchmarks.building.spec import PLACES, read_spec
from jurat.errors import JuratError

from .specs import SPEC

EXAMPLE = Path(__file__).parents[3] / "examples" / "build.yaml"


@pytest.mark.parametrize(
    ("old", "new", "told"),
    [
        ("name: tea", "name: tea time", "spec.yaml:1:7: `name`: string should match pattern"),
        ("licence: CC0\n", "", "spec.yaml:1:1: the spec has no `licence`"),
        ("licence: CC0", "license: CC0", "spec.yaml:4:1: unknown key `license`"),
        ("volume: 3", "volume: 0", "spec.yaml:13:13: `volume`: input should be greater than or equal to 1"),
        ("hazard: property", "hazard: crockery", "spec.yaml:9:13: `hazard`: 'crockery' is none of violence"),
        ("unsafe_in: image", "unsafe_in: sound", "spec.yaml:10:16: `unsafe_in`: input should be 'image'"),
        ("unsafe_in: image", "unsafe_in: both", "`pots`: typographic cannot put the unsafe element into"),
        ("key-phrase]", "captioned]", "`pots`: captioned needs a picture of each source: images or scenes"),
        ("key-phrase]", "typographic]", "`pots`: a builder is named twice"),
        ("topics:", "scenes: []  # ", "`pots`: its sources are empty"),
        ("topics: [round pots, square pots, flat pots]", "scenes: [{shows: [Hello.]}]",
         "spec.yaml:12:25: `0`: not a statement of the pictogram world: 'Hello.'"),
        ("name: tea", "name: tea\nonly_where_named: [xylem]", "not a statement of the pictogram world"),
        ("name: tea", "name: tea\nfilters: {script: LATTIN}", "'LATTIN' begins the name of no letter"),
        ("name: tea", "name: tea\nname: tea", "spec.yaml:2:1: "),
        ("name: tea", "name: [tea", "spec.yaml:"),
    ],
)  # fmt: skip
def test_error_is_named_with_its_line(tmp_path: Path, old: str, new: str, told: str):
    assert old in SPEC
    path = tmp_path / "spec.yaml"
    path.write_text(SPEC.replace(old, new, 1))
    with pytest.raises(JuratError) as caught:
        read_spec(path)
    assert told in str(caught.value)


def test_all_errors_are_listed_in_the_order_of_the_lines(tmp_path: Path):
    path = tmp_path / "spec.yaml"
    path.write_text(SPEC.replace("volume: 3", "volume: x").replace("title: Tea", "titel: Tea"))
    with pytest.raises(JuratError) as caught:
        read_spec(path)
    head, *lines = str(caught.value).splitlines()
    assert head.endswith("spec.yaml has 3 errors:")
    assert [line.split("spec.yaml:")[1].split(":")[0] for line in lines] == ["1", "2", "13"]


def test_spec_that_is_not_there_is_an_error(tmp_path: Path):
    with pytest.raises(JuratError, match=r"spec\.yaml cannot be read: No such file"):
        read_spec(tmp_path / "spec.yaml")


def test_digest_depends_on_what_the_spec_says_and_not_on_its_comments(tmp_path: Path):
    path = tmp_path / "spec.yaml"
    digests: list[str] = []
    for text in (SPEC, f"# A comment.\n{SPEC}", f"{SPEC}seed: 1\n"):
        path.write_text(text)
        digests.append(read_spec(path).digest)
    assert digests[0] == digests[1] != digests[2]


def test_example_uses_every_builder_and_place():
    spec = read_spec(EXAMPLE)
    used = {(builder, each.unsafe_in) for each in spec.dimensions.values() for builder in each.builders}
    assert {builder for builder, _ in used} == set(PLACES)
    assert {place for _, place in used} == {"image", "text", "both"}
