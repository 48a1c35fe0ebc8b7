"""Runs the commands of every page of the documentation, in the order of the page.

The commands of README are started as a shell starts them; those of other pages in forks of a process that has
imported what they need (`tests/preloaded.py`).

A fenced `console` block holds commands after `$ `; the lines after a command are what it prints, where a line
may leave parts out with `…`, and a line of `…` alone stands for any lines. Without any `$ ` all its lines are
commands. A fenced `python` block is run. Comments on the lines before a block say more:

    <!-- file: NAME -->    the block is written to this file, and not run
    <!-- exit: N -->       the last command exits with N
    <!-- needs: ... -->    not run here: it needs something that a test cannot have
    <!-- model: bundled -->   judged with the bundled model
"""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
from dataclasses import dataclass, field
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
PAGES = [ROOT / "README.md", ROOT / "CONTRIBUTING.md", *sorted((ROOT / "docs").rglob("*.md"))]
QUICK = ("README", "tutorial")
"""Pages whose commands `make test` runs; `make slow` runs those of the others."""
MARKS = {"file", "exit", "needs", "model"}
BLOCK = re.compile(r"((?:^<!-- [^\n]* -->\n)*)^```(\w*)\n(.*?)^```$", re.MULTILINE | re.DOTALL)


@dataclass
class Block:
    """A fenced block with what the comments before it say."""

    language: str
    text: str
    line: int
    marks: dict[str, str] = field(default_factory=dict)

    @property
    def commands(self) -> list[tuple[str, list[str]]]:
        """(command, the lines that it prints) of a console block."""
        if not re.search(r"^\$ ", self.text, re.MULTILINE):
            return [(line, []) for line in self.text.replace("\\\n", "").splitlines() if line.strip()]
        found: list[tuple[str, list[str]]] = []
        for line in self.text.splitlines():
            if line.startswith("$ "):
                found.append((line[2:], []))
            elif found and found[-1][0].endswith("\\"):
                found[-1] = (found[-1][0][:-1] + line.strip(), [])
            else:
                found[-1][1].append(line)
        return found


def blocks(page: Path) -> list[Block]:
    source = page.read_text(encoding="utf-8")
    found = []
    for match in BLOCK.finditer(source):
        marks = dict(re.findall(r"<!-- (\w+): (.*?) -->", match[1]))
        found.append(Block(match[2], match[3], source.count("\n", 0, match.start(2)) + 1, marks))
    return found


def prints(told: list[str], printed: str) -> bool:
    """Whether a command printed what its page shows."""
    lines = [
        ".*(?:\n.*)*" if line.strip() == "…" else ".*".join(map(re.escape, line.rstrip().split("…")))
        for line in told
    ]
    printed = "\n".join(line.rstrip() for line in printed.strip().splitlines())
    return re.fullmatch("\n".join(lines), printed) is not None


def environment(folder: Path, programs: Path) -> dict[str, str]:
    tools = f"{programs}{os.pathsep}{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"
    return {**os.environ, "PATH": tools, "PYTHONPATH": str(folder), "COLUMNS": "100", "HF_HUB_OFFLINE": "1"}


@pytest.mark.parametrize(
    "page",
    [page if page.stem in QUICK else pytest.param(page, marks=pytest.mark.slow) for page in PAGES],
    ids=lambda page: page.stem,
)
def test_commands_of_the_page_run_and_print_what_it_shows(page, tmp_path, preloaded):
    programs = Path(sys.executable).parent if page.stem == "README" else preloaded.bin
    if (ROOT / "examples").is_dir():
        shutil.copytree(ROOT / "examples", tmp_path / "examples")
    for block in blocks(page):
        where = f"{page.name}:{block.line}"
        if "needs" in block.marks:
            continue
        if "file" in block.marks:
            (tmp_path / block.marks["file"]).write_text(block.text, encoding="utf-8")
        elif block.language == "python":
            run(where, ["python", "-c", block.text], tmp_path, programs)
        elif block.language == "console":
            commands = block.commands
            for number, (command, told) in enumerate(commands, start=1):
                code = int(block.marks.get("exit", 0)) if number == len(commands) else 0
                printed = run(f"{where}: $ {command}", ["bash", "-c", command], tmp_path, programs, code)
                assert not told or prints(told, printed), f"{where}: $ {command}\nprinted\n{printed}"


def run(where: str, command: list[str], folder: Path, programs: Path, code: int = 0) -> str:
    env = environment(folder, programs)
    command = [shutil.which(command[0], path=env["PATH"]) or command[0], *command[1:]]
    done = subprocess.run(
        command, cwd=folder, env=env, capture_output=True, text=True, timeout=300, check=False
    )
    assert done.returncode == code, (
        f"{where}\nexited with {done.returncode}, not {code}\n{done.stdout}{done.stderr}"
    )
    return done.stdout


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.stem)
def test_marks_are_known_and_commands_are_in_console_blocks(page):
    for block in blocks(page):
        assert set(block.marks) <= MARKS, f"{page.name}:{block.line}"
        hidden = block.language in ("sh", "bash", "shell") or (
            block.language == "" and block.text.startswith(("jurat ", "$ ", "make ", "pip ", "python "))
        )
        assert not hidden, f"{page.name}:{block.line}: write it as console"


@pytest.mark.parametrize(
    "page", [*PAGES, *(ROOT / name for name in ("SECURITY.md", "CHANGELOG.md"))], ids=lambda p: p.stem
)
def test_links_resolve(page):
    source = page.read_text(encoding="utf-8")
    for target in re.findall(r"\]\(([^)\s]+)\)", source):
        path, _, anchor = target.partition("#")
        if "://" in path:
            continue
        file = (page.parent / path).resolve() if path else page
        assert file.exists(), f"{page.name}: {target}"
        if anchor:
            titles = re.findall(r"^#+ (.*)$", file.read_text(encoding="utf-8"), re.MULTILINE)
            assert anchor in [re.sub(r"[^\w\- ]", "", title).lower().replace(" ", "-") for title in titles], (
                target
            )


def test_fenced_blocks_are_parsed_with_their_own_marks(tmp_path):
    page = tmp_path / "page.md"
    page.write_text(
        "<!-- a picture -->\n<!-- file: a.yaml -->\n```yaml\nx: 1\n```\n\n<!-- needs: x -->\n\n"
        "```console\n$ one \\\n  two\nsaid\n$ three\n```\n"
        "<!-- exit: 1 -->\n<!-- model: m -->\n```console\nfour\n```\n"
    )
    found = blocks(page)
    assert [(block.language, block.marks, block.line) for block in found] == [
        ("yaml", {"file": "a.yaml"}, 3),
        ("console", {}, 9),
        ("console", {"exit": "1", "model": "m"}, 17),
    ]
    assert found[1].commands == [("one two", ["said"]), ("three", [])]
    assert found[2].commands == [("four", [])]


def test_every_block_of_a_page_is_found():
    for page in PAGES:
        assert len(blocks(page)) == page.read_text(encoding="utf-8").count("\n```") / 2, page.name


@pytest.mark.parametrize(
    ("told", "printed", "fits"),
    [
        (["a b"], "a b  \n", True),
        (["a …", "…"], "a 12\nx\ny\n", True),
        (["a …", "…", "z"], "a 12\nx\nz\n", True),
        (["a"], "a\nb\n", False),
        (["a.c"], "abc\n", False),
    ],
)
def test_output_matches_the_page_with_ellipses(told, printed, fits):
    assert prints(told, printed) is fits
