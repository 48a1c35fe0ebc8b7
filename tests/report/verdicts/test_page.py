"""The page as a file: complete, self-contained, and safe text."""

from __future__ import annotations

import base64
import hashlib
import html.parser
import json
import re
from pathlib import Path
from typing import Any

import pytest

from jurat.errors import JuratError
from jurat.judge import verdict_to_row
from jurat.report import write_report, write_ticket
from jurat.report.gallery.page_files import ONE_FILE
from jurat.report.verdicts.page import LAYOUT
from jurat.report.verdicts.run_facts import flattened

from ..conftest import LOOKED_AT, NOT_RELEVANT


class Tree(html.parser.HTMLParser):
    """The tags of a page with their attributes, and its text outside scripts and styles."""

    def __init__(self, source: str) -> None:
        super().__init__()
        self.tags: list[tuple[str, dict[str, str | None]]] = []
        self.text = ""
        self.blocks: dict[str, Any] = {}
        self._inside: list[str] = []
        self._block: str | None = None
        self.feed(source)

    def handle_starttag(self, tag, attrs):
        self.tags.append((tag, dict(attrs)))
        if tag in ("script", "style"):
            self._inside.append(tag)
        if tag == "script" and ("type", "application/json") in attrs:
            self._block = dict(attrs)["id"]
            self.blocks[self._block] = ""

    def handle_endtag(self, tag):
        self.text += " " * (tag in ("td", "th", "dt", "dd"))
        if tag in ("script", "style"):
            self._inside.pop()
        if tag == "script" and self._block is not None:
            self.blocks[self._block] = json.loads(self.blocks[self._block])
            self._block = None

    def handle_data(self, data):
        if self._block is not None:
            self.blocks[self._block] += data
        if not self._inside:
            self.text += data

    def all(self, tag: str) -> list[dict[str, str | None]]:
        return [attributes for name, attributes in self.tags if name == tag]

    @property
    def items(self) -> list[dict[str, Any]]:
        return [item for name, block in self.blocks.items() if name.startswith("items-") for item in block]

    @property
    def columns(self) -> dict[str, Any]:
        return self.blocks["columns"]

    def codes(self, name: str) -> list[int]:
        return list(base64.b64decode(self.columns[name]))


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


def test_page_has_facts_counts_and_findings(verdict, page):
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
    assert "margin the scores lie between the thresholds 1" in text
    # Of three judged items one breaks it: a third, and Wilson's interval of 1 in 3.
    assert "blade high 1 33.3% 6.1–79.2 0 2" in text
    assert tree.columns["names"] == ["safe.png", "unsafe.png", "unsure.png", "error.png"]
    assert tree.codes("outcome") == [3, 0, 1, 2]
    unsafe = tree.items[1]
    assert unsafe["said"][0]["text"].startswith("It breaks blade (high).")
    blade = unsafe["rules"][0]
    assert (blade["outcome"], blade["score"], blade["stage"]) == ("broken", 0.9, "quick")
    assert [tree.columns["texts"][one["text"]] for one in blade["clauses"]] == [
        "A child is visible.",
        "It touches an axe.",
    ]
    assert tree.items[3]["error"] == "the file is cut off"


@pytest.mark.parametrize(
    ("outcomes", "title"),
    [
        (["safe"], "No rule was found broken in 1 image."),
        (["safe", "unsure"], "No rule was found broken in 2 images."),
        (["unsafe", "unsafe"], "2 of 2 images break a rule."),
    ],
)
def test_heading_counts_broken_images(verdict, page, outcomes, title):
    assert title in squeezed(page(*(verdict(f"{n}.png", o) for n, o in enumerate(outcomes))).text)


