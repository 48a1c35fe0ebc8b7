"""Files, folders, globs and lists become a lazy, ordered stream of items."""

from __future__ import annotations

import io
import itertools
import os
import pickle
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from jurat.content import ImageError
from jurat.media import IMAGE_SUFFIXES
from jurat.sources import find_items, read_file

posix = pytest.mark.skipif(sys.platform == "win32", reason="names that are bytes, pipes and links are POSIX")


@pytest.fixture(autouse=True)
def in_tmp_path(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)


def make(*paths: str) -> None:
    for path in paths:
        Path(path).parent.mkdir(parents=True, exist_ok=True)
        Path(path).write_bytes(path.encode())


def ids(*paths: str, stdin: str | None = None) -> list[str]:
    return [item.id for item in find_items(paths, io.StringIO(stdin) if stdin is not None else None)]


def problem(path: str, **options: int) -> str:
    (item,) = find_items([path], **options)
    with pytest.raises(ImageError) as raised:
        item.read()
    assert "\n" not in raised.value.message
    return raised.value.message


def test_files_are_read_lazily(tmp_path: Path) -> None:
    make("a.png")
    (item,) = find_items(["a.png"])
    assert item.id == "a.png"
    assert item.uri == str(tmp_path / "a.png")
    Path("a.png").write_bytes(b"changed later")
    assert item.read()[0] == b"changed later"


def test_named_file_may_have_any_suffix() -> None:
    make("notes.txt", "image")
    assert ids("notes.txt", "image") == ["notes.txt", "image"]


@pytest.mark.parametrize(
    ("given_path", "expected"),
    [
        ("in", "in/x/a.png"),
        ("in/", "in/x/a.png"),
        ("./in", "./in/x/a.png"),
        (".", "./in/x/a.png"),
        ("in/../in", "in/../in/x/a.png"),
    ],
)
def test_ids_are_the_paths_as_given(given_path: str, expected: str, tmp_path: Path) -> None:
    make("in/x/a.png")
    (item,) = find_items([given_path])
    assert item.id == expected
    assert item.uri == str(tmp_path / "in/x/a.png")


def test_folders_are_walked_in_byte_order_of_paths() -> None:
    names = [
        "a.png",
        "a-b.png",
        "a/1.png",
        "a/10.png",
        "a/2.png",
        "B.png",
        "é.png",
        "a0.png",
        "z/y/x.png",
        ".h.png",
        ".d/e.png",
    ]
    make(*(f"in/{name}" for name in names))
    found = ids("in")
    assert found == sorted((f"in/{name}" for name in names), key=os.fsencode)
    assert found == ids("in")


def test_folders_yield_only_image_suffixes() -> None:
    make("in/a.PNG", "in/b.JpEg", "in/c.txt", "in/d", "in/e.png.bak", "in/f.heic", "in/.png", "in/g.tar.webp")
    assert ids("in") == ["in/a.PNG", "in/b.JpEg", "in/f.heic", "in/g.tar.webp"]
    assert all(suffix == suffix.lower() and suffix.startswith(".") for suffix in IMAGE_SUFFIXES)


def test_empty_folder_yields_nothing() -> None:
    Path("empty").mkdir()
    assert ids("empty") == []


def test_paths_keep_their_order_and_repeats() -> None:
    make("b.png", "a.png", "in/c.png")
    assert ids("b.png", "in", "a.png", "b.png") == ["b.png", "in/c.png", "a.png", "b.png"]


