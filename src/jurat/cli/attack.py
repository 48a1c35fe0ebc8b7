"""`jurat attack`: attacked pictures of one's own, and what the model says of them."""

from __future__ import annotations

import os
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, cast

import typer
from rich.console import Console

from jurat.cli import endpoint_options as serving
from jurat.cli import model_choice
from jurat.cli import out_options as output
from jurat.cli import source_options as sourcing
from jurat.cli.help_panels import PanelCommand
from jurat.cli.model_options import ModelOptions, opens_model
from jurat.errors import JuratError
from jurat.text import counted, printable, reason

if TYPE_CHECKING:
    from PIL import Image

    from jurat.attacks.methods.ring_a_bell import RingABell

app = typer.Typer(add_completion=False, rich_markup_mode=None)

MODEL, MAX_TOKENS, BATCH = "bundled", 64, 16
"""Defaults."""


@app.command(cls=PanelCommand)
@opens_model
def attack(
    name: Annotated[
        str,
        typer.Argument(
            metavar="ATTACK",
            help='Name and settings: carlini, "qi?steps=200&radius=0.06". See: jurat list attacks.',
        ),
    ],
    out: Annotated[Path, typer.Option(metavar="DIR", help="Folder; rerun the same command to resume.")],
    paths: Annotated[
        list[str] | None,
        typer.Argument(
            help="Images to attack: files, folders, globs, tables. Attacks on text need none; with images, a "
            "text is found for each.",
            show_default=False,
        ),
    ] = None,
    model: model_choice.ModelName = MODEL,
    prompt: Annotated[
        list[str] | None, typer.Option(help="What the attack asks about the picture; repeat for more.")
    ] = None,
    test_prompt: Annotated[
        list[str] | None,
        typer.Option(help="What success is measured on; repeat for more. Default: the prompts."),
    ] = None,
    validation_prompt: Annotated[
        list[str] | None,
        typer.Option(help="What the best picture is chosen on; repeat for more. Default: the prompts."),
    ] = None,
    target: Annotated[
        str | None,
        typer.Option(
            help="The reply that is wanted, or its beginning. Default: another one than to the clean picture."
        ),
    ] = None,
    success: Annotated[
        str | None,
        typer.Option(help="A text that a successful reply contains. Default: it begins with the target."),
    ] = None,
    trigger: Annotated[
        str | None, typer.Option(help="An image file or a text that the picture should look like.")
    ] = None,
    preset: Annotated[str | None, typer.Option(help="Settings of the attack: as_released.")] = None,
    max_tokens: Annotated[int, typer.Option(min=1, help="Tokens of a reply, at most.")] = MAX_TOKENS,
    seed: Annotated[int, typer.Option(help="Seed of all that is random.")] = 0,
    batch_size: Annotated[int, typer.Option(min=1, help="Pictures that are attacked at once.")] = BATCH,
    text_encoder: Annotated[
        Path | None,
        typer.Option(
            metavar="DIR",
            help="Of ring-a-bell: a Stable Diffusion checkpoint, whose tokenizer and text encoder are used.",
        ),
    ] = None,
    prompts: Annotated[
        Path | None,
        typer.Option(
            metavar="FILE", help="Of ring-a-bell: rows with the column prompt; one is found for each."
        ),
    ] = None,
    pairs: Annotated[
        Path | None,
        typer.Option(
            metavar="FILE",
            help="Of ring-a-bell: texts with the concept and without, columns with and without.",
        ),
    ] = None,
    fresh: output.Fresh = False,
    *,
    opening: ModelOptions,
) -> None:
    """Attack pictures or prompts, and ask the model again. For models you own or may test.

    Success is measured on the saved PNG files, read back as any user would submit them, or on the text that
    was found, typed into the prompts. With --target it is a reply that begins with the target; without,
    another reply than to the clean picture.

    Exit codes: 0 done, 2 wrong usage, 3 the model failed or every picture is an error.
    """
    from jurat.attacks.attack_run import Attacker, Wish
    from jurat.attacks.method import PictureAttack
    from jurat.attacks.methods.ring_a_bell import RingABell
    from jurat.attacks.registry import open_attack
    from jurat.attacks.sample_attack import SampleAttack
    from jurat.attacks.text_run import TextAttacker
    from jurat.content import Item
    from jurat.models import open_model
    from jurat.runs import read_rows
    from jurat.sources import SourceOptions

    made = open_attack(name, preset)
    files = {"--text-encoder": text_encoder, "--prompts": prompts, "--pairs": pairs}
    if isinstance(made, RingABell):
        unused = {"images": paths, "--prompt": prompt, "--target": target, "--trigger": trigger}
        unused |= {
            "--test-prompt": test_prompt,
            "--validation-prompt": validation_prompt,
            "--success": success,
            "--model": model != MODEL,
            "--max-tokens": max_tokens != MAX_TOKENS,
            "--batch-size": batch_size != BATCH,
        }
        unused |= {option: True for option in opening.given if option != "--device"}
        if given := [option for option, value in unused.items() if value]:
            raise JuratError(
                f"The attack {name!r} takes no {given[0]}.",
                hint="It uses the text encoder of --text-encoder alone; its prompts are in --prompts FILE.",
            )
        _attack_prompts(made, name, files, out, seed, opening.device, fresh)
        return
    if given := [option for option, value in files.items() if value is not None]:
        raise JuratError(f"The attack {name!r} takes no {given[0]}.", hint="ring-a-bell does.")
    if isinstance(made, SampleAttack):
        raise JuratError(
            f"The attack {name!r} rewrites the samples of a set, and takes no pictures alone.",
            hint=f'jurat eval SET --attack "{name}"',
        )
    wish = Wish(
        tuple(prompt or ()),
        tuple(test_prompt or ()),
        tuple(validation_prompt or ()),
        target,
        success,
        None if trigger is None else _trigger(trigger),
        max_tokens,
    )
    if isinstance(made, PictureAttack) and not paths:
        raise JuratError(f"{name!r} attacks pictures: name some.", hint="Attacks on text: jurat list attacks")
    source = sourcing.ItemSelection(paths, SourceOptions()) if paths else None
    items = [Item(id="text")] if source is None else source.found()
    victim = open_model(opening.spec(model))
    console = Console(highlight=False)
    kind, line = ("picture", _line) if isinstance(made, PictureAttack) else ("text", _text_line)
    try:
        attacker = (
            Attacker(made, name, victim, wish, seed)
            if isinstance(made, PictureAttack)
            else TextAttacker(made, name, victim, wish, seed)
        )
        with attacker.open_run(out, fresh=fresh) as run:
            for row in attacker.rows(run, items, batch_size):
                console.print(line(row), markup=False, soft_wrap=True)
            total = run.outcomes
    finally:
        victim.close()
    if source is not None:
        source.tell_passed_over()
    serving.print_spent(console, victim)
    told = f"{total['success']} of {counted(sum(total.values()), kind)} succeeded"
    console.print(f"{told} ({counted(total['error'], 'error')}).")
    replies = (row["replies"] for row in read_rows(out))
    if already := sum(any(each["clean_success"] for each in some) for some in replies):
        clean = counted(already, "clean picture" if kind == "picture" else "text")
        before = "before the attack" if kind == "picture" else "also without the text"
        console.print(f"{clean} counted as a success {before}.")
    console.print(f"{run.summary}.", markup=False, soft_wrap=True)
    if total["error"] and total["error"] == sum(total.values()):
        raise typer.Exit(3)