def test_page_embeds_pictures_with_their_sizes(verdict, page):
    tree = page(verdict("a.png", "unsafe"), verdict("b.png"), verdict("c.png", "error", image=None))
    assert tree.columns["pictures"] == {"0": [64, 48], "1": [64, 48]}
    assert tree.columns["missing"] == {"2": "This item could not be read when it was judged."}
    urls = [tree.blocks[f"picture-{row}"] for row in (0, 1)]
    assert all(url.startswith("data:image/webp;base64,") for url in urls)


def test_evidence_of_later_stages_is_in_the_page(verdict, page):
    looked = verdict("a.png", "unsafe").model_copy(
        update={"rules": (LOOKED_AT, NOT_RELEVANT), "detector": "bundled@1", "matcher": "bundled@2"}
    )
    tree = page(looked)
    broken, irrelevant = tree.items[0]["rules"]
    axe = broken["clauses"][1]
    word, *box = axe["regions"][0]
    assert (tree.columns["texts"][word], box) == ("axe", [0.8, 10, 5, 40, 25])
    assert (axe["without"], axe["rating"]) == (0.35, "Yes")
    assert axe["rationale"] == "The <axe> is in the child's hand."
    assert (irrelevant["relevance"], "clauses" in irrelevant) == (0.11, False)
    said = squeezed(tree.text)
    assert "bundled@1" in said and "bundled@2" in said


def test_page_refers_to_nothing_outside_itself(verdict, page):
    tree = page(verdict("a.png", "unsafe"), verdict("b.png", "error", image=None))
    for tag, attributes in tree.tags:
        for name in ("src", "href", "srcset", "data", "poster", "action", "formaction"):
            value = attributes.get(name)
            assert value is None or value.startswith(("data:", "#")), (tag, name, value)
        assert "style" not in attributes and not [name for name in attributes if name.startswith("on")]


def test_content_policy_admits_only_own_scripts_and_style(verdict, record, tmp_path):
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
    assert directives["require-trusted-types-for"] == "'script'"
    for tag in ("script", "style"):
        contents = re.findall(rf"<{tag}>(.*?)</{tag}>", source, re.DOTALL)
        digests = [base64.b64encode(hashlib.sha256(one.encode()).digest()).decode() for one in contents]
        assert directives[f"{tag}-src"].split() == [f"'sha256-{digest}'" for digest in digests]
    assert source.count("<style>") == 1 and "eval" not in directives["script-src"]


def test_scripts_parse_no_html_and_evaluate_no_text():
    for script in LAYOUT.all_scripts():
        for sink in (
            "innerHTML",
            "outerHTML",
            "insertAdjacentHTML",
            "document.write",
            "eval(",
            "new Function",
        ):
            assert sink not in script


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
def test_hostile_text_in_a_record_stays_text(verdict, page, text):
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
    assert {name for name, _ in tree.tags} <= {name for name, _ in plain.tags} | {"p"}
    assert len(tree.all("style")) == len(plain.all("style")) == 1
    assert len([tag for tag in tree.all("script") if "type" not in tag]) == len(LAYOUT.all_scripts())
    for _, attributes in tree.tags:
        assert not [name for name in attributes if name.startswith("on") or name == "autofocus"]
    assert "49" not in squeezed(tree.text).split()
    told = text.replace("\x1b", r"\x1b").replace("\u202e", r"\u202e")
    assert tree.columns["names"] == [told, told]
    assert [rule["id"] for rule in tree.columns["rules"]] == [told]
    assert (tree.items[0]["note"], tree.items[1]["error"]) == (told, told)


def test_limit_keeps_pictures_of_the_gravest_items(verdict, page):
    verdicts = [verdict(f"{n}.png", o) for n, o in enumerate(["safe", "safe", "error", "unsure", "unsafe"])]
    tree = page(*verdicts, limit=2)
    assert list(tree.columns["pictures"]) == ["4", "3"]
    assert tree.columns["n"] == len(tree.items) == 5
    assert "This page has pictures of 2 items of 5, those that break a rule before the others" in tree.text


