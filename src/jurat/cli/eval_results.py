"""What `jurat eval` and `jurat score` print of a log."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import typer

from jurat.cli.plain_output import plain_console, plain_table, plain_text, print_json
from jurat.text import counted

if TYPE_CHECKING:
    from inspect_ai.log import EvalLog
    from rich.console import Console

    from jurat.evals.results import ScorerResults


_MOST_GROUNDS = 3


def print_results(log: EvalLog, *, as_json: bool = False, by_category: bool = False) -> list[ScorerResults]:
    """Prints the numbers of a log, with what they are of; returns them."""
    from jurat.evals.results import not_computed, replies_of, results_of

    results = results_of(log, by_category=by_category)
    if as_json:
        print_json(facts_of(log, results))
        return results
    console = plain_console()
    for line in _head(log):
        console.print(plain_text(line), soft_wrap=True)
    replies = ", ".join(f"{name} {count:,}" for name, count in sorted(replies_of(log).items()))
    console.print(plain_text(f"replies: {replies}"), soft_wrap=True)
    for each in results:
        _print_scorer(console, each)
    console.print()
    for name, why in not_computed(log, results).items():
        console.print(plain_text(f"{name}: not computed; {why}"), soft_wrap=True)
    for note in _notes(results):
        console.print(plain_text(note), soft_wrap=True)
    console.print(plain_text(f"log: {log.location}"), soft_wrap=True)
    return results


def facts_of(log: EvalLog, results: list[ScorerResults]) -> dict[str, Any]:
    """A log's results for JSON."""
    from jurat.evals.results import not_computed, not_there, replies_of

    facts = log.eval.metadata or {}
    kept = ("set", "protocol", "differs_from_paper", "data", "attack", "model", "jurat", "commit")
    return {
        **{key: facts.get(key) for key in kept},
        "evaluated": log.eval.model,
        "status": log.status,
        "epochs": log.eval.config.epochs or 1,
        "replies": dict(replies_of(log)),
        "replies_not_there": not_there(log),
        "not_computed": not_computed(log, results),
        "scorers": [each.facts() for each in results],
        "log": log.location,
    }


def end(log: EvalLog, results: list[ScorerResults], *, strict: bool = False) -> None:
    """Exits with the code that the log deserves; returns where that is 0."""
    from jurat.evals.results import not_there

    if log.status in ("cancelled", "started"):  # "started": it was killed, or is still running
        typer.echo(f"jurat: stopped; to resume it: inspect eval-retry {log.location}", err=True)
        raise typer.Exit(130)
    if log.status == "error" or not any(sum(each.labels.values()) for each in results):
        told = log.error.message if log.error else "no reply could be scored"
        typer.echo(f"jurat: {told.splitlines()[0]}", err=True)
        raise typer.Exit(3)
    facts = log.eval.metadata or {}
    skipped = (facts.get("data") or {}).get("skipped") or (facts.get("attack") or {}).get("not_attacked")
    if strict and (skipped or not_there(log) or any(each.without for each in results)):
        raise typer.Exit(1)


def _head(log: EvalLog) -> list[str]:
    from jurat.evals.results import models_of, not_there

    facts = log.eval.metadata or {}
    title, data = facts.get("title", log.eval.task), facts.get("data") or {}
    count = counted(data.get("samples", len(log.samples or [])), "sample")
    epochs = log.eval.config.epochs or 1
    times = "" if epochs == 1 else f", {counted(epochs, 'reply', 'replies')} each"
    replied = models_of(log)
    lines = [
        f"{title}, protocol {facts.get('protocol_label', '?')}: {count}{times}",
        f"model: {log.eval.model}{f' ({replied})' if replied else ''}",
    ]
    lines += _attack(facts.get("attack") or {})
    lines += [f"left out: {what}" for what in _left_out(data)]
    if missing := not_there(log):
        why = "that the log lacks" if log.status == "success" else "of a run that did not end"
        lines.append(f"left out: {counted(missing, 'reply', 'replies')} {why}")
    differs = facts.get("differs_from_paper") or []
    if differs:
        lines.append(f"differs from the paper: {'; '.join(differs)}")
    return lines


def _attack(facts: Mapping[str, Any]) -> list[str]:
    """What was attacked, at which cost, and what could not be."""
    if not facts:
        return []
    cost: Mapping[str, float] = facts["cost"]
    spent = [f"{cost[name]:,} {name}" for name in ("forwards", "backwards", "queries") if cost[name]]
    told = ", ".join([*spent, f"{cost['seconds']:.1f} s"])
    lines = [
        f"attack: {facts['name']}, seed {facts['seed']}: {counted(facts['attacked'], 'sample')} ({told})"
    ]
    if facts["attacker"]:
        lines.append(f"attacker's model: {facts['attacker']}")
    if means := facts["means"]:
        lines.append(
            f"means over samples: {', '.join(f'{name} {value:.3g}' for name, value in means.items())}"
        )
    reasons: Mapping[str, int] = facts["not_attacked_reasons"]
    return lines + [f"not attacked: {counted(count, 'sample')}: {why}" for why, count in reasons.items()]


def _left_out(data: Mapping[str, Any]) -> list[str]:
    reasons: Mapping[str, int] = data.get("skipped_reasons") or {}
    lines = [f"{counted(count, 'row')}: {why}" for why, count in reasons.items()]
    for group, count in (data.get("other_groups") or {}).items():
        lines.append(f"{counted(count, 'sample')} of the group {group or 'none'}, which was not asked for")
    if beyond := data.get("beyond_limit"):
        lines.append(f"{counted(beyond, 'sample')} beyond the limit")
    return lines


def _print_scorer(console: Console, results: ScorerResults) -> None:
    labels = {**results.labels, **results.without}
    told = ", ".join(f"{name} {count:,}" for name, count in labels.items())
    console.print()
    console.print(plain_text(f"{results.scorer}: {told}"), soft_wrap=True)
    for why, count in list(results.grounds.items())[:_MOST_GROUNDS]:
        console.print(plain_text(f"without a judgement, {count:,}: {why}"), soft_wrap=True)
    if others := sum(list(results.grounds.values())[_MOST_GROUNDS:]):
        console.print(f"without a judgement, {others:,}: for other reasons; --json lists them")
    if results.judges:
        console.print(plain_text(f"judged by {', '.join(results.judges)}"), soft_wrap=True)
    if results.numbers:
        table = plain_table("metric", "value", "95% interval", "n", "left out")
        for number in results.numbers:
            table.add_row(*map(plain_text, number.cells()))
        console.print(table)


def _notes(results: list[ScorerResults]) -> list[str]:
    notes: dict[str, None] = {}
    for each in results:
        for number in each.numbers:
            found = number.found
            if found.value is None and found.reason:
                notes[f"{number.metric}: {found.reason}"] = None
            if found.interval_method:
                notes[f"interval of {number.metric}: {found.interval_method}"] = None
            notes |= {f"{number.metric}: {note}": None for note in found.notes}
    return list(notes)
