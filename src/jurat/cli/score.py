"""`jurat score`: scores the stored replies of a log again."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from jurat.cli.evaluate import ByCategory, JudgeName, Strict
from jurat.cli.plain_output import Json
from jurat.errors import JuratError, require

app = typer.Typer(add_completion=False, rich_markup_mode=None)


@app.command()
def score(
    log: Annotated[Path, typer.Argument(metavar="LOG", help="A log of jurat eval.", show_default=False)],
    scorer: Annotated[
        list[str] | None,
        typer.Option(
            "--scorer",
            metavar="NAME",
            help="With options: NAME?KEY=VALUE. Default: print what is there. See: jurat list scorers",
        ),
    ] = None,
    judge: JudgeName = None,
    out: Annotated[
        Path | None,
        typer.Option(metavar="FILE", help="Write another log. Default: add to this one.", show_default=False),
    ] = None,
    by_category: ByCategory = False,
    strict: Strict = False,
    as_json: Json = False,
) -> None:
    """Score the stored replies of a log with further scorers, without the evaluated model.

    Earlier scores stay. Without --scorer the results that the log holds are printed.
    """
    require("jurat score", "eval", "inspect_ai")
    from jurat.cli.eval_results import end, print_results
    from jurat.evals.rescoring import read_log, score_log

    if out is not None and not scorer:
        raise JuratError("--out is for the log with further scores.", hint="Name a scorer: --scorer NAME")
    found = read_log(score_log(log, scorer, judge=judge, out=out) if scorer else log)
    end(found, print_results(found, as_json=as_json, by_category=by_category), strict=strict)
