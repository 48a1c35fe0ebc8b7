"""The policy on a page: its name, its version and its rules' sentences, and what a user is not shown."""

from __future__ import annotations

from pathlib import Path

import pytest

from jurat.constitution import Constitution, load_constitution
from jurat.errors import JuratError
from jurat.report import compare_reports, write_report, write_ticket
from jurat.report.verdicts.page import note_on
from jurat.report.verdicts.policy import Policy, policy_of

from ..conftest import BLADE

HOUSE = Constitution.model_validate(
    {
        "name": "house",
        "version": "7",
        "rules": [
            {"id": "blade", "rule": "No child may hold <b>a blade</b>.", "clauses": ["X."]},
            {"id": "dog", "rule": "No dog.", "clauses": ["Y."]},
        ],
    }
)
HOUSE_ID = f"house@{HOUSE.digest}"
FACTS = {
    "constitution": {
        "name": HOUSE.name,
        "version": HOUSE.version,
        "digest": HOUSE.digest,
        "rules": [{"id": rule.id, "rule": rule.rule} for rule in HOUSE.rules],
    },
    "settings": {"model": "hf/acme/secret-8b@1"},
}


def page_of(source: Path, tmp_path: Path, **options) -> str:
    out = tmp_path / "page.html"
    write_report(source, out, overwrite=True, **options)
    return out.read_text()


def test_run_folder_gives_policy_name_version_and_sentences(verdict, run_folder, tmp_path):
    source = run_folder(verdict("a.png", "unsafe", constitution=HOUSE_ID), facts=FACTS)
    page = page_of(source, tmp_path)
    assert "<title>1 image breaks a rule · house, version 7 · jurat</title>" in page
    assert "policy house, version 7" in page
    assert '<span class="sentence">No child may hold &lt;b&gt;a blade&lt;/b&gt;.</span>' in page
    assert '"sentence":"No child may hold \\u003cb\\u003ea blade\\u003c/b\\u003e."' in page
    write_ticket(source, tmp_path / "t.md", "md")
    ticket = (tmp_path / "t.md").read_text()
    assert ticket.startswith("# 1 of 1 image breaks a rule of the policy house, version 7\n")
    assert "No child may hold" in ticket


def test_given_constitution_adds_sentences_to_a_file_of_verdicts(verdict, record, tmp_path):
    source = record(verdict("a.png", "unsafe", constitution=HOUSE_ID))
    assert "· house · jurat</title>" in page_of(source, tmp_path)
    page = page_of(source, tmp_path, constitution=HOUSE)
    assert "· house, version 7 · jurat</title>" in page and "No child may hold" in page
    with pytest.raises(JuratError, match=rf"The verdicts are of {HOUSE_ID}, not of nursery@"):
        page_of(source, tmp_path, constitution=load_constitution("shelf:nursery"))


BLADE_RULE = {"id": "blade", "rule": "No blade."}


@pytest.mark.parametrize(
    ("recorded", "policy"),
    [
        ("house", Policy("house", HOUSE.digest)),
        ({"digest": "0123456789ab", "rules": [BLADE_RULE]}, Policy("house", HOUSE.digest)),
        (
            {
                "name": "house",
                "digest": HOUSE.digest,
                "rules": [BLADE_RULE, "?", {"id": "x"}],
            },
            Policy("house", HOUSE.digest, "", {"blade": "No blade."}),
        ),
        ({"name": "house", "digest": HOUSE.digest, "rules": "?"}, Policy("house", HOUSE.digest)),
    ],
    ids=["text", "other digest", "odd rules", "no rules"],
)
def test_odd_constitution_in_run_facts_gives_what_can_be_read(verdict, recorded, policy):
    first = verdict("a.png", "unsafe", constitution=HOUSE_ID)
    assert policy_of({"constitution": recorded}, first) == policy


def test_shelf_policy_is_found_by_its_digest(verdict, record, tmp_path):
    policy = load_constitution("shelf:nursery")
    rules = (BLADE.model_copy(update={"id": "child-with-blade"}),)
    source = record(verdict("a.png", "unsafe", constitution=f"nursery@{policy.digest}", rules=rules))
    page = page_of(source, tmp_path)
    assert f"· nursery, version {policy.version} · jurat</title>" in page
    assert "No child may be shown touching a blade." in page
    changed = verdict("a.png", "unsafe", constitution="nursery@0123456789ab", rules=rules)
    other = record(changed, name="other.jsonl")
    assert "No child may be shown touching a blade." not in page_of(other, tmp_path)


def test_verdicts_of_several_policies_have_no_sentences(verdict, record, tmp_path):
    policy = load_constitution("shelf:nursery")
    rows = [verdict("a.png", "unsafe", constitution=f"nursery@{policy.digest}"), verdict("b.png", "unsafe")]
    page = page_of(record(*rows), tmp_path)
    assert f"nursery@{policy.digest}, nursery@0123456789ab · jurat</title>" in page
    assert '"sentence":"' not in page


@pytest.mark.parametrize(
    ("note", "count", "told"),
    [
        ("The image is unlike any.", 10, "10 images are unlike any."),
        ("The image is unlike any.", 1, "1 image is unlike any."),
        ("Answers mean nothing.", 12, "Answers mean nothing."),
        ("It was slow.", 3, "It was slow (3 images of 12)."),
    ],
)
def test_note_has_the_number_of_its_images(note: str, count: int, told: str) -> None:
    assert note_on(note, count, 12) == told


SECRETS = {"model": "hf/acme/secret-8b@1", "detector": "secret-owl@2", "matcher": "secret-clip@3"}


def test_pages_for_users_name_no_models(verdict, run_folder, tmp_path):
    secret = {
        **SECRETS,
        "constitution": HOUSE_ID,
        "preset": "secret-preset",
        "note": "secret-8b is unsure.",
    }
    verdicts = [
        verdict("a.png", "unsafe", **secret),
        verdict("b.png", "unsure", **secret),
        verdict("c.png", "error", image=None, **{**secret, "error": "secret-8b does not answer"}),
    ]
    source = run_folder(*verdicts, facts=FACTS)
    page_of(source, tmp_path)
    assert "secret" in (tmp_path / "page.html").read_text()
    page = page_of(source, tmp_path, reader="user")
    assert "secret" not in page and "house, version 7" in page and "No child may hold" in page
    for format in ("md", "csv"):
        write_ticket(source, tmp_path / f"t.{format}", format, reader="user")
        assert "secret" not in (tmp_path / f"t.{format}").read_text()
    changed = {**secret, "model": "secret-9b@1"}
    then = run_folder(verdict("a.png", "safe", **changed), facts=FACTS, name="then")
    compare_reports(source, then, tmp_path / "compare.html", reader="user")
    assert "secret" not in (tmp_path / "compare.html").read_text()
    write_ticket(source, tmp_path / "flips.md", "md", other=then, reader="user")
    assert "secret" not in (tmp_path / "flips.md").read_text()
