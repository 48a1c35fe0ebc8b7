"""`jurat report`: writes a run or logs as a page, a run as text for a ticket, or compares two runs."""

from __future__ import annotations

from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from jurat.errors import JuratError, require
from jurat.text import counted

if TYPE_CHECKING:
    from jurat.constitution import Constitution
    from jurat.report import AnswersPage

app = typer.Typer(add_completion=False, rich_markup_mode=None)


class Format(StrEnum):
    html = "html"
    md = "md"
    csv = "csv"


class Reader(StrEnum):
    reviewer = "reviewer"
    user = "user"
    statement = "statement"


@app.command()
def report(
    records: Annotated[
        list[Path],
        typer.Argument(
            metavar="RUN [RUN] | LOG... | ATTACK",
            help="What jurat judge --out wrote; two are compared. Or logs of jurat eval, or folders of them; "
            "or a run of jurat attack.",
            show_default=False,
        ),
    ],
    out: Annotated[
        Path | None,
        typer.Option(
            "--out",
            "-o",
            metavar="PAGE_OR_DIR",
            help="What to write: a page, if it ends in .html, else a folder for one.  [default: report.html]",
            show_default=False,
        ),
    ] = None,
    format: Annotated[Format, typer.Option(help="A page, or text for a ticket.")] = Format.html,
    reader: Annotated[
        Reader,
        typer.Option("--for", help="Whom the explanations are for; statement drafts a statement of reasons."),
    ] = Reader.reviewer,
    figures: Annotated[
        Path | None, typer.Option(metavar="DIR", help="Also draws plots into this folder, as PNG.")
    ] = None,
    images_root: Annotated[
        Path | None,
        typer.Option(metavar="DIR", help="Where the images lie now, if not where they were judged."),
    ] = None,
    limit: Annotated[
        int | None,
        typer.Option(
            metavar="N",
            min=1,
            help="Pictures of a page (400), items that md lists (50); those that break a rule come first.",
            show_default=False,
        ),
    ] = None,
    constitution: Annotated[
        str | None,
        typer.Option(
            "--constitution",
            "-c",
            metavar="FILE",
            help="The one the verdicts are of: shows the rules' sentences, which a file of verdicts lacks.",
            show_default=False,
        ),
    ] = None,
    overwrite: Annotated[bool, typer.Option("--overwrite", help="Replace an earlier page or file.")] = False,
) -> None:
    """Write a page of verdicts, compare two runs of the same images, or show answers in logs side by side.

    The page needs no network. It holds small pictures, blurred until they are clicked; those of a large run
    are in a folder beside it.
    """
    if any(map(_is_answers, records)):
        others = {
            "--format": format is not Format.html,
            "--for": reader is not Reader.reviewer,
            "--figures": figures is not None,
            "--images-root": images_root is not None,
            "--constitution": constitution is not None,
        }
        _refuse_others(records, [option for option, given in others.items() if given])
        write = _page_of_attacks if _is_attack(records[0]) else _page_of_logs
        typer.echo(write(records, out or Path("report.html"), limit, overwrite))
        return
    if len(records) > 2:
        raise JuratError("One run is shown, or two are compared.", hint=f"{len(records)} were named.")
    out = out or Path(f"report.{format}")
    options: dict[str, Any] = {
        "reader": reader.value,
        "overwrite": overwrite,
        "constitution": None if constitution is None else _loaded(constitution),
    }
    if limit is not None:
        options["limit"] = limit
    if format is Format.html:
        typer.echo(_page(records, out, images_root=images_root, **options))
    else:
        from jurat.report import write_ticket

        other = records[1] if len(records) == 2 else None
        items = write_ticket(records[0], out, format.value, other=other, **options)
        typer.echo(f"Wrote {out} ({counted(items, 'verdict')}).")
    if figures is not None:
        from jurat.report import write_figures

        paths = write_figures(records[-1], figures)
        typer.echo(f"Drew {', '.join(path.name for path in paths)} in {figures}.")


def _is_log(path: Path) -> bool:
    from jurat.evals.log_places import is_log

    return is_log(path)


def _is_attack(path: Path) -> bool:
    from jurat.report.answers.attacks import is_attack

    return is_attack(path)


def _is_answers(path: Path) -> bool:
    return _is_log(path) or _is_attack(path)


def _refuse_others(records: list[Path], options: list[str]) -> None:
    """Raises JuratError where records do not make one page of answers, or an option is for verdicts."""
    attacks = [path for path in records if _is_attack(path)]
    if attacks and len(records) > 1:
        raise JuratError(f"{attacks[0]} is a run of an attack, which has a page of its own.")
    if no_logs := [path for path in records if not _is_answers(path)]:
        raise JuratError(f"{no_logs[0]} is no log; logs and runs have pages of their own.")
    if options:
        raise JuratError(f"{options[0]} is for verdicts, not for {'attacks' if attacks else 'logs'}.")


def _page_of_attacks(records: list[Path], out: Path, limit: int | None, overwrite: bool) -> str:
    """Writes the page of a run of an attack, and returns the message on it."""
    from jurat.report.answers.attacks import LIMIT, write_attacks

    return _written(write_attacks(records[0], out, limit=limit or LIMIT, overwrite=overwrite), "picture")


def _page_of_logs(records: list[Path], out: Path, limit: int | None, overwrite: bool) -> str:
    """Writes the page of logs, and returns the message on it."""
    require("jurat report of logs", "eval", "inspect_ai")
    from jurat.evals.answer_pages import LIMIT, write_page_of_logs

    left_out: list[str] = []
    page = write_page_of_logs(records, out, limit=limit or LIMIT, overwrite=overwrite, left_out=left_out)
    for each in left_out:
        typer.echo(f"left out: {each}", err=True)
    return _written(page, "sample")


def _written(page: AnswersPage, what: str) -> str:
    shown = "" if page.pictures == page.samples else f", {page.pictures:,} of them with a picture"
    beside = f" It needs {page.files.name} beside it." if page.files else ""
    return f"Wrote {page.path} ({counted(page.samples, what)}{shown}). Open it in a browser.{beside}"


def _loaded(constitution: str) -> Constitution:
    from jurat.constitution import load_constitution

    return load_constitution(constitution)


def _page(records: list[Path], out: Path, **options: Any) -> str:
    """Writes the page, and returns the message on it."""
    from jurat.report import compare_reports, write_report

    if len(records) == 2:
        page, flips = compare_reports(records[0], records[1], out, **options)
        flip = "flips" if flips.flips == 1 else "flip"
        verdicts = f"{flips.flips:,} of {counted(flips.both, 'verdict')} {flip}"
    else:
        page = write_report(records[0], out, **options)
        verdicts = counted(page.items, "verdict")
    shown = "" if page.shown == page.items - page.sealed else f", {page.shown:,} of them with a picture"
    beside = f" It needs {page.files.name} beside it." if page.files else ""
    return f"Wrote {page.path} ({verdicts}{shown}). Open it in a browser.{beside}"
