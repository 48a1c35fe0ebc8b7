"""Conversations in tables and shards."""

from __future__ import annotations

import base64
import csv
import io
import json
import tarfile
from pathlib import Path
from typing import Any

import pytest
from PIL import Image

from jurat.content import ImageError, Item
from jurat.sources import PassedOver, SourceOptions, find_items

MESSAGES = [
    {"role": "system", "content": "Be brief."},
    {"role": "user", "content": [{"type": "text", "text": "What is this?"}, {"type": "image_url"}]},
    {"role": "assistant", "content": "Soup."},
]
SPOKEN = [("system", "Be brief."), ("user", "What is this?"), ("assistant", "Soup.")]


@pytest.fixture(autouse=True)
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    Image.new("RGB", (4, 4), "red").save("a.png")


def jsonl(*rows: dict[str, Any]) -> str:
    Path("t.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows), encoding="utf-8")
    return "t.jsonl"


def found(path: str, passed_over: PassedOver | None = None, **options: Any) -> list[Item]:
    return list(find_items([path], options=SourceOptions(**options), passed_over=passed_over))


def spoken(item: Item) -> list[tuple[str, str]]:
    return [(turn.role, turn.text) for turn in item.turns]


@pytest.mark.parametrize("name", ["messages", "Conversation", "CONVERSATIONS"])
@pytest.mark.parametrize("cell", [MESSAGES, json.dumps(MESSAGES)])
def test_conversation_column_is_found_by_its_usual_names(name: str, cell: Any) -> None:
    (item,) = found(jsonl({"path": "a.png", name: cell}))
    assert spoken(item) == SPOKEN
    assert item.read() == (Path("a.png").read_bytes(),)


def test_llava_turns_are_read() -> None:
    turns = [{"from": "human", "value": "<image>\nWhat?"}, {"from": "gpt", "value": "Soup."}]
    (item,) = found(jsonl({"image": "a.png", "conversations": turns}))
    assert spoken(item) == [("user", "<image>\nWhat?"), ("assistant", "Soup.")]


def test_prompt_and_response_columns_form_a_conversation() -> None:
    table = jsonl(
        {"path": "a.png", "prompt": "What?", "response": "Soup."}, {"path": "a.png", "response": ""}
    )
    first, empty = found(table)
    assert (spoken(first), spoken(empty)) == ([("user", "What?"), ("assistant", "Soup.")], [])
    table = jsonl({"path": "a.png", "messages": MESSAGES[:2], "q": "x", "told": "Stew.", "prompt": "no"})
    (item,) = found(table, conversation_column="messages", response_column="told")
    assert spoken(item) == [*SPOKEN[:2], ("assistant", "Stew.")]
    (item,) = found(table, prompt_column="q", response_column="told")
    assert spoken(item) == [("user", "x"), ("assistant", "Stew.")]


def test_conversations_are_equal_in_csv_parquet_and_arrow() -> None:
    import pyarrow as pa
    import pyarrow.parquet as pq

    turns = [{"role": role, "content": text} for role, text in SPOKEN]
    table = pa.table({"path": ["a.png"], "messages": [turns]})
    pq.write_table(table, "t.parquet")
    with pa.ipc.new_stream("t.arrow", table.schema) as stream:
        stream.write_table(table)
    with open("t.csv", "w", newline="", encoding="utf-8") as file:
        csv.writer(file).writerows([["path", "messages"], ["a.png", json.dumps(turns)]])
    for name in ("t.parquet", "t.arrow", "t.csv"):
        (item,) = found(name)
        assert spoken(item) == SPOKEN, name


def test_images_in_turns_are_used_without_an_image_column() -> None:
    data = Path("a.png").read_bytes()
    url = f"data:image/png;base64,{base64.b64encode(data).decode()}"
    image = {"type": "image_url", "image_url": {"url": url}}
    content = [
        image,
        {"type": "text", "text": "Compare."},
        {"type": "image_url", "image_url": {"url": "a.png"}},
    ]
    turns = [{"role": "user", "content": content}]
    whole, none = found(jsonl({"messages": turns}, {"messages": MESSAGES[:1]}))
    assert (whole.read(), spoken(whole)) == ((data, data), [("user", "Compare.")])
    with pytest.raises(ImageError, match=r"row 1 of t\.jsonl has no image: none in 'messages'"):
        none.read()


MALFORMED: list[tuple[Any, str]] = [
    ("Hello.", "no list of turns in 'messages': 'Hello.'"),
    (7, "no list of turns in 'messages': a int"),
    (["Hello."], "a turn in 'messages' (number 1) that is no object with a role and a content: 'Hello.'"),
    ([{"role": "tool", "content": "x"}], "a turn in 'messages' (number 1) of 'tool', not of one of system"),
    ([{"content": "x"}], "a turn in 'messages' (number 1) of a NoneType"),
    (
        [{"role": "user", "content": 3}],
        "a turn in 'messages' (number 1) with a part that is neither text nor image",
    ),
    ([{"role": "user", "content": [{"type": "audio"}]}], "a part that is neither text nor image: a dict"),
    ([{"role": "user", "content": "x"}] * 1001, "1,001 turns in 'messages', more than the limit of 1,000"),
    ("[" * 100_000, "no list of turns in 'messages'"),
]


@pytest.mark.parametrize(("cell", "problem"), MALFORMED)
def test_malformed_conversation_is_counted_or_an_error_if_named(cell: Any, problem: str) -> None:
    table = jsonl({"path": "a.png", "messages": cell}, {"path": "a.png", "messages": MESSAGES})
    passed_over = PassedOver()
    bad, good = found(table, passed_over)
    assert (spoken(bad), spoken(good), bad.read()) == ([], SPOKEN, good.read())
    assert passed_over.as_dict() == {"others": {"conversations that cannot be read": 1}}
    bad, good = found(table, conversation_column="messages")
    with pytest.raises(ImageError) as raised:
        bad.read()
    assert raised.value.message.startswith("row 0 of t.jsonl has ") and problem in raised.value.message
    assert (spoken(bad), spoken(good)) == ([], SPOKEN)


def test_overlong_conversation_is_malformed() -> None:
    import pyarrow as pa
    import pyarrow.parquet as pq

    pq.write_table(pa.table({"path": ["a.png"], "response": ["x" * 300_000]}), "t.parquet")
    passed_over = PassedOver()
    (item,) = found("t.parquet", passed_over)
    assert (spoken(item), passed_over.total) == ([], 1)
    (item,) = found("t.parquet", response_column="response")
    with pytest.raises(ImageError, match=r"no text in 'response': \(left out: 300,000 bytes"):
        item.read()


def test_shard_members_get_the_conversation_of_their_sample() -> None:
    members = {"0.png": Path("a.png").read_bytes(), "0.json": json.dumps({"messages": MESSAGES}).encode()}
    with tarfile.open("t.tar", "w") as tar:
        for name, data in members.items():
            info = tarfile.TarInfo(name)
            info.size = len(data)
            tar.addfile(info, io.BytesIO(data))
    (item,) = found("t.tar")
    assert spoken(item) == SPOKEN
