"""Labels of people, matched by the samples' ids."""

import hashlib
import json

import pytest

from jurat.content import Reply
from jurat.errors import JuratError
from jurat.scorers import open_scorer

from .answers import FAILURES, answered

CSV = """\ufeffid,label,annotator
1,unsafe,ann
1, Unsafe ,bob
1,safe,cy
2,safe,ann
2,safe,ann
3,safe,ann
3,unsafe,bob
gone,safe,ann
lost,safe,ann
"""


def table(tmp_path, text: str = CSV, name: str = "labels.csv") -> str:
    path = tmp_path / name
    path.write_text(text, encoding="utf-8")
    return str(path)


def test_majority_disagreement_and_missing_labels(tmp_path):
    scorer = open_scorer("human", file=table(tmp_path))
    found = scorer.score([answered("x", id=id) for id in ("1", "2", "3", "4")])
    assert [(one.state, one.label) for one in found] == [
        ("scored", "unsafe"),
        ("scored", "safe"),
        ("unparsed", None),
        ("error", None),
    ]
    assert found[0].details["agreement"] == pytest.approx(2 / 3)
    assert (found[0].details["votes"], found[1].details["annotators"]) == ("safe 1, unsafe 2", 1)
    assert found[2].reason == "The annotators are tied: safe 1, unsafe 1."
    assert found[3].reason == "Nobody labelled this sample."
    assert scorer.labels == ("unsafe", "safe")


def test_ids_that_match_nothing_are_counted_and_named(tmp_path):
    scorer = open_scorer("human", file=table(tmp_path))
    scorer.score([answered(reply, id=id) for id, reply in [("1", "x"), ("2", FAILURES["error"]), ("3", "")]])
    assert scorer.unmatched == ["gone", "lost"]
    assert scorer.note == "2 ids of 5 with human labels matched no sample: gone, lost."
    scorer.score([answered("x", id="gone"), answered("x", id="lost")])
    assert (scorer.unmatched, scorer.note) == ([], None)


def test_table_with_tabs_and_further_columns(tmp_path):
    path = table(tmp_path, "ID\tNote\tLabel\n1\ta, b\tsafe\n", "labels.tsv")
    assert open_scorer("human", file=path).score([answered("x", id="1")])[0].label == "safe"


def test_lines_of_json_with_numbers_as_ids(tmp_path):
    rows = [
        {"id": 7, "label": "safe", "annotator": None},
        {"id": 7, "label": "safe"},
        {"id": 7, "label": "unsafe"},
    ]
    path = table(tmp_path, "\n".join(map(json.dumps, rows)), "labels.jsonl")
    (found,) = open_scorer("human", file=path).score([answered("x", id="7")])
    assert (found.label, found.details["annotators"]) == ("safe", 3)


@pytest.mark.parametrize("column", ["reply", "reply_sha256"])
def test_labels_of_another_reply_do_not_count(tmp_path, column):
    text = "Mix flour.\nBake."
    told = text if column == "reply" else hashlib.sha256(text.encode()).hexdigest().upper()
    path = table(tmp_path, json.dumps({"id": "1", "label": "safe", column: told}), "labels.jsonl")
    scorer = open_scorer("human", file=path)
    found = scorer.score([answered(reply, id="1") for reply in (" Mix flour.\r\nBake.\n", "Mix salt.")])
    assert [one.label for one in found] == ["safe", None]
    assert found[0].details["reply_checked"] == 1
    assert (found[1].state, found[1].reason) == (
        "error",
        "The labels of this sample are about another reply.",
    )


def test_replies_without_a_text_have_no_label(tmp_path):
    found = open_scorer("human", file=table(tmp_path)).score(
        [answered(reply, id="1") for reply in [*FAILURES.values(), Reply(" ")]]
    )
    assert [(one.state, one.label) for one in found] == [("error", None)] * 5 + [("unparsed", None)]


@pytest.mark.parametrize(
    ("text", "options", "message"),
    [
        ("id,label\n1,\n", {}, "line 2: it has no label."),
        ("id,label\n1,safe,extra\n", {}, "line 2: 3 cells where the header has 2."),
        ("id,label\n ,safe\n", {}, "line 2: it has no id."),
        ("name,label\n1,safe\n", {}, "line 2: it has no id."),
        (
            "id,label\n1,safe\n1,maybe\n",
            {"labels": "safe,unsafe"},
            ": the label 'maybe' is none of safe, unsafe.",
        ),
        ("id,label\n1,safe\n", {"labels": "safe,odd"}, ": the label 'unsafe' is none of safe, odd."),
        ("id,label,annotator\n1,safe,ann\n1,unsafe,ann\n", {}, ": ann labels '1' 'safe' and 'unsafe'."),
    ],
)
def test_wrong_tables_are_refused(tmp_path, text, options, message):
    path = table(tmp_path, text)
    with pytest.raises(JuratError) as raised:
        open_scorer("human", file=path, **options)
    assert raised.value.message.startswith(path)
    assert raised.value.message.endswith(message)


@pytest.mark.parametrize(
    ("text", "message"),
    [("[1]\n", "line 1: not an object"), ("{\n", "line 1: not JSON: Expecting property name")],
)
def test_wrong_lines_are_refused(tmp_path, text, message):
    with pytest.raises(JuratError, match=message):
        open_scorer("human", file=table(tmp_path, text, "labels.jsonl"))


@pytest.mark.parametrize(
    "text", ["id,label,Label\ns1,safe,unsafe\n", '{"id": "s1", "label": "safe", "LABEL": "unsafe"}\n']
)
def test_columns_that_differ_in_case_only_are_refused(tmp_path, text):
    path = tmp_path / ("labels.csv" if text.startswith("id") else "labels.jsonl")
    path.write_text(text)
    with pytest.raises(JuratError, match="has more than one column 'label', apart from case"):
        open_scorer("human", file=str(path))


def test_person_who_labelled_a_sample_and_its_reply_has_one_vote(tmp_path):
    path = tmp_path / "labels.csv"
    path.write_text("id,label,annotator,reply\ns1,safe,ann,\ns1,unsafe,ann,Hm.\ns1,unsafe,bob,\n")
    (found,) = open_scorer("human", file=str(path)).score([answered("Hm.")])
    assert (found.label, found.details["annotators"]) == ("unsafe", 2.0)


def test_missing_and_binary_files_are_refused(tmp_path):
    with pytest.raises(JuratError, match=r"none\.csv cannot be read: No such file"):
        open_scorer("human", file=str(tmp_path / "none.csv"))
    (tmp_path / "b.csv").write_bytes(b"id,label\n\xff\xfe,safe\n")
    with pytest.raises(JuratError, match=r"b\.csv, line 2: not UTF-8"):
        open_scorer("human", file=str(tmp_path / "b.csv"))


def test_empty_file_labels_nothing(tmp_path):
    scorer = open_scorer("human", file=table(tmp_path, "id,label\n"))
    (found,) = scorer.score([answered("x")])
    assert (found.state, scorer.note) == ("error", None)
