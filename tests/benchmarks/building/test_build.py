"""Building a set: resuming, unreadable drafts, duplicates, review, and reading the result back."""

from __future__ import annotations

import csv
import io
import json
import random
from pathlib import Path
from typing import Any

import pytest
from PIL import Image

from jurat.benchmarks import COMPLY, REFUSE, Sample, open_set
from jurat.benchmarks.building.builders import Rendered, render
from jurat.benchmarks.building.spec import read_spec
from jurat.benchmarks.drawing import png
from jurat.content import Failure, Reply
from jurat.errors import JuratError
from jurat.text import storable

from .specs import SPEC, KnownWriter, build, drafted, left_out


def test_every_builder_gives_an_unsafe_sample_and_its_near_miss(tmp_path: Path):
    report = build(tmp_path)
    assert (report.drafts, len(report.kept), report.left_out) == (3, 3, [])
    assert dict(report.samples) == {
        ("pots", builder, label): 3
        for builder in ("typographic", "key-phrase")
        for label in ("unsafe", "near_miss")
    }
    assert report.card["dimensions"]["pots"]["samples"]["typographic"] == {"unsafe": 3, "near_miss": 3}
    assert report.card["writer"]["replies"] == {"known@1": 3}


@pytest.mark.parametrize("format", ["jsonl", "parquet"])
def test_set_is_read_back_as_it_was_rendered(tmp_path: Path, format: str):
    report = build(tmp_path, spec=f"{SPEC}format: {format}\n")
    copy = open_set("jurat-layout", tmp_path / "out")
    samples = {sample.id: sample for sample in copy.read() if isinstance(sample, Sample)}
    assert copy.layout == format
    spec = read_spec(tmp_path / "spec.yaml")
    rendered = [each for kept in report.kept for each in render(kept, spec)]
    assert list(samples) == [each.id for each in rendered]
    for each in rendered:
        assert isinstance(each, Rendered)
        sample = samples[each.id]
        assert list(sample.item.read()) == [png(picture) for picture in each.pictures]
        assert sample.expected == (COMPLY if each.near_miss else REFUSE)
        assert sample.item.turns[-1].text == each.text
        assert (sample.group, sample.category) == (each.builder, "pots")
    assert samples["pots-0001-key-phrase"].cluster == samples["pots-0001-key-phrase-near-miss"].cluster
    found = copy.verify()
    assert (found.samples, found.clusters, found.skipped, found.unused_images) == (12, 3, [], [])
    assert found.notes == {}


def test_killed_build_goes_on_and_asks_nothing_twice(tmp_path: Path):
    spec = SPEC.replace("volume: 3", "volume: 24")
    replies = {f"draft number {n} about": drafted(f"pot {n}") for n in range(1, 9)}
    first = KnownWriter(replies, stops_after=20)
    with pytest.raises(KeyboardInterrupt):
        build(tmp_path, first, spec)
    recorded = (tmp_path / "out/replies.jsonl").read_bytes()
    assert recorded.count(b"\n") == 16  # whole batches
    (tmp_path / "out/replies.jsonl").write_bytes(recorded + b'{"key": "cut of')
    second = KnownWriter(replies)
    report = build(tmp_path, second, spec)
    assert (report.asked, report.recorded) == (8, 16)
    assert set(first.asked[:16]).isdisjoint(second.asked)
    whole = build(tmp_path / "whole", KnownWriter(replies), spec)
    assert whole.card == report.card
    third = KnownWriter()
    again = build(tmp_path, third, spec)
    assert (third.asked, again.asked, again.card) == ([], 0, report.card)


CUT_OFF = Reply(drafted(), finish="length")


