"""The page as a file: complete, self-contained, and made of text."""

from __future__ import annotations

import base64
import hashlib
import html.parser
import json
import re
from pathlib import Path

import pytest

from jurat.errors import JuratError
from jurat.judge import verdict_to_row
from jurat.report import write_report

from .conftest import LOOKED_AT, NOT_RELEVANT


class Tree(html.parser.HTMLParser):
    """The tags of a page with their attributes, and its text outside scripts and styles."""

    def __init__(self, source: str) -> None:
        super().__init__()
        self.tags: list[tuple[str, dict[str, str | None]]] = []
        self.text = ""
        self._inside: list[str] = []
        self.feed(source)

    def handle_starttag(self, tag, attrs):
        self.tags.append((tag, dict(attrs)))
        if tag in ("script", "style"):
            self._inside.append(tag)

    def handle_endtag(self, tag):
        self.text += " " * (tag in ("td", "th"))
        if tag in ("script", "style"):
            self._inside.pop()

    def handle_data(self, data):
        if not self._inside:
            self.text += data

    def all(self, tag: str) -> list[dict[str, str | None]]:
        return [attributes for name, attributes in self.tags if name == tag]


@pytest.fixture
def page(verdict, record, tmp_path):
    """Writes the page of some verdicts and reads it back."""

    def write(*verdicts, **options) -> Tree:
        out = tmp_path / "page.html"
        write_report(record(*verdicts), out, overwrite=True, **options)
        return Tree(out.read_text(encoding="utf-8"))

    return write


def squeezed(text: str) -> str:
    return " ".join(text.split())


def test_it_tells_the_facts_the_counts_and_the_findings(verdict, page):
    tree = page(*(verdict(f"{o}.png", o) for o in ("safe", "unsafe", "unsure", "error")))
    text = squeezed(tree.text)
    for fact in (
        "null@none",
        "nursery@0123456789ab",
        "ba9876543210",
        "6a998bbe50fe",
        "2026-11-21 05:02 UTC",
        "4.0 a second",
    ):
        assert fact in text
    assert "1 of 4 images breaks a rule." in text
    assert "blade broken 0.90" in text
    assert "A child is visible. holds" in text and "A fire is visible. undecidedmargin" in text
    assert "margin the scores lie between the thresholds 1" in text
    assert "It breaks blade" in text  # the explanation


@pytest.mark.parametrize(
    ("outcomes", "title"),
    [
        (["safe"], "No rule was found broken in 1 image."),
        (["safe", "unsure"], "No rule was found broken in 2 images."),
        (["unsafe", "unsafe"], "2 of 2 images break a rule."),
    ],
)
def test_the_heading_says_what_was_found(verdict, page, outcomes, title):
    assert title in squeezed(page(*(verdict(f"{n}.png", o) for n, o in enumerate(outcomes))).text)


def test_images_are_carried_by_the_page_and_described(verdict, page):
    images = page(verdict("a.png", "unsafe"), verdict("b.png")).all("img")
    assert [image["alt"] for image in images] == ["a.png, judged unsafe: breaks blade", "b.png, judged safe"]
    assert all(image["src"].startswith("data:image/webp;base64,") for image in images)


def test_what_was_found_on_looking_again_is_shown(verdict, page):
    looked = verdict("a.png", "unsafe").model_copy(
        update={"rules": (LOOKED_AT, NOT_RELEVANT), "detector": "bundled@1", "matcher": "bundled@2"}
    )
    tree = page(looked)
    (region,) = [one for one in tree.all("rect") if "class" not in one and one.get("x") == "10.0"]
    assert (region["y"], region["width"], region["height"]) == ("5.0", "30.0", "20.0")
    said = squeezed(tree.text)
    assert "with axe painted over 0.35" in said
    assert "reasoning: Yes, The <axe> is in the child's hand." in said
    assert "Not relevant: the image resembles the rule by 0.11 only, and nothing was asked." in said
    assert "bundled@1" in said and "bundled@2" in said


def test_it_refers_to_nothing_outside_itself(verdict, page):
    tree = page(verdict("a.png", "unsafe"), verdict("b.png", "error", image=None))
    for tag, attributes in tree.tags:
        for name in ("src", "href", "srcset", "data", "poster", "action", "formaction"):
            value = attributes.get(name)
            assert value is None or value.startswith(("data:", "#")), (tag, name, value)
        assert "style" not in attributes and not [name for name in attributes if name.startswith("on")]


def test_its_policy_admits_its_own_script_and_stylesheet_and_no_others(verdict, record, tmp_path):
    out = tmp_path / "page.html"
    write_report(record(verdict("a.png")), out)
    source = out.read_text(encoding="utf-8")
    (policy,) = [
        tag["content"]
        for tag in Tree(source).all("meta")
        if tag.get("http-equiv") == "Content-Security-Policy"
    ]
    directives = dict(part.strip().split(" ", 1) for part in policy.split(";"))
    assert directives["default-src"] == "'none'" and directives["img-src"] == "data:"
    for tag in ("script", "style"):
        (content,) = re.findall(rf"<{tag}>(.*?)</{tag}>", source, re.DOTALL)
        digest = base64.b64encode(hashlib.sha256(content.encode()).digest()).decode()
        assert directives[f"{tag}-src"] == f"'sha256-{digest}'"


