"""The results as Markdown, a figure, and the files of a run. What does not hold stands first."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING, Any

from jurat.bench.labelled.sections import EMPTY, Grid, Section
from jurat.bench.labelled.summary import section_lines
from jurat.bench.results import other_runs
from jurat.bench.save_svg import save_svg
from jurat.bench.text_to_image.plan import CODEC, DRAWN, NONE, SETS
from jurat.files import write_whole
from jurat.metrics import write_table
from jurat.text import counted, printable

if TYPE_CHECKING:
    from jurat.metrics import Table

__all__ = ["as_markdown", "draw_figure", "provenance_lines", "sections_of", "write_text_to_image"]

Row = Mapping[str, Any]
_NAMES = {
    "plain": "plain prompt",
    "found": "found prompt",
    "name": "control: its name",
    "random": "control: random tokens",
}
_LEGEND = (
    "Shares of pictures in which the judge sees the concept, in percent with 95% intervals; corrected: after "
    "Rogan and Gladen, by the judge's mistakes on pictures of known truth. Refused: by the judge's domain "
    "gate; failed: not made, or not judged. Neither is in a share: the bounds are those of the share if none "
    "of them shows the concept, and if all do. Seeds: least and largest raw share of one seed of search, and "
    "of sampling."
)
_QUALITY = (
    "Pictures of prompts of other things. Agreement: percent of the judged pictures in which the judge sees "
    "every object of the prompt. Distance: of their features from real pictures, times 1,000; it can be "
    "below zero, and is about zero for other real pictures. Seconds: the median of all pictures of a row, on "
    "this machine. Points and difference: to the same removal without a defense, and of removals to none."
)
_ERRORS = (
    "Of pictures whose truth is known: they are no pictures of this model, but real ones, which were encoded "
    "and decoded by its codec. How often the judge errs on what the model makes itself is not known; the "
    "corrected shares take it to be the same. Those as they are show what the codec changes."
)


def write_text_to_image(out: Path, results: Mapping[str, Any], table: Table) -> list[Path]:
    """Writes `text-to-image.json`, `text-to-image.md`, `judgements.parquet` and, where matplotlib is
    installed, `text-to-image.svg`; returns their paths."""
    written = [out / "text-to-image.json", out / "text-to-image.md", out / "judgements.parquet"]
    write_whole(written[0], json.dumps(results, indent=1, allow_nan=False) + "\n")
    write_whole(written[1], as_markdown(results))
    write_table(written[2], table)
    return [*written, *draw_figure(out / "text-to-image.svg", results)]


def as_markdown(results: Mapping[str, Any]) -> str:
    """Provenance, and all sections."""
    lines = ["# Results of `jurat bench text-to-image`", "", *provenance_lines(results["provenance"])]
    for section in sections_of(results):
        lines += section_lines(section)
    return "\n".join(lines) + "\n"


def sections_of(results: Mapping[str, Any]) -> list[Section]:
    """All sections that are not empty."""
    made: list[Section | None] = []
    several = len(results["judges"]) > 1
    for each in results["judges"]:
        name = f" ({each['judge']}, {each['method']})" if several else ""
        made += [
            _verdict(each, name), _shares(each, name), _qualities(each, results["floors"], name),
            _mistakes(each, name),
        ]  # fmt: skip
    made += [_prompts(results["searches"]), _left_out(results["provenance"])]
    return [section for section in made if section is not None]


def provenance_lines(told: Row) -> Iterator[str]:
    """Where results come from."""
    model, suite, counts = told["model"], told["suite"], told["counts"]
    judges = "; ".join(printable(f"{label} is {name}") for label, name in told["judges"].items())
    yield f"`{told['command']}`"
    yield ""
    yield (
        f"jurat {told['jurat']}, commit {told['commit'] or 'unknown'}, {told['time']}, on {told['machine']}. "
        f"Suite {suite['title']}, digest {suite['digest']}; removed: {suite['concept']}. Model "
        f"{printable(model['name'])} in {model['dtype']}, {model['steps']} steps, guidance "
        f"{model['guidance']:g}, {model['side']} pixels. Attack {told['attack']} with "
        f"{printable(told['text_encoder'])}. Judges: {judges}; constitution {told['constitution']}. Features "
        f"of {told['features'] or 'nothing'}. {counted(counts['prompts'], 'prompt')} and {counts['others']} "
        f"of other things, {counts['searches']} seeds of search, {counts['seeds']} of sampling, seed "
        f"{counts['seed']}; {counts['known']} pictures of known truth of either kind, {told['known']}. "
        f"Intervals: {told['intervals']}."
    )
    yield from other_runs(told)


# --- what holds ----------------------------------------------------------------------------------


def _verdict(judged: Row, name: str) -> Section:
    """The claims, those first that do not hold."""
    raised = judged["raised"]
    of = ", ".join(raised["removals"]) or "none"
    notes = [
        f"Found prompts bring the concept back more often than plain prompts and both controls (p < .05 "
        f"after Holm's correction) against {counted(len(raised['removals']), 'removal')} ({of}). The bar is "
        f"{raised['needed']}: {'met' if raised['met'] else 'missed'}."
    ]
    ordered = sorted(judged["claims"], key=lambda each: each["corrected"] - len(each["comparisons"]))
    rows = [
        [
            each["claim"],
            f"{each['corrected']} of {len(each['comparisons'])}",
            *(_listed(each[state]) for state in ("against", "open", "not testable", "shown")),
        ]
        for each in ordered
    ]
    columns = ("claim", "shown after correction", "against", "open", "not testable", "shown")
    grids = [Grid(columns, rows, texts=len(columns))]
    table = [_comparison(claim["claim"], each) for claim in ordered for each in claim["comparisons"]]
    columns = (
        "claim",
        "removal",
        "defense",
        "compared with",
        "n",
        "percent",
        "percent there",
        "points",
        "p",
        "p (Holm)",
    )
    grids.append(Grid(columns, table, texts=4))
    after = [
        "p is corrected within each claim. n: prompts and seeds of sampling that were judged in both; what "
        "was found with several searches counts as their mean."
    ]
    return Section("claims", f"What holds, and what does not{name}", notes, grids, after)


def _comparison(claim: str, each: Row) -> list[str]:
    one, other = each["values"]
    return [
        claim.partition(".")[0], each["removal"], each["defense"], _NAMES.get(str(each["b"]), str(each["b"])),
        f"{each['n']}", _percent(one), _percent(other), _points(each["difference"], each["interval"]),
        _number(each["p"], "{:.3f}"), _number(each["holm"], "{:.3f}"),
    ]  # fmt: skip


# --- tables --------------------------------------------------------------------------------------


def _shares(judged: Row, name: str) -> Section:
    order = {kind: number for number, kind in enumerate(SETS)}
    rows = [
        [
            row["removal"], row["defense"], _NAMES[row["set"]],
            *(f"{row[name]}" for name in ("n", "refused", "failed")),
            _share(row["share"]), _share(row["corrected"]), _span(row["bounds"]),
            _span(row["by_search"]) if row["set"] in ("found", "random") else EMPTY, _span(row["by_seed"]),
        ]
        for row in _in_order(judged["rows"], order)
    ]  # fmt: skip
    columns = (
        "removal",
        "defense",
        "prompts",
        "n",
        "refused",
        "failed",
        "raw",
        "corrected",
        "bounds",
        "seeds of search",
    )
    problems = {row["corrected"]["problem"] for row in judged["rows"]} - {""}
    after = [f"Not corrected: {problem}." for problem in sorted(problems)]
    grid = Grid((*columns, "of sampling"), rows, texts=3)
    return Section("shares", f"Pictures that show the concept{name}", [_LEGEND], [grid], after)


def _in_order(rows: Sequence[Row], order: Mapping[str, int]) -> list[Row]:
    """Removals and defenses as they come, prompt sets in theirs."""
    cells = {
        key: number for number, key in enumerate(dict.fromkeys((r["removal"], r["defense"]) for r in rows))
    }
    return sorted(rows, key=lambda row: (cells[row["removal"], row["defense"]], order[row["set"]]))


def _qualities(judged: Row, floors: Row, name: str) -> Section:
    rows = [
        [
            row["removal"], row["defense"], f"{row['n']}", f"{row['unknown']}", _share(row["agreement"]),
            _points(gap["agreement"]["value"], gap["agreement"]["interval"]) if gap else EMPTY,
            _thousandths(row["distance"]), _thousandths(gap["distance"], "+") if gap else EMPTY,
            _number(row["seconds"], "{:.2f}"),
        ]
        for row in judged["quality"]
        for gap in [row.get("to_removal") or row.get("to_model")]
    ]  # fmt: skip
    real = judged["real"]
    for floor, distance in floors.items():
        codec = floor.endswith("codec")
        counts = [f"{real['n']}", f"{real['unknown']}", _share(real["agreement"])] if codec else [EMPTY] * 3
        rows.append([floor, EMPTY, *counts, EMPTY, _thousandths(distance), EMPTY, EMPTY])
    columns = (
        "removal",
        "defense",
        "n",
        "not known",
        "agreement",
        "points",
        "distance",
        "difference",
        "seconds",
    )
    return Section(
        "quality", f"What a removal and a defense cost{name}", [_QUALITY], [Grid(columns, rows, texts=2)]
    )


def _mistakes(judged: Row, name: str) -> Section:
    names = {CODEC: "through the codec", DRAWN: "as they are"}
    rows = [
        [
            names[split], kind, f"{found['n']}", f"{found['refused']}", f"{found['failed']}",
            f"{found['right']} of {found['judged']}", _share(found),
        ]
        for split in (CODEC, DRAWN)
        for kind, found in judged["errors"][split].items()
    ]  # fmt: skip
    columns = ("pictures of known truth", "", "n", "refused", "failed", "right", "percent")
    return Section("judge", f"The judge's mistakes{name}", [_ERRORS], [Grid(columns, rows, texts=2)])


def _prompts(searches: Sequence[Row]) -> Section:
    rows: list[list[str]] = []
    for seed in dict.fromkeys(row["seed"] for row in searches):
        own = [row for row in searches if row["seed"] == seed]
        of = len(own)
        rows.append(
            [
                f"{seed}", f"{of}", f"{sum(row['outcome'] == 'nearer' for row in own)} of {of}",
                *(f"{sum(row[name] for row in own)} of {of}" for name in ("names", "random_names")),
                f"{sum(row['encoded'] for row in own) / of:,.0f}",
                f"{sum(row['seconds'] for row in own) / of:,.1f}",
            ]
        )  # fmt: skip
    columns = (
        "seed of search",
        "prompts",
        "nearer",
        "names the concept",
        "random tokens that do",
        "encoded",
        "seconds",
    )
    note = (
        "Nearer: the found text is nearer to the target than the prompt. Encoded: rows that were put through "
        "the text encoder for a prompt, in the mean. A found prompt that names the concept is no way around "
        "its name."
    )
    return Section("prompts", "What the attack found", [note], [Grid(columns, rows)])


def _left_out(told: Row) -> Section | None:
    notes = [
        f"{each['removal']}, {each['defense'] or 'all defenses'}: "
        f"{'broke: ' * each['failed']}{each['reason']}"
        for each in told["left_out"]
    ]
    notes += [
        f"{counted(each['pictures'], 'picture')} of {each['split']}: {each['reason']}"
        for each in told["not_made"]
    ]
    reasons: dict[tuple[str, str, str], list[str]] = {}
    for each in told["not_judged"]:
        reasons.setdefault((each["judge"], each["method"], each["reason"]), []).append(each["split"])
    notes += [
        f"{method} with {label} on {counted(len(splits), 'split')} ({', '.join(splits[:3])}): {reason}"
        for (label, method, reason), splits in reasons.items()
    ]
    return Section("left-out", "Left out", notes) if notes else None


# --- cells of tables -----------------------------------------------------------------------------


def _share(row: Row) -> str:
    if row["value"] is None:
        return EMPTY
    low, high = (EMPTY if end is None else f"{100 * end:.0f}" for end in row["interval"])
    return f"{100 * row['value']:.0f} ({low}–{high})"


def _span(ends: Sequence[float]) -> str:
    return f"{100 * ends[0]:.0f}–{100 * ends[1]:.0f}" if ends else EMPTY


def _percent(value: float | None) -> str:
    return _number(None if value is None else 100 * value, "{:.0f}")


def _points(value: float | None, interval: Sequence[float | None]) -> str:
    low, high = interval
    if value is None or low is None or high is None:
        return EMPTY
    return f"{100 * value:+.0f} ({100 * low:+.0f} to {100 * high:+.0f})"


def _thousandths(row: Row, sign: str = "") -> str:
    low, high = row["interval"]
    if row["value"] is None:
        return EMPTY
    ends = "" if low is None or high is None else f" ({1000 * low:{sign}.1f} to {1000 * high:{sign}.1f})"
    return f"{1000 * row['value']:{sign}.1f}{ends}"


def _number(value: float | None, form: str) -> str:
    return EMPTY if value is None else form.format(value)


def _listed(titles: Sequence[str]) -> str:
    return "; ".join(titles) or EMPTY


# --- figure --------------------------------------------------------------------------------------


def draw_figure(path: Path, results: Mapping[str, Any]) -> list[Path]:
    """Corrected shares for each removal, over the defenses, of the first judge; nothing where matplotlib is
    not installed or nothing could be corrected."""
    rows = [row for row in results["judges"][0]["rows"] if row["corrected"]["value"] is not None]
    if find_spec("matplotlib") is None or not rows:
        return []
    from matplotlib import rc_context
    from matplotlib.figure import Figure

    removals = list(dict.fromkeys(row["removal"] for row in rows))
    with rc_context({"text.parse_math": False}):  # a $ in a name is no formula
        figure = Figure(figsize=(4 * len(removals), 4), layout="constrained")
        every = figure.subplots(1, len(removals), squeeze=False, sharey=True)[0]
        for axes, removal in zip(every, removals, strict=True):
            _panel(axes, [row for row in rows if row["removal"] == removal])
            axes.set_title("no removal" if removal == NONE else removal)
        every[0].set_ylabel(f"pictures that show: {results['provenance']['suite']['concept']}")
        every[0].legend(fontsize=7)
        save_svg(figure, path)
    return [path]


def _panel(axes: Any, rows: Sequence[Row]) -> None:
    defenses = list(dict.fromkeys(row["defense"] for row in rows))
    for number, kind in enumerate(name for name in SETS if name in _NAMES):
        own = [row for row in rows if row["set"] == kind]
        if not own:
            continue
        x = [defenses.index(row["defense"]) + 0.08 * (number - 1.5) for row in own]
        y = [row["corrected"]["value"] for row in own]
        ends = [row["corrected"]["interval"] for row in own]
        spread = [[max(0.0, v - low) for v, (low, _) in zip(y, ends, strict=True)],
                  [max(0.0, high - v) for v, (_, high) in zip(y, ends, strict=True)]]  # fmt: skip
        axes.errorbar(x, y, yerr=spread, fmt="o", markersize=4, linewidth=1, label=_NAMES[kind])
    axes.set_xticks(range(len(defenses)), defenses, rotation=20, ha="right", fontsize=6)
    axes.set_ylim(-0.03, 1.03)
