"""`jurat defense fit`: the files that some defenses are opened with."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal
from urllib.parse import quote_plus

import typer

from jurat.cli.model_options import ModelOptions, opens_model
from jurat.files import check_free
from jurat.text import counted, printable

if TYPE_CHECKING:
    from jurat.models import ModelSpec

app = typer.Typer(
    add_completion=False,
    rich_markup_mode=None,
    no_args_is_help=True,
    help="Fit what a defense needs before a model is put under it.",
)


@app.callback()
def defense() -> None:
    """Fit what a defense needs. Which defenses there are: jurat list defenses."""


fit = typer.Typer(
    add_completion=False, rich_markup_mode=None, no_args_is_help=True, help="Write the file of a defense."
)
app.add_typer(fit, name="fit")

_PLURALS = {"prompt": "prompts", "reply": "replies"}
_SHOWN = 5
"""Rows that were left out and are printed."""

ModelName = Annotated[
    str, typer.Option("--model", "-m", metavar="NAME", help="A local model, whose hidden states are read.")
]
Prompts = Annotated[
    Path,
    typer.Option(
        metavar="FILE",
        help="Labelled prompts: .csv, .tsv, .jsonl, .json or .parquet with the columns prompt, harmful and, "
        "if there are images, image.",
    ),
]
Out = Annotated[Path, typer.Option("--out", "-o", metavar="FILE", help="The file to write (safetensors).")]
Overwrite = Annotated[bool, typer.Option("--overwrite", help="Replace --out if it is there.")]


Layer = Annotated[
    int | None,
    typer.Option(
        min=0,
        metavar="N",
        help="Decoder layer that is read, from 0. Default: at two thirds of the depth.",
        show_default=False,
    ),
]


@fit.command()
@opens_model
def inferaligner(
    model: ModelName,
    prompts: Prompts,
    out: Out,
    aligned: Annotated[
        str | None,
        typer.Option(
            metavar="NAME",
            help="An aligned model of the same depth and width, for the direction of the shift. Default: the "
            "model itself.",
        ),
    ] = None,
    overwrite: Overwrite = False,
    *,
    opening: ModelOptions,
) -> None:
    """Fit the safety vectors and the gates of the defense inferaligner to a model.

    Exit codes: 0 done, 2 wrong usage, 3 a model failed.
    """
    from jurat.defenses.fitting.examples import read_examples
    from jurat.defenses.fitting.safety_vectors import fit_vectors
    from jurat.defenses.last_tokens import check_readable
    from jurat.models import open_model

    check_free(out, overwrite=overwrite)
    examples = read_examples(prompts, "prompt")
    target = open_model(opening.spec(model))
    sibling = target
    try:
        check_readable(target)
        if aligned is not None:
            sibling = open_model(opening.spec(aligned))
            check_readable(sibling)
        fitted = fit_vectors(target, sibling, examples)
    finally:
        target.close()
        sibling.close()
    fitted.vectors.save(out, **fitted.facts(examples))
    _print_left_out((*examples.left_out, *fitted.left_out))
    typer.echo(
        "Prompts that each layer's gate decides rightly, left out of its own fit (mean of both classes):"
    )
    for number, (layer, share) in enumerate(zip(fitted.vectors.layers, fitted.accuracy, strict=True)):
        typer.echo(f"{number:>4}  {share:6.1%}  {printable(layer)}")
    harmful = counted(fitted.harmful, "harmful prompt")
    typer.echo(f"{out}: {counted(len(fitted.accuracy), 'layer')}, {harmful} and {fitted.harmless} harmless.")
    typer.echo(_how_to_use("inferaligner", "vectors", out))


@fit.command("jailbreak-detector")
@opens_model
def jailbreak_detector(
    model: ModelName,
    prompts: Prompts,
    out: Out,
    layer: Layer = None,
    overwrite: Overwrite = False,
    *,
    opening: ModelOptions,
) -> None:
    """Fit the head of the defense jailbreak-detector to labelled prompts. Needs scikit-learn (extra eval).

    Exit codes: 0 done, 2 wrong usage, 3 the model failed.
    """
    _fit_head("jailbreak-detector", "prompt", opening.spec(model), prompts, out, layer, overwrite)


@fit.command()
@opens_model
def protector(
    model: ModelName,
    replies: Annotated[
        Path,
        typer.Option(
            metavar="FILE",
            help="Labelled replies: .csv, .tsv, .jsonl, .json or .parquet with the columns reply, harmful.",
        ),
    ],
    out: Out,
    layer: Layer = None,
    overwrite: Overwrite = False,
    *,
    opening: ModelOptions,
) -> None:
    """Fit the harm detector of the defense protector to labelled replies. Needs scikit-learn (extra eval).

    Exit codes: 0 done, 2 wrong usage, 3 the model failed.
    """
    _fit_head("protector", "reply", opening.spec(model), replies, out, layer, overwrite)


@fit.command()
@opens_model
def detoxifier(
    model: Annotated[
        str, typer.Option("--model", "-m", metavar="NAME", help="A local model, which is trained: hf/PATH.")
    ],
    rewrites: Annotated[
        Path,
        typer.Option(
            metavar="FILE",
            help="Answers and how they should have been: .csv, .tsv, .jsonl, .json or .parquet with the "
            "columns request, answer, rewritten.",
        ),
    ],
    out: Annotated[
        Path, typer.Option("--out", "-o", metavar="FOLDER", help="The folder of the trained model.")
    ],
    epochs: Annotated[int, typer.Option(min=1, help="Times that each row is shown.")] = 4,
    rate: Annotated[
        float, typer.Option(min=0, help="Learning rate at the start; small models need more.")
    ] = 2e-5,
    batch: Annotated[int, typer.Option(min=1, help="Rows a step.")] = 8,
    seed: Annotated[int, typer.Option(help="Seed of the order of the rows.")] = 0,
    overwrite: Overwrite = False,
    *,
    opening: ModelOptions,
) -> None:
    """Train the model by which the defense protector writes harmful answers again. All weights are trained,
    in float32: the device must hold four times their size.

    Exit codes: 0 done, 2 wrong usage, 3 the model failed.
    """
    from jurat.defenses.fitting.detoxifier import Schedule, fit_detoxifier, read_rewrites
    from jurat.models import open_model

    check_free(out, overwrite=overwrite)
    rows = read_rewrites(rewrites)
    opened = open_model(opening.spec(model))
    try:
        fitted = fit_detoxifier(
            opened, rows, Schedule(epochs, rate, batch, seed), lambda line: typer.echo(line, err=True)
        )
        fitted.save(out, rows)
    finally:
        opened.close()
    _print_left_out((*rows.left_out, *fitted.left_out))
    typer.echo(f"Trained on {counted(fitted.trained, 'row')}, {counted(epochs, 'time')} each.")
    watched = counted(fitted.watched, "row")
    typer.echo(f"Loss a token on {watched} left out: {fitted.before:.3f} before, {fitted.after:.3f} after.")
    used = quote_plus(f"hf/{out}", safe="/.,:~@=")
    typer.echo(f'Use it: --defense "protector?head=FILE&detoxifier={used}"')


def _fit_head(
    kind: str,
    column: Literal["prompt", "reply"],
    spec: ModelSpec,
    file: Path,
    out: Path,
    layer: int | None,
    overwrite: bool,
) -> None:
    from jurat.defenses.fitting.examples import read_examples
    from jurat.defenses.fitting.linear_head import fit_head
    from jurat.defenses.last_tokens import check_readable
    from jurat.models import open_model

    check_free(out, overwrite=overwrite)
    examples = read_examples(file, column)
    model = open_model(spec)
    try:
        check_readable(model)
        fitted = fit_head(model, examples, layer)
    finally:
        model.close()
    fitted.head.save(out, kind, **fitted.facts(examples))
    _print_left_out((*examples.left_out, *fitted.left_out))
    harmful = counted(fitted.harmful, f"harmful {column}", f"harmful {_PLURALS[column]}")
    typer.echo(f"Fitted to {harmful} and {fitted.harmless} harmless, on {printable(fitted.head.layer)}.")
    quality = f"AUROC {fitted.auroc:.3f}, mean accuracy of both classes {fitted.accuracy:.1%}"
    typer.echo(f"On those left out of the fit, in turns: {quality}.")
    typer.echo(_how_to_use(kind, "head", out))


def _how_to_use(defense: str, setting: str, out: Path) -> str:
    """The option by which a file is used; what would end the setting in a name is quoted."""
    return f'Use it: --defense "{defense}?{setting}={quote_plus(str(out), safe="/.,:~@=")}"'


def _print_left_out(reasons: Sequence[str]) -> None:
    """Says which rows were left out, and why."""
    if not reasons:
        return
    typer.echo(f"{counted(len(reasons), 'row was', 'rows were')} left out:", err=True)
    for each in reasons[:_SHOWN]:
        typer.echo(f"  {printable(each)}", err=True)
    if len(reasons) > _SHOWN:
        typer.echo(f"  and {len(reasons) - _SHOWN} more", err=True)
