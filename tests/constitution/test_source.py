"""Reading and writing files: places, comments, what cannot be read at all."""

from __future__ import annotations

from pathlib import Path

import pytest

from jurat.constitution import (
    Constitution,
    ConstitutionError,
    load_constitution,
    parse_constitution,
    read_source,
    shelf_names,
    to_yaml,
)
from jurat.constitution.files import MAX_BYTES
from jurat.constitution.source import parse_source

TEXT = """\
# Our policy.
name: pets   # short
version: 2026-11-03
rules:
  # Dogs.
  - rule: "No dog may be visible."
    clauses: [A dog is visible., not: "A cat: is visible."]
    keep_below: 0.20
"""


@pytest.fixture
def policy(tmp_path: Path) -> Path:
    path = tmp_path / "pets.yaml"
    path.write_text(TEXT, encoding="utf-8")
    return path


def test_a_file_is_loaded_with_its_source(policy: Path) -> None:
    constitution = load_constitution(policy)
    assert (constitution.name, constitution.version, constitution.source) == ("pets", "2026-11-03", policy)
    assert load_constitution(str(policy)) == constitution
    assert constitution.model_copy().source == policy


def test_byte_order_mark_is_skipped(policy: Path) -> None:
    policy.write_bytes(b"\xef\xbb\xbf" + policy.read_bytes())
    assert load_constitution(policy).name == "pets"


def test_locate_finds_every_part(policy: Path) -> None:
    source = read_source(policy)
    assert source.locate(()) == (2, 1)
    assert source.locate(("version",)) == (3, 10)
    assert source.locate(("rules", 0)) == (6, 5)
    assert source.locate(("rules", 0, "keep_below")) == (8, 17)
    assert source.locate(("rules", 0, "keep_below"), key=True) == (8, 5)
    assert source.locate(("rules", 0, "clauses", 1, "not")) == (7, 39)
    # What the file does not have is where it would be.
    assert source.locate(("rules", 0, "severity")) == (6, 5)


def test_an_edit_keeps_comments_and_quotes(policy: Path) -> None:
    source = read_source(policy)
    source.tree["rules"][0]["keep_below"] = 0.3
    expected = (
        TEXT.replace("0.20", "0.3")
        .replace("name: pets   #", "name: pets #")
        .replace("2026-11-03", "'2026-11-03'")
    )
    assert " ".join(source.dump().split()) == " ".join(expected.split())
    assert parse_constitution(source.dump()).rules[0].keep_below == 0.3


@pytest.mark.parametrize("name", shelf_names())
def test_to_yaml_loads_as_equal(name: str) -> None:
    constitution = load_constitution(f"shelf:{name}")
    assert parse_constitution(to_yaml(constitution)).model_dump() == constitution.model_dump()


@pytest.mark.parametrize(
    "statement", ["A sign reads: FREE.", "- A dog is visible.", "[A dog].", "'A' is visible.", "#1."]
)
def test_texts_that_look_like_yaml_survive_writing(statement: str) -> None:
    constitution = Constitution.model_validate(
        {"name": "1.0", "version": "2026-11-03", "rules": [{"rule": statement, "clauses": [statement]}]}
    )
    assert parse_constitution(to_yaml(constitution)) == constitution


def test_the_errors_of_a_file_are_all_listed() -> None:
    with pytest.raises(ConstitutionError) as caught:
        parse_constitution("name: p\nrules:\n  - rule: ''\n    severity: x\n", file="p.yaml")
    assert "The constitution p.yaml has 2 errors:" in str(caught.value)
    assert "p.yaml:3:11: error: `rule` is empty [empty]" in str(caught.value)
    assert [problem.line for problem in caught.value.problems] == [3, 4]
    assert caught.value.exit_code == 2


def test_error_message_lists_ten_errors() -> None:
    rules = "".join(f"  - {{id: r{i}, rule: No dog., severity: x}}\n" for i in range(12))
    with pytest.raises(ConstitutionError) as caught:
        parse_constitution(f"name: p\nrules:\n{rules}", file="p.yaml")
    assert "See them all: jurat constitution check p.yaml" in str(caught.value)
    assert str(caught.value).count("bad-severity") == 10


def test_advice_does_not_keep_a_file_from_loading() -> None:
    assert parse_constitution("name: p\nrules:\n  - rule: No dog.\n").rules[0].clauses == ()


def _unreadable(folder: Path) -> dict[str, str]:
    """Reference -> what is said of it."""
    (folder / "latin.yaml").write_bytes(b"name: p\nversion: caf\xe9\n")
    (folder / "huge.yaml").write_bytes(b"#" * (MAX_BYTES + 1))
    return {
        str(folder / "none.yaml"): "There is no constitution file",
        str(folder): "is a folder, not a constitution file",
        str(folder / "latin.yaml"): "is not UTF-8 text: line 2 holds the byte 0xe9",
        str(folder / "huge.yaml"): f"is larger than {MAX_BYTES // 1024} KiB",
        "shelf:nursry": "Did you mean shelf:nursery?",
        "shelf:zzz": "There are: community, nursery, privacy, street-crossing, workplace.",
        "shelf:../shelf/nursery": "The shelf holds no constitution",
        "privacy": "Did you mean shelf:privacy?",
    }


@pytest.mark.parametrize("i", range(8))
def test_unreadable_file_is_explained_in_one_line(i: int, tmp_path: Path) -> None:
    ref, message = list(_unreadable(tmp_path).items())[i]
    with pytest.raises(ConstitutionError) as caught:
        load_constitution(ref)
    assert message in str(caught.value)


def test_is_flow_tells_flow_from_block() -> None:
    source = parse_source("a: [b]\nc:\n  - d\n", "t")
    assert source.is_flow(("a",))
    assert not source.is_flow(("c",))
    assert not source.is_flow(("nowhere",))