@pytest.mark.parametrize(
    ("reply", "kind", "reason"),
    [
        ("No.", "unreadable draft", "The reply is not one JSON object"),
        (f"Here you are: {drafted()}", "unreadable draft", "The reply is not one JSON object"),
        (f"{drafted()}\n{drafted()}", "unreadable draft", "Extra data"),
        ('{"request": "a", "request": "b"}', "unreadable draft", "a key occurs twice"),
        (drafted(title=3), "unreadable draft", "title: Input should be a valid string"),
        (drafted(extra="x"), "unreadable draft", "extra: Extra inputs are not permitted"),
        (drafted(context="two\nlines"), "unreadable draft", "context: Value error, it has a line break"),
        (drafted(context=" "), "unreadable draft", "context: String should have at least 1 character"),
        ("[1]", "unreadable draft", "it: Input should be a valid dictionary"),
        ("[" * 30_000, "unreadable draft", "more than 20,000 characters"),
        (CUT_OFF, "unreadable draft", "The reply was cut off."),
        ('{"request": "\\ud800"}', "unreadable draft", "request: "),
        ("\ud800", "unreadable draft", "The reply is not one JSON object"),
        ("", "no draft", "The reply is empty."),
        (Reply(failure=Failure("refused", "I will not.")), "no draft", "The writer declined: I will not."),
        (Reply(failure=Failure("error", "It broke.")), "no draft", "The writer failed: It broke."),
    ],
)
def test_reply_that_is_no_draft_is_kept_with_its_reason(tmp_path: Path, reply, kind: str, reason: str):
    writer = KnownWriter({"flat pots": reply, "That cannot be used": reply})
    report = build(tmp_path, writer)
    assert len(report.kept) == 2
    ((id, (found_kind, found_reason)),) = left_out(report).items()
    assert id.startswith("pots-") and found_kind == kind
    assert reason in found_reason
    row = json.loads((tmp_path / "out/left_out.jsonl").read_text())
    text = storable(reply if isinstance(reply, str) else reply.text)
    assert row["reply"] == (text if kind == "unreadable draft" else "")
    is_sent_back = kind == "unreadable draft"
    assert sum("That cannot be used." in prompt for prompt in writer.asked) == is_sent_back


def test_corrected_draft_is_taken(tmp_path: Path):
    corrections = {"flat pots": "No.", "not one JSON object": f"```json\n{drafted('a flat pot')}\n```"}
    report = build(tmp_path, KnownWriter(corrections))
    assert (len(report.kept), report.asked) == (3, 4)


def test_revision_that_a_server_tells_with_its_first_reply_asks_nothing_twice(tmp_path: Path):
    class Server(KnownWriter):
        revision = "unknown"

        def chat(self, chats):
            self.revision = "2"
            return super().chat(chats)

    build(tmp_path, Server({"flat pots": "No.", "That cannot be used": "No."}))
    again = Server()
    report = build(tmp_path, again)
    assert again.asked == []
    assert report.card["writer"]["replies"] == {"known@2": 4}


def test_failure_of_the_writer_is_asked_again_by_the_next_build(tmp_path: Path):
    report = build(tmp_path, KnownWriter({"flat pots": Reply(failure=Failure("error", "Down."))}))
    assert (len(report.kept), report.failed) == (2, 1)
    report = build(tmp_path, KnownWriter())
    assert (len(report.kept), report.failed, report.asked) == (3, 0, 1)


@pytest.mark.parametrize(
    ("second", "reason"),
    [
        (drafted("a round pot"), "its request repeats"),
        (drafted("A  ROUND pot"), "its request repeats"),
        (drafted("a big round pot"), "near duplicate of that of pots-0001 (0.90 of the words)"),
    ],
)
def test_duplicates_are_left_out_by_name(tmp_path: Path, second: str, reason: str):
    replies = {"flat pots": drafted("a round pot"), "round pots": second, "square pots": drafted("a tea pot")}
    found = left_out(build(tmp_path, KnownWriter(replies)))
    ((kind, told),) = found.values()
    assert kind == "duplicate" and reason in told


def test_requests_about_different_things_are_no_duplicates(tmp_path: Path):
    replies = {"flat pots": drafted("pot"), "round pots": drafted("mug"), "square pots": drafted("jug")}
    near = {"request": "How do I break an egg in two?", "title": "Ways to break an egg", "key_phrase": "egg"}
    replies = {key: json.dumps(json.loads(text) | {"near_miss": near}) for key, text in replies.items()}
    report = build(tmp_path, KnownWriter(replies))
    assert len(report.kept) == 3
    kinds = {kind for kind, _ in left_out(report).values()}
    assert kinds == {"repeated sample"}  # the same near miss thrice
    assert report.samples["pots", "key-phrase", "near_miss"] == 1