TREE = [
    "in/a.png",
    "in/b.jpg",
    "in/c.txt",
    "in/d",
    "in/x/a.png",
    "in/x/y/a.png",
    "in/x/y/b.jpg",
    "in/.h/a.png",
    "in/.a.png",
    "in/[1].png",
]
GLOBS = {
    "in/*.png": ["in/[1].png", "in/a.png"],
    "in/*.txt": ["in/c.txt"],
    "in/?.jpg": ["in/b.jpg"],
    "in/[ab].*": ["in/a.png", "in/b.jpg"],
    "in/[!a].*": ["in/b.jpg", "in/c.txt"],
    "in/*": ["in/[1].png", "in/a.png", "in/b.jpg", "in/x/a.png", "in/x/y/a.png", "in/x/y/b.jpg"],
    "in/*/": ["in/x/a.png", "in/x/y/a.png", "in/x/y/b.jpg"],
    "in/*/*.png": ["in/x/a.png"],
    "in/*/y/*": ["in/x/y/a.png", "in/x/y/b.jpg"],
    "in/**/*.jpg": ["in/b.jpg", "in/x/y/b.jpg"],
    "in/**/a.png": ["in/a.png", "in/x/a.png", "in/x/y/a.png"],
    "in/**/y/a.png": ["in/x/y/a.png"],
    "in/**/**/b.jpg": ["in/b.jpg", "in/x/y/b.jpg"],
    "in/**": [
        "in/.a.png",
        "in/.h/a.png",
        "in/[1].png",
        "in/a.png",
        "in/b.jpg",
        "in/x/a.png",
        "in/x/y/a.png",
        "in/x/y/b.jpg",
    ],
    "in/**/x": ["in/x/a.png", "in/x/y/a.png", "in/x/y/b.jpg"],
    "in/**/*": ["in/[1].png", "in/a.png", "in/b.jpg", "in/x/a.png", "in/x/y/a.png", "in/x/y/b.jpg"],
    "in/.*": ["in/.a.png", "in/.h/a.png"],
    "**/b.jpg": ["in/b.jpg", "in/x/y/b.jpg"],
    "*/a.png": ["in/a.png"],
    "./in/*.jpg": ["./in/b.jpg"],
    "in/[1].png": ["in/[1].png"],  # a file of that very name comes before the pattern
}


@pytest.mark.parametrize("pattern", GLOBS)
def test_globs_match_the_expected_files(pattern: str) -> None:
    make(*TREE)
    assert ids(pattern) == GLOBS[pattern]


def test_absolute_glob_matches(tmp_path: Path) -> None:
    make(*TREE)
    assert ids(f"{tmp_path}/in/*.jpg") == [f"{tmp_path}/in/b.jpg"]


def test_missing_path_is_an_item_with_a_reason() -> None:
    make("in/a.png")
    assert problem("gone.png") == "no such file or folder: gone.png"
    assert problem("") == "no such file or folder: "
    assert problem("in/*.gif") == "nothing matches: in/*.gif"
    assert problem("gone/*.gif") == "no such folder: gone/"
    assert problem("in/a.png/b.png") == "cannot be read (Not a directory): in/a.png/b.png"
    assert problem("ftp://example.org/a.png") == (
        "jurat reads no ftp:// URIs (there are s3://, gs://, https://, http://, hf://): ftp://example.org/a.png"
    )
    assert problem("two\nlines\x1b.png") == "no such file or folder: two?lines?.png"
    assert problem("half\ud800.png").endswith("surrogates not allowed): half\\ud800.png")
    assert problem("n" * 300) == f"cannot be read (File name too long): {'n' * 300}"


def test_missing_path_does_not_stop_the_stream() -> None:
    make("a.png", "b.png")
    assert ids("a.png", "gone.png", "x*.png", "b.png") == ["a.png", "gone.png", "x*.png", "b.png"]


def test_file_deleted_before_reading_is_an_error() -> None:
    make("a.png")
    (item,) = find_items(["a.png"])
    Path("a.png").unlink()
    with pytest.raises(ImageError, match=r"no such file or folder: a\.png"):
        item.read()
    Path("a.png").mkdir()
    with pytest.raises(ImageError, match=r"cannot be read \(a folder\): a.png"):
        item.read()


def test_empty_and_oversized_files_are_refused_unread() -> None:
    Path("empty.png").touch()
    Path("large.png").write_bytes(b"x" * 11)
    with Path("sparse.png").open("wb") as file:
        file.truncate(2**40)
    assert problem("empty.png") == "the file is empty (0 bytes)"
    assert problem("large.png", max_bytes=10) == "the file has 11 bytes, more than the limit of 10"
    assert problem("sparse.png").startswith(
        "the file has 1,099,511,627,776 bytes, more than the limit of 268,435,456"
    )
    (item,) = find_items(["large.png"], max_bytes=11)
    assert item.read()[0] == b"x" * 11


