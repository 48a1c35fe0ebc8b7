"""Entry point of the `jurat` command.

This file imports typer alone. A command's own module is imported when that command is run, so that
`jurat --help` answers at once however much the commands need.
"""

from __future__ import annotations

import io
import os
import sys
from contextlib import suppress
from errno import EDQUOT, EFBIG, EIO, ENOSPC
from importlib import import_module
from typing import Annotated, Any, cast

import typer
from typer.core import TyperCommand, TyperGroup

from jurat.errors import JuratError

__all__ = ["BUG", "COMMANDS", "app", "main"]

COMMANDS = {
    "judge": "Judge images under a constitution.",
    "report": "Write verdicts, or answers in logs, as a page to look at.",
    "merge": "Join runs over parts of the same items.",
    "constitution": "Check, show, draft and test constitutions.",
    "calibrate": "Fit debiasing and thresholds to your own images.",
    "list": "List models, sources, bench methods and what else has a name.",
    "models": "List the models that can judge, and what each can do.",
    "data": "List, check and build evaluation sets; print samples.",
    "metrics": "List metrics, compute one on a file of rows.",
    "eval": "Evaluate a model on a set, with any scorers.",
    "score": "Score the stored replies of an evaluation again.",
    "judges": "Compare the judges of stored replies, and with people.",
    "compare": "Compare two evaluations on the same samples.",
    "pictograms": "Draw scenes whose truth is known.",
    "attack": "Attack pictures, and ask a model about the results.",
    "defense": "Fit what a defense needs before a model is put under it.",
    "bench": "Measure judges and baselines on scenes whose truth is known.",
}
"""The commands in the order of the help: each is a module of this folder with a typer `app`."""
_MODULES = {"list": "listing", "eval": "evaluate"}
"""Modules that are not named as their command: `list` in this package would hide the built-in."""

BUG = 70
"""Exit code of a failure that is ours to mend (EX_SOFTWARE); 1, 2 and 3 have meanings of their own."""
_INTERRUPTED = 130
_WRITING = (ENOSPC, EDQUOT, EFBIG, EIO)


_EXTRAS = {
    "torch": "local",
    "transformers": "local",
    "safetensors": "local",
    "tokenizers": "local",
    "scipy": "local",
    "openai": "openai",
    "diffusers": "diffusion",
    "matplotlib": "bench",
    "sklearn": "eval",
    "statsmodels": "eval",
    "sacrebleu": "eval",
    "skimage": "eval",
    "inspect_ai": "eval",
    "av": "video",
    "ray": "ray",
}
"""Packages that only extras install: where one is missing and nothing said so before, that is no bug."""


def load_command(name: str) -> Any:
    """Imports the module of a command; returns the click command."""
    module = import_module(f"jurat.cli.{_MODULES.get(name, name)}")
    return typer.main.get_command(module.app)


class _Commands(TyperGroup):
    """Loads a command's module when the command is run, never to list it."""

    def list_commands(self, ctx: Any) -> list[str]:
        return list(COMMANDS)

    def get_command(self, ctx: Any, cmd_name: str) -> Any:
        if cmd_name not in COMMANDS:
            return None
        return self.commands.setdefault(cmd_name, TyperCommand(cmd_name, help=COMMANDS[cmd_name]))

    def resolve_command(self, ctx: Any, args: list[str]) -> Any:
        for name in COMMANDS:
            self.get_command(ctx, name)  # what "did you mean" draws on
        if args[0] in COMMANDS:
            self.commands[args[0]] = load_command(args[0])
        return super().resolve_command(ctx, args)

    def invoke(self, ctx: Any) -> Any:
        try:
            return super().invoke(ctx)
        except JuratError as error:
            sys.stderr.write(f"jurat: {_shown(error)}\n")
            raise typer.Exit(error.exit_code) from error


app = typer.Typer(
    cls=_Commands,
    add_completion=False,
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    rich_markup_mode=None,
    context_settings={"help_option_names": ["-h", "--help"]},
)


def _version(wanted: bool) -> None:
    if wanted:
        from jurat import __version__

        typer.echo(f"jurat {__version__}")
        raise typer.Exit


@app.callback()
def root(
    version: Annotated[
        bool, typer.Option("--version", callback=_version, is_eager=True, help="Print the version and stop.")
    ] = False,
) -> None:
    """Judge images under a written constitution, with any multimodal LLM.

    Exit codes: 0 done, 1 what --fail-on names was found, 2 wrong usage, 3 the model failed or nothing
    could be judged.
    """


def _leave_at_once(code: object) -> None:
    """Exits at once after Ctrl-C; Python would wait for running model calls and name lookups."""
    lanes: Any = sys.modules.get("jurat.judge.concurrency")
    reading: Any = sys.modules.get("jurat.sources.prefetch")
    waits = code == _INTERRUPTED and reading is not None and reading.at_work()
    if waits or (lanes is not None and lanes.at_work()):
        sys.stdout.flush()
        sys.stderr.flush()
        os._exit(code if isinstance(code, int) else BUG)


def _write_everything() -> None:
    """Makes standard output and error write what their encoding lacks as escapes, instead of failing."""
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(errors="backslashreplace")


def _is_of_output(error: OSError) -> bool:
    """Whether standard output cannot be written: its disk is full, say."""
    if error.filename is not None or error.errno not in _WRITING:
        return False
    _give_up_output()
    return True


def _give_up_output() -> None:
    """Discards the buffer of standard output, which would fail again when Python exits."""
    with suppress(OSError, ValueError, AttributeError):
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())


def main() -> None:
    """Runs the command line; what a bug raises becomes two lines, or a traceback under JURAT_DEBUG=1."""
    _write_everything()
    try:
        try:
            app()
        except SystemExit as ended:
            _leave_at_once(ended.code)
            if cast("Any", sys.stdout) is not None:
                sys.stdout.flush()
            raise
    except BrokenPipeError:  # whoever read the output has seen enough
        _give_up_output()
        sys.exit(1)
    except Exception as error:
        if isinstance(error, OSError) and _is_of_output(error):
            with suppress(OSError):
                sys.stderr.write(f"jurat: standard output cannot be written: {error.strerror}.\n")
            sys.exit(2)
        if os.environ.get("JURAT_DEBUG"):
            raise
        from jurat.registry import blamed

        if isinstance(error, ModuleNotFoundError) and error.name in _EXTRAS:
            extra = _EXTRAS[error.name]
            sys.stderr.write(
                f"jurat: This needs {error.name}, which is not installed.\n"
                f'  Install it: pip install "jurat[{extra}]"\n'
            )
            sys.exit(2)
        whose = blamed(error)
        told = f"{type(error).__name__}: {_shown(error)}"
        if whose is not None:
            sys.stderr.write(
                f"jurat: {whose} failed: {told}\n"
                "  This is a fault of the plug-in. JURAT_DEBUG=1 prints a traceback for its authors.\n"
            )
            sys.exit(3)
        sys.stderr.write(
            f"jurat: unexpected {told}\n"
            "  This is a bug in jurat. JURAT_DEBUG=1 prints a traceback; please report it.\n"
        )
        sys.exit(BUG)


def _shown(error: BaseException) -> str:
    """Its message without control characters: it may quote file names, replies and third parties."""
    from jurat.text import printable

    return "\n".join(printable(line) for line in str(error).split("\n"))
