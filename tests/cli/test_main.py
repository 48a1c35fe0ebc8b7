"""`jurat` itself: help, version, how errors are printed, and what `--help` imports."""

from __future__ import annotations

import json
import os
import subprocess
import sys

import pytest

from jurat import __version__
from jurat.cli import BUG, COMMANDS


def python(code: str, **environment: str) -> subprocess.CompletedProcess[str]:
    env = {**os.environ, **environment}
    return subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, env=env, timeout=60)


def test_help_lists_every_command_and_the_exit_codes(jurat):
    result = jurat("--help")
    assert result.exit_code == 0
    for name, told in COMMANDS.items():
        assert f"{name:<12}  {told}" in result.stdout
    assert "Exit codes: 0 done, 1 what --fail-on names was found, 2 wrong usage" in result.stdout


@pytest.mark.parametrize("name", COMMANDS)
def test_every_command_has_its_own_help(jurat, name):
    result = jurat(name, "--help")
    assert result.exit_code == 0, result.output
    assert result.stdout.startswith("Usage: ")
    assert name in result.stdout.splitlines()[0]
    assert "--install-completion" not in result.stdout


def test_version_is_printed(jurat):
    assert jurat("--version").stdout == f"jurat {__version__}\n"


def test_unknown_command_suggests_the_nearest(jurat):
    result = jurat("jugde")
    assert result.exit_code == 2
    assert "No such command 'jugde'. Did you mean 'judge', 'judges'?" in result.stderr


HEAVY = (
    "torch",
    "transformers",
    "pydantic",
    "numpy",
    "PIL",
    "pyarrow",
    "scipy",
    "jinja2",
    "ruamel.yaml",
    "rich.console",
)


def test_help_imports_nothing_but_typer():
    code = "import sys; sys.argv = ['jurat', '--help']\nfrom jurat.cli import main\n"
    code += "try: main()\nexcept SystemExit: pass\n"
    code += "print('LOADED', [m for m in sys.modules if m.startswith('jurat')], *sys.modules)"
    told = python(code).stdout.partition("LOADED ")[2]
    assert told, "the modules were not printed"
    loaded = told.split()
    assert not [name for name in HEAVY if name in loaded]
    assert told.startswith("['jurat', 'jurat.errors', 'jurat.cli']")


def test_unexpected_exception_is_two_lines_with_its_own_exit_code():
    code = (
        "import sys, jurat.constitution as law\n"
        "def load_constitution(ref): raise ZeroDivisionError('nought')\n"
        "law.load_constitution = load_constitution\n"
        "sys.argv = ['jurat', 'judge', 'x.png', '--constitution', 'shelf:nursery', '--model', 'null']\n"
        "from jurat.cli import main; main()"
    )
    run = python(code, JURAT_DEBUG="")
    assert run.returncode == BUG
    assert run.stderr.startswith("jurat: unexpected ZeroDivisionError: nought\n")
    assert "please report it" in run.stderr and "Traceback" not in run.stderr
    assert "Traceback" in python(code, JURAT_DEBUG="1").stderr


ILL = """
from jurat.models.null import NullModel
class Ill(NullModel):
    def ask(self, inquiries):
        if "ask" in self.name:
            raise ValueError("of ask \\x1b[31m")
        return super().ask(inquiries)
    def capability(self, kind):
        if "capability" in self.name:
            raise ValueError("of capability \\x1b[31m")
        return super().capability(kind)
def open_ill(spec):
    if "open" in spec.name:
        raise ValueError("of open \\x1b[31m")
    return Ill(name=spec.name)
"""


@pytest.mark.parametrize("where", ["open", "capability", "ask"])
def test_failing_plug_in_is_named_and_its_message_escaped(where, pics, install_backend):
    site = install_backend("ill", ILL)
    code = (
        f"import sys; sys.path.insert(0, {str(site)!r})\n"
        "sys.argv = ['jurat', 'judge', 'pics', '--constitution', 'colours.yaml', '--out', 'v.jsonl',"
        f" '--model', 'ill/{where}']\n"
        "from jurat.cli import main; main()"
    )
    run = python(code, JURAT_DEBUG="", PYTHONPATH=os.pathsep.join(sys.path))
    assert run.returncode == 3, run.stderr
    assert "he plug-in 'ill' of ill-model" in run.stderr and f"ValueError: of {where} " in run.stderr
    assert "bug in jurat" not in run.stderr and "Traceback" not in run.stderr
    assert "\x1b" not in run.stderr + run.stdout
    if where == "ask":
        rows = [json.loads(line) for line in (pics.parent / "v.jsonl").read_text().splitlines()]
        assert len(rows) == 7 and {row["outcome"] for row in rows} == {"error"}
        named = "the plug-in 'ill' of ill-model: ValueError: of ask ?[31m"
        assert [row["error"] for row in rows].count(named) == 6


def test_closed_standard_output_is_one_error_line(pics):
    judge = "judge pics --constitution colours.yaml --model null --out -"
    command = [sys.executable, "-m", "jurat", *judge.split()]
    run = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    run.stdout.close()
    told = run.stderr.read()
    assert run.wait(timeout=60) != 0
    assert told.startswith("jurat: ") and told.count("\n") == 1
