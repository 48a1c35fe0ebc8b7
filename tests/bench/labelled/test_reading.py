"""Labels in the layouts of tables, tools and folders; what is skipped and what is refused."""

from __future__ import annotations

import io
import json
import shutil

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from PIL import Image

from jurat.bench.labelled.labelled_images import read_labelled
from jurat.constitution import parse_constitution
from jurat.errors import JuratError

from .conftest import LAW, truth

BOTH = {"a.png": {"red": True, "big": False}, "c.png": {"red": True, "big": True}}
"""What most of the files below say of two images."""


def parquet(rows) -> bytes:
    out = io.BytesIO()
    pq.write_table(pa.Table.from_pylist(rows), out)
    return out.getvalue()


STUDIO = [
    {
        "data": {"image": "/data/upload/1/0a1b2c3d-a.png"},
        "annotations": [{"completed_by": 1, "result": [{"value": {"choices": ["red"]}}]}],
    },
    {
        "data": {"image": "/data/local-files/?d=c.png"},
        "annotations": [
            {"completed_by": {"email": "x@example.org"}, "was_cancelled": True, "result": []},
            {
                "completed_by": {"email": "x@example.org"},
                "result": [
                    {"value": {"choices": ["red"]}},
                    {"value": {"rectanglelabels": ["big"], "x": 1}},
                ],
            },
        ],
    },
]
CVAT = """<annotations><version>1.1</version>
<image id="0" name="a.png"><tag label="red" source="manual"/></image>
<image id="1" name="c.png"><tag label="red"/><box label="big" xtl="1" ytl="1" xbr="2" ybr="2"/></image>
</annotations>"""


@pytest.mark.parametrize(
    ("name", "text", "layout"),
    [
        ("l.csv", "file,broken\na.png,red\nc.png,red; big\n", "labels in the column 'broken'"),
        ("l.csv", "file,broken\na.png,red\nc.png,red big\n", "labels in the column 'broken'"),
        ("l.csv", 'image,choice\na.png,red\nc.png,"{""choices"": [""red"", ""big""]}"\n', "'choice'"),
        ("l.tsv", "path\tlabels\na.png\tRed\nc.png\tred|big\n", "labels in the column 'labels'"),
        ("l.jsonl", '{"file": "a.png", "broken": ["red"]}\n{"file": "c.png", "broken": ["big", "red"]}',
         "labels in the column 'broken'"),
        ("l.csv", "file,red,big\na.png,1,0\nc.png,yes,TRUE\n", "one column a rule"),
        ("l.csv", "file,rule,label\na.png,red,1\na.png,big,0\nc.png,red,1\nc.png,big,1\n", "one row a rule"),
        ("l.parquet", parquet([{"file": "a.png", "red": 1.0, "big": 0.0},
                               {"file": "c.png", "red": 1.0, "big": 1.0}]),
         "one column a rule"),
        ("l.parquet", parquet([{"file": "a.png", "labels": ["red"]},
                               {"file": "c.png", "labels": ["red", "big"]}]),
         "labels in the column 'labels'"),
        ("l.csv", "file,broken@ann\na.png,red\nc.png,red;big\n", "one column of labels an annotator"),
        ("l.csv", "file,red@ann,big@ann\na.png,1,0\nc.png,1,1\n", "one column a rule and annotator"),
        ("l.json", json.dumps(STUDIO), "Label Studio, JSON"),
        ("l.json", json.dumps([{"image": "a.png", "choice": "red", "annotator": 3},
                               {"image": "c.png", "choice": {"choices": ["red", "big"]}, "annotator": 3}]),
         "labels in the column 'choice'"),
        ("l.xml", CVAT, "CVAT for images"),
    ],
)  # fmt: skip
def test_layouts_of_tools_are_read_alike(read, name, text, layout):
    labelled = read(text, name)
    assert layout in labelled.read.layout
    assert truth(labelled) == BOTH
    assert [item.broken for item in labelled.items] == [{"red"}, {"red", "big"}]


