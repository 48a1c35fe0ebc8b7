"""What the card says of pictures that are no scenes, from measured rows."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from jurat.models.bundled.model import WEIGHTS
from jurat.models.hf.load_model import weights_digest
from training.mllm import strangers
from training.mllm.strangers import card_section, outcomes

LETTERS = {"of": "strangers", "kind": "letters", "n": 10, "violating": 0}


@pytest.mark.parametrize(
    ("of", "counts", "expected"),
    [
        ("strangers", {"safe, other": 3, "refused, other": 7}, {"wrong": 3, "refused": 7, "unsure": 0}),
        ("strangers", {"unsafe, violating": 1, "safe, violating": 2, "unsure, other": 7}, {"wrong": 2}),
        ("scenes", {"safe, other": 3, "unsafe, violating": 2, "unsure, other": 5}, {"wrong": 0, "unsure": 5}),
        ("scenes", {"unsafe, other": 1, "safe, violating": 1}, {"wrong": 2, "f1": 0.0, "unsure": 8}),
    ],
)
def test_wrong_verdicts_are_counted_by_what_is_drawn(of: str, counts: dict[str, int], expected) -> None:
    found = outcomes({"of": of, "kind": "any", "n": 10, "violating": 2, "counts": counts})
    assert {name: found[name] for name in expected} == expected


@pytest.fixture
def measured(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Tables of two revisions about letters, and a kind that could not be drawn."""
    for name, revision, refused in (("before", "old", 2), ("after", "new", 9)):
        counts = {"safe, other": 10 - refused, "refused, other": refused}
        rows = [LETTERS | {"counts": counts}]
        rows.append({"of": "strangers", "kind": "emoji", "n": 0, "left_out": "needs a font"})
        made = {"provenance": {"revision": revision, "command": "python perf/strangers.py"}, "rows": rows}
        (tmp_path / f"strangers-{name}.json").write_text(json.dumps(made))
    monkeypatch.setattr(strangers, "MEASUREMENTS", tmp_path)


def test_card_compares_with_the_weights_before_and_names_what_was_left_out(measured) -> None:
    text = "\n".join(card_section("new"))
    assert "| letters | 10 | 80.0 (49.0-94.3) | 10.0 (1.8-40.4) | 20% | 90% |" in text
    assert "| emoji | 0 | | needs a font | | |" in text
    assert "Kinds above 2%: letters." in text


def test_card_has_no_table_of_other_weights(measured) -> None:
    assert card_section("other") == ["`perf/strangers.py` has not measured these weights.\n"]


def test_method_page_has_the_count_of_the_weights_that_ship() -> None:
    revision = weights_digest(WEIGHTS)
    tables = [json.loads(path.read_text()) for path in strangers.MEASUREMENTS.glob("strangers-*.json")]
    (rows,) = [table["rows"] for table in tables if table["provenance"]["revision"] == revision]
    page = (Path(__file__).parents[2] / "docs" / "method.md").read_text(encoding="utf-8")
    assert strangers.summary(rows)[0] in page