def test_large_run_has_data_files_beside_the_page(verdict, record, tmp_path):
    first = verdict("a b#.png", "unsafe")
    rest = [verdict(f"{n}.png", image=None) for n in range(ONE_FILE)]
    out = tmp_path / "a page?.html"
    written = write_report(record(first, *rest), out, limit=3)
    files = tmp_path / "a page?_files"
    assert (written.files, written.items, written.shown) == (files, ONE_FILE + 1, 3)
    names = sorted(path.name for path in files.iterdir())
    assert names == sorted(["columns.js", "picture-0.webp", *(f"items-{n}.js" for n in range(16))])
    tree = Tree(out.read_text())
    assert tree.blocks == {} and tree.all("script")[-1]["src"] == "a%20page%3F_files/columns.js"
    assert "'self' file:" in tree.all("meta")[1]["content"]
    head, _, data = (files / "items-0.js").read_text().partition(",")
    assert head == 'jurat.keep("items-0"' and len(json.loads(data.removesuffix(");\n"))) == 64
    with pytest.raises(JuratError, match="already exists"):
        write_report(record(first), out)
    write_report(record(first), out, overwrite=True)


def test_folder_output_has_data_files(verdict, record, tmp_path):
    written = write_report(record(verdict("a.png")), tmp_path / "new" / "report")
    assert written.path == tmp_path / "new/report/index.html" and written.path.is_file()
    assert {path.name for path in written.files.iterdir()} == {"columns.js", "items-0.js", "picture-0.webp"}


def test_folder_with_other_files_is_not_replaced(verdict, record, tmp_path):
    (tmp_path / "out" / "files").mkdir(parents=True)
    (tmp_path / "out" / "files" / "thesis.txt").write_text("mine")
    with pytest.raises(JuratError, match="holds other things"):
        write_report(record(verdict("a.png")), tmp_path / "out", overwrite=True)
    assert (tmp_path / "out" / "files" / "thesis.txt").read_text() == "mine"


def test_sealed_items_are_counted_but_not_shown(verdict, record, tmp_path):
    shown, sealed = verdict("a.png", "unsafe"), verdict("secret-name.png", "unsafe")
    path = record(shown, sealed)
    rows = [json.loads(line) for line in path.read_text().splitlines()]
    rows[1]["handling"] = "sealed"
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))
    written = write_report(path, tmp_path / "out")
    told = "".join(p.read_text() for p in (tmp_path / "out").rglob("*") if p.suffix in (".html", ".js"))
    assert "secret-name" not in told and (sealed.sha256 or "")[:12] + '"' not in told.replace(
        (shown.sha256 or "")[:12], ""
    )
    assert "1 item is sealed" in told and "2</em> of 2 images break a rule" in told
    assert [p.name for p in (tmp_path / "out/files").glob("*.webp")] == ["picture-0.webp"]
    assert (written.items, written.shown, written.sealed) == (2, 1, 1)


def test_run_folder_gives_facts_and_thresholds(verdict, run_folder, tmp_path):
    folder = run_folder(
        verdict("a.png", "unsafe"),
        facts={
            "sessions": [{"command": "jurat judge <b>", "machine": {"cores": 2}}],
            "thresholds": {"blade": {"keep_below": 0.1, "break_above": 0.85}},
        },
    )
    write_report(folder, tmp_path / "page.html")
    tree = Tree((tmp_path / "page.html").read_text())
    assert "sessions.1.command jurat judge <b>" in squeezed(tree.text)
    assert "sessions.1.machine.cores" in tree.text
    deep: dict[str, Any] = {}
    for _ in range(500):
        deep = {"x": deep}
    assert len(flattened({"deep": deep, "many": [{"n": n} for n in range(900)]})) == 201
    blade = tree.columns["rules"][0]
    assert (blade["keep"], blade["break"], blade["source"], blade["movable"]) == (0.1, 0.85, "run", True)