def test_class_folders_are_labels(folder):
    pictures = folder / "pictures"
    for rule, names in {"red": ("a.png", "c.png"), "big": ("c.png",), "safe": ("b.png",)}.items():
        (pictures / rule).mkdir()
        for name in names:
            shutil.copy(pictures / name, pictures / rule / name)
    (pictures / "red" / "notes.txt").write_text("x")
    for name in ("a.png", "b.png", "c.png"):
        (pictures / name).unlink()
    shutil.rmtree(pictures / "sub")
    labelled = read_labelled(pictures, None, parse_constitution(LAW))
    assert truth(labelled) == {
        "big/c.png": {"red": True, "big": True},
        "red/a.png": {"red": True, "big": False},
        "safe/b.png": {"red": False, "big": False},
    }
    assert [(s.place, s.reason) for s in labelled.read.skipped] == [
        ("red/notes.txt", "its suffix is not that of an image")
    ]
    shutil.copy(pictures / "safe" / "b.png", pictures / "big" / "b.png")
    again = read_labelled(pictures, None, parse_constitution(LAW))
    assert "the same picture is in 'big' and 'safe'" in [s.reason for s in again.read.skipped]
    (pictures / "odd").mkdir()
    with pytest.raises(JuratError, match="pictures/odd: 'odd' is not a rule of the constitution"):
        read_labelled(pictures, None, parse_constitution(LAW))


def test_several_annotators_vote(read):
    rows = "file,annotator,broken\n" + "".join(
        f"{file},{who},{said}\n"
        for file, votes in {
            "a.png": ("red", "red", "safe"),
            "b.png": ("red", "safe"),
            "c.png": ("red;big", "red;big", "red"),
        }.items()
        for who, said in zip(("ann", "bob", "eve"), votes, strict=False)
    )
    labelled = read(rows)
    assert truth(labelled) == {
        "a.png": {"red": True, "big": False},
        "b.png": {"big": False},  # one against one about red is no label
        "c.png": {"red": True, "big": True},
    }
    assert [votes.disputed for votes in labelled.votes] == [["red"], ["red"], ["big"]]
    assert [votes.ties for votes in labelled.votes] == [[], ["red"], []]
    assert not labelled.complete(labelled.items[1])


def test_columns_of_annotators_are_equal_to_rows_of_annotators(read):
    columns = read("file,red@ann,red@bob,big@ann\na.png,1,0,0\nc.png,1,1,\n")
    rows = read("file,annotator,rule,vote\na.png,ann,red,1\na.png,bob,red,0\na.png,ann,big,0\n"
                "c.png,ann,red,yes\nc.png,bob,red,yes\nc.png,ann,big,\n", "rows.csv")  # fmt: skip
    assert [v.by_rule for v in columns.votes] == [v.by_rule for v in rows.votes]
    assert [(s.place, s.reason) for s in rows.read.skipped] == [("rows.csv, line 7", "no rule was rated")]


def test_what_was_not_rated_is_not_taken_for_kept(read):
    labelled = read("file,red\na.png,1\nb.png,0\nc.png,\n")
    assert truth(labelled) == {"a.png": {"red": True}, "b.png": {"red": False}}
    assert labelled.rated == ["red"]
    assert [s.reason for s in labelled.read.skipped] == ["no rule was rated"]


def test_an_empty_cell_of_an_annotators_column_is_no_vote(read):
    labelled = read("file,broken@ann,broken@bob\na.png,red,\nc.png,red,safe\n")
    assert [sorted(v.by_rule["red"].by) for v in labelled.votes] == [["ann"], ["ann", "bob"]]
    assert labelled.read.notes == [
        "ann labels no image as safe. An empty cell of an annotator's is read as not rated; write safe where "
        "nothing is broken."
    ]


@pytest.mark.parametrize(
    ("text", "skipped"),
    [
        ("file,broken\na.png,red\nz.png,red\n", ("l.csv, line 3", "z.png is not below ")),
        ("file,broken\na.png,red\n../constitution.yaml,\n", ("l.csv, line 3", "leaves ")),
        ("file,broken\na.png,red\na.png,red\n",
         ("l.csv, line 3", "a.png is listed in l.csv, line 2 already")),
        ("file,broken\nb.png,red\na.png,red\na.png,big\n",
         ("l.csv, line 4", "a.png has other labels in l.csv, line 3, and no column says who labelled it: ")),
        ("file,broken\na.png,red\nb.png,red,1\n", ("l.csv, line 3", "3 cells where the header has 2")),
        ("file,broken\na.png,red\n,red\n", ("l.csv, line 3", "the column 'file' names no image")),
        ("file,broken\na.png,red\nb.png,safe; red\n", ("l.csv, line 3", "'safe' and 'red' at once")),
        ("file,red\na.png,1\nb.png,maybe\n", ("l.csv, line 3", "'maybe' is neither yes nor no")),
        ("file,annotator,red\na.png,ann,1\nb.png,ann,1\nb.png,ann,0\n",
         ("l.csv, line 3", "b.png: ann says of 'red' both that it is broken and not; neither counts")),
    ],
)  # fmt: skip
def test_rows_that_give_no_label_are_counted_with_their_place(read, text, skipped):
    labelled = read(text, "l.csv")
    (found,) = labelled.read.skipped
    assert found.place == skipped[0] and skipped[1] in found.reason
    assert labelled.rated[0] == "red"


