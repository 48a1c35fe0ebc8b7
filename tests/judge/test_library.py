"""The judge in Python: accepted inputs, type errors and the repr of verdicts."""

from __future__ import annotations

import io
import tempfile
from importlib import import_module
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from jurat.constitution import Constitution
from jurat.content import Item, Turn
from jurat.judge import Judge, Verdict, verdict_to_row

from ..models import tiny


def png(seed: int = 1) -> bytes:
    stream = io.BytesIO()
    tiny.picture(seed).save(stream, "PNG")
    return stream.getvalue()


@pytest.fixture(scope="module")
def judge() -> Judge:
    law = Constitution.model_validate({"name": "k", "rules": [{"id": "a", "rule": "A", "clauses": ["X."]}]})
    return Judge(law, "null?seed=3")


def at_its_end(data: bytes) -> io.BytesIO:
    stream = io.BytesIO()
    stream.write(data)
    return stream


def spooled(data: bytes) -> Any:
    file = tempfile.SpooledTemporaryFile()  # noqa: SIM115
    file.write(data)
    return file


class OnlyRead:
    """A stream that cannot be rewound, as a socket's is."""

    def __init__(self, data: bytes) -> None:
        self._stream = io.BytesIO(data)

    def read(self, size: int = -1) -> bytes:
        return self._stream.read(size)


FILES = {
    "BytesIO": io.BytesIO,
    "a BytesIO that was just written": at_its_end,
    "a spooled file": spooled,
    "a stream": OnlyRead,
    "a bytearray": bytearray,
    "a memoryview": memoryview,
}


@pytest.mark.parametrize("kind", FILES)
def test_file_objects_and_buffers_equal_their_bytes(kind: str, judge: Judge) -> None:
    expected, given = judge(png()), judge(FILES[kind](png()))
    assert expected.outcome != "error"
    assert (given.sha256, given.rules) == (expected.sha256, expected.rules)
    several = judge(Item([FILES[kind](png(1)), FILES[kind](png(2))]))
    assert (several.kind, several.sha256) == ("images", judge(Item([png(1), png(2)])).sha256)


def test_open_files_and_paths_are_judged_as_their_bytes(judge: Judge, tmp_path: Path) -> None:
    path = tmp_path / "a.png"
    path.write_bytes(png())
    with path.open("rb") as file:
        assert judge(file).sha256 == judge(path).sha256 == judge(png()).sha256


NO_PICTURES: dict[str, tuple[Any, str]] = {
    "None": (None, "not None"),
    "a number": (3, "type int"),
    "a number of numpy": (np.int64(3), "type int64"),
    "a dict": ({"path": "a.png"}, "type dict"),
    "a generator": ((each for each in ()), "type generator"),
    "a class": (Image.Image, "type type"),
    "an http URL": ("https://example.org/a.png", "This is a URL: https://example.org/a.png"),
    "a URL with a secret": ("s3://me:key@bucket/a.png", r"s3://\*\*\*@bucket/a.png"),
    "a data URL": ("data:image/png;base64,AAAA", "This is a URL: data:image/png"),
    "text": (io.StringIO("x"), "open it with mode 'rb'"),
    "an opener": (png, "type function"),
}


@pytest.mark.parametrize("kind", NO_PICTURES)
def test_type_error_says_which_pictures_are_taken(kind: str, judge: Judge) -> None:
    given, told = NO_PICTURES[kind]
    with pytest.raises(TypeError, match=told) as raised:
        judge(given)
    assert "a path, the bytes of a file, a file opened in binary mode, a Pillow image" in str(raised.value)
    if kind != "an opener":
        with pytest.raises(TypeError, match=f"^image 2 of 2: .*{told}"):
            judge(Item([png(), given]))


@pytest.mark.parametrize(
    ("given", "error"),
    [
        ("nothing/there.png", "no such file or folder: nothing/there.png"),
        (b"no image", None),
        (b"", "the file is empty (0 bytes)"),
        (io.BytesIO(b""), "the file is empty (0 bytes)"),
        (np.zeros((3, 4, 5, 3)), None),
        (Item([]), "there is no image in it"),
    ],
)
def test_unreadable_picture_is_an_error_verdict(given: Any, error: str | None, judge: Judge) -> None:
    verdict = judge(given)
    assert (verdict.outcome, verdict.is_safe) == ("error", False)
    assert error is None or verdict.error == error


