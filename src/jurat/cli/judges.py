"""`jurat judges`: the same replies under several judges, and what people say of them."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from jurat.cli.plain_output import Json, print_json
from jurat.cli.sections import (
    NOT_AVAILABLE,
    Section,
    listed,
    markdown,
    print_sections,
    probability,
    rate,
    signed,
    with_interval,
)
from jurat.errors import JuratError, require
from jurat.text import counted

if TYPE_CHECKING:
    from jurat.evals.judge_report import Agreement, Conclusion, JudgedRate, JudgeSwap, Share
    from jurat.evals.people import Labelled
    from jurat.metrics.correction import Correction, Sampling
    from jurat.metrics.metric_value import MetricValue

app = typer.Typer(add_completion=False, rich_markup_mode=None)
_MOST_NAMED = 5


class Picked(StrEnum):
    """How the labelled replies were picked."""

    random = "random"
    strata = "random-within-categories"
    chosen = "chosen"


_SAMPLING: Mapping[Picked, Sampling] = {
    Picked.random: "random",
    Picked.strata: "random within strata",
    Picked.chosen: "chosen",
}


@app.command()
def judges(
    logs: Annotated[
        list[Path],
        typer.Argument(metavar="LOG...", help="Logs of jurat eval, or folders.", show_default=False),
    ],
    labels: Annotated[
        Path | None,
        typer.Option(
            metavar="FILE",
            help="What people said: .csv or .jsonl with id and label, and annotator, reply or reply_sha256.",
            show_default=False,
        ),
    ] = None,
    people: Annotated[
        str | None,
        typer.Option(
            metavar="A,B", help="The labels of the file, that of the event first.", show_default=False
        ),
    ] = None,
    sampling: Annotated[
        Picked | None,
        typer.Option(help="How the labelled replies were picked. Default: chosen.", show_default=False),
    ] = None,
    scorer: Annotated[
        list[str] | None,
        typer.Option("--scorer", metavar="NAME", help="The judges. Default: all that are about one event."),
    ] = None,
    out: Annotated[
        Path | None, typer.Option(metavar="FILE.md", help="Also write it as Markdown.", show_default=False)
    ] = None,
    overwrite: Annotated[bool, typer.Option("--overwrite", help="Replace an earlier file.")] = False,
    as_json: Json = False,
) -> None:
    """Compare the judges of stored replies with each other and with people.

    It shows how much they agree, what each judge misses, the rates as judged and as corrected by the labels,
    and which differences between models are the same under every judge. `jurat score` adds judges to a log.
    """
    require("jurat judges", "eval", "inspect_ai")
    from jurat.evals.judge_swap import judge_swap
    from jurat.evals.log_files import read_logs
    from jurat.files import check_free, file_errors, write_whole

    if labels is None and (people or sampling):
        raise JuratError(
            "--people and --sampling are about the file of labels.", hint="Name it: --labels FILE"
        )
    if out is not None:
        check_free(out, overwrite=overwrite)
    left_out: list[str] = []
    found = judge_swap(
        read_logs(logs, left_out),
        labels,
        scorers=scorer or (),
        people=[name.strip() for name in people.split(",")] if people else (),
        sampling=None if sampling is None else _SAMPLING[sampling],
    )
    sections = _sections(found)
    sections[0].after += [f"left out: {each}" for each in left_out]
    if as_json:
        print_json({**found.facts(), "logs_left_out": left_out})
    else:
        print_sections(sections)
    if out is not None:
        with file_errors(out):
            write_whole(out, markdown("Judges", sections))


def _sections(found: JudgeSwap) -> list[Section]:
    numbers = {judge.name: f"J{place}" for place, judge in enumerate(found.judges, start=1)}
    logs = list(dict.fromkeys(each.log for each in found.rates))
    return [
        _head(found, numbers),
        *([_worth(found, numbers)] if found.labels else []),
        _agreement(found, numbers),
        *(_rates(found, log, numbers) for log in logs),
        *_conclusions(found, numbers),
    ]


def _head(found: JudgeSwap, numbers: Mapping[str, str]) -> Section:
    section = Section("Replies and judges")
    for log in found.logs:
        samples = len({sample.id for sample in log.samples})
        stopped = "" if log.log.status == "success" else f"; stopped early ({log.log.status})"
        epochs = "" if log.epochs == 1 else f", {log.epochs} replies each"
        section.before.append(
            f"{log.name}: {log.set}, protocol {log.protocol}, {counted(samples, 'sample')}{epochs}{stopped}"
        )
    for judge in found.judges:
        by = f", judged by {', '.join(judge.models)}" if judge.models else ""
        states = listed(judge.states)
        section.before.append(
            f"{numbers[judge.name]} is {judge.name}: event {judge.positive!r}; {states}{by}"
        )
    section.after = [f"not a judge here: {name}: {why}" for name, why in found.left_out.items()]
    if found.no_reply:
        section.after.append(f"without a reply, and not judged: {found.no_reply:,}")
    if found.labels is not None:
        section.after += _labels(found.labels, found)
    return section


def _labels(labels: Labelled, found: JudgeSwap) -> list[str]:
    lines = [
        f"labels {labels.name}: {counted(labels.n, 'reply', 'replies')}, {labels.positives:,} of them "
        f"{labels.positive!r}; rows by label: {listed(labels.votes)}",
        f"replies without a label: {listed(labels.without)}",
        f"how they were picked: {found.sampling} ({found.sampling_reason})",
    ]
    if labels.unmatched:
        more = ", ..." if len(labels.unmatched) > _MOST_NAMED else ""
        named = ", ".join(labels.unmatched[:_MOST_NAMED])
        lines.append(f"ids of the file that no sample has: {len(labels.unmatched):,} ({named}{more})")
    if labels.agreement is not None:
        lines.append(f"the annotators' agreement, Krippendorff's alpha: {_coefficient(labels.agreement)}")
    return lines


def _worth(found: JudgeSwap, numbers: Mapping[str, str]) -> Section:
    section = Section(
        "Each judge by the labels", ("judge", "sensitivity", "n", "specificity", "n", "undecided")
    )
    for judge in found.judges:
        one, other = judge.sensitivity, judge.specificity
        cells = (_share(one), f"{one.n:,}", _share(other), f"{other.n:,}", f"{judge.undecided:,}")
        section.rows.append((numbers[judge.name], *cells))
    section.after.append(
        "Sensitivity: share of the labelled events that the judge said; specificity: share of the others "
        "that it did not say. Intervals are Wilson's; undecided replies are in neither."
    )
    return section


def _share(share: Share) -> str:
    return with_interval(rate(share.value), share.interval) if share.n else NOT_AVAILABLE


def _agreement(found: JudgeSwap, numbers: Mapping[str, str]) -> Section:
    section = Section("Agreement", ("raters", "n", "alike", "kappa (95% interval)", "AC1 (95% interval)"))
    for each in found.agreements:
        raters = ", ".join(numbers.get(name, name) for name in each.raters)
        section.rows.append((raters, *_agreement_cells(each)))
    if found.agreements:
        section.after.append("Cohen's kappa and Gwet's AC1 of the replies that both decided.")
    else:
        section.before.append("One judge and no labels: there is nothing to agree with.")
    return section


def _agreement_cells(each: Agreement) -> Sequence[str]:
    kappa, ac1 = each.values.values()
    alike = ac1.parts.get("raw agreement")
    shown = rate(alike) if isinstance(alike, float) else NOT_AVAILABLE
    return f"{ac1.n:,} of {ac1.n + each.left_out:,}", shown, _coefficient(kappa), _coefficient(ac1)


def _coefficient(found: MetricValue) -> str:
    if found.value is None:
        return f"{NOT_AVAILABLE}: {found.reason}" if found.reason else NOT_AVAILABLE
    value = f"{found.value:.3f}"
    return value if found.interval is None else with_interval(value, found.interval)


def _rates(found: JudgeSwap, log: str, numbers: Mapping[str, str]) -> Section:
    """The rates of a log: of all its replies, and of categories with enough labels to correct them."""
    headings = ("judge", "raw (95% interval)", "n", "corrected (95% interval)", "by")
    section = Section(f"Rates of {log}", headings if found.labels else headings[:3])
    overall = [each for each in found.rates if each.log == log]
    enough = [each for each in found.enough if each.log == log]
    section.rows = [_rate_row(each, numbers[each.judge]) for each in [*overall, *enough]]
    for each in overall:
        if each.correction is not None:
            section.after.append(f"{numbers[each.judge]}: {_why(each.correction)}")
    if found.labels is not None:
        names = {each.category for each in found.by_category if each.log == log}
        if few := len(names - {each.category for each in enough}):
            told = counted(few, "category has", "categories have")
            section.after.append(f"{told} too few labels for a corrected rate; --json has the raw ones.")
    return section


def _rate_row(each: JudgedRate, judge: str) -> tuple[str, ...]:
    name = judge if each.category is None else f"{judge}, {each.category or 'no category'}"
    of = f"{each.n:,} of {each.n + each.undecided:,}"
    raw = (name, with_interval(rate(each.raw), each.interval), of)
    if each.correction is None:
        return raw
    best = each.correction.best
    corrected = NOT_AVAILABLE if best is None else with_interval(rate(best.value), best.interval)
    return (*raw, corrected, each.correction.headline)


def _why(correction: Correction) -> str:
    if correction.best is None:
        return f"no corrected rate: {correction.why}; --json has the estimates that there are"
    if correction.more_labels is None:
        return f"{correction.why}; labels of all replies would not halve the interval"
    return f"{correction.why}; {correction.more_labels:,} more labels would halve the interval"


def _conclusions(found: JudgeSwap, numbers: Mapping[str, str]) -> list[Section]:
    if len(found.logs) == 1:
        return [Section("Conclusions", before=["One log: there is nothing to compare."])]
    sections = [_conclusion(each, numbers) for each in found.conclusions if not each.problem]
    if sections:
        sections[-1].after.append(
            "Differences are of the raw rates, on replies that both decided; labels do not correct them."
        )
    if problems := Counter(each.problem for each in found.conclusions if each.problem):
        told = [
            f"{counted(count, 'pair of logs', 'pairs of logs')}: {why}" for why, count in problems.items()
        ]
        sections.append(Section("Not compared", before=told))
    return sections


def _conclusion(each: Conclusion, numbers: Mapping[str, str]) -> Section:
    words = {1: "A higher", -1: "B higher", 0: "nothing"}
    headings = ("judge", "A - B (95% interval)", "n", "p (Holm)", "shows")
    section = Section(f"Conclusion: {each.verdict}", headings, before=[f"A: {each.a}", f"B: {each.b}"])
    for judge, line in each.under.items():
        gap = line.difference
        value = with_interval(signed(gap.value), gap.interval, sign=True)
        p = probability(line.adjusted)
        section.rows.append((numbers[judge], value, f"{gap.n:,}", p, words[each.sign(judge)]))
    return section