def _attack_prompts(
    attack: RingABell,
    name: str,
    files: dict[str, Path | None],
    out: Path,
    seed: int,
    device: str | None,
    fresh: bool,
) -> None:
    """Looks for prompts with a text encoder alone, and writes them with their controls."""
    from jurat.attacks.prompt_run import PromptAttacker, read_texts
    from jurat.models.diffusion.text_encoder import TextEncoder

    if missing := [option for option, value in files.items() if value is None]:
        raise JuratError(
            f"The attack {name!r} needs {' and '.join(missing)}.",
            hint=f'jurat attack "{name}" --text-encoder DIR --prompts FILE --pairs FILE --out DIR',
        )
    encoder_folder, prompt_file, pair_file = cast(list[Path], list(files.values()))
    pairs = [(with_it, without) for with_it, without in read_texts(pair_file, "with", "without")]
    prompts = [prompt for (prompt,) in read_texts(prompt_file, "prompt")]
    encoder = TextEncoder(encoder_folder, device=device)
    console = Console(highlight=False)
    texts = [*prompts, *(text for pair in pairs for text in pair)]
    for some, why in (
        (encoder.cut(texts), "too long, the end is not read"),
        (encoder.unknown(texts), "with words that the text encoder does not know"),
    ):
        if some:
            first = f": {some[0]!r}" + (" ..." if len(some) > 1 else "")
            line = f"{counted(len(some), 'text')} of the files {why}{first}"
            console.print(printable(line), markup=False, soft_wrap=True)
    attacker = PromptAttacker(attack, name, encoder, pairs, prompts, seed)
    with attacker.open_run(out, fresh=fresh) as run:
        for row in attacker.rows(run):
            line = f"{row['outcome']:<8} {row['id']}  {row['prompt']!r}: {row['text']!r}"
            console.print(printable(line), markup=False, soft_wrap=True)
        total, summary = run.outcomes, run.summary
    nearer = f"{total['nearer']} of {counted(sum(total.values()), 'prompt')}"
    console.print(f"{nearer}: what was found is nearer to the concept's target than the prompt itself.")
    console.print(f"{summary}. {attacker.write_table(out)}", markup=False, soft_wrap=True)


def _trigger(text: str) -> Image.Image | str:
    from jurat.content import ImageError
    from jurat.media import decode

    path = Path(text)
    if path.suffix and os.path.exists(text):  # False of a text that is too long for a name
        try:
            return decode(path.read_bytes()).frames[0]
        except (OSError, ImageError) as error:
            raise JuratError(f"The trigger {text} cannot be read: {reason(error)}.") from error
    if path.suffix.lower() in (".png", ".jpg", ".jpeg", ".webp"):
        raise JuratError(f"There is no image {text}.", hint="--trigger takes an image file or a text.")
    return text


def _text_line(row: dict[str, Any]) -> str:
    """One text in a line."""
    if row["outcome"] == "error":
        return _error_line(row)
    told = f"{row['successes']} of {len(row['replies'])} prompts with {row['text']!r}: {_told(row)}"
    return printable(f"{row['outcome']:<8} {row['id']}  {told}")


def _error_line(row: dict[str, Any]) -> str:
    return printable(f"error    {row['id']}  {row['error']}")


def _told(row: dict[str, Any]) -> str:
    """A reply, one that is wanted if there is one."""
    shown = next((each for each in row["replies"] if each["success"]), row["replies"][0])
    return shown["failure"] or repr(shown["reply"])


def _line(row: dict[str, Any]) -> str:
    """One picture in a line."""
    if row["outcome"] == "error":
        return _error_line(row)
    alike = "" if row["ssim"] is None else f", SSIM {row['ssim']:.3f}"
    counts = f"{row['successes']} of {len(row['replies'])} prompts"
    return printable(
        f"{row['outcome']:<8} {row['id']}  {counts}, largest change {row['linf']}/255{alike}: {_told(row)}"
    )
