"""Results on disk: `results.json`, `results.md` and, where matplotlib is installed, figures."""

from __future__ import annotations

import json
import math
from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from jurat.bench.claims import ACROSS, LEAST_RECALL, check, forced_accuracy, method_of, named
from jurat.bench.seeds import with_ranges
from jurat.bench.table import INTERVALS, title_of
from jurat.errors import JuratError
from jurat.files import write_whole
from jurat.judge.calibrate.calibration import NO_BOUND
from jurat.metrics.claims import STATES

COLUMNS: tuple[tuple[str, str], ...] = (
    ("forced", "forced accuracy"),
    ("aurc", "AURC"),
    ("coverage", "coverage"),
    ("risk", "risk at 90%"),
    ("forced_f1", "forced F1"),
    ("f1", "strict F1"),
    ("recall", "strict recall"),
    ("precision", "strict precision"),
    ("accuracy", "strict accuracy"),
    ("ece", "ECE"),
    ("brier", "Brier"),
    ("log_loss", "log-loss"),
    ("flip_score", "flip"),
    ("images", "images"),
    ("question_tokens", "read"),
    ("generated_tokens", "written"),
    ("flops", "GFLOPs"),
    ("seconds", "ms"),
)
SHOWN_LEADS = ("jurat", "clue")
SHOWN_DIFFERENCES = {
    "forced": "forced accuracy",
    "forced_f1": "forced F1",
    "aurc": "AURC",
    "risk": "risk at 90%",
    "f1": "strict F1",
}
"""Metrics whose differences are printed, of those that the results hold."""
DIGITS = 6
"""Significant digits of the numbers that are written."""
_EMPTY = "–"
TRIED_ELSEWHERE = {
    "jurat": "24 beside the default by perf/candidates.py on dev (docs/results/candidates.md and "
    "candidates-more.md). Its thresholds, the share of the prior and the width of the second look were "
    "chosen before that, for the bundled model, with perf/judge_quality.py; how many were tried there was "
    "not recorded.",
    "quick": "the share of the prior was chosen for the bundled model with perf/judge_quality.py; how many "
    "were tried there was not recorded.",
}
"""Configurations of presets that were tried by two scripts of earlier commits."""


def read_results(folder: Path) -> dict[str, Any]:
    """The results that were written into a folder, without what is no longer published.

    Raises:
        JuratError: there is no results.json of the bench.
    """
    path = folder / "results.json"
    try:
        results = json.loads(path.read_text(encoding="utf-8"))
        results["provenance"] |= {"intervals": INTERVALS, "configurations tried elsewhere": TRIED_ELSEWHERE}
        return with_ranges(results)
    except OSError as error:
        raise JuratError(f"{path} cannot be read: {error.strerror}.") from error
    except (ValueError, KeyError, TypeError) as error:
        raise JuratError(f"{path} does not hold results of `jurat bench`.") from error


def write_results(out: Path, results: dict[str, Any]) -> list[Path]:
    """Writes all that can be written into a folder and gives the paths. Numbers are rounded to `DIGITS`."""
    results = rounded(results)
    written = [out / "results.json", out / "results.md"]
    write_whole(written[0], _as_json(results))
    write_whole(written[1], as_markdown(results))
    from jurat.bench.figures import draw_figures

    return [*written, *draw_figures(out, results)]


def _as_json(results: dict[str, Any]) -> str:
    """JSON with one entry of a list per line, so that two files can be compared."""
    parts: list[str] = []
    for name, value in results.items():
        lines = [json.dumps(each, allow_nan=False) for each in value] if isinstance(value, list) else None
        told = json.dumps(value, indent=1, allow_nan=False) if lines is None else _bracketed(lines)
        parts.append(f"{json.dumps(name)}: {told}")
    return "{" + ",\n".join(parts) + "}\n"


def _bracketed(lines: list[str]) -> str:
    return "[\n" + ",\n".join(lines) + "\n]" if lines else "[]"


def rounded(value: Any) -> Any:
    """Results with `DIGITS` significant digits, as they are published."""
    if isinstance(value, dict):
        return {name: rounded(each) for name, each in value.items()}
    if isinstance(value, list):
        return [rounded(each) for each in value]
    return float(f"{value:.{DIGITS}g}") if isinstance(value, float) else value


def as_markdown(results: dict[str, Any]) -> str:
    """Where it comes from and what was left out, the claims, and a table for each model, split and level."""
    parts = _head(results), claims_table(results), _tables(results["rows"]), _paired(results["paired"])
    return "\n".join(line for part in parts for line in part) + "\n"