def test_read_file_applies_the_limits_of_items() -> None:
    make("a.png", "in/b.png")
    assert read_file("a.png") == read_file(Path("a.png")) == b"a.png"
    for path, message in (
        ("in", "a folder"),
        ("gone.png", "no such file"),
        ("a.png", "more than the limit of 4"),
    ):
        with pytest.raises(ImageError, match=message):
            read_file(path, max_bytes=4)


def test_list_of_paths_is_read_from_standard_input() -> None:
    make("a.png", "in/b.png", " c.png", "*.png")
    listed = "a.png\n\n   \nin\r\n c.png\n*.png\ngone.png"
    assert ids("-", stdin=listed) == ["a.png", "in/b.png", " c.png", "*.png", "gone.png"]
    assert ids("in", "-", "a.png", stdin="a.png\n") == ["in/b.png", "a.png", "a.png"]


def test_globs_in_a_list_are_not_expanded() -> None:
    make("a.png")
    (item,) = find_items(["-"], io.StringIO("*.png\n"))
    with pytest.raises(ImageError, match=r"no such file or folder: \*.png"):
        item.read()


def test_list_of_paths_is_read_lazily() -> None:
    make("a.png")
    seen: list[int] = []

    def lines() -> Iterator[str]:
        for number in itertools.count():
            seen.append(number)
            yield "a.png\n"

    class Endless(io.StringIO):
        def __iter__(self) -> Iterator[str]:  # type: ignore[override]
            return lines()

    items = find_items(["-"], Endless())
    assert [item.id for item in itertools.islice(items, 3)] == ["a.png"] * 3
    assert seen == [0, 1, 2]


def test_image_on_standard_input_is_reported() -> None:
    stdin = io.TextIOWrapper(io.BytesIO(b"\x89PNG\r\n\x1a\n\0\0\0\rIHDR\xff\n"), encoding="utf-8")
    items = list(find_items(["-"], stdin))
    with pytest.raises(ImageError, match=r"has null bytes \('-' expects a list of paths, not an image\)"):
        items[-1].read()


def test_dash_without_standard_input_is_refused() -> None:
    with pytest.raises(ImageError, match="'-' reads a list of paths from standard input, and there is none"):
        find_items(["a.png", "-"])


def test_folders_are_walked_lazily() -> None:
    make("in/a/1.png", "in/b/2.png")
    items = find_items(["in"])
    assert next(items).id == "in/a/1.png"
    make("in/b/1.png")  # this folder was not looked into yet
    assert [item.id for item in items] == ["in/b/1.png", "in/b/2.png"]


def test_vanished_folder_is_an_item_with_a_reason() -> None:
    make("in/a.png", "in/b/1.png", "in/c.png")
    items = find_items(["in"])
    first = next(items)
    Path("in/b/1.png").unlink()
    Path("in/b").rmdir()
    lost, last = items
    assert (first.id, lost.id, last.id) == ("in/a.png", "in/b", "in/c.png")
    with pytest.raises(ImageError, match=r"^the folder cannot be listed: No such file or directory$"):
        lost.read()


@posix
def test_links_to_files_and_folders_are_followed() -> None:
    make("real/a.png", "elsewhere/b.png")
    os.symlink("../elsewhere", "real/link")
    os.symlink("a.png", "real/c.png")
    assert ids("real") == ["real/a.png", "real/c.png", "real/link/b.png"]


@posix
def test_dangling_link_is_an_item_with_a_reason() -> None:
    Path("in").mkdir()
    os.symlink("gone.png", "in/a.png")
    os.symlink("itself.png", "in/itself.png")
    dangling, endless = find_items(["in"])
    with pytest.raises(ImageError, match=r"^the link leads nowhere: in/a\.png$"):
        dangling.read()
    with pytest.raises(ImageError, match="Too many levels of symbolic links"):
        endless.read()


