"""Images, labels and a constitution of two rules."""

from __future__ import annotations

from pathlib import Path

import pytest
from PIL import Image

from jurat.bench.labelled.labelled_images import LabelledImages, read_labelled
from jurat.constitution import parse_constitution

LAW = """
name: colours
rules:
  - {id: red, rule: Nothing red may be visible., description: Something red., clauses: [The picture is red.]}
  - {id: big, rule: Nothing big may be visible., description: Something big., clauses: [The picture is big.]}
"""
COLOURS = {"a.png": "red", "b.png": "blue", "c.png": "maroon", "sub/d.png": "green"}


@pytest.fixture
def folder(tmp_path) -> Path:
    """Four pictures below `pictures`, one of them in a folder, and `constitution.yaml`."""
    for name, colour in COLOURS.items():
        path = tmp_path / "pictures" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        Image.new("RGB", (32, 32), colour).save(path)
    (tmp_path / "constitution.yaml").write_text(LAW)
    return tmp_path


@pytest.fixture
def read(folder):
    """Reads labels that are written into a file of the given name."""

    def read(text: str | bytes, name: str = "labels.csv", law: str = LAW, **options) -> LabelledImages:
        path = folder / name
        path.write_bytes(text if isinstance(text, bytes) else text.encode())
        return read_labelled(folder / "pictures", path, parse_constitution(law), **options)

    return read


def truth(labelled: LabelledImages) -> dict[str, dict[str, bool]]:
    """Image -> rule -> whether it is broken, for rules with a label."""
    return {item.id: votes.truth for item, votes in zip(labelled.items, labelled.votes, strict=True)}
