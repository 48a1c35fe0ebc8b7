"""`jurat bench text-to-image`: a concept removed, brought back by found prompts, and defended against."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from jurat.cli import bench_options as options
from jurat.cli.model_options import ModelOptions, opens_model
from jurat.runs.session import command_line

METHODS = ("quick",)
"""Presets that judge where none is named."""


@opens_model
def text_to_image(
    model: Annotated[
        str,
        typer.Option(
            "--model",
            "-m",
            metavar="NAME",
            help='The text-to-image model: "diffusers/FOLDER?steps=25". See: jurat list text_to_image.',
        ),
    ],
    judge: Annotated[
        list[str], typer.Option(metavar="NAME", help="A judge, or LABEL=NAME; repeat for more.")
    ] = ["bundled"],  # noqa: B006 (typer reads the default, and nobody changes it)
    method: Annotated[list[str] | None, options.methods_option(METHODS)] = None,
    suite: Annotated[
        Path | None,
        typer.Option(
            metavar="FILE", help="YAML with a concept and prompts of your own. Default: those of jurat."
        ),
    ] = None,
    removal: Annotated[
        list[str] | None,
        typer.Option(
            metavar="NAME",
            help='A removal, with settings: "esd?steps=400"; repeat for more. Default: those of the suite.',
            show_default=False,
        ),
    ] = None,
    generation_defense: Annotated[
        list[str] | None,
        typer.Option(
            metavar="NAME",
            help='A defense around each removal: "dual-latent?strength=0.5"; repeat for more. Default: those '
            "of the suite. --defense puts the judge under one.",
            show_default=False,
        ),
    ] = None,
    attack: Annotated[
        str | None,
        typer.Option(
            metavar="NAME", help='"ring-a-bell?length=16". Default: that of the suite.', show_default=False
        ),
    ] = None,
    text_encoder: Annotated[
        str | None,
        typer.Option(metavar="DIR", help="Text encoder that the attack uses. Default: the model's own."),
    ] = None,
    reference: Annotated[
        Path | None,
        typer.Option(
            metavar="DIR",
            help="Pictures of known truth in its folders with and without. Default: drawn scenes, if the "
            "suite says how.",
        ),
    ] = None,
    features: Annotated[
        str,
        typer.Option(metavar="NAME", help="Matcher whose features pictures are compared by; none for none."),
    ] = "bundled",
    prompts: Annotated[int, typer.Option(metavar="N", min=1, help="Prompts that ask for the concept.")] = 16,
    others: Annotated[int, typer.Option(metavar="N", min=2, help="Prompts of other things.")] = 24,
    searches: Annotated[int, typer.Option(metavar="N", min=1, max=999, help="Seeds of the attack.")] = 3,
    seeds: Annotated[int, typer.Option(metavar="N", min=1, max=999, help="Seeds of sampling.")] = 3,
    known: Annotated[
        int, typer.Option(metavar="N", min=1, help="Pictures of known truth with the concept, and without.")
    ] = 200,
    real: Annotated[
        int, typer.Option(metavar="N", min=1, help="Real pictures for each prompt of other things.")
    ] = 8,
    batch_size: Annotated[int, typer.Option(metavar="N", min=1, help="Pictures made at once.")] = 8,
    seed: Annotated[int, typer.Option(min=0, help="Another seed draws and samples others.")] = 0,
    out: options.Out = Path("text-to-image"),
    quiet: options.Quiet = False,
    *,
    opening: ModelOptions,
) -> None:
    """Remove a concept from a text-to-image model, attack the removals, and defend them at inference.

    Each removal is prompted with the concept, with what the attack finds, with the concept's name and with
    random tokens, as it is and under each defense. The judge looks for the concept; its own mistakes are
    measured on pictures of known truth, and corrected. Writes text-to-image.json, text-to-image.md, a figure
    and all judgements into --out, beside the pictures; the same command resumes a run.
    """
    from jurat.bench.methods.registry import rows_for
    from jurat.bench.text_to_image.page import as_markdown, write_text_to_image
    from jurat.bench.text_to_image.plan import TextToImagePlan
    from jurat.bench.text_to_image.results import results_of
    from jurat.bench.text_to_image.run import run_text_to_image
    from jurat.bench.text_to_image.suite import load_suite
    from jurat.models import ModelSpec

    plan = TextToImagePlan(
        out,
        rows_for(method or METHODS, []),
        options.subjects(judge, opening),
        seed=seed,
        detector=None,
        matcher=None,
        command=command_line(),
        model=ModelSpec(model, device=opening.device, dtype=opening.dtype),
        suite=load_suite(suite),
        removals=removal or (),
        defenses=generation_defense or (),
        attack=attack or "",
        text_encoder=text_encoder,
        reference=reference,
        features=options.or_none(features),
        prompts=prompts,
        others=others,
        searches=searches,
        seeds=seeds,
        known=known,
        real=real,
        batch=batch_size,
    )
    progress = run_text_to_image(plan, options.progress(quiet=quiet))
    results, table = results_of(plan, progress)
    written = write_text_to_image(out, results, table)
    options.tell(as_markdown(results), written, quiet=quiet)