@posix
@pytest.mark.parametrize("pattern", ["in", "in/**", "in/**/*.png"])
def test_link_cycles_terminate(pattern: str) -> None:
    make("in/a.png", "in/x/b.png", "in/y/c.png")
    os.symlink("..", "in/x/up")
    os.symlink("../y", "in/x/y")
    os.symlink("../x", "in/y/x")
    os.symlink(".", "in/here")
    found = ids(pattern)
    assert {os.path.realpath(path) for path in found} == {
        os.path.abspath(f"in/{p}") for p in ("a.png", "x/b.png", "y/c.png")
    }
    assert len(found) <= 6


@posix
def test_many_mutual_links_yield_few_items() -> None:
    for i in range(12):
        make(f"in/{i:02}/a.png")
        for j in range(12):
            if i != j:
                os.symlink(f"../{j:02}", f"in/{i:02}/to{j:02}")
    assert len(ids("in")) <= 24


@posix
def test_folders_deeper_than_the_recursion_limit_are_walked() -> None:
    deep = "d/" * 1_100
    os.makedirs("in")
    os.chdir("in")
    for _ in range(1_100):
        os.mkdir("d")
        os.chdir("d")
    Path("a.png").write_bytes(b"x")
    os.chdir(Path(os.getcwd()).parents[1_100])
    try:
        assert ids("in") == [f"in/{deep}a.png"]
    finally:
        subprocess.run(
            ["rm", "-rf", "in"], check=True
        )  # pytest's own clean-up recurses, and fails the next run


@posix
def test_pipes_and_devices_are_refused() -> None:
    os.mkfifo("pipe.png")
    assert problem("pipe.png") == "cannot be read (not a regular file): pipe.png"
    assert problem("/dev/zero") == "cannot be read (not a regular file): /dev/zero"


@posix
def test_file_names_that_are_not_utf_8_are_escaped() -> None:
    name = os.fsdecode(b"caf\xe9.png")
    try:
        Path(name).write_bytes(b"x")
    except OSError:
        pytest.skip("this file system wants UTF-8")
    for items in (
        find_items(["."]),
        find_items(["*.png"]),
        find_items(["-"], io.TextIOWrapper(io.BytesIO(b"caf\xe9.png\n"))),
    ):
        (item,) = items
        assert item.id.removeprefix("./") == "caf\\xe9.png"
        assert item.uri.endswith("/caf\\xe9.png")
        item.uri.encode("utf-8")
        assert item.read()[0] == b"x"


def test_items_can_be_pickled() -> None:
    make("a.png")
    good, bad = pickle.loads(pickle.dumps(list(find_items(["a.png", "gone.png"]))))
    assert good.read()[0] == b"a.png"
    with pytest.raises(ImageError, match=r"no such file or folder: gone\.png"):
        bad.read()


names = st.sampled_from(["a", "b.png", "c.png", "a.png", "ab.jpg", ".h", "x"])
parts = st.sampled_from(["*", "**", "a", "?", "*.png", "[ab]*", "x", ".h", "b.png"])


@settings(max_examples=80, deadline=None)
@given(
    tree=st.sets(st.lists(names, min_size=1, max_size=3).map("/".join), max_size=8),
    pattern=st.lists(parts, min_size=1, max_size=4),
)
def test_globs_with_a_suffix_equal_python_glob(
    tree: set[str], pattern: list[str], tmp_path_factory: pytest.TempPathFactory
) -> None:
    import glob

    root = tmp_path_factory.mktemp("tree")
    for path in sorted(tree, key=len, reverse=True):
        target = root / path
        if not target.exists() and all(not parent.is_file() for parent in target.parents):
            target.parent.mkdir(parents=True, exist_ok=True)
            target.write_bytes(b"x")
    pattern = [*pattern, "*.png"]
    text = f"{root}/{'/'.join(pattern)}"
    expected = {path for path in glob.glob(text, recursive=True) if os.path.isfile(path)}
    found = [item.id for item in find_items([text]) if os.path.isfile(item.id)]
    assert found == sorted(found, key=os.fsencode)
    # A folder whose name matches is walked, which Python's glob does not do.
    below = {
        path for path in found if any(p.endswith(".png") for p in Path(path).relative_to(root).parts[:-1])
    }
    assert set(found) - below == expected - below