def _head(results: dict[str, Any]) -> Iterator[str]:
    told = results["provenance"]
    bench = told.get("bench")
    yield "# Results of `jurat bench`"
    yield ""
    yield f"`{told['command']}`"
    yield ""
    drawn = "; format {format}, seed {seed}, {per_rule} pairs a rule".format_map(bench) if bench else ""
    yield f"jurat {told['jurat']}, commit {told['commit'] or 'unknown'}, {told['time']}{drawn}."
    yield from other_runs(told)
    if calibration := told.get("calibration"):
        yield f"Presets judged with the calibration {calibration['digest']}."
        if calibration["thresholds_from"] is not None:
            yield f"Its thresholds were transferred from {calibration['thresholds_from']}: {NO_BOUND}."
    if "machine" in told:
        yield f"On {told['machine']}."
    yield f"Models: {'; '.join(f'{label} is {name}' for label, name in told['models'].items())}."
    yield (
        f"Intervals: {told['intervals']}. Rows of several training seeds (`#all`) have the range of the"
        " seeds' values in brackets instead."
    )
    yield (
        "Forced accuracy decides every item by its score; an item without a score counts as an error. AURC"
        " and risks are of the same forced verdicts. Coverage is the share that was decided. The strict rates"
        " count an unsure verdict as an error, so they reward a method that never abstains: a difference in"
        " strict F1 alone does not say which method errs less. Costs are means an item; FLOPs are estimated"
        " from parameters and tokens."
    )
    for label, tried in told["configurations tried on dev"].items():
        if tried:
            counts = ", ".join(f"{name} {count}" for name, count in tried.items())
            yield f"Configurations tried on dev, {label}: {counts}."
    for name, where in told.get("configurations tried elsewhere", {}).items():
        yield f"Configurations tried for `{name}` by other scripts: {where}"
    left_out = told["left_out"]
    if left_out:
        yield ""
        yield "Left out:"
        seen: dict[tuple[str, str, str], list[str]] = {}
        for each in left_out:
            key = (each["model"], method_of(each), each["reason"])
            seen.setdefault(key, []).append(each["split"])
        yield ""
        for (model, name, reason), splits in seen.items():
            yield f"- {name} with {model} ({', '.join(splits)}): {reason}"


def other_runs(told: Mapping[str, Any]) -> Iterator[str]:
    """For each of the `runs` of a provenance that is not of its own command and commit, a sentence."""
    for run in told["runs"]:
        if (run["command"], run["commit"]) != (told["command"], told["commit"]):
            made = f"commit {run['commit'] or 'unknown'}, {run['from']} to {run['to']}"
            yield f"{run['files']} of its files are of `{run['command']}`, {made}."


def claims_table(results: dict[str, Any]) -> Iterator[str]:
    """What became of each claim; nothing where none is touched."""
    found = check(results)
    if not found:
        return
    yield ""
    yield "## What became of the claims"
    yield ""
    yield (
        "Those of `docs/method.md`, by the rows of test, habits, flip and vault, and where a claim is about "
        f"{ACROSS} also of redrawn and unmet, or of vault-2 alone. A difference is shown, or "
        "speaks against, where its interval leaves out zero, and for several training seeds where it does so "
        "in each; forced accuracy and costs are compared as they are. A ratio of risks without an interval "
        "is open. A baseline that was left out, or finds less than "
        f"{LEAST_RECALL:.0%} of the violations, tests nothing. "
        "In brackets: how many are still shown if p is corrected for the claim's number of comparisons "
        "(Holm, 5%; of several seeds the largest p). p is that of the paired difference over the rules, of "
        "forced accuracy McNemar's where that is larger; where a table has none it is worked out from the "
        f"interval's width. Claims of {ACROSS} are corrected over all pairs of model and split."
    )
    rows: list[list[str]] = []
    for claim, model, judged in found:
        names = {
            state: [named(one.comparison, model) for one in judged if one.state == state] for state in STATES
        }
        others = (f"{len(some)}: {'; '.join(_merged(some))}" if some else "0" for some in (
            names[state] for state in STATES[1:]))  # fmt: skip
        corrected = sum(one.holds_adjusted for one in judged)
        tested = any(not math.isnan(one.adjusted) for one in judged)
        shown = f"{len(names['shown'])}{f' ({corrected})' if tested else ''}"
        rows.append([claim, model, shown, *others])
    yield from _table(["claim", "model", *STATES], rows)