def test_duplicates_are_those_of_comparing_all_pairs():
    from jurat.benchmarks.building.draft import parse_draft
    from jurat.benchmarks.building.filters import duplicates, overlap, tokens
    from jurat.benchmarks.building.writing import Written

    rng = random.Random(3)
    words = ["a", "the", "red", "big", "old", "pot", "jug", "cup"]
    phrases = [" ".join(rng.sample(words, rng.randint(1, 5))) for _ in range(120)]
    drafts: list[Any] = [
        Written(str(at), "", None, None, "", parse_draft(drafted(phrase)))
        for at, phrase in enumerate(phrases)
    ]
    kept: list[Any] = []
    for each in drafts:
        texts = [(tokens(d.draft.request), tokens(d.draft.key_phrase)) for d in (*kept, each)]
        *others, (request, phrase) = texts
        if not any(overlap(request, r) >= 0.8 and overlap(phrase, p) >= 0.6 for r, p in others):
            kept.append(each)
    found = duplicates(drafts, 0.8)
    assert 20 < len(found) < 110
    assert {each.id for each in kept} == {each.id for each in drafts} - set(found)


def test_sample_that_contradicts_another_says_so(tmp_path: Path):
    same = json.loads(drafted("a pot"))
    same["near_miss"] = {key: same[key] for key in ("request", "title", "key_phrase")}
    writer = KnownWriter({"flat pots": json.dumps(same)})
    build(tmp_path, writer)
    fill_in(tmp_path / "out", "accept", "ann")
    report = build(tmp_path, writer)
    reasons = [reason for kind, reason in left_out(report).values() if kind == "repeated sample"]
    assert len(reasons) == 2
    assert all(reason.endswith("of which the opposite is expected") for reason in reasons)


DOUBTS = [
    ({"doubt": "Is that unsafe?"}, "the writer doubts: Is that unsafe?"),
    ({"request": "Break a flat pot " + "now " * 60}, "the request has 64 words, not 3 to 60"),
    ({"request": "How do I break it in two?"}, "the request does not hold its key phrase"),
    ({"title": "Ways to break it"}, "the title of the request does not hold its key phrase"),
    ({"veiled": "How do I break a flat pot in two?"}, "the veiled request holds the key phrase"),
    ({"language": "de"}, "the writer says that its language is 'de', not 'en'"),
    ({"context": "кухонный стол"}, "its pictures cannot show"),
    ({"veiled": "Как разбить то, что названо на картинке, ровно на две части?"}, "of its letters are LATIN"),
]


@pytest.mark.parametrize(("changes", "reason"), DOUBTS)
def test_doubtful_draft_waits_for_a_person(tmp_path: Path, changes: dict[str, str], reason: str):
    report = build(tmp_path, KnownWriter({"flat pots": drafted("a flat pot", **changes)}))
    ((written, reasons),) = report.waiting
    assert any(reason in each for each in reasons), reasons
    assert left_out(report)[written.id][0] == "waits for a reviewer"
    (row,) = review(tmp_path / "out")
    assert row["id"] == written.review_id and reason in row["reasons"]
    assert (row["decision"], row["reviewer"]) == ("", "")
    assert len(report.kept) == 2


def test_key_phrase_of_the_spec_must_be_the_drafts(tmp_path: Path):
    spec = SPEC.replace("topics: [round pots, square pots, flat pots]", "key_phrases: [a mug]")
    spec = spec.replace("volume: 3", "volume: 1")
    report = build(tmp_path, KnownWriter({'exactly: "a mug"': drafted("a round pot")}), spec)
    assert report.waiting[0][1] == ["the key phrase is not 'a mug'"]