def test_arguments_of_a_wrong_type_raise_type_errors(judge: Judge) -> None:
    law = judge.constitution
    for call, told in (
        (lambda: judge(png(), id=3), "id is text or None"),  # pyright: ignore[reportArgumentType]
        (lambda: judge(png(), caption=b"x"), "caption is text or None"),  # pyright: ignore[reportArgumentType]
        (lambda: judge([png(), png()]), r"judge\.many\(pictures\) .* judge\(Item\(pictures\)\)"),  # pyright: ignore[reportArgumentType]
        (lambda: judge.many([[png()]]), r"judge\(Item\(pictures\)\)"),  # pyright: ignore[reportArgumentType]
        (lambda: judge(Item([Item([png()])])), "takes pictures, not Items"),  # pyright: ignore[reportArgumentType]
        (lambda: Item(png()), r"Item\(\[image\]\)"),  # pyright: ignore[reportArgumentType]
        (lambda: judge(Item([png()], turns=["x"])), "turns are of the type"),  # pyright: ignore[reportArgumentType]
        (lambda: Judge(None), "constitution is a Constitution"),  # pyright: ignore[reportArgumentType]
        (lambda: Judge(law, 3), "model is a name"),  # pyright: ignore[reportArgumentType]
    ):
        with pytest.raises(TypeError, match=told):
            call()


def test_many_gives_a_verdict_for_each_picture_and_item(judge: Judge, tmp_path: Path) -> None:
    path = tmp_path / "a.png"
    path.write_bytes(png(1))
    two = Item([png(1), png(2)], "two", caption="x")
    found = judge.many([png(1), path, two, Image.open(path)])
    assert [v.id for v in found] == ["image 1", str(path), "two", "image 4"]
    assert [v.kind for v in found] == ["image", "image", "images", "image"]
    assert found[2].rules == judge(two).rules and found[0].rules == judge(png(1)).rules
    assert judge.many([]) == []


def test_item_of_paths_is_not_read_as_files(tmp_path: Path) -> None:
    with pytest.raises(TypeError, match="find_items"):
        Item([tmp_path / "a.png"]).read()
    assert Item([png]).read() == (png(),)


def test_images_may_be_given_in_the_turns_of_an_item(judge: Judge) -> None:
    turns = [Turn("user", (Image.open(io.BytesIO(png())), "What is this?"))]
    assert judge(Item(turns=turns)).rules == judge(png()).rules
    with pytest.raises(ValueError, match="not in both"):
        Item([png()], turns=turns)


@pytest.mark.parametrize("outcome", ["safe", "unsafe", "unsure", "error"])
def test_verdict_has_no_truth_value(outcome: Any, judge: Judge) -> None:
    verdict = judge(png()).model_copy(update={"outcome": outcome})
    assert verdict.is_safe is (outcome == "safe")
    for use in (bool, lambda v: not v, lambda v: v and 1, lambda v: [1 for _ in [0] if v]):
        with pytest.raises(TypeError, match=f"this one is '{outcome}'.*verdict.is_safe"):
            use(verdict)
    assert "is_safe" not in verdict_to_row(verdict)


def test_repr_of_a_verdict_fits_on_a_line(judge: Judge) -> None:
    verdict = judge(png(), id="in/\x1b[31m" + "x" * 500)
    shown = [verdict, *verdict.rules, *verdict.rules[0].clauses, judge]
    assert all(len(repr(one)) < 250 and "\x1b" not in repr(one) for one in shown)
    assert repr(verdict.rules[0]).startswith("RuleFinding(id='a', outcome=")
    assert f"outcome='{verdict.outcome}'" in repr(verdict) == str(verdict)
    assert repr(judge) == "Judge('k', 1 rule, model='null?seed=3', preset='jurat')"
    assert repr(judge.constitution) == "Constitution('k', 1 rule)"


def test_dir_of_a_verdict_lists_its_fields_and_methods(judge: Judge) -> None:
    names = {name for name in dir(judge(png())) if not name.startswith("_")}
    assert names == {*Verdict.model_fields, "is_safe", "explain"}


@pytest.mark.parametrize(
    "name", ["", ".judge", ".content", ".media", ".sources", ".runs", ".report", ".pictograms", ".bench"]
)
def test_dir_of_a_package_lists_its_public_names(name: str) -> None:
    room = import_module(f"jurat{name}")
    assert set(room.__all__) <= set(dir(room))
