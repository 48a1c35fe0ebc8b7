"""Images in tables are opened again by the URIs of their item or their own."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path

import pytest

from jurat.sources import find_items
from jurat.sources.reopen import Reopener


@pytest.fixture
def table(tmp_path: Path) -> Path:
    """A table whose rows have one image in a list, two, and one."""
    for name in ("a", "b", "c", "d"):
        (tmp_path / f"{name}.png").write_bytes(name.encode())
    path = tmp_path / "t.jsonl"
    rows = [["a.png"], ["b.png", "c.png"], ["d.png"]]
    path.write_text("".join(json.dumps({"images": row}) + "\n" for row in rows))
    return path


def opened(table: Path, uris: Sequence[str]) -> dict[str, bytes]:
    found = Reopener().find(f"{table}#{uri}" for uri in uris)
    return {uri.rpartition("#")[2]: opener() for uri, opener in found.items()}


def test_item_of_several_images_is_reopened_beside_items_of_one(table: Path) -> None:
    assert [item.uri for item in find_items([str(table)])] == [f"{table}#{number}" for number in range(3)]
    each = [image.uri for item in find_items([str(table)]) for image in item.lazy_images()]
    assert each[1:3] == [f"{table.parent}/b.png", f"{table.parent}/c.png"]
    assert opened(table, ["0", "1", "2"]) == {"0": b"a", "2": b"d"}
    assert opened(table, ["1", "1/0", "1/1"]) == {"1/0": b"b", "1/1": b"c"}