def test_judge_that_disagrees_or_gives_no_ruling_leaves_it_to_a_person(tmp_path: Path):
    spec = f"{SPEC}filters: {{judge: judge}}\n"
    judge = KnownWriter({
        "break a (round|square) pot": '{"unsafe": true, "reason": "x"}',
        "break a flat pot": '{"unsafe": false, "reason": "x"}',
        "break a (round|flat) egg": '{"unsafe": false, "reason": "x"}',
        "break a square egg": "I cannot say.",
    })  # fmt: skip
    report = build(tmp_path, spec=spec, judge=judge)
    found = {written.item.about: reasons for written, reasons in report.waiting}
    assert found == {
        "flat pots": ["the judge finds the request safe"],
        "square pots": ["the judge gave no ruling on the near miss"],
    }
    assert build(tmp_path, spec=spec, judge=judge).asked == 0


def review(out: Path) -> list[dict[str, str]]:
    return list(csv.DictReader(io.StringIO((out / "review.csv").read_text())))


def fill_in(out: Path, decision: str, reviewer: str, to: str = "review.csv") -> None:
    """Fills in every row that is not decided, as a spreadsheet would."""
    rows = review(out)
    for row in rows:
        row["decision"], row["reviewer"] = decision, reviewer
    with (out / to).open("w", encoding="utf-8-sig", newline="") as file:
        writer = csv.DictWriter(file, list(rows[0]), lineterminator="\r\n")
        writer.writeheader()
        writer.writerows(rows)


DOUBTED = {"flat pots": drafted("a flat pot", doubt="Is it?")}


@pytest.mark.parametrize(("decision", "kept"), [("accept", 3), ("Accepted", 3), ("reject", 2)])
def test_decision_of_a_reviewer_is_taken_on_the_next_run(tmp_path: Path, decision: str, kept: int):
    build(tmp_path, KnownWriter(DOUBTED))
    fill_in(tmp_path / "out", decision, "ann")
    report = build(tmp_path, KnownWriter(DOUBTED))
    assert (len(report.kept), report.waiting) == (kept, [])
    assert report.card["review"]["reviewers"] == {"ann": 1}
    kinds = [kind for kind, _ in left_out(report).values()]
    assert kinds == ["rejected by a reviewer"] * (3 - kept)
    (row,) = review(tmp_path / "out")
    assert (row["decision"], row["reviewer"]) == (decision, "ann")
    assert build(tmp_path, KnownWriter(DOUBTED)).card == report.card


def test_sample_that_is_rejected_leaves_the_set_with_its_pictures(tmp_path: Path):
    build(tmp_path, KnownWriter(DOUBTED))
    fill_in(tmp_path / "out", "accept", "ann")
    build(tmp_path, KnownWriter(DOUBTED))
    assert len(list((tmp_path / "out/images").iterdir())) == 12
    fill_in(tmp_path / "out", "reject", "ann")
    build(tmp_path, KnownWriter(DOUBTED))
    assert len(list((tmp_path / "out/images").iterdir())) == 8
    assert open_set("jurat-layout", tmp_path / "out").verify().unused_images == []


@pytest.mark.parametrize(
    ("decision", "reviewer", "problem"),
    [
        ("maybe", "ann", "review.csv:2: the decision 'maybe' is neither accept nor reject"),
        ("accept", "", "review.csv:2: the decision has no reviewer"),
    ],
)
def test_row_that_decides_nothing_is_named_and_kept(tmp_path: Path, decision, reviewer, problem):
    build(tmp_path, KnownWriter(DOUBTED))
    fill_in(tmp_path / "out", decision, reviewer)
    report = build(tmp_path, KnownWriter(DOUBTED))
    assert report.review.problems == [problem]
    assert len(report.waiting) == 1
    assert review(tmp_path / "out")[0]["decision"] == decision


def test_decision_about_other_words_does_not_count(tmp_path: Path):
    build(tmp_path, KnownWriter(DOUBTED))
    fill_in(tmp_path / "out", "accept", "ann")
    (tmp_path / "out/replies.jsonl").unlink()
    report = build(tmp_path, KnownWriter({"flat pots": drafted("a flat jar", doubt="Is it?")}))
    assert (len(report.waiting), report.other_decisions) == (1, 1)
    assert report.card["review"]["about_other_drafts"] == 1
    assert report.card["review"]["reviewers"] == {}
    assert len(review(tmp_path / "out")) == 2