HOSTILE = [
    "<script>alert(1)</script>",
    "<img src=x onerror=alert(1)>.png",
    '" onmouseover="alert(1)',
    "' autofocus onfocus='alert(1)",
    "</title></style></script><svg onload=alert(1)>",
    "{{ 7 * 7 }}{% for x in y %}",
    "javascript:alert(1)",
    "\x1b[31m\u202egnp.exe",
    "<!--",
    "]]>",
]


@pytest.mark.parametrize("text", HOSTILE)
def test_whatever_a_record_holds_stays_text(verdict, page, text):
    plain = page(verdict("a.png", "unsafe"))
    one = verdict("a.png", "unsafe")
    finding = one.rules[0].clauses[0]
    clause = finding.model_copy(
        update={
            "text": text,
            "alternatives": tuple(a.model_copy(update={"text": text}) for a in finding.alternatives) * 2,
        }
    )
    rule = one.rules[0].model_copy(
        update={"id": text, "severity": text, "action": text, "clauses": (clause,)}
    )
    changes = (
        "id",
        "model",
        "constitution",
        "thresholds",
        "prompts",
        "dtype",
        "jurat",
        "decision",
        "time",
        "note",
    )
    hostile = one.model_copy(update={**dict.fromkeys(changes, text), "broken": (text,), "rules": (rule,)})
    failed = verdict("b.png", "error", image=None).model_copy(update={"error": text, "id": text})
    tree = page(hostile, failed)
    allowed = {name for name, _ in plain.tags} | {"ul", "li", "p"}
    assert {name for name, _ in tree.tags} <= allowed
    assert len(tree.all("script")) == len(tree.all("style")) == 1
    for _, attributes in tree.tags:
        assert not [name for name in attributes if name.startswith("on") or name == "autofocus"]
    assert "49" not in squeezed(tree.text).split()
    (rules,) = [
        json.loads(card["data-rules"]) for card in tree.all("li") if card.get("data-outcome") == "unsafe"
    ]
    assert rules == [text.replace("\x1b", r"\x1b").replace("\u202e", r"\u202e")]


def test_the_gallery_is_limited_to_the_gravest_items(verdict, page):
    verdicts = [verdict(f"{n}.png", o) for n, o in enumerate(["safe", "safe", "error", "unsure", "unsafe"])]
    tree = page(*verdicts, limit=2)
    cards = [card for card in tree.all("li") if card.get("class") == "card"]
    assert [card["data-outcome"] for card in cards] == ["unsafe", "unsure"]
    assert "This page holds the first 2 of 5, those that break a rule before the others" in tree.text


def test_a_file_of_several_runs_names_them_all(verdict, page):
    text = squeezed(
        page(verdict("a.png"), verdict("b.png", model="bundled@abc", time="2026-11-22T06:00:00.000Z")).text
    )
    assert "null@none, bundled@abc" in text
    assert "2026-11-21 05:02 to 2026-11-22 06:00 UTC" in text


def test_parquet_makes_the_same_page_as_json_lines(verdict, record, tmp_path):
    from jurat.images import open_sink
    from jurat.judge import arrow_schema

    verdicts = [verdict("a.png", "unsafe"), verdict("b.png", "error", image=None)]
    with open_sink(tmp_path / "verdicts.parquet", arrow_schema) as sink:
        for one in verdicts:
            sink.write(verdict_to_row(one))
    pages = []
    for source in (record(*verdicts), tmp_path / "verdicts.parquet"):
        out = tmp_path / f"{source.suffix}.html"
        write_report(source, out)
        pages.append(out.read_text().replace(source.name, "RECORD"))
    assert pages[0] == pages[1]


WRONG = {
    "an empty file": ("", "holds no verdicts"),
    "rows of something else": ('{"prompt": "x"}\n', "verdicts.jsonl, row 1: "),
    "a verdict with a part missing": ('{"schema": 1, "id": "x"}\n', "row 1: This is not a verdict: decision"),
    "a row that is no object": ("[1]\n", "verdicts.jsonl"),
    "no JSON": ("not json\n", "verdicts.jsonl"),
}


@pytest.mark.parametrize("case", WRONG)
def test_what_is_not_a_record_is_refused_with_the_reason_and_leaves_no_page(tmp_path, case):
    content, told = WRONG[case]
    record = tmp_path / "verdicts.jsonl"
    record.write_text(content)
    with pytest.raises(JuratError, match=re.escape(told)):
        write_report(record, tmp_path / "page.html")
    assert list(tmp_path.iterdir()) == [record]


def test_a_record_that_is_not_there_and_a_page_that_is(verdict, record, tmp_path):
    with pytest.raises(JuratError, match=r"nosuch\.jsonl"):
        write_report(tmp_path / "nosuch.jsonl", tmp_path / "page.html")
    out = tmp_path / "page.html"
    out.write_text("mine")
    with pytest.raises(JuratError, match="is there already"):
        write_report(record(verdict("a.png")), out)
    assert out.read_text() == "mine"
    with pytest.raises(JuratError, match="cannot be written"):
        write_report(record(verdict("a.png")), Path(str(out), "below.html"))