def test_rows_that_differ_without_an_annotator_label_nothing(read):
    assert set(truth(read("file,broken\na.png,red\na.png,big\nb.png,\n"))) == {"b.png"}


@pytest.mark.parametrize(
    ("name", "text", "message"),
    [
        ("l.csv", "file,rating\na.png,red\n", "no column holds labels; it has file, rating."),
        ("l.csv", "picture,broken\na.png,red\n", "no column names the images; it has picture, broken."),
        ("l.csv", "file,broken\na.png,blue\n", "l.csv, line 2: 'blue' is not a rule of the constitution."),
        ("l.csv", "file,broken\na.png,rad\n", "'rad' is not a rule of the constitution. Is it 'red'?"),
        ("l.csv", "file,broken\na.png,Very red\n", "'Very red' is not a rule"),
        ("l.csv", "file,blue@ann\na.png,1\n", "l.csv, column 'blue@ann': 'blue' is not a rule"),
        ("l.csv", "file,broken\n", "lists no image."),
        ("l.csv", "file,broken\nz.png,red\n", "labels no image that is below"),
        ("l.xml", "<annotations/>", "l.xml is not an export of CVAT's"),
        ("l.xml", "<annotations>", "l.xml is not XML"),
        ("l.txt", "a.png red", "is no file of rows"),
    ],
)
def test_files_that_cannot_be_labels_are_refused(read, name, text, message):
    with pytest.raises(JuratError) as raised:
        read(text, name)
    assert message in str(raised.value)


def test_labels_under_other_names_are_renamed_or_ignored(read):
    text = "file,tags\na.png,Red things;blurred\nb.png,ok\n"
    labelled = read(text, rename={"Red things": "red", "ok": "safe"}, ignore=["blurred"])
    assert truth(labelled) == {"a.png": {"red": True, "big": False}, "b.png": {"red": False, "big": False}}
    with pytest.raises(JuratError, match="--rename x=blue: 'blue' is not a rule"):
        read(text, rename={"x": "blue"})


def test_images_are_found_by_name_where_one_file_has_it(read, folder):
    labelled = read("file,broken\n/somewhere/else/d.png,red\nhttps://example.org/pics/a.png?x=1,\n")
    assert list(truth(labelled)) == ["a.png", "sub/d.png"]
    shutil.copy(folder / "pictures" / "a.png", folder / "pictures" / "sub" / "a.png")
    again = read("file,broken\nd.png,red\n/x/a.png,\n")
    assert [s.reason.partition(" files")[0] for s in again.read.skipped] == ["2"]


def test_equal_files_are_one_group(read, folder):
    shutil.copy(folder / "pictures" / "a.png", folder / "pictures" / "e.png")
    labelled = read("file,broken\na.png,red\nb.png,\ne.png,red\n")
    assert [item.pair for item in labelled.items] == [0, 1, 0]
    assert labelled.read.notes[-1].startswith("1 image of 3 repeat")


def test_order_of_rows_does_not_matter(read):
    one = read("file,broken\na.png,red\nb.png,\nc.png,big\n")
    other = read("file,broken\nc.png,big\na.png,red\nb.png,\n", "other.csv")
    assert one.items == other.items and one.labels_digest == other.labels_digest


def test_images_are_rotated_by_their_exif_orientation(read, folder):
    data = Image.new("RGB", (32, 16), "red")
    exif = data.getexif()
    exif[0x0112] = 6
    data.save(folder / "pictures" / "a.png", exif=exif)
    assert read("file,broken\na.png,red\n").items[0].image.size == (16, 32)


def test_wordings_have_the_same_rules(folder):
    (folder / "l.csv").write_text("file,broken\na.png,red\n")
    fewer = "name: x\nrules:\n  - {id: red, rule: Nothing red., clauses: [The picture is red.]}\n"
    laws = {"objective": parse_constitution(LAW), "vague": parse_constitution(fewer)}
    with pytest.raises(JuratError, match="'vague' has no rule 'big', which 'objective' has"):
        read_labelled(folder / "pictures", folder / "l.csv", laws)
