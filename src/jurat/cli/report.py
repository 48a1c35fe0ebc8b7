"""`jurat report`: a file of verdicts becomes a page to look at."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

app = typer.Typer(add_completion=False, rich_markup_mode=None)


@app.command()
def report(
    record: Annotated[
        Path, typer.Argument(metavar="FILE", help="What jurat judge --out wrote.", show_default=False)
    ],
    out: Annotated[Path, typer.Option("--out", "-o", metavar="PAGE", help="The page to write.")] = Path(
        "report.html"
    ),
    images_root: Annotated[
        Path | None,
        typer.Option(metavar="DIR", help="Where the images lie now, if not where they were judged."),
    ] = None,
    limit: Annotated[
        int,
        typer.Option(metavar="N", min=1, help="Images in the gallery; those that break a rule come first."),
    ] = 400,
    overwrite: Annotated[bool, typer.Option("--overwrite", help="Replace the page if it is there.")] = False,
) -> None:
    """Write verdicts as a page to look at.

    The page is one file that needs no network. Pictures are in it, small and blurred until they are clicked.
    """
    from jurat.report import write_report

    page = write_report(record, out, images_root=images_root, limit=limit, overwrite=overwrite)
    shown = "" if page.shown == page.items else f", {page.shown:,} of them in the gallery"
    typer.echo(f"Wrote {page.path} ({page.items:,} verdicts{shown}). Open it in a browser.")