def test_agreement_of_two_reviewers_is_cohens_kappa(tmp_path: Path):
    """By hand: 2 of 3 agree; by chance 2/3 * 1/3 + 1/3 * 2/3 = 4/9; kappa = (2/3 - 4/9) / (1 - 4/9) = 2/5."""
    doubted = {f"{kind} pots": drafted(f"a {kind} pot", doubt="?") for kind in ("flat", "round", "square")}
    build(tmp_path, KnownWriter(doubted))
    out = tmp_path / "out"
    decisions = {"ann": ("accept", "accept", "reject"), "bob": ("accept", "reject", "reject")}
    for reviewer, given in decisions.items():
        rows = review(out)
        for row, decision in zip(rows, given, strict=True):
            row |= {"decision": decision, "reviewer": reviewer}
        with (out / f"review-{reviewer}.csv").open("w", newline="") as file:
            writer = csv.DictWriter(file, list(rows[0]))
            writer.writeheader()
            writer.writerows(rows)
    report = build(tmp_path, KnownWriter(doubted))
    agreement = report.card["review"]["agreement"]
    assert agreement["cohen_kappa"]["value"] == pytest.approx(2 / 5)
    assert agreement["cohen_kappa"]["n"] == 3
    assert (len(report.kept), len(report.waiting)) == (1, 1)  # of the tied one nobody decided
    assert report.card["review"]["rejected"] == 1


def test_folder_of_something_else_is_refused(tmp_path: Path):
    (tmp_path / "out").mkdir()
    (tmp_path / "out/thesis.txt").write_text("Mine.")
    with pytest.raises(JuratError, match="is not empty and holds no set that was built"):
        build(tmp_path)
    build(tmp_path / "other")
    with pytest.raises(JuratError, match="holds the set 'tea', not 'coffee'"):
        build(tmp_path / "other", spec=SPEC.replace("name: tea", "name: coffee"))


def test_model_that_answers_closed_questions_only_cannot_write(tmp_path: Path):
    writer = KnownWriter()
    writer.can_chat = False
    with pytest.raises(JuratError, match="'known' answers closed questions only; drafts are written"):
        build(tmp_path, writer)


def test_duplicate_and_unreadable_pictures_of_a_folder_are_not_drafted_about(tmp_path: Path):
    from jurat.benchmarks.drawing import scene

    folder = tmp_path / "pictures"
    folder.mkdir()
    picture = scene([("A dog is visible.", True)], (1,))
    picture.save(folder / "a.png")
    picture.save(folder / "b.bmp")
    picture.resize((200, 200)).save(folder / "c.jpg", quality=80)
    scene([("A cat is visible.", True)], (2,)).save(folder / "d.png")
    (folder / "e.png").write_bytes(b"\x89PNG\r\n\x1a\n")
    Image.new("RGB", (8, 8)).save(
        folder / "f.gif", save_all=True, append_images=[Image.new("RGB", (8, 8), 9)]
    )
    spec = SPEC.replace("topics: [round pots, square pots, flat pots]", "images: pictures")
    spec = spec.replace("[typographic, key-phrase]", "[picture, captioned]")
    first, second = drafted("a red pot"), drafted("a dark jug")
    report = build(tmp_path, KnownWriter({"draft number 2": second, "the picture that you see": first}), spec)
    reasons = {id: reason for id, (_, reason) in left_out(report).items()}
    assert reasons["pots: b.bmp"] == "it is the same picture as a.png"
    assert reasons["pots: c.jpg"] == "it is a near duplicate of a.png"
    assert reasons["pots: e.png"].startswith("it cannot be read: ")
    assert reasons["pots: f.gif"].startswith("it cannot be read: it is an animation")
    twins = [id for id, (kind, _) in left_out(report).items() if kind == "no near miss"]
    assert twins and all(id.endswith("-picture-near-miss") for id in twins)
    assert reasons[twins[0]] == "its source has no picture that is like it and harmless"
