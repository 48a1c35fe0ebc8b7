from __future__ import annotations

from pathlib import Path
from unicodedata import normalize

import pytest

from jurat.constitution import Constitution, Rule
from jurat.errors import JuratError
from jurat.judge.calibrate.labels import labels_by_id, read_labels

LAW = Constitution(name="law", rules=(Rule(id="a", rule="No a."), Rule(id="b", rule="No b.")))


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    for name in ("one.png", "deep/two.png"):
        (tmp_path / "images" / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / "images" / name).write_bytes(b"")
    return tmp_path


def test_labels_are_read_in_order(folder: Path) -> None:
    (folder / "labels.csv").write_text(
        "file,broken,who\none.png,a; b,x\ndeep/two.png,,y\n", encoding="utf-8-sig"
    )
    found = read_labels(folder / "images", folder / "labels.csv", LAW)
    assert [(label.file, label.broken) for label in found] == [
        ("one.png", frozenset("ab")),
        ("deep/two.png", frozenset()),
    ]
    assert found[0].path == (folder / "images/one.png").resolve()


@pytest.mark.parametrize(("there", "given"), [("NFC", "NFD"), ("NFD", "NFC")])
def test_labels_name_files_in_either_unicode_form(folder: Path, there: str, given: str) -> None:
    from jurat.sources import find_items

    name = folder / "images" / normalize(there, "bücher/café.png")
    name.parent.mkdir()
    name.write_bytes(b"")
    (folder / "labels.csv").write_text(f"file,broken\n{normalize(given, 'bücher/café.png')},a\n", "utf-8")
    labels = read_labels(folder / "images", folder / "labels.csv", LAW)
    known = labels_by_id(labels, find_items([str(folder / "images")]), folder / "images")
    assert known == {str(name): frozenset("a")}


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("name,broken\none.png,a\n", ":1: there is no column file."),
        ("file,broken\none.png,c\n", ":2: 'c' is not a rule of the constitution."),
        ("file,broken\none.png,\none.png,a\n", ":3: one.png is listed twice."),
        ("file,broken\nthree.png,\n", ":2: .*three.png is not there."),
        ("file,broken\n../labels.csv,\n", ":2: '../labels.csv' is not a file of "),
        ("file,broken\n,a\n", ":2: '' is not a file of "),
        ("file,broken\none.png,a,b\n", ":2: more cells than the header has."),
        ("file,broken\none.png\n", ":2: fewer cells than the header has."),
        ("file,broken\n", ": lists no image."),
        ('file,broken\none.png,"a\ndeep/two.png,b\n', ": is not a CSV file in UTF-8 .unexpected end of data"),
        (None, ": cannot be read"),
        (b"file,broken\n\xff\xfe,\n", ": is not a CSV file in UTF-8"),
    ],
)
def test_bad_labels_are_explained_with_line(folder: Path, text: str | bytes | None, told: str) -> None:
    path = folder / "labels.csv"
    if text is not None:
        path.write_bytes(text.encode() if isinstance(text, str) else text)
    with pytest.raises(JuratError, match=told):
        read_labels(folder / "images", path, LAW)
