"""The results as Markdown, a figure, and the files of a run."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING, Any

from jurat.bench.attacks.lineup import CONTROL, UNBOUNDED
from jurat.bench.attacks.results import NEARLY_ALL
from jurat.bench.labelled.sections import EMPTY, Grid, Section
from jurat.bench.labelled.summary import section_lines
from jurat.bench.results import other_runs
from jurat.bench.save_svg import save_svg
from jurat.files import write_whole
from jurat.metrics import write_table
from jurat.metrics.claims import ALPHA, STATES
from jurat.registry import name_and_options
from jurat.text import counted, printable

if TYPE_CHECKING:
    from jurat.metrics import Table

__all__ = ["as_markdown", "write_attacks"]

_LEGEND = (
    "Success: share of replies to test prompts about the saved picture that are the wanted one, in percent, "
    "with its interval; a star marks attacks that differ from noise of the same size with p < .05 after "
    "Holm's correction over all rows of all tables. Prompts: least and largest success with one of the test "
    "prompts. No reply: the model gave none, as one with a domain gate does; that is no success. Distances "
    "and costs are means over pictures: the Euclidean distance over values in [0, 1], SSIM, passes of one "
    "conversation, and questions."
)


def write_attacks(out: Path, results: Mapping[str, Any], table: Table) -> list[Path]:
    """Writes `attacks.json`, `attacks.md`, `replies.parquet` and, where matplotlib is installed,
    `attacks.svg`; returns their paths."""
    written = [out / "attacks.json", out / "attacks.md", out / "replies.parquet"]
    write_whole(written[0], json.dumps(results, indent=1, allow_nan=False) + "\n")
    write_whole(written[1], as_markdown(results))
    write_table(written[2], table)
    return [*written, *_figure(out, results["rows"])]


def as_markdown(results: Mapping[str, Any]) -> str:
    """Provenance, a table for each victim and task, what became of the claims, and what was left out."""
    return "\n".join(_lines(results)) + "\n"


def _lines(results: Mapping[str, Any]) -> Iterator[str]:
    told, rows = results["provenance"], results["rows"]
    yield "# Results of `jurat bench attacks`"
    yield ""
    yield f"`{told['command']}`"
    yield ""
    yield (
        f"jurat {told['jurat']}, commit {told['commit'] or 'unknown'}, {told['time']}. Goals "
        f"{told['goals']['title']}, digest {told['goals']['digest']}; seed {told['seed']}, "
        f"{counted(told['pictures'], 'picture')} a goal. On {told['machine']}. Models: "
        f"{'; '.join(printable(f'{label} is {name}') for label, name in told['models'].items())}. "
        f"Intervals: {told['intervals']}."
    )
    yield from other_runs(told)
    if rows:
        yield ""
        yield _LEGEND
    for victim, task in dict.fromkeys((row["victim"], row["task"]) for row in rows):
        own = [row for row in rows if (row["victim"], row["task"]) == (victim, task)]
        summary = told["goals"]["tasks"][task]
        yield from section_lines(_table(victim, task, summary, own, told["transfer"]))
    for section in (_sanity(rows), _claims(results["claims"]), _left_out(told["left_out"])):
        if section is not None:
            yield from section_lines(section)


def _table(
    victim: str, task: str, summary: str, rows: Sequence[Mapping[str, Any]], transfer: Sequence[str]
) -> Section:
    others = [label for label in transfer if any(label in row["transfer"] for row in rows)]
    columns = ["attack", "within", "passes", "n", "success", "prompts", "no reply"]
    columns += [*(f"on {label}" for label in others), "L2", "SSIM", "steps"]
    columns += ["forwards", "backwards", "queries", "seconds"]
    cells = [
        [
            row["attack"],
            "any" if row["level"] >= UNBOUNDED else f"{row['level']}/255",
            f"{row['passes']}" if row["passes"] else EMPTY,
            f"{row['n']}" + (f" ({counted(row['errors'], 'error')})" if row["errors"] else ""),
            _success(row),
            _spread(row["spread"]),
            f"{row['failed']}",
            *(_success(row["transfer"].get(label)) for label in others),
            *(_number(row[name], digits) for name, digits in (("l2", 2), ("ssim", 3))),
            f"{row['steps']}",
            *(_number(row[name], 0) for name in ("forwards", "backwards", "queries")),
            _number(row["seconds"], 1),
        ]
        for row in rows
    ]
    clean = max((row["clean"] for row in rows), default=0)
    notes = [f"Success is that it {summary}."]
    if clean:
        notes.append(f"{counted(clean, 'reply', 'replies')} to clean pictures were wanted ones already.")
    return Section(f"{victim}-{task}", f"{victim}: {task}", notes, [Grid(columns, cells, texts=2)])


def _sanity(rows: Sequence[Mapping[str, Any]]) -> Section | None:
    """How far each attack gets without a bound, as claim 4 of `goals.yaml` has it."""
    most = max((row["passes"] for row in rows), default=0)
    free = [row for row in rows if row["level"] >= UNBOUNDED and row["passes"] == most > 0 and row["n"]]
    if not free:
        return None
    cells = [
        [
            row["title"],
            _success(row),
            f"{row['failed']} of {row['n']}",
            "reaches nearly all"
            if row["success"] >= NEARLY_ALL
            else "cannot be told: no reply"
            if row["successes"] + row["failed"] >= NEARLY_ALL * row["n"]
            else "weak at this cost",
        ]
        for row in free
    ]
    note = (
        "Without a bound and with the most passes an attack should reach nearly every reply. Where it does "
        "not, the attack is weak at this cost; that says nothing for the victim. A victim with a domain gate "
        "does not reply to what is unlike its scenes: name it without its gate as another victim."
    )
    return Section("sanity", "Sanity", [note], [Grid(("attack", "success", "no reply", ""), cells)])


def _claims(claims: Sequence[Mapping[str, Any]]) -> Section | None:
    if not claims:
        return None
    rows = [
        [
            each["claim"],
            f"{len(each['shown'])} ({each['corrected']})",
            *(f"{len(each[state])}" + _listed(each[state]) for state in STATES[1:]),
        ]
        for each in claims
    ]
    note = "In brackets: shown with p corrected for the claim's number of comparisons (Holm, 5%)."
    return Section("claims", "What became of the claims", (), [Grid(("claim", *STATES), rows)], [note])


def _left_out(entries: Sequence[Mapping[str, Any]]) -> Section | None:
    if not entries:
        return None
    reasons: dict[str, list[str]] = {}
    for each in entries:
        what = f"{each['attack'] or 'all attacks'} on {each['victim']}, {each['task']}"
        shown = f", shown to {each['shown_to']}" if each["shown_to"] else ""
        reasons.setdefault(("broke: " if each["failed"] else "") + each["reason"], []).append(what + shown)
    counts = Counter(bool(each["shown_to"]) for each in entries)
    notes = [f"{counted(counts[False], 'entry', 'entries')} of rows, {counts[True]} of columns."]
    notes += [f"{'; '.join(whats)}: {why}" for why, whats in reasons.items()]
    return Section("left-out", "Left out", notes)


# --- cells of tables -----------------------------------------------------------------------------


def _success(row: Mapping[str, Any] | None) -> str:
    if row is None or row["success"] is None:
        return EMPTY
    low, high = (round(100 * end) for end in row["interval"])
    p = (row.get("difference") or {}).get("holm")
    return f"{100 * row['success']:.0f}{'*' if p is not None and p < ALPHA else ''} ({low}–{high})"


def _spread(spread: Mapping[str, Any]) -> str:
    return f"{100 * spread['least']:.0f}–{100 * spread['most']:.0f}" if spread else EMPTY


def _number(value: float | None, digits: int) -> str:
    return EMPTY if value is None else f"{value:,.{digits}f}"


def _listed(titles: Sequence[str]) -> str:
    return f": {'; '.join(titles)}" if titles else ""


# --- figure --------------------------------------------------------------------------------------


def _figure(out: Path, rows: Sequence[Mapping[str, Any]]) -> list[Path]:
    """Success against the budget for each attack with the most passes, a panel a victim and task; nothing
    where matplotlib is not installed."""
    panels = list(dict.fromkeys((row["victim"], row["task"]) for row in rows if row["n"]))
    if find_spec("matplotlib") is None or not panels:
        return []
    from matplotlib import rc_context
    from matplotlib.figure import Figure

    path = out / "attacks.svg"
    # A $ in a name is no formula.
    with rc_context({"text.parse_math": False}):
        figure = Figure(figsize=(5 * len(panels), 4), layout="constrained")
        for axes, panel in zip(figure.subplots(1, len(panels), squeeze=False)[0], panels, strict=True):
            _panel(axes, [row for row in rows if (row["victim"], row["task"]) == panel and row["n"]])
            axes.set_title(f"{panel[0]}: {panel[1]}")
        save_svg(figure, path)
    return [path]


def _panel(axes: Any, rows: Sequence[Mapping[str, Any]]) -> None:
    most = max(row["passes"] for row in rows)
    levels = sorted({row["level"] for row in rows})
    for attack in dict.fromkeys(row["attack"] for row in rows):
        control = name_and_options(attack)[0] == CONTROL
        own = [row for row in rows if row["attack"] == attack and (control or row["passes"] == most)]
        own.sort(key=lambda row: row["level"])
        style: dict[str, Any] = {"color": "black", "linestyle": ":"} if control else {"marker": "o"}
        x = [levels.index(row["level"]) for row in own]
        (line,) = axes.plot(x, [row["success"] for row in own], label=attack, markersize=3, **style)
        low, high = ([row["interval"][end] for row in own] for end in (0, 1))
        axes.fill_between(x, low, high, color=line.get_color(), alpha=0.08)
    names = ["any" if level >= UNBOUNDED else f"{level}" for level in levels]
    axes.set_xticks(range(len(levels)), names)
    axes.set(xlabel="largest change, levels of 255", ylabel=f"success, {most} passes", ylim=(-0.02, 1.02))
    axes.legend(fontsize=7)