def _merged(names: Sequence[str]) -> Iterator[str]:
    """Names with their splits, each name once ("whole on test, habits"); those with values as they are."""
    splits: dict[str, list[str]] = {}
    for name in names:
        method, _, split = name.partition(" on ")
        splits.setdefault(name if "," in name else method, []).append("" if "," in name else split)
    for method, some in splits.items():
        yield f"{method} on {', '.join(some)}" if any(some) else method


def _tables(rows: Sequence[dict[str, Any]]) -> Iterator[str]:
    groups: dict[tuple[str, str, str], list[dict[str, Any]]] = {}
    for row in rows:
        groups.setdefault((row["model"], row["split"], row["level"]), []).append(row)
    for (model, split, level), members in groups.items():
        shown = {key: title for key, title in COLUMNS if any(_value(row, key) is not None for row in members)}
        yield ""
        yield f"## {model}, {split}, {level} level, n = {members[0]['n']:,}"
        cells = ([title_of(row), *(_cell(row, key) for key in shown)] for row in members)
        yield from _table(["method", *shown.values()], cells)
        if split == "rare" and (told := [row for row in members if row.get("precision_at")]):
            points = list(told[0]["precision_at"])
            headings = ["precision where … break a rule", *(f"{float(point):.1%}" for point in points)]
            cells = (
                [title_of(row), *(_three(row["precision_at"][point]) for point in points)] for row in told
            )
            yield from _table(headings, cells)
        if told := [row for row in members if "let_through" in row]:
            headings = ["method", "not refused as out of domain", "right of these", "wrong of these"]
            cells = (
                [title_of(row), f"{row['let_through']:,} of {row['n']:,}",
                 *(_cell(row, f"{name}_of_these") for name in ("right", "wrong"))]
                for row in told
            )  # fmt: skip
            yield from _table(headings, cells)


def _paired(entries: Sequence[dict[str, Any]]) -> Iterator[str]:
    """What claims rest on; `results.json` has the others too."""
    groups: dict[tuple[str, str], dict[tuple[str, str], dict[str, str]]] = {}
    for each in entries:
        if each["a"] in SHOWN_LEADS and each["metric"] in SHOWN_DIFFERENCES:
            group = groups.setdefault((each["model"], each["split"]), {})
            group.setdefault((each["a"], each["b"]), {})[each["metric"]] = _difference(each)
    there = {name for pairs in groups.values() for found in pairs.values() for name in found}
    shown = {name: title for name, title in SHOWN_DIFFERENCES.items() if name in there}
    for (model, split), pairs in groups.items():
        yield ""
        yield f"## {model}, {split}: paired differences of items"
        cells = (
            [f"{a} − {b}", *(found.get(name, _EMPTY) for name in shown)] for (a, b), found in pairs.items()
        )
        yield from _table(["a − b", *shown.values()], cells)


def _table(headings: Sequence[str], rows: Iterable[Sequence[str]]) -> Iterator[str]:
    """An empty line and a Markdown table."""
    yield ""
    yield f"| {' | '.join(headings)} |"
    yield "|---|" + "---|" * (len(headings) - 1)
    for row in rows:
        yield f"| {' | '.join(row)} |"


def _three(value: float | None) -> str:
    return _EMPTY if value is None else f"{value:.3f}"


def _difference(entry: dict[str, Any]) -> str:
    if seeds := entry.get("seeds"):
        low, high = entry.get("range", (None, None))
        counted = f"better in {seeds['better']} of {seeds['of']} seeds, worse in {seeds['worse']}"
        spread = "" if low is None else f"seeds {low:+.3f} to {high:+.3f}, "
        return f"{entry['difference']:+.3f} ({spread}{counted})"
    low, high = entry["ci"]
    return f"{entry['difference']:+.3f}" + ("" if low is None else f" ({low:+.3f} to {high:+.3f})")


def _value(row: dict[str, Any], key: str) -> float | None:
    if key == "risk":
        return (row.get("risk_at") or {}).get("0.9")
    if key == "forced":
        return forced_accuracy(row)
    if key == "coverage":
        return None if row["unsure"] is None else 1 - row["unsure"]
    return row.get(key)


def _cell(row: dict[str, Any], key: str) -> str:
    value = _value(row, key)
    if value is None:
        return _EMPTY
    if key == "flops":
        return f"{value / 1e9:.3g}"
    if key == "seconds":
        return f"{value * 1000:.0f}"
    if key in ("images", "question_tokens", "generated_tokens"):
        return f"{value:.3g}"
    interval = row.get(f"{key}_ci") or row.get(f"{key}_range")
    shown = f"{value:.3f}"
    return shown if not interval or interval[0] is None else f"{shown} ({interval[0]:.3f}–{interval[1]:.3f})"
