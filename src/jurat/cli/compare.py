"""`jurat compare`: two evaluations of one set, on the same samples."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from jurat.cli.plain_output import Json, print_json
from jurat.cli.sections import Section, listed, print_sections, probability, rate, signed, with_interval
from jurat.errors import JuratError, require
from jurat.text import counted

if TYPE_CHECKING:
    from jurat.evals.log_files import Evaluated
    from jurat.evals.pairs import LogPair, PairedRates, ScorerPair

app = typer.Typer(add_completion=False, rich_markup_mode=None)


@app.command()
def compare(
    a: Annotated[Path, typer.Argument(metavar="A", help="A log of jurat eval, or a folder.")],
    b: Annotated[Path, typer.Argument(metavar="B", help="Another one of the same sets.")],
    scorer: Annotated[
        list[str] | None,
        typer.Option("--scorer", metavar="NAME", help="Default: all that both have."),
    ] = None,
    across_protocols: Annotated[
        bool, typer.Option("--across-protocols", help="Compare logs of different protocols too.")
    ] = False,
    as_json: Json = False,
) -> None:
    """Compare two evaluations on the same samples: paired differences, overall and by category.

    Of two folders, the logs of the same set are compared; sets that cannot be are named with the reason.
    Exits with 3 where no sample was decided in both.
    """
    require("jurat compare", "eval", "inspect_ai")
    from jurat.evals.log_files import named, read_logs
    from jurat.evals.pairs import matched, pair_logs

    left_out: list[str] = []
    sides = read_logs([a], left_out), read_logs([b], left_out)
    both = named([*sides[0], *sides[1]])
    of_a, of_b = both[: len(sides[0])], both[len(sides[0]) :]
    logs, alone = matched(of_a, of_b)
    pairs: list[LogPair] = []
    for one, other in logs:
        try:
            pairs.append(pair_logs(one, other, scorer or (), across_protocols=across_protocols))
        except JuratError as error:
            if one is logs[-1][0] and not pairs:  # there is nothing else to say
                raise
            alone.append(f"{one.set}: not compared: {error.message}")
    if as_json:
        facts = [pair.facts() for pair in pairs]
        print_json({"pairs": facts, "sets_left_out": alone, "logs_left_out": left_out})
    else:
        sections = [section for pair in pairs for section in _sections(pair)]
        sections[-1].after += [*alone, *(f"left out: {each}" for each in left_out)]
        print_sections(sections)
    if not any(each.overall.difference.n for pair in pairs for each in pair.scorers):
        typer.echo("jurat: no sample was decided in both", err=True)
        raise typer.Exit(3)


def _sections(pair: LogPair) -> list[Section]:
    title = str(pair.a.facts.get("title") or pair.a.set)
    from jurat.evals.log_files import shared_replies

    epochs = "" if pair.a.epochs == 1 else f", {pair.a.epochs} replies each"
    protocols = " and ".join(dict.fromkeys((pair.a.protocol, pair.b.protocol)))
    head = Section(
        f"{title}, protocol {protocols}: {counted(pair.samples, 'sample')} in both{epochs}",
        before=[f"A: {_model(pair.a)}", f"B: {_model(pair.b)}", f"not compared: {listed(pair.left_out)}"],
    )
    head.before += [f"stopped early: {log.path.name} ({log.log.status})" for log in _unfinished(pair)]
    if shared := shared_replies(pair.a, pair.b):
        head.before.append(f"A and B hold the same {counted(shared, 'reply', 'replies')} of one run")
    head.after = [f"{name}: {why}" for name, why in pair.others.items()]
    return [head, *(_section(each, pair.a.epochs) for each in pair.scorers)]


def _section(found: ScorerPair, epochs: int) -> Section:
    section = Section(
        f"{found.scorer}: share of {found.positive!r}",
        ("category", "n", "A", "B", "A - B (95% interval)", "p", "p (Holm)"),
    )
    section.rows.append(_row("all", found.overall))
    section.rows += [_row(each.category or "none", each) for each in found.categories]
    gap, test = found.overall.difference, found.overall.mcnemar
    if test is not None:
        section.after.append(f"samples that differ: only A {test.only_a:,}, only B {test.only_b:,}")
    if gap.clusters < gap.n:
        section.after.append(f"{counted(gap.n, 'sample')} in {counted(gap.clusters, 'cluster')}")
    section.after.append(f"not decided in both: {listed(found.left_out)}")
    if epochs > 1:
        section.after.append(
            "A sample counts as the share of its decided replies with the event; "
            f"{found.undecided_replies:,} of their replies are not decided."
        )
    section.after += _judged_by(found)
    return section


def _judged_by(found: ScorerPair) -> list[str]:
    a, b = (", ".join(side) for side in found.judges)
    if a != b:
        return [f"judged by different models: A by {a or 'none'}, B by {b or 'none'}"]
    return [f"judged by {a}"] if a else []


def _row(name: str, found: PairedRates) -> Sequence[str]:
    gap = found.difference
    return (
        name,
        f"{gap.n:,}",
        *map(rate, found.rates),
        with_interval(signed(gap.value), gap.interval, sign=True),
        probability(gap.p),
        "" if found.category is None else probability(found.adjusted),
    )


def _model(log: Evaluated) -> str:
    revision = (log.facts.get("model") or {}).get("revision")
    attack = f", attack {log.attack}" if log.attack and log.attack not in log.name else ""
    return f"{log.name}{f' (revision {revision})' if revision else ''}{attack}, {log.path.name}"


def _unfinished(pair: LogPair) -> list[Evaluated]:
    return [log for log in (pair.a, pair.b) if log.log.status != "success"]
