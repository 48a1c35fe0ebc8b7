"""`--trust-remote-code`: one option wherever a model is opened, which says what it means when it is given."""

from __future__ import annotations

from typing import Annotated

import typer

MEANING = (
    "jurat: --trust-remote-code: Python code that comes with the model's weights is run on this machine. It"
    " can do whatever you can: read your files, use your keys, reach the network. Give it for a model only"
    " whose authors you trust."
)


def _tell(given: bool) -> bool:
    if given:
        typer.echo(MEANING, err=True)
    return given


TrustRemoteCode = Annotated[
    bool,
    typer.Option(
        "--trust-remote-code",
        help="Run Python code that comes with a model's weights; it can do whatever you can.",
        callback=_tell,
    ),
]
