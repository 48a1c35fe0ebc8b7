"""`jurat pictograms`: scenes whose truth is known, to try a policy or a judge on."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from jurat.errors import JuratError
from jurat.text import counted

if TYPE_CHECKING:
    from jurat.pictograms.scene import Scene

app = typer.Typer(
    add_completion=False,
    rich_markup_mode=None,
    no_args_is_help=True,
    help="Draw scenes whose truth is known.",
)

Out = Annotated[
    Path, typer.Option("--out", help="Folder to write to; made if it is not there.", show_default=False)
]
Count = Annotated[int, typer.Option("--n", min=1, max=1_000_000, help="How many scenes.")]
Seed = Annotated[int, typer.Option(min=0, help="The same seed draws the same scenes.")]
Size = Annotated[int, typer.Option(min=64, max=1024, help="Side of the pictures in pixels.")]

TRUTH = "truth.jsonl"


@app.command()
def draw(
    out: Out,
    statement: Annotated[
        str | None,
        typer.Option(help='What shall hold: "A child touches a kitchen knife."', show_default=False),
    ] = None,
    near_miss: Annotated[bool, typer.Option("--near-miss", help="Scenes for which it just fails.")] = False,
    n: Count = 8,
    seed: Seed = 0,
    size: Size = 256,
) -> None:
    """Draw scenes: at random, or such that a statement holds, or just fails."""
    import numpy as np

    from jurat.pictograms.composing import compose
    from jurat.pictograms.composing import near_miss as just_fails
    from jurat.pictograms.scene import draw as draw_scene

    wanted = _parse(statement) if statement is not None else None
    if near_miss and wanted is None:
        raise JuratError("--near-miss needs a --statement that shall just fail.")
    rows: list[dict[str, Any]] = []
    _folder(out)
    for i in range(n):
        rng = np.random.default_rng([seed, i])
        try:
            if wanted is None:
                scene = draw_scene(rng, size=size)
            else:
                scene = (
                    just_fails(wanted, rng, size=size)
                    if near_miss
                    else compose([(wanted, True)], rng, size=size)
                )
        except ValueError as problem:
            raise JuratError(f"No such scene could be drawn: {problem}.") from None
        name = f"scene-{i:04d}.png"
        scene.image.save(out / name)
        rows.append({"file": name, "objects": _objects(scene)})
        if statement is not None:
            rows[-1] |= {"statement": statement, "holds": not near_miss}
    _finish(out, rows)


@app.command()
def cases(
    constitution: Annotated[
        str, typer.Option(help="A YAML file, or shelf:NAME, in the words of this world.")
    ],
    out: Out,
    n: Count = 40,
    seed: Seed = 0,
    size: Size = 256,
) -> None:
    """Draw scenes that break the rules of a constitution, and as many that just keep them."""
    from jurat.constitution import load_constitution
    from jurat.pictograms.cases import draw_cases

    loaded = load_constitution(constitution)
    rows: list[dict[str, Any]] = []
    _folder(out)
    try:
        for i, case in enumerate(draw_cases(loaded, n, seed, size=size)):
            name = f"{i:04d}-{case.rule}-{case.want.replace(' ', '-')}.png"
            case.scene.image.save(out / name)
            rows.append(
                {
                    "file": name,
                    "rule": case.rule,
                    "want": case.want,
                    "broken": sorted(case.broken),
                    "objects": _objects(case.scene),
                }
            )
    except ValueError as problem:
        raise JuratError(
            f"{loaded.name}: {problem}.", hint="Its clauses must be statements of docs/pictograms.md."
        ) from None
    _finish(out, rows)


@app.command()
def words() -> None:
    """List the objects, the groups and the sign words that scenes are made of.

    Each object has its glyph and code point: what the model knows are their pictures in Noto Color Emoji.
    """
    from jurat.pictograms.objects import CODE_POINTS, GROUPS, OBJECTS, WORDS

    typer.echo("objects:")
    for noun, code in zip(OBJECTS, CODE_POINTS, strict=True):
        typer.echo(f"  {chr(code)}  U+{code:04X}  {noun.singular}")
    for noun in GROUPS:
        typer.echo(f"{noun.indefinite}: " + ", ".join(OBJECTS[i].singular for i in sorted(noun.classes)))
    typer.echo("signs that read: " + ", ".join(WORDS))


def _parse(text: str) -> Any:
    from jurat.pictograms.reading import parse

    try:
        return parse(text)
    except ValueError as problem:
        raise JuratError(f"{problem}.") from None


def _folder(out: Path) -> None:
    try:
        out.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise JuratError(f"{out}: cannot be written to ({error.strerror}).") from None


def _objects(scene: Scene) -> list[dict[str, Any]]:
    from jurat.pictograms.objects import OBJECTS, WORDS

    def name(kind: int) -> str:
        return OBJECTS[kind].singular if kind < len(OBJECTS) else f"sign {WORDS[kind - len(OBJECTS)]}"

    return [
        {"name": name(thing.kind), "box": list(thing.box), "touches": scene.touch[i].nonzero()[0].tolist()}
        for i, thing in enumerate(scene.objects)
    ]


def _finish(out: Path, rows: list[dict[str, Any]]) -> None:
    from jurat.files import write_whole

    write_whole(out / TRUTH, "".join(json.dumps(row) + "\n" for row in rows))
    typer.echo(f"{counted(len(rows), 'scene')} in {out}, and what is true of them in {out / TRUTH}")