def test_facts_show_skipped_files_and_preset_digest(verdict, run_folder, tmp_path):
    files = {".md": 1200, ".txt": 1} | {f".{n}": 1 for n in range(9)}
    others = {"members of archives that are no regular file": 2, "folder entries": 7}
    passed_over = {"files": files, "members": {".json": 3}, "others": others}
    one = verdict("a.png", "unsafe").model_copy(update={"preset_digest": "c0ffee123456"})
    folder = run_folder(one, facts={"passed_over": passed_over})
    write_report(folder, tmp_path / "page.html")
    text = squeezed(Tree((tmp_path / "page.html").read_text()).text)
    assert "Preset quick@c0ffee123456 " in text
    assert "Passed over 1,200 .md files, 1 .txt file, 1 .0 file, " in text
    assert ", 5 more kinds " in text
    write_ticket(folder, tmp_path / "t.md", "md", reader="user")
    assert "| Passed over | 1,200 .md files, 1 .txt file, " in (tmp_path / "t.md").read_text()
    few = run_folder(
        one, facts={"passed_over": {k: v for k, v in passed_over.items() if k != "files"}}, name="few"
    )
    write_report(few, tmp_path / "few.html")
    text = squeezed(Tree((tmp_path / "few.html").read_text()).text)
    assert "Passed over 3 .json members of archives, 2 members of archives that are no regular file " in text
    assert "folder entries" not in text.partition("All facts of the run")[0]


def test_columns_with_few_values_become_filters(verdict, record, tmp_path):
    path = record(*(verdict(f"{n}.png", image=None) for n in range(300)))
    rows = [json.loads(line) for line in path.read_text().splitlines()]
    for n, row in enumerate(rows):
        row["columns"] = {"city": "Bern" if n % 2 else "Rome", "number": str(n)} if n else {}
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))
    write_report(path, tmp_path / "page.html")
    tree = Tree((tmp_path / "page.html").read_text())
    (city,) = tree.columns["carried"]
    assert (city["name"], city["values"]) == ("city", ["Bern", "Rome"])
    assert list(base64.b64decode(city["codes"]))[:4] == [255, 0, 1, 0]
    assert tree.items[7]["carried"] == {"city": "Bern", "number": "7"}


def test_facts_list_every_model_of_a_file(verdict, page):
    text = squeezed(
        page(verdict("a.png"), verdict("b.png", model="bundled@abc", time="2026-11-22T06:00:00.000Z")).text
    )
    assert "null@none, bundled@abc" in text
    assert "2026-11-21 05:02 to 2026-11-22 06:00 UTC" in text


def test_parquet_and_json_lines_give_equal_pages(verdict, record, tmp_path):
    from jurat.judge import VERDICT_ROWS
    from jurat.runs import open_sink

    verdicts = [verdict("a.png", "unsafe"), verdict("b.png", "error", image=None)]
    with open_sink(tmp_path / "verdicts.parquet", VERDICT_ROWS) as sink:
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
def test_invalid_record_is_refused_without_a_page(tmp_path, case):
    content, told = WRONG[case]
    record = tmp_path / "verdicts.jsonl"
    record.write_text(content)
    with pytest.raises(JuratError, match=re.escape(told)):
        write_report(record, tmp_path / "page.html")
    assert list(tmp_path.iterdir()) == [record]


def test_missing_record_and_existing_page_are_errors(verdict, record, tmp_path):
    with pytest.raises(JuratError, match=r"nosuch\.jsonl"):
        write_report(tmp_path / "nosuch.jsonl", tmp_path / "page.html")
    out = tmp_path / "page.html"
    out.write_text("mine")
    with pytest.raises(JuratError, match="already exists"):
        write_report(record(verdict("a.png")), out)
    assert out.read_text() == "mine"
    with pytest.raises(JuratError, match="cannot be written"):
        write_report(record(verdict("a.png")), Path(str(out), "below.html"))
